"""Parking, cancellation, state and what a run is told, against a SIMULATED server."""

from __future__ import annotations

import asyncio
import importlib.util
import json
from datetime import datetime, timedelta, timezone

import pytest
from fake_server import settled_step
from flows import FLOW, error_of, give, serve, until_nothing_is_held, value_of
from google.protobuf import timestamp_pb2
from pydantic import BaseModel

from polos import (
    ExecutionCancelledError,
    InvalidArgumentError,
    WorkflowState,
    tool,
    workflow,
)
from polos.v1 import steps_pb2


SHOWN = steps_pb2.SettledStep(kind=steps_pb2.STEP_KIND_CANCEL_SHOWN)


@pytest.fixture(autouse=True)
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """No task is let go of unless a test wants it."""
    monkeypatch.setenv("POLOS_WAIT_THRESHOLD_SECONDS", "60")


@pytest.fixture
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("POLOS_WAIT_THRESHOLD_SECONDS", "0")


# ---- parking ----


async def test_code_that_only_waits_is_let_go_of(fake, fake_client, at_once):
    ways: list[str] = []

    @workflow
    async def flow(ctx):
        await ctx.step.run("first", lambda: 1)
        try:
            await ctx.step.wait_for("nap", hours=1)
        except Exception:
            ways.append("caught")
        finally:
            ways.append("finally")
            await ctx.step.run("tidy", ways.append, "tidy")
        return "done"

    await serve(fake_client)
    task_id = give(fake)
    await fake.until(lambda: fake.said("park"))
    (park,) = fake.said("park")
    assert (park.task_id, park.epoch, park.results_seen) == (task_id, 1, 0)
    await until_nothing_is_held(fake_client)
    assert ways == ["finally"] and [s.key for s in fake.said("step_done")] == ["first"]
    assert fake.done(task_id) is None
    steps = [settled_step("first", 1), settled_step("nap", None, kind="sleep")]
    give(fake, steps, task_id=task_id, epoch=2, settled_count=1)
    assert await value_of(fake, task_id) == "done"
    assert ways == ["finally", "finally", "tidy"]
    assert fake.said("step_done")[-1].number == 2


async def test_parallel_waits_are_let_go_of_together(fake, fake_client, at_once):
    @workflow
    async def flow(ctx):
        first = ctx.step.suspend("a", {})
        second = ctx.step.wait_for("b", hours=1)
        left = asyncio.create_task(ctx.step.wait_for("left behind", hours=1))
        return [await asyncio.gather(first, second), left]

    await serve(fake_client)
    task_id = give(fake)
    await fake.until(lambda: fake.said("park"))
    assert {o.key for o in fake.orders(task_id)} == {"a", "b", "left behind"}
    await until_nothing_is_held(fake_client)


async def test_code_with_a_step_at_work_is_kept(fake, fake_client, at_once):
    go_on = asyncio.Event()

    @workflow
    async def flow(ctx):
        await asyncio.gather(ctx.step.wait_for("nap", hours=1), ctx.step.run("busy", go_on.wait))

    await serve(fake_client)
    task_id = give(fake)
    await fake.order(task_id, "nap")
    await asyncio.sleep(0.1)  # long enough to be let go of, were it not busy
    assert fake.said("park") == []
    go_on.set()
    await fake.until(lambda: fake.said("park"))


async def test_an_outcome_that_comes_while_the_code_unwinds_is_not_counted(
    fake, fake_client, at_once
):
    unwinding, go_on = asyncio.Event(), asyncio.Event()

    @workflow
    async def flow(ctx):
        try:
            await ctx.step.wait_for("nap", hours=1)
        finally:
            unwinding.set()
            await go_on.wait()

    await serve(fake_client)
    task_id = give(fake)
    await asyncio.wait_for(unwinding.wait(), 5)
    fake.settle(task_id, "nap")
    await asyncio.sleep(0.05)
    go_on.set()
    await fake.until(lambda: fake.said("park"))
    assert fake.said("park")[0].results_seen == 0


async def test_code_that_does_not_end_when_let_go_of_is_cancelled(fake, fake_client, at_once):
    @workflow
    async def flow(ctx):
        wait = asyncio.create_task(ctx.step.wait_for("nap", hours=1))
        await asyncio.get_running_loop().create_future()
        await wait

    await serve(fake_client)
    give(fake)
    await fake.until(lambda: fake.said("park"), 10)


