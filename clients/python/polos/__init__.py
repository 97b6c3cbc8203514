"""Durable AI agents: the Python side of polosd.

    from polos import Agent, PolosClient, tool, WorkflowContext

Define tools and agents, run them with `agent.run(client, ...)` or follow them with
`agent.stream(client, ...)`. The loop runs in the server; the tools run here. Workflows are durable
functions: `@workflow`, `ctx.step`.
"""

import os
from typing import TYPE_CHECKING, NoReturn

# Else gRPC's core writes a line of its own to stderr when a server goes. Read when it is loaded.
os.environ.setdefault("GRPC_VERBOSITY", "ERROR")

from . import definitions, events, queues, schedules, sync
from ._execution.starts import AgentRunConfig
from ._execution.state import WorkflowState
from ._missing import INSTEAD, MISSING
from .agent import Agent
from .app import Polos
from .client import PolosClient, batch_agent_invoke, batch_invoke
from .context import AgentContext, WorkflowContext
from .errors import (
    ConflictError,
    ExecutionCancelledError,
    InvalidArgumentError,
    MissingNameError,
    NonDeterminismError,
    NonRetryableError,
    NotFoundError,
    OutputError,
    PermissionDeniedError,
    PolosError,
    ResourceExhaustedError,
    RunCancelledError,
    RunFailedError,
    ServerError,
    StepExecutionError,
    UnavailableError,
    UnsupportedFeatureError,
    WorkflowTimeoutError,
)
from .event import BatchEventPayload, EventData, EventPayload
from .guardrail import GuardrailAction, GuardrailContext, GuardrailResult, guardrail
from .handle import ExecutionHandle
from .history import History
from .hook import HookAction, HookContext, HookResult, hook
from .queue import Queue, QueueInfo, queue
from .schedule import ScheduleInfo, SchedulePayload
from .stop_conditions import MaxStepsConfig, MaxTokensConfig, max_steps, max_tokens
from .stream import StreamResult, TextChunk
from .tool import Tool, tool
from .types import (
    AgentConfig,
    AgentResult,
    BatchStepResult,
    BatchWorkflowInput,
    Execution,
    HistoryEvent,
    ResumeResult,
    Step,
    StreamEvent,
    Suspension,
    ToolCall,
    ToolCallFunction,
    ToolResult,
    Usage,
)
from .workflow import Workflow, get_all_workflows, get_workflow, workflow

__version__ = "0.1.0"

if not TYPE_CHECKING:

    def __getattr__(name: str) -> NoReturn:
        """Says of documented names that this release does not have them."""
        if name in MISSING:
            raise MissingNameError(f"polos.{name}", INSTEAD.get(name, ""))
        raise AttributeError(f"module 'polos' has no attribute {name!r}")


__all__ = [
    "Agent",
    "AgentConfig",
    "AgentContext",
    "AgentResult",
    "AgentRunConfig",
    "BatchEventPayload",
    "BatchStepResult",
    "BatchWorkflowInput",
    "ConflictError",
    "EventData",
    "EventPayload",
    "Execution",
    "ExecutionCancelledError",
    "ExecutionHandle",
    "GuardrailAction",
    "GuardrailContext",
    "GuardrailResult",
    "History",
    "HistoryEvent",
    "HookAction",
    "HookContext",
    "HookResult",
    "InvalidArgumentError",
    "MaxStepsConfig",
    "MaxTokensConfig",
    "NonDeterminismError",
    "NonRetryableError",
    "NotFoundError",
    "OutputError",
    "PermissionDeniedError",
    "Polos",
    "PolosClient",
    "PolosError",
    "Queue",
    "QueueInfo",
    "ResourceExhaustedError",
    "ResumeResult",
    "RunCancelledError",
    "RunFailedError",
    "ScheduleInfo",
    "SchedulePayload",
    "ServerError",
    "Step",
    "StepExecutionError",
    "StreamEvent",
    "StreamResult",
    "Suspension",
    "TextChunk",
    "Tool",
    "ToolCall",
    "ToolCallFunction",
    "ToolResult",
    "UnavailableError",
    "UnsupportedFeatureError",
    "Usage",
    "Workflow",
    "WorkflowContext",
    "WorkflowState",
    "WorkflowTimeoutError",
    "batch_agent_invoke",
    "batch_invoke",
    "definitions",
    "events",
    "get_all_workflows",
    "get_workflow",
    "guardrail",
    "hook",
    "max_steps",
    "max_tokens",
    "queue",
    "queues",
    "schedules",
    "sync",
    "tool",
    "workflow",
]
