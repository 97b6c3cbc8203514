"""Programs written for Polos, as they stand: what they import, pass and get."""

from __future__ import annotations

import asyncio
import json
import logging
import re
from pathlib import Path

import pytest
from pydantic import BaseModel, Field, SecretStr, field_validator

import polos
from polos import (
    Agent,
    AgentResult,
    BatchWorkflowInput,
    NonRetryableError,
    Polos,
    StepExecutionError,
    Usage,
    Workflow,
    events,
    tool,
    workflow,
)


class Account(BaseModel):
    owner: str
    password: SecretStr
    note: str = Field(default="", exclude=True)


class Out(BaseModel):
    city: str
    degrees: int = 3


def scripted(id: str, **more) -> Agent:
    return Agent(id=id, provider="scripted", model="m", **more)


def test_a_name_that_is_not_there_is_missing_as_any_other():
    assert not hasattr(polos, "sandbox_tools")
    with pytest.raises(ImportError):
        exec("from polos import sandbox_tools", {})
    with pytest.raises(NotImplementedError, match="polos.sandbox_tools is not supported"):
        polos.sandbox_tools  # noqa: B018


def test_the_package_writes_its_log_to_a_file(tmp_path: Path):
    log = logging.getLogger("polos")
    before, level = list(log.handlers), log.level
    try:
        for _ in range(2):
            Polos(log_file=str(tmp_path / "polos.log"))
        log.warning("hello")
        assert (tmp_path / "polos.log").read_text().count("hello") == 1
    finally:
        for handler in set(log.handlers) - set(before):
            log.removeHandler(handler)
            handler.close()
        log.setLevel(level)


def test_documented_paths_are_there():
    from polos.memory.types import CompactionConfig

    assert CompactionConfig().min_recent_messages == 2


def test_a_queue_without_a_name_is_named_after_what_waits_in_it():
    @workflow(queue={"concurrency_limit": 3})
    async def mine(ctx):
        return None

    assert mine.queue == "mine" and polos._registry.queues["mine"].concurrency_limit == 3
    assert scripted("thinker", queue={"concurrency_limit": 2}).queue == "thinker"


async def test_results_are_what_the_workflow_gave(client):
    @workflow
    async def typed(ctx, payload: Out) -> Out:
        return Out(city=payload.city)

    @workflow
    async def parent(ctx) -> list[Out]:
        found = await ctx.step.batch_invoke_and_wait(
            "all", [BatchWorkflowInput(id="typed", payload=Out(city=c)) for c in "ab"]
        )
        assert all(isinstance(each.result, Out) for each in found)
        return [each.result for each in found]

    assert await typed.run(client, Out(city="Q")) == Out(city="Q")
    handle = await typed.invoke(client, Out(city="R"))
    assert await handle.result(client) == Out(city="R")
    assert (await handle.get(client))["result"] == Out(city="R")
    assert (await client.get_execution(handle.id))["result"] == {"city": "R", "degrees": 3}
    assert await parent.run(client) == [Out(city="a"), Out(city="b")]


async def test_an_agent_is_invoked_by_its_id(client):
    agent = scripted("by-id", output_schema=Out)
    handle = await client.invoke(agent.id, {"input": "hello", "streaming": True})
    seen = [e async for e in events.stream_workflow(client, agent.id, handle.id)]
    types = [event.event_type for event in seen]
    assert types[0] == "agent_start" and types[-1] == "agent_finish"
    assert "text_delta" in types and seen[0].topic == f"workflow/by-id/{handle.id}"
    assert {e.data["_metadata"]["workflow_id"] for e in seen} == {"by-id"}


async def test_agents_take_what_agents_gave(client):
    first, second = scripted("first"), scripted("second")

    @workflow
    async def chain(ctx) -> AgentResult:
        plain = await ctx.step.invoke_and_wait("a", first, {"input": "hi"})
        return await ctx.step.agent_invoke_and_wait("b", second.with_input(plain))

    found = await chain.run(client)
    assert isinstance(found, AgentResult) and found.total_steps == 1


def test_an_agents_answer_is_an_input():
    answer = AgentResult(agent_run_id="r", result=Out(city="X"), total_steps=1, usage=Usage())
    from polos._execution.starts import agent_input

    assert json.loads(agent_input(answer)["input"]) == {"city": "X", "degrees": 3}


