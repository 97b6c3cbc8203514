"""An agent with a tool, run and then streamed.

    ./run serve &
    python clients/python/examples/weather.py

The scripted model needs no key; for a real one: provider="openai", model="gpt-4o-mini", and
OPENAI_API_KEY in the server's environment.
"""

import asyncio

from pydantic import BaseModel

from polos import Agent, PolosClient, WorkflowContext, tool


class WeatherInput(BaseModel):
    city: str


@tool(description="Get weather for a city")
async def get_weather(ctx: WorkflowContext, input: WeatherInput) -> dict[str, object]:
    return {"city": input.city, "sky": "sunny", "celsius": 21}


weather_agent = Agent(
    id="weather-agent",
    provider="scripted",
    model="scripted",
    system_prompt="You are a helpful weather assistant.",
    tools=[get_weather],
)


async def main() -> None:
    client = PolosClient()
    response = await weather_agent.run(client, "What's the weather in NYC?")
    print(response.result)
    print(f"{response.total_steps} model calls, tools: {response.tool_results}")

    stream = await weather_agent.stream(client, "And in Tokyo?")
    async for chunk in stream.text_chunks:
        print(chunk, end="", flush=True)
    print()


if __name__ == "__main__":
    asyncio.run(main())
