"""One execution of a task's code: what it is told of its history, what it waits for, how it ends.

Steps and orders of the history are answered at once, without the server; new ones go out, and the
code goes on when they are durable. The surprising part is the order of the answers: code that
runs several things at once (asyncio.gather, asyncio.wait) gets them in the order in which they
were settled at first, one after the other, so that it takes the same way again.

Threading: bound to the event loop of its host.
"""

from __future__ import annotations

import asyncio
import contextvars
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NoReturn, Protocol

from .._codec.outcomes import value_outcome
from ..errors import (
    ExecutionCancelledError,
    InvalidArgumentError,
    NonDeterminismError,
    StepExecutionError,
)
from ..v1 import tools_pb2
from .state import State

KEY_BYTES_MAX = 512
WAITS_MAX = 31  # open at once; the server takes 32 in a run and needs one for what is no wait
QUIET_SECONDS = 0.01  # without a step: the code waits for something else, or for nothing
OUT_OF_TURN_SECONDS = 0.1  # how long a settled step waits for those before it in the history
TURN_TICKS = 6  # of the event loop, for what an answer sets off in other asyncio tasks
CANCEL_PATIENCE_SECONDS = 10.0  # what a step at work may take when its run is cancelled
UNWIND_SECONDS = 1.0  # what code that is stopped may take before it is cancelled as well
INITIAL_STATE_KEY = "polos.initial_state"

# The task whose code is running; None outside.
current_task: contextvars.ContextVar[str | None] = contextvars.ContextVar(
    "polos_task", default=None
)

# SettledStep.kind, as this side names it and as the journal does.
_KINDS = {
    "step": {"step", "state"},
    "sleep": {"sleep"},
    "suspend": {"suspend", "suspension"},
    "event": {"event"},
    "invoke_and_wait": {"invoke", "children"},
    "invoke": {"invoke", "order"},
    "publish": {"publish", "order"},
    "resume": {"publish", "order", "resume"},
}
_KNOWN_KINDS = frozenset().union(*_KINDS.values())
_WAITS = frozenset({"sleep", "suspend", "event", "invoke_and_wait"})


class CodeStopped(BaseException):
    """Raised inside code that is let go of; no `except Exception` holds it up."""


class Line(Protocol):
    """How an execution speaks to the server; what comes back is told to it by its host."""

    def step_done(
        self, task_id: str, key: str, outcome: tools_pb2.TaskOutcome, state_json: str
    ) -> int:
        """The step's number; 0: nobody wants it."""

    def order(self, task_id: str, order: tools_pb2.Order) -> bool:
        """False: nobody wants it."""

    def let_go(self, task_id: str) -> bool:
        """Outcomes from now on are for the task's next execution."""

    async def prepare(self, target: Any) -> None:
        """Makes a workflow, tool or agent known to the server."""

    def find(self, name: str) -> Any:
        """The workflow, tool or agent of this name; None: this process defines none."""


class _Wait:
    """An order whose outcome the code awaits; a wait may park it, other orders settle at once."""

    def __init__(self, future: asyncio.Future[tools_pb2.TaskOutcome | None], is_wait: bool) -> None:
        self.future = future
        self.is_wait = is_wait
        self.interrupted = False  # the run's cancellation was shown here


def wait_threshold() -> float:
    """Seconds code may only wait before its host lets go of it."""
    text = os.environ.get("POLOS_WAIT_THRESHOLD_SECONDS", "")
    try:
        seconds = float(text or 10)
    except ValueError:
        seconds = -1.0
    if not 0 <= seconds < float("inf"):
        raise InvalidArgumentError(
            f"POLOS_WAIT_THRESHOLD_SECONDS is {text!r}: it is a number of seconds, 0 or more",
            field="POLOS_WAIT_THRESHOLD_SECONDS",
        )
    return seconds


