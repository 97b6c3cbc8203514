#!/usr/bin/env python3
"""Shows what polosd is for: an agent's run, streamed; then a run whose server is killed half-way.

    python demo/main.py [PATH-OF-POLOSD]      default: $POLOSD, else the build's

Uses OpenAI when OPENAI_API_KEY is set (model gpt-4o-mini, or $POLOS_DEMO_MODEL), else the
scripted provider. Exit code 0 only when everything held.
"""

from __future__ import annotations

import asyncio
import logging
import os
import shutil
import sys
import tempfile
from collections import Counter
from pathlib import Path
from typing import Any

from pydantic import BaseModel, Field

sys.path[:0] = [str(Path(__file__).resolve().parent), str(Path(__file__).resolve().parents[1])]

import show  # noqa: E402
from server import Server, ServerError, program_path  # noqa: E402

from polos import (  # noqa: E402
    Agent,
    History,
    PolosClient,
    PolosError,
    WorkflowContext,
    tool,
)
from polos.stream import StreamResult  # noqa: E402

SLOW_SECONDS = 3.0
DOWN_SECONDS = 1.0
RUN_SECONDS = 120

begun: Counter[str] = Counter()  # calls of each tool in this process ...
finished: Counter[str] = Counter()  # ... and those that returned
booking_began = asyncio.Event()


class City(BaseModel):
    city: str = Field(description="The city's name")


@tool(description="Get the current weather in a city")
async def get_weather(ctx: WorkflowContext, input: City) -> dict[str, Any]:
    begun["get_weather"] += 1
    await asyncio.sleep(0.2)
    finished["get_weather"] += 1
    return {"city": input.city, "sky": "sunny", "celsius": 21}


@tool(description="Book a table on a terrace in a city for tonight. Takes a few seconds")
async def book_table(ctx: WorkflowContext, input: City) -> dict[str, Any]:
    begun["book_table"] += 1
    booking_began.set()
    await asyncio.sleep(SLOW_SECONDS)  # somebody is on the phone with the restaurant
    finished["book_table"] += 1
    return {"city": input.city, "table": 7, "time": "20:00"}


def calling(name: str, city: str) -> dict[str, Any]:
    return {"tool_calls": [{"name": name, "arguments": {"city": city}}]}


WEATHER_SCRIPT = [
    {"text": "Let me look. ", **calling("get_weather", "Lisbon")},
    {"text": "It is sunny in Lisbon at 21 degrees: no umbrella needed, sunglasses perhaps."},
]
DINNER_SCRIPT = [
    calling("get_weather", "Lisbon"),
    calling("book_table", "Lisbon"),
    {"text": "It stays sunny, so I booked table 7 on the terrace in Lisbon for 20:00."},
]


def agents() -> tuple[Agent, Agent]:
    real = bool(os.environ.get("OPENAI_API_KEY"))
    provider = "openai" if real else "scripted"
    model = os.environ.get("POLOS_DEMO_MODEL", "gpt-4o-mini") if real else "scripted"
    where = os.environ.get("OPENAI_BASE_URL")
    if real:
        show.note(f"The model is {model} of OpenAI{f' at {where}' if where else ''}.")
    else:
        show.note("No OPENAI_API_KEY is set: the model is the built-in scripted one.")
    weather = Agent(
        id="weather-agent",
        provider=provider,
        model=model,
        system_prompt="You are a helpful weather assistant. Answer in two sentences at most.",
        tools=[get_weather],
    )
    dinner = Agent(
        id="dinner-agent",
        provider=provider,
        model=model,
        system_prompt="You plan dinners. First check the weather with get_weather; when it is "
        "dry, book with book_table; then answer in one sentence.",
        tools=[get_weather, book_table],
    )
    return weather, dinner


def options(agent: Agent, script: list[dict[str, Any]]) -> dict[str, Any]:
    """What goes along with a run: for the scripted model, what it says and how fast."""
    return {"script": script, "delta_ms": 40} if agent.provider == "scripted" else {}


async def follow(stream: StreamResult, narration: show.Narration) -> None:
    async for event in stream.events:
        narration.tell(event)
    narration.end()


