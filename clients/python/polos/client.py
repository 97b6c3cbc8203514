"""PolosClient: which server, and what can be asked of it."""

from __future__ import annotations

import asyncio
import os
import socket
import time
import uuid
import weakref
from collections.abc import AsyncGenerator, Iterable
from contextlib import aclosing
from datetime import datetime
from typing import Any

from pydantic import BaseModel
from typing_extensions import Self

from . import _registry
from ._codec.text import dumps_argument
from ._codec.times import timestamp
from ._codec.values import Given, given, result_of
from ._connection import Connection
from ._execution.children import batch_input
from ._execution.starts import AgentRunConfig, StartOptions, agent_input, options_json
from ._facts import data_of, type_of
from ._replay.ready import current_task
from ._run_models import (
    agent_record,
    agent_result,
    ended,
    iso,
    kind_of,
    output_schema_name,
    parsed,
    raise_unless_completed,
    resume_result_of,
    run_record,
    status_of,
    suspension_of,
)
from ._seen import SeenSuspensions
from ._startable import AnsweringAgent, Startable
from ._wire import forks
from ._wire.endpoint import Endpoint
from ._wire.methods import (
    AGENT_LIST,
    AGENT_START,
    QUEUE_PUT,
    RESUME,
    RUN_CANCEL,
    RUN_DELETE,
    RUN_SEND,
    RUN_FORK,
    RUN_GET,
    RUN_HISTORY,
    RUN_LIST,
    RUN_RETRY,
    SUSPENSION_GET,
    SUSPENSION_LIST,
    TOOL_START,
    WORKFLOW_START,
)
from ._wire.streams import follow, wait_until_ended
from .errors import (
    ConflictError,
    InvalidArgumentError,
    NotFoundError,
    PermissionDeniedError,
    PolosError,
    WorkflowTimeoutError,
)
from .handle import ExecutionHandle
from .history import History
from .types import (
    AgentInfo,
    AgentResult,
    BatchWorkflowInput,
    Execution,
    HistoryEvent,
    ResumeResult,
    Suspension,
)
from .v1 import (
    agents_pb2,
    common_pb2,
    history_pb2,
    queues_pb2,
    runs_pb2,
    start_pb2,
    suspend_pb2,
    tools_pb2,
    workflows_pb2,
)

DEFAULT_URL = "http://localhost:8080"
DEFAULT_SLOTS = 100
WORKFLOW = common_pb2.RUN_KIND_WORKFLOW
_STOPS_CLOCK = frozenset(
    {
        common_pb2.Waiting.KIND_SLEEP,
        common_pb2.Waiting.KIND_SUSPENSION,
        common_pb2.Waiting.KIND_EVENT,
        common_pb2.Waiting.KIND_CHILDREN,
    }
)
GRACE_SECONDS = 5.0  # beyond a run's timeout, for the server to say so itself


