"""Queues: what @workflow, starts and steps take, and the real polosd that has runs take turns."""

from __future__ import annotations

import asyncio

import pytest

from polos import (
    Agent,
    BatchWorkflowInput,
    ConflictError,
    InvalidArgumentError,
    NotFoundError,
    PolosClient,
    Queue,
    UnsupportedFeatureError,
    WorkflowTimeoutError,
    queue,
    queues,
    tool,
    workflow,
)

SECONDS = 15


# ---- definitions ----


async def test_queues_are_offered(fake, fake_client):
    mail = Queue("mail", 5)

    @workflow(queue=mail)
    async def object_(ctx):
        return None

    @workflow(queue="elsewhere")
    async def name(ctx):
        return None

    @workflow(queue={"name": "table", "concurrency_limit": 2})
    async def table(ctx):
        return None

    @workflow
    async def none(ctx):
        return None

    queue("alone", rate_limit=10, rate_period=60, total_limit=3)
    await fake_client._connection().serve()
    hello = fake.hellos[-1]
    own = {each.id: each.queue for each in hello.offers.workflows}
    assert own == {"object_": "mail", "name": "elsewhere", "table": "table", "none": ""}
    found = {
        q.name: (q.concurrency_limit, q.per_key_limit, q.rate_limit, q.rate_period.ToMilliseconds())
        for q in hello.offers.queues
    }
    assert found == {"mail": (0, 5, 0, 0), "table": (0, 2, 0, 0), "alone": (3, 0, 10, 60000)}
    Queue("later", 1)
    await fake_client._connection().serve()
    assert "later" in {q.name for q in fake.hellos[-1].offers.queues}


@pytest.mark.parametrize(
    ("fields", "why"),
    [
        ({"name": "no name"}, "queue id"),
        ({"name": "q", "concurrency_limit": 0}, "concurrency_limit"),
        ({"name": "q", "concurrency_limit": "5"}, "concurrency_limit"),
        ({"name": "q", "total_limit": -1}, "total_limit"),
        ({"name": "q", "rate_limit": 10_001}, "rate_limit"),
        ({"name": "q", "rate_limit": 1, "rate_period": 0}, "rate_period"),
    ],
)
def test_a_queue_that_makes_no_sense(fields, why):
    with pytest.raises(ValueError, match=why):
        Queue(**fields)


def test_what_takes_no_queue():
    with pytest.raises(UnsupportedFeatureError, match="queue"):
        tool(queue="q")
    with pytest.raises(ValueError, match="cannot have a queue"):
        workflow(schedule="@daily", queue="q")
    with pytest.raises(ValueError, match="queue id"):
        workflow(queue="no name")


def test_an_agent_names_its_queue():
    agent = Agent(id="a", provider="scripted", model="m", queue=Queue("models", 2))
    assert agent.definition().queue == "models"
    assert Agent(id="b", provider="scripted", model="m").definition().queue == ""
    config = agent.with_input("hi", queue="other", concurrency_key="acme", priority=3)
    assert (config.options.queue, config.options.concurrency_key) == ("other", "acme")
    assert config.options.priority == 3
    with pytest.raises(ValueError, match="queue id"):
        Agent(id="c", provider="scripted", model="m", queue="no name")
    with pytest.raises(InvalidArgumentError, match="32 bits"):
        agent.with_input("hi", priority=2**31)


# ---- the real server ----


async def test_agents_take_turns(client, monkeypatch):
    monkeypatch.setenv("POLOS_WAIT_THRESHOLD_SECONDS", "0")
    at_once, most, keys = 0, 0, []
    models = Queue("models", total_limit=1)

    @tool
    async def look(ctx):
        nonlocal at_once, most
        at_once += 1
        most = max(most, at_once)
        await asyncio.sleep(0)
        at_once -= 1
        return "found"

    script = [{"tool_calls": [{"name": "look", "arguments": {}}]}, {"text": "done"}]
    agent = Agent(id="a", provider="scripted", model="m", tools=[look], queue=models)
    bare = Agent(id="bare", provider="scripted", model="m")

    @workflow(queue=models)
    async def parent(ctx):
        """Waits for agents in its own queue, which has one place."""
        one = await ctx.step.agent_invoke_and_wait("one", agent.with_input("x", script=script))
        two = await ctx.step.invoke_and_wait("two", bare, "y", queue=models, priority=2)
        handle = await ctx.step.agent_invoke(
            "three", bare.with_input("z", queue="models", concurrency_key="k")
        )
        keys.append(handle.id)
        return [one.result, two.result]

    runs = [agent.run(client, "hi", script=script, concurrency_key=key) for key in "abcabc"]
    runs += [bare.run(client, "hello", queue=models, concurrency_key="a", priority=7)]
    assert [r.result for r in await asyncio.gather(*runs)][:6] == ["done"] * 6
    assert most == 1
    assert (await parent.run(client))[0] == "done"
    assert (await client.get_execution(keys[0]))["workflow_id"] == "bare"
    assert await bare.run(client, "hello", queue="made-now")
    with pytest.raises(InvalidArgumentError, match="none is named"):
        await bare.run(client, "hello", concurrency_key="k")


async def test_a_parent_gives_its_place_to_its_child_at_once(client, monkeypatch):
    monkeypatch.setenv("POLOS_WAIT_THRESHOLD_SECONDS", "3600")
    single = Queue("single", total_limit=1)

    @workflow(queue=single)
    async def below(ctx, payload):
        return payload * 2

    @workflow(queue=single)
    async def above(ctx):
        return await ctx.step.invoke_and_wait("kid", below, 21)

    assert await above.run(client) == 42