async def test_a_host_that_leaves_gives_back_what_only_waits(fake, fake_client):
    @workflow
    async def flow(ctx):
        await ctx.step.suspend("ask", {})

    @tool
    async def busy(ctx):
        await asyncio.sleep(60)

    await serve(fake_client)
    task_id = give(fake)
    fake.give("busy", {})
    await fake.order(task_id, "ask")
    await asyncio.wait_for(fake_client.close(), 1.5)
    assert [park.task_id for park in fake.said("park")] == [task_id]


def test_a_threshold_that_is_no_number_is_named(monkeypatch):
    from polos._execution.parking import wait_threshold

    for text in ("soon", "-1", "inf"):
        monkeypatch.setenv("POLOS_WAIT_THRESHOLD_SECONDS", text)
        with pytest.raises(InvalidArgumentError, match="POLOS_WAIT_THRESHOLD_SECONDS"):
            wait_threshold()


# ---- cancellation ----


async def test_a_cancellation_is_seen_at_the_wait_and_cleans_up(fake, fake_client):
    ways: list[str] = []

    async def undo(ctx, payload):
        await ctx.step.run("undo", ways.append, f"undo {payload}")

    @workflow(on_cancel=undo)
    async def flow(ctx, payload):
        try:
            await ctx.step.suspend("ask", {})
        except Exception:
            ways.append("caught")
        except ExecutionCancelledError:
            ways.append(f"told {ctx.is_cancelling}")
            raise
        finally:
            await ctx.step.run("tidy", ways.append, "tidy")

    await serve(fake_client)
    task_id = give(fake, value=7)
    await fake.order(task_id, "ask")
    fake.interrupt(task_id)
    fake.interrupt(task_id)  # told twice, seen once
    error = await error_of(fake, task_id)
    assert error.type == "ExecutionCancelledError" and not fake.ended(task_id).retryable
    assert ways == ["told True", "tidy", "undo 7"]
    assert [s.key for s in fake.said("step_done")] == ["tidy", "undo"]
    assert fake.said("task_done")[0].cancelled


async def test_a_step_at_work_ends_before_the_cancellation_is_seen(fake, fake_client):
    go_on = asyncio.Event()

    @workflow
    async def flow(ctx):
        await ctx.step.run("charge", go_on.wait)
        await ctx.step.run("ship", lambda: "must not")

    await serve(fake_client)
    task_id = give(fake)
    await asyncio.sleep(0.05)
    fake.interrupt(task_id)
    await asyncio.sleep(0.05)
    go_on.set()
    await error_of(fake, task_id)
    assert [s.key for s in fake.said("step_done")] == ["charge"]
    assert fake.said("task_done")[0].cancelled


async def test_all_parallel_branches_see_the_cancellation(fake, fake_client):
    seen: list[int] = []

    @workflow
    async def flow(ctx):
        async def branch(n):
            try:
                await ctx.step.suspend(f"s{n}", {})
            finally:
                seen.append(n)

        try:
            await asyncio.gather(*(branch(n) for n in range(3)))
        finally:
            await ctx.step.run("tidy", lambda: None)

    await serve(fake_client)
    task_id = give(fake)
    await fake.until(lambda: len(fake.orders(task_id)) == 3)
    fake.interrupt(task_id)
    await error_of(fake, task_id)
    assert sorted(seen) == [0, 1, 2] and [s.key for s in fake.said("step_done")] == ["tidy"]


async def test_a_task_that_comes_cancelled_is_replayed_up_to_its_wait(fake, fake_client):
    ran: list[str] = []

    @workflow
    async def flow(ctx):
        done = []
        try:
            done.append(await ctx.step.run("a", lambda: "never"))
            await ctx.step.suspend("ask", {})
        finally:
            await ctx.step.run("undo 1", lambda: "never")
            await ctx.step.run("undo 2", ran.append, done[0])

    await serve(fake_client)
    steps = [settled_step("a", "kept"), SHOWN, settled_step("undo 1", None)]
    task_id = give(fake, steps, epoch=3, cancelling=True)
    await error_of(fake, task_id)
    assert ran == ["kept"] and fake.orders(task_id) == [] and fake.said("cancel_shown") == []
    assert [(s.key, s.number) for s in fake.said("step_done")] == [("undo 2", 4)]
    assert fake.said("task_done")[0].cancelled
    # A journal that an older release has written does not say where that was.
    task_id = give(fake, [steps[0], steps[2]], epoch=3, cancelling=True)
    await error_of(fake, task_id)
    assert [shown.number for shown in fake.said("cancel_shown", task_id)] == [3]
    assert [(s.key, s.number) for s in fake.said("step_done", task_id)] == [("undo 2", 4)]