class PolosClient:
    """A server's address and the credentials for it; connects when it is first used.

    May be used from several event loops; each gets a connection of its own, which ends with its
    loop or by close().

    Args:
        api_url: where polosd listens. Default: $POLOS_API_URL, else http://localhost:8080.
        api_key: default: $POLOS_API_KEY; may be empty.
        project_id: default: $POLOS_PROJECT_ID; may be empty.
        deployment_id: the code version this process runs. Default: $POLOS_DEPLOYMENT_ID, else
            "default".
    """

    def __init__(
        self,
        api_url: str | None = None,
        api_key: str | None = None,
        project_id: str | None = None,
        deployment_id: str | None = None,
    ) -> None:
        self.api_url = api_url or os.environ.get("POLOS_API_URL") or DEFAULT_URL
        self.api_key = api_key or os.environ.get("POLOS_API_KEY") or ""
        self.project_id = project_id or os.environ.get("POLOS_PROJECT_ID") or ""
        self.deployment_id = deployment_id or os.environ.get("POLOS_DEPLOYMENT_ID") or "default"
        self.local_mode = os.environ.get("POLOS_LOCAL_MODE", "").lower() in ("1", "true", "yes")
        self.max_concurrent_workflows = _slots()
        self._endpoint = Endpoint(self.api_url)
        self._suspensions = SeenSuspensions()
        if self.local_mode and not self._endpoint.local:
            raise InvalidArgumentError(
                f"POLOS_LOCAL_MODE is for a server on this machine, not for {self.api_url}",
                field="api_url",
            )
        self._connections: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, Connection] = (
            weakref.WeakKeyDictionary()
        )

    @classmethod
    def from_env(cls) -> PolosClient:
        """A client as the environment says; the same as PolosClient()."""
        return cls()

    def __repr__(self) -> str:
        return f"<PolosClient {self.api_url}>"

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        await self.close()

    async def close(self, grace_seconds: float = 0.0) -> None:
        """Ends this loop's connection and its host, which lets tasks at work end for so long; those
        that are left go to another host."""
        connection = self._connections.pop(asyncio.get_running_loop(), None)
        if connection is not None:
            await connection.close(grace_seconds)

    @property
    def workflows(self) -> Self:
        """This client, for programs that write `client.workflows.invoke(...)`."""
        return self

    # ---- runs ----

    async def get_execution(self, execution_id: str) -> Execution:
        """A run as it stands. Raises NotFoundError when there is none."""
        return await self._run_record(await self._get_run(execution_id))

    async def _execution_as_defined(self, execution_id: str) -> Execution:
        """As get_execution(), with the result as the type this process knows it to be."""
        run = await self._get_run(execution_id)
        found = await self._run_record(run)
        task = None if run.kind == common_pb2.RUN_KIND_AGENT else _registry.find(run.name)
        if run.status == common_pb2.RUN_STATUS_COMPLETED:
            func = getattr(task, "func", None)
            found["result"] = result_of(run.result_json, run.result_type, func)
        return found

    async def _run_record(self, run: common_pb2.Run) -> Execution:
        """With what only the root of its tree and this process's definitions know."""
        found = run_record(run)
        found["output_schema_name"] = output_schema_name(_registry.find(run.name))
        if found["root_workflow_id"] is None:
            try:
                found["root_workflow_id"] = (await self._get_run(run.root_run_id)).name
            except NotFoundError:
                return found
        return found

    async def send(self, execution_id: str, text: str, *, idempotency_key: str = "") -> str:
        """Says something to an agent's run while it works; the model is told at its next turn.

        It is durable when this returns: the run goes on for it, unless a limit forbids another
        turn. Returns its id, which INPUT_ACCEPTED and INPUT_TAKEN of the history have. With a key
        it is sent once, however often it is asked. Raises ConflictError for a run that has ended
        (RUN_ENDED) or is no agent's (RUN_NOT_AGENT); NotFoundError when there is none.
        """
        request = runs_pb2.RunServiceSendRequest(
            run_id=execution_id, input=text, idempotency_key=idempotency_key
        )
        answer = await self._connection().wire.call(RUN_SEND, request)
        return answer.input_id

    async def cancel_execution(self, execution_id: str, cause: str = "") -> bool:
        """Cancels a run; False when it had ended. Raises NotFoundError when there is none."""
        request = runs_pb2.RunServiceCancelRequest(run_id=execution_id, cause=cause)
        try:
            await self._connection().wire.call(RUN_CANCEL, request)
        except ConflictError:
            return False
        return True

    async def delete_execution(self, execution_id: str) -> None:
        """Deletes a run that has ended, and all the runs below it, with their histories.

        The key it was started with stays used: a start with it raises ConflictError (RUN_DELETED).
        Raises ConflictError while it, or a run below it, has not ended (RUN_NOT_ENDED), and for a
        run below another one (RUN_NOT_ROOT); NotFoundError when there is none.
        """
        request = runs_pb2.RunServiceDeleteRequest(run_id=execution_id)
        await self._connection().wire.call(RUN_DELETE, request)

    async def history(self, execution_id: str) -> History:
        """The run's journal: a list of HistoryEvent, oldest first, with text() and json().

        Raises NotFoundError when there is no such run.
        """
        events = History()
        token = ""
        while True:
            request = runs_pb2.RunServiceHistoryRequest(
                run_id=execution_id, page_token=token, page_size=1000
            )
            page = await self._connection().wire.call(RUN_HISTORY, request)
            events += [_history_event(event) for event in page.events]
            token = page.next_page_token
            if not token:
                return events

    async def fork(self, execution_id: str, after_seq: int) -> ExecutionHandle:
        """Starts a new run that has another one's history up to an event, and goes on from there.

        The new run's steps up to there are not done again; the old run stays as it is. It is
        started once, however often it takes to reach the server.

        Args:
            execution_id: a run, ended or not.
            after_seq: HistoryEvent.seq of the last event to keep. Events that were written together
                cannot be parted; then InvalidArgumentError names the nearest event before.

        Raises ConflictError (CHILDREN_OPEN) where the run waits for children, NotFoundError.
        """
        if not 0 < after_seq < 2**32:
            raise InvalidArgumentError(
                f"after_seq is {after_seq}: it is the number of an event, from 1", field="after_seq"
            )
        request = runs_pb2.RunServiceForkRequest(
            run_id=execution_id, after_seq=after_seq, idempotency_key=str(uuid.uuid4())
        )
        run = (await self._connection().wire.call(RUN_FORK, request)).run
        return _root_handle(run.id, run.name, _shared(run))

    async def retry(self, execution_id: str) -> ExecutionHandle:
        """Starts a new run that goes on with a failed one from its last good fact.

        Settled steps and tool calls stay settled, what failed is tried again; the failed run stays
        as it is. Started once, as by fork(). Raises ConflictError (RUN_NOT_FAILED) when the run has
        not failed, NotFoundError when there is none.
        """
        request = runs_pb2.RunServiceRetryRequest(
            run_id=execution_id, idempotency_key=str(uuid.uuid4())
        )
        run = (await self._connection().wire.call(RUN_RETRY, request)).run
        return _root_handle(run.id, run.name, _shared(run))

    async def watch(self, execution_id: str) -> AsyncGenerator[HistoryEvent, None]:
        """What happens in a run, from its start to its end, as it happens; across disconnects.

        Raises NotFoundError when there is no such run.
        """
        wire = self._connection().wire
        async with aclosing(follow(wire, execution_id, deltas=False)) as all:
            async for told in all:
                if told.WhichOneof("event") == "fact":
                    yield _history_event(told.fact)

    async def watch_tree(self, execution_id: str) -> AsyncGenerator[tuple[str, HistoryEvent], None]:
        """What happens in a root and in all runs below it, in the order in which it was committed,
        with the id of its run; until nothing of the tree is left at work, across disconnects.

        Raises ConflictError (RUN_NOT_ROOT) for a run below another one, NotFoundError when there is
        none.
        """
        wire = self._connection().wire
        async with aclosing(follow(wire, execution_id, deltas=False, tree=True)) as all:
            async for told in all:
                if told.WhichOneof("event") == "fact":
                    yield told.run_id or execution_id, _history_event(told.fact)

    async def list_agents(self, limit: int = 100) -> list[AgentInfo]:
        """The agents that the server knows, by their ids, with their model and their tools."""
        request = agents_pb2.AgentServiceListRequest()
        wire = self._connection().wire
        return [agent_record(a) for a in await wire.rows(AGENT_LIST, request, _agents_of, limit)]

    async def list_executions(
        self,
        workflow_id: str = "",
        limit: int = 50,
        deployment_id: str = "",
        *,
        kind: str = "",
        status: str = "",
        parent_execution_id: str = "",
        root_execution_id: str = "",
        only_roots: bool = False,
        schedule_id: str = "",
        session_id: str = "",
        user_id: str = "",
        conversation_id: str = "",
        created_after: datetime | None = None,
        created_before: datetime | None = None,
    ) -> list[Execution]:
        """Runs, newest first, without payload, steps and result; of each argument: empty, any.

        Args:
            workflow_id: only runs of this workflow, agent or tool.
            deployment_id: only runs that stay with this deployment.
            kind: "workflow", "agent" or "tool".
            status: "running", "waiting", "completed", "failed", "cancelled" or "unreadable".
            parent_execution_id: only runs that this one started.
            root_execution_id: only runs of the tree of this root, itself too.
            only_roots: only runs that no other run started.
            schedule_id: only runs that this schedule started: its workflow or agent, "/", its key.
            session_id, user_id, conversation_id: only runs with these.
            created_after, created_before: only runs started then or later, or before.
        """
        request = runs_pb2.RunServiceListRequest(
            filter=runs_pb2.RunFilter(
                name=workflow_id,
                deployment=deployment_id,
                kind=kind_of(kind),
                statuses=[status_of(status)] if status else [],
                parent_run_id=parent_execution_id,
                root_run_id=root_execution_id,
                only_roots=only_roots,
                schedule_id=schedule_id,
                session_id=session_id,
                user_id=user_id,
                conversation_id=conversation_id,
                created_after=timestamp(created_after),
                created_before=timestamp(created_before),
            )
        )
        wire = self._connection().wire
        return [run_record(r) for r in await wire.rows(RUN_LIST, request, lambda p: p.runs, limit)]

    async def invoke(
        self,
        workflow_id: str,
        payload: Any = None,
        queue_name: str | None = None,
        queue_concurrency_limit: int | None = None,
        concurrency_key: str | None = None,
        session_id: str | None = None,
        user_id: str | None = None,
        initial_state: BaseModel | dict[str, Any] | None = None,
        run_timeout_seconds: float | None = None,
        max_retries: int | None = None,
        priority: int | None = None,
        *,
        idempotency_key: str | None = None,
    ) -> ExecutionHandle:
        """Starts a run of a workflow by its id, wherever it is hosted, and returns its handle.

        `queue_concurrency_limit` changes the queue's limit for each concurrency key first; its
        other limits are taken away. The rest as Workflow.run().
        """
        agent = _registry.agents.get(workflow_id)
        if agent is not None and _registry.workflows.get(workflow_id) is None:
            config = AgentRunConfig(
                agent,
                payload,
                session_id,
                user_id,
                run_timeout_seconds=run_timeout_seconds,
                queue=queue_name,
                concurrency_key=concurrency_key,
                priority=priority,
                idempotency_key=idempotency_key,
            )
            return await self._start_agent(config)
        if queue_concurrency_limit is not None:
            await self._limit_queue(queue_name, queue_concurrency_limit)
        told = _given(workflow_id, payload)
        options = StartOptions(
            session_id=session_id,
            user_id=user_id,
            timeout=run_timeout_seconds,
            initial_state=initial_state,
            max_retries=max_retries,
            queue=queue_name,
            concurrency_key=concurrency_key,
            priority=priority,
            idempotency_key=idempotency_key,
        )
        return await self._start(workflow_id, told, WORKFLOW, _started_once(options), None)

    async def _limit_queue(self, name: str | None, limit: int) -> None:
        if name is None or limit < 1:
            raise InvalidArgumentError(
                f"queue_concurrency_limit is {limit}: it is 1 or more, beside a queue_name",
                field="queue_concurrency_limit",
            )
        definition = queues_pb2.QueueDefinition(name=name, per_key_limit=limit)
        request = queues_pb2.QueueServicePutRequest(queue=definition)
        await self._connection().wire.call(QUEUE_PUT, request)

    async def batch_invoke(
        self,
        workflows: list[BatchWorkflowInput],
        session_id: str | None = None,
        user_id: str | None = None,
    ) -> list[ExecutionHandle]:
        """Starts runs of workflows by their ids; their handles, in order."""
        starts = [
            self.invoke(
                each.id,
                each.payload,
                session_id=session_id,
                user_id=user_id,
                initial_state=each.initial_state,
                run_timeout_seconds=each.run_timeout_seconds,
                queue_name=each.queue,
                concurrency_key=each.concurrency_key,
                priority=each.priority,
            )
            for each in map(batch_input, workflows)
        ]
        return list(await asyncio.gather(*starts))

    # ---- suspensions ----

    async def resume(
        self,
        suspend_workflow_id: str,
        suspend_execution_id: str,
        suspend_step_key: str,
        data: Any = None,
        resumed_by: str | None = None,
    ) -> ResumeResult:
        """Answers a suspension; the run goes on.

        Where this process has seen the suspension, by a stream, list_suspensions or get_suspension,
        that one is answered and no other; else the one that the key can only mean. An answer that
        comes early is kept; one to a suspension that is over changes nothing, and the result says
        so. Raises ConflictError when the key may mean several, when nobody asks under it but under
        others, when the run has ended or is one of another workflow; NotFoundError when there is no
        such run.

        Args:
            suspend_workflow_id: the workflow of that run; empty: not compared.
            suspend_execution_id: the run that called ctx.step.suspend, or the top of its tree.
            suspend_step_key: the step's key.
            data: the answer: anything with a JSON form.
            resumed_by: who answers, for the history; default: this process and machine.
        """
        seen = self._suspensions.find(suspend_execution_id, suspend_step_key)
        request = suspend_pb2.SuspendServiceResumeRequest(
            suspension_id=seen,
            run_id="" if seen else suspend_execution_id,
            step_key="" if seen else suspend_step_key,
            data_json=dumps_argument(data, "the answer", "data"),
            answered_by=resumed_by or f"python on {socket.gethostname()}",
            workflow_id=suspend_workflow_id,
        )
        told = await self._connection().wire.call(RESUME, request)
        self._suspensions.forget(seen)
        return resume_result_of(told, request)

    async def list_suspensions(
        self, execution_id: str = "", limit: int = 50
    ) -> list[Suspension]:
        """Open suspensions, oldest first; `execution_id` empty: of all runs."""
        request = suspend_pb2.SuspendServiceListRequest(run_id=execution_id)
        wire = self._connection().wire
        found = await wire.rows(SUSPENSION_LIST, request, lambda p: p.suspensions, limit)
        for each in found:
            self._suspensions.note(each.id, each.step_key, each.run_id, each.root_run_id)
        return [suspension_of(each) for each in found]

    async def get_suspension(self, execution_id: str, step_key: str) -> Suspension:
        """The open suspension under this key, else the last one. Raises NotFoundError when there is
        none, ConflictError when several are open."""
        request = suspend_pb2.SuspendServiceGetRequest(run_id=execution_id, step_key=step_key)
        found = (await self._connection().wire.call(SUSPENSION_GET, request)).suspension
        if found.state == suspend_pb2.Suspension.STATE_OPEN:
            self._suspensions.note(found.id, found.step_key, found.run_id, found.root_run_id)
        else:
            self._suspensions.forget(found.id)
        return suspension_of(found)

    # ---- for agents, workflows and tools ----

    def _connection(self) -> Connection:
        forks.check()  # before anything of a parent's is touched
        loop = asyncio.get_running_loop()
        connection = self._connections.get(loop)
        if connection is None:
            for other in [other for other in self._connections if other.is_closed()]:
                del self._connections[other]
            connection = self._connections[loop] = Connection(
                self._endpoint, self._metadata(), self.deployment_id, self.max_concurrent_workflows
            )
        return connection

    def _metadata(self) -> list[tuple[str, str]]:
        headers = []
        if self.api_key:
            if not self.api_key.isascii() or not self.api_key.isprintable():
                raise PermissionDeniedError("the API key holds characters no key has")
            headers.append(("authorization", f"Bearer {self.api_key}"))
        if self.project_id:
            headers.append(("x-project-id", self.project_id))
        return headers

    async def _start_agent(self, config: AgentRunConfig) -> ExecutionHandle:
        """Starts a run, exactly once, however often it takes to reach the server."""
        refuse_inside_task("agent.run and agent.stream")
        agent = config.agent
        request = _agent_request(agent.id, config.input, config.options, config.kwargs)
        give_up_at = _give_up_at(config.options.timeout)
        connection = self._connection()
        await connection.ready_for_queue(request.options.queue, give_up_at)
        await connection.ready_for_agent(agent, give_up_at)
        try:
            started = await connection.wire.call(AGENT_START, request, give_up_at=give_up_at)
        except NotFoundError:  # another data directory since it was registered
            connection.forget(agent)
            await connection.ready_for_agent(agent, give_up_at)
            started = await connection.wire.call(AGENT_START, request, give_up_at=give_up_at)
        return _root_handle(started.run_id, agent.id, request.options)

    async def _start_by_name(
        self, kind: str, name: str, payload: Any, options: StartOptions
    ) -> ExecutionHandle:
        """Starts a run of what may be unknown to this process. Raises NotFoundError for an agent
        that the server does not know; workflows and tools wait for a host that offers them."""
        if kind != "agent":
            told = _given(name, payload)
            return await self._start(name, told, kind_of(kind), _started_once(options), None)
        request = _agent_request(name, payload, options, {})
        started = await self._connection().wire.call(AGENT_START, request)
        return _root_handle(started.run_id, name, request.options)

    async def _agent_result(
        self, agent: AnsweringAgent, run_id: str, timeout: float | None
    ) -> AgentResult:
        run = await self._wait(run_id, timeout)
        if run.turn_count and not run.turns:
            run = await self._get_run(run_id)
        return agent_result(agent, run, timeout)

    async def _start_task(
        self, task: Startable, payload: Given, options: StartOptions
    ) -> ExecutionHandle:
        refuse_inside_task(f"{task.kind}.run and {task.kind}.invoke")
        is_tool = task.kind == "tool"
        kind = common_pb2.RUN_KIND_TOOL if is_tool else common_pb2.RUN_KIND_WORKFLOW
        message = _started_once(options)
        give_up_at = _give_up_at(options.timeout)
        await self._connection().ready_for(task, give_up_at)
        return await self._start(task.id, payload, kind, message, give_up_at)

    async def _start(
        self,
        name: str,
        payload: Given,
        kind: common_pb2.RunKind,
        options: start_pb2.StartOptions,
        give_up_at: float | None,
    ) -> ExecutionHandle:
        connection = self._connection()
        await connection.ready_for_queue(options.queue, give_up_at)
        wire = connection.wire
        options.input_type = payload.type
        if kind == common_pb2.RUN_KIND_TOOL:
            tool = tools_pb2.ToolServiceStartRequest(
                tool_id=name, input_json=payload.json, options=options
            )
            run_id = (await wire.call(TOOL_START, tool, give_up_at=give_up_at)).run_id
        else:
            workflow = workflows_pb2.WorkflowServiceStartRequest(
                workflow_id=name, input_json=payload.json, options=options
            )
            run_id = (await wire.call(WORKFLOW_START, workflow, give_up_at=give_up_at)).run_id
        return _root_handle(run_id, name, options)

    async def _run_task(self, task: Startable, payload: Given, options: StartOptions) -> Any:
        handle = await self._start_task(task, payload, options)
        run = await self._wait(handle.id, options.timeout)
        raise_unless_completed(run, options.timeout)
        return result_of(run.result_json, run.result_type, task.func)

    async def _result_of(self, run_id: str, timeout: float | None) -> Any:
        run = await self._wait(run_id, timeout, own_clock=True)
        raise_unless_completed(run, timeout)
        return self._result_as_defined(run)

    def _result_as_defined(self, run: common_pb2.Run) -> Any:
        """An ended run's result, as the type this process knows it to be."""
        if run.kind == common_pb2.RUN_KIND_AGENT:
            agent = _registry.agents.get(run.name)
            return agent_result(agent, run, None).result
        task = _registry.find(run.name)
        func = getattr(task, "func", None)
        return result_of(run.result_json, run.result_type, func)

    async def _get_run(self, run_id: str) -> common_pb2.Run:
        request = runs_pb2.RunServiceGetRequest(run_id=run_id)
        return (await self._connection().wire.call(RUN_GET, request)).run

    async def _wait(
        self, run_id: str, timeout: float | None, *, own_clock: bool = False
    ) -> common_pb2.Run:
        """The ended run; WorkflowTimeoutError when the server does not end it in time either.

        `own_clock`: the timeout is this call's; otherwise it is the run's, whose clock stops while
        the run waits for a time, an answer, an event or a child.
        """
        wire = self._connection().wire
        patience = None if timeout is None else timeout + (0 if own_clock else GRACE_SECONDS)
        while True:
            try:
                return await asyncio.wait_for(wait_until_ended(wire, run_id), patience)
            except asyncio.TimeoutError:
                told = await self._look(run_id)
            if isinstance(told, PolosError):
                raise WorkflowTimeoutError(run_id, timeout, told.message)
            if own_clock or not any(wait.kind in _STOPS_CLOCK for wait in told.waiting):
                waits = "" if ended(told) else "; ".join(w.message for w in told.waiting)
                raise WorkflowTimeoutError(run_id, timeout, waits)

    async def _look(self, run_id: str) -> common_pb2.Run | PolosError:
        request = runs_pb2.RunServiceGetRequest(run_id=run_id)
        soon = time.monotonic() + 1.0
        try:
            return (await self._connection().wire.call(RUN_GET, request, give_up_at=soon)).run
        except PolosError as error:
            return error


