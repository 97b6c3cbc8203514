"""The host: takes tasks of the server and runs the tools and workflows of this process.

The protocol is _session.py's affair; here are the stream, the clock and the user's code. A host
dials again for as long as it lives; tasks at work go on meanwhile, and what they settled is sent
again when the server is back.
"""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import logging
import os
import re
import socket
import sys
import time
import uuid
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import grpc
import grpc.aio

from . import _registry, trace
from ._codec.outcomes import (
    OutcomeTooLargeError,
    error_outcome,
    parts_of,
    text_of,
    value_outcome,
    whole_text_of,
)
from ._codec.text import NotJsonError, dumps_shown
from ._codec.values import Given, kept
from ._execution.execution import Execution
from ._execution.parking import wait_threshold
from ._execution.work import warn_of
from ._replay.ready import current_task
from ._run_models import step_of
from ._session.beat import Beat
from ._session.machine import (
    Event,
    Offers,
    OrderRefused,
    OrderSettled,
    ProtocolError,
    ServerDraining,
    Session,
    StepDurable,
    StepRefused,
    TaskCancelling,
    TaskDurable,
    TaskGiven,
    TaskParked,
    TaskRefused,
    TaskStopped,
    TaskWanted,
    Welcomed,
)
from ._wire.channel import FIRST_CONTACT_SECONDS, Wire
from ._wire.errors import backoff, error_from, unreachable
from ._wire.methods import RUN_GET, TOOL_CONNECT
from .agent import Agent, AgentCallback
from .context import AgentContext, WorkflowContext
from .errors import (
    ExecutionCancelledError,
    InvalidArgumentError,
    NonDeterminismError,
    NonRetryableError,
    PermissionDeniedError,
    PolosError,
    ServerError,
    StepExecutionError,
    UnavailableError,
    UnsupportedFeatureError,
)
from .tool import Tool
from .types import Step
from .v1 import definitions_pb2, history_pb2, host_pb2, runs_pb2, steps_pb2
from .workflow import InputError, Workflow

log = logging.getLogger("polos")

Stream = grpc.aio.StreamStreamCall[
    host_pb2.ToolServiceConnectRequest, host_pb2.ToolServiceConnectResponse
]
Resolve = Callable[[host_pb2.Task], Workflow | None]
ResolveCallback = Callable[[host_pb2.Task], tuple[Agent, AgentCallback] | None]
Prepare = Callable[[Any], Awaitable[None]]
PrepareQueue = Callable[[str], Awaitable[None]]

LEAVE_SECONDS = 1.0  # what the server may take to hear that the host leaves
END_SECONDS = 0.2  # what a cancelled stream may take to say so
ACK_DELAY_SECONDS = 0.05  # how long an acknowledgement waits for a message to ride on
PARK_SECONDS = 2.0  # what giving tasks back may take that only wait, when the host leaves
HEARTBEAT_SECONDS = 5.0  # until the server says what it wants
BLOCKED_SECONDS = 1.0  # how late a heartbeat is before something is said


class UnknownTaskError(LookupError):
    """A task for something this host does not have."""


# What fails a workflow for good; other exceptions of its code may pass when it is tried again.
_LASTING = (
    NonRetryableError,
    StepExecutionError,
    InputError,
    InvalidArgumentError,
    UnknownTaskError,
    UnsupportedFeatureError,
    NotJsonError,
    OutcomeTooLargeError,
)


@dataclass(frozen=True)
class _End:
    """How a task ended."""

    outcome: steps_pb2.TaskOutcome | host_pb2.Mismatch | history_pb2.CallbackOutcome
    retryable: bool = False


class _Running:
    """A task at work."""

    def __init__(self, execution: Execution) -> None:
        self.execution = execution
        self.work: asyncio.Task[None] | None = None
        self.stopped = False  # the server does not want its answer
        self.is_pressed = False  # others want its slot

    def stop(self) -> None:
        self.stopped = True
        if self.work is not None:
            self.work.cancel()


