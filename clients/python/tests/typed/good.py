"""A program whose types are right: mypy --strict finds nothing in it."""

from typing import Any

from pydantic import BaseModel
from typing_extensions import assert_type

from polos import (
    Agent,
    AgentResult,
    Execution,
    PolosClient,
    Tool,
    Workflow,
    WorkflowContext,
    tool,
    workflow,
)


class City(BaseModel):
    name: str


class Weather(BaseModel):
    celsius: int


class Decision(BaseModel):
    approved: bool


@tool(description="The weather")
async def look(ctx: WorkflowContext, input: City) -> Weather:
    return Weather(celsius=21)


@workflow
async def bare(ctx: WorkflowContext) -> list[int]:
    return [1]


@workflow(id="plain")
def plain(ctx: WorkflowContext, payload: int) -> str:
    return str(payload)


def double(number: int) -> int:
    return 2 * number


async def fetch(city: str, *, fast: bool = False) -> Weather:
    return Weather(celsius=len(city))


agent = Agent(id="a", provider="openai", model="m", tools=[look])
forecaster = Agent(id="f", provider="openai", model="m", output_schema=Weather)


@workflow(id="flow")
async def flow(ctx: WorkflowContext, payload: City) -> Weather:
    assert_type(await ctx.step.run("a", double, 2), int)
    assert_type(await ctx.step.run("b", fetch, "x", fast=True), Weather)
    assert_type(await ctx.step.run("c", fetch, "x", max_retries=1, max_delay=2), Weather)
    assert_type(await ctx.step.run("d", double, 2, timeout=3), int)
    assert_type(await ctx.step.run("e", lambda: "x"), str)
    assert_type(await ctx.step.invoke_and_wait("f", look, City(name="x")), Weather)
    assert_type(await ctx.step.invoke_and_wait("g", bare), list[int])
    assert_type(await ctx.step.invoke_and_wait("h", plain, 3, priority=2), str)
    asked = await ctx.step.agent_invoke_and_wait("i", agent.with_input("x"))
    assert_type(asked, AgentResult[str])
    told = await ctx.step.agent_invoke_and_wait("m", forecaster.with_input("x"))
    assert_type(told.result.celsius, int)
    await ctx.step.batch_agent_invoke("n", [agent.with_input("x"), forecaster.with_input("y")])
    assert_type(await ctx.step.suspend("j", schema=Decision), Decision)
    print((await ctx.step.suspend("k", {"a": 1}))["data"], await ctx.step.invoke_and_wait("l", "x"))
    return Weather(celsius=1)


async def main() -> None:
    client = PolosClient()
    assert_type(look, Tool[City, Weather])
    assert_type(bare, Workflow[None, list[int]])
    assert_type(await flow.run(client, City(name="x"), timeout=3), Weather)
    assert_type(await flow.run(client, {"name": "x"}), Weather)
    assert_type(await plain.run(client, 4), str)
    assert_type(await bare.run(client), list[int])
    assert_type(flow.run_sync(client, City(name="x")), Weather)
    assert_type(await agent.run(client, "x"), AgentResult[str])
    assert_type(forecaster, Agent[Weather])
    assert_type((await forecaster.run(client, "x")).result, Weather)
    assert_type(forecaster.run_sync(client, "x").result.celsius, int)
    stream = await forecaster.stream(client, "x")
    assert_type((await stream.result()).result, Weather)
    async with agent.stream(client, "x") as followed:
        assert_type((await followed.result()).result, str)
    run = await client.get_execution("x")
    assert_type(run, Execution)
    assert_type((run.status, run.error, run.total_steps), tuple[str, str | None, int])
    assert_type([wait.kind for wait in run.waiting], list[str])
    assert_type((await client.list_executions())[0].created_at, str | None)
    assert_type((await client.list_agents())[0].tools, list[str])
    print(run["status"], run.get("error"))
    some: list[Agent[Any]] = [agent, forecaster]
    print(some)
