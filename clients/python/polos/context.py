"""What workflows and tools are told about the run they work for."""

from __future__ import annotations

from datetime import datetime, timezone
from typing import Any

from ._execution.execution import Execution
from .step import Step
from .v1 import host_pb2


class WorkflowContext:
    """The first argument of every workflow and tool.

    Attributes:
        workflow_id: the workflow's or tool's id.
        execution_id: the run: a UUID.
        deployment_id: the code version this host runs.
        session_id, user_id, conversation_id: as given at the run's start; empty when not given.
        parent_execution_id: the run that started this one; None for a root.
        root_execution_id, root_workflow_id: the top of the run's tree.
        task_id: unique for ever and the same in every repetition of this call: the idempotency key
            for whatever it does outside.
        retry_count: how often the run was tried before, after failures.
        attempt: how often the work was given to a host, this time included.
        created_at: when the run was started.
        deadline: when its answer is no longer wanted; None: never.
        workflow_type: "workflow" or "tool".
        agent_id: the agent whose model asked for it; empty otherwise.
        call_id: the model's id for the call; empty otherwise.
        step: durable steps.
        state: what the run keeps beside its steps; an instance of the workflow's `state_schema`,
            else a dict. Change it in place or assign it; it is kept with the next step.
        is_cancelling: the run is being cancelled; only clean up.
        otel_traceparent, otel_span_id: the span of this execution, for what it calls; None where
            OpenTelemetry's API is not installed.
    """

    # Of features to come; there for programs that hand them on.
    channels: tuple[Any, ...] = ()
    channel_context: Any = None

    def __init__(
        self,
        task: host_pb2.Task,
        execution: Execution,
        *,
        deployment_id: str,
        workflow_type: str = "workflow",
    ) -> None:
        self._execution = execution
        self.workflow_id = task.name
        self.execution_id = task.run_id
        self.deployment_id = deployment_id
        self.session_id = task.session_id
        self.user_id = task.user_id
        self.conversation_id = task.conversation_id
        self.parent_execution_id = task.parent_run_id or None
        self.root_execution_id = task.root_run_id or task.run_id
        self.root_workflow_id = task.root_name or task.agent_id or task.name
        self.retry_count = task.retry_count
        self.attempt = task.epoch
        self.created_at = (
            task.created_at.ToDatetime(timezone.utc)
            if task.HasField("created_at")
            else datetime.now(timezone.utc)
        )
        self.deadline = (
            datetime.now(timezone.utc) + task.timeout.ToTimedelta()
            if task.HasField("timeout")
            else None
        )
        self.workflow_type = workflow_type
        self.otel_traceparent: str | None = None
        self.otel_span_id: str | None = None
        self.task_id = task.task_id
        self.agent_id = task.agent_id
        self.call_id = task.call_id
        self.step = Step(self, execution)

    @property
    def state(self) -> Any:
        return self._execution.state.value

    @state.setter
    def state(self, value: Any) -> None:
        self._execution.state.replace(value)

    @property
    def is_cancelling(self) -> bool:
        return self._execution.cancelling

    def to_dict(self) -> dict[str, Any]:
        """The plain values, for logs."""
        return {
            "workflow_id": self.workflow_id,
            "execution_id": self.execution_id,
            "deployment_id": self.deployment_id,
            "session_id": self.session_id,
            "user_id": self.user_id,
            "conversation_id": self.conversation_id,
            "parent_execution_id": self.parent_execution_id,
            "root_execution_id": self.root_execution_id,
            "root_workflow_id": self.root_workflow_id,
            "retry_count": self.retry_count,
            "created_at": self.created_at.isoformat(),
            "workflow_type": self.workflow_type,
            "task_id": self.task_id,
            "agent_id": self.agent_id,
            "call_id": self.call_id,
        }


class AgentContext(WorkflowContext):
    """As WorkflowContext; `agent_id` is the agent it belongs to."""