async def test_what_code_gives_up_is_said_when_it_goes_on(fake, fake_client):
    ran: list[str] = []

    async def slow() -> None:
        ran.append("slow")
        await asyncio.sleep(60)

    @workflow
    async def flow(ctx):
        try:
            await asyncio.wait_for(ctx.step.run("slow", slow), 0.05)
        except asyncio.TimeoutError:
            await ctx.step.run("other", lambda: None)
        try:
            await asyncio.wait_for(ctx.step.suspend("ask", {}), 0.05)
        except asyncio.TimeoutError:
            return "nobody answered"

    await serve(fake_client)
    task_id = give(fake)
    assert await value_of(fake, task_id) == "nobody answered"
    told = [(w.key, w.number, w.facts_seen) for w in fake.said("withdraw", task_id)]
    assert told[0] == ("slow", 1, 0) and ran == ["slow"]
    given_up = steps_pb2.SettledStep(key="slow", kind=steps_pb2.STEP_KIND_WITHDRAWN)
    task_id = give(fake, [given_up, settled_step("other", None)], epoch=2)
    assert await value_of(fake, task_id) == "nobody answered"
    assert ran == ["slow"] and "slow" not in [w.key for w in fake.said("withdraw", task_id)]


async def test_what_is_taken_from_code_that_is_stopped_is_not_given_up(fake, fake_client):
    @workflow
    async def flow(ctx):
        async def deep(depth: int) -> None:
            if depth:
                await asyncio.gather(deep(depth - 1))
            else:
                await ctx.step.run("slow", asyncio.sleep, 60)

        await deep(5)

    await serve(fake_client)
    task_id = give(fake)
    await asyncio.sleep(0.05)
    await fake_client.close()
    assert fake.said("withdraw", task_id) == []


async def test_a_wait_refused_because_of_the_cancellation_is_where_it_is_seen(fake, fake_client):
    """The server had the cancellation before the order, live and in a replay."""
    seen: list[str] = []

    @workflow
    async def flow(ctx):
        try:
            await ctx.step.wait_for("w", hours=1)
        except asyncio.CancelledError:
            await ctx.step.run("tidy", seen.append, "tidy")

    await serve(fake_client)
    task_id = give(fake)
    await fake.order(task_id, "w")
    fake.interrupt(task_id)
    fake.settle(task_id, "w", error="CANCELLED")
    await fake.outcome(task_id)
    refused = settled_step("w", kind="sleep", error="CANCELLED")
    await fake.outcome(give(fake, [refused], cancelling=True))
    assert seen == ["tidy", "tidy"] and all(d.cancelled for d in fake.said("task_done"))


async def test_code_that_ends_by_itself_is_not_cancelled(fake, fake_client):
    @workflow
    async def flow(ctx):
        return await ctx.step.run("a", lambda: "never")

    await serve(fake_client)
    task_id = give(fake, [settled_step("a", "kept")], cancelling=True)
    assert await value_of(fake, task_id) == "kept"
    assert not fake.said("task_done")[0].cancelled


async def test_code_that_holds_the_cancellation_up_is_cancelled_all_the_same(fake, fake_client):
    @workflow
    async def flow(ctx):
        try:
            await ctx.step.suspend("ask", {})
        except asyncio.CancelledError:
            return "went on"

    await serve(fake_client)
    task_id = give(fake)
    await fake.order(task_id, "ask")
    fake.interrupt(task_id)
    assert await value_of(fake, task_id) == "went on"
    assert fake.said("task_done")[0].cancelled


async def test_a_cancelled_wait_outside_steps_is_interrupted(fake, fake_client):
    begun = asyncio.Event()

    @tool
    async def endless(ctx):
        begun.set()
        await asyncio.sleep(60)

    await serve(fake_client)
    task_id = fake.give("endless", {})
    await asyncio.wait_for(begun.wait(), 5)
    fake.interrupt(task_id)
    await error_of(fake, task_id)
    assert fake.said("task_done")[0].cancelled


# ---- state ----


class Out(BaseModel):
    n: int


class Counter(WorkflowState):
    count: int = 0
    names: list[str] = []


async def test_state_is_kept_with_the_step_that_changed_it(fake, fake_client):
    @workflow(state_schema=Counter)
    async def flow(ctx):
        await ctx.step.run("a", lambda: 1)
        ctx.state.count += 1
        await ctx.step.run("b", lambda: 1)
        await ctx.step.run("c", lambda: 1)
        ctx.state.names.append("end")
        return ctx.state.count

    await serve(fake_client)
    task_id = give(fake)
    assert await value_of(fake, task_id) == 1
    assert [s.state_json for s in fake.said("step_done")] == ["", '{"count":1,"names":[]}', ""]
    assert fake.said("task_done")[0].state_json == '{"count":1,"names":["end"]}'