class _Line:
    """How executions speak to the server: the session, and whoever sends what it queues."""

    def __init__(
        self,
        session: Session,
        wake: asyncio.Event,
        prepare: Prepare | None,
        prepare_queue: PrepareQueue | None,
    ) -> None:
        self._session = session
        self._wake = wake
        self._prepare = prepare
        self._prepare_queue = prepare_queue

    def step_done(
        self, task_id: str, key: str, outcome: steps_pb2.TaskOutcome, state: Given
    ) -> int:
        self._wake.set()
        return self._session.step_done(task_id, key, outcome, state)

    def step_try(
        self, task_id: str, key: str, try_number: int, error: steps_pb2.TaskError, pause: float
    ) -> int:
        self._wake.set()
        return self._session.step_try(task_id, key, try_number, error, pause)

    def order(self, task_id: str, order: steps_pb2.StepRequest) -> bool:
        self._wake.set()
        return self._session.order(task_id, order)

    def cancel_shown(self, task_id: str) -> int:
        self._wake.set()
        return self._session.cancel_shown(task_id)

    def withdraw(self, task_id: str, key: str, facts_seen: int) -> int:
        self._wake.set()
        return self._session.withdraw(task_id, key, facts_seen)

    def let_go(self, task_id: str) -> bool:
        return self._session.let_go(task_id)

    async def prepare(self, target: Any) -> None:
        if self._prepare is not None:
            await self._prepare(target)

    async def prepare_queue(self, name: str) -> None:
        if self._prepare_queue is not None:
            await self._prepare_queue(name)

    def find(self, name: str) -> Any:
        return _registry.find(name)


