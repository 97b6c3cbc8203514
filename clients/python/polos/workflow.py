"""Workflows: durable functions that run in this process."""

from __future__ import annotations

import inspect
import json
import logging
from collections.abc import Callable, Coroutine
from typing import Any, Generic, Protocol, overload

from pydantic import BaseModel, TypeAdapter, ValidationError
from typing_extensions import TypeVar

from . import _registry, sync
from ._checks import check_client, checked_id, spelling_checked
from ._codec import times
from ._codec.names import UnknownClassError
from ._codec.text import dumps_shown, sentences
from ._codec.values import Given, given, taken
from ._execution import pool
from ._execution.starts import StartOptions
from ._fields import with_fields
from ._signatures import Parameters
from ._starter import Starter
from .context import WorkflowContext
from .errors import NonDeterminismError
from .event import event_fields
from .handle import ExecutionHandle
from .hook import BodyHooks
from .queue import Queue, default_name, name_of
from .schedule import schedule_offer
from .v1 import definitions_pb2, schedules_pb2

log = logging.getLogger("polos")

Function = Callable[..., Any]
In = TypeVar("In", default=Any)
Out = TypeVar("Out", default=Any)


class InputError(ValueError):
    """A task's input does not fit the function; the message is for the model or the caller."""


class Workflow(Generic[In, Out]):
    """A durable function: `fn(ctx)` or `fn(ctx, payload)`, async or sync; `In` is what it takes,
    `Out` what it gives.

    When its host dies, or lets go of it because it only waits, it runs again from the top, on
    whatever host offers it; the steps it had settled (`ctx.step`) are answered from the journal.

    Attributes:
        id: its name for the server.
        description: for people.
        func: the decorated function.
        state_schema: what `ctx.state` is an instance of; None: a dict.
        on_cancel: called with the same arguments when the function ended because its run is being
            cancelled.
        trigger: the topic whose events start runs; None: none.
        schedule: when the clock starts runs; None: it does not, or the server is told otherwise.
        queue: the name of the queue its runs wait in, unless they are started into another.
    """

    kind = "workflow"

    def __init__(
        self,
        id: str,
        func: Function,
        description: str | None = None,
        *,
        state_schema: type[BaseModel] | None = None,
        on_cancel: Function | None = None,
        trigger: definitions_pb2.EventTrigger | None = None,
        schedule: schedules_pb2.ScheduleSpec | None = None,
        queue: str = "",
        on_start: Any = None,
        on_end: Any = None,
    ) -> None:
        self.id = checked_id(id, self.kind)
        self.func: Any = func
        self.state_schema = _checked_state(self.id, state_schema)
        self.on_cancel = on_cancel
        self.body_hooks = BodyHooks(self.kind, self.id, on_start, on_end)
        self.trigger = trigger
        self.schedule = schedule
        self.queue = queue
        self._on_cancel_takes_input = (
            on_cancel is not None and Parameters(on_cancel, "on_cancel").takes_input
        )
        self.description = (description or inspect.getdoc(func) or "").strip()
        self.parameters_of = Parameters(func, self.kind)
        if self.kind == Workflow.kind:
            self._register()

    def _register(self) -> None:
        before = _registry.workflows.get(self.id)
        if before is not None and before is not self and _place(before.func) != _place(self.func):
            log.warning(
                "workflow %r is defined in %s and again in %s: the later one counts",
                self.id,
                _place(before.func),
                _place(self.func),
            )
        _registry.workflows[self.id] = self

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.id}>"

    def __call__(self, *arguments: Any, **more: Any) -> Any:
        raise TypeError(
            f"{self.kind} {self.id!r} is not called but started: .run(client, payload) from "
            "outside, ctx.step.invoke_and_wait(key, ...) inside another; .func is the function"
        )

    def offer(self) -> definitions_pb2.WorkflowDefinition:
        """As hosts offer it to the server."""
        return definitions_pb2.WorkflowDefinition(
            id=self.id,
            description=self.description,
            trigger=self.trigger,
            schedule=self.schedule,
            queue=self.queue,
        )

    # ---- as a caller ----

    @overload
    async def run(
        self: Workflow[None, Out],
        client: Starter,
        payload: None = None,
        queue: str | Queue | None = None,
        concurrency_key: str | None = None,
        session_id: str | None = None,
        user_id: str | None = None,
        timeout: float | None = 600.0,
        initial_state: BaseModel | dict[str, Any] | None = None,
        max_retries: int | None = None,
        priority: int | None = None,
        *,
        idempotency_key: str | None = None,
    ) -> Out: ...

    @overload
    async def run(
        self,
        client: Starter,
        payload: In | dict[str, Any],
        queue: str | Queue | None = None,
        concurrency_key: str | None = None,
        session_id: str | None = None,
        user_id: str | None = None,
        timeout: float | None = 600.0,
        initial_state: BaseModel | dict[str, Any] | None = None,
        max_retries: int | None = None,
        priority: int | None = None,
        *,
        idempotency_key: str | None = None,
    ) -> Out: ...

    async def run(
        self,
        client: Starter,
        payload: Any = None,
        queue: str | Queue | None = None,
        concurrency_key: str | None = None,
        session_id: str | None = None,
        user_id: str | None = None,
        timeout: float | None = 600.0,
        initial_state: BaseModel | dict[str, Any] | None = None,
        max_retries: int | None = None,
        priority: int | None = None,
        *,
        idempotency_key: str | None = None,
    ) -> Out:
        """Starts a run, waits for it and returns its result, as the function's return annotation
        says, else as JSON gives it back.

        Args:
            queue: the queue it waits in, or its name; None: the workflow's own.
            concurrency_key: whose turn it is within the queue: a user, a tenant.
            timeout: seconds the run may take, waits not counted; None: the server's own limit.
            initial_state: what `ctx.state` begins with.
            max_retries: how often a workflow that raises is tried again, after a pause, with its
                settled steps; None: twice.
            priority: within its key, higher ones go first; None: 0.
            idempotency_key: 1 to 200 bytes. For 24 hours, the same key finds the run it started
                first; None: every call starts one.

        Raises: RunFailedError, RunCancelledError, WorkflowTimeoutError, UnavailableError,
            InvalidArgumentError.
        """
        check_client(client, f"{self.kind}.run")
        found: Out = await client._run_task(
            self,
            self._given(payload),
            StartOptions(
                session_id=session_id,
                user_id=user_id,
                timeout=timeout,
                initial_state=initial_state,
                max_retries=max_retries,
                queue=queue,
                concurrency_key=concurrency_key,
                priority=priority,
                idempotency_key=idempotency_key,
            ),
        )
        return found

    @overload
    def run_sync(
        self: Workflow[None, Out], client: Starter, payload: None = None, **options: Any
    ) -> Out: ...

    @overload
    def run_sync(
        self, client: Starter, payload: In | dict[str, Any], **options: Any
    ) -> Out: ...

    def run_sync(self, client: Starter, payload: Any = None, **options: Any) -> Out:
        """As run(), for code without an event loop: waits in a thread of its own. Also works where
        a loop runs, as in a notebook; not inside a tool or workflow."""
        return sync.run(lambda: self.run(client, payload, **options))

    @overload
    async def invoke(
        self: Workflow[None, Out],
        client: Starter,
        payload: None = None,
        queue: str | Queue | None = None,
        concurrency_key: str | None = None,
        session_id: str | None = None,
        user_id: str | None = None,
        initial_state: BaseModel | dict[str, Any] | None = None,
        run_timeout_seconds: int | None = None,
        max_retries: int | None = None,
        priority: int | None = None,
        *,
        idempotency_key: str | None = None,
    ) -> ExecutionHandle: ...

    @overload
    async def invoke(
        self,
        client: Starter,
        payload: In | dict[str, Any],
        queue: str | Queue | None = None,
        concurrency_key: str | None = None,
        session_id: str | None = None,
        user_id: str | None = None,
        initial_state: BaseModel | dict[str, Any] | None = None,
        run_timeout_seconds: int | None = None,
        max_retries: int | None = None,
        priority: int | None = None,
        *,
        idempotency_key: str | None = None,
    ) -> ExecutionHandle: ...

    async def invoke(
        self,
        client: Starter,
        payload: Any = None,
        queue: str | Queue | None = None,
        concurrency_key: str | None = None,
        session_id: str | None = None,
        user_id: str | None = None,
        initial_state: BaseModel | dict[str, Any] | None = None,
        run_timeout_seconds: int | None = None,
        max_retries: int | None = None,
        priority: int | None = None,
        *,
        idempotency_key: str | None = None,
    ) -> ExecutionHandle:
        """Starts a run and returns its handle at once; arguments and errors as run()."""
        check_client(client, f"{self.kind}.invoke")
        return await client._start_task(
            self,
            self._given(payload),
            StartOptions(
                session_id=session_id,
                user_id=user_id,
                timeout=run_timeout_seconds,
                initial_state=initial_state,
                max_retries=max_retries,
                queue=queue,
                concurrency_key=concurrency_key,
                priority=priority,
                idempotency_key=idempotency_key,
            ),
        )

    def _given(self, payload: In | dict[str, Any]) -> Given:
        what = f"the payload of {self.kind} {self.id!r}"
        return given(payload, what, "payload", self.parameters_of.adapter)

    # ---- as a host ----

    async def _execute(self, ctx: WorkflowContext, given: Given) -> Out:
        """Runs the function on a task's input; what it raises is the task's error."""
        arguments = self._arguments(given)
        hooks = self.body_hooks
        payload = self._parsed(given.json) if hooks else None
        if hooks.on_start:
            payload, is_changed = await hooks.start(ctx, payload)
            if is_changed:
                arguments = self._arguments(Given(dumps_shown(payload)))
        found: Out = await _called(self.func, ctx, *arguments)
        if hooks.on_end:
            found = await hooks.end(ctx, payload, found)
        return found

    async def _cancelled(self, ctx: WorkflowContext, given: Given) -> None:
        """Runs on_cancel, after the function ended because of a cancellation."""
        if self.on_cancel is None:
            return
        arguments = self._arguments(given) if self._on_cancel_takes_input else []
        await _called(self.on_cancel, ctx, *arguments)

    def _arguments(self, given: Given) -> list[Any]:
        wants = self.parameters_of
        if not wants.takes_input:
            return []
        value = self._parsed(given.json)
        if wants.adapter is None:
            value = self._made(given.json, given.type, None) if given.type else value
            return [with_fields(value if self.trigger is None else event_fields(value))]
        text = "{}" if value is None and wants.model is not None else given.json or "null"
        try:
            return [self._made(text, given.type, wants.adapter)]
        except ValidationError as error:
            raise InputError(
                f"the arguments of {self.kind} {self.id!r} do not fit: {sentences(error)}"
            ) from error

    def _made(self, text: str, value_type: str, adapter: TypeAdapter[Any] | None) -> Any:
        try:
            return taken(text, value_type, adapter)
        except UnknownClassError as error:
            raise NonDeterminismError(
                f"the payload of {self.kind} {self.id!r} cannot be made again: {error}"
            ) from error

    def _parsed(self, input_json: str) -> Any:
        try:
            return json.loads(input_json or "null")
        except ValueError as error:
            raise InputError(
                f"the arguments of {self.kind} {self.id!r} are not valid JSON: {error}"
            ) from error