async def test_a_replay_builds_the_state_anew_from_the_initial_one(fake, fake_client):
    seen: list[int] = []

    @workflow(state_schema=Counter)
    async def flow(ctx):
        for n in range(3):
            seen.append(ctx.state.count)
            ctx.state.count += 1
            await ctx.step.run(f"s{n}", lambda: None)
        return ctx.state.count

    await serve(fake_client)
    task_id = give(fake, state_json='{"count":10}')
    assert await value_of(fake, task_id) == 13 and seen == [10, 11, 12]
    first = fake.said("step_done")[0]
    assert first.key == "polos.initial_state" and json.loads(first.outcome.value_json) == {
        "count": 10
    }
    seen.clear()
    steps = [settled_step("polos.initial_state", {"count": 10}), settled_step("s0"),
             settled_step("s1")]
    task_id = give(fake, steps, state_json='{"count":12,"names":[]}')
    assert await value_of(fake, task_id) == 13 and seen == [10, 11, 12]


async def test_the_kept_state_counts_where_code_does_not_build_it_again(fake, fake_client):
    @workflow(state_schema=Counter)
    async def flow(ctx):
        await ctx.step.run("a", lambda: None)
        return ctx.state.count

    await serve(fake_client)
    task_id = give(fake, [settled_step("a")], state_json='{"count":5,"names":[]}')
    assert await value_of(fake, task_id) == 5


async def test_state_without_a_schema_is_a_dict_and_bad_state_is_named(fake, fake_client):
    @workflow
    async def flow(ctx):
        ctx.state["n"] = 1
        ctx.state = {**ctx.state, "m": 2}
        return ctx.state

    @workflow(id="typed", state_schema=Counter)
    async def typed(ctx):
        return None

    await serve(fake_client)
    assert await value_of(fake, give(fake)) == {"n": 1, "m": 2}
    task_id = fake.give("typed", None, kind=FLOW, state_json='{"count":"x"}')
    assert "the state does not fit" in (await error_of(fake, task_id)).message
    with pytest.raises(TypeError, match="needs defaults for n"):
        workflow(id="w", state_schema=Out)(lambda ctx: None)


# ---- what may be tried again, triggers, traces ----


async def test_what_a_workflow_raises_may_be_tried_again_and_what_a_step_raises_not(
    fake, fake_client
):
    @workflow
    async def flow(ctx, payload):
        if payload == "step":
            await ctx.step.run("s", lambda: 1 / 0, max_retries=0)
        raise LookupError("maybe later")

    @tool
    async def broken(ctx):
        raise LookupError("no")

    await serve(fake_client)
    given = [give(fake, value="code"), give(fake, value="step"), fake.give("broken", {})]
    for task_id, retryable in zip(given, (True, False, False)):
        await error_of(fake, task_id)
        assert fake.ended(task_id).retryable == retryable


async def test_triggers_are_offered_and_events_have_their_documented_names(fake, fake_client):
    @workflow(trigger_on_event="orders", batch_size=10, batch_timeout_seconds=0.5)
    async def flow(ctx, payload):
        return [event["sequence_id"] for event in payload["events"]]

    await serve(fake_client)
    (offered,) = fake.hellos[-1].offers.workflows
    trigger = offered.trigger
    assert (trigger.topic, trigger.batch_size) == ("orders", 10)
    assert trigger.batch_timeout.ToMilliseconds() == 500
    event = {"sequence": 3, "topic": "orders", "data": {}, "created_at_ms": 1}
    assert await value_of(fake, give(fake, value={"events": [event]})) == [3]
    for wrong in ({"batch_size": 2}, {"trigger_on_event": ""},
                  {"trigger_on_event": "t", "batch_size": 0}):
        with pytest.raises(ValueError):
            workflow(id="w", **wrong)


async def test_the_context_tells_of_its_run(fake, fake_client):
    otel = importlib.util.find_spec("opentelemetry")

    @workflow
    async def flow(ctx):
        with ctx.step.trace("look", {"a": 1}) as span:
            span.set_attribute("b", 2)
            span.add_event("seen")
        assert otel or (ctx.otel_traceparent, ctx.otel_span_id, span.span_id) == (None,) * 3
        return [ctx.parent_execution_id, ctx.root_workflow_id, ctx.retry_count, ctx.attempt,
                ctx.created_at == datetime.fromtimestamp(5, timezone.utc) + timedelta(0)]

    await serve(fake_client)
    task_id = give(fake, parent_run_id="p", root_name="top", retry_count=2, epoch=4,
                   created_at=timestamp_pb2.Timestamp(seconds=5))
    assert await value_of(fake, task_id) == ["p", "top", 2, 4, True]