class Host:
    """One host: a stream to the server, and the tasks it gives.

    Order: start(); offer() when there is more to offer; stop().
    Threading: bound to the event loop it was started on.
    """

    def __init__(
        self,
        wire: Wire,
        resolve: Resolve,
        *,
        offers: Offers,
        deployment: str,
        slots: int,
        prepare: Prepare | None = None,
        prepare_queue: PrepareQueue | None = None,
        resolve_callback: ResolveCallback | None = None,
    ) -> None:
        self._wire = wire
        self._resolve = resolve
        self._resolve_callback = resolve_callback
        self._session = Session(
            host_id=f"{socket.gethostname()[:64]}-{os.getpid()}-{uuid.uuid4().hex[:12]}",
            deployment=deployment,
            slots=slots,
            offers=offers,
            user_agent=f"polos-python/0.1.0 python/{sys.version_info[0]}.{sys.version_info[1]} "
            f"host={socket.gethostname()}",
        )
        self._running: dict[str, _Running] = {}
        self._slots = slots
        self._threshold = wait_threshold()
        self._wake = asyncio.Event()  # there is something to send
        self._line = _Line(self._session, self._wake, prepare, prepare_queue)
        self._redial = asyncio.Event()  # the stream is to be dialled anew
        self._open = asyncio.Event()  # Welcome came on this stream
        self._settled = asyncio.Event()  # something stopped being held
        self._ready: asyncio.Future[None] | None = None
        self._heartbeat_seconds = HEARTBEAT_SECONDS
        self._lease_seconds = float("inf")  # until the server says it
        self._beats: Beat | None = None
        self._ack_timer: asyncio.TimerHandle | None = None
        self._loop_task: asyncio.Task[None] | None = None
        self._draining = False
        self._leaving = False  # nothing of this host is at work any more
        self._stop_at = 0.0  # when a stop() under way does not wait for tasks any more
        self._last: PolosError | None = None  # why the last stream ended
        self.failure: PolosError | None = None  # why the host gave up; None: it did not

    # ---- life ----

    @property
    def offers(self) -> Offers:
        return self._session.offers

    @property
    def held_count(self) -> int:
        """Tasks at work or with an answer that is not durable yet."""
        return self._session.held_count

    async def start(self) -> None:
        """Dials the server and returns once it said Welcome.

        Raises UnavailableError when a server that was never reached is not there, and
        InvalidArgumentError or PermissionDeniedError when it refuses this host.
        """
        loop = asyncio.get_running_loop()
        self._ready = loop.create_future()

        def lost() -> None:
            with contextlib.suppress(RuntimeError):  # the loop is closed
                loop.call_soon_threadsafe(self._redial.set)

        self._beats = Beat(self._wire.endpoint, self._wire.metadata, lost)
        self._loop_task = asyncio.create_task(self._run(), name="polos-host")
        quiet(self._loop_task)
        await self._until_ready()

    async def offer(self, offers: Offers) -> None:
        """Offers something else from now on; returns once the server said Welcome to it."""
        if self.failure is not None:
            raise self.failure
        self._session.offers = offers
        self._ready = asyncio.get_running_loop().create_future()
        self._redial.set()
        await self._until_ready()

    async def wait(self) -> None:
        """Returns when the host was stopped; raises why it gave up."""
        assert self._loop_task is not None
        await asyncio.wait([self._loop_task])
        if self.failure is not None:
            raise self.failure

    async def ended(self) -> None:
        """Returns when the host dials no more and its last call is over."""
        if self._loop_task is not None:
            await asyncio.wait([self._loop_task])

    async def stop(self, grace_seconds: float = 0.0) -> None:
        """Takes no new tasks, gives back those that only wait, lets those at work end for so long,
        stops the others, and leaves."""
        self._draining = True
        self._session.drain("the host is shutting down")
        self._wake.set()
        for running in list(self._running.values()):
            running.execution.hurry()
        self._stop_at = time.monotonic() + grace_seconds
        park_until = time.monotonic() + PARK_SECONDS if self._session.welcomed else 0.0
        while self._session.held_count:
            wanted = park_until if self._gives_back() else 0.0
            left = max(self._stop_at, wanted) - time.monotonic()
            if left <= 0:
                break
            self._settled.clear()
            try:
                await asyncio.wait_for(self._settled.wait(), left)
            except asyncio.TimeoutError:
                break
        works = [running.work for running in self._running.values() if running.work]
        for running in list(self._running.values()):
            running.stop()
        if self._loop_task is not None:
            self._leaving = True
            if self._session.held_count:
                self._session.drain("the host is shutting down", release_all=True)
            self._loop_task.cancel()
            works.append(self._loop_task)
        await asyncio.gather(*works, return_exceptions=True)

    def leave_now(self) -> None:
        """Ends the patience of a stop() under way."""
        self._stop_at = 0.0
        self._settled.set()

    def _gives_back(self) -> bool:
        """Whether there are tasks that only wait, or whose Park is on its way."""
        waiting = any(running.execution.only_waits for running in self._running.values())
        return waiting or self._session.parking_count > 0

    async def _until_ready(self) -> None:
        assert self._ready is not None
        patience = None if self._wire.contacted else FIRST_CONTACT_SECONDS
        try:
            await asyncio.wait_for(asyncio.shield(self._ready), patience)
        except asyncio.TimeoutError:
            raise self._last or unreachable(self._wire.endpoint.url, "no answer") from None

    # ---- the stream ----

    async def _run(self) -> None:
        """Dials, again and again, until something says that there is no point."""
        try:
            await self._dial()
        finally:
            if self._beats is not None:
                self._beats.stop()

    async def _dial(self) -> None:
        failures = 0
        give_up_at = time.monotonic() + FIRST_CONTACT_SECONDS
        while True:
            told = await self._one_stream()
            if self._session.welcomed:
                failures = 0
            failures += 1
            self._session.welcomed = False
            self._last = told
            late = not self._wire.contacted and time.monotonic() > give_up_at
            if told is not None and (late or _is_final(told)):
                return self._give_up(told)
            if self._redial.is_set():
                continue
            if failures == 1 and self._wire.contacted and not self._draining:
                why = told.message if told else "the stream was closed"
                log.warning("lost polosd at %s (%s); dialling again", self._wire.endpoint.url, why)
            await asyncio.sleep(backoff(failures))

    async def _one_stream(self) -> PolosError | None:
        """One stream from Hello to its end; why it ended, or None when it was just closed."""
        try:
            await self._stream()
        except grpc.aio.AioRpcError as error:
            return _named(error_from(error, self._wire.endpoint.url), self._session.offers)
        except asyncio.InvalidStateError:
            return UnavailableError("the stream broke before Hello was sent")
        except ProtocolError as error:
            log.error("the server broke the host protocol: %s", error)
            self._session.token = ""
        except Exception as error:
            log.exception("the host failed")
            return ServerError(f"the host failed: {error!r}")
        return None

    def _give_up(self, error: PolosError) -> None:
        self.failure = error
        log.error("this host gave up: %s", error)
        for running in list(self._running.values()):
            running.stop()
        if self._ready is not None and not self._ready.done():
            self._ready.set_exception(error)

    async def _stream(self) -> None:
        """One stream, until it ends: by an error, by the server, or because of _redial."""
        self._redial.clear()
        self._open.clear()
        call = self._wire.bidi(TOOL_CONNECT)
        end = asyncio.Event()
        read = asyncio.create_task(self._read(call), name="polos-host-read")
        write = asyncio.create_task(self._write(call, end), name="polos-host-write")
        beat = asyncio.create_task(self._beat(), name="polos-host-beat")
        redial = asyncio.create_task(self._redial.wait(), name="polos-host-redial")
        for task in (read, write, beat, redial):
            quiet(task)
        try:
            await asyncio.wait([read, redial], return_when=asyncio.FIRST_COMPLETED)
            ended = read.done()
        finally:
            beat.cancel()
            redial.cancel()
            self._stop_ack_timer()
            end.set()
            self._wake.set()
            if self._leaving and self._session.welcomed:
                await asyncio.wait([read], timeout=LEAVE_SECONDS)
            call.cancel()  # on which a pending read or write returns: it is not to be abandoned
            _, waiting = await asyncio.wait([read, write], timeout=END_SECONDS)
            for task in waiting:  # for a connection that was never there
                task.cancel()
            await asyncio.gather(read, write, beat, redial, return_exceptions=True)
            with contextlib.suppress(Exception):
                await call.code()
        if ended:
            read.result()

    async def _read(self, call: Stream) -> None:
        while True:
            envelope = await call.read()
            if not isinstance(envelope, host_pb2.ToolServiceConnectResponse):
                return  # the end of the stream
            if self._was_away():
                self._redial.set()
                return
            for event in self._session.receive(envelope):
                self._handle(event)
            self._wake.set()

    def _was_away(self) -> bool:
        """Whether what was just read may be old: this process or its machine stood still for
        longer than its lease, so what it was given then may be another's by now."""
        if not self._open.is_set() or self._beats is None:
            return False
        silence = self._beats.silence_seconds()
        if silence <= self._lease_seconds:
            return False
        log.warning(
            "the server has heard nothing of this host for %.1f s, which is longer than its lease; "
            "dialling again before anything is begun",
            silence,
        )
        return True

    async def _write(self, call: Stream, end: asyncio.Event) -> None:
        with contextlib.suppress(grpc.aio.AioRpcError, asyncio.InvalidStateError):
            await call.write(self._session.hello())  # when it breaks the reader learns why
            await self._write_on(call, end)

    async def _write_on(self, call: Stream, end: asyncio.Event) -> None:
        while True:
            await self._wake.wait()
            if end.is_set() and not self._leaving:
                return
            self._wake.clear()
            while (envelope := self._session.take()) is not None:
                await call.write(envelope)
            if end.is_set():
                await call.done_writing()  # what it still holds goes to others at once
                return
            if self._session.acknowledgement_due and self._ack_timer is None:
                loop = asyncio.get_running_loop()
                self._ack_timer = loop.call_later(ACK_DELAY_SECONDS, self._acknowledge)

    def _acknowledge(self) -> None:
        self._ack_timer = None
        self._session.acknowledge()
        self._wake.set()

    def _stop_ack_timer(self) -> None:
        if self._ack_timer is not None:
            self._ack_timer.cancel()
            self._ack_timer = None

    async def _beat(self) -> None:
        await self._open.wait()
        while True:
            due = time.monotonic() + self._heartbeat_seconds
            await asyncio.sleep(self._heartbeat_seconds)
            late = time.monotonic() - due
            if late > BLOCKED_SECONDS:
                log.warning(
                    "the event loop was blocked for %.1f s, and nothing else of this process ran "
                    "meanwhile. Call blocking functions with ctx.step.run(key, func, ...) or "
                    "asyncio.to_thread, or make the tool a plain def",
                    late,
                )
            self._session.heartbeat()
            self._wake.set()

    # ---- what the server says ----

    def _handle(self, event: Event) -> None:
        if isinstance(event, Welcomed):
            self._welcomed(event)
        elif isinstance(event, TaskGiven):
            self._begin(event.task)
        elif isinstance(event, TaskStopped):
            self._stop_task(event.task_id, event.cause)
        elif isinstance(event, TaskRefused):
            self._answer_refused(event)
        elif isinstance(event, (TaskDurable, TaskParked)):
            self._settled.set()
        elif isinstance(event, ServerDraining):
            log.info("polosd is going away: %s", event.cause)
        elif (running := self._running.get(event.task_id)) is not None:
            _tell(running.execution, event)

    def _welcomed(self, event: Welcomed) -> None:
        self._wire.contacted = True
        self._open.set()
        if event.heartbeat_seconds > 0:
            self._heartbeat_seconds = event.heartbeat_seconds
        if event.lease_seconds > 0:
            self._lease_seconds = event.lease_seconds
        if self._beats is not None:
            self._beats.begin(self._session.token, self._heartbeat_seconds)
        if self._ready is not None and not self._ready.done():
            self._ready.set_result(None)
        log.debug("connected to %s, resumed=%s", event.server_version, event.resumed)

    def _answer_refused(self, event: TaskRefused) -> None:
        log.error("the server refused a task's answer: %s (%s)", event.message, event.reason)
        told = error_outcome(
            PolosError(f"the answer was refused: {event.message}", reason=event.reason), "the task"
        )
        self._session.task_done(event.task_id, told)

    def _stop_task(self, task_id: str, cause: str) -> None:
        self._settled.set()
        running = self._running.get(task_id)
        if running is not None:
            log.info("task %s is stopped: %s", task_id, cause)
            running.stop()

    # ---- the work ----

    def _begin(self, task: host_pb2.Task) -> None:
        context = contextvars.Context()  # what the caller has set is not the code's affair
        context.run(current_task.set, task.task_id)
        running = _Running(Execution(task, self._line, self._threshold))
        self._running[task.task_id] = running
        if len(self._running) >= self._slots:
            self._make_room()
        running.work = context.run(
            asyncio.get_running_loop().create_task, self._work(task, running)
        )
        running.work.set_name("polos-task")
        quiet(running.work)

    def _make_room(self) -> None:
        """Every slot is taken, and what stands in line may be what these wait for: those that only
        wait, now or later, are kept for a moment only."""
        for running in self._running.values():
            if not running.is_pressed:
                running.is_pressed = True
                running.execution.press()

    async def _work(self, task: host_pb2.Task, running: _Running) -> None:
        """Runs a task's code and reports how it ended, unless nobody wants to know."""
        execution = running.execution
        try:
            end = await self._end_of(task, running)
        except GeneratorExit as error:  # of a thread or task of the code, or of the loop's end
            if asyncio.current_task() is not running.work:
                raise
            end = _failed(error, task, _what(task), execution)
        finally:
            execution.close()
            if self._running.get(task.task_id) is running:
                del self._running[task.task_id]
        if running.stopped:
            return
        if execution.parked:
            self._session.park(task.task_id)
        else:
            changed = _last_state(execution)
            self._session.task_done(
                task.task_id, end.outcome, changed, execution.cancel_shown, end.retryable
            )
        self._wake.set()

    async def _end_of(self, task: host_pb2.Task, running: _Running) -> _End:
        execution, what = running.execution, _what(task)
        try:
            if task.kind == history_pb2.TASK_KIND_CALLBACK:
                return _End(await self._decision(task, execution, what))
            found = self._resolve(task)
            if found is None:
                raise UnknownTaskError(f"this host does not have {what}")
            value = await self._value(found, task, running)
            if task.call_id:  # a model asked for it
                return _End(value_outcome(dumps_shown(value), what))
            text, value_type, _ = kept(value, found.func)
            return _End(value_outcome(text, what, value_type))
        except (Exception, SystemExit) as error:
            return _failed(error, task, what, execution)
        except asyncio.CancelledError as error:
            if running.stopped:
                raise
            if not execution.parked and not execution.cancel_shown and _cancelled_from_outside():
                raise
            if execution.cancel_shown and type(error) is asyncio.CancelledError:
                # The code awaited something of its own.
                error = ExecutionCancelledError()
            return _failed(error, task, what, execution)
        except (KeyboardInterrupt, GeneratorExit):
            raise
        except BaseException as error:  # alone or in a group
            return _failed(error, task, what, execution)

    async def _decision(
        self, task: host_pb2.Task, execution: Execution, what: str
    ) -> history_pb2.CallbackOutcome:
        """What a hook or a guardrail decides."""
        found = self._resolve_callback(task) if self._resolve_callback else None
        if found is None:
            raise UnknownTaskError(f"this host does not have {what}")
        agent, callback = found
        ctx = AgentContext(
            task, execution, deployment_id=self._session.deployment, workflow_type="agent"
        )
        ctx.workflow_id = task.agent_id
        await execution.begin(None)
        with trace.span(what, _about(task), root_id=ctx.root_execution_id):
            decided = await callback.decide(ctx, task, agent.config(), self._steps_of)
        execution.check_complete()
        return decided

    async def _steps_of(self, run_id: str) -> list[Step]:
        """The turns of a run so far, the newest that the server shows."""
        request = runs_pb2.RunServiceGetRequest(run_id=run_id)
        run = (await self._wire.call(RUN_GET, request)).run
        return [step_of(turn) for turn in run.turns]

    async def _value(self, found: Workflow, task: host_pb2.Task, running: _Running) -> Any:
        """What a task's code gives."""
        execution = running.execution
        given = Given(task.input_json, task.input_type)
        ctx = WorkflowContext(
            task,
            execution,
            deployment_id=self._session.deployment,
            workflow_type="tool" if isinstance(found, Tool) else "workflow",
        )
        await execution.begin(found.state_schema)
        name, about = f"{ctx.workflow_type} {ctx.workflow_id}", _about(task)
        with trace.span(name, about, root_id=ctx.root_execution_id) as span:
            ctx.otel_traceparent, ctx.otel_span_id = span.traceparent, span.span_id
            try:
                value = await found._execute(ctx, given)
            finally:
                if execution.cancel_shown and not running.stopped:
                    _uncancel()
                    await found._cancelled(ctx, given)
        if not execution.cancel_shown:
            execution.check_complete()
        return value


