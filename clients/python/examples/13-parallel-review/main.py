"""Several reviewers at once: child runs, and agents.

    ./run serve &
    python clients/python/examples/13-parallel-review/main.py

Prints, without a key:

    No OPENAI_API_KEY is set: the model is the built-in scripted one.
    grammar: 2 findings
    facts: 1 finding
    style: it failed: the style guide is missing
    the editors say: accept, accept
"""

import asyncio
import sys
from pathlib import Path

from polos import Agent, BatchWorkflowInput, PolosClient, WorkflowContext, workflow

sys.path.append(str(Path(__file__).resolve().parents[1]))
from models import MODEL, say_which, script  # noqa: E402

editor = Agent(
    id="editor",
    **MODEL,
    system_prompt="You decide whether a text is accepted.",
)


@workflow(id="review")
async def review(ctx: WorkflowContext, payload: dict) -> int:
    if payload["aspect"] == "style":
        await ctx.step.run("guide", open, "no such style guide", max_retries=0)
    return await ctx.step.run("look", payload["text"].count, payload["look_for"])


@workflow(id="parallel-review")
async def parallel_review(ctx: WorkflowContext, payload: dict) -> list[str]:
    aspects = {"grammar": "ain't", "facts": "flat", "style": ""}
    inputs = [
        BatchWorkflowInput(
            id="review", payload={"aspect": aspect, "look_for": what, "text": payload["text"]}
        )
        for aspect, what in aspects.items()
    ]
    reviews = ctx.step.batch_invoke_and_wait("reviews", inputs)
    decisions = ctx.step.batch_agent_invoke_and_wait(
        "editors",
        [
            editor.with_input(payload["text"], **script({"text": "accept"})),
            editor.with_input(payload["text"], **script({"text": "accept"})),
        ],
    )
    found, said = await asyncio.gather(reviews, decisions)
    lines = []
    for aspect, each in zip(aspects, found):
        if each.success:
            lines.append(f"{aspect}: {each.result} finding{'' if each.result == 1 else 's'}")
        else:
            lines.append(f"{aspect}: it failed: the style guide is missing")
    lines.append("the editors say: " + ", ".join(each.result.result for each in said))
    return lines


async def main() -> None:
    say_which()
    async with PolosClient() as client:
        text = "The earth is flat. It ain't round, it ain't."
        for line in await parallel_review.run(client, {"text": text}):
            print(line)


if __name__ == "__main__":
    asyncio.run(main())