def refuse_inside_task(what: str) -> None:
    """Runs started from inside a task would start again when the task is repeated."""
    if current_task.get() is not None:
        raise RuntimeError(
            f"{what} cannot be called inside a tool or workflow: the call would be made again "
            "whenever the code runs again. Use ctx.step.invoke_and_wait or "
            "ctx.step.agent_invoke_and_wait"
        )


def _agents_of(page: agents_pb2.AgentServiceListResponse) -> Iterable[agents_pb2.Agent]:
    return page.agents


def _agent_request(
    agent_id: str, input: Any, options: StartOptions, provider_options: dict[str, Any]
) -> agents_pb2.AgentServiceStartRequest:
    request = agents_pb2.AgentServiceStartRequest(
        agent_id=agent_id, options=_started_once(options), **agent_input(input)
    )
    request.options.provider_options_json = options_json(provider_options)
    return request


def _given(name: str, payload: Any) -> Given:
    """For what may be defined here."""
    task = _registry.find(name)
    if task is not None and task.kind != "agent":
        found: Given = task._given(payload)
        return found
    return given(payload, "the payload", "payload", known=False)


def _started_once(options: StartOptions) -> start_pb2.StartOptions:
    """With a key under which the server starts one run, however often it is asked."""
    message = options.message()
    message.idempotency_key = message.idempotency_key or str(uuid.uuid4())
    return message