async def test_a_queue_that_is_not_there_is_made(client):
    @workflow
    async def queued(ctx):
        return "done"

    await client._connection().serve()
    handle = await client.invoke("queued", {}, queue_name="new-one")
    assert await handle.result(client) == "done"


async def test_what_must_not_be_tried_again_is_not(client):
    tried: list[int] = []

    def once() -> None:
        tried.append(1)
        raise NonRetryableError("no use")

    @workflow
    async def careful(ctx):
        try:
            await ctx.step.run("s", once)
        except StepExecutionError:
            raise NonRetryableError("give up") from None

    with pytest.raises(polos.RunFailedError, match="give up"):
        await careful.run(client)
    assert tried == [1]


async def test_an_error_that_cannot_be_printed_is_an_answer(client, caplog):
    class Mute(Exception):
        def __str__(self) -> str:
            raise RuntimeError("no words")

    @workflow
    async def mute(ctx):
        raise Mute

    with pytest.raises(polos.RunFailedError, match="<unprintable Mute>"):
        await mute.run(client, max_retries=0)
    assert "in mute" in caplog.text  # the traceback, where the host is


async def test_a_generator_exit_is_an_answer(client):
    @workflow
    async def gone(ctx):
        raise GeneratorExit

    with pytest.raises(polos.RunFailedError):
        await gone.run(client, max_retries=0)


async def test_a_group_fails_as_what_is_in_it(client):
    lives: list[int] = []

    def bad() -> None:
        raise LookupError("none")

    @workflow
    async def grouped(ctx):
        lives.append(1)
        try:
            await ctx.step.run("bad", bad, max_retries=0)
        except StepExecutionError as error:
            raise _Group("several", [error, ValueError("other")]) from None

    with pytest.raises(polos.RunFailedError, match=r"none \(.*, in bad\) \(and 1 more\)"):
        await grouped.run(client, max_retries=0)
    lives.clear()

    @workflow
    async def lasting(ctx):
        lives.append(1)
        raise _Group("one", [_Group("deeper", [NonRetryableError("no use")])])

    with pytest.raises(polos.RunFailedError, match="no use"):
        await lasting.run(client)
    assert lives == [1]


class _Group(Exception):
    """As ExceptionGroup, which Python 3.10 does not have."""

    def __init__(self, message: str, exceptions: list[BaseException]) -> None:
        super().__init__(message)
        self.exceptions = tuple(exceptions)


async def test_a_key_starts_one_run(client):
    @workflow
    async def once(ctx, payload):
        return payload

    agent = scripted("keyed")
    runs = [await once.invoke(client, 1, idempotency_key="k1") for _ in range(2)]
    runs += [await client.invoke("once", 1, idempotency_key="k1")]
    assert len({run.id for run in runs}) == 1
    streams = [await agent.stream(client, "hi", idempotency_key="k2") for _ in range(2)]
    assert streams[0].id == streams[1].id
    with pytest.raises(polos.InvalidArgumentError, match="1 to 200 bytes"):
        await once.run(client, 1, idempotency_key="")


# ---- the documented surface ----


def test_agents_and_tools_are_workflows():
    agent, one = scripted("thinker"), tool(id="one")(lambda ctx: 1)
    assert isinstance(agent, Workflow) and isinstance(one, Workflow)
    assert {"thinker": agent, "one": one}.items() <= polos.get_all_workflows().items()
    assert polos.get_workflow("thinker") is agent
    with pytest.raises(TypeError, match="agent 'thinker' is not called but started"):
        agent()


async def test_an_agent_is_invoked_as_a_workflow(client):
    agent = scripted("invoked")
    for handle in (
        await agent.invoke(client, {"input": "hello"}),
        await client.workflows.invoke("invoked", payload={"input": "hello"}),
    ):
        assert isinstance(await handle.result(client), str)


async def test_what_tools_gave_is_of_their_type(client):
    @tool
    async def look(ctx) -> Out:
        return Out(city="Q")

    agent = scripted("typist", tools=[look])
    script = [{"tool_calls": [{"name": "look", "arguments": {}}]}, {"text": "done"}]

    @workflow
    async def typing(ctx):
        found = await ctx.step.agent_invoke_and_wait("a", agent.with_input("x", script=script))
        return [type(each.result).__name__ for each in found.tool_results]

    found = await agent.run(client, "x", script=script)
    assert found.tool_results[0].result == Out(city="Q")
    assert found.steps[0].tool_results[0].result_schema == "test_compatible.Out"
    assert await typing.run(client) == ["Out"]


