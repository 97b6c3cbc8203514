"""An agent's answer as it is written: its text, all its events, and what is left when it has ended.

    ./run serve &
    python clients/python/examples/03-agent-streaming/main.py

Prints, without a key:

    No OPENAI_API_KEY is set: the model is the built-in scripted one.
    Once upon a time there was a run that nobody could kill.
    calls look_up {"topic":"runs"}
    look_up: 7 facts
    There are 7 facts about runs.
    2 steps, ended by: end
    the whole text: Once upon a time there was a run that nobody could kill.
"""

import asyncio
import sys
from pathlib import Path

from pydantic import BaseModel

from polos import Agent, PolosClient, WorkflowContext, tool

sys.path.append(str(Path(__file__).resolve().parents[1]))
from models import MODEL, calls, say_which, script  # noqa: E402


class Topic(BaseModel):
    topic: str


@tool(description="Look up how many facts are known about a topic")
async def look_up(ctx: WorkflowContext, input: Topic) -> str:
    return "7 facts"


teller = Agent(id="story-teller", **MODEL, system_prompt="You tell stories of one sentence.")
clerk = Agent(
    id="clerk", **MODEL, system_prompt="Look up what you are asked for.", tools=[look_up]
)
STORY = {"text": "Once upon a time there was a run that nobody could kill."}


async def main() -> None:
    say_which()
    async with PolosClient() as client:
        story = await teller.stream(client, "Tell me a story.", **script(STORY))
        async for chunk in story.text_chunks:
            print(chunk, end="", flush=True)
        print()

        stream = await clerk.stream(
            client,
            "How much do we know about runs?",
            **script(calls("look_up", topic="runs"), {"text": "There are 7 facts about runs."}),
        )
        async for event in stream.events:
            if event.event_type == "text_delta":
                print(event.data["content"], end="", flush=True)
            elif event.event_type == "tool_call":
                function = event.data["tool_call"]["function"]
                print("calls", function["name"], function["arguments"])
            elif event.event_type == "tool_finish":
                print(f"{event.data['tool_name']}: {event.data['result']}")
            elif event.event_type == "agent_finish":
                print(f"\n{event.data['total_steps']} steps, ended by: {event.data['stop_reason']}")

        print("the whole text:", await story.text())


if __name__ == "__main__":
    asyncio.run(main())
