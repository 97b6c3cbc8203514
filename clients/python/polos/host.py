"""The host: takes tasks of the server and runs the tools and workflows of this process.

The protocol is _session.py's affair; here are the stream, the clock and the user's code. A host
dials again for as long as it lives; tasks at work go on meanwhile, and what they settled is sent
again when the server is back.
"""

from __future__ import annotations

import asyncio
import contextvars
import logging
import os
import socket
import sys
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import grpc
import grpc.aio

from ._json import dumps
from ._outcome import error_outcome, value_outcome
from ._rpc import FIRST_CONTACT_SECONDS, TOOL_CONNECT, Wire, backoff, error_from, unreachable
from ._session import (
    Event,
    Offers,
    ProtocolError,
    ServerDraining,
    Session,
    StepDurable,
    StepRefused,
    TaskDurable,
    TaskGiven,
    TaskRefused,
    TaskStopped,
    Welcomed,
)
from .context import WorkflowContext
from .errors import (
    ExecutionCancelledError,
    InvalidArgumentError,
    PermissionDeniedError,
    PolosError,
    ServerError,
    StepExecutionError,
    UnavailableError,
)
from .tool import Tool
from .v1 import tools_pb2
from .workflow import Workflow

log = logging.getLogger("polos")

Stream = grpc.aio.StreamStreamCall[tools_pb2.HostMessage, tools_pb2.ServerMessage]
Resolve = Callable[[tools_pb2.Task], Workflow | None]

ACK_DELAY_SECONDS = 0.05  # how long an acknowledgement waits for a message to ride on
HEARTBEAT_SECONDS = 5.0  # until the server says what it wants
# The task whose code is running; None outside.
current_task: contextvars.ContextVar[str | None] = contextvars.ContextVar(
    "polos_task", default=None
)


class UnknownTaskError(LookupError):
    """A task for something this host does not have."""


