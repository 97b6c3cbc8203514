"""A SIMULATED server: the host protocol and a canned Watch, for tests of the protocol alone.

It keeps the rules of protos/polos/v1/host.proto (numbers, acknowledgements, resume, epochs) and
lets a test cut streams, forget sessions and hold acknowledgements back. It has no journal and no
agent loop: what depends on those is tested against the real polosd.
"""

from __future__ import annotations

import asyncio
import json
import uuid
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

import grpc
import grpc.aio
from google.protobuf import any_pb2, duration_pb2
from google.rpc import error_details_pb2, status_pb2

from polos.v1 import (
    agents_pb2,
    agents_pb2_grpc,
    common_pb2,
    definitions_pb2,
    history_pb2,
    host_pb2,
    runs_pb2,
    runs_pb2_grpc,
    steps_pb2,
    tools_pb2_grpc,
)

KINDS = {
    "step": steps_pb2.STEP_KIND_CODE,
    "sleep": steps_pb2.STEP_KIND_SLEEP,
    "suspend": steps_pb2.STEP_KIND_SUSPENSION,
    "event": steps_pb2.STEP_KIND_EVENT,
    "invoke": steps_pb2.STEP_KIND_CHILDREN,
    "order": steps_pb2.STEP_KIND_AT_ONCE,
}
CUT = "cut"  # in a watch script: the stream breaks here


@dataclass
class FakeSession:
    """The server's side of one host session."""

    name: str
    hello: host_pb2.Hello
    outgoing: asyncio.Queue[host_pb2.ToolServiceConnectResponse | None]
    sent: list[tuple[int, host_pb2.ServerMessage]] = field(default_factory=list)  # unacknowledged
    sent_seq: int = 0
    dealt: int = 0
    connected: bool = True
    left: bool = False  # the host has closed its side of the stream


