"""Schedules: have the clock start workflows and agents.

    await schedules.create(client, "report", "30 9 * * MON-FRI", timezone="Europe/Berlin")
"""

from __future__ import annotations

from typing import Any, TypeAlias
from uuid import uuid4

from ._codec.text import dumps_argument
from ._codec.values import Given, given
from ._startable import Startable
from ._starter import Starter
from ._wire.methods import (
    SCHEDULE_DELETE,
    SCHEDULE_LIST,
    SCHEDULE_PAUSE,
    SCHEDULE_PUT,
    SCHEDULE_TRIGGER,
    SCHEDULE_UNPAUSE,
)
from .agent import Agent
from .errors import InvalidArgumentError
from .schedule import ScheduleInfo, SchedulePayload, schedule_info
from .v1 import common_pb2, schedules_pb2

__all__ = [
    "ScheduleInfo",
    "SchedulePayload",
    "create",
    "delete",
    "list_schedules",
    "pause",
    "trigger",
    "unpause",
]

Scheduled: TypeAlias = str | Startable | Agent


async def create(
    client: Starter,
    workflow: Scheduled,
    cron: str,
    timezone: str = "UTC",
    key: str = "global",
    payload: Any = None,
) -> str:
    """Has the clock start a workflow or an agent, or changes when it does; the schedule's id.

    Args:
        workflow: it or its id, or an agent. A workflow need not be hosted yet; an agent is told a
            payload.
        cron: minute, hour, day of month, month, day of week: "30 9 * * MON-FRI"; or "@hourly",
            "@daily", "@weekly", "@monthly", "@yearly".
        timezone: whose clocks on the wall are meant.
        key: tells the workflow's schedules apart; one with this key is replaced. With the same
            cron and timezone it goes on from its last tick.
        payload: what each run is told; None: a SchedulePayload.

    Raises: InvalidArgumentError: `field` is what is wrong with it.
    """
    spec = schedules_pb2.ScheduleSpec(cron=cron, timezone=timezone, key=key)
    request = schedules_pb2.ScheduleServicePutRequest(
        kind=_kind_of(workflow), name=_id_of(workflow), spec=spec
    )
    if payload is not None:
        told = _given(workflow, payload)
        request.input_json, request.options.input_type = told.json, told.type
    connection = client._connection()
    if isinstance(workflow, Agent):
        await connection.ready_for_agent(workflow)
    try:
        answer = await connection.wire.call(SCHEDULE_PUT, request)
    except InvalidArgumentError as error:
        error.field = "workflow_id" if error.field == "name" else error.field.removeprefix("spec.")
        raise
    return answer.schedule.id


def _given(workflow: Scheduled, payload: Any) -> Given:
    if isinstance(workflow, Agent):
        return Given(dumps_argument(payload, "the payload of a schedule", "payload"))
    if isinstance(workflow, str):
        return given(payload, "the payload of a schedule", "payload", known=False)
    return workflow._given(payload)


async def list_schedules(
    client: Starter, workflow: Scheduled | None = None
) -> list[ScheduleInfo]:
    """All schedules, or those of a workflow or an agent, by id."""
    request = schedules_pb2.ScheduleServiceListRequest(
        name="" if workflow is None else _id_of(workflow)
    )
    wire = client._connection().wire
    found = await wire.rows(SCHEDULE_LIST, request, lambda page: page.schedules)
    return [schedule_info(schedule) for schedule in found]


async def delete(client: Starter, workflow: Scheduled, key: str = "global") -> None:
    """Ends a schedule; runs it has started go on. Raises NotFoundError: there is none."""
    request = schedules_pb2.ScheduleServiceDeleteRequest(schedule_id=f"{_id_of(workflow)}/{key}")
    await client._connection().wire.call(SCHEDULE_DELETE, request)


async def pause(
    client: Starter, workflow: Scheduled, key: str = "global", cause: str = ""
) -> ScheduleInfo:
    """It starts no runs until unpause(); `cause` is for people. Raises NotFoundError."""
    request = schedules_pb2.ScheduleServicePauseRequest(
        schedule_id=f"{_id_of(workflow)}/{key}", cause=cause
    )
    answer = await client._connection().wire.call(SCHEDULE_PAUSE, request)
    return schedule_info(answer.schedule)


async def unpause(client: Starter, workflow: Scheduled, key: str = "global") -> ScheduleInfo:
    """It goes on with its first tick from now on; nothing is caught up. Raises NotFoundError."""
    request = schedules_pb2.ScheduleServiceUnpauseRequest(schedule_id=f"{_id_of(workflow)}/{key}")
    answer = await client._connection().wire.call(SCHEDULE_UNPAUSE, request)
    return schedule_info(answer.schedule)


async def trigger(
    client: Starter, workflow: Scheduled, key: str = "global", idempotency_key: str | None = None
) -> str:
    """Starts a run now, as a tick would, also of a schedule that is paused; the run's id.

    Raises NotFoundError: there is no such schedule. ConflictError: its last run has not ended.
    """
    request = schedules_pb2.ScheduleServiceTriggerRequest(
        schedule_id=f"{_id_of(workflow)}/{key}", idempotency_key=idempotency_key or str(uuid4())
    )
    answer = await client._connection().wire.call(SCHEDULE_TRIGGER, request)
    return answer.run_id


def _id_of(workflow: Scheduled) -> str:
    return workflow if isinstance(workflow, str) else workflow.id


def _kind_of(workflow: Scheduled) -> common_pb2.RunKind:
    is_agent = isinstance(workflow, Agent)
    return common_pb2.RUN_KIND_AGENT if is_agent else common_pb2.RUN_KIND_WORKFLOW
