"""Schedules: have the clock start workflows.

    await schedules.create(client, "report", "30 9 * * MON-FRI", timezone="Europe/Berlin")
"""

from __future__ import annotations

from typing import Any

from ._codec.text import dumps_argument
from ._startable import Startable
from ._starter import Starter
from ._wire.methods import SCHEDULE_DELETE, SCHEDULE_LIST, SCHEDULE_PUT
from .schedule import ScheduleInfo, SchedulePayload, schedule_info
from .v1 import workflows_pb2

__all__ = ["ScheduleInfo", "SchedulePayload", "create", "delete", "list_schedules"]


async def create(
    client: Starter,
    workflow: str | Startable,
    cron: str,
    timezone: str = "UTC",
    key: str = "global",
    payload: Any = None,
) -> str:
    """Has the clock start a workflow, or changes when it does; the schedule's id.

    Args:
        workflow: it or its id. It need not be hosted yet.
        cron: minute, hour, day of month, month, day of week: "30 9 * * MON-FRI"; or "@hourly",
            "@daily", "@weekly", "@monthly", "@yearly".
        timezone: whose clocks on the wall are meant.
        key: tells the workflow's schedules apart; one with this key is replaced. With the same
            cron and timezone it goes on from its last tick.
        payload: what each run is told; None: a SchedulePayload.

    Raises: InvalidArgumentError: `field` is what is wrong with it.
    """
    request = workflows_pb2.WorkflowServicePutScheduleRequest(
        workflow_id=_id_of(workflow),
        cron=cron,
        timezone=timezone,
        key=key,
    )
    if payload is not None:
        request.input_json = dumps_argument(payload, "the payload of a schedule", "payload")
    answer = await client._connection().wire.call(SCHEDULE_PUT, request)
    return answer.schedule_id


async def list_schedules(
    client: Starter, workflow: str | Startable | None = None
) -> list[ScheduleInfo]:
    """All schedules, or those of a workflow, by id."""
    request = workflows_pb2.WorkflowServiceListSchedulesRequest(
        workflow_id="" if workflow is None else _id_of(workflow)
    )
    wire = client._connection().wire
    found = await wire.rows(SCHEDULE_LIST, request, lambda page: page.schedules)
    return [schedule_info(schedule) for schedule in found]


async def delete(client: Starter, workflow: str | Startable, key: str = "global") -> None:
    """Ends a schedule; runs it has started go on. Raises NotFoundError: there is none."""
    request = workflows_pb2.WorkflowServiceDeleteScheduleRequest(
        workflow_id=_id_of(workflow), key=key
    )
    await client._connection().wire.call(SCHEDULE_DELETE, request)


def _id_of(workflow: str | Startable) -> str:
    return workflow if isinstance(workflow, str) else workflow.id
