"""What followers of a run are told of it and of all below it, by the real polosd."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from polos import Agent, BatchWorkflowInput, events, tool, workflow
from polos.cli import _run, parsed
from polos.errors import ConflictError

CALL = [{"tool_calls": [{"name": "ask", "arguments": {}}]}, {"text": "thank you"}]


def told(seen: list[Any]) -> list[str]:
    """ "TYPE of WORKFLOW", with the key of a step."""
    return [
        " ".join(
            filter(
                None,
                (e.event_type, e.data.get("step_key"), "of", e.data["_metadata"]["workflow_id"]),
            )
        )
        for e in seen
    ]


def define_tree() -> Any:
    @tool
    async def ask(ctx):
        return (await ctx.step.suspend("approve", {"q": "well?"}))["data"]

    helper = Agent(id="helper", provider="scripted", model="m", tools=[ask])

    @workflow
    async def leaf(ctx, payload):
        return await ctx.step.run("work", lambda: payload["n"] + 1)

    @workflow
    async def top(ctx):
        one = await ctx.step.invoke_and_wait("one", "leaf", {"n": 1})
        more = [BatchWorkflowInput(id="leaf", payload={"n": 2})]
        two = await ctx.step.batch_invoke_and_wait("two", more)
        answer = await ctx.step.agent_invoke_and_wait("three", helper.with_input("x", script=CALL))
        return [one, two[0].result, answer.tool_results[0].result]

    return top


EXPECTED = [
    "workflow_start of top",
    "step_start one of top",
    "workflow_start of leaf",
    "step_start work of leaf",
    "step_finish work of leaf",
    "workflow_finish of leaf",
    "step_finish one of top",
    "step_start two of top",
    "workflow_start of leaf",
    "step_start work of leaf",
    "step_finish work of leaf",
    "workflow_finish of leaf",
    "step_finish two of top",
    "step_start three of top",
    "agent_start of helper",
    "step_start of helper",
    "stream_start of helper",
    "tool_call of helper",
    "tool_start of helper",
    "suspend_approve of helper",
    "resume_approve of helper",
    "tool_finish of helper",
    "step_finish of helper",
    "step_start of helper",
    "stream_start of helper",
    "text_delta of helper",
    "step_finish of helper",
    "agent_finish of helper",
    "step_finish three of top",
    "workflow_finish of top",
]


async def test_the_root_tells_of_the_whole_tree(client):
    handle = await define_tree().invoke(client)
    seen = []
    async for event in events.stream_topic(client, f"workflow/top/{handle.id}"):
        seen.append(event)
        if event.event_type == "suspend_approve":
            assert event.data["q"] == "well?" and event.data["_execution_id"] != handle.id
            await client.resume("top", handle.id, "approve", "yes")
    assert told(seen) == EXPECTED
    assert len({event.id for event in seen}) == len(seen)
    assert {event.topic for event in seen} == {f"workflow/top/{handle.id}"}
    assert await handle.result(client) == [2, 3, "yes"]
    late = [e async for e in events.stream_workflow(client, "top", handle.id)]
    assert told(late) == [each for each in EXPECTED if each != "suspend_approve of helper"]
    whole = [e async for e in events.stream_workflow(client, "top", handle.id, 0)]
    assert told(whole) == EXPECTED


async def test_a_tree_is_watched_in_one_order(client, capsys):
    handle = await define_tree().invoke(client)
    facts: dict[str, list[Any]] = {}
    async for run, event in client.watch_tree(handle.id):
        facts.setdefault(run, []).append(event)
        if event.type == "WAIT_SET" and "approve" in str(event.data):
            await client.resume("top", handle.id, "approve", "yes")
    runs = await client.list_executions("leaf") + await client.list_executions("helper")
    assert facts.keys() == {handle.id, *(run["id"] for run in runs)} and len(facts) == 4
    for run, of_it in facts.items():
        assert of_it == list(await client.history(run))

    async def shell(*words: str) -> list[str]:
        words = ("watch", "--tree", *words, "--server", client.api_url)
        assert await _run(parsed(list(words))) == 0
        return capsys.readouterr().out.splitlines()

    lines = await shell(handle.id)
    assert lines[0].split()[:2] == ["RUN", "seq"]
    assert len(lines) == 1 + sum(len(each) for each in facts.values())
    assert lines[1].startswith(handle.id[-8:])
    shown = [json.loads(each) for each in await shell(handle.id, "--json")]
    assert {each["execution_id"] for each in shown} == facts.keys()
    below = next(run for run in facts if run != handle.id)
    with pytest.raises(ConflictError, match="RUN_NOT_ROOT"):
        await shell(below)


async def test_text_of_agents_below_is_told_as_it_is_written_where_asked_for(client):
    script = [{"text": "one two three four"}]
    agents = [
        Agent(id=name, provider="scripted", model="m", stream_to_workflow=asked)
        for name, asked in (("loud", True), ("quiet", False))
    ]

    @workflow
    async def speech(ctx):
        for agent in agents:
            says = agent.with_input("x", script=script, delta_ms=30)
            await ctx.step.agent_invoke_and_wait(agent.id, says)

    handle = await speech.invoke(client)
    pieces = {"loud": 0, "quiet": 0}
    async for event in events.stream_workflow(client, "speech", handle.id):
        if event.event_type == "text_delta":
            pieces[event.data["_metadata"]["workflow_id"]] += 1
    assert pieces["quiet"] == 1 and pieces["loud"] > 1


async def test_runs_that_nobody_waits_for_do_not_hold_up_the_end(client):
    never = asyncio.Event()

    @workflow
    async def endless(ctx):
        await never.wait()

    @workflow
    async def starter(ctx):
        await ctx.step.invoke("start", "endless")
        await ctx.step.publish_workflow_event("say", {"n": 1}, "progress")

    handle = await starter.invoke(client)
    seen = [e async for e in events.stream_workflow(client, "starter", handle.id)]
    types = [e.event_type for e in seen]
    assert types[0] == "workflow_start" and types[-1] == "workflow_finish"
    assert "progress" in types and types.index("progress") < len(types) - 1
