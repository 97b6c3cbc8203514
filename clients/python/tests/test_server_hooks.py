"""Lifecycle hooks of agents on the real polosd: what they are told, change and stop."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import Any

import pytest

from polos import (
    Agent,
    HookContext,
    HookResult,
    PolosClient,
    RunCancelledError,
    RunFailedError,
    hook,
    tool,
    workflow,
)
from weather_tool import City, asks, get_weather

WORDS = (
    "on_start", "on_agent_step_start", "on_tool_start", "on_tool_end", "on_agent_step_end",
    "on_end",
)


def scripted(**arguments: Any) -> Agent:
    return Agent(**{"id": "hooked", "provider": "scripted", "model": "scripted", **arguments})


SCRIPT = [asks("Rome"), {"text": "said {{tool_result}}"}]


async def test_each_hook_is_asked_at_its_place(client):
    seen: list[tuple[str, HookContext]] = []

    def noting(word: str):
        async def note(ctx, about):
            assert ctx.workflow_id == "hooked" and ctx.execution_id
            seen.append((word, about))
            return HookResult.continue_with()

        return note

    agent = scripted(tools=[get_weather], **{word: [noting(word)] for word in WORDS})
    found = await agent.run(client, "Rome?", script=SCRIPT, user_id="u")
    assert [word for word, _ in seen] == [
        "on_start",
        "on_agent_step_start", "on_tool_start", "on_tool_end", "on_agent_step_end",
        "on_agent_step_start", "on_agent_step_end",
        "on_end",
    ]
    told = dict(reversed(seen))
    assert told["on_start"].current_payload == {"input": "Rome?", "prompt": "Rome?"}
    assert told["on_start"].agent_config is None and told["on_start"].user_id == "u"
    assert told["on_agent_step_start"].current_payload == {"step": 1}
    assert told["on_agent_step_start"].agent_config.model == "scripted"
    assert told["on_tool_start"].current_tool == "get_weather"
    assert told["on_tool_start"].current_payload == {"city": "Rome"}
    assert told["on_tool_end"].current_output == {"city": "Rome", "celsius": 21}
    assert told["on_agent_step_end"].current_output["step"] == 1
    assert told["on_end"].current_output == found.result
    assert [step.step for step in told["on_end"].steps] == [1, 2]
    assert found.result == 'said {"city":"Rome","celsius":21}' and found.total_steps == 2


async def test_hooks_change_what_the_model_and_the_tools_are_told(client):
    @hook
    def politely(ctx, about):
        return HookResult.continue_with(modified_payload={"input": "please: Rome?"})

    @hook
    def abroad(ctx, about):
        return HookResult.continue_with(modified_payload={"city": "Oslo"})

    @hook
    def warmer(ctx, about):
        output = {**about.current_output, "celsius": about.current_output["celsius"] + 1}
        return HookResult.continue_with(modified_output=output)

    @hook
    def loudly(ctx, about):
        return HookResult.continue_with(modified_output=about.current_output.upper())

    agent = scripted(
        tools=[get_weather],
        on_start=politely,
        on_tool_start=abroad,
        on_tool_end=[warmer, warmer],  # the second is told what the first made of it
        on_end=loudly,
    )
    script = [asks("Rome"), {"text": "{{input}} {{tool_result}}"}]
    found = await agent.run(client, "Rome?", script=script)
    assert found.result == 'PLEASE: ROME? {"CITY":"OSLO","CELSIUS":23}'
    (result,) = found.tool_results
    assert result.result == {"city": "Oslo", "celsius": 23}
    history = await client.history(found.agent_run_id)
    amended = [event.type for event in history if event.type.endswith("AMENDED")]
    assert amended == [
        "INPUT_AMENDED", "CALL_AMENDED", "RESULT_AMENDED", "RESULT_AMENDED", "RESULT_AMENDED",
    ]
    asked = [e.data["name"] for e in history if e.data.get("kind") == "callback"]
    assert asked == [
        "on_start.politely.0", "on_tool_start.abroad.0", "on_tool_end.warmer.0",
        "on_tool_end.warmer.1", "on_end.loudly.0",
    ]


@pytest.mark.parametrize("word", [word for word in WORDS if word != "on_agent_step_start"])
async def test_a_hook_that_fails_fails_the_run(client, word):
    def no(ctx, about):
        return HookResult.fail(f"{word} says no")

    agent = scripted(tools=[get_weather], **{word: no})
    with pytest.raises(RunFailedError, match=f"{word} says no") as failed:
        await agent.run(client, "Rome?", script=SCRIPT)
    assert failed.value.reason == "HOOK_FAILED"


async def test_a_step_start_that_fails_ends_the_loop(client):
    def once(ctx, about):
        step = about.current_payload["step"]
        return HookResult.fail("enough") if step == 2 else HookResult.continue_with()

    agent = scripted(tools=[get_weather], on_agent_step_start=once)
    script = [{"text": "looking", **asks("Rome")}, {"text": "never said"}]
    found = await agent.run(client, "Rome?", script=script)
    assert (found.result, found.stop_reason, found.total_steps) == ("looking", "hook", 1)


async def test_a_hook_that_raises_or_gives_nonsense_fails_the_run(client):
    def raises(ctx, about):
        raise ValueError("out of order")

    def nonsense(ctx, about):
        return 7

    def changes(ctx, about):
        return HookResult.continue_with(modified_output="something")

    def mistakes(ctx, about):
        return HookResult.continue_with(modified_payload={"input": 5})

    with pytest.raises(RunFailedError, match="the input it gave is none"):
        await scripted(on_start=mistakes).run(client, "hi", script=[{"text": "hello"}])
    for func, said in ((raises, "out of order"), (nonsense, "gave a int"), (changes, "has not")):
        with pytest.raises(RunFailedError, match=said):
            await scripted(on_agent_step_end=func).run(client, "hi", script=[{"text": "hello"}])


async def test_what_was_decided_is_not_asked_again_after_a_kill(server):
    asked: Counter[str] = Counter()
    gate = asyncio.Event()

    async def counts(ctx, about):
        asked[f"start {about.current_payload['city']}"] += 1
        return HookResult.continue_with()

    async def waits(ctx, about):
        asked["end"] += 1
        gate.set()
        return HookResult.continue_with(modified_output="kept")

    agent = scripted(tools=[get_weather], on_tool_start=counts, on_tool_end=waits)
    async with PolosClient(server.url) as client:
        script = [asks("Rome"), {"text": "said {{tool_result}}"}]
        stream = await agent.stream(client, "Rome?", script=script)
        await asyncio.wait_for(gate.wait(), 20)
        server.kill()
        server.start()
        found = await stream.result()
    assert found.result == "said kept"
    assert asked["start Rome"] == 1 and 1 <= asked["end"] <= 2  # an answer may be lost, and no more


async def test_a_run_says_that_it_waits_for_a_hook_and_may_be_cancelled_meanwhile(client):
    asked, go = asyncio.Event(), asyncio.Event()

    async def slow(ctx, about):
        asked.set()
        await go.wait()

    stream = await scripted(on_start=slow).stream(client, "hi", script=[{"text": "hello"}])
    await asyncio.wait_for(asked.wait(), 20)
    (waiting,) = (await stream.get())["waiting"]
    assert (waiting["kind"], waiting["name"]) == ("hook", "on_start.slow.0")
    assert waiting["message"].startswith("it waits for hook on_start.slow.0: host ")
    await client.cancel_execution(stream.id)
    with pytest.raises(RunCancelledError):
        await stream.result()
    go.set()


async def test_a_retry_asks_only_what_had_failed(client):
    asked: list[str] = []

    def start(ctx, about):
        asked.append("start")

    def end(ctx, about):
        asked.append("end")
        if len(asked) == 2:
            return HookResult.fail("not yet")
        return HookResult.continue_with(modified_output="at last")

    agent = scripted(on_start=start, on_end=end)
    with pytest.raises(RunFailedError) as failed:
        await agent.run(client, "hi", script=[{"text": "hello"}])
    again = await client.retry(failed.value.run_id)
    assert await again.result(client) == "at last"
    assert asked == ["start", "end", "end"]


async def test_hooks_in_a_queue_work_under_its_leave(client):
    def passes(ctx, about):
        return HookResult.continue_with()

    agent = scripted(
        on_start=passes, on_agent_step_start=passes, on_end=passes,
        queue={"name": "narrow", "concurrency_limit": 1},
    )
    runs = [agent.run(client, "hi", script=[{"text": "hello"}]) for _ in range(3)]
    assert [found.result for found in await asyncio.gather(*runs)] == ["hello"] * 3


# ---- of workflows and tools ----


async def test_hooks_of_a_workflow_are_steps_of_its_body(client):
    asked: list[str] = []

    @hook
    def trim(ctx, about):
        asked.append(f"trim {about.current_payload['city']!r}")
        return HookResult.continue_with(
            modified_payload={"city": about.current_payload["city"].strip()}
        )

    @hook
    async def name(ctx, about):
        asked.append(f"name {about.current_payload['city']!r}")
        return HookResult.continue_with()

    @hook
    def wrap(ctx, about):
        asked.append(f"wrap {about.current_output!r}")
        return HookResult.continue_with(modified_output={"said": about.current_output})

    failures = iter([ConnectionError("not yet")])

    @workflow(id="greeting", on_start=[trim, name], on_end=wrap)
    async def greeting(ctx, payload: City):
        for error in failures:
            raise error
        return f"hello {payload.city}"

    handle = await greeting.invoke(client, {"city": " Rome "})
    assert await handle.result(client) == {"said": "hello Rome"}
    assert asked == ["trim ' Rome '", "name 'Rome'", "wrap 'hello Rome'"]  # though it ran twice
    history = await client.history(handle.id)
    keys = [event.data["key"] for event in history if event.type == "STEP_SETTLED"]
    assert keys == ["on_start.trim.0", "on_start.name.1", "on_end.wrap.0"]


async def test_a_hook_of_a_workflow_fails_its_run_and_one_of_a_tool_its_call(client):
    def no(ctx, about):
        return HookResult.fail(f"no {about.current_tool or 'workflow'}")

    @workflow(id="refused", on_start=no)
    async def refused(ctx, payload):
        return 1

    @tool(on_end=no)
    async def refusing(ctx):
        return 2

    with pytest.raises(RunFailedError, match="no workflow"):
        await refused.run(client, {})
    script = [{"tool_calls": [{"name": "refusing", "arguments": {}}]}, {"text": "{{tool_result}}"}]
    found = await scripted(tools=[refusing]).run(client, "go", script=script)
    assert "no refusing" in found.result and found.tool_results[0].status == "failed"


async def test_a_stream_tells_nothing_of_hooks_but_what_they_made(client):
    def shout(ctx, about):
        return HookResult.continue_with(modified_output=str(about.current_output).upper())

    agent = scripted(tools=[get_weather], on_start=lambda ctx, about: None, on_end=shout)
    stream = await agent.stream(client, "hi", script=SCRIPT)
    told = [event async for event in stream.events]
    tasks = [e.event_type for e in told if e.event_type in ("tool_start", "tool_finish")]
    assert tasks == ["tool_start", "tool_finish"]
    assert told[-1].data["result"] == 'SAID {"CITY":"ROME","CELSIUS":21}'
