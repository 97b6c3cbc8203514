"""What code gives up before it has come about, on the real polosd."""

from __future__ import annotations

import asyncio
from collections import Counter

import pytest

from polos import ExecutionHandle, RunCancelledError, RunFailedError, workflow

SECONDS = 20


@pytest.fixture
def let_go(monkeypatch: pytest.MonkeyPatch) -> None:
    """Code that only waits is run again for whatever comes."""
    monkeypatch.setenv("POLOS_WAIT_THRESHOLD_SECONDS", "0")


async def kinds(client, run_id: str) -> list[str]:
    return [event.type for event in await client.history(run_id)]


async def test_a_step_that_was_given_up_is_not_begun_again(client, let_go):
    called = Counter[str]()

    async def slow() -> None:
        called["slow"] += 1
        await asyncio.sleep(60)

    @workflow
    async def flow(ctx):
        called["flow"] += 1
        try:
            await asyncio.wait_for(ctx.step.run("slow", slow), 0.1)
        except asyncio.TimeoutError:
            how = await ctx.step.run("other", lambda: "the other way")
        await ctx.step.wait_for("pause", seconds=0.1)
        return how

    handle = await flow.invoke(client)
    assert await handle.result(client, timeout=SECONDS) == "the other way"
    assert called["slow"] == 1 and called["flow"] >= 2
    assert (await kinds(client, handle.id)).count("WITHDRAWN") == 1
    assert "gave up step 'slow'" in (await client.history(handle.id)).text()


async def test_a_wait_that_was_given_up_is_over_and_its_children_are_cancelled(client):
    go_on = asyncio.Event()

    @workflow
    async def child(ctx):
        await ctx.step.wait_for("long", hours=1)

    @workflow
    async def flow(ctx):
        waits = [
            ctx.step.suspend("ask", {}),
            ctx.step.wait_for("nap", hours=1),
            ctx.step.wait_for_event("hear", topic="never"),
            ctx.step.invoke_and_wait("child", child),
        ]
        try:
            await asyncio.wait_for(asyncio.gather(*waits), 0.3)
        except asyncio.TimeoutError:
            await ctx.step.run("went on", lambda: None)
        await go_on.wait()

    handle = await flow.invoke(client)
    while (await kinds(client, handle.id)).count("WITHDRAWN") < 4:
        await asyncio.sleep(0.02)
    assert await client.list_suspensions(handle.id) == []
    (started,) = await client.list_executions(parent_execution_id=handle.id)
    with pytest.raises(RunCancelledError):
        await ExecutionHandle(id=started["id"]).result(client, SECONDS)
    assert "gave it up" in (await client.history(started["id"])).text()
    go_on.set()
    await handle.result(client, timeout=SECONDS)


async def test_a_later_attempt_asks_again_for_what_the_one_that_failed_gave_up(client):
    called = Counter[str]()

    async def slow_at_first() -> str:
        called["slow"] += 1
        await asyncio.sleep(60 if called["slow"] == 1 else 0)
        return "done"

    @workflow
    async def flow(ctx):
        await ctx.step.run("first", lambda: None)
        done = asyncio.ensure_future(ctx.step.run("slow", slow_at_first))
        try:
            return await asyncio.wait_for(done, 0.2)
        except asyncio.TimeoutError:
            await asyncio.sleep(0.1)  # so that it is said
            raise

    handle = await flow.invoke(client, max_retries=1)
    assert await handle.result(client, timeout=SECONDS) == "done" and called["slow"] == 2
    called.clear()
    handle = await flow.invoke(client, max_retries=0)
    with pytest.raises(RunFailedError):
        await handle.result(client, timeout=SECONDS)
    again = await client.retry(handle.id)
    assert await again.result(client, timeout=SECONDS) == "done" and called["slow"] == 2


async def test_the_cancellation_is_seen_at_the_same_place_in_every_execution(client, let_go):
    ways: list[str] = []

    @workflow
    async def flow(ctx):
        at = "before"
        try:
            await ctx.step.run("a", lambda: None)
            at = "waiting"
            await ctx.step.suspend("ask", {})
        except asyncio.CancelledError:
            ways.append(at)
            await ctx.step.run("undo", lambda: None)
            raise

    handle = await flow.invoke(client)
    while not await client.list_suspensions(handle.id):
        await asyncio.sleep(0.02)
    assert await handle.cancel(client)
    with pytest.raises(RunCancelledError):
        await handle.result(client, timeout=SECONDS)
    assert ways == ["waiting"]
    told = await kinds(client, handle.id)
    assert told.index("CANCEL_REQUESTED") < told.index("CANCEL_SHOWN")