def _place(func: Function) -> str:
    """Where a function is defined: "orders.py:12"."""
    code = getattr(inspect.unwrap(func), "__code__", None)
    return f"{code.co_filename}:{code.co_firstlineno}" if code is not None else repr(func)


async def _called(func: Function, *arguments: Any) -> Any:
    if inspect.iscoroutinefunction(func):
        return await func(*arguments)
    value = await pool.run(func, *arguments)
    return await value if inspect.isawaitable(value) else value


def _checked_state(name: str, schema: Any) -> type[BaseModel] | None:
    if schema is None:
        return None
    if not (isinstance(schema, type) and issubclass(schema, BaseModel)):
        raise TypeError(f"the state_schema of {name!r} must be a WorkflowState class")
    required = [key for key, found in schema.model_fields.items() if found.is_required()]
    if required:
        raise TypeError(
            f"the state_schema of {name!r} needs defaults for {', '.join(required)}: a run may "
            "begin without an initial state"
        )
    return schema


def _trigger(
    topic: str | None, batch_size: int, batch_timeout_seconds: float | None
) -> definitions_pb2.EventTrigger | None:
    if topic is None:
        if batch_size != 1 or batch_timeout_seconds is not None:
            raise ValueError("batch_size and batch_timeout_seconds need trigger_on_event")
        return None
    if not isinstance(topic, str) or not 1 <= len(topic.encode()) <= 512:
        raise ValueError(f"trigger_on_event is a topic of 1 to 512 bytes, not {topic!r}")
    if batch_size < 1 or (batch_timeout_seconds is not None and not batch_timeout_seconds > 0):
        raise ValueError("batch_size is 1 or more, batch_timeout_seconds more than 0")
    return definitions_pb2.EventTrigger(
        topic=topic,
        batch_size=batch_size,
        batch_timeout=times.length(batch_timeout_seconds),
    )