async def test_secrets_go_from_tools_to_code_and_not_to_models(client):
    @tool
    async def account(ctx) -> Account:
        return Account(owner="ann", password="hunter2", note="hers")

    @workflow
    async def opening(ctx):
        found = await ctx.step.invoke_and_wait("tool", account)
        return [found.password.get_secret_value(), found.note]

    agent = scripted("teller", tools=[account])
    script = [{"tool_calls": [{"name": "account", "arguments": {}}]}, {"text": "{{tool_result}}"}]
    found = await agent.run(client, "x", script=script)
    assert json.loads(found.result) == {"owner": "ann", "password": "**********"}
    assert found.tool_results[0].result.owner == "ann"
    assert await opening.run(client) == ["hunter2", "hers"]


async def test_a_queue_that_a_start_names_is_made(client):
    @workflow
    async def small(ctx):
        return (await client.get_execution(ctx.execution_id))["queue_name"]

    @workflow
    async def starts(ctx):
        return await ctx.step.invoke_and_wait("s", small, queue="of-a-step")

    assert await small.run(client, queue="of-a-run") == "of-a-run"
    assert await starts.run(client) == "of-a-step"
    assert await scripted("a").run(client, "x", queue="of-an-agent")
    names = {found.name for found in await polos.queues.list_queues(client)}
    assert {"of-a-run", "of-a-step", "of-an-agent"} <= names


def test_a_default_limit_gives_each_workflow_a_queue(monkeypatch):
    monkeypatch.setenv("POLOS_DEFAULT_CONCURRENCY_LIMIT", "7")

    @workflow
    async def bare(ctx):
        pass

    @workflow(queue="other")
    async def queued(ctx):
        pass

    assert bare.queue == "bare" and polos._registry.queues["bare"].concurrency_limit == 7
    assert queued.queue == "other" and scripted("thinks").queue == "thinks"


@pytest.mark.parametrize("name", ["session_id", "conversation_id"])
def test_ids_that_bring_no_memory_say_so(name):
    with pytest.warns(UserWarning, match=f"a {name}, which .* brings no memory"):
        scripted("forgetful").with_input("x", **{name: "1"})


def test_an_api_of_a_provider_is_a_row_of_the_server():
    agent = Agent(id="a", provider="openai", model="m", provider_llm_api="chat_completions")
    assert agent.definition().models[0].provider == "openai_chat" and agent.provider == "openai"
    for llm_api in (None, "responses"):
        agent = Agent(id="a", provider="openai", model="m", provider_llm_api=llm_api)
        assert agent.definition().models[0].provider == "openai"


async def test_runs_and_contexts_have_the_documented_fields(client):
    @workflow
    async def inner(ctx) -> Out:
        assert ctx.channel_context is None
        assert (ctx.otel_traceparent is None) == (ctx.otel_span_id is None)
        return Out(city=ctx.execution_id)

    @workflow
    async def outer(ctx) -> Out:
        return await ctx.step.invoke_and_wait("in", inner)

    found = await outer.run(client)
    run = await client.get_execution(found.city)
    assert run["root_workflow_id"] == "outer" and run["started_at"] and run["step_key"] is None
    assert run["output_schema_name"] == "test_compatible.Out"


def test_a_failed_step_says_why():
    assert StepExecutionError("no room").reason == "no room" == str(StepExecutionError("no room"))


# ---- new for everyone ----


async def test_a_stream_is_a_context_and_an_iterable(client):
    agent = scripted("streamed")
    async with agent.stream(client, "x", script=[{"text": "hi"}]) as stream:
        seen = [event.event_type async for event in stream]
    assert seen[0] == "agent_start" and seen[-1] == "agent_finish"
    with pytest.raises(LookupError):
        async with agent.stream(client, "x", script=[{"text": "a b"}], delta_ms=5000) as stream:
            raise LookupError
    with pytest.raises(polos.RunCancelledError):
        await stream.result()


