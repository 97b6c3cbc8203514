"""What can be started, as far as those need to know it who start it or read its result."""

from __future__ import annotations

from typing import Any, Protocol

from pydantic import BaseModel

from .v1 import agents_pb2


class Startable(Protocol):
    """A workflow or a tool ("workflow", "tool"), with its function."""

    id: str
    kind: str
    func: Any


class StartableAgent(Protocol):
    """An agent, with the model its answer has to fit; None: free text."""

    id: str
    kind: str
    output_schema: type[BaseModel] | None
    tools: list[Any]

    def definition(self) -> agents_pb2.AgentDefinition: ...