class Decorator(Protocol):
    """What makes a Workflow of a function, with the types of what that takes and gives."""

    @overload
    def __call__(
        self, func: Callable[[Any, In], Coroutine[Any, Any, Out]], /
    ) -> Workflow[In, Out]: ...

    @overload
    def __call__(
        self, func: Callable[[Any], Coroutine[Any, Any, Out]], /
    ) -> Workflow[None, Out]: ...

    @overload
    def __call__(self, func: Callable[[Any, In], Out], /) -> Workflow[In, Out]: ...

    @overload
    def __call__(self, func: Callable[[Any], Out], /) -> Workflow[None, Out]: ...


@overload
def workflow(id: Callable[[Any, In], Coroutine[Any, Any, Out]], /) -> Workflow[In, Out]: ...


@overload
def workflow(id: Callable[[Any], Coroutine[Any, Any, Out]], /) -> Workflow[None, Out]: ...


@overload
def workflow(id: Callable[[Any, In], Out], /) -> Workflow[In, Out]: ...


@overload
def workflow(id: Callable[[Any], Out], /) -> Workflow[None, Out]: ...


@overload
def workflow(
    id: str | None = None,
    description: str | None = None,
    queue: str | Queue | dict[str, Any] | None = None,
    trigger_on_event: str | None = None,
    batch_size: int = 1,
    batch_timeout_seconds: float | None = None,
    schedule: bool | str | dict[str, Any] | None = None,
    on_start: Any = None,
    on_end: Any = None,
    state_schema: type[BaseModel] | None = None,
    on_cancel: Function | None = None,
) -> Decorator: ...


