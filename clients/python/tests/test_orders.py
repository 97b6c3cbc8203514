"""Waits, children and replay against a SIMULATED server."""

from __future__ import annotations

import asyncio
import json
from datetime import datetime

import pytest
from fake_server import settled_step
from flows import error_of, give, serve, value_of
from pydantic import BaseModel

from polos import (
    Agent,
    BatchWorkflowInput,
    EventPayload,
    StepExecutionError,
    tool,
    workflow,
)
from polos.v1 import common_pb2, host_pb2


@pytest.fixture(autouse=True)
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """No task is let go of unless a test wants it."""
    monkeypatch.setenv("POLOS_WAIT_THRESHOLD_SECONDS", "60")


# ---- what is ordered, and what comes of it ----


async def test_a_sleep_is_an_order_and_goes_on_in_place(fake, fake_client):
    @workflow
    async def flow(ctx):
        await ctx.step.wait_for("nap", minutes=1, seconds=1)
        await ctx.step.wait_until("later", datetime(2100, 1, 1))
        return "awake"

    await serve(fake_client)
    task_id = give(fake)
    nap = await fake.order(task_id, "nap")
    assert nap.sleep.duration.ToSeconds() == 61 and (nap.task_id, nap.epoch) == (task_id, 1)
    fake.settle(task_id, "nap")
    later = await fake.order(task_id, "later")
    assert later.sleep.until.ToDatetime() == datetime(2100, 1, 1)
    fake.settle(task_id, "later")
    assert await value_of(fake, task_id) == "awake"
    assert fake.said("park") == [] and fake.said("step_done") == []


@pytest.mark.parametrize("given", [{}, {"seconds": -1}, {"weeks": 1e9}])
async def test_a_wait_of_no_length_is_refused(fake, fake_client, given):
    @workflow
    async def flow(ctx):
        await ctx.step.wait_for("w", **given)

    await serve(fake_client)
    assert "wait_for('w') waits" in (await error_of(fake, give(fake))).message


async def test_suspend_gives_the_event(fake, fake_client):
    @workflow
    async def flow(ctx):
        answer = await ctx.step.suspend("approve", data={"amount": 7}, timeout=30)
        return [answer.get("data"), answer["event_type"], answer["resumed_by"]]

    await serve(fake_client)
    task_id = give(fake)
    order = await fake.order(task_id, "approve")
    assert json.loads(order.suspend.data_json) == {"amount": 7}
    assert order.suspend.timeout.seconds == 30
    fake.settle(task_id, "approve", {"data": {"ok": True}, "resumed_by": "ann"})
    assert await value_of(fake, task_id) == [{"ok": True}, "resume_approve", "ann"]


async def test_a_timeout_is_a_step_failure_with_its_type(fake, fake_client):
    @workflow
    async def flow(ctx):
        try:
            await ctx.step.wait_for_event("e", topic="t", timeout=5)
        except StepExecutionError as error:
            return error.error_type

    await serve(fake_client)
    task_id = give(fake)
    assert (await fake.order(task_id, "e")).await_event.topic == "t"
    fake.settle(task_id, "e", error="TIMEOUT")
    assert await value_of(fake, task_id) == "TIMEOUT"


async def test_events_are_awaited_and_published(fake, fake_client):
    @workflow
    async def flow(ctx):
        event = await ctx.step.wait_for_event("e", topic="t")
        assert isinstance(event, EventPayload)
        await ctx.step.publish_event("p", topic="u", data={"n": event.data["n"]}, event_type="x")
        await ctx.step.publish_workflow_event("q", data={"half": True}, event_type="progress")
        return [event.sequence_id, event.event_type, event.created_at.year, event.id]

    await serve(fake_client)
    task_id = give(fake, root_run_id="root", root_name="top")
    event = {"sequence": 4, "topic": "t", "event_type": "made", "data": {"n": 1},
             "created_at_ms": 1_700_000_000_000}
    await fake.order(task_id, "e")
    fake.settle(task_id, "e", event)
    order = await fake.order(task_id, "p")
    assert (order.publish.topic, order.publish.event_type) == ("u", "x")
    assert json.loads(order.publish.data_json) == {"n": 1}
    fake.settle(task_id, "p", {"sequence": 1})
    assert (await fake.order(task_id, "q")).publish.topic == "workflow/top/root"
    fake.settle(task_id, "q", {"sequence": 1})
    assert await value_of(fake, task_id) == [4, "made", 2023, "t:4"]