class FakeServer(
    tools_pb2_grpc.ToolServiceServicer,
    agents_pb2_grpc.AgentServiceServicer,
    runs_pb2_grpc.RunServiceServicer,
):
    """Order: start(); what the test wants; stop()."""

    def __init__(self, *, lease_ms: int = 15000, heartbeat_ms: int = 5000) -> None:
        self.lease_ms = lease_ms
        self.heartbeat_ms = heartbeat_ms
        self.sessions: dict[str, FakeSession] = {}
        self.hellos: list[host_pb2.Hello] = []
        self.heard: list[host_pb2.HostMessage] = []  # numbered messages, dealt with once
        self.repeated = 0  # numbered messages that came again
        self.envelopes = 0
        self.heartbeats = 0  # envelopes without messages
        self.hold_acks = False
        self.lost: list[host_pb2.HeldTask] = []  # told in the next Welcome
        self.registered: dict[str, definitions_pb2.AgentDefinition] = {}
        self.starts: list[agents_pb2.AgentServiceStartRequest] = []
        self.start_errors: list[grpc.StatusCode] = []  # answered before a start succeeds
        self.watch_script: list[runs_pb2.RunServiceWatchResponse | str] = []
        self.watches: list[str] = []  # position of each Watch
        self.runs: dict[str, common_pb2.Run] = {}
        self.copied: list[str] = []  # keys of calls that fork or retry
        self._changed = asyncio.Condition()
        self._server: grpc.aio.Server | None = None
        self.port = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    async def start(self, port: int = 0) -> None:
        self._server = grpc.aio.server(options=[("grpc.so_reuseport", 0)])
        tools_pb2_grpc.add_ToolServiceServicer_to_server(self, self._server)
        agents_pb2_grpc.add_AgentServiceServicer_to_server(self, self._server)
        runs_pb2_grpc.add_RunServiceServicer_to_server(self, self._server)
        self.port = self._server.add_insecure_port(f"127.0.0.1:{port}")
        await self._server.start()

    async def stop(self) -> None:
        assert self._server is not None
        await self._server.stop(0)

    async def restart(self) -> None:
        """All connections break; no session is remembered."""
        port = self.port
        await self.stop()
        self.sessions.clear()
        await self.start(port)

    async def until(self, condition: Any, seconds: float = 5.0) -> None:
        """Waits for condition(), which is looked at again after everything that happens."""
        async with self._changed:
            await asyncio.wait_for(self._changed.wait_for(condition), seconds)

    async def _note(self) -> None:
        async with self._changed:
            self._changed.notify_all()

    # ---- ToolService ----

    async def Connect(  # noqa: N802 (gRPC's name)
        self, requests: AsyncIterator[host_pb2.ToolServiceConnectRequest], context: Any
    ) -> AsyncIterator[host_pb2.ToolServiceConnectResponse]:
        first = await anext(requests)
        session, welcome = self._welcome(first)
        if welcome.welcome.resumed and session.sent:
            welcome.first_seq = session.sent[0][0]
            welcome.messages.extend(message for _, message in session.sent)
        yield welcome
        await self._note()
        reader = asyncio.create_task(self._read(session, requests))
        try:
            while (message := await session.outgoing.get()) is not None:
                message.ack = session.dealt
                yield message
            if not session.left:
                await context.abort(grpc.StatusCode.UNAVAILABLE, "cut by the test")
        finally:
            session.connected = False
            reader.cancel()
            await self._note()

    def _welcome(
        self, envelope: host_pb2.ToolServiceConnectRequest
    ) -> tuple[FakeSession, host_pb2.ToolServiceConnectResponse]:
        hello = envelope.hello
        assert hello.protocol == 1
        self.hellos.append(hello)
        session = self.sessions.get(hello.host_token)
        resumed = session is not None
        if session is None:
            session = FakeSession(f"session-{uuid.uuid4()}", hello, asyncio.Queue())
            self.sessions[session.name] = session
        else:
            session.outgoing = asyncio.Queue()
            session.connected = True
            session.sent = [m for m in session.sent if m[0] > envelope.ack]
        lost, self.lost = self.lost, []
        return session, host_pb2.ToolServiceConnectResponse(
            ack=session.dealt,
            welcome=host_pb2.Welcome(
                protocol=1,
                host_token=session.name,
                resumed=resumed,
                lease=_length(self.lease_ms),
                heartbeat=_length(self.heartbeat_ms),
                lost=lost,
                server_version="fake/0",
            ),
        )

    async def _read(
        self, session: FakeSession, requests: AsyncIterator[host_pb2.ToolServiceConnectRequest]
    ) -> None:
        outgoing = session.outgoing
        async for envelope in requests:
            session.sent = [m for m in session.sent if m[0] > envelope.ack]
            self.envelopes += 1
            if not envelope.messages:
                self.heartbeats += 1
            for seq, message in enumerate(envelope.messages, envelope.first_seq):
                self._deal(session, seq, message)
            await self._note()
        session.left = True
        outgoing.put_nowait(None)

    def _deal(self, session: FakeSession, seq: int, message: host_pb2.HostMessage) -> None:
        if seq <= session.dealt:
            self.repeated += 1
        else:
            assert seq == session.dealt + 1, "the host left a gap"
            session.dealt = seq
            self.heard.append(message)
        if not self.hold_acks:
            session.outgoing.put_nowait(host_pb2.ToolServiceConnectResponse())

    @property
    def session(self) -> FakeSession:
        """The one that is connected."""
        return next(s for s in self.sessions.values() if s.connected)

    def send(self, message: host_pb2.ServerMessage) -> None:
        """Numbers a message and sends it."""
        session = self.session
        session.sent_seq += 1
        session.sent.append((session.sent_seq, message))
        session.outgoing.put_nowait(
            host_pb2.ToolServiceConnectResponse(first_seq=session.sent_seq, messages=[message])
        )

    def give(self, name: str, value: Any = None, **fields: Any) -> str:
        """Gives a tool task; its id."""
        task_id = fields.pop("task_id", None) or f"{uuid.uuid4()}.1"
        task = host_pb2.Task(
            task_id=task_id,
            epoch=fields.pop("epoch", 1),
            kind=fields.pop("kind", history_pb2.TASK_KIND_TOOL),
            name=name,
            input_json=fields.pop("input_json", json.dumps(value)),
            run_id=task_id.split(".")[0],
            **fields,
        )
        self.send(host_pb2.ServerMessage(task=task))
        return task_id

    def orders(self, task_id: str) -> list[steps_pb2.StepRequest]:
        """What a task has asked for, as often as it was heard."""
        found = [m.step_request for m in self.heard if m.HasField("step_request")]
        return [order for order in found if order.task_id == task_id]

    async def order(self, task_id: str, key: str) -> steps_pb2.StepRequest:
        await self.until(lambda: any(o.key == key for o in self.orders(task_id)))
        return next(o for o in self.orders(task_id) if o.key == key)

    def settle(self, task_id: str, key: str, value: Any = None, *, error: str = "") -> None:
        """Answers a step request."""
        step = settled_step(key, value, kind="sleep", error=error)
        result = steps_pb2.StepResult(task_id=task_id, step=step)
        self.send(host_pb2.ServerMessage(step_result=result))

    def interrupt(self, task_id: str, epoch: int = 1) -> None:
        cancel = host_pb2.CancelTask(task_id=task_id, epoch=epoch)
        self.send(host_pb2.ServerMessage(cancel_task=cancel))

    def stop_task(self, task_id: str, epoch: int = 1) -> None:
        reason = host_pb2.StopTask.REASON_RUN_ENDED
        stop = host_pb2.StopTask(task_id=task_id, epoch=epoch, reason=reason)
        self.send(host_pb2.ServerMessage(stop_task=stop))

    def said(self, kind: str, task_id: str = "") -> list[Any]:
        """The numbered messages of a kind, of a task."""
        found = [getattr(m, kind) for m in self.heard if m.WhichOneof("message") == kind]
        return [m for m in found if not task_id or m.task_id == task_id]

    def cut(self) -> None:
        """Breaks the stream; the session is remembered."""
        self.session.outgoing.put_nowait(None)

    def release_acks(self) -> None:
        self.hold_acks = False
        self.session.outgoing.put_nowait(host_pb2.ToolServiceConnectResponse())

    def ended(self, task_id: str) -> host_pb2.TaskDone | None:
        """What was said last of a task, as far as was heard."""
        return next(iter(self.said("task_done", task_id)), None)

    def done(self, task_id: str) -> steps_pb2.TaskOutcome | None:
        """How a task ended, as far as was heard."""
        ended = self.ended(task_id)
        return None if ended is None else ended.outcome

    async def mismatch(self, task_id: str) -> str:
        """Why the code of a task does not fit its history."""
        await self.until(lambda: self.ended(task_id) is not None)
        ended = self.ended(task_id)
        assert ended is not None and ended.WhichOneof("result") == "mismatch"
        return str(ended.mismatch.message)

    async def outcome(self, task_id: str) -> steps_pb2.TaskOutcome:
        await self.until(lambda: self.done(task_id) is not None)
        found = self.done(task_id)
        assert found is not None
        return found

    # ---- AgentService ----

    async def Register(self, request: Any, context: Any) -> Any:  # noqa: N802
        self.registered[request.agent.id] = request.agent
        return agents_pb2.AgentServiceRegisterResponse(definition_hash="00")

    async def Start(self, request: Any, context: Any) -> Any:  # noqa: N802
        self.starts.append(request)
        if self.start_errors:
            await context.abort(self.start_errors.pop(0), "not now")
        if request.agent_id not in self.registered:
            await refuse(context, grpc.StatusCode.NOT_FOUND, "AGENT_NOT_FOUND", "agent_id")
        return agents_pb2.AgentServiceStartResponse(run_id="run-1")

    # ---- RunService ----

    async def Watch(self, request: Any, context: Any) -> Any:  # noqa: N802
        """Plays watch_script from the position on; positions are indexes."""
        self.watches.append(request.position)
        at = int(request.position or 0)
        while at < len(self.watch_script):
            item = self.watch_script[at]
            at += 1
            if isinstance(item, str):
                self.watch_script[at - 1] = runs_pb2.RunServiceWatchResponse(caught_up=True)
                await context.abort(grpc.StatusCode.UNAVAILABLE, "cut by the test")
                return
            item.position = str(at)
            if request.deltas or item.WhichOneof("event") != "delta":
                yield item

    async def Get(self, request: Any, context: Any) -> Any:  # noqa: N802
        if request.run_id not in self.runs:
            await refuse(context, grpc.StatusCode.NOT_FOUND, "RUN_NOT_FOUND", "run_id")
        return runs_pb2.RunServiceGetResponse(run=self.runs[request.run_id])

    async def Wait(self, request: Any, context: Any) -> Any:  # noqa: N802
        """The run that watch_script ends with; a text before it breaks the call once."""
        for at, item in enumerate(self.watch_script):
            if isinstance(item, str):
                self.watch_script[at] = runs_pb2.RunServiceWatchResponse(caught_up=True)
                await context.abort(grpc.StatusCode.UNAVAILABLE, "cut by the test")
            if item.WhichOneof("event") == "ended":
                return runs_pb2.RunServiceWaitResponse(run=item.ended)
        await refuse(context, grpc.StatusCode.NOT_FOUND, "RUN_NOT_FOUND", "run_id")

    async def Fork(self, request: Any, context: Any) -> Any:  # noqa: N802
        """Starts a run, once for each key, and breaks the first time."""
        self.copied.append(request.idempotency_key)
        if self.copied.count(request.idempotency_key) == 1:
            await context.abort(grpc.StatusCode.UNAVAILABLE, "cut by the test")
        return runs_pb2.RunServiceForkResponse(run=self.runs[request.run_id], existed=True)

    async def Retry(self, request: Any, context: Any) -> Any:  # noqa: N802
        told = await self.Fork(request, context)
        return runs_pb2.RunServiceRetryResponse(run=told.run, existed=told.existed)


