"""Schedules: what @workflow takes, and the real polosd whose clock starts runs, in a zone whose
next minute begins when the test wants it."""

from __future__ import annotations

import asyncio
import struct
import time
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import polosd
import pytest

from polos import (
    Agent,
    ConflictError,
    InvalidArgumentError,
    NotFoundError,
    PolosClient,
    SchedulePayload,
    WorkflowContext,
    schedules,
    workflow,
)

SECONDS = 30


def zone_of_next_minute(folder: Path, name: str, in_s: int) -> int:
    """A TZif file whose clocks begin their next minute in in_s seconds, rounded up; then."""
    at_s = int(time.time()) + 1 + in_s
    header = b"TZif" + bytes(16) + struct.pack(">6I", 0, 0, 0, 0, 1, 4)
    kind = struct.pack(">iBB", -(at_s % 60), 0, 0)
    (folder / name).write_bytes(header + kind + b"TST\0")
    return at_s


def zone_that_changes(folder: Path, name: str, at_s: int, before_s: int, after_s: int) -> None:
    """A TZif file with one change of its clocks, from one offset to another."""
    header = b"TZif" + bytes(16) + struct.pack(">6I", 0, 0, 0, 1, 2, 4)
    kinds = struct.pack(">iBB", before_s, 0, 0) + struct.pack(">iBB", after_s, 0, 0)
    (folder / name).write_bytes(header + struct.pack(">iB", at_s, 1) + kinds + b"TST\0")


@pytest.fixture
def zones(tmp_path: Path) -> Path:
    folder = tmp_path / "zones"
    folder.mkdir()
    return folder


@pytest.fixture
def server(tmp_path: Path, zones: Path) -> Iterator[polosd.Polosd]:
    environment = {"POLOSD_ZONE_FOLDER": str(zones)}
    running = polosd.Polosd(polosd.binary(), tmp_path / "data", environment)
    running.start()
    yield running
    running.stop()


# ---- definitions ----


async def test_schedules_are_offered(fake, fake_client):
    @workflow(schedule="0 3 * * *")
    async def text(ctx):
        return None

    @workflow(schedule={"cron": "@daily", "timezone": "Asia/Tokyo", "key": "k"})
    async def table(ctx):
        return None

    @workflow(schedule=True)
    async def allowed(ctx):
        return None

    await fake_client._connection().serve()
    offered = {each.id: each for each in fake.hellos[-1].offers.workflows}
    found = offered["text"].schedule
    assert (found.cron, found.timezone, found.key) == ("0 3 * * *", "UTC", "global")
    found = offered["table"].schedule
    assert (found.cron, found.timezone, found.key) == ("@daily", "Asia/Tokyo", "k")
    assert not offered["allowed"].HasField("schedule")


@pytest.mark.parametrize(
    ("wrong", "why"),
    [
        ({"schedule": ""}, "cron is a text"),
        ({"schedule": {"timezone": "UTC"}}, "cron is a text"),
        ({"schedule": {"cron": "@daily", "timezone": ""}}, "timezone is a text"),
        ({"schedule": {"cron": "@daily", "zone": "UTC"}}, "not {'cron'"),
        ({"schedule": 5}, "not 5"),
        ({"schedule": "@daily", "trigger_on_event": "t"}, "trigger_on_event"),
        ({"schedule": "@daily", "queue": "q"}, "queue"),
        ({"schedule": True, "queue": "q"}, "queue"),
    ],
)
def test_what_makes_no_schedule_is_refused(wrong, why):
    with pytest.raises(ValueError, match=why):
        workflow(id="w", **wrong)


# ---- the real server ----


async def test_the_clock_starts_a_run_and_tells_it_its_tick(zones, client):
    at_s = zone_of_next_minute(zones, "Soon", 2)
    told: asyncio.Queue[SchedulePayload] = asyncio.Queue()

    @workflow(id="tick", schedule={"cron": "* * * * *", "timezone": "Soon"})
    async def tick(ctx: WorkflowContext, payload: SchedulePayload) -> None:
        told.put_nowait(payload)

    await client._connection().serve()
    payload = await asyncio.wait_for(told.get(), SECONDS)
    assert payload.timestamp == datetime.fromtimestamp(at_s, timezone.utc)
    assert payload.upcoming == payload.timestamp + timedelta(minutes=1)
    assert payload.last_timestamp is None
    assert (payload.schedule_id, payload.key, payload.timezone) == ("tick/global", "global", "Soon")
    (found,) = await schedules.list_schedules(client, tick)
    assert (found.last_tick, found.next_tick) == (payload.timestamp, payload.upcoming)
    assert found.last_run_id is not None and found.problem is None


