"""Waits, children, suspensions, events, cancellation and state on the real polosd."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from typing import Any

import pytest
from pydantic import BaseModel, Field

from polos import (
    Agent,
    BatchEventPayload,
    BatchWorkflowInput,
    ConflictError,
    EventData,
    EventPayload,
    ExecutionHandle,
    InvalidArgumentError,
    NotFoundError,
    PolosClient,
    RunCancelledError,
    RunFailedError,
    StepExecutionError,
    Suspension,
    WorkflowContext,
    WorkflowState,
    WorkflowTimeoutError,
    batch_agent_invoke,
    events,
    tool,
    workflow,
)

SECONDS = 15


@pytest.fixture
def let_go(monkeypatch) -> None:
    monkeypatch.setenv("POLOS_WAIT_THRESHOLD_SECONDS", "0")


async def until_waits(client: PolosClient, run_id: str, *kinds: str, code: str = "") -> None:
    """Returns when the run waits for all these; `code`: and its host was let go of."""

    async def look() -> None:
        while True:
            waiting = (await client.get_execution(run_id))["waiting"]
            found = Counter(each["kind"] for each in waiting)
            types = [e.type for e in await client.history(run_id)] if code else []
            if all(found[kind] >= count for kind, count in Counter(kinds).items()):
                if not code or code in types:
                    return
            await asyncio.sleep(0.02)

    await asyncio.wait_for(look(), SECONDS)


async def result(client: PolosClient, handle: ExecutionHandle) -> Any:
    return await handle.result(client, SECONDS)


async def types_of(client: PolosClient, run_id: str) -> Counter[str]:
    return Counter(event.type for event in await client.history(run_id))


# ---- waits ----


async def test_waits_in_parallel_end_each_at_its_time(client, threshold):
    @workflow
    async def flow(ctx):
        async def branch(name, seconds):
            await ctx.step.wait_for(f"w-{name}", seconds=seconds)
            return await ctx.step.run(f"s-{name}", lambda: name)

        return await asyncio.gather(branch("a", 0.3), branch("b", 0.1), branch("c", 0.2))

    assert await flow.run(client, timeout=SECONDS) == ["a", "b", "c"]


async def test_a_hundred_waits_at_once(client, threshold):
    @workflow
    async def flow(ctx):
        waits = [ctx.step.wait_for(f"w{n}", seconds=0.1) for n in range(100)]
        return len(await asyncio.gather(*waits))

    assert await flow.run(client, timeout=SECONDS) == 100


async def test_those_who_wait_make_room_for_what_they_wait_for(server, monkeypatch):
    """A host with all its slots taken by parents still runs their children, and theirs."""
    monkeypatch.setenv("POLOS_WAIT_THRESHOLD_SECONDS", "3600")
    monkeypatch.setenv("POLOS_MAX_CONCURRENT_WORKFLOWS", "2")

    @workflow
    async def below(ctx, depth: int) -> int:
        if depth == 0:
            return 1
        return await ctx.step.invoke_and_wait("below", below, depth - 1)

    @workflow
    async def asks(ctx):
        return await ctx.step.suspend("ask", {})

    async with PolosClient(api_url=server.url) as client:
        waiting = [await asks.invoke(client) for _ in range(5)]
        runs = [below.run(client, 4, timeout=SECONDS) for _ in range(3)]
        assert await asyncio.gather(*runs) == [1, 1, 1]
        for handle in waiting:
            await client.resume("asks", handle.id, "ask", "yes")
        for handle in waiting:
            await result(client, handle)


@pytest.mark.parametrize("outlives", [False, True])
async def test_children_outlive_a_parent_that_says_so(client, outlives):
    @workflow
    async def below(ctx):
        return await ctx.step.suspend("ask", {})

    @workflow
    async def above(ctx):
        async def fails():
            await ctx.step.suspend("go", {})
            raise ValueError("oh")

        waits = ctx.step.invoke_and_wait("below", below, outlive_parent=outlives)
        await asyncio.gather(waits, fails())

    async def asked(root: str) -> list[Suspension]:
        return [s for s in await client.list_suspensions() if s.root_run_id == root]

    handle = await above.invoke(client, max_retries=0)
    while len(found := await asked(handle.id)) < 2:
        await asyncio.sleep(0.02)
    (child,) = [each.run_id for each in found if each.run_id != handle.id]
    await client.resume("above", handle.id, "go", 1)
    with pytest.raises(RunFailedError):
        await result(client, handle)
    if outlives:
        assert [each.run_id for each in await asked(handle.id)] == [child]
    else:
        while (await client.get_execution(child))["status"] != "cancelled":
            await asyncio.sleep(0.02)


async def test_a_wait_survives_server_and_host(server, client, let_go):
    begun = Counter[str]()

    @workflow
    async def flow(ctx):
        begun["code"] += 1
        await ctx.step.run("before", lambda: begun.update(["before"]))
        await ctx.step.wait_for("nap", seconds=1)
        await ctx.step.run("after", lambda: begun.update(["after"]))
        return "ok"

    handle = await flow.invoke(client)
    await until_waits(client, handle.id, "sleep", code="TASK_PARKED")
    await client.close()  # the host leaves
    server.kill()
    server.start()
    async with PolosClient(api_url=server.url) as other:
        await other._connection().serve()
        assert await result(other, handle) == "ok"
    assert begun == {"code": 2, "before": 1, "after": 1}


async def test_a_wait_in_place_survives_the_server(server, client):
    begun = 0

    @workflow
    async def flow(ctx):
        nonlocal begun
        begun += 1
        answer = await ctx.step.suspend("ask", {})
        await ctx.step.wait_for("nap", seconds=0.1)
        return answer["data"]

    handle = await flow.invoke(client)
    await until_waits(client, handle.id, "suspension")
    server.kill()
    server.start()
    await client.resume("flow", handle.id, "ask", 7)
    assert await result(client, handle) == 7 and begun == 1


async def test_the_clock_of_a_run_stops_while_it_waits(client, threshold):
    @workflow
    async def patient(ctx):
        for n in range(3):
            await ctx.step.wait_for(f"w{n}", seconds=0.6)
        return "ok"

    @workflow
    async def slow(ctx):
        await asyncio.sleep(60)

    assert await patient.run(client, timeout=1) == "ok"
    with pytest.raises(WorkflowTimeoutError):
        await slow.run(client, timeout=1)


async def test_killed_at_random_every_step_is_done_once(server, client, let_go):
    """Waits, steps and children while the server is killed again and again."""
    done = Counter[str]()

    @workflow
    async def leaf(ctx, payload):
        await ctx.step.wait_for("w", seconds=0.05)
        return await ctx.step.run("s", lambda: done.update([f"leaf{payload}"]) or payload)

    @workflow
    async def flow(ctx):
        async def branch(n):
            await ctx.step.wait_for(f"w{n}", seconds=0.1 * n)
            await ctx.step.run(f"s{n}", lambda: done.update([f"s{n}"]))
            return await ctx.step.invoke_and_wait(f"c{n}", leaf, n)

        return await asyncio.gather(*(branch(n) for n in range(6)))

    chance = random.Random(7)
    handle = await flow.invoke(client)
    for _ in range(5):
        await asyncio.sleep(chance.uniform(0.02, 0.3))
        server.kill()
        server.start()
    assert await result(client, handle) == [0, 1, 2, 3, 4, 5]
    settled = Counter(
        e.data["key"] for e in await client.history(handle.id) if e.type == "STEP_SETTLED"
    )
    assert settled == Counter(f"s{n}" for n in range(6))
    assert set(done) == {*settled, *(f"leaf{n}" for n in range(6))}


# ---- suspensions ----


async def test_a_suspension_is_listed_answered_and_remembered(client, threshold):
    @workflow
    async def flow(ctx):
        return (await ctx.step.suspend("ask", data={"q": "?"}))["data"]

    handle = await flow.invoke(client)
    await until_waits(client, handle.id, "suspension")
    (found,) = await client.list_suspensions(handle.id)
    assert (found.step_key, found.data, found.name) == ("ask", {"q": "?"}, "flow") and found.is_open
    assert found.run_id in [each.run_id for each in await client.list_suspensions()]
    told = await client.resume("flow", handle.id, "ask", {"a": [1, None]}, resumed_by="ann")
    assert told.accepted and not told.kept
    assert await result(client, handle) == {"a": [1, None]}
    again = await client.resume("flow", handle.id, "ask", {"a": "other"})
    assert not again.accepted
    found = await client.get_suspension(handle.id, "ask")
    assert (found.is_open, found.resumed_by, found.answer) == (False, "ann", {"a": [1, None]})
    assert await client.list_suspensions(handle.id) == []


async def test_an_early_answer_is_kept_and_the_first_one_counts(client, threshold):
    go_on = asyncio.Event()

    @workflow
    async def flow(ctx):
        await ctx.step.run("wait", go_on.wait)
        return (await ctx.step.suspend("ask", {}))["data"]

    handle = await flow.invoke(client)
    first = await client.resume("flow", handle.id, "ask", 1)
    second = await client.resume("flow", handle.id, "ask", 2)
    assert (first.accepted, first.kept, second.accepted) == (True, True, False)
    go_on.set()
    assert await result(client, handle) == 1


async def test_a_suspension_times_out_and_bad_answers_are_refused(client, threshold):
    @workflow
    async def flow(ctx):
        try:
            await ctx.step.suspend("ask", {}, timeout=0.3)
        except StepExecutionError as error:
            return error.error_type

    assert await flow.run(client, timeout=SECONDS) == "TIMEOUT"
    with pytest.raises(NotFoundError):
        await client.resume("flow", "00000000-0000-7000-8000-000000000000", "ask", 1)

    @workflow
    async def short(ctx):
        return None

    handle = await short.invoke(client)
    await result(client, handle)
    with pytest.raises(ConflictError):
        await client.resume("short", handle.id, "ask", 1)


async def test_an_answer_that_does_not_fit_leaves_the_question_open(client, threshold):
    class Amount(BaseModel):
        amount: int = Field(ge=1)
        code: str = Field(default="A1", pattern=r"^\p{Lu}\d$")

    @workflow
    async def asks(ctx) -> Amount:
        return await ctx.step.suspend("ask", {"q": 1}, schema=Amount)

    handle = await asks.invoke(client)
    await until_waits(client, handle.id, "suspension")
    for answer, why in (
        ({"amount": "3"}, "answer.amount: must be a whole number, is a string"),
        ({"amount": 0}, "answer.amount: must be at least 1, is 0"),
        ({}, "answer.amount: is missing"),
    ):
        with pytest.raises(InvalidArgumentError) as caught:
            await client.resume("asks", handle.id, "ask", answer)
        assert caught.value.reason == "ANSWER_MISFIT"
        assert why in str(caught.value)
    (found,) = await client.list_suspensions(handle.id)
    assert found.answer_schema["properties"]["amount"]["minimum"] == 1
    assert "pattern" not in found.answer_schema["properties"]["code"]  # The model alone knows it.
    await client.resume("asks", handle.id, "ask", {"amount": 3})
    assert (await result(client, handle)).amount == 3


async def test_a_late_second_answer_answers_no_other_question(client, threshold):
    name = f"delete-{threshold}"

    @tool(id=name)
    async def delete(ctx: WorkflowContext, payload: dict) -> str:
        answer = await ctx.step.suspend("approve", payload)
        return f"{payload['what']}: {answer['resumed_by']}"

    calls = [{"tool_calls": [{"name": name, "arguments": {"what": w}}]} for w in ("tmp", "all")]
    agent = Agent(id=f"guarded-{threshold}", provider="scripted", model="m", tools=[delete])
    handle = await agent.stream(client, "go", script=[*calls, {"text": "done"}])

    async def asked(what: str) -> Suspension:
        there: list[Suspension] = []
        while [each.data for each in there] != [{"what": what}]:
            await asyncio.sleep(0.02)
            there = await client.list_suspensions(handle.id)
        return there[0]

    first = await asked("tmp")
    told = await client.resume(agent.id, handle.id, "approve", True, resumed_by="alice")
    assert told.accepted
    second = await asked("all")
    assert first.id != second.id
    other = PolosClient(client.api_url)  # that has seen nothing
    with pytest.raises(ConflictError, match=second.id) as caught:
        await other.resume(agent.id, handle.id, "approve", True, resumed_by="bob")
    assert caught.value.reason == "SUSPENSION_AMBIGUOUS"
    with pytest.raises(ConflictError, match="a run of"):
        await other.resume("another", handle.id, "approve", True)
    with pytest.raises(ConflictError) as caught:
        await other.resume(agent.id, handle.id, "aprove", True)
    assert caught.value.reason == "OTHER_SUSPENSIONS_OPEN"
    await other.close()
    told = await client.resume(agent.id, handle.id, "approve", True, resumed_by="carol")
    assert told.accepted
    done = await handle.result()
    assert [r.result for r in done.tool_results] == ["tmp: alice", "all: carol"]


async def test_a_suspension_below_the_root_is_answered_by_the_root(client, threshold):
    @workflow
    async def child(ctx):
        first = await ctx.step.suspend("approve", {"n": 1})
        second = await ctx.step.suspend("sign", {"n": 2})
        return [first["data"], second["data"]]

    @workflow
    async def flow(ctx):
        return await ctx.step.invoke_and_wait("c", child)

    handle = await flow.invoke(client)
    shown = []
    async for event in events.stream_workflow(client, "flow", handle.id):
        kind, _, key = (event.event_type or "").partition("_")
        if kind == "suspend":
            shown.append(event.data["n"])
            await until_suspended_below(client, handle.id, key)
            await client.resume("flow", handle.id, key, f"{key}: yes")
    assert await result(client, handle) == ["approve: yes", "sign: yes"] and shown == [1, 2]


async def until_suspended_below(client: PolosClient, root: str, key: str) -> None:
    while (root, key) not in [(s.root_run_id, s.step_key) for s in await client.list_suspensions()]:
        await asyncio.sleep(0.02)


async def test_one_run_answers_another(client, threshold):
    @workflow
    async def asks(ctx):
        return (await ctx.step.suspend("ask", {}))["data"]

    @workflow
    async def answers(ctx, payload):
        await ctx.step.resume("tell", "ask", payload, "asks", {"n": 1})
        return "told"

    handle = await asks.invoke(client)
    assert await answers.run(client, handle.id) == "told"
    assert await result(client, handle) == {"n": 1}


async def test_a_tool_of_an_agent_may_suspend(client, threshold):
    @tool
    async def approve(ctx):
        return (await ctx.step.suspend("approve", {"tool": ctx.workflow_id}))["data"]

    agent = Agent(id="careful", provider="scripted", model="scripted", tools=[approve])
    script = [
        {"tool_calls": [{"name": "approve", "arguments": {}}]},
        {"text": "heard: {{tool_result}}"},
    ]
    stream = await agent.stream(client, "go", script=script)
    await until_waits(client, stream.id, "suspension")
    await client.resume("careful", stream.id, "approve", "yes")
    assert (await stream.result()).result == "heard: yes"


# ---- children ----


async def test_children_inherit_and_are_found_under_their_parent(client, threshold):
    @workflow
    async def child(ctx, payload):
        ctx.state["n"] = ctx.state.get("n", 0) + payload
        return [ctx.session_id, ctx.parent_execution_id, ctx.root_workflow_id, ctx.state["n"]]

    @tool
    async def helper(ctx, payload):
        return payload * 2

    @workflow
    async def flow(ctx):
        first = await ctx.step.invoke_and_wait("a", child, 1, initial_state={"n": 4})
        handles = await ctx.step.batch_invoke("b", [BatchWorkflowInput(id="child", payload=2)])
        handle = await ctx.step.invoke("c", child, 3)
        doubled = await ctx.step.invoke_and_wait("d", helper, 21)
        return [first, [h.id for h in [*handles, handle]], doubled]

    handle = await flow.invoke(client, session_id="s")
    first, ids, doubled = await result(client, handle)
    assert first == ["s", handle.id, "flow", 5] and doubled == 42
    for run_id in ids:
        run = await client.get_execution(run_id)
        assert (run["parent_execution_id"], run["workflow_id"]) == (handle.id, "child")


async def test_how_children_end_is_told(client, threshold):
    @workflow
    async def child(ctx, payload):
        if payload == "fails":
            await ctx.step.run("x", lambda: {}["missing"], max_retries=0)
        if payload == "waits":
            await ctx.step.suspend("for ever", {})
        return payload

    @workflow
    async def flow(ctx):
        inputs = [BatchWorkflowInput(id="child", payload=p) for p in ("fine", "fails", "waits")]
        found = await ctx.step.batch_invoke_and_wait("all", inputs)
        try:
            await ctx.step.invoke_and_wait("one", child, "fails")
        except StepExecutionError as error:
            told = str(error)
        return [[r.success for r in found], found[0].result, found[1].error, told]

    handle = await flow.invoke(client)
    await until_waits(client, handle.id, "child")
    while not (open_ones := await client.list_suspensions()):
        await asyncio.sleep(0.02)
    await client.cancel_execution(open_ones[0].run_id)
    success, first, error, told = await result(client, handle)
    assert (success, first) == ([True, False, False], "fine")
    assert "missing" in error and "child" in told


async def test_agents_as_children(client, threshold):
    agent = Agent(id="writer", provider="scripted", model="scripted")

    @workflow
    async def flow(ctx):
        one = await ctx.step.agent_invoke_and_wait(
            "a", agent.with_input("hi", script=[{"text": "said {{input}}"}])
        )
        many = await ctx.step.batch_agent_invoke_and_wait(
            "b", [agent.with_input("x", script=[{"text": n}]) for n in "12"]
        )
        handle = await ctx.step.agent_invoke("c", agent.with_input("y", session_id="mine"))
        return [one.result, [r.result.result for r in many], one.agent_run_id, handle.id]

    handle = await flow.invoke(client, session_id="s")
    said, results, run_id, other = await result(client, handle)
    assert said == "said hi" and results == ["1", "2"]
    assert (await client.get_execution(run_id))["session_id"] == "s"
    assert (await client.get_execution(other))["session_id"] == "mine"


async def test_batches_of_the_client(client):
    @workflow
    async def flow(ctx, payload):
        return payload

    await client._connection().serve()
    inputs = [BatchWorkflowInput(id="flow", payload=n) for n in range(3)]
    handles = await client.batch_invoke(inputs)
    assert [await result(client, h) for h in handles] == [0, 1, 2]
    agent = Agent(id="a", provider="scripted", model="scripted")
    (handle,) = await batch_agent_invoke(client, [agent.with_input("x", script=[{"text": "y"}])])
    assert await result(client, handle) == "y"


class Query(BaseModel):
    word: str


async def test_a_childs_result_is_what_run_gives(server, client, threshold):
    @tool
    async def look(ctx, payload: Query):
        if payload.word == "bad":
            raise ValueError("no such word")
        return {"found": payload.word}

    def calls(*words):
        return {"tool_calls": [{"name": "look", "arguments": {"word": word}} for word in words]}

    agent = Agent(id="a", provider="scripted", model="scripted", tools=[look])
    script = [calls("x", "bad"), calls("y"), {"text": "done"}]

    def without_ids(result):
        found = result.model_dump()
        for each in [*found["steps"], found]:
            for call in each.get("tool_calls", []) + each["tool_results"]:
                call.update({key: None for key in call if key.endswith("id")})
        return {**found, "agent_run_id": None}

    @workflow
    async def parent(ctx):
        one = await ctx.step.agent_invoke_and_wait("one", agent.with_input("q", script=script))
        (two,) = await ctx.step.batch_agent_invoke_and_wait(
            "two", [agent.with_input("q", script=script)]
        )
        return [without_ids(one), without_ids(two.result)]

    expected = await agent.run(client, "q", script=script)
    assert [r.status for r in expected.tool_results] == ["completed", "failed", "completed"]
    assert (expected.total_steps, len(expected.steps)) == (3, 3)
    assert expected.usage.total_tokens > 0 and expected.stop_reason == "end"
    for found in await parent.run(client):
        assert found == without_ids(expected)


async def test_a_childs_long_story_is_cut_at_its_beginning(client, let_go):
    @tool
    async def look(ctx):
        return "x" * 20000

    agent = Agent(id="a", provider="scripted", model="scripted", tools=[look])
    script = [{"tool_calls": [{"name": "look", "arguments": {}}]}] * 8 + [{"text": "done"}]

    @workflow
    async def parent(ctx):
        found = await ctx.step.agent_invoke_and_wait("one", agent.with_input("q", script=script))
        many = await ctx.step.batch_agent_invoke_and_wait(
            "many", [agent.with_input("q", script=script)] * 25
        )
        told = [len(each.result.steps) for each in many]
        assert all(each.result.total_steps == 9 for each in many)
        assert all(each.result.usage == found.usage for each in many)
        return [[step.step for step in found.steps], found.total_steps, told]

    steps, total, many = await parent.run(client)
    assert (steps, total) == ([6, 7, 8, 9], 9)
    assert many == [4] * 25


# ---- events ----


async def test_topics_keep_their_events_across_a_kill(server, client):
    first = await events.publish(client, "t", EventData(event_type="a", data={"n": 0}))
    assert first == 1
    stream = events.stream_topic(client, "t", last_sequence_id=0)
    assert (await anext(stream)).data == {"n": 0}
    server.kill()
    server.start()
    await events.batch_publish(client, "t", [EventData(data=n) for n in (1, 2)])
    assert [(await anext(stream)).sequence_id for _ in range(2)] == [2, 3]
    await stream.aclose()
    again = events.stream_topic(client, "t", last_sequence_id=2)
    assert (await anext(again)).data == {"data": 2}
    await again.aclose()


async def test_a_key_publishes_once(client):
    event = EventData(event_type="a", data={"n": 0})
    first = await events.publish(client, "t", event, idempotency_key="k")
    assert await events.publish(client, "t", event, idempotency_key="k") == first
    pair = await events.batch_publish(client, "t", [event, event], idempotency_key="pair")
    assert pair == [first + 1, first + 2]
    assert await events.batch_publish(client, "t", [event, event], idempotency_key="pair") == pair
    with pytest.raises(ConflictError, match="under this idempotency key") as caught:
        await events.publish(client, "t", EventData(data=2), idempotency_key="k")
    assert caught.value.reason == "IDEMPOTENCY_KEY_REUSED"
    assert await events.publish(client, "t", event) == first + 3
    for key in ("", "k" * 201):
        with pytest.raises(InvalidArgumentError, match="idempotency_key"):
            await events.publish(client, "t", event, idempotency_key=key)


async def test_a_workflow_waits_for_an_event_of_its_type(client, threshold):
    @workflow
    async def flow(ctx):
        event = await ctx.step.wait_for_event("e", topic="t", event_type="wanted")
        return [event.sequence_id, event.event_type, event.data]

    await events.publish(client, "t", EventData(event_type="wanted", data={"too": "early"}))
    handle = await flow.invoke(client)
    await until_waits(client, handle.id, "event")
    await events.publish(client, "t", EventData(event_type="other", data={}))
    await events.publish(client, "t", EventData(event_type="wanted", data={"n": 1}))
    assert await result(client, handle) == [3, "wanted", {"n": 1}]


async def test_an_event_is_published_once_however_often_the_code_runs(client, let_go):
    @workflow
    async def flow(ctx):
        await ctx.step.publish_event("p", topic="once", data={})
        await ctx.step.wait_for("w", seconds=0.1)
        await ctx.step.publish_event("q", topic="once", data={}, event_type="last")

    await flow.run(client)
    stream = events.stream_topic(client, "once", last_sequence_id=0)
    assert [(await anext(stream)).event_type for _ in range(2)] == [None, "last"]
    await stream.aclose()


async def test_events_start_runs(server, client):
    seen: list[Any] = []

    @workflow(trigger_on_event="orders")
    async def single(ctx, event: EventPayload):
        seen.append(event.data["n"])

    @workflow(trigger_on_event="clicks", batch_size=3)
    async def full(ctx, batch: BatchEventPayload):
        seen.append([event.sequence_id for event in batch.events])

    @workflow(trigger_on_event="slow", batch_size=100, batch_timeout_seconds=0.3)
    async def timed(ctx, batch: BatchEventPayload):
        seen.append({event.data["n"] for event in batch.events})

    async def until_seen(count: int) -> None:
        while len(seen) < count:
            await asyncio.sleep(0.02)

    await client._connection().serve()
    for n in range(3):
        await events.publish(client, "orders", EventData(data={"n": n}))
    await asyncio.wait_for(until_seen(3), SECONDS)
    assert sorted(seen) == [0, 1, 2]
    seen.clear()
    await events.batch_publish(client, "clicks", [EventData(data={})] * 4)
    await asyncio.wait_for(until_seen(1), SECONDS)
    await events.batch_publish(client, "clicks", [EventData(data={})] * 2)
    await asyncio.wait_for(until_seen(2), SECONDS)
    assert sorted(seen) == [[1, 2, 3], [4, 5, 6]]
    seen.clear()
    await events.batch_publish(client, "slow", [EventData(data={"n": n}) for n in (1, 2)])
    await asyncio.wait_for(until_seen(1), SECONDS)
    assert seen == [{1, 2}]
    seen.clear()
    server.kill()
    server.start()
    await events.publish(client, "orders", EventData(data={"n": 9}))
    await asyncio.wait_for(until_seen(1), SECONDS)
    await asyncio.sleep(0.2)
    assert seen == [9], "events that had started a run start another"


async def test_a_run_is_followed_with_what_it_publishes(client, threshold):
    @workflow
    async def flow(ctx):
        await ctx.step.run("one", lambda: 1)
        await ctx.step.publish_workflow_event("p", {"done": 0.5}, "progress")
        await ctx.step.wait_for("nap", seconds=0.1)
        return 7

    handle = await flow.invoke(client)
    found = [e async for e in events.stream_workflow(client, "flow", handle.id)]
    kinds = [e.event_type for e in found]
    assert kinds[0] == "workflow_start" and kinds[-1] == "workflow_finish"
    assert kinds.count("progress") == 1 and found[-1].data["result"] == 7
    steps = {e.data["step_key"] for e in found if e.event_type == "step_finish"}
    assert steps == {"one", "p", "nap"}


# ---- cancellation ----


@pytest.mark.parametrize("end", ["cleans up", "swallows", "fails"])
async def test_a_cancelled_run_cleans_up_durably(client, threshold, end):
    undone: list[str] = []

    async def undo(ctx, payload):
        await ctx.step.run("undo", undone.append, payload)

    @workflow(on_cancel=undo)
    async def flow(ctx, payload):
        await ctx.step.run("do", lambda: None)
        try:
            await ctx.step.suspend("ask", {})
        except asyncio.CancelledError:
            await ctx.step.run("tidy", undone.append, "tidy")
            if end == "fails":
                raise ValueError("in the clean-up") from None
            if end == "cleans up":
                raise

    handle = await flow.invoke(client, "order 7")
    code = "TASK_PARKED" if threshold == "0" else ""
    await until_waits(client, handle.id, "suspension", code=code)
    assert await handle.cancel(client)
    with pytest.raises(RunCancelledError):
        await result(client, handle)
    assert undone == ["tidy", "order 7"]
    run = await handle.get(client)
    assert run["status"] == "cancelled" and run["cancelled_at"]
    assert await handle.cancel(client) is False
    assert await client.list_suspensions(handle.id) == []


async def test_cancelling_a_parent_cancels_its_children(client, threshold):
    undone: list[str] = []

    @workflow
    async def child(ctx, payload):
        try:
            await ctx.step.suspend("ask", {})
        finally:
            if ctx.is_cancelling:
                await ctx.step.run("undo", undone.append, payload)

    @workflow
    async def flow(ctx):
        inputs = [BatchWorkflowInput(id="child", payload=n) for n in range(3)]
        await ctx.step.batch_invoke_and_wait("c", inputs)

    handle = await flow.invoke(client)
    await until_waits(client, handle.id, "child")
    while len(await client.list_suspensions()) < 3:
        await asyncio.sleep(0.02)
    await handle.cancel(client)
    with pytest.raises(RunCancelledError):
        await result(client, handle)
    while len(undone) < 3:
        await asyncio.sleep(0.02)
    assert sorted(undone) == [0, 1, 2]


async def test_a_cancel_that_races_a_wait_is_not_lost(client, let_go):
    """Cancelled while the code waits, is let go of, and comes again."""
    cleaned = Counter[str]()

    @workflow
    async def flow(ctx):
        try:
            for n in range(100):
                await ctx.step.wait_for(f"w{n}", seconds=0.01)
        finally:
            if ctx.is_cancelling:
                await ctx.step.run("tidy", lambda: cleaned.update([ctx.execution_id]))

    chance = random.Random(3)
    handles = [await flow.invoke(client) for _ in range(10)]
    for handle in handles:
        await asyncio.sleep(chance.uniform(0, 0.05))
        assert await handle.cancel(client)
    for handle in handles:
        with pytest.raises(RunCancelledError):
            await result(client, handle)
        history = await client.history(handle.id)
        begun = any(event.type == "CANCEL_REQUESTED" for event in history)
        assert cleaned[handle.id] == begun, "\n".join(map(str, history))


async def test_the_clean_up_goes_on_on_another_host(impatient_server):
    server = impatient_server
    client = PolosClient(api_url=server.url)
    did: list[str] = []
    hang = asyncio.Event()

    @workflow
    async def flow(ctx):
        try:
            await ctx.step.suspend("ask", {})
        finally:
            await ctx.step.run("undo 1", did.append, "undo 1")
            if len(did) == 1 and not hang.is_set():
                hang.set()
                await asyncio.sleep(60)  # until this host dies
            await ctx.step.run("undo 2", did.append, "undo 2")

    handle = await flow.invoke(client)
    await until_waits(client, handle.id, "suspension")
    await handle.cancel(client)
    await asyncio.wait_for(hang.wait(), SECONDS)
    await client.close()
    async with PolosClient(api_url=server.url) as other:
        await other._connection().serve()
        with pytest.raises(RunCancelledError):
            await result(other, handle)
    assert did == ["undo 1", "undo 2"]


# ---- state, retries, determinism ----


class Count(WorkflowState):
    n: int = 0


async def test_state_survives_and_is_not_counted_twice(server, client, let_go):
    @workflow(state_schema=Count)
    async def flow(ctx):
        for i in range(4):
            ctx.state.n += 1
            await ctx.step.run(f"s{i}", lambda: None)
            await ctx.step.wait_for(f"w{i}", seconds=0.05)
            if i == 1:
                await ctx.step.suspend("ask", {})
        return ctx.state.n

    handle = await flow.invoke(client, initial_state=Count(n=10))
    await until_waits(client, handle.id, "suspension")
    assert (await handle.get(client))["state"] == {"n": 12}
    server.kill()
    server.start()
    await client.resume("flow", handle.id, "ask", None)
    assert await result(client, handle) == 14
    assert (await handle.get(client))["state"] == {"n": 14}


async def test_a_run_is_tried_again_with_its_steps(client):
    paid: list[int] = []

    @workflow
    async def flow(ctx):
        await ctx.step.run("pay", paid.append, 1)
        if ctx.retry_count < 1:
            raise ConnectionError("not yet")
        return ctx.retry_count

    handle = await flow.invoke(client)
    assert await result(client, handle) == 1 and paid == [1]
    assert (await handle.get(client))["retry_count"] == 1

    @workflow
    async def never(ctx):
        raise ConnectionError("never")

    with pytest.raises(RunFailedError, match="never"):
        await never.run(client, max_retries=0)


async def test_other_code_stops_the_run_until_the_good_code_is_back(client, let_go):
    done = Counter[str]()

    @workflow(id="flow")
    async def good(ctx):
        await ctx.step.run("reserve", lambda: done.update(["reserve"]))
        await ctx.step.run("charge", lambda: done.update(["charge"]))
        return (await ctx.step.suspend("ask", {}))["data"]

    handle = await good.invoke(client)
    await until_waits(client, handle.id, "suspension", code="TASK_PARKED")

    @workflow(id="flow")
    async def other(ctx):
        await ctx.step.run("reserve", lambda: done.update(["reserve"]))
        await ctx.step.run("ship", lambda: done.update(["ship"]))

    await client.resume("flow", handle.id, "ask", 7)
    while not (failed := await failures(client, handle.id)):
        await asyncio.sleep(0.02)
    assert failed[0]["reason"] == "NON_DETERMINISM"
    assert "'charge' (step)" in failed[0]["message"] and "'ship' (step)" in failed[0]["message"]
    assert (await handle.get(client))["status"] in ("waiting", "running")
    good._register()  # the good code comes back
    assert await result(client, handle) == 7
    assert done == {"reserve": 1, "charge": 1}


async def failures(client: PolosClient, run_id: str) -> list[dict[str, Any]]:
    history = await client.history(run_id)
    return [event.data["error"] for event in history if event.type == "TASK_FAILED"]
