"""A program with mistakes: mypy and pyright find one in each line that ends with "wrong"."""

from pydantic import BaseModel

from polos import Agent, PolosClient, WorkflowContext, workflow


class City(BaseModel):
    name: str


class Weather(BaseModel):
    celsius: int


def double(number: int) -> int:
    return 2 * number


agent = Agent(id="a", provider="openai", model="m")
forecaster = Agent(id="f", provider="openai", model="m", output_schema=Weather)


@workflow
async def bare(ctx: WorkflowContext) -> int:
    return 1


@workflow
async def other(ctx: WorkflowContext, payload: City) -> Weather:
    return Weather(celsius=1)


@workflow
async def flow(ctx: WorkflowContext, payload: City) -> Weather:
    await ctx.step.run("a", double, "two")  # wrong
    await ctx.step.run("b", double)  # wrong
    await ctx.step.invoke_and_wait("c", other, Weather(celsius=1))  # wrong
    found = await ctx.step.invoke_and_wait("d", other, City(name="x"))
    print(found.celcius)  # wrong
    answer = await ctx.step.agent_invoke_and_wait("e", agent.with_input("x"))
    print(answer.results)  # wrong
    told = await ctx.step.agent_invoke_and_wait("f", forecaster.with_input("x"))
    print(told.result.celcius)  # wrong
    await ctx.step.invoke_and_wait("g", other)  # wrong
    await ctx.step.invoke_and_wait("h", bare, City(name="x"))  # wrong
    await ctx.step.invoke("i", other)  # wrong
    await ctx.step.invoke("j", other, City(nam="x"))  # wrong
    return City(name="x")  # wrong


async def main() -> None:
    await flow.run(PolosClient(), 3)  # wrong
    await flow.run(PolosClient())  # wrong
    await flow.invoke(PolosClient())  # wrong
    flow.run_sync(PolosClient())  # wrong
    await bare.run(PolosClient(), City(name="x"))  # wrong
    await flow.run(PolosClient(), City(name="x"), que="mail")  # wrong
    result = await flow.run(PolosClient(), City(name="x"))
    print(result.fahrenheit)  # wrong
    print((await forecaster.run(PolosClient(), "x")).result.fahrenheit)  # wrong
    print((await agent.run(PolosClient(), "x")).result.celsius)  # wrong
    print((await PolosClient().get_execution("x")).stauts)  # wrong
    print((await PolosClient().list_executions())[0].error.upper())  # wrong
    Agent(id="g", provider="openai", model="m", system_promt="x")  # wrong