async def test_resume_orders_an_answer(fake, fake_client):
    @workflow
    async def flow(ctx):
        await ctx.step.resume("r", "approve", "run-7", "other", {"ok": 1})

    await serve(fake_client)
    task_id = give(fake)
    order = (await fake.order(task_id, "r")).resume
    assert (order.run_id, order.step_key, order.data_json) == ("run-7", "approve", '{"ok":1}')
    fake.settle(task_id, "r", {"accepted": True})
    assert await value_of(fake, task_id) is None


class Out(BaseModel):
    n: int


async def test_children_are_started_and_awaited(fake, fake_client):
    @workflow
    async def child(ctx, payload) -> Out:
        return Out(n=1)

    @tool
    async def helper(ctx):
        return None

    @workflow
    async def flow(ctx):
        handle = await ctx.step.invoke("i", child, {"a": 1}, run_timeout_seconds=9)
        found = await ctx.step.invoke_and_wait("w", child, {"a": 2}, initial_state={"s": 1})
        other = await ctx.step.invoke_and_wait("t", "helper", None, max_retries=0)
        return [handle.id, handle.workflow_id, handle.step_key, type(found).__name__, other]

    await serve(fake_client)
    task_id = give(fake, session_id="s1", user_id="u1")
    order = (await fake.order(task_id, "i")).start_runs
    (spec,) = order.runs
    assert not order.wait and (spec.kind, spec.name) == (common_pb2.RUN_KIND_WORKFLOW, "child")
    assert spec.input_json == '{"a":1}' and spec.options.run_timeout.seconds == 9
    assert (spec.options.session_id, spec.options.user_id) == ("s1", "u1")
    fake.settle(task_id, "i", [{"run_id": "c1"}])
    order = (await fake.order(task_id, "w")).start_runs
    assert order.wait and order.runs[0].options.initial_state_json == '{"s":1}'
    fake.settle(task_id, "w", [{"run_id": "c2", "status": "completed", "result": {"n": 5}}])
    order = (await fake.order(task_id, "t")).start_runs
    assert order.runs[0].kind == common_pb2.RUN_KIND_TOOL
    assert order.runs[0].options.HasField("retry")
    assert order.runs[0].options.retry.max_retries == 0
    fake.settle(task_id, "t", [{"run_id": "c3", "status": "completed", "result": "h"}])
    assert await value_of(fake, task_id) == ["c1", "child", "i", "Out", "h"]


async def test_a_failed_child_is_a_step_failure_and_part_of_a_batch(fake, fake_client):
    @workflow
    async def flow(ctx):
        try:
            await ctx.step.invoke_and_wait("one", "child", {})
        except StepExecutionError as error:
            first = [error.error_type, error.message]
        inputs = [BatchWorkflowInput(id="child", payload=n) for n in range(3)]
        results = await ctx.step.batch_invoke_and_wait("many", inputs)
        handles = await ctx.step.batch_invoke("go", inputs)
        assert await ctx.step.batch_invoke_and_wait("none", []) == []
        return [first, [r.model_dump() for r in results], [h.id for h in handles]]

    await serve(fake_client)
    task_id = give(fake)
    await fake.order(task_id, "one")
    failed = {"run_id": "a", "status": "failed", "error": {"reason": "BROKEN", "message": "no"}}
    fake.settle(task_id, "one", [failed])
    order = (await fake.order(task_id, "many")).start_runs
    assert [c.input_json for c in order.runs] == ["0", "1", "2"]
    cancelled = {"run_id": "b", "status": "cancelled"}
    fine = {"run_id": "c", "status": "completed", "result": 0}
    fake.settle(task_id, "many", [failed, cancelled, fine])
    await fake.order(task_id, "go")
    fake.settle(task_id, "go", [{"run_id": n} for n in "xyz"])
    first, results, handles = await value_of(fake, task_id)
    assert first == ["BROKEN", "step 'one' failed: child: no"]
    assert [(r["success"], r["result"], r["error"]) for r in results] == [
        (False, None, "no"),
        (False, None, "the run was cancelled"),
        (True, 0, None),
    ]
    assert handles == ["x", "y", "z"]