def outcome_of(value: Any = None, *, error: str = "") -> steps_pb2.TaskOutcome:
    if error:
        told = steps_pb2.TaskError(type=error, message=f"{error} happened")
        return steps_pb2.TaskOutcome(error=told)
    return steps_pb2.TaskOutcome(value_json=json.dumps(value))


def settled_step(
    key: str, value: Any = None, *, kind: str = "step", error: str = ""
) -> steps_pb2.SettledStep:
    return steps_pb2.SettledStep(
        key=key, outcome=outcome_of(value, error=error), kind=KINDS[kind]
    )


def _length(ms: int) -> duration_pb2.Duration:
    length = duration_pb2.Duration()
    length.FromMilliseconds(ms)
    return length


async def refuse(context: Any, code: grpc.StatusCode, reason: str, field_name: str) -> None:
    """Aborts with details as polosd sends them."""
    details = [any_pb2.Any(), any_pb2.Any()]
    details[0].Pack(error_details_pb2.ErrorInfo(reason=reason, domain="polos"))
    violation = error_details_pb2.BadRequest.FieldViolation(field=field_name, description="no")
    details[1].Pack(error_details_pb2.BadRequest(field_violations=[violation]))
    status = status_pb2.Status(code=code.value[0], message="it is not there", details=details)
    context.set_trailing_metadata((("grpc-status-details-bin", status.SerializeToString()),))
    await context.abort(code, "it is not there")