@dataclass
class _Running:
    """A task at work."""

    work: asyncio.Task[None] | None = None
    stopped: bool = False  # the server does not want its answer
    durable: dict[int, asyncio.Future[None]] = field(default_factory=dict)  # by step number

    def stop(self) -> None:
        self.stopped = True
        if self.work is not None:
            self.work.cancel()


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
    ) -> None:
        self._wire = wire
        self._resolve = resolve
        self._session = Session(
            host_id=f"{socket.gethostname()[:64]}-{os.getpid()}-{uuid.uuid4().hex[:12]}",
            deployment=deployment,
            slots=slots,
            offers=offers,
            user_agent=f"polos-python/0.1 python/{sys.version_info[0]}.{sys.version_info[1]} "
            f"host={socket.gethostname()}",
        )
        self._running: dict[str, _Running] = {}
        self._wake = asyncio.Event()  # there is something to send
        self._redial = asyncio.Event()  # the stream is to be dialled anew
        self._open = asyncio.Event()  # Welcome came on this stream
        self._settled = asyncio.Event()  # something stopped being held
        self._ready: asyncio.Future[None] | None = None
        self._heartbeat_seconds = HEARTBEAT_SECONDS
        self._ack_timer: asyncio.TimerHandle | None = None
        self._loop_task: asyncio.Task[None] | None = None
        self._draining = False
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
        self._ready = asyncio.get_running_loop().create_future()
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

    async def stop(self, grace_seconds: float = 0.0) -> None:
        """Takes no new tasks, lets those at work end for so long, stops the others, and leaves."""
        self._draining = True
        self._session.drain("the host is shutting down")
        self._wake.set()
        give_up_at = time.monotonic() + grace_seconds
        while self._session.held_count and (left := give_up_at - time.monotonic()) > 0:
            self._settled.clear()
            try:
                await asyncio.wait_for(self._settled.wait(), left)
            except asyncio.TimeoutError:
                break
        works = [running.work for running in self._running.values() if running.work]
        for running in list(self._running.values()):
            running.stop()
        if self._loop_task is not None:
            self._loop_task.cancel()
            works.append(self._loop_task)
        await asyncio.gather(*works, return_exceptions=True)

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
            return error_from(error, self._wire.endpoint.url)
        except asyncio.InvalidStateError:
            return UnavailableError("the stream broke before Hello was sent")
        except ProtocolError as error:
            log.error("the server broke the host protocol: %s", error)
            self._session.name = ""
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
        await call.write(self._session.hello())
        tasks = [
            asyncio.create_task(self._read(call), name="polos-host-read"),
            asyncio.create_task(self._write(call), name="polos-host-write"),
            asyncio.create_task(self._beat(), name="polos-host-beat"),
            asyncio.create_task(self._redial.wait(), name="polos-host-redial"),
        ]
        for task in tasks:
            quiet(task)
        try:
            done, _ = await asyncio.wait(
                [tasks[0], tasks[3]], return_when=asyncio.FIRST_COMPLETED
            )
        finally:
            for task in tasks:
                task.cancel()
            call.cancel()
            self._stop_ack_timer()
            await asyncio.gather(*tasks, return_exceptions=True)
        if tasks[0] in done:
            tasks[0].result()

    async def _read(self, call: Stream) -> None:
        while True:
            message = await call.read()
            if not isinstance(message, tools_pb2.ServerMessage):
                return  # the end of the stream
            for event in self._session.receive(message):
                self._handle(event)
            self._wake.set()

    async def _write(self, call: Stream) -> None:
        while True:
            await self._wake.wait()
            self._wake.clear()
            for message in self._session.take():
                try:
                    await call.write(message)
                except (grpc.aio.AioRpcError, asyncio.InvalidStateError):
                    return  # the reader learns why
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
            await asyncio.sleep(self._heartbeat_seconds)
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
        elif isinstance(event, StepDurable):
            future = self._waiter(event.task_id, event.number)
            if future is not None and not future.done():
                future.set_result(None)
        elif isinstance(event, StepRefused):
            future = self._waiter(event.task_id, event.number)
            if future is not None and not future.done():
                future.set_exception(StepExecutionError(event.message, error_type=event.reason))
        elif isinstance(event, TaskRefused):
            self._answer_refused(event)
        elif isinstance(event, TaskDurable):
            self._settled.set()
        elif isinstance(event, ServerDraining):
            log.info("polosd is going away: %s", event.cause)

    def _waiter(self, task_id: str, number: int) -> asyncio.Future[None] | None:
        running = self._running.get(task_id)
        return None if running is None else running.durable.pop(number, None)

    def _welcomed(self, event: Welcomed) -> None:
        self._wire.contacted = True
        self._open.set()
        if event.heartbeat_seconds > 0:
            self._heartbeat_seconds = event.heartbeat_seconds
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

    def _begin(self, task: tools_pb2.Task) -> None:
        context = contextvars.copy_context()
        context.run(current_task.set, task.task_id)
        running = _Running()
        self._running[task.task_id] = running
        running.work = context.run(
            asyncio.get_running_loop().create_task, self._work(task, running)
        )
        quiet(running.work)

    async def _work(self, task: tools_pb2.Task, running: _Running) -> None:
        """Runs a task's code and reports how it ended, unless nobody wants to know."""
        try:
            outcome = await self._outcome(task, running)
        except asyncio.CancelledError as error:
            if running.stopped or _cancelled_from_outside():
                raise
            outcome = error_outcome(error, _what(task))  # the code's own doing
        finally:
            for future in running.durable.values():
                future.cancel()
            if self._running.get(task.task_id) is running:
                del self._running[task.task_id]
        if not running.stopped:
            self._session.task_done(task.task_id, outcome)
            self._wake.set()

    async def _outcome(self, task: tools_pb2.Task, running: _Running) -> tools_pb2.TaskOutcome:
        what = _what(task)
        try:
            found = self._resolve(task)
            if found is None:
                raise UnknownTaskError(f"this host does not have {what}")
            ctx = WorkflowContext(
                task,
                deployment_id=self._session.deployment,
                settle=lambda key, outcome: self._settle(task.task_id, running, key, outcome),
                workflow_type="tool" if isinstance(found, Tool) else "workflow",
            )
            value = await found._execute(ctx, task.input_json)
            return value_outcome(dumps(value), what)
        except (Exception, SystemExit) as error:
            return error_outcome(error, what)

    async def _settle(
        self, task_id: str, running: _Running, key: str, outcome: tools_pb2.TaskOutcome
    ) -> None:
        """Returns when the step is on the server's disk."""
        number = 0 if running.stopped else self._session.step_done(task_id, key, outcome)
        if number == 0:
            raise ExecutionCancelledError()
        future = running.durable[number] = asyncio.get_running_loop().create_future()
        self._wake.set()
        await future


def _is_final(error: PolosError) -> bool:
    """Whether dialling again does not cure it."""
    if isinstance(error, ServerError):
        return error.reason == "UNIMPLEMENTED"
    return isinstance(error, (InvalidArgumentError, PermissionDeniedError))


def _what(task: tools_pb2.Task) -> str:
    kind = "tool" if task.kind == tools_pb2.TASK_KIND_TOOL else "workflow"
    return f"{kind} {task.name!r}"


def _cancelled_from_outside() -> bool:
    """Whether somebody cancelled this asyncio task, rather than its code raising CancelledError."""
    task = asyncio.current_task()
    cancelling = getattr(task, "cancelling", None)  # Python 3.11
    return True if cancelling is None else bool(cancelling() > 0)


def quiet(task: asyncio.Task[Any]) -> None:
    """A task that may be left behind by a loop that is thrown away, without a word about it."""
    setattr(task, "_log_destroy_pending", False)
