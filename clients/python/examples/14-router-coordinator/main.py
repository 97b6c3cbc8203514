"""A router that hands a question to the agent for it, and a coordinator that has several at work.

    ./run serve &
    python clients/python/examples/14-router-coordinator/main.py

Prints, without a key:

    No OPENAI_API_KEY is set: the model is the built-in scripted one.
    "The server does not start." goes to technical
    technical: Look at its log, then free the port.
    "I was charged twice." goes to billing
    billing: The second charge is given back.
    report: pros: it survives / cons: it is new
    filed as report-2-opinions
"""

import asyncio
import sys
from pathlib import Path

from polos import Agent, BatchStepResult, PolosClient, WorkflowContext, workflow

sys.path.append(str(Path(__file__).resolve().parents[1]))
from models import MODEL, say_which, script  # noqa: E402

router = Agent(
    id="router",
    **MODEL,
    system_prompt="Answer with one word: billing, or technical.",
)
specialists = {
    name: Agent(id=name, **MODEL, system_prompt=f"You answer {name} questions in a sentence.")
    for name in ("billing", "technical")
}
critic = Agent(id="critic", **MODEL, system_prompt="You name one point, in three words.")
editor = Agent(id="editor", **MODEL, system_prompt="You join points with ' / ', and add nothing.")

# What the scripted model says: where each question goes, and the answer there.
ANSWERS = {
    "The server does not start.": ("technical", "Look at its log, then free the port."),
    "I was charged twice.": ("billing", "The second charge is given back."),
}


@workflow(id="route")
async def route(ctx: WorkflowContext, question: str) -> dict:
    """One agent decides which other one answers; each is a run of its own, started once."""
    where, answer = ANSWERS[question]
    decision = await ctx.step.agent_invoke_and_wait(
        "decide", router.with_input(question, **script({"text": where}))
    )
    chosen = "billing" if "billing" in decision.result.lower() else "technical"
    found = await ctx.step.agent_invoke_and_wait(
        "answer", specialists[chosen].with_input(question, **script({"text": answer}))
    )
    return {"by": chosen, "answer": found.result}


@workflow(id="file-report")
async def file_report(ctx: WorkflowContext, payload: dict) -> str:
    return await ctx.step.run("file", lambda: f"report-{payload['count']}-opinions")


@workflow(id="coordinate")
async def coordinate(ctx: WorkflowContext, subject: str) -> dict:
    """Several agents at once, one that joins what they said, and a workflow that files it."""
    said: list[BatchStepResult] = await ctx.step.batch_agent_invoke_and_wait(
        "opinions",
        [
            critic.with_input(f"Speak for {subject}.", **script({"text": "pros: it survives"})),
            critic.with_input(f"Speak against {subject}.", **script({"text": "cons: it is new"})),
        ],
    )
    points = [each.result.result for each in said if each.success]
    joined = await ctx.step.agent_invoke_and_wait(
        "join", editor.with_input("\n".join(points), **script({"text": " / ".join(points)}))
    )
    filed = await ctx.step.invoke_and_wait("file", file_report, {"count": len(points)})
    return {"report": joined.result, "filed": filed}


async def main() -> None:
    say_which()
    async with PolosClient() as client:
        for question in ANSWERS:
            found = await route.run(client, question)
            print(f'"{question}" goes to {found["by"]}')
            print(f"{found['by']}: {found['answer']}")
        found = await coordinate.run(client, "durable agents")
        print("report:", found["report"])
        print("filed as", found["filed"])


if __name__ == "__main__":
    asyncio.run(main())
