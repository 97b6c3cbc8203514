"""Workflows that the clock starts, schedules per user, and a run by hand.

    ./run serve &
    python clients/python/examples/16-scheduled-workflow/main.py

Prints:

    alice: 0 9 * * * in Asia/Tokyo, comes due at 00:00 UTC
    bob: 0 9 * * * in Asia/Kolkata, comes due at 03:30 UTC
    cleaned up for 2026-11-22
    left: nothing
"""

import asyncio
import uuid

from polos import Polos, SchedulePayload, WorkflowContext, schedules, workflow

# Names of this run of the program, so that it may be run again.
RUN = uuid.uuid4().hex[:8]


@workflow(id=f"cleanup-{RUN}", schedule={"cron": "0 3 * * *", "key": "nightly"})
async def cleanup(ctx: WorkflowContext, payload: SchedulePayload) -> str:
    await ctx.step.run("clean", lambda: None)
    return f"cleaned up for {payload.timestamp:%Y-%m-%d}"


@workflow(id=f"digest-{RUN}", schedule=True)
async def digest(ctx: WorkflowContext, payload: SchedulePayload) -> str:
    return f"good morning, {payload.key}"


async def main() -> None:
    async with Polos() as polos:
        client = polos.client
        await schedules.create(client, digest, "0 9 * * *", timezone="Asia/Tokyo", key="alice")
        await schedules.create(client, digest, "0 9 * * *", timezone="Asia/Kolkata", key="bob")
        for found in await schedules.list_schedules(client, digest):
            print(
                f"{found.key}: {found.cron} in {found.timezone}, "
                f"comes due at {found.next_tick:%H:%M} UTC"
            )
        tick = {
            "timestamp": "2026-11-22T03:00:00Z",
            "timezone": "UTC",
            "schedule_id": f"cleanup-{RUN}/nightly",
            "key": "nightly",
        }
        print(await cleanup.run(client, tick))
        for name, key in ((digest, "alice"), (digest, "bob"), (cleanup, "nightly")):
            await schedules.delete(client, name, key)
        left = await schedules.list_schedules(client, digest)
        print("left:", left or "nothing")


if __name__ == "__main__":
    asyncio.run(main())
