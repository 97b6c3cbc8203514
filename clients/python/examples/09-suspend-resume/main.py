"""A run that asks three times; somebody else follows it and answers.

    ./run serve &
    python clients/python/examples/09-suspend-resume/main.py

Prints:

    asked for a name: {'question': 'Who are you?'}
    asked for a plan: {'question': 'What do you want, Ann?'}
    asked for a confirmation: {'question': 'A trip for Ann: shall I book it?'}
    the last one is open: False, answered by the terminal
    completed: booked a trip for Ann, confirmed by the terminal
"""

import asyncio
from typing import Any

from polos import ExecutionHandle, PolosClient, WorkflowContext, events, workflow

ANSWERS = {"name": {"name": "Ann"}, "plan": {"plan": "trip"}, "confirmation": {"yes": True}}


@workflow(id="concierge")
async def concierge(ctx: WorkflowContext) -> str:
    first = await ctx.step.suspend("name", data={"question": "Who are you?"})
    name = first["data"]["name"]
    second = await ctx.step.suspend("plan", data={"question": f"What do you want, {name}?"})
    plan = f"a {second['data']['plan']} for {name}"
    question = f"{plan[0].upper()}{plan[1:]}: shall I book it?"
    third = await ctx.step.suspend("confirmation", data={"question": question}, timeout=3600)
    if not third["data"]["yes"]:
        return "nothing was booked"
    booked = await ctx.step.run("book", lambda: f"booked {plan}")
    return f"{booked}, confirmed by {third['resumed_by']}"


def shown(data: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in data.items() if not key.startswith("_")}


async def answer(client: PolosClient, handle: ExecutionHandle) -> None:
    """Any process may do this; the run is followed from its start."""
    async for event in events.stream_workflow(client, "concierge", handle.id):
        kind, _, key = (event.event_type or "").partition("_")
        if kind != "suspend":
            continue
        print(f"asked for a {key}: {shown(event.data)}")
        await client.resume("concierge", handle.id, key, ANSWERS[key], resumed_by="the terminal")
    found = await client.get_suspension(handle.id, "confirmation")
    print(f"the last one is open: {found.is_open}, answered by {found.resumed_by}")


async def main() -> None:
    async with PolosClient() as client:
        handle = await concierge.invoke(client)
        await answer(client, handle)
        execution = await client.get_execution(handle.id)
        print(f"{execution['status']}: {execution['result']}")


if __name__ == "__main__":
    asyncio.run(main())