def _about(task: host_pb2.Task) -> dict[str, Any]:
    """What a span says of a task."""
    about = {"run_id": task.run_id, "task_id": task.task_id, "attempt": task.epoch}
    about |= {"agent_id": task.agent_id} if task.agent_id else {}
    return {f"polos.{name}": value for name, value in about.items()}


def _tell(execution: Execution, event: Event) -> None:
    """Hands on what the server says about a task at work."""
    if isinstance(event, StepDurable):
        execution.durable(event.number)
    elif isinstance(event, StepRefused):
        error = StepExecutionError(event.message, error_type=event.reason)
        execution.refused(event.number, error)
    elif isinstance(event, OrderSettled):
        execution.settled(event.key, event.outcome)
    elif isinstance(event, OrderRefused):
        error = StepExecutionError(event.message, error_type=event.reason)
        execution.order_refused(event.key, error)
    elif isinstance(event, TaskCancelling):
        execution.cancel()
    elif isinstance(event, TaskWanted):
        execution.give_place()


def _failed(
    error: BaseException, task: host_pb2.Task, what: str, execution: Execution
) -> _End:
    """A task's error."""
    error = execution.failure or error
    if isinstance(error, NonDeterminismError):
        log.error(
            "%s of run %s stands still until code that fits is here (code that looks at the time "
            "or at chance needs ctx.step.now, random and uuid): %s",
            what,
            task.run_id,
            error,
        )
        return _End(host_pb2.Mismatch(message=text_of(error)))
    if not _is_obedience(error, execution):
        warn_of(error, f"{what} of run {task.run_id} failed")
    passing = all(
        isinstance(part, Exception) and not isinstance(part, _LASTING) for part in parts_of(error)
    )
    is_workflow = task.kind == history_pb2.TASK_KIND_WORKFLOW
    says = whole_text_of if is_workflow else None
    return _End(error_outcome(error, what, says=says), retryable=passing and is_workflow)


