"""For code without an event loop of its own: scripts, notebooks, threads of other frameworks.

    agent.run_sync(client, "What's the weather in NYC?")
    sync.run(lambda: client.history(run_id))

What is run so goes to one loop in a thread of its own, which ends with the process.
"""

from __future__ import annotations

import asyncio
import atexit
import os
import threading
from collections.abc import Callable, Coroutine
from concurrent.futures import Future
from typing import Any, TypeVar

from ._replay.ready import current_task

__all__ = ["run"]

T = TypeVar("T")

END_SECONDS = 2.0  # what the thread may take to end with the process


class _Portal:
    """A thread with an event loop."""

    def __init__(self) -> None:
        self._ready: Future[asyncio.AbstractEventLoop] = Future()
        self._end = asyncio.Event()
        self._thread = threading.Thread(
            target=lambda: asyncio.run(self._main()), name="polos-sync", daemon=True
        )
        self._thread.start()
        self.loop = self._ready.result()

    async def _main(self) -> None:
        self._end = asyncio.Event()
        self._ready.set_result(asyncio.get_running_loop())
        await self._end.wait()

    def close(self) -> None:
        self.loop.call_soon_threadsafe(self._end.set)
        self._thread.join(END_SECONDS)


_portals: list[_Portal] = []  # one at most
_lock = threading.Lock()


def run(work: Callable[[], Coroutine[Any, Any, T]]) -> T:
    """Calls an async function and waits for what it gives, also where a loop runs already.

    Raises RuntimeError inside a tool or workflow, whose loop it would block.
    """
    if current_task.get() is not None:
        raise RuntimeError(
            "what waits without await cannot be called inside a tool or workflow: it would block "
            "the loop. Use ctx.step"
        )
    future = asyncio.run_coroutine_threadsafe(work(), _portal().loop)
    try:
        return future.result()
    except BaseException:
        future.cancel()
        raise


def _portal() -> _Portal:
    with _lock:
        if not _portals:
            _portals.append(_Portal())
        return _portals[0]


def _close() -> None:
    for portal in _portals:
        portal.close()
    _portals.clear()


def _begin_anew() -> None:
    """In a child process, to which neither the thread came nor whoever holds the lock."""
    global _lock
    _lock = threading.Lock()
    _portals.clear()


atexit.register(_close)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_begin_anew)