async def test_agents_are_invoked_with_their_session_and_options(fake, fake_client):
    agent = Agent(id="writer", provider="scripted", model="m", output_schema=Out)

    @workflow
    async def flow(ctx):
        found = await ctx.step.agent_invoke_and_wait(
            "a", agent.with_input("hi", session_id="mine", reasoning={"effort": "low"})
        )
        handles = await ctx.step.batch_agent_invoke("b", [agent.with_input("x")])
        results = await ctx.step.batch_agent_invoke_and_wait("c", [agent.with_input("y")])
        return [found.result.n, found.agent_run_id, handles[0].id, results[0].result.result.n]

    await serve(fake_client)
    task_id = give(fake, session_id="flow", user_id="u")
    (spec,) = (await fake.order(task_id, "a")).start_runs.runs
    assert (spec.kind, spec.input) == (common_pb2.RUN_KIND_AGENT, "hi")
    assert (spec.options.session_id, spec.options.user_id) == ("mine", "u")
    assert json.loads(spec.options.provider_options_json) == {"reasoning": {"effort": "low"}}
    fake.settle(task_id, "a", [{"run_id": "r1", "status": "completed", "result": {"n": 3}}])
    await fake.order(task_id, "b")
    fake.settle(task_id, "b", [{"run_id": "r2"}])
    await fake.order(task_id, "c")
    fake.settle(task_id, "c", [{"run_id": "r3", "status": "completed", "result": '{"n":4}'}])
    assert await value_of(fake, task_id) == [3, "r1", "r2", 4]


async def test_everything_works_inside_a_tool_and_in_parallel(fake, fake_client):
    @tool
    async def wide(ctx):
        async def branch(n):
            await ctx.step.wait_for(f"w{n}", hours=1)
            return await ctx.step.run(f"s{n}", lambda: n)

        return await asyncio.gather(*(branch(n) for n in range(4)))

    await serve(fake_client)
    task_id = fake.give("wide", {})
    await fake.until(lambda: len(fake.orders(task_id)) == 4)
    for n in (2, 0, 3, 1):
        fake.settle(task_id, f"w{n}")
    assert await value_of(fake, task_id) == [0, 1, 2, 3]


async def test_more_waits_than_the_server_takes_are_held_back(fake, fake_client):
    @workflow
    async def flow(ctx):
        await asyncio.gather(*(ctx.step.suspend(f"s{n}", {}) for n in range(40)))

    await serve(fake_client)
    task_id = give(fake)
    await fake.until(lambda: len(fake.orders(task_id)) == 31)
    for n in range(40):
        await fake.order(task_id, f"s{n}")
        fake.settle(task_id, f"s{n}", n)
    await value_of(fake, task_id)


async def test_a_refused_order_is_an_error_that_may_be_caught(fake, fake_client):
    @workflow
    async def flow(ctx):
        try:
            await ctx.step.publish_event("p", topic="", data={})
        except StepExecutionError as error:
            return error.error_type

    await serve(fake_client)
    fake.hold_acks = True
    task_id = give(fake)
    await fake.order(task_id, "p")
    body = host_pb2.Refused(refused_seq=1, reason="INVALID_FIELD", message="topic")
    fake.hold_acks = False
    fake.send(host_pb2.ServerMessage(refused=body))
    assert await value_of(fake, task_id) == "INVALID_FIELD"


async def test_waits_survive_cut_streams_and_restarted_servers(fake, fake_client):
    begun = 0

    @workflow
    async def flow(ctx):
        nonlocal begun
        begun += 1
        await ctx.step.wait_for("a", hours=1)
        await ctx.step.wait_for("b", hours=1)
        return "ok"

    await serve(fake_client)
    task_id = give(fake)
    await fake.order(task_id, "a")
    fake.cut()
    await fake.until(lambda: len(fake.hellos) == 2)
    fake.settle(task_id, "a")
    await fake.order(task_id, "b")
    fake.heard.clear()
    await fake.restart()
    await fake.order(task_id, "b")  # asked again
    fake.settle(task_id, "b")
    assert await value_of(fake, task_id) == "ok" and begun == 1


# ---- replay ----


async def test_a_replay_answers_orders_without_the_server(fake, fake_client):
    @workflow
    async def flow(ctx):
        await ctx.step.wait_for("nap", hours=1)
        answer = await ctx.step.suspend("ask", {})
        return [answer["data"], await ctx.step.run("last", lambda: "new")]

    await serve(fake_client)
    steps = [
        settled_step("nap", None, kind="sleep"),
        settled_step("ask", {"data": 5}, kind="suspend"),
    ]
    task_id = give(fake, steps, epoch=2)
    assert await value_of(fake, task_id) == [5, "new"]
    assert fake.orders(task_id) == []
    assert [s.number for s in fake.said("step_done")] == [1]