async def test_an_answer_is_of_the_schema_it_was_asked_for(client, threshold):
    class Decision(BaseModel):
        approved: bool
        why: str = "no reason"

        @field_validator("why")
        @classmethod
        def is_one(cls, why):
            if not why:
                raise ValueError("say why")
            return why

    @workflow
    async def asks(ctx):
        found = await ctx.step.suspend("ask", {"q": 1}, schema=Decision)
        try:
            await ctx.step.suspend("again", schema=Decision)
        except StepExecutionError as error:
            return [type(found) is Decision and found.approved, error.error_type]

    handle = await asks.invoke(client)
    await client.resume("asks", handle.id, "ask", Decision(approved=True))
    await client.resume("asks", handle.id, "again", {"approved": True, "why": ""})
    assert await handle.result(client, 20) == [True, "ANSWER_INVALID"]


async def test_a_part_of_the_code_has_a_time_of_its_own(client, threshold):
    lives: list[int] = []

    @workflow
    async def limited(ctx):
        lives.append(1)
        found = []
        async with ctx.step.timeout("long", 60) as limit:
            found.append(await ctx.step.run("quick", lambda: "done"))
        found.append(limit.expired)
        try:
            async with ctx.step.timeout("short", 0.2):
                await ctx.step.suspend("never", {})
        except TimeoutError:
            found.append(await ctx.step.run("after", lambda: "too late"))
        await ctx.step.wait_for("nap", seconds=0.05)
        return found

    assert await limited.run(client, timeout=20) == ["done", False, "too late"]
    assert len(lives) == 1 if threshold == "10" else len(lives) >= 2


async def test_a_step_has_a_time_of_its_own(client):
    tried: list[int] = []

    async def slow() -> None:
        tried.append(1)
        await asyncio.sleep(60)

    def takes_it(timeout: int) -> int:
        return timeout

    @workflow
    async def hasty(ctx):
        try:
            await ctx.step.run("slow", slow, timeout=0.1, max_retries=1, base_delay=0.01)
        except StepExecutionError as error:
            return [error.error_type, await ctx.step.run("own", takes_it, timeout=3)]

    assert await hasty.run(client, timeout=20) == ["TIMEOUT", 3] and len(tried) == 2


# ---- programs as the documentation has them ----


async def test_an_agents_answer_goes_through_a_workflow(client):
    helper, logged = scripted("support"), []

    @workflow
    async def support(ctx, input: Question):
        response = await ctx.step.agent_invoke_and_wait("ask", helper.with_input(input.question))
        await ctx.step.run("log", logged.append, response)
        await ctx.step.run("mail", lambda to, answer: f"{to}: {answer.result}", "a@b.c", response)
        return response

    response = await support.run(client, Question(question="well?"), timeout=20)
    assert isinstance(response.result, str) and response.usage.total_tokens >= 0
    assert isinstance(logged[0], AgentResult) and response.total_steps == 1


class Question(BaseModel):
    question: str


async def test_a_plan_is_approved_and_executed(client, threshold):
    planner, executor = scripted("planner"), scripted("executor")

    @workflow
    async def approval(ctx, input: dict):
        plan = await ctx.step.agent_invoke_and_wait("plan", planner.with_input(input.task))
        resume_data = await ctx.step.suspend("ok", data={"plan": plan})
        decision = resume_data.get("data", {})
        if decision.get("approved") and resume_data.data["approved"]:
            return await ctx.step.agent_invoke_and_wait("do", executor.with_input(plan))

    handle = await approval.invoke(client, {"task": "clean up"})
    while not (asked := await client.list_suspensions(handle.id)):
        await asyncio.sleep(0.01)
    assert isinstance(asked[0].data["plan"]["result"], str)
    await client.resume("approval", handle.id, "ok", {"approved": True})
    assert isinstance((await handle.result(client, 20)).result, str)


async def test_an_error_says_of_what_class_it_is_and_where_it_was_raised(client):
    @workflow
    async def careless(ctx):
        return {}["missing"]

    with pytest.raises(polos.RunFailedError) as caught:
        await careless.run(client, max_retries=0)
    place = r"^KeyError: 'missing' \(test_compatible\.py:\d+, in careless\)"
    assert re.search(place, str(caught.value))


async def test_a_run_that_is_late_is_told_its_own_time(client):
    @workflow
    async def endless(ctx):
        await asyncio.Event().wait()

    handle = await endless.invoke(client, run_timeout_seconds=1, max_retries=0)
    with pytest.raises(polos.WorkflowTimeoutError, match="did not end within 1 s") as caught:
        await handle.result(client, 20)
    assert "run_timeout_ms" not in str(caught.value) and caught.value.timeout_seconds == 1
