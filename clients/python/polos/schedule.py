"""Schedules of workflows, as workflows and callers get them."""

from __future__ import annotations

from datetime import datetime, timezone
from typing import Any

from google.protobuf.timestamp_pb2 import Timestamp
from pydantic import BaseModel, ConfigDict

from .v1 import schedules_pb2


class SchedulePayload(BaseModel):
    """What a run that the clock started is told.

    Attributes:
        timestamp: the tick it was started for; after downtime it lies in the past.
        last_timestamp: the tick of the run before; None: there was none.
        timezone: the schedule's zone.
        schedule_id: "<workflow>/<key>".
        key: the schedule's key.
        upcoming: the tick after this one.
    """

    model_config = ConfigDict(extra="ignore")

    timestamp: datetime
    last_timestamp: datetime | None = None
    timezone: str
    schedule_id: str
    key: str
    upcoming: datetime | None = None


class ScheduleInfo(BaseModel):
    """A schedule as the server keeps it.

    Attributes:
        next_tick, last_tick, created_at: None: there is none.
        last_run_id: the run of the last tick; None: there was none.
        skipped_ticks: ticks that started no run, because the one before had not ended.
        payload_json: what each run is told instead of its tick; None: its tick.
        problem: why it rests; None: it does not.
        is_paused: it rests, as somebody paused it, or as something else is wrong with it.
    """

    schedule_id: str
    workflow_id: str
    key: str
    cron: str
    timezone: str
    next_tick: datetime | None
    last_tick: datetime | None
    last_run_id: str | None
    skipped_ticks: int
    payload_json: str | None
    created_at: datetime | None
    problem: str | None
    is_paused: bool = False


def schedule_info(found: schedules_pb2.Schedule) -> ScheduleInfo:
    return ScheduleInfo(
        schedule_id=found.id,
        workflow_id=found.name,
        key=found.spec.key,
        cron=found.spec.cron,
        timezone=found.spec.timezone,
        next_tick=_time(found.next_tick) if found.HasField("next_tick") else None,
        last_tick=_time(found.last_tick) if found.HasField("last_tick") else None,
        last_run_id=found.last_run_id or None,
        skipped_ticks=found.skipped_ticks,
        payload_json=found.input_json or None,
        created_at=_time(found.created_at),
        is_paused=found.paused,
        problem=found.problem or None,
    )


def schedule_offer(
    schedule: Any, *, queue: Any, topic: str | None
) -> schedules_pb2.ScheduleSpec | None:
    """`schedule` of @workflow as hosts offer it; None: there is none to offer."""
    if schedule is None or schedule is False:
        return None
    if queue is not None:
        raise ValueError("a workflow with a schedule cannot have a queue")
    if topic is not None:
        raise ValueError("a workflow with a schedule cannot have trigger_on_event, too")
    if schedule is True:
        return None
    fields = {"cron": schedule} if isinstance(schedule, str) else schedule
    if not isinstance(fields, dict) or not fields.keys() <= {"cron", "timezone", "key"}:
        raise ValueError(
            f'schedule is "0 9 * * *", {{"cron", "timezone", "key"}} or True, not {schedule!r}'
        )
    texts = {"timezone": "UTC", "key": "global", **fields}
    for name in ("cron", "timezone", "key"):
        if not isinstance(texts.get(name), str) or not texts[name].strip():
            raise ValueError(f"the schedule's {name} is a text that is not empty")
    return schedules_pb2.ScheduleSpec(**texts)


def _time(instant: Timestamp) -> datetime:
    return instant.ToDatetime(timezone.utc)