def _root_handle(
    run_id: str, name: str, options: start_pb2.StartOptions
) -> ExecutionHandle:
    """Of a run that was started just now."""
    return ExecutionHandle(
        id=run_id,
        workflow_id=name,
        created_at=iso(time.time_ns() // 1_000_000),
        root_workflow_id=name,
        root_execution_id=run_id,
        session_id=options.session_id or None,
        user_id=options.user_id or None,
    )


async def batch_invoke(
    client: PolosClient,
    workflows: list[BatchWorkflowInput],
    session_id: str | None = None,
    user_id: str | None = None,
) -> list[ExecutionHandle]:
    """As client.batch_invoke()."""
    return await client.batch_invoke(workflows, session_id, user_id)


async def batch_agent_invoke(
    client: PolosClient, agents: list[AgentRunConfig]
) -> list[ExecutionHandle]:
    """Starts runs of agents (`agent.with_input(...)`); their handles, in order."""
    return [await client._start_agent(config) for config in agents]


def _give_up_at(timeout: float | None) -> float | None:
    return None if timeout is None else time.monotonic() + timeout


def _slots() -> int:
    text = os.environ.get("POLOS_MAX_CONCURRENT_WORKFLOWS", "")
    if not text:
        return DEFAULT_SLOTS
    if not text.isdigit() or not 1 <= int(text) <= 10_000:
        raise InvalidArgumentError(
            f"POLOS_MAX_CONCURRENT_WORKFLOWS is {text!r}: it is a number from 1 to 10000",
            field="max_concurrent_workflows",
        )
    return int(text)


def _shared(run: common_pb2.Run) -> start_pb2.StartOptions:
    """What a copy of a run has of it."""
    return start_pb2.StartOptions(session_id=run.session_id, user_id=run.user_id)


def _history_event(event: history_pb2.HistoryEvent) -> HistoryEvent:
    return HistoryEvent(
        seq=event.seq,
        time_ms=event.time.ToMilliseconds(),
        type=type_of(event),
        effect_id=event.effect_id,
        attempt=event.attempt,
        data=data_of(event),
    )
