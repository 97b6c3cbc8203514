"""Events: publish to topics, follow topics and runs.

    await events.publish(client, "orders", EventData(event_type="created", data={"id": 1}))
    async for event in events.stream_topic(client, "orders"): ...
"""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator
from datetime import datetime, timezone
from typing import Any

from pydantic import ValidationError

from ._agent_events import Narrator
from ._codec.text import dumps_argument, sentences
from ._run_models import iso, parsed
from ._starter import Starter
from ._wire.channel import Wire
from ._wire.methods import PUBLISH, RUN_GET
from ._wire.streams import follow, subscribe
from ._workflow_events import RunNarrator
from .errors import InvalidArgumentError
from .event import BatchEventPayload, EventData, EventItem, EventPayload
from .types import StreamEvent
from .v1 import common_pb2, runs_pb2, workflows_pb2

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
    request = workflows_pb2.WorkflowServicePublishRequest(
        topic=topic,
        events=[
            workflows_pb2.TopicEvent(
                event_type=e.event_type or "",
                data_json=dumps_argument(e.data, "the data of an event", "events.data"),
            )
            for e in found
        ],
        idempotency_key=idempotency_key or str(uuid.uuid4()),
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

    Args:
        last_sequence_id: events after this one; 0: from the first that is kept.
        last_timestamp: events after this time. With neither: only new ones.
    """
    after = -1 if last_sequence_id is None else last_sequence_id
    if last_timestamp is not None and last_sequence_id is None:
        after = 0
    async for event in subscribe(client._connection().wire, topic, after):
        if last_timestamp is None or event.created_at_ms > _milliseconds(last_timestamp):
            yield _stream_event(event)


async def stream_workflow(
    client: Starter,
    workflow_id: str,
    workflow_run_id: str,
    last_sequence_id: int | None = None,
    last_timestamp: datetime | None = None,
) -> AsyncIterator[StreamEvent]:
    """What happens in a run, from its start to its end, and what its code publishes
    (ctx.step.publish_workflow_event).

    Types: workflow_start {payload}, step_finish {step_key, step_type, output, error},
    suspend_<key> (what the suspension shows), resume_<key> (the answer), then one of
    workflow_finish {result}, workflow_cancel and error {reason, error}; all others are published.
    `event.id` tells run and topic apart: a run's own events are numbered by its history, the
    published ones by their topic.

    Args:
        last_sequence_id, last_timestamp: only the run's events after this number of its history;
            only events after this time.
    """
    wire = client._connection().wire
    topic = f"workflow/{workflow_id}/{workflow_run_id}"
    request = runs_pb2.RunServiceGetRequest(run_id=workflow_run_id)
    if (await wire.call(RUN_GET, request)).run.kind == common_pb2.RUN_KIND_AGENT:
        async for happened in _of_agent(wire, workflow_id, workflow_run_id):
            yield happened
        return
    found: asyncio.Queue[StreamEvent | BaseException | None] = asyncio.Queue()
    published = 0  # the last of the topic that was put
    begun = asyncio.Event()  # a run publishes nothing before its start

    async def read_topic(*, follow: bool) -> None:
        nonlocal published
        await begun.wait()
        async for event in subscribe(wire, topic, published, follow=follow):
            if event.sequence > published:
                published = event.sequence
                found.put_nowait(_stream_event(event))

    async def read_run() -> None:
        narrator = RunNarrator(workflow_id, workflow_run_id, topic)
        async for told in follow(wire, workflow_run_id, deltas=False):
            event = narrator.tell(told)
            if told.HasField("ended"):  # what it published just before comes first
                begun.set()
                await read_topic(follow=False)
            if event is not None and event.sequence_id > (last_sequence_id or 0):
                found.put_nowait(event)
            if event is not None:
                begun.set()

    def ended(task: asyncio.Task[None]) -> None:
        if not task.cancelled():
            found.put_nowait(task.exception())

    readers = [asyncio.create_task(read_run()), asyncio.create_task(read_topic(follow=True))]
    for reader in readers:
        reader.add_done_callback(ended)
    try:
        while isinstance(event := await found.get(), StreamEvent):
            if last_timestamp is None or event.created_at is None or (
                datetime.fromisoformat(event.created_at) > _aware(last_timestamp)
            ):
                yield event
        if event is not None:
            raise event
    finally:
        for reader in readers:
            reader.cancel()
        await asyncio.gather(*readers, return_exceptions=True)


async def _of_agent(wire: Wire, agent_id: str, run_id: str) -> AsyncIterator[StreamEvent]:
    """As StreamResult.events tells it."""
    teller = Narrator(run_id=run_id, agent_id=agent_id)
    async for told in follow(wire, run_id, deltas=True):
        for event in teller.tell(told):
            yield event


def _event_data(event: Any) -> EventData:
    if isinstance(event, EventData):
        return event
    try:
        return EventData.model_validate(event)
    except ValidationError as error:
        raise InvalidArgumentError(
            f"an event is EventData, or a dict with its fields: {sentences(error)}", field="events"
        ) from error


def _stream_event(event: workflows_pb2.TopicEvent) -> StreamEvent:
    data = parsed(event.data_json)
    return StreamEvent(
        id=f"{event.topic}:{event.sequence}",
        sequence_id=event.sequence,
        topic=event.topic,
        event_type=event.event_type or None,
        data=data if isinstance(data, dict) else {"data": data},
        created_at=iso(event.created_at_ms),
    )


def _aware(time: datetime) -> datetime:
    return time if time.tzinfo is not None else time.replace(tzinfo=timezone.utc)


def _milliseconds(time: datetime) -> float:
    return _aware(time).timestamp() * 1000
