"""Durable AI agents: the Python side of polosd.

    from polos import Agent, PolosClient, tool, WorkflowContext

Define tools and agents, run them with `agent.run(client, ...)` or follow them with
`agent.stream(client, ...)`. The loop runs in the server; the tools run here.
"""

from .agent import Agent
from .app import Polos
from .client import ExecutionHandle, PolosClient
from .context import AgentContext, WorkflowContext
from .errors import (
    ConflictError,
    ExecutionCancelledError,
    InvalidArgumentError,
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
from .stop_conditions import MaxStepsConfig, MaxTokensConfig, max_steps, max_tokens
from .stream import StreamResult, TextChunk
from .tool import Tool, tool
from .types import (
    AgentResult,
    HistoryEvent,
    Step,
    StreamEvent,
    ToolCall,
    ToolCallFunction,
    ToolResult,
    Usage,
)
from .workflow import Workflow, get_all_workflows, get_workflow, workflow

__version__ = "0.1.0"

__all__ = [
    "Agent",
    "AgentContext",
    "AgentResult",
    "ConflictError",
    "ExecutionCancelledError",
    "ExecutionHandle",
    "HistoryEvent",
    "InvalidArgumentError",
    "MaxStepsConfig",
    "MaxTokensConfig",
    "NotFoundError",
    "OutputError",
    "PermissionDeniedError",
    "Polos",
    "PolosClient",
    "PolosError",
    "ResourceExhaustedError",
    "RunCancelledError",
    "RunFailedError",
    "ServerError",
    "Step",
    "StepExecutionError",
    "StreamEvent",
    "StreamResult",
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
    "WorkflowTimeoutError",
    "get_all_workflows",
    "get_workflow",
    "max_steps",
    "max_tokens",
    "tool",
    "workflow",
]