async def test_a_replay_takes_the_way_of_the_first_execution(fake, fake_client):
    """The reminder fired, was acted on, and only then came the answer."""

    @workflow
    async def flow(ctx):
        answer = asyncio.create_task(ctx.step.suspend("answer", {}))
        reminder = asyncio.create_task(ctx.step.wait_for("reminder", hours=1))
        way = []
        await asyncio.wait([answer, reminder], return_when=asyncio.FIRST_COMPLETED)
        if not answer.done():
            way.append(await ctx.step.run("remind", lambda: "reminded"))
        way.append((await answer)["data"])
        return way

    await serve(fake_client)
    steps = [
        settled_step("reminder", None, kind="sleep"),
        settled_step("remind", "reminded"),
        settled_step("answer", {"data": "yes"}, kind="suspend"),
    ]
    assert await value_of(fake, give(fake, steps)) == ["reminded", "yes"]


async def test_parallel_branches_are_answered_in_the_order_of_the_history(fake, fake_client):
    seen: list[int] = []

    @workflow
    async def flow(ctx):
        async def branch(n):
            await ctx.step.run(f"s{n}", lambda: n)
            seen.append(n)

        await asyncio.gather(*(branch(n) for n in range(50)))

    await serve(fake_client)
    order = [*range(1, 50, 2), *range(48, -1, -2)]
    await value_of(fake, give(fake, [settled_step(f"s{n}", n) for n in order]))
    assert seen == order


async def test_steps_asked_for_in_another_order_are_another_program(fake, fake_client):
    @workflow
    async def flow(ctx):
        return [await ctx.step.run(key, lambda: "new") for key in ("b", "a")]

    await serve(fake_client)
    steps = [settled_step("a", 1), settled_step("b", 2)]
    message = await fake.mismatch(give(fake, steps))
    lines = [line.split() for line in message.splitlines()]
    assert ["'a'", "(step)", "'b'", "(step)", "<-", "differs"] in lines


async def test_another_step_than_the_history_has_is_told_side_by_side(fake, fake_client):
    ran: list[str] = []

    @workflow
    async def flow(ctx):
        try:
            await ctx.step.run("a", lambda: 1)
            await ctx.step.run("changed", ran.append, "changed")
        except Exception:
            pass  # cannot hold it up
        await ctx.step.run("b", ran.append, "b")

    await serve(fake_client)
    steps = [settled_step("a", 1), settled_step("nap", None, kind="sleep")]
    message = await fake.mismatch(give(fake, steps))
    assert ran == []
    lines = [line.split() for line in message.splitlines()]
    assert ["'a'", "'a'"] in lines
    assert ["'nap'", "(sleep)", "'changed'", "(step)", "<-", "differs"] in lines


async def test_a_key_that_became_another_kind_of_step_is_an_error(fake, fake_client):
    @workflow
    async def flow(ctx):
        await ctx.step.suspend("a", {})

    await serve(fake_client)
    for step in (settled_step("a", 1), settled_step("a", None, kind="sleep")):
        assert "'a' (suspend)" in await fake.mismatch(give(fake, [step]))


async def test_code_that_ends_before_its_history_is_an_error(fake, fake_client):
    @workflow
    async def flow(ctx):
        return await ctx.step.run("a", lambda: 1)

    await serve(fake_client)
    message = await fake.mismatch(give(fake, [settled_step("a", 1), settled_step("b", 2)]))
    assert "the end of the code" in message


async def test_a_step_that_was_at_work_in_another_branch_is_not_an_error(fake, fake_client):
    """Slow had begun but not settled when the host died; the other branch was ahead."""

    @workflow
    async def flow(ctx):
        async def quick():
            await asyncio.sleep(0.02)
            return [await ctx.step.run(f"q{n}", lambda: "new") for n in range(2)]

        return await asyncio.gather(ctx.step.run("slow", lambda: "slow"), quick())

    await serve(fake_client)
    steps = [settled_step("q0", "old"), settled_step("q1", "old")]
    assert await value_of(fake, give(fake, steps)) == ["slow", ["old", "old"]]
