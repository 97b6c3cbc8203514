"""What happens in a run and in all below it, as one stream of events.

Each run's journal is followed by a reader of its own. A run's events come in their order; those of
a run that another waits for come between the other's beginning and end of that wait.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator
from contextlib import aclosing
from typing import Protocol

from . import _registry
from ._agent_events import Narrator
from ._run_models import KIND_WORDS
from ._wire.channel import Wire
from ._wire.streams import follow
from ._workflow_events import RunNarrator
from .types import StreamEvent
from .v1 import runs_pb2

READERS_MAX = 256  # journals read at once; those of runs that wait for others do not count

Told = runs_pb2.RunServiceWatchResponse


class Teller(Protocol):
    """Makes events of what a watch sends; fed in order."""

    def tell(self, response: Told) -> Iterator[StreamEvent]: ...


class Tree:
    """Follows a run and all below it.

    Args:
        run_id, name: the root, and what it runs.
        deltas: text as it is written, too, of the root and of agents with stream_to_workflow.
        answered: suspensions that had been answered before this began, too.
    """

    def __init__(
        self, wire: Wire, run_id: str, name: str, *, deltas: bool = True, answered: bool = False
    ) -> None:
        self._wire = wire
        self._root_id = run_id
        self._name = name
        self._deltas = deltas
        self._answered = answered
        self._topic = f"workflow/{name}/{run_id}"
        self._found: asyncio.Queue[StreamEvent | BaseException | None] = asyncio.Queue()
        self._readers: dict[str, asyncio.Task[None]] = {}
        self._room = asyncio.Semaphore(READERS_MAX)
        self._before_end: Callable[[], Awaitable[None]] | None = None
        self._seq = 0  # of the root's last event

    async def events(
        self, before_end: Callable[[], Awaitable[None]] | None = None
    ) -> AsyncGenerator[StreamEvent, None]:
        """Until the root has ended; `before_end` is awaited before that is told."""
        self._before_end = before_end
        self._begin(self._root_id, self._name)
        try:
            while isinstance(event := await self._found.get(), StreamEvent):
                yield event
            if event is not None:
                raise event
        finally:
            for reader in self._readers.values():
                reader.cancel()
            await asyncio.gather(*self._readers.values(), return_exceptions=True)

    def _begin(self, run_id: str, name: str) -> None:
        if run_id not in self._readers:
            reader = asyncio.create_task(self._read(run_id, name), name="polos-events")
            self._readers[run_id] = reader
            reader.add_done_callback(lambda task: self._ended(run_id, task))

    def _ended(self, run_id: str, reader: asyncio.Task[None]) -> None:
        error = None if reader.cancelled() else reader.exception()
        if run_id == self._root_id or error is not None:
            self._found.put_nowait(error)

    async def _read(self, run_id: str, name: str) -> None:
        async with self._room:
            past: list[Told] | None = []  # what was there before, until all of it has come
            teller: Teller | None = None
            async with aclosing(follow(self._wire, run_id, deltas=self._wants_deltas(name))) as all:
                async for told in all:
                    if past is not None:
                        past.append(told)
                        if told.WhichOneof("event") not in ("caught_up", "ended"):
                            continue
                    due, past = past or [told], None
                    settled = set() if self._answered else _settled(due)
                    for each in due:
                        teller = teller or self._teller(run_id, name, each, settled)
                        await self._tell(teller, run_id, each)

    def _wants_deltas(self, name: str) -> bool:
        if name == self._name:
            return self._deltas
        agent = _registry.agents.get(name)
        return self._deltas and agent is not None and bool(agent.stream_to_workflow)

    def _teller(self, run_id: str, name: str, first: Told, settled: set[int]) -> Teller:
        kind = KIND_WORDS.get(first.fact.run_started.kind) or "workflow"
        if kind == "agent":
            return Narrator(run_id, name, topic=self._topic, settled=settled)
        return RunNarrator(name, run_id, self._topic, kind, settled)

    async def _tell(self, teller: Teller, run_id: str, told: Told) -> None:
        awaited, started = _children(told)
        waiting = [self._readers[each] for each in awaited if each in self._readers]
        if waiting:
            self._room.release()
            await asyncio.wait(waiting)
            await self._room.acquire()
        is_end = run_id == self._root_id and told.WhichOneof("event") == "ended"
        if is_end and self._before_end is not None:
            await self._before_end()
        for event in teller.tell(told):
            if run_id == self._root_id:
                self._seq = event.sequence_id
            else:
                event.id, event.sequence_id = f"{run_id}:{event.id}", self._seq
            self._found.put_nowait(event)
        if is_end:  # what happens below from now on is told to nobody
            self._found.put_nowait(None)
        for each, name in started:
            self._begin(each, name)


def _children(told: Told) -> tuple[list[str], list[tuple[str, str]]]:
    """Runs whose end a fact tells, and runs that it starts, with what they run."""
    if told.WhichOneof("event") != "fact":
        return [], []
    if told.fact.WhichOneof("event") == "child_settled":
        return [told.fact.child_settled.run.id], []
    started = told.fact.wait_set.runs.runs
    return [], [(run.id, run.name) for run in started if run.id]


def _settled(past: list[Told]) -> set[int]:
    """Effects of waits that have ended."""
    facts = [told.fact for told in past if told.WhichOneof("event") == "fact"]
    return {fact.effect_id for fact in facts if fact.WhichOneof("event") == "wait_settled"}

