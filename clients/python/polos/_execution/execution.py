"""One execution of a task's code: what it asks for, what it is given, how it ends.

What is given when is decided by the machine of _replay; here are the futures that the code awaits,
the server's answers that settle them, and the two ways in which code is stopped: it is let go of
because it only waits, or it is shown that its run is being cancelled.

Threading: bound to the event loop of its host.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any, Protocol

from .. import _keys
from .._checks import checked_text
from .._codec.names import UnknownClassError
from .._codec.outcomes import value_outcome
from .._codec.values import Given
from .._replay import ready
from .._replay.machine import (
    CANCEL_SHOWN,
    GIVEN_UP,
    TRY,
    Begin,
    Diverged,
    Fact,
    Give,
    Output,
    Replay,
    SayCancel,
    ShowCancel,
)
from .._replay.ready import current_task, outside
from ..errors import ExecutionCancelledError, NonDeterminismError, StepExecutionError
from ..v1 import host_pb2, steps_pb2
from .parking import Parking
from .state import State

log = logging.getLogger("polos")

WAITS_MAX = 31  # open at once; the server takes 32 in a run and needs one for what is no wait
DIAGNOSIS_SECONDS = 5.0  # how long code may leave the next fact unasked, for no reason in sight
CANCEL_PATIENCE_SECONDS = 10.0  # what a step at work may take when its run is cancelled
UNWIND_SECONDS = 1.0  # what code that is stopped may take before it is cancelled as well

_WORDS = {
    steps_pb2.STEP_KIND_CODE: "step",
    steps_pb2.STEP_KIND_SLEEP: "sleep",
    steps_pb2.STEP_KIND_SUSPENSION: "suspend",
    steps_pb2.STEP_KIND_EVENT: "event",
    steps_pb2.STEP_KIND_CHILDREN: "children",
    steps_pb2.STEP_KIND_AT_ONCE: "at once",
    steps_pb2.STEP_KIND_CANCEL_SHOWN: CANCEL_SHOWN,
    steps_pb2.STEP_KIND_WITHDRAWN: GIVEN_UP,
    steps_pb2.STEP_KIND_TRY: TRY,
}
_WAITS = frozenset({"sleep", "suspend", "event", "invoke_and_wait"})


class CodeStopped(BaseException):
    """Raised inside code that is let go of; no `except Exception` holds it up."""


class Line(Protocol):
    """How an execution speaks to the server; what comes back is told to it by its host."""

    def step_done(
        self, task_id: str, key: str, outcome: steps_pb2.TaskOutcome, state: Given
    ) -> int:
        """The step's number; 0: nobody wants it."""

    def step_try(
        self, task_id: str, key: str, try_number: int, error: steps_pb2.TaskError, pause: float
    ) -> int:
        """The number of the fact that a try of a step failed and another comes after so many
        seconds; 0: nobody wants it."""

    def order(self, task_id: str, order: steps_pb2.StepRequest) -> bool:
        """False: nobody wants it."""

    def cancel_shown(self, task_id: str) -> int:
        """The number of the fact that the code sees the cancellation; 0: nobody wants it."""

    def withdraw(self, task_id: str, key: str, facts_seen: int) -> int:
        """The number of the fact that the code gave a key up; 0: nobody wants it."""

    def let_go(self, task_id: str) -> bool:
        """Outcomes from now on are for the task's next execution."""

    async def prepare(self, target: Any) -> None:
        """Makes a workflow, tool or agent known to the server."""

    async def prepare_queue(self, name: str) -> None:
        """Sees to it that the server has a queue of this name."""

    def find(self, name: str) -> Any:
        """The workflow, tool or agent of this name; None: this process defines none."""


class _Ask:
    """A key the code awaits; settled with an outcome, with None (begin), or with _RELEASED."""

    def __init__(self, *, is_wait: bool) -> None:
        self.future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self.asker = asyncio.current_task()
        self.is_wait = is_wait  # on the server, and the code may be let go of meanwhile
        self.interrupted = False  # the run's cancellation was shown here

    def settle(self, value: Any) -> None:
        if not self.future.done():
            self.future.set_result(value)

    def fail(self, error: BaseException) -> None:
        if not self.future.done():
            self.future.set_exception(error)


_RELEASED = object()  # the code must not go on


