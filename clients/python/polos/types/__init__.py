"""What runs give back, as pydantic models."""

from .types import (
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
    "AgentResult",
    "BatchStepResult",
    "BatchWorkflowInput",
    "HistoryEvent",
    "ResumeResult",
    "Step",
    "StreamEvent",
    "Suspension",
    "ToolCall",
    "ToolCallFunction",
    "ToolResult",
    "Usage",
]
