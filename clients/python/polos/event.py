"""Events of topics, as workflows and callers get them."""

from __future__ import annotations

from datetime import datetime, timezone
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, model_validator


class EventData(BaseModel):
    """An event to be published: `data` is anything with a JSON form."""

    model_config = ConfigDict(extra="forbid")

    event_type: str | None = None
    data: Any = Field(default_factory=dict)


class EventPayload(BaseModel):
    """An event of a topic.

    Attributes:
        id: unique: the topic and the number.
        sequence_id: from 1 in its topic, without gaps.
        topic: its topic.
        event_type: as given; None: none was.
        data: as given.
        created_at: when it was published.
    """

    model_config = ConfigDict(extra="ignore")

    id: str
    sequence_id: int
    topic: str
    event_type: str | None = None
    data: Any = None
    created_at: datetime

    @model_validator(mode="before")
    @classmethod
    def _from_server(cls, value: Any) -> Any:
        return event_fields(value)


class EventItem(EventPayload):
    """One event of a batch."""


class BatchEventPayload(BaseModel):
    """What a workflow with `batch_size` gets."""

    events: list[EventItem] = []


def event_fields(value: Any) -> Any:
    """An event of the server (or a batch of them) with the names the documentation uses."""
    if not isinstance(value, dict):
        return value
    if isinstance(value.get("events"), list):
        return {**value, "events": [event_fields(event) for event in value["events"]]}
    if "sequence" not in value or "topic" not in value:
        return value
    created_ms = value.get("created_at_ms") or 0
    return {
        **value,
        "id": f"{value['topic']}:{value['sequence']}",
        "sequence_id": value["sequence"],
        "event_type": value.get("event_type") or None,
        "data": value.get("data"),
        "created_at": iso_time(int(created_ms)),
    }


def iso_time(time_ms: int) -> str:
    """Unix milliseconds as ISO 8601, in UTC."""
    return datetime.fromtimestamp(time_ms / 1000, timezone.utc).isoformat()
