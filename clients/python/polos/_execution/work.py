"""The function of a step: what it may be, how it is called, tried again, and given up."""

from __future__ import annotations

import asyncio
import inspect
import logging
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

from .._codec.outcomes import error_outcome, stack_of, text_and_place_of, whole_text_of
from ..v1 import steps_pb2
from . import pool

log = logging.getLogger("polos")

DOUBLINGS_MAX = 64  # of the pause between two tries, whatever its most is


def check_work(
    key: str, func: Any, max_retries: int, base_delay: float, max_delay: float
) -> None:
    """Raises TypeError or ValueError for what no try of the step can cure."""
    if inspect.iscoroutine(func):
        func.close()
        raise TypeError(
            f"step {key!r} was given a coroutine, not a function: leave the call to the step, as "
            f"in ctx.step.run({key!r}, fetch, url)"
        )
    if getattr(func, "kind", None) in ("workflow", "tool", "agent"):
        raise TypeError(
            f"step {key!r} was given a {func.kind}: start it with ctx.step.invoke_and_wait, or "
            "ctx.step.agent_invoke_and_wait for agents"
        )
    if not callable(func):
        raise TypeError(
            f"step {key!r} was given a {type(func).__name__}, not a function: give it the function "
            f"and then its arguments, as in ctx.step.run({key!r}, len, text)"
        )
    for name, value in (
        ("max_retries", max_retries), ("base_delay", base_delay), ("max_delay", max_delay)
    ):
        if not isinstance(value, (int, float)) or not value >= 0:
            raise ValueError(f"{name} of step {key!r} is {value!r}: it is 0 or more")


def takes(func: Callable[..., Any], name: str) -> bool:
    """Whether a function may be given an argument of this name."""
    try:
        parameters = inspect.signature(func).parameters.values()
    except (TypeError, ValueError):
        return True
    return any(p.name == name or p.kind is inspect.Parameter.VAR_KEYWORD for p in parameters)


class OutOfTimeError(TimeoutError):
    """A try of a step took longer than it may."""


async def limited(work: Coroutine[Any, Any, Any], seconds: float | None) -> Any:
    """What the work gives; raises OutOfTimeError when that takes longer than it may."""
    if seconds is None:
        return await work
    task = asyncio.ensure_future(work)
    try:
        return await asyncio.wait_for(task, seconds)
    except asyncio.TimeoutError as error:
        if not task.cancelled():
            raise  # its own
        raise OutOfTimeError(f"it did not end within {seconds} s") from error


class ExitError(Exception):
    """A step's function wanted to end the process, in which others are at work."""


async def call(func: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    """Calls an async function, or a plain one in a thread."""
    try:
        if inspect.iscoroutinefunction(func):
            return await func(*args, **kwargs)
        value = await pool.run(func, *args, **kwargs)
        return await value if inspect.isawaitable(value) else value
    except SystemExit as error:  # it would pass through the loop, and end it
        raise ExitError(f"it called sys.exit({error.code!r})") from error


def warn_of(error: BaseException, what: str) -> None:
    """Tells whoever reads the log that code of theirs failed, and where."""
    log.warning("%s: %s\n%s", what, whole_text_of(error), stack_of(error).rstrip())


def error_of_try(error: BaseException, key: str) -> steps_pb2.TaskOutcome:
    """How a try ended that raised."""
    kind = "TIMEOUT" if isinstance(error, OutOfTimeError) else ""
    return error_outcome(error, f"step {key!r}", type=kind, says=text_and_place_of)


class Tries:
    """How often a step's function was called in vain, and may be called again."""

    def __init__(self, key: str, retries_max: int, base_delay: float, max_delay: float) -> None:
        self.key = key
        self.failed = 0  # in earlier executions, too
        self._retries_max = retries_max
        self._base_delay = base_delay
        self._max_delay = max_delay

    @property
    def left(self) -> int:
        """Further tries after the one at work."""
        return max(0, int(self._retries_max) - self.failed)

    def warn_of(self, error: BaseException, run_id: str) -> None:
        """Logs how the try at work ended; also the last one, which the code may catch unseen."""
        tries = f"try {self.failed + 1} of {int(self._retries_max) + 1}"
        warn_of(error, f"step {self.key!r} of run {run_id} failed, {tries}")

    @property
    def pause(self) -> float:
        """Seconds between the last that failed and the next."""
        doubled = min(self.failed - 1, DOUBLINGS_MAX)
        return float(min(self._max_delay, self._base_delay * 2.0**doubled))


class Timeout:
    """What Step.timeout() gives; `expired`: the time was over before the code was."""

    def __init__(self, wait: Callable[[], Awaitable[None]]) -> None:
        self.expired = False
        self._wait = wait
        self._body: asyncio.Task[Any] | None = None
        self._clock: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Timeout:
        self._body = asyncio.current_task()
        self._clock = asyncio.create_task(self._watch(), name="polos-timeout")
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: object, traceback: object
    ) -> None:
        assert self._clock is not None and self._body is not None
        self._clock.cancel()
        await asyncio.gather(self._clock, return_exceptions=True)
        if self.expired and kind is not None and issubclass(kind, asyncio.CancelledError):
            uncancel = getattr(self._body, "uncancel", None)  # Python 3.11
            if uncancel is not None:
                uncancel()
            raise TimeoutError("the time of this part of the code is over") from None

    async def _watch(self) -> None:
        await self._wait()
        self.expired = True
        assert self._body is not None
        self._body.cancel()
