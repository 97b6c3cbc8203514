"""What runs give back, as pydantic models, and what the server knows, as records."""

from .records import AgentInfo, Execution, HostInfo, ToolInfo, Waiting, WorkflowInfo
from .types import (
    AgentConfig,
    AgentResult,
    BatchStepResult,
    BatchWorkflowInput,
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

__all__ = [
    "AgentConfig",
    "AgentInfo",
    "AgentResult",
    "BatchStepResult",
    "BatchWorkflowInput",
    "Execution",
    "HistoryEvent",
    "HostInfo",
    "ResumeResult",
    "Step",
    "StreamEvent",
    "Suspension",
    "ToolCall",
    "ToolCallFunction",
    "ToolInfo",
    "ToolResult",
    "Usage",
    "Waiting",
    "WorkflowInfo",
]
