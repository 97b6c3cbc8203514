"""An agent that is made to think in steps: its answer has a place for them, and is streamed.

    ./run serve &
    python clients/python/examples/05-thinking-agent/main.py

Prints, without a key:

    No OPENAI_API_KEY is set: the model is the built-in scripted one.
    {"steps":["The bat is 1.00 more.","So the ball is 0.05."],"answer":"0.05","certainty":0.98}
    1. The bat is 1.00 more.
    2. So the ball is 0.05.
    0.05 (certain: 0.98)
"""

import asyncio
import sys
from pathlib import Path

from pydantic import BaseModel, Field

from polos import Agent, PolosClient

sys.path.append(str(Path(__file__).resolve().parents[1]))
from models import MODEL, say_which, script  # noqa: E402


class Thought(BaseModel):
    steps: list[str] = Field(description="One thought after the other, before the answer")
    answer: str
    certainty: float = Field(description="0 to 1")


thinker = Agent(
    id="thinker",
    **MODEL,
    system_prompt="Think in small steps, check each, then answer.",
    output_schema=Thought,
)

QUESTION = "A bat and a ball cost 1.10. The bat costs 1.00 more than the ball. And the ball?"
ANSWER = Thought(
    steps=["The bat is 1.00 more.", "So the ball is 0.05."],
    answer="0.05",
    certainty=0.98,
)


async def main() -> None:
    say_which()
    async with PolosClient() as client:
        stream = await thinker.stream(
            client, QUESTION, **script({"text": ANSWER.model_dump_json()})
        )
        async for chunk in stream.text_chunks:
            print(chunk, end="", flush=True)
        print()
        thought: Thought = (await stream.result()).result
        for number, step in enumerate(thought.steps, 1):
            print(f"{number}. {step}")
        print(f"{thought.answer} (certain: {thought.certainty})")


if __name__ == "__main__":
    asyncio.run(main())