async def test_an_agent_says_that_it_waits_for_its_turn(client):
    begun, go = asyncio.Event(), asyncio.Event()

    @tool
    async def slow(ctx):
        begun.set()
        await asyncio.wait_for(go.wait(), SECONDS)

    script = [{"tool_calls": [{"name": "slow", "arguments": {}}]}, {"text": "done"}]
    agent = Agent(
        id="a", provider="scripted", model="m", tools=[slow], queue=Queue("models", 1)
    )
    first = asyncio.create_task(agent.run(client, "hi", script=script))
    await asyncio.wait_for(begun.wait(), SECONDS)
    with pytest.raises(WorkflowTimeoutError, match="queue models runs 1 of 1 for key ''"):
        await agent.run(client, "hi", script=script, timeout=0.05)
    stream = await agent.stream(client, "hi", script=script, priority=1)
    told = await client.get_execution(stream.id)
    assert (told["status"], told["waiting"][0]["kind"]) == ("queued", "queue")
    go.set()
    assert (await first).result == (await stream.result()).result == "done"




async def test_a_limit_holds_for_each_key(client):
    at_once: dict[str, int] = {}
    most: dict[str, int] = {}

    @workflow(queue=Queue("mail", concurrency_limit=2))
    async def send(ctx, payload):
        at_once[payload] = at_once.get(payload, 0) + 1
        most[payload] = max(most.get(payload, 0), at_once[payload])
        await asyncio.sleep(0.01)
        at_once[payload] -= 1
        return payload

    runs = [send.run(client, key, concurrency_key=key) for key in "aaaaabbbbb"]
    assert sorted(await asyncio.gather(*runs)) == sorted("aaaaabbbbb")
    assert most == {"a": 2, "b": 2}


async def test_code_starts_runs_into_queues(client, monkeypatch):
    monkeypatch.setenv("POLOS_WAIT_THRESHOLD_SECONDS", "0")
    order = []
    single = Queue("single", total_limit=1)

    @workflow
    async def child(ctx, payload):
        order.append(payload)
        return payload

    @workflow(queue=single)
    async def parent(ctx):
        """Waits for its children in its own queue, which has one place."""
        for number in range(2):
            await ctx.step.invoke(f"start-{number}", child, number, queue=single, priority=-1)
        waited = await ctx.step.invoke_and_wait("wait", child, "waited", queue="single")
        batch = await ctx.step.batch_invoke_and_wait(
            "batch", [BatchWorkflowInput(id="child", payload="batch", queue="single")]
        )
        return [waited, batch[0].result]

    assert await parent.run(client) == ["waited", "batch"]
    assert order[0] == "waited"  # Its priority is higher than that of those before it.


async def test_a_run_says_that_it_waits_for_its_turn(client):
    begun = asyncio.Event()
    go = asyncio.Event()

    @workflow
    async def slow(ctx):
        begun.set()
        await asyncio.wait_for(go.wait(), SECONDS)

    place = {"queue": Queue("mail", 1), "concurrency_key": "acme"}
    first = await slow.invoke(client, **place)
    await asyncio.wait_for(begun.wait(), SECONDS)
    second = await slow.invoke(client, **place)
    told = await second.get(client)
    assert told["status"] == "queued"
    assert told["waiting"][0]["kind"] == "queue"
    message = "queue mail runs 1 of 1 for key acme; it is next"
    assert told["waiting"][0]["message"] == message
    (found,) = await queues.list_queues(client)
    assert (found.name, found.concurrency_limit, found.running, found.waiting) == ("mail", 1, 1, 1)
    with pytest.raises(WorkflowTimeoutError, match="queue mail runs 1 of 1"):
        await slow.run(client, timeout=0.05, **place)
    with pytest.raises(ConflictError, match="1 runs of queue 'mail' are at work") as caught:
        await queues.delete_queue(client, "mail")
    assert caught.value.reason == "QUEUE_IN_USE"
    put = await queues.put(client, Queue("mail", 2))
    assert (put.concurrency_limit, put.total_limit, put.rate_limit) == (2, None, None)
    go.set()
    for handle in (first, second):
        await handle.result(client, SECONDS)
    await queues.delete_queue(client, put.name)
    assert await queues.list_queues(client) == []
    with pytest.raises(NotFoundError, match="no queue 'mail' is defined"):
        await queues.delete_queue(client, Queue("mail"))


async def test_a_client_without_code_names_queues(client, server):
    seen = []

    @workflow
    async def work(ctx, payload):
        seen.append(payload)

    await client._connection().serve()
    other = PolosClient(api_url=server.url)
    try:
        made = await other.invoke("work", 1, queue_name="made")  # there was none
        await made.result(other, SECONDS)
        assert (await other.get_execution(made.id))["queue_name"] == "made"
        with pytest.raises(InvalidArgumentError, match="queue_name"):
            await other.invoke("work", 1, queue_concurrency_limit=3)
        with pytest.raises(InvalidArgumentError, match="none is named"):
            await other.invoke("work", 1, concurrency_key="k")
        with pytest.raises(InvalidArgumentError, match="32 bits"):
            await other.invoke("work", 1, priority=2**31)
        handle = await other.invoke(
            "work", 2, queue_name="mail", queue_concurrency_limit=3, concurrency_key="k"
        )
        await handle.result(other, SECONDS)
        told = await other.get_execution(handle.id)
        place = told["queue_name"], told["concurrency_key"], told["run_timeout_seconds"]
        assert place == ("mail", "k", 86400.0)
        made_here, found = await queues.list_queues(other)
        assert (found.name, found.concurrency_limit) == ("mail", 3)
        assert (made_here.name, made_here.concurrency_limit) == ("made", None)
    finally:
        await other.close()
    assert seen == [1, 2]