def _is_obedience(error: BaseException, execution: Execution) -> bool:
    """Whether code ended so because it was told to end."""
    return execution.parked or (
        execution.cancel_shown
        and all(isinstance(part, asyncio.CancelledError) for part in parts_of(error))
    )


def _last_state(execution: Execution) -> Given:
    try:
        return execution.state.changed()
    except Exception as error:
        log.error("the last state of task %s is not kept: %s", execution.task_id, error)
        return Given("")


def _uncancel() -> None:
    """The code has seen its cancellation; what runs now is not to be cancelled again."""
    uncancel = getattr(asyncio.current_task(), "uncancel", None)  # Python 3.11
    if uncancel is not None:
        uncancel()


def _is_final(error: PolosError) -> bool:
    """Whether dialling again does not cure it."""
    if isinstance(error, ServerError):
        return error.reason == "UNIMPLEMENTED"
    return isinstance(error, (InvalidArgumentError, PermissionDeniedError))


def _named(error: PolosError, offers: Offers) -> PolosError:
    """An error that blames hello.offers.workflows[2] says which one that is."""
    found = re.match(r"hello\.offers\.(workflows|tools|agents|queues)\[(\d+)\]", error.field)
    offered = list(getattr(offers, found[1])) if found else []
    if found is None or int(found[2]) >= len(offered):
        return error
    one = offered[int(found[2])]
    name = getattr(one, "name", "") or getattr(one, "id", "")
    error.message = f"{found[1][:-1]} {name!r}: {error.message}"
    return error


def _what(task: host_pb2.Task) -> str:
    kind = "tool" if task.kind == history_pb2.TASK_KIND_TOOL else "workflow"
    if task.kind == history_pb2.TASK_KIND_CALLBACK:
        is_guardrail = task.callback.phase == definitions_pb2.CALLBACK_PHASE_REPLY
        kind = "guardrail" if is_guardrail else "hook"
    return f"{kind} {task.name!r}"


def _cancelled_from_outside() -> bool:
    """Whether somebody cancelled this asyncio task, rather than its code raising CancelledError;
    Python 3.10 cannot tell."""
    cancelling = getattr(asyncio.current_task(), "cancelling", None)
    return cancelling is not None and bool(cancelling() > 0)


def quiet(task: asyncio.Task[Any]) -> None:
    """A task that may be left behind by a loop that is thrown away, without a word about it."""
    setattr(task, "_log_destroy_pending", False)
