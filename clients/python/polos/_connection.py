"""A client's end on one event loop: its channel, and the host that comes with it."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import threading
import time
import weakref
from collections.abc import Coroutine, Iterable, Iterator
from types import FrameType
from typing import Any, TypeVar

from . import _registry
from ._session.machine import Offers
from ._startable import Startable, StartableAgent
from ._wire.channel import Wire
from ._wire.endpoint import Endpoint
from ._wire.errors import unreachable
from ._wire.methods import QUEUE_GET, QUEUE_PUT, REGISTER
from .agent import Agent, AgentCallback
from .errors import NotFoundError
from .host import Host, quiet
from .tool import Tool
from .v1 import agents_pb2, common_pb2, definitions_pb2, history_pb2, host_pb2, queues_pb2
from .workflow import Workflow

T = TypeVar("T")

LOOP_END_SECONDS = 0.005  # for gRPC to hand over what it still has for the loop


class Connection:
    """Made on a running loop, used on that loop only; ends with it, by close(), or when nobody has
    it any more; while it has a host, that has it."""

    def __init__(
        self, endpoint: Endpoint, metadata: list[tuple[str, str]], deployment: str, slots: int
    ) -> None:
        with _uninterrupted():
            self.wire = Wire(endpoint, metadata)
        self.host: Host | None = None
        self._deployment = deployment
        self._slots = slots
        self._lock = asyncio.Lock()
        self._registered: dict[str, bytes] = {}  # agent definitions the server has
        self._queues: set[str] = set()  # the server has
        self._agents: dict[str, StartableAgent] = {}  # whose tools tasks are resolved by
        loop = asyncio.get_running_loop()
        me = weakref.ref(self)
        self._guard = loop.create_task(_close_with_loop(self.wire, me), name="polos-connection")
        quiet(self._guard)
        _guards.add(self._guard)
        self._guard.add_done_callback(_guards.discard)
        weakref.finalize(self, _cancel, loop, self._guard).atexit = False

    # ---- what a run needs ----

    async def ready_for_agent(self, agent: StartableAgent, give_up_at: float | None = None) -> None:
        """Returns when the server knows the agent and a host here offers its tools."""
        async with self._lock:
            self._agents[agent.id] = agent
            if agent.tools or agent.callbacks or _registry.queues:  # a host defines the queues
                await self._in_time(self._offer(agent.tools), give_up_at)
            await self._register(agent, give_up_at)

    async def ready_for(self, task: Startable, give_up_at: float | None = None) -> None:
        """Returns when a host here offers a workflow or a tool."""
        async with self._lock:
            await self._in_time(self._offer([task]), give_up_at)

    async def ready_for_queue(self, name: str, give_up_at: float | None = None) -> None:
        """Returns when the server has a queue of this name; one that it has not is made, without
        limits."""
        if not name or name in _registry.queues or name in self._queues:
            return
        request = queues_pb2.QueueServiceGetRequest(name=name)
        try:
            await self.wire.call(QUEUE_GET, request, give_up_at=give_up_at)
        except NotFoundError:
            definition = queues_pb2.QueueDefinition(name=name)
            put = queues_pb2.QueueServicePutRequest(queue=definition)
            await self.wire.call(QUEUE_PUT, put, give_up_at=give_up_at)
        self._queues.add(name)

    async def serve(self) -> Host:
        """The host, offering everything defined so far, agents included."""
        async with self._lock:
            for agent in _registry.agents.values():
                self._agents[agent.id] = agent
            agents = [agent.definition() for agent in _registry.agents.values()]
            await self._offer([], agents)
            assert self.host is not None
            for definition in agents:
                self._registered[definition.id] = definition.SerializeToString(deterministic=True)
            return self.host

    def forget(self, agent: StartableAgent) -> None:
        """The server does not know the agent after all."""
        self._registered.pop(agent.id, None)

    async def _register(self, agent: StartableAgent, give_up_at: float | None) -> None:
        definition = agent.definition()
        packed = definition.SerializeToString(deterministic=True)
        if self._registered.get(agent.id) == packed:
            return
        request = agents_pb2.AgentServiceRegisterRequest(agent=definition)
        await self.wire.call(REGISTER, request, give_up_at=give_up_at)
        self._registered[agent.id] = packed

    async def _in_time(self, work: Coroutine[Any, Any, T], give_up_at: float | None) -> T:
        left = None if give_up_at is None else max(0.05, give_up_at - time.monotonic())
        try:
            return await asyncio.wait_for(work, left)
        except asyncio.TimeoutError:
            raise unreachable(self.wire.endpoint.url, "it did not come back in time") from None

    # ---- the host ----

    async def _offer(
        self,
        wanted: Iterable[Startable],
        agents: Iterable[definitions_pb2.AgentDefinition] = (),
    ) -> None:
        """Sees to a host that offers at least these; what else is defined goes along."""
        wanted = list(wanted)
        if self.host is not None and self.host.failure is not None:
            await self.host.stop()
            self.host = None
        host = self.host
        callbacks = _callbacks([*_registry.agents.values(), *self._agents.values()])
        is_known = host is not None and host.offers.queues == _queues()
        is_known = is_known and host is not None and host.offers.callbacks == callbacks
        if host is not None and is_known and _covers(host.offers, wanted) and not agents:
            return
        offers = _everything(wanted, agents, host.offers if host else Offers(), callbacks)
        if host is not None:
            await host.offer(offers)
            return
        host = Host(
            self.wire,
            self._resolve,
            offers=offers,
            deployment=self._deployment,
            slots=self._slots,
            prepare=self._prepare,
            prepare_queue=self.ready_for_queue,
            resolve_callback=self._resolve_callback,
        )
        try:
            await host.start()
        except BaseException:
            await host.stop()
            raise
        self.host = host

    async def _prepare(self, target: Any) -> None:
        """Before code starts a child run: the server knows it, and a host here offers it."""
        if isinstance(target, Agent):
            await self.ready_for_agent(target)
        elif isinstance(target, Workflow):
            await self.ready_for(target)

    def _resolve(self, task: host_pb2.Task) -> Workflow | None:
        """The code for a task: an agent's own tool first, then what is defined under the name."""
        if task.kind != history_pb2.TASK_KIND_TOOL:
            return _registry.workflows.get(task.name)
        agent = self._agents.get(task.agent_id)
        own = next((t for t in agent.tools if t.id == task.name), None) if agent else None
        return own or _registry.tools.get(task.name)

    def _resolve_callback(self, task: host_pb2.Task) -> tuple[Agent, AgentCallback] | None:
        """The agent and its hook or guardrail for a task."""
        agent = self._agents.get(task.agent_id) or _registry.agents.get(task.agent_id)
        found = agent.callback(task.name) if isinstance(agent, Agent) else None
        return (agent, found) if isinstance(agent, Agent) and found is not None else None

    # ---- the end ----

    async def close(self, grace_seconds: float = 0.0) -> None:
        """Stops the host and closes the channel; what was settled stays settled."""
        if self.host is not None:
            await self.host.stop(grace_seconds)
            self.host = None
        self._guard.cancel()  # which closes the channel
        await self.wire.close()
        await asyncio.gather(self._guard, return_exceptions=True)


