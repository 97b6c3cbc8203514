"""Events: publish to topics, follow topics and runs.

    await events.publish(client, "orders", EventData(event_type="created", data={"id": 1}))
    async for event in events.stream_topic(client, "orders"): ...
"""

from __future__ import annotations

import asyncio
import re
import uuid
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from datetime import datetime, timezone
from typing import Any

from pydantic import ValidationError

from ._checks import checked_text
from ._codec.text import dumps_argument, sentences
from ._run_models import iso, parsed
from ._starter import Starter
from ._tree_events import Tree
from ._wire.channel import Wire
from ._wire.methods import PUBLISH
from ._wire.streams import subscribe
from .errors import InvalidArgumentError
from .event import BatchEventPayload, EventData, EventItem, EventPayload
from .types import StreamEvent
from .v1 import topics_pb2

__all__ = [
    "BatchEventPayload",
    "EventData",
    "EventItem",
    "EventPayload",
    "batch_publish",
    "publish",
    "stream_topic",
    "stream_workflow",
]

_RUN_TOPIC = re.compile(r"workflow/([^/]+)/([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})")


async def batch_publish(
    client: Starter,
    topic: str,
    events: list[EventData],
    execution_id: str | None = None,
    root_execution_id: str | None = None,
    *,
    idempotency_key: str | None = None,
) -> list[int]:
    """Publishes events to a topic, in order; their numbers, once they are durable.

    When the connection breaks meanwhile they are sent again, and are there once all the same.

    Args:
        idempotency_key: 1 to 200 bytes. For 24 hours, the same key and topic find what was
            published first, whose numbers are the answer, and publish nothing; with other events
            the call raises ConflictError. None: every call publishes.
    """
    if idempotency_key == "":
        raise InvalidArgumentError(
            "idempotency_key is empty: it is 1 to 200 bytes, or None", field="idempotency_key"
        )
    found = [_event_data(event) for event in events]
    request = topics_pb2.TopicServicePublishRequest(
        topic=checked_text(topic, "topic"),
        events=[
            topics_pb2.NewEvent(
                event_type=checked_text(e.event_type, "event_type"),
                data_json=dumps_argument(e.data, "the data of an event", "events.data"),
            )
            for e in found
        ],
        idempotency_key=checked_text(idempotency_key, "idempotency_key") or str(uuid.uuid4()),
    )
    answer = await client._connection().wire.call(PUBLISH, request)
    return list(answer.sequences)


async def publish(
    client: Starter,
    topic: str,
    event_data: EventData,
    execution_id: str | None = None,
    root_execution_id: str | None = None,
    *,
    idempotency_key: str | None = None,
) -> int:
    """Publishes one event; as batch_publish()."""
    numbers = await batch_publish(
        client, topic, [event_data], idempotency_key=idempotency_key
    )
    return numbers[0]


async def stream_topic(
    client: Starter,
    topic: str,
    last_sequence_id: int | None = None,
    last_timestamp: datetime | None = None,
) -> AsyncIterator[StreamEvent]:
    """A topic's events, for as long as the caller wants them; survives the server being away.

    `workflow/WORKFLOW/RUN` is the topic of a run: what happens in it, as stream_workflow() tells.

    Args:
        last_sequence_id: events after this one; 0: from the first that is kept.
        last_timestamp: events after this time. With neither: only new ones.
    """
    run = _RUN_TOPIC.fullmatch(topic)
    if run is not None:
        told = stream_workflow(client, run[1], run[2], last_sequence_id, last_timestamp)
        async with aclosing(told) as events:
            async for happened in events:
                yield happened
        return
    since = None if last_timestamp is None else _aware(last_timestamp)
    async for event in subscribe(client._connection().wire, topic, last_sequence_id, since):
        if since is None or event.created_at.ToDatetime(timezone.utc) > since:
            yield _stream_event(event)


