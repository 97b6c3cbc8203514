"""Everything defined in this process, by id; what a host offers unless told otherwise."""

from __future__ import annotations

from typing import Any

agents: dict[str, Any] = {}
tools: dict[str, Any] = {}
workflows: dict[str, Any] = {}
queues: dict[str, Any] = {}


def find(name: str) -> Any:
    """The workflow, tool or agent of this name; None: this process defines none."""
    return workflows.get(name) or tools.get(name) or agents.get(name)


def clear() -> None:
    """Forgets everything; for tests."""
    agents.clear()
    tools.clear()
    workflows.clear()
    queues.clear()
