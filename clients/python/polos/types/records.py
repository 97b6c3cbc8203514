"""What the server knows, as dicts whose keys are attributes with types: `run["status"]` is
`run.status`."""

from __future__ import annotations

from typing import Any, Generic, TypeVar, overload

T = TypeVar("T")


class Key(Generic[T]):
    """An attribute of a Record, kept under its own name."""

    def __set_name__(self, owner: type[Record], name: str) -> None:
        self._name = name

    @overload
    def __get__(self, record: None, owner: type[Record]) -> Key[T]: ...

    @overload
    def __get__(self, record: Record, owner: type[Record]) -> T: ...

    def __get__(self, record: Record | None, owner: type[Record]) -> Any:
        if record is None:
            return self
        try:
            return record[self._name]
        except KeyError:
            raise AttributeError(f"this {owner.__name__} has no {self._name!r}") from None


class Record(dict[str, Any]):
    """A plain dict to whoever takes one; its attributes are its keys, for reading."""


class Waiting(Record):
    """What a run waits for."""

    kind = Key[str]()
    """"model", "code", "retry", "queue", "sleep", "suspension", "event", "child", "tool" or
    "workflow"."""
    name = Key[str]()
    since_ms = Key[int]()
    message = Key[str]()


class Execution(Record):
    """A run as it stood when it was asked for. In lists payload, result, state and steps are left
    out."""

    id = Key[str]()
    workflow_id = Key[str]()
    kind = Key[str]()
    """"workflow", "agent" or "tool"."""
    status = Key[str]()
    """"queued", "running", "waiting", "completed", "failed", "cancelled" or "unreadable"."""
    payload = Key[Any]()
    result = Key[Any]()
    error = Key[str | None]()
    error_reason = Key[str | None]()
    created_at = Key[str | None]()
    started_at = Key[str | None]()
    completed_at = Key[str | None]()
    cancelled_at = Key[str | None]()
    cancelling = Key[bool]()
    step_key = Key[str | None]()
    root_workflow_id = Key[str | None]()
    output_schema_name = Key[str | None]()
    retry_count = Key[int]()
    deployment_id = Key[str | None]()
    queue_name = Key[str | None]()
    concurrency_key = Key[str | None]()
    run_timeout_seconds = Key[float | None]()
    state = Key[Any]()
    parent_execution_id = Key[str | None]()
    root_execution_id = Key[str]()
    session_id = Key[str | None]()
    user_id = Key[str | None]()
    conversation_id = Key[str | None]()
    stop_reason = Key[str | None]()
    steps = Key[list[dict[str, Any]]]()
    total_steps = Key[int]()
    usage = Key[dict[str, Any]]()
    waiting = Key[list[Waiting]]()


class AgentInfo(Record):
    """An agent, or one version of it."""

    id = Key[str]()
    provider = Key[str]()
    model = Key[str]()
    description = Key[str]()
    system_prompt = Key[str]()
    tools = Key[list[str]]()
    queue_name = Key[str | None]()
    definition_hash = Key[str]()
    registered_at = Key[str | None]()
    newest = Key[bool]()
    hosts = Key[int]()
    runs = Key[int]()
    missing_offers = Key[list[str]]()


class WorkflowInfo(Record):
    """A workflow as hosts offered it last."""

    id = Key[str]()
    description = Key[str]()
    queue_name = Key[str | None]()
    trigger_on_event = Key[str | None]()
    schedule = Key[str | None]()
    deployment_id = Key[str]()
    hosts = Key[int]()
    offered_at = Key[str | None]()


class ToolInfo(Record):
    """A tool as hosts offered it last."""

    id = Key[str]()
    description = Key[str]()
    parameters = Key[Any]()
    deployment_id = Key[str]()
    hosts = Key[int]()
    offered_at = Key[str | None]()


class HostInfo(Record):
    """A process that has dialled in."""

    id = Key[str]()
    deployment_id = Key[str]()
    user_agent = Key[str]()
    connected = Key[bool]()
    draining = Key[bool]()
    slots = Key[int]()
    tasks = Key[int]()
    connected_at = Key[str | None]()
    heard_at = Key[str | None]()
    tools = Key[list[str]]()
    workflows = Key[list[str]]()
    agents = Key[list[str]]()