async def test_clocks_that_change_skip_nothing_and_repeat_nothing(zones, client):
    """Spring: 0:00 becomes 1:00, 0:30 is missing. Fall: 1:00 becomes 0:00, 0:30 comes twice."""
    midnight = datetime.now(timezone.utc).replace(hour=0, minute=0, second=0, microsecond=0)
    change = midnight + timedelta(days=3)
    at_s = int(change.timestamp())
    zone_that_changes(zones, "Spring", at_s, 0, 3600)
    zone_that_changes(zones, "Fall", at_s, 3600, 0)
    day = f"{change.day} {change.month} *"
    half_hour = timedelta(minutes=30)
    for zone, cron, due in (
        ("Spring", f"30 0 {day}", change),
        ("Spring", f"*/10 0 {day}", change),
        ("Spring", f"30 1 {day}", change + half_hour),
        ("Fall", f"30 0 {day}", change - half_hour),
        ("Fall", f"30 1 {day}", change + 3 * half_hour),
    ):

        @workflow(id="tick", schedule={"cron": cron, "timezone": zone})
        async def tick(ctx: WorkflowContext, payload: SchedulePayload) -> None:
            return None

        async with PolosClient(client.api_url) as host:
            await host._connection().serve()
            (found,) = await schedules.list_schedules(host, tick)
        assert found.next_tick == due, (zone, cron)


async def test_schedules_are_created_changed_listed_and_deleted(client):
    @workflow(id="report", schedule=True)
    async def report(ctx, payload):
        return payload

    assert await schedules.create(client, "report", "0 3 * * *") == "report/global"
    assert await schedules.create(client, report, "0 4 * * *") == "report/global"
    await schedules.create(client, "report", "@daily", key="alice", payload={"who": "alice"})
    alice, common = await schedules.list_schedules(client)
    assert (alice.key, alice.payload_json) == ("alice", '{"who":"alice"}')
    assert (common.cron, common.timezone, common.payload_json) == ("0 4 * * *", "UTC", None)
    assert common.next_tick is not None and common.next_tick.hour == 4
    await schedules.delete(client, report)
    with pytest.raises(NotFoundError):
        await schedules.delete(client, report)
    assert [each.key for each in await schedules.list_schedules(client, "report")] == ["alice"]


async def test_a_schedule_rests_and_is_triggered(client):
    await schedules.create(client, "nightly", "0 3 * * *", payload={"n": 1})
    paused = await schedules.pause(client, "nightly", cause="holidays")
    assert (paused.is_paused, paused.problem) == (True, "it is paused: holidays")
    assert paused.next_tick is None
    run_id = await schedules.trigger(client, "nightly", idempotency_key="once")
    assert run_id == await schedules.trigger(client, "nightly", idempotency_key="once")
    assert (await client.get_execution(run_id))["payload"] == {"n": 1}
    with pytest.raises(ConflictError):
        await schedules.trigger(client, "nightly")
    gone_on = await schedules.unpause(client, "nightly")
    assert (gone_on.is_paused, gone_on.problem) == (False, None)
    assert gone_on.next_tick is not None


async def test_agents_are_scheduled(client):
    agent = Agent("morning", provider="scripted", model="scripted")
    with pytest.raises(InvalidArgumentError) as caught:
        await schedules.create(client, agent, "@daily")
    assert caught.value.field == "input_json"
    assert await schedules.create(client, agent, "@daily", payload="What is new?") == (
        "morning/global"
    )
    run_id = await schedules.trigger(client, agent)
    assert (await client.get_execution(run_id))["workflow_id"] == "morning"


async def test_mistakes_name_the_field(client):
    for field, arguments in {
        "cron": {"cron": "99 * * * *"},
        "timezone": {"cron": "@daily", "timezone": "Mars/Phobos"},
        "workflow_id": {"cron": "@daily", "workflow": "a b"},
    }.items():
        with pytest.raises(InvalidArgumentError) as caught:
            await schedules.create(client, **{"workflow": "w", **arguments})
        assert caught.value.field == field


async def test_a_host_with_an_impossible_schedule_is_told(server):
    @workflow(id="never", schedule="0 0 30 2 *")
    async def never(ctx):
        return None

    async with PolosClient(api_url=server.url) as client:
        with pytest.raises(InvalidArgumentError, match="never comes due"):
            await asyncio.wait_for(never.run(client, timeout=SECONDS), SECONDS)


async def test_the_payload_of_a_schedule_comes_out_as_it_went_in(client):
    seen: list[Any] = []

    @workflow
    async def nightly(ctx, payload):
        seen.append(payload)

    told = {"since": datetime(2026, 1, 2), "cities": {"Rome"}}
    await schedules.create(client, nightly, "@yearly", payload=told)
    await nightly.run(client, None)  # this process is a host from here on
    run = await schedules.trigger(client, nightly)
    while (await client.get_execution(run))["status"] != "completed":
        await asyncio.sleep(0.02)
    assert seen == [None, told]