async def first_run(client: PolosClient, agent: Agent) -> bool:
    show.heading("1. An agent with a tool, streamed")
    question = "Do I need an umbrella in Lisbon today?"
    show.note(f'"{question}"')
    stream = await agent.stream(
        client, question, timeout=RUN_SECONDS, **options(agent, WEATHER_SCRIPT)
    )
    await follow(stream, show.Narration())
    result = await stream.result()
    show.heading("   What the journal holds of it")
    show.history(await client.history(stream.id))
    usage = result.usage
    show.note(
        f"{result.total_steps} model calls, {len(result.tool_results)} tool call(s), "
        f"{usage.input_tokens} + {usage.output_tokens} tokens"
    )
    return bool(result.result)


async def second_run(client: PolosClient, agent: Agent, server: Server) -> bool:
    show.heading("2. The point of it all: the server is killed while a tool is at work")
    question = "Book me a table on a terrace in Lisbon tonight, if the weather is fine."
    show.note(f'"{question}"')
    begun.clear()
    finished.clear()
    stream = await agent.stream(
        client, question, timeout=RUN_SECONDS, **options(agent, DINNER_SCRIPT)
    )
    narration = show.Narration()
    watching = asyncio.create_task(follow(stream, narration))
    booking = asyncio.create_task(booking_began.wait())
    try:
        await asyncio.wait([watching, booking], return_when=asyncio.FIRST_COMPLETED)
        if not booking.done():
            narration.line("The model did not ask for book_table, so there was nothing to show.")
            return False
        await kill_and_start(server, narration)
        await watching
    finally:
        watching.cancel()
        booking.cancel()
        await asyncio.gather(watching, booking, return_exceptions=True)
    await stream.result()
    return proof(await client.history(stream.id))


async def kill_and_start(server: Server, narration: show.Narration) -> None:
    await asyncio.sleep(0.5)
    await server.kill()
    narration.line(show.styled(f"== kill -9 {server.pid}: the server is gone", "31"))
    await asyncio.sleep(DOWN_SECONDS)
    took = await server.start()
    again = f"== started again on the same data in {took:.0f} ms (pid {server.pid})"
    narration.line(show.styled(again, "32"))


def proof(events: History) -> bool:
    """Every model call and tool call began once and ended once, by both counts."""
    show.heading("   What the journal holds of it")
    show.history(events)
    types = Counter(event.type for event in events)
    show.heading("   Nothing was done twice                 begun / finished")
    rows = [
        ("model calls, in the journal", types["MODEL_REQUESTED"], types["MODEL_REPLIED"]),
        ("tool calls, in the journal", types["TASK_REQUESTED"], types["TASK_SETTLED"]),
    ]
    rows += [(f"{name}, in this process", begun[name], finished[name]) for name in sorted(begun)]
    fine = show.counts(rows)
    if begun.total() != types["TASK_REQUESTED"]:
        show.note("The journal and this process do not agree on the number of tool calls.")
        fine = False
    return fine


async def demo(program: Path, data: Path) -> bool:
    server = Server(program, data)
    client: PolosClient | None = None
    try:
        took = await server.start()
        show.heading("Polos: agents that survive their server")
        show.note(f"polosd is ready at {server.address} after {took:.0f} ms (pid {server.pid}).")
        weather, dinner = agents()
        client = PolosClient(api_url=server.url)
        fine = await first_run(client, weather)
        fine = await second_run(client, dinner, server) and fine
    except PolosError as error:
        show.heading("That did not work")
        show.note(str(error))
        show.note(f"The server's log ends with:\n{server.log_tail()}")
        return False
    finally:
        if client is not None:
            await client.close()
        await server.stop()
    show.heading("Everything held." if fine else "Not everything held: see above.")
    show.next_steps()
    return fine


def main() -> int:
    logging.getLogger("polos").setLevel(logging.ERROR)  # the demo says itself what happens
    folder = Path(tempfile.mkdtemp(prefix="polos-demo-"))
    try:
        fine = asyncio.run(demo(program_path(sys.argv[1:]), folder / "data"))
    except ServerError as error:
        print(f"demo: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("\n  Interrupted.", file=sys.stderr)
        return 130
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return 0 if fine else 1


if __name__ == "__main__":
    sys.exit(main())
