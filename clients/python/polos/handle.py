"""The handle of a run that was started."""

from __future__ import annotations

from typing import Any, Protocol

from pydantic import BaseModel

from .types import Execution


class RunReader(Protocol):
    """A client, as far as a handle needs one."""

    async def get_execution(self, execution_id: str) -> Execution: ...

    async def _execution_as_defined(self, execution_id: str) -> Execution: ...

    async def cancel_execution(self, execution_id: str, cause: str = "") -> bool: ...

    async def send(self, execution_id: str, text: str, *, idempotency_key: str = "") -> str: ...

    async def _result_of(self, run_id: str, timeout: float | None) -> Any: ...


class ExecutionHandle(BaseModel):
    """A run that was started. `id` is its UUID."""

    id: str
    workflow_id: str | None = None
    created_at: str | None = None
    parent_execution_id: str | None = None
    root_workflow_id: str | None = None
    root_execution_id: str | None = None
    session_id: str | None = None
    user_id: str | None = None
    step_key: str | None = None

    async def get(self, client: RunReader) -> Execution:
        """The run as it stands: id, workflow_id, status ("queued", "running", "waiting",
        "completed", "failed", "cancelled"), payload, result, error, state, waiting, ..."""
        return await client._execution_as_defined(self.id)

    async def result(self, client: RunReader, timeout: float | None = None) -> Any:
        """Waits for the run's end and returns its result, of the class it was given back with.

        `timeout`: seconds to wait here; the run goes on. Raises as Workflow.run().
        """
        return await client._result_of(self.id, timeout)

    async def send(self, client: RunReader, text: str, *, idempotency_key: str = "") -> str:
        """Says something to an agent's run while it works; see PolosClient.send()."""
        return await client.send(self.id, text, idempotency_key=idempotency_key)

    async def cancel(self, client: RunReader) -> bool:
        """Cancels the run; False when it had ended."""
        return await client.cancel_execution(self.id)

    def to_dict(self) -> dict[str, Any]:
        """The handle's plain values, without what is not set."""
        return self.model_dump(exclude_none=True)
