"""Hooks that watch an agent at work, change what a tool gave, and say no.

    ./run serve &
    python clients/python/examples/07-lifecycle-hooks/main.py

Prints, without a key:

    No OPENAI_API_KEY is set: the model is the built-in scripted one.
    asked: How many seats are free on flight 7?
    turn 1
    seats({"flight": 7})
    turn 2
    answered after 2 turns
    There are about 40 seats left.
    refused: Please ask something.
"""

import asyncio
import json
import sys
from pathlib import Path

from pydantic import BaseModel

from polos import Agent, HookContext, HookResult, Polos, RunFailedError, WorkflowContext, hook, tool

sys.path.append(str(Path(__file__).resolve().parents[1]))
from models import MODEL, calls, say_which, script  # noqa: E402


class Flight(BaseModel):
    flight: int


@tool(description="How many seats of a flight are free")
async def seats(ctx: WorkflowContext, input: Flight) -> dict:
    return {"flight": input.flight, "free": 43, "captain": "not for passengers"}


@hook
def asks_something(ctx: WorkflowContext, about: HookContext) -> HookResult:
    question = about.current_payload["prompt"]
    if not question.strip():
        return HookResult.fail("Please ask something.")
    print(f"asked: {question}")
    return HookResult.continue_with()


@hook
def say_turn(ctx: WorkflowContext, about: HookContext) -> HookResult:
    print(f"turn {about.current_payload['step']}")
    return HookResult.continue_with()


@hook
def say_call(ctx: WorkflowContext, about: HookContext) -> HookResult:
    print(f"{about.current_tool}({json.dumps(about.current_payload)})")
    return HookResult.continue_with()


@hook
def hide_details(ctx: WorkflowContext, about: HookContext) -> HookResult:
    free = about.current_output["free"]
    return HookResult.continue_with(modified_output=f"about {round(free, -1)}")


@hook
async def say_end(ctx: WorkflowContext, about: HookContext) -> HookResult:
    print(f"answered after {len(about.steps)} turns")
    return HookResult.continue_with()


clerk = Agent(
    id="seat-clerk",
    **MODEL,
    system_prompt="Answer in one sentence.",
    tools=[seats],
    on_start=[asks_something],
    on_agent_step_start=[say_turn],
    on_tool_start=[say_call],
    on_tool_end=[hide_details],
    on_end=[say_end],
)


async def main() -> None:
    say_which()
    async with Polos() as polos:
        answer = await clerk.run(
            polos,
            "How many seats are free on flight 7?",
            **script(
                calls("seats", flight=7),
                {"text": "There are {{tool_result}} seats left."},
            ),
        )
        print(answer.result)
        try:
            await clerk.run(polos, " ", **script({"text": "Yes?"}))
        except RunFailedError as refused:
            print(f"refused: {refused.message}")


if __name__ == "__main__":
    asyncio.run(main())
