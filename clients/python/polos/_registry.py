"""Everything defined in this process, by id; what a host offers unless told otherwise."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .agent import Agent
    from .features.queue_types import Queue
    from .tool import Tool
    from .workflow import Workflow

agents: dict[str, Agent] = {}
tools: dict[str, Tool] = {}
workflows: dict[str, Workflow] = {}
queues: dict[str, Queue] = {}


def clear() -> None:
    """Forgets everything; for tests."""
    agents.clear()
    tools.clear()
    workflows.clear()
    queues.clear()