class Execution:
    """Order: begin() on the asyncio task that runs the code, then what steps ask for; close().

    Attributes:
        parked: it only waited, and its code is being stopped.
        cancelling: its run is being cancelled.
        cancel_shown: its code was told so; from here on it cleans up.
        failure: why it must not go on; None: it may.
    """

    def __init__(self, task: host_pb2.Task, line: Line, threshold: float) -> None:
        self.task_id = task.task_id
        self.state = State(Given(task.state_json, task.state_type))
        self.parked = False
        self.cancelling = task.cancelling
        self.cancel_shown = False
        self.failure: NonDeterminismError | None = None
        facts = [_fact(step) for step in task.steps]
        steps = [number for number, fact in enumerate(facts) if fact.is_step]
        self._last_step = max(steps, default=-1)
        self._replay = Replay(facts, cancelling=task.cancelling, tries=task.retry_count)
        self._is_new = not facts
        self._line = line
        self._ready = ready.of_loop(asyncio.get_running_loop())
        self._ready.add(self.task_id, self._look)
        self._begun_at = asyncio.get_running_loop().time()
        self._asks: dict[str, _Ask] = {}
        self._sent: dict[int, Fact] = {}  # by step number
        self._given_up: list[tuple[str, int]] = []  # not said yet: keys, and facts given by then
        self._at_work: set[str] = set()  # keys of steps whose functions are running
        self._room = asyncio.Semaphore(WAITS_MAX)
        self._busy = 0  # steps at work
        self._parking = Parking(
            threshold, self._may_park, self._rests, self._park, self._next_timer
        )
        self._patience: asyncio.TimerHandle | None = None
        self._diagnosis: asyncio.TimerHandle | None = None
        self._code: asyncio.Task[Any] | None = None
        self._due: set[str] = set()  # keys of steps at work that are done, and wait for their turn
        self._over = False

    # ---- its life ----

    async def begin(self, state_schema: Any) -> None:
        """Called by the asyncio task that is going to run the code."""
        self._code = asyncio.current_task()
        if self.cancelling:
            self._be_patient()
        with self.working():
            if self._is_new:
                await self._begin_state(state_schema)
            else:
                await self._begin_state_again(state_schema)

    async def _begin_state(self, schema: Any) -> None:
        initial = self.state.sent
        self.state.begin(schema, initial)
        if initial.json:  # so that a replay can begin with it, whatever becomes of it later
            self._replay.ask(_keys.INITIAL_STATE, "step")
            kept = value_outcome(initial.json, "the initial state", initial.type)
            await self.settle(_keys.INITIAL_STATE, kept)

    async def _begin_state_again(self, schema: Any) -> None:
        found = self._replay.find(_keys.INITIAL_STATE)
        kept = None if found is None else found.outcome
        initial = Given("") if kept is None else Given(kept.value_json, kept.value_type)
        self.state.begin(schema, initial)
        if found is not None:
            await self.recall(_keys.INITIAL_STATE, "step")

    def close(self) -> None:
        """The code has ended: what it left behind is released."""
        self._over = True
        self._parking.stop()
        for timer in (self._patience, self._diagnosis):
            if timer is not None:
                timer.cancel()
        self._release()
        self._ready.remove(self.task_id)

    def check_complete(self) -> None:
        """At the end of code that gave a value: raises NonDeterminismError if steps are left."""
        if self.failure is not None:
            raise self.failure
        diverged = self._replay.end()
        if diverged is not None:
            raise NonDeterminismError(diverged.message)

    def cancel(self) -> None:
        """The run is being cancelled: the code is told when it has nothing left to run."""
        if self.cancelling or self.parked or self._over:
            return
        self.cancelling = True
        self._replay.cancel()
        self._be_patient()
        self._parking.touch()
        self._look_if_idle()

    def hurry(self) -> None:
        """Its host is leaving: code that only waits is let go of at once."""
        self._parking.hurry()

    def give_place(self) -> None:
        """What it waits for needs its place: code that only waits is kept no longer."""
        self._parking.lose_patience()

    def press(self) -> None:
        """Others may want its slot: code that only waits is kept for a moment only."""
        self._parking.press()

    @property
    def only_waits(self) -> bool:
        """Whether the code may be let go of."""
        return self._may_park()

    # ---- what the host is told by the server ----

    def durable(self, number: int) -> None:
        """A step of settle() is on the server's disk."""
        fact = self._sent.pop(number, None)
        if fact is not None:
            self._replay.settle(fact)
            if fact.kind == TRY and (tried := self._asks.get(_of_try(fact))) is not None:
                tried.settle(None)
            if fact.is_step and fact.key in self._asks:  # else it was given up
                self._busy -= 1
                self._due.add(fact.key)
            self._look_if_idle()

    def refused(self, number: int, error: StepExecutionError) -> None:
        fact = self._sent.pop(number, None)
        if fact is not None:
            self._refuse(_of_try(fact) if fact.kind == TRY else fact.key, error)

    def settled(self, key: str, outcome: steps_pb2.TaskOutcome) -> None:
        """What an order asked for has come about."""
        self._replay.settle(Fact(key, "", False, outcome, _is_cancellation(outcome)))
        self._look_if_idle()

    def order_refused(self, key: str, error: StepExecutionError) -> None:
        self._refuse(key, error)

    # ---- what steps ask for ----

    async def recall(self, key: str, kind: str) -> steps_pb2.TaskOutcome | None:
        """How the history says that a step ended, when it is its turn; None: the step is new.

        Raises ValueError for a bad key or one used before, CodeStopped when the code must not go
        on, ExecutionCancelledError (once) where it is to see that its run is being cancelled.
        """
        self._check_key(key)
        self._check_alive()
        self._say_given_up()
        self._look_again_later()
        told = self._replay.ask(key, kind)
        if isinstance(told, Diverged):
            self._fail(told)
            self._check_alive()
        if told is not None:
            return None
        return await self._await(key, _Ask(is_wait=False))

    def is_settled(self, key: str) -> bool:
        """Whether the history has this key."""
        return self._replay.find(key) is not None

    @contextmanager
    def working(self) -> Iterator[None]:
        """A step is at work meanwhile: the code does not only wait."""
        self._busy += 1
        self._parking.touch()
        try:
            yield
        finally:
            self._busy -= 1
            self._parking.touch()

    @contextmanager
    def at_work(self, key: str) -> Iterator[None]:
        """As working(), of the function of this step: stopped, it is given up."""
        self._at_work.add(key)
        try:
            with self.working():
                yield
        except asyncio.CancelledError:
            self._give_up(key, interrupted=key not in self._at_work)
            raise
        finally:
            self._at_work.discard(key)

    async def settle(self, key: str, outcome: steps_pb2.TaskOutcome) -> None:
        """Returns when a step's outcome is on the server's disk, and it is its turn; called while
        working()."""
        self._check_alive()
        self._say_given_up()
        changed = self.state.changed()
        number = self._line.step_done(self.task_id, key, outcome, changed)
        if number == 0:
            raise ExecutionCancelledError
        if changed.json:
            self.state.sent = changed
        self._sent[number] = Fact(key, "step", True, outcome)
        try:
            await self._await(key, _Ask(is_wait=False))
        finally:
            if key in self._due:
                self._due.remove(key)
                self._busy += 1

    def tried(self, key: str) -> tuple[int, float]:
        """How many tries of a step failed in earlier executions, and the seconds that are left
        before the next."""
        last = self._replay.last_try(key)
        if last is None:
            return 0, 0.0
        passed = asyncio.get_running_loop().time() - self._begun_at
        return last.try_number, max(0.0, last.pause - passed)

    async def keep_try(
        self, key: str, try_number: int, error: steps_pb2.TaskError, pause: float
    ) -> None:
        """Returns when it is on the server's disk that a try of a step failed, and another comes
        after so many seconds; called while at_work()."""
        self._check_alive()
        self._say_given_up()
        number = self._line.step_try(self.task_id, key, try_number, error, pause)
        if number == 0:
            raise ExecutionCancelledError
        fact = Fact(key, TRY, False, None, try_number=try_number)
        self._sent[number] = fact
        await self._await(_of_try(fact), _Ask(is_wait=False))

    async def order(self, order: steps_pb2.StepRequest, kind: str) -> steps_pb2.TaskOutcome:
        """The outcome of an order that recall() said is new."""
        if kind not in _WAITS:
            with self.working():
                return await self._ordered(order, is_wait=False)
        await self._room.acquire()
        try:
            return await self._ordered(order, is_wait=True)
        finally:
            self._room.release()

    async def prepare(self, targets: Iterable[Any], queues: Iterable[str]) -> None:
        """Makes what is to be invoked, and where it is to wait, known to the server."""
        with self.working():
            for target in targets:
                await self._line.prepare(target)
            for queue in queues:
                await self._line.prepare_queue(queue)

    def find(self, name: str) -> Any:
        """What this process defines under a name."""
        return self._line.find(name)

    # ---- inside: asks ----

    async def _ordered(
        self, order: steps_pb2.StepRequest, *, is_wait: bool
    ) -> steps_pb2.TaskOutcome:
        self._check_alive()
        self._say_given_up()
        if not self._line.order(self.task_id, order):
            raise ExecutionCancelledError
        outcome = await self._await(order.key, _Ask(is_wait=is_wait))
        assert outcome is not None
        return outcome

    async def _await(self, key: str, ask: _Ask) -> steps_pb2.TaskOutcome | None:
        """What comes of an ask; the ask is given up when whoever awaits it is cancelled."""
        self._asks[key] = ask
        self._parking.touch()
        try:
            outcome: Any = await ask.future
        except asyncio.CancelledError:
            self._give_up(key, interrupted=ask.interrupted)
            if ask.interrupted:
                raise ExecutionCancelledError from None
            raise
        finally:
            del self._asks[key]
            self._parking.touch()
        if outcome is _RELEASED:
            self._check_alive()
            raise self._end()
        found: steps_pb2.TaskOutcome | None = outcome
        return found

    def _give_up(self, key: str, *, interrupted: bool) -> None:
        """The code waits for it no more; `interrupted`: since it was shown the cancellation, which
        is a fact already."""
        if self._replay.withdraw(key) and not interrupted:
            self._given_up.append((key, self._replay.given))

    def _say_given_up(self) -> None:
        """Only once the code has gone on: what is taken from code that is ended, with its loop or
        its host, is not given up."""
        waiting, self._given_up = self._given_up, []
        for key, seen in waiting:
            number = self._line.withdraw(self.task_id, key, seen)
            if number:
                self._sent[number] = Fact(key, GIVEN_UP, False, None, seen=seen)

    def _refuse(self, key: str, error: StepExecutionError) -> None:
        self._replay.withdraw(key)
        ask = self._asks.get(key)
        if ask is not None:
            ask.fail(error)

    def _check_key(self, key: str) -> None:
        checked_text(key, "step_key")
        if not isinstance(key, str) or not 1 <= len(key.encode()) <= _keys.KEY_BYTES_MAX:
            most = _keys.KEY_BYTES_MAX
            raise ValueError(f"a step key is a text of 1 to {most} bytes, not {key!r}")
        if self._replay.was_asked(key):
            raise ValueError(
                f"step key {key!r} is used twice in this execution: every step needs a key of its "
                "own (in a loop, put the counter into it)"
            )

    def _check_alive(self) -> None:
        if self._over or self.parked or self.failure is not None:
            raise self._end()

    def _end(self) -> BaseException:
        if self.parked or self.failure is not None:
            return CodeStopped()
        return ExecutionCancelledError()

    # ---- inside: idle ----

    def _look_if_idle(self) -> None:
        if self._ready.is_idle(self.task_id):
            self._look()
        else:
            self._look_again_later()

    def _look(self) -> None:
        """The code has nothing left to run: what is it given?"""
        if self._over or self.parked or self.failure is not None:
            return
        if self._given_up:
            self._say_given_up()
        if not self._replay.wants_idle:
            return
        for output in self._replay.idle(busy=self._busy > 0, stuck=self._is_stuck):
            self._do(output)
        if self._replay.is_blocked and self._diagnosis is None:
            self._look_again_later()

    def _do(self, output: Output) -> None:
        if isinstance(output, Begin):
            self._asks[output.key].settle(None)
        elif isinstance(output, Give):
            if output.number == self._last_step and not self._restored():
                return
            ask = self._asks.get(output.fact.key)
            if ask is not None:
                ask.settle(output.fact.outcome)
        elif isinstance(output, SayCancel):
            self._say_cancel()
        elif isinstance(output, ShowCancel):
            self._show_cancel(output.key)
        else:
            self._fail(output)

    def _restored(self) -> bool:
        """Sets the state to what the last step left behind; False: the code must not go on."""
        try:
            self.state.restore()
        except UnknownClassError as error:
            self._fail(Diverged(f"the state cannot be made again: {error}"))
            return False
        return True

    def _is_stuck(self) -> bool:
        """Whether every asyncio task of the code stands in an ask, and no timer of it is open."""
        if self._next_timer() is not None:
            return False
        asking = {ask.asker for ask in self._asks.values()}
        return self._code in asking and asking.issuperset(self._ready.tasks(self.task_id))

    def _look_again_later(self) -> None:
        """For code that leaves the next fact unasked, or that never has nothing to run."""
        if self._diagnosis is not None:
            self._diagnosis.cancel()
            self._diagnosis = None
        if self._replay.wants_idle and not self._over:
            loop = asyncio.get_running_loop()
            self._diagnosis = loop.call_later(DIAGNOSIS_SECONDS, self._diagnose, context=outside())

    def _diagnose(self) -> None:
        self._diagnosis = None
        if self._over or self.parked or self.failure is not None or not self._replay.wants_idle:
            return
        if not self._ready.is_idle(self.task_id):
            log.warning("the code of task %s never rests: it is given what is due", self.task_id)
            self._look()
        elif self._replay.is_blocked and not self._busy and self._next_timer() is None:
            self._fail(self._replay.diverged_at_next())
        else:
            self._look()
        self._look_again_later()

    def _next_timer(self) -> float | None:
        return min(self._ready.timers(self.task_id), default=None)

    # ---- inside: the ends ----

    def _may_park(self) -> bool:
        return not (self._busy or self._over or self.parked or self.cancelling) and any(
            ask.is_wait and not ask.future.done() for ask in self._asks.values()
        )

    def _rests(self) -> bool:
        return self._ready.is_idle(self.task_id) and not self._replay.has_more

    def _park(self) -> None:
        if self._over or not self._line.let_go(self.task_id):
            return
        self.parked = True
        self._stop_code()

    def _be_patient(self) -> None:
        loop = asyncio.get_running_loop()
        self._patience = loop.call_later(
            CANCEL_PATIENCE_SECONDS, self._lose_patience, context=outside()
        )

    def _lose_patience(self) -> None:
        if not (self._over or self.parked) and self._replay.insist() is not None:
            self._say_cancel()

    def _say_cancel(self) -> None:
        number = self._line.cancel_shown(self.task_id)
        if number:
            self._sent[number] = Fact("", CANCEL_SHOWN, False, None)

    def _show_cancel(self, key: str | None = None) -> None:
        """The code sees it wherever it awaits something; what was held back is refused for it."""
        if self.cancel_shown or self._over or self.parked:
            return
        self.cancel_shown = True
        self._at_work.clear()
        refused = [k for k in self._asks if k == key or self._replay.is_held(k)]
        for ask in self._asks.values():
            ask.interrupted = True
        assert self._code is not None
        self._code.cancel()  # and with it whatever the code awaits
        for each in refused:
            self._replay.withdraw(each)
            self._asks[each].settle(_RELEASED)

    def _fail(self, diverged: Diverged) -> None:
        self.failure = NonDeterminismError(diverged.message)
        self._stop_code()

    def stand_still(self, message: str) -> BaseException:
        """The code that runs here is not the one that made the history; raise what is returned."""
        self._fail(Diverged(message))
        return CodeStopped()

    def _stop_code(self) -> None:
        """Ends the code with CodeStopped wherever it awaits a step, or else with a cancellation."""
        self._release()
        loop = asyncio.get_running_loop()
        loop.call_later(UNWIND_SECONDS, self._cancel_code, context=outside())

    def _cancel_code(self) -> None:
        if not self._over and self._code is not None:
            self._code.cancel()

    def _release(self) -> None:
        """What the code awaits raises CodeStopped, and nobody awaits what its tasks end with."""
        for task in self._ready.tasks(self.task_id):
            task.add_done_callback(lambda done: done.cancelled() or done.exception())
        for ask in list(self._asks.values()):
            ask.settle(_RELEASED)


def _fact(step: steps_pb2.SettledStep) -> Fact:
    outcome = step.outcome
    word = _WORDS.get(step.kind, "step")
    is_step = word == "step"
    failed = outcome.error.type if not is_step and outcome.HasField("error") else ""
    return Fact(
        step.key,
        word,
        is_step,
        outcome,
        cancels=failed == "CANCELLED",
        seen=step.facts_seen,
        tries=step.retry_count,
        ends=failed == "WITHDRAWN",
        try_number=step.try_number,
        pause=step.pause.ToTimedelta().total_seconds(),
    )


def _of_try(fact: Fact) -> str:
    """Where it is asked for that a try is a fact: no step has such a key."""
    return f"\0try {fact.try_number} of {fact.key}"


def _is_cancellation(outcome: steps_pb2.TaskOutcome) -> bool:
    return outcome.WhichOneof("result") == "error" and outcome.error.type == "CANCELLED"
