"""A client, as far as workflows, agents and streams need one."""

from __future__ import annotations

from typing import Any, Protocol

from ._codec.values import Given
from ._execution.starts import AgentRunConfig, StartOptions
from ._seen import SeenSuspensions
from ._startable import AnsweringAgent, Startable, StartableAgent
from ._wire.channel import Wire
from .handle import ExecutionHandle, RunReader
from .types import AgentResult


class HasWire(Protocol):
    """A client's end on the running loop."""

    wire: Wire

    async def ready_for_agent(self, agent: StartableAgent) -> None: ...


class Starter(RunReader, Protocol):
    """PolosClient is one."""

    _suspensions: SeenSuspensions

    def _connection(self) -> HasWire: ...

    async def _start_task(
        self, task: Startable, payload: Given, options: StartOptions
    ) -> ExecutionHandle: ...

    async def _run_task(self, task: Startable, payload: Given, options: StartOptions) -> Any: ...

    async def _start_agent(self, config: AgentRunConfig) -> ExecutionHandle: ...

    async def _agent_result(
        self, agent: AnsweringAgent, run_id: str, timeout: float | None
    ) -> AgentResult: ...
