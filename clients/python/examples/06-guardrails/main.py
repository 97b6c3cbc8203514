"""Guardrails that turn replies down, by code and by a sentence, and one that changes them.

    ./run serve &
    python clients/python/examples/06-guardrails/main.py

Prints, without a key:

    No OPENAI_API_KEY is set: the model is the built-in scripted one.
    turned down by guardrail.no_prices.0
    turned down by prompt
    You pay at the desk. (not an offer)
    refused: name no prices
"""

import asyncio
import sys
from pathlib import Path

from polos import (
    Agent,
    GuardrailContext,
    GuardrailResult,
    Polos,
    RunFailedError,
    WorkflowContext,
    guardrail,
)

sys.path.append(str(Path(__file__).resolve().parents[1]))
from models import MODEL, REAL, say_which, script  # noqa: E402


@guardrail
def no_prices(ctx: WorkflowContext, about: GuardrailContext) -> GuardrailResult:
    if "$" in (about.content or ""):
        return GuardrailResult.fail("name no prices")
    return GuardrailResult.continue_with()


@guardrail
def add_notice(ctx: WorkflowContext, about: GuardrailContext) -> GuardrailResult:
    return GuardrailResult.continue_with(modified_content=f"{about.content} (not an offer)")


clerk = Agent(
    id="careful-clerk",
    system_prompt="You sell seats. Answer in one short sentence.",
    guardrails=[no_prices, "The answer says nothing about the person who asks.", add_notice],
    guardrail_max_retries=2,
    **MODEL,
)


async def main() -> None:
    say_which()
    async with Polos() as polos:
        replies = script(
            {"text": "It costs $900, and you look poor."},
            {"text": "You look poor."},
            {"text": "You pay at the desk."},
        )
        if not REAL:
            replies["verdicts"] = [{"passed": False, "reason": "it speaks of the person"}]
        response = await clerk.run(polos, "What is a seat?", **replies)
        for event in await polos.history(response.agent_run_id):
            if event.type == "REPLY_REJECTED":
                print(f"turned down by {event.data['guardrail']}")
        print(response.result)
        try:
            prices = [{"text": f"It costs ${price}."} for price in (1, 2, 3)]
            silent = Agent(id="silent-clerk", guardrails=no_prices, **MODEL)
            print((await silent.run(polos, "What is a seat?", **script(*prices))).result)
        except RunFailedError as error:
            print(f"refused: {error.message}")


asyncio.run(main())