class Execution:
    """Order: begin() on the asyncio task that runs the code, then what steps ask for; close().

    Attributes:
        parked: it only waited, and its code is being stopped.
        cancelling: its run is being cancelled.
        cancel_shown: its code was told so; from here on it cleans up.
        failure: why it must not go on; None: it may.
    """

    def __init__(self, task: tools_pb2.Task, line: Line, threshold: float) -> None:
        self.task_id = task.task_id
        self.state = State(task.state_json)
        self.parked = False
        self.cancelling = task.cancelling
        self.cancel_shown = False
        self.failure: NonDeterminismError | None = None
        self._line = line
        self._threshold = max(threshold, QUIET_SECONDS)
        self._history = list(task.steps)
        self._index = {step.key: number for number, step in enumerate(self._history)}
        self._last_step = max(
            (n for n, step in enumerate(self._history) if not step.is_order), default=-1
        )
        self._told = bytearray(len(self._history))  # 1: the code has been given it
        self._next = 0  # the first it has not been given
        self._last_asker: asyncio.Task[Any] | None = None
        self._turns: dict[int, asyncio.Future[None]] = {}  # settled steps that wait for others
        self._ticks = 0
        self._turn_handle: asyncio.Handle | None = None
        self._used: set[str] = set()
        self._asked: list[str] = []  # during the replay, for a sentence about what went wrong
        self._durable: dict[int, asyncio.Future[None]] = {}  # by step number
        self._waits: dict[str, _Wait] = {}
        self._hanging: set[asyncio.Future[None]] = set()  # asked for while being cancelled
        self._room = asyncio.Semaphore(WAITS_MAX)
        self._busy = 0  # steps at work
        self._show_when_quiet = False
        self._quiet_timer: asyncio.TimerHandle | None = None
        self._patience: asyncio.TimerHandle | None = None
        self._code: asyncio.Task[Any] | None = None
        self._elders: set[asyncio.Task[Any]] = set()  # asyncio tasks that are older than the code
        self._over = False

    # ---- its life ----

    async def begin(self, state_schema: Any) -> None:
        """Called by the asyncio task that is going to run the code."""
        self._code = asyncio.current_task()
        if self._history:
            self._elders = asyncio.all_tasks()
        if self.cancelling:
            self._be_patient()
        first = self._index.get(INITIAL_STATE_KEY)
        initial = "" if first is None else self._history[first].outcome.value_json
        if not self._history:
            initial = self.state.sent
        self.state.begin(state_schema, initial)
        if first is not None:
            await self.recall(INITIAL_STATE_KEY, "step")
        elif initial:  # so that a replay can begin with it, whatever becomes of it later
            await self.settle(INITIAL_STATE_KEY, value_outcome(initial, "the initial state"))

    def close(self) -> None:
        """The code has ended: what it left behind is released."""
        self._over = True
        for timer in (self._quiet_timer, self._patience, self._turn_handle):
            if timer is not None:
                timer.cancel()
        self._release()
        for future in self._durable.values():
            future.cancel()

    @property
    def unasked(self) -> list[str]:
        """Keys of settled steps that the code did not ask for."""
        return [s.key for n, s in enumerate(self._history) if not self._told[n]]

    def check_complete(self) -> None:
        """At the end of code that gave a value: raises NonDeterminismError if steps are left."""
        if self.failure is not None:
            raise self.failure
        if self.unasked:
            raise self._divergence("the end of the code", "")

    def cancel(self) -> None:
        """The run is being cancelled: the code is told at its next await of a step or a wait."""
        if self.cancelling or self.parked or self._over:
            return
        self.cancelling = self._show_when_quiet = True
        self._be_patient()
        self._touch()

    def hurry(self) -> None:
        """Its host is leaving: code that only waits is let go of at once."""
        self._threshold = QUIET_SECONDS
        self._touch()

    @property
    def only_waits(self) -> bool:
        """Whether the code may be let go of."""
        return not (self._busy or self._over or self.parked or self.cancelling) and any(
            wait.is_wait and not wait.future.done() for wait in self._waits.values()
        )

    def _be_patient(self) -> None:
        loop = asyncio.get_running_loop()
        self._patience = loop.call_later(CANCEL_PATIENCE_SECONDS, self._show_cancel)

    def _show_cancel(self) -> None:
        if self.cancel_shown or self._over or self.parked:
            return
        self.cancel_shown = True
        for wait in self._waits.values():
            wait.interrupted = True
        assert self._code is not None
        self._code.cancel()  # and with it whatever the code awaits
        for future in list(self._hanging):
            if not future.done():
                future.set_result(None)

    def _park(self) -> None:
        if self._over or not self._line.let_go(self.task_id):
            return
        self.parked = True
        self._stop_code()

    def _stop_code(self) -> None:
        """Ends the code with CodeStopped wherever it awaits a step, or else with a cancellation."""
        self._release()
        assert self._code is not None
        asyncio.get_running_loop().call_later(UNWIND_SECONDS, self._cancel_code)

    def _cancel_code(self) -> None:
        if not self._over and self._code is not None:
            self._code.cancel()

    def _release(self) -> None:
        for wait in list(self._waits.values()):
            if not wait.future.done():
                wait.future.set_result(None)
        for future in [*self._turns.values(), *self._hanging]:
            if not future.done():
                future.set_result(None)

    # ---- what the host is told by the server ----

    def durable(self, number: int) -> None:
        future = self._durable.pop(number, None)
        if future is not None and not future.done():
            future.set_result(None)

    def refused(self, number: int, error: StepExecutionError) -> None:
        future = self._durable.pop(number, None)
        if future is not None and not future.done():
            future.set_exception(error)

    def settled(self, key: str, outcome: tools_pb2.TaskOutcome) -> None:
        wait = self._waits.get(key)
        if wait is not None and not wait.future.done() and not self._is_cancellation(outcome):
            wait.future.set_result(outcome)
            self._touch()

    def order_refused(self, key: str, error: StepExecutionError) -> None:
        wait = self._waits.get(key)
        if wait is not None and not wait.future.done():
            wait.future.set_exception(error)
            self._touch()

    # ---- what steps ask for ----

    async def recall(self, key: str, kind: str) -> tools_pb2.TaskOutcome | None:
        """How the history says that a step ended, when it is its turn; None: the step is new.

        Raises ValueError for a bad key or one used before, CodeStopped when the code must not go
        on, ExecutionCancelledError (once) where it is to see that its run is being cancelled.
        """
        self._check_key(key)
        self._check_alive()
        self._used.add(key)
        number = self._index.get(key)
        if number is None:
            await self._be_new(key, kind)
            return None
        step = self._history[number]
        self._check_kind(step, kind)
        asker = asyncio.current_task()
        if number != self._next or (self._last_asker or asker) is not asker:
            await self._until_turn(number)
        self._last_asker = asker
        self._tell(number)
        if self._is_cancellation(step.outcome):
            await self._until_shown()
        return step.outcome

    @contextmanager
    def working(self) -> Iterator[None]:
        """A step is at work meanwhile: the code does not only wait."""
        self._busy += 1
        self._touch()
        try:
            yield
        finally:
            self._busy -= 1
            self._touch()

    async def settle(self, key: str, outcome: tools_pb2.TaskOutcome) -> None:
        """Returns when a step's outcome is on the server's disk."""
        self._check_alive()
        changed = self.state.changed()
        number = self._line.step_done(self.task_id, key, outcome, changed)
        if number == 0:
            raise ExecutionCancelledError
        if changed:
            self.state.sent = changed
        future = self._durable[number] = asyncio.get_running_loop().create_future()
        await future

    async def order(self, order: tools_pb2.Order, kind: str) -> tools_pb2.TaskOutcome:
        """The outcome of an order that recall() said is new."""
        is_wait = kind in _WAITS
        if not is_wait:
            with self.working():
                return await self._ordered(order, is_wait)
        await self._room.acquire()
        try:
            return await self._ordered(order, is_wait)
        finally:
            self._room.release()

    async def prepare(self, target: Any) -> None:
        """Makes a workflow, tool or agent known to the server before it is invoked."""
        with self.working():
            await self._line.prepare(target)

    def find(self, name: str) -> Any:
        """What this process defines under a name."""
        return self._line.find(name)

    async def _ordered(self, order: tools_pb2.Order, is_wait: bool) -> tools_pb2.TaskOutcome:
        self._check_alive()
        if not self._line.order(self.task_id, order):
            raise ExecutionCancelledError
        future: asyncio.Future[tools_pb2.TaskOutcome | None]
        future = asyncio.get_running_loop().create_future()
        wait = self._waits[order.key] = _Wait(future, is_wait)
        self._touch()
        try:
            outcome = await future
        except asyncio.CancelledError:
            if wait.interrupted:
                raise ExecutionCancelledError from None
            raise
        finally:
            del self._waits[order.key]
            self._touch()
        if outcome is None:
            _mark_retrieved(asyncio.current_task())
            raise self._end()
        return outcome

    # ---- inside: keys and ends ----

    def _check_key(self, key: str) -> None:
        if not isinstance(key, str) or not 1 <= len(key.encode()) <= KEY_BYTES_MAX:
            raise ValueError(f"a step key is a text of 1 to {KEY_BYTES_MAX} bytes, not {key!r}")
        if key in self._used:
            raise ValueError(
                f"step key {key!r} is used twice in this execution: every step needs a key of its "
                "own (in a loop, put the counter into it)"
            )

    def _check_alive(self) -> None:
        if self._over or self.parked or self.failure is not None:
            _mark_retrieved(asyncio.current_task())
            raise self._end()

    def _end(self) -> BaseException:
        if self.parked or self.failure is not None:
            return CodeStopped()
        return ExecutionCancelledError()

    async def _be_new(self, key: str, kind: str) -> None:
        """The code asks for a step the history does not have."""
        if self.cancelling and not self.cancel_shown:
            await self._until_shown()
        elif self._next < len(self._history) and self._is_alone():
            self._fail(self._divergence(repr(key), kind))

    def _is_cancellation(self, outcome: tools_pb2.TaskOutcome) -> bool:
        """A wait the server refused because the run is being cancelled, before the code saw that:
        it sees the cancellation there, and not a step that failed."""
        return (
            self.cancelling
            and not self.cancel_shown
            and outcome.WhichOneof("result") == "error"
            and outcome.error.type == "CANCELLED"
        )

    async def _until_shown(self) -> NoReturn:
        """Awaits the cancellation of the code, which comes when nothing else is at work."""
        future = asyncio.get_running_loop().create_future()
        self._hanging.add(future)
        self._show_when_quiet = True
        self._touch()
        try:
            await future
        except asyncio.CancelledError:
            if self.cancel_shown:
                raise ExecutionCancelledError from None
            raise
        finally:
            self._hanging.discard(future)
        raise self._end()

    # ---- inside: quiet ----

    def _touch(self) -> None:
        """Something happened: what quiet code is due for begins to be counted anew."""
        if self._quiet_timer is not None:
            self._quiet_timer.cancel()
            self._quiet_timer = None
        if self._busy or self._over or self.parked:
            return
        loop = asyncio.get_running_loop()
        if self.cancelling:
            if self._show_when_quiet and not self.cancel_shown:
                self._quiet_timer = loop.call_later(QUIET_SECONDS, self._show_cancel)
        elif self.only_waits:
            self._quiet_timer = loop.call_later(self._threshold, self._park)

    # ---- inside: the history ----

    def _tell(self, number: int) -> None:
        self._told[number] = 1
        self._asked.append(self._history[number].key)
        while self._next < len(self._history) and self._told[self._next]:
            self._next += 1
        if number == self._last_step:
            self.state.restore()
        if self._turns:
            self._watch_turns()
        if self._show_when_quiet:
            self._touch()

    async def _until_turn(self, number: int) -> None:
        future = self._turns[number] = asyncio.get_running_loop().create_future()
        self._watch_turns()
        try:
            await future
        finally:
            del self._turns[number]
        self._check_alive()

    def _watch_turns(self) -> None:
        """Looks for whose turn it is once what has been answered has had its effects."""
        self._ticks = 0
        if self._turn_handle is not None:
            self._turn_handle.cancel()
        self._turn_handle = asyncio.get_running_loop().call_soon(self._tick)

    def _tick(self) -> None:
        loop = asyncio.get_running_loop()
        self._ticks += 1
        if self._ticks < TURN_TICKS:
            self._turn_handle = loop.call_soon(self._tick)
        elif self._next in self._turns:
            self._give_turn(self._next)
        elif self._turns:
            self._turn_handle = loop.call_later(
                OUT_OF_TURN_SECONDS, lambda: self._give_turn(min(self._turns, default=-1))
            )

    def _give_turn(self, number: int) -> None:
        future = self._turns.get(number)
        if future is not None and not future.done():
            future.set_result(None)

    def _check_kind(self, step: tools_pb2.SettledStep, kind: str) -> None:
        known = step.kind in _KNOWN_KINDS and step.is_order
        if step.is_order != (kind != "step") or (known and step.kind not in _KINDS[kind]):
            self._fail(self._divergence(repr(step.key), kind, self._index[step.key]))

    def _is_alone(self) -> bool:
        """Whether no other asyncio task of this code could ask for what is left of the history."""
        if asyncio.current_task() is not self._code:
            return False
        others = asyncio.all_tasks() - self._elders - {self._code}
        return not any(self._is_own(task) for task in others)

    def _is_own(self, task: asyncio.Task[Any]) -> bool:
        context = getattr(task, "get_context", None)  # Python 3.12
        if context is not None:
            return bool(context().get(current_task) == self.task_id)
        return not task.get_name().startswith("polos-")

    def _fail(self, error: NonDeterminismError) -> None:
        self.failure = error
        self._stop_code()
        raise CodeStopped

    def _divergence(
        self, asked: str, kind: str, number: int | None = None
    ) -> NonDeterminismError:
        """Says what the history has and what the code asks for, side by side."""
        number = self._next if number is None else number
        step = self._history[number]
        expected = f"{step.key!r} ({_kind_of(step)})"
        actual = f"{asked} ({kind})" if kind else asked
        before = [repr(key) for key in self._asked[-3:]]
        width = max(map(len, ["history (expected)", expected, *before])) + 2
        lines = [f"  {'history (expected)':<{width}}code (actual)"]
        lines += [f"  {key:<{width}}{key}" for key in before]
        lines.append(f"  {expected:<{width}}{actual}   <- differs")
        return NonDeterminismError(
            "the code does not ask for the steps its history has; run it with the code that made "
            "the history, or start a new run:\n" + "\n".join(lines)
        )


def _kind_of(step: tools_pb2.SettledStep) -> str:
    return step.kind or ("order" if step.is_order else "step")


def _mark_retrieved(task: asyncio.Task[Any] | None) -> None:
    """An asyncio task nobody awaits any more may end with CodeStopped without a word about it."""
    if task is not None:
        task.add_done_callback(lambda done: done.cancelled() or done.exception())
