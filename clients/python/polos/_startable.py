"""What can be started, as far as those need to know it who start it or read its result."""

from __future__ import annotations

from typing import Any, Protocol, TypeVar

from pydantic import BaseModel

from ._codec.values import Given
from .v1 import definitions_pb2


In = TypeVar("In", contravariant=True)
Out = TypeVar("Out", covariant=True)


class Target(Protocol[In, Out]):
    """A workflow, tool or agent, by what it takes and gives."""

    def _given(self, payload: In | dict[str, Any]) -> Given: ...

    async def _execute(self, ctx: Any, given: Given) -> Out: ...


class Startable(Protocol):
    """A workflow or a tool ("workflow", "tool"), with its function."""

    id: str
    kind: str
    func: Any

    def _given(self, payload: Any) -> Given: ...


class AnsweringAgent(Protocol):
    """An agent, with the model its answer has to fit; None: free text."""

    id: str
    kind: str
    output_schema: type[BaseModel] | None
    tools: list[Any]


class StartableAgent(AnsweringAgent, Protocol):
    """One that this process defines."""

    callbacks: list[Any]

    def definition(self) -> definitions_pb2.AgentDefinition: ...

    def callback(self, name: str) -> Any: ...
