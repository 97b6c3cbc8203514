"""An agent with two tools, and a limit for its steps.

    ./run serve &
    python clients/python/examples/01-agent-with-tools/main.py

Prints, without a key:

    No OPENAI_API_KEY is set: the model is the built-in scripted one.
    Rome has 21 degrees; that is 70 Fahrenheit.
    2 tool calls in 3 steps: get_weather, to_fahrenheit
    it went on for 2 steps and was stopped: max_steps
"""

import asyncio
import sys
from pathlib import Path

from pydantic import BaseModel, Field

from polos import Agent, MaxStepsConfig, Polos, WorkflowContext, max_steps, tool

sys.path.append(str(Path(__file__).resolve().parents[1]))
from models import MODEL, calls, say_which, script  # noqa: E402


class City(BaseModel):
    city: str = Field(description="The city's name")


class Temperature(BaseModel):
    celsius: float


@tool(description="Get the current weather in a city")
async def get_weather(ctx: WorkflowContext, input: City) -> dict:
    return {"city": input.city, "celsius": 21, "sky": "clear"}


@tool(description="Convert degrees Celsius to Fahrenheit")
def to_fahrenheit(ctx: WorkflowContext, input: Temperature) -> int:
    return round(input.celsius * 9 / 5 + 32)


weather_agent = Agent(
    id="weather-agent",
    **MODEL,
    system_prompt="You are a helpful weather assistant. Answer in one sentence.",
    tools=[get_weather, to_fahrenheit],
    stop_conditions=[max_steps(MaxStepsConfig(count=5))],
)

curious_agent = Agent(
    id="curious-agent",
    **MODEL,
    system_prompt="Look at the weather of every city you can think of, one after the other.",
    tools=[get_weather],
    stop_conditions=[max_steps(count=2)],
)


async def main() -> None:
    say_which()
    async with Polos() as polos:
        response = await weather_agent.run(
            polos,
            "How warm is it in Rome, in Celsius and in Fahrenheit?",
            **script(
                calls("get_weather", city="Rome"),
                calls("to_fahrenheit", celsius=21),
                {"text": "Rome has 21 degrees; that is {{tool_result}} Fahrenheit."},
            ),
        )
        print(response.result)
        names = ", ".join(result.tool_name for result in response.tool_results)
        print(f"{len(response.tool_results)} tool calls in {response.total_steps} steps: {names}")

        endless = await curious_agent.run(
            polos, "Go!", **script(*[calls("get_weather", city="Oslo")] * 9)
        )
        print(f"it went on for {endless.total_steps} steps and was stopped: {endless.stop_reason}")


if __name__ == "__main__":
    asyncio.run(main())
