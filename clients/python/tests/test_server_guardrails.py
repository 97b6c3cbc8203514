"""Guardrails of agents on the real polosd: what they judge, change and turn down."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from polos import (
    Agent,
    GuardrailContext,
    GuardrailResult,
    RunFailedError,
    guardrail,
    tool,
)
from weather_tool import City, asks, get_weather


def scripted(**arguments: Any) -> Agent:
    return Agent(**{"id": "guarded", "provider": "scripted", "model": "scripted", **arguments})


async def kinds_of(client, run_id: str) -> list[str]:
    return [event.type for event in await client.history(run_id)]


@guardrail
def no_numbers(ctx, about: GuardrailContext) -> GuardrailResult:
    if any(character.isdigit() for character in about.content or ""):
        return GuardrailResult.fail("no numbers, please")
    return GuardrailResult.continue_with()


async def test_a_guardrail_sees_each_reply_and_lets_it_pass(client):
    seen: list[GuardrailContext] = []

    async def look(ctx, about):
        seen.append(about)

    agent = scripted(tools=[get_weather], guardrails=[look])
    response = await agent.run(client, "hi", script=[asks("Rome"), {"text": "fine"}])
    assert response.result == "fine" and response.total_steps == 2
    assert [about.content for about in seen] == ["", "fine"]
    assert [call.function.name for call in seen[0].tool_calls] == ["get_weather"]
    assert seen[0].steps == [] and [step.step for step in seen[1].steps] == [1]
    assert seen[0].workflow_id == "guarded" and seen[0].agent_config.guardrail_max_retries == 2


async def test_a_reply_that_is_turned_down_is_asked_for_again_in_its_turn(client):
    agent = scripted(guardrails=no_numbers)
    response = await agent.run(client, "hi", script=[{"text": "it is 42"}, {"text": "fine"}])
    assert response.result == "fine" and response.total_steps == 1
    kinds = await kinds_of(client, response.agent_run_id)
    assert kinds.count("MODEL_REPLIED") == 2 and kinds.count("REPLY_REJECTED") == 1
    assert kinds.count("REPLY_PASSED") == 1


async def test_the_model_is_told_why(client):
    agent = scripted(guardrails=[no_numbers])
    script = [{"text": "it is 42"}, {"text": "I was told: {{input}}"}]
    response = await agent.run(client, "hi", script=script)
    assert "no numbers, please" in response.result


async def test_a_run_fails_when_its_guardrail_is_never_content(client):
    agent = scripted(guardrails=[no_numbers], guardrail_max_retries=1)
    with pytest.raises(RunFailedError, match="no numbers, please") as failed:
        await agent.run(client, "hi", script=[{"text": "1"}, {"text": "2"}, {"text": "3"}])
    assert failed.value.reason == "GUARDRAIL_FAILED"
    kinds = await kinds_of(client, failed.value.run_id)
    assert kinds.count("MODEL_REPLIED") == 2


async def test_a_guardrail_that_raises_fails_the_run(client):
    def broken(ctx, about):
        raise ValueError("cannot judge")

    with pytest.raises(RunFailedError, match="cannot judge") as failed:
        await scripted(guardrails=[broken]).run(client, "hi", script=[{"text": "fine"}])
    assert failed.value.reason == "GUARDRAIL_FAILED"


async def test_a_changed_text_is_what_everybody_sees(client):
    def shout(ctx, about):
        return GuardrailResult.continue_with(modified_content=about.content.upper())

    def look(ctx, about):
        assert about.content == "FINE"

    agent = scripted(guardrails=[shout, look])
    response = await agent.run(client, "hi", script=[{"text": "fine"}])
    assert response.result == "FINE" and response.steps[0].content == "FINE"


async def test_changed_calls_are_those_that_are_made(client):
    def to_oslo(ctx, about):
        calls = about.tool_calls
        for call in calls:
            call.function.arguments = '{"city": "Oslo"}'
        return GuardrailResult.continue_with(modified_tool_calls=calls) if calls else None

    agent = scripted(tools=[get_weather], guardrails=[to_oslo])
    script = [asks("Rome"), {"text": "said {{tool_result}}"}]
    response = await agent.run(client, "hi", script=script)
    assert "Oslo" in response.result


async def test_calls_that_a_guardrail_takes_away_are_not_made(client):
    def no_calls(ctx, about):
        return GuardrailResult.continue_with(modified_content="no", modified_tool_calls=[])

    agent = scripted(tools=[get_weather], guardrails=[no_calls])
    response = await agent.run(client, "hi", script=[asks("Rome")])
    assert response.result == "no" and response.tool_results == []


async def test_no_tool_is_called_before_all_guardrails_let_it(client):
    calls: list[str] = []

    @tool(id="note", description="Notes")
    async def note(ctx, input: City) -> str:
        calls.append(input.city)
        return "noted"

    @guardrail
    def not_rome(ctx, about):
        if any("Rome" in call.function.arguments for call in about.tool_calls):
            return GuardrailResult.fail("not Rome")

    def call(city: str) -> dict[str, Any]:
        return {"tool_calls": [{"name": "note", "arguments": {"city": city}}]}

    agent = scripted(tools=[note], guardrails=[not_rome])
    script = [call("Rome"), call("Oslo"), {"text": "done"}]
    response = await agent.run(client, "hi", script=script)
    assert response.result == "done" and calls == ["Oslo"] and response.total_steps == 2


async def test_a_sentence_is_judged_by_the_model(client):
    agent = scripted(guardrails=["Say nothing about money."])
    verdicts = [{"passed": False, "reason": "it names a price"}, {"passed": True}]
    script = [{"text": "it costs a lot"}, {"text": "fine"}]
    response = await agent.run(client, "hi", script=script, verdicts=verdicts)
    assert response.result == "fine" and response.total_steps == 1
    kinds = await kinds_of(client, response.agent_run_id)
    assert kinds.count("REPLY_JUDGED") == 2 and kinds.count("MODEL_REPLIED") == 2
    agent = scripted(guardrails=["Say nothing about money."], guardrail_max_retries=0)
    with pytest.raises(RunFailedError, match="it names a price") as failed:
        await agent.run(client, "hi", script=script, verdicts=verdicts)
    assert failed.value.reason == "GUARDRAIL_FAILED"


async def test_a_model_that_gives_no_verdict_is_asked_again(client):
    agent = scripted(guardrails=["Be kind."])
    with pytest.raises(RunFailedError) as failed:
        await agent.run(client, "hi", script=[{"text": "fine"}], verdicts=[{"reason": "hm"}])
    assert failed.value.reason == "GUARDRAIL_UNREADABLE"


async def test_a_stream_shows_no_text_before_it_passed(client):
    shown: list[str] = []
    agent = scripted(guardrails=[no_numbers, lambda ctx, about: None])
    script = [{"text": "it is 42 and more"}, {"text": "all is fine"}]
    stream = await agent.stream(client, "hi", script=script, chunk=3)
    steps = []
    async for event in stream.events:
        if event.event_type == "text_delta":
            shown.append(event.data["content"])
        if event.event_type == "step_start":
            steps.append(event.data["step"])
    assert shown == ["all is fine"] and steps == [1]


async def test_guardrails_go_on_where_they_were_when_the_server_is_killed(server, client):
    asked: list[str] = []
    at_work = asyncio.Event()
    may_end = asyncio.Event()

    async def first(ctx, about):
        asked.append("first " + about.content)

    async def second(ctx, about):
        asked.append("second " + about.content)
        at_work.set()
        await may_end.wait()
        if about.content == "bad":
            return GuardrailResult.fail("it is bad")

    agent = scripted(guardrails=[first, "Be kind.", second])
    running = asyncio.create_task(
        agent.run(client, "hi", script=[{"text": "bad"}, {"text": "good"}])
    )
    await at_work.wait()
    await asyncio.to_thread(server.kill)
    await asyncio.to_thread(server.start)
    may_end.set()
    response = await running
    assert response.result == "good"
    assert asked.count("first bad") == 1 and asked.count("first good") == 1
    kinds = await kinds_of(client, response.agent_run_id)
    assert kinds.count("REPLY_JUDGED") == 2 and kinds.count("MODEL_REPLIED") == 2