_guards: set[asyncio.Task[None]] = set()  # a loop alone does not keep them


async def _close_with_loop(wire: Wire, owner: weakref.ref[Connection]) -> None:
    """Waits until nobody has the connection any more, or for the end of the loop, which cancels it
    as asyncio.run() does."""
    try:
        await asyncio.get_running_loop().create_future()
    finally:
        connection = owner()
        if connection is not None and connection.host is not None:
            await connection.host.ended()  # cancelled as well; it has calls of its own to end
        with contextlib.suppress(Exception):
            await wire.close()
        await asyncio.sleep(LOOP_END_SECONDS)


def _cancel(loop: asyncio.AbstractEventLoop, guard: asyncio.Task[None]) -> None:
    with contextlib.suppress(RuntimeError):  # the loop is closed
        loop.call_soon_threadsafe(guard.cancel)


@contextlib.contextmanager
def _uninterrupted() -> Iterator[None]:
    """Ctrl-C comes afterwards: where it is raised at any place, as before Python 3.11, gRPC does
    not survive it while it makes its first channel."""
    handler = signal.getsignal(signal.SIGINT)
    if threading.current_thread() is not threading.main_thread() or not callable(handler):
        yield
        return
    came: list[tuple[int, FrameType | None]] = []
    signal.signal(signal.SIGINT, lambda number, frame: came.append((number, frame)))
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, handler)
    if came:
        handler(*came[0])


def _covers(offers: Offers, wanted: Iterable[Startable]) -> bool:
    tools = {tool.id for tool in offers.tools}
    workflows = {workflow.id for workflow in offers.workflows}
    return all(w.id in (tools if isinstance(w, Tool) else workflows) for w in wanted)


def _everything(
    wanted: Iterable[Startable],
    agents: Iterable[definitions_pb2.AgentDefinition],
    before: Offers,
    callbacks: tuple[host_pb2.CallbackOffer, ...],
) -> Offers:
    tools = {tool.id: tool for tool in before.tools}
    workflows = {workflow.id: workflow for workflow in before.workflows}
    for each in [*_registry.tools.values(), *_registry.workflows.values(), *wanted]:
        if isinstance(each, Tool):
            tools[each.id] = each.definition()
        elif isinstance(each, Workflow):
            workflows[each.id] = each.offer()
    known = {agent.id: agent for agent in [*before.agents, *agents]}
    return Offers(
        tuple(tools.values()),
        tuple(workflows.values()),
        tuple(known.values()),
        _queues(),
        callbacks,
    )


def _callbacks(agents: Iterable[StartableAgent]) -> tuple[host_pb2.CallbackOffer, ...]:
    offers = {
        (agent.id, each.name): host_pb2.CallbackOffer(
            kind=common_pb2.RUN_KIND_AGENT, name=agent.id, callback=each.name
        )
        for agent in agents
        for each in agent.callbacks
    }
    return tuple(offers.values())


def _queues() -> tuple[queues_pb2.QueueDefinition, ...]:
    return tuple(queue.definition() for queue in _registry.queues.values())
