"""Workflows: durable functions that run in this process."""

from __future__ import annotations

import inspect
import json
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, overload

from pydantic import BaseModel, ValidationError

from . import _registry, _threads
from ._functions import Parameters, checked_id, refuse
from ._json import dumps
from .context import WorkflowContext
from .errors import InvalidArgumentError

if TYPE_CHECKING:
    from .client import ExecutionHandle, PolosClient

Function = Callable[..., Any]


class InputError(ValueError):
    """A task's input does not fit the function; the message is for the model or the caller."""


class Workflow:
    """A durable function: `fn(ctx)` or `fn(ctx, payload)`, async or sync.

    When its host dies it runs again from the top, on whatever host offers it; the steps it had
    settled (`ctx.step.run`) are answered from the journal.

    Attributes:
        id: its name for the server.
        description: for people.
        func: the decorated function.
    """

    kind = "workflow"

    def __init__(
        self,
        id: str,
        func: Function,
        description: str | None = None,
        *,
        _depth: int = 4,
    ) -> None:
        self.id = checked_id(id, self.kind)
        self.func = func
        self.description = (description or inspect.getdoc(func) or "").strip()
        self.parameters_of = Parameters(func, self.kind, _depth)
        self._register()

    def _register(self) -> None:
        _registry.workflows[self.id] = self

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.id}>"

    # ---- as a caller ----

    async def run(
        self,
        client: PolosClient,
        payload: BaseModel | dict[str, Any] | Any = None,
        queue: str | None = None,
        concurrency_key: str | None = None,
        session_id: str | None = None,
        user_id: str | None = None,
        timeout: float | None = 600.0,
        initial_state: BaseModel | dict[str, Any] | None = None,
    ) -> Any:
        """Starts a run, waits for it and returns its result as JSON gives it back.

        `timeout`: seconds the run may take; None: the server's own limit only.

        Raises: RunFailedError, RunCancelledError, WorkflowTimeoutError, UnavailableError,
            InvalidArgumentError.
        """
        refuse(
            f"{self.kind}.run",
            queue=queue,
            concurrency_key=concurrency_key,
            initial_state=initial_state,
        )
        return await client._run_task(
            self,
            self._payload_json(payload),
            session_id=session_id,
            user_id=user_id,
            timeout=timeout,
        )

    async def invoke(
        self,
        client: PolosClient,
        payload: BaseModel | dict[str, Any] | Any = None,
        queue: str | None = None,
        concurrency_key: str | None = None,
        session_id: str | None = None,
        user_id: str | None = None,
        initial_state: BaseModel | dict[str, Any] | None = None,
        run_timeout_seconds: int | None = None,
    ) -> ExecutionHandle:
        """Starts a run and returns its handle at once; errors as run()."""
        refuse(
            f"{self.kind}.invoke",
            queue=queue,
            concurrency_key=concurrency_key,
            initial_state=initial_state,
        )
        return await client._start_task(
            self,
            self._payload_json(payload),
            session_id=session_id,
            user_id=user_id,
            timeout=run_timeout_seconds,
        )

    def _payload_json(self, payload: Any) -> str:
        try:
            return dumps(payload)
        except TypeError as error:
            raise InvalidArgumentError(
                f"the payload of {self.kind} {self.id!r} has no JSON form: {error}",
                field="payload",
            ) from error

    # ---- as a host ----

    async def _execute(self, ctx: WorkflowContext, input_json: str) -> Any:
        """Runs the function on a task's input; what it raises is the task's error."""
        arguments = self._arguments(input_json)
        if inspect.iscoroutinefunction(self.func):
            return await self.func(ctx, *arguments)
        value = await _threads.run(self.func, ctx, *arguments)
        return await value if inspect.isawaitable(value) else value

    def _arguments(self, input_json: str) -> list[Any]:
        wants = self.parameters_of
        if not wants.takes_input:
            return []
        try:
            value = json.loads(input_json or "null")
        except ValueError as error:
            raise InputError(
                f"the arguments of {self.kind} {self.id!r} are not valid JSON: {error}"
            ) from error
        if wants.model is None:
            return [value]
        try:
            return [wants.model.model_validate({} if value is None else value)]
        except ValidationError as error:
            raise InputError(
                f"the arguments of {self.kind} {self.id!r} do not fit: {_sentences(error)}"
            ) from error


def _sentences(error: ValidationError) -> str:
    """Pydantic's findings in one line: "city: Field required; days: Input should be ..."."""
    return "; ".join(
        f"{'.'.join(map(str, item['loc'])) or 'the value'}: {item['msg']}"
        for item in error.errors(include_url=False, include_input=False)
    )


@overload
def workflow(id: Function) -> Workflow: ...


@overload
def workflow(
    id: str | None = None,
    description: str | None = None,
    queue: Any = None,
    trigger_on_event: str | None = None,
    batch_size: int = 1,
    batch_timeout_seconds: int | None = None,
    schedule: Any = None,
    on_start: Any = None,
    on_end: Any = None,
    state_schema: type[BaseModel] | None = None,
) -> Callable[[Function], Workflow]: ...


def workflow(
    id: str | Function | None = None,
    description: str | None = None,
    queue: Any = None,
    trigger_on_event: str | None = None,
    batch_size: int = 1,
    batch_timeout_seconds: int | None = None,
    schedule: Any = None,
    on_start: Any = None,
    on_end: Any = None,
    state_schema: type[BaseModel] | None = None,
) -> Workflow | Callable[[Function], Workflow]:
    """Makes a function a Workflow: `@workflow` or `@workflow(id="...")`.

    Args:
        id: its name; default: the function's.
        description: for people; default: the docstring.

    All other arguments belong to features this release does not have and raise
    UnsupportedFeatureError.
    """
    if callable(id):
        return Workflow(id.__name__, id)
    name = id
    refuse(
        "workflow",
        queue=queue,
        trigger_on_event=trigger_on_event,
        batch_size=None if batch_size == 1 else batch_size,
        batch_timeout_seconds=batch_timeout_seconds,
        schedule=schedule,
        on_start=on_start,
        on_end=on_end,
        state_schema=state_schema,
    )

    def decorate(func: Function) -> Workflow:
        return Workflow(name or func.__name__, func, description)

    return decorate


def get_workflow(workflow_id: str) -> Workflow | None:
    """The workflow defined under an id in this process, or None."""
    return _registry.workflows.get(workflow_id)


def get_all_workflows() -> dict[str, Workflow]:
    """All workflows defined in this process, by id."""
    return dict(_registry.workflows)
