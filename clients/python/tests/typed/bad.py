"""A program with mistakes: mypy finds one in each line that ends with "wrong"."""

from pydantic import BaseModel

from polos import Agent, PolosClient, WorkflowContext, workflow


class City(BaseModel):
    name: str


class Weather(BaseModel):
    celsius: int


def double(number: int) -> int:
    return 2 * number


agent = Agent(id="a", provider="openai", model="m")


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
    return City(name="x")  # wrong


async def main() -> None:
    await flow.run(PolosClient(), 3)  # wrong
    result = await flow.run(PolosClient(), City(name="x"))
    print(result.fahrenheit)  # wrong