async def stream_workflow(
    client: Starter,
    workflow_id: str,
    workflow_run_id: str,
    last_sequence_id: int | None = None,
    last_timestamp: datetime | None = None,
) -> AsyncGenerator[StreamEvent, None]:
    """What happens in a run and in all below it, from its start to its end, and what its code
    publishes (ctx.step.publish_workflow_event). `data["_metadata"]` says in which run
    (`execution_id`) of what (`workflow_id`).

    Types: workflow_start {payload}, step_start {step_key, step_type}, step_finish {step_key,
    step_type, output, error}, suspend_<key> (what the suspension shows), resume_<key> (the answer),
    then one of workflow_finish {result}, workflow_cancel and error {reason, error}; of tools
    started as runs tool_start, ...; of agents what StreamResult.events tells, text only of the root
    and of agents with stream_to_workflow; all others are published. Suspensions that had been
    answered before are left out.

    `event.id` tells run and topic apart: a run's own events are numbered by its history, the
    published ones by their topic; those of runs below have the number of the root's last.

    Args:
        last_sequence_id, last_timestamp: only the run's events after this number of its history;
            only events after this time. With 0, suspensions that were answered are there, too.
    """
    wire = client._connection().wire
    tree = Tree(wire, workflow_run_id, workflow_id, answered=last_sequence_id == 0)
    published = _Published(wire, f"workflow/{workflow_id}/{workflow_run_id}")
    since = None if last_timestamp is None else _aware(last_timestamp)
    async with aclosing(_merged(tree, published)) as events:
        async for event, number in events:
            if number is not None:
                _note_suspension(client, workflow_run_id, event)
            if number is not None and number <= (last_sequence_id or 0) and last_sequence_id:
                continue
            if since is None or event.created_at is None or (
                datetime.fromisoformat(event.created_at) > since
            ):
                yield event


def _note_suspension(client: Starter, followed: str, event: StreamEvent) -> None:
    """What the process has seen asked is what it answers."""
    what, _, key = (event.event_type or "").partition("_")
    name = event.data.get("_suspension_id")
    if isinstance(name, str) and what == "suspend":
        client._suspensions.note(name, key, name.rpartition(".")[0], followed)
    elif isinstance(name, str) and what == "resume":
        client._suspensions.forget(name)


class _Published:
    """What the code of a run publishes."""

    def __init__(self, wire: Wire, topic: str) -> None:
        self._wire = wire
        self._topic = topic
        self._last = 0

    async def read(self, *, follow: bool) -> AsyncIterator[StreamEvent]:
        """Those that were not read before; for ever, or those that are there."""
        async for event in subscribe(self._wire, self._topic, self._last, follow=follow):
            if event.sequence > self._last:
                self._last = event.sequence
                yield _stream_event(event)


async def _merged(
    tree: Tree, published: _Published
) -> AsyncGenerator[tuple[StreamEvent, int | None], None]:
    """What happens and what is published, with the number of the former; a run publishes nothing
    before its start, and what it published just before its end comes before that."""
    found: asyncio.Queue[tuple[StreamEvent, int | None] | BaseException | None] = asyncio.Queue()
    begun = asyncio.Event()

    async def read_topic(*, follow: bool) -> None:
        await begun.wait()
        async for event in published.read(follow=follow):
            found.put_nowait((event, None))

    async def before_end() -> None:
        begun.set()
        await read_topic(follow=False)

    async def read_runs() -> None:
        async with aclosing(tree.events(before_end)) as events:
            async for event in events:
                found.put_nowait((event, event.sequence_id))
                begun.set()

    def ended(task: asyncio.Task[None]) -> None:
        if not task.cancelled():
            found.put_nowait(task.exception())

    readers = [asyncio.create_task(read_runs()), asyncio.create_task(read_topic(follow=True))]
    for reader in readers:
        reader.add_done_callback(ended)
    try:
        while isinstance(event := await found.get(), tuple):
            yield event
        if event is not None:
            raise event
    finally:
        for reader in readers:
            reader.cancel()
        await asyncio.gather(*readers, return_exceptions=True)


def _event_data(event: Any) -> EventData:
    if isinstance(event, EventData):
        return event
    try:
        return EventData.model_validate(event)
    except ValidationError as error:
        raise InvalidArgumentError(
            f"an event is EventData, or a dict with its fields: {sentences(error)}", field="events"
        ) from error


def _stream_event(event: topics_pb2.TopicEvent) -> StreamEvent:
    data = parsed(event.data_json)
    return StreamEvent(
        id=f"{event.topic}:{event.sequence}",
        sequence_id=event.sequence,
        topic=event.topic,
        event_type=event.event_type or None,
        data=data if isinstance(data, dict) else {"data": data},
        created_at=iso(event.created_at.ToMilliseconds()),
    )


def _aware(time: datetime) -> datetime:
    return time if time.tzinfo is not None else time.replace(tzinfo=timezone.utc)
