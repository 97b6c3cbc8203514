"""Blocking functions beside the event loop, in daemon threads of their own.

A thread that never ends holds up neither other tools nor the end of the program, as the threads
of an executor would.
"""

from __future__ import annotations

import asyncio
import contextvars
import threading
from collections.abc import Callable
from typing import Any


async def run(func: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    """Calls func in a thread, with the caller's context variables, and returns what it returns.

    When the caller is cancelled the thread goes on, and what it returns is dropped.
    """
    loop = asyncio.get_running_loop()
    future: asyncio.Future[Any] = loop.create_future()
    context = contextvars.copy_context()

    def settle(value: Any, error: BaseException | None) -> None:
        if future.done():
            return
        if error is None:
            future.set_result(value)
        else:
            future.set_exception(error)

    def work() -> None:
        value: Any = None
        failure: BaseException | None = None
        try:
            value = context.run(func, *args, **kwargs)
        except StopIteration as error:  # a future cannot carry it
            failure = RuntimeError(f"{getattr(func, '__name__', func)} raised StopIteration")
            failure.__cause__ = error
        except BaseException as error:
            failure = error
        try:
            loop.call_soon_threadsafe(settle, value, failure)
        except RuntimeError:  # the loop has closed: nobody wants it any more
            return

    name = f"polos-{getattr(func, '__name__', 'call')}"
    threading.Thread(target=work, name=name, daemon=True).start()
    return await future