@spelling_checked("workflow")
def workflow(
    id: str | Function | None = None,
    description: str | None = None,
    queue: str | Queue | dict[str, Any] | None = None,
    trigger_on_event: str | None = None,
    batch_size: int = 1,
    batch_timeout_seconds: float | None = None,
    schedule: bool | str | dict[str, Any] | None = None,
    on_start: Any = None,
    on_end: Any = None,
    state_schema: type[BaseModel] | None = None,
    on_cancel: Function | None = None,
) -> Any:
    """Makes a function a Workflow: `@workflow` or `@workflow(id="...")`.

    Args:
        id: its name; default: the function's.
        description: for people; default: the docstring.
        queue: the Queue its runs wait in, its name, or {"name": ..., "concurrency_limit": 5}. A
            name alone defines a queue without limits, where there is none.
        trigger_on_event: each event of this topic starts a run; its payload is an EventPayload.
        batch_size: start a run for so many events; its payload is a BatchEventPayload.
        batch_timeout_seconds: ... or for as many as came within this time of the first.
        schedule: "30 9 * * MON-FRI", in UTC, or {"cron": ..., "timezone": "Europe/Berlin", "key":
            "global"}: the clock starts runs; the payload is a SchedulePayload. True: it may, as
            schedules.create() says. Neither a queue nor trigger_on_event may be given beside it.
            The server keeps a schedule that is no longer given here, until schedules.delete().
        state_schema: a WorkflowState class; `ctx.state` is one of it.
        on_cancel: fn(ctx) or fn(ctx, payload), called when the function ended because its run is
            being cancelled; it may use durable steps.
        on_start, on_end: functions of (ctx, hook_ctx), or lists of them, asked before the function
            runs and when it has given its result: each a durable step; see @hook.
    """
    if isinstance(id, Workflow):
        raise TypeError(f"{id.kind} {id.id!r} is decorated twice")
    if callable(id):
        return Workflow(id.__name__, id, queue=default_name(id.__name__))
    name = id
    offered = schedule_offer(schedule, queue=queue, topic=trigger_on_event)
    if queue is not None and not isinstance(queue, dict):
        name_of(queue)
    trigger = _trigger(trigger_on_event, batch_size, batch_timeout_seconds)

    def decorate(func: Function) -> Workflow:
        named = name or func.__name__
        return Workflow(
            named,
            func,
            description,
            state_schema=state_schema,
            on_cancel=on_cancel,
            trigger=trigger,
            schedule=offered,
            queue=_queue_of(named, queue, schedule),
            on_start=on_start,
            on_end=on_end,
        )

    return decorate


def _queue_of(id: str, queue: Any, schedule: Any) -> str:
    if queue is not None:
        return name_of(queue, id)
    return "" if schedule else default_name(id)


def get_workflow(workflow_id: str) -> Workflow | None:
    """The workflow, tool or agent defined under an id in this process, or None."""
    found: Workflow | None = _registry.find(workflow_id)
    return found


def get_all_workflows() -> dict[str, Workflow]:
    """All workflows, tools and agents defined in this process, by id."""
    return {**_registry.agents, **_registry.tools, **_registry.workflows}
