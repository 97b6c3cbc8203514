"""What runs give back, as pydantic models."""

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

__all__ = [
    "AgentResult",
    "HistoryEvent",
    "Step",
    "StreamEvent",
    "ToolCall",
    "ToolCallFunction",
    "ToolResult",
    "Usage",
]
