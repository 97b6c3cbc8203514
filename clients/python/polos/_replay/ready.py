"""When code has nothing left to run: what an event loop has ready for it, counted.

An execution's code runs in a context of its own, and whatever it makes (tasks, callbacks) inherits
that. So the loop's `call_soon` tells whose each piece of work is: it is stood in for, on the loop
at hand, for as long as an execution is at work there. Timers, threads and sockets are outside:
code that waits for one of them has nothing to run.
"""

from __future__ import annotations

import asyncio
import contextvars
import weakref
from collections import deque
from collections.abc import Callable
from typing import Any

# The task whose code is running; None outside.
current_task: contextvars.ContextVar[str | None] = contextvars.ContextVar(
    "polos_task", default=None
)


TIMERS_KEPT_MAX = 64  # of one execution, before those that are over are looked for


def outside() -> contextvars.Context:
    """For timers that are set while code runs, and are not the code's."""
    return contextvars.Context()


class _Work:
    """What a loop has to do for one execution."""

    def __init__(self, on_idle: Callable[[], None]) -> None:
        self.on_idle = on_idle
        self.queue: deque[tuple[int, asyncio.Handle]] = deque()  # first in, first out
        self.count = 0
        self.tasks: weakref.WeakSet[asyncio.Task[Any]] = weakref.WeakSet()
        self.timers: list[asyncio.TimerHandle] = []
        self.timers_max = TIMERS_KEPT_MAX

    @property
    def is_idle(self) -> bool:
        return all(handle.cancelled() for _, handle in self.queue)

    def ran(self, number: int) -> None:
        """It ran; those before it ran or were cancelled."""
        while self.queue and self.queue[0][0] <= number:
            self.queue.popleft()
        if self.is_idle:
            self.on_idle()

    def add_timer(
        self, timer: asyncio.TimerHandle, loop: asyncio.AbstractEventLoop | None
    ) -> None:
        self.timers.append(timer)
        if len(self.timers) > self.timers_max and loop is not None:
            self.timers_max = max(TIMERS_KEPT_MAX, 2 * len(self.open_timers(loop.time())))

    def open_timers(self, now: float) -> list[float]:
        self.timers = [t for t in self.timers if not t.cancelled() and t.when() > now]
        return [timer.when() for timer in self.timers]


class Ready:
    """One per event loop; see of_loop().

    Threading: the loop's own thread only.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = weakref.ref(loop)
        self._works: dict[str, _Work] = {}
        self._inner_soon: Callable[..., asyncio.Handle] | None = None
        self._inner_at: Callable[..., asyncio.TimerHandle] | None = None
        self._outer_soon, self._outer_at = self._call_soon, self._call_at

    def add(self, owner: str, on_idle: Callable[[], None]) -> None:
        """From now on counts what is ready for `owner`; calls on_idle() whenever that is over."""
        self._works[owner] = _Work(on_idle)
        loop: Any = self._loop()
        if self._inner_soon is None and loop is not None:
            self._inner_soon, self._inner_at = loop.call_soon, loop.call_at
            loop.call_soon, loop.call_at = self._outer_soon, self._outer_at

    def remove(self, owner: str) -> None:
        """Counts no more; the stand-ins are taken off with the last, where they are on top."""
        self._works.pop(owner, None)
        loop: Any = self._loop()
        if self._works or loop is None:
            return
        on_top = loop.call_soon == self._outer_soon and loop.call_at == self._outer_at
        if on_top and self._inner_soon is not None:
            loop.call_soon, loop.call_at = self._inner_soon, self._inner_at
            self._inner_soon = self._inner_at = None

    def is_idle(self, owner: str) -> bool:
        """Whether nothing is ready for it."""
        work = self._works.get(owner)
        return work is None or work.is_idle

    def tasks(self, owner: str) -> list[asyncio.Task[Any]]:
        """Its asyncio tasks that have not ended."""
        work = self._works.get(owner)
        return [] if work is None else [task for task in work.tasks if not task.done()]

    def timers(self, owner: str) -> list[float]:
        """When its timers are due, in the loop's time."""
        work, loop = self._works.get(owner), self._loop()
        return [] if work is None or loop is None else work.open_timers(loop.time())

    # ---- in place of the loop's ----

    def _call_soon(
        self,
        callback: Callable[..., object],
        *args: Any,
        context: contextvars.Context | None = None,
    ) -> asyncio.Handle:
        assert self._inner_soon is not None
        scope = contextvars.copy_context() if context is None else context
        work = self._works.get(scope.get(current_task, None) or "")
        if work is None:
            return self._inner_soon(callback, *args, context=scope)
        work.count += 1
        task = getattr(callback, "__self__", None)
        if isinstance(task, asyncio.Task):
            work.tasks.add(task)
        handle = self._inner_soon(_run, work, work.count, callback, args, context=scope)
        work.queue.append((work.count, handle))
        return handle

    def _call_at(
        self,
        when: float,
        callback: Callable[..., object],
        *args: Any,
        context: contextvars.Context | None = None,
    ) -> asyncio.TimerHandle:
        assert self._inner_at is not None
        scope = contextvars.copy_context() if context is None else context
        timer = self._inner_at(when, callback, *args, context=scope)
        work = self._works.get(scope.get(current_task, None) or "")
        if work is not None:
            work.add_timer(timer, self._loop())
        return timer


def _run(work: _Work, number: int, callback: Callable[..., object], args: Any) -> None:
    try:
        callback(*args)
    finally:
        work.ran(number)


_of_loops: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, Ready] = (
    weakref.WeakKeyDictionary()
)


def of_loop(loop: asyncio.AbstractEventLoop) -> Ready:
    """The one of a loop."""
    found = _of_loops.get(loop)
    if found is None:
        found = _of_loops[loop] = Ready(loop)
    return found
