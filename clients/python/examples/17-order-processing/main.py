"""An order that an agent looks at and a person approves, from another process.

    ./run serve &
    python clients/python/examples/17-order-processing/main.py

Prints, without a key:

    No OPENAI_API_KEY is set: the model is the built-in scripted one.
    the agent says: order A7 looks unusual
    asked for an approval of 950
    (another process) approved
    shipped A7, approved by the manager
"""

import asyncio
import sys
from pathlib import Path

from pydantic import BaseModel

from polos import Agent, PolosClient, WorkflowContext, events, tool, workflow

sys.path.append(str(Path(__file__).resolve().parents[1]))
from models import MODEL, calls, say_which, script  # noqa: E402


class Query(BaseModel):
    order: str


@tool(description="Look up an order")
async def look_up(ctx: WorkflowContext, input: Query) -> dict:
    return {"order": input.order, "usual": False}


analyst = Agent(
    id="order-analyst",
    **MODEL,
    system_prompt="You judge orders.",
    tools=[look_up],
)


@workflow(id="order-processing")
async def order_processing(ctx: WorkflowContext, payload: dict) -> str:
    order = payload["order"]
    says = script(calls("look_up", order=order), {"text": f"order {order} looks unusual"})
    opinion = await ctx.step.agent_invoke_and_wait(
        "judge", analyst.with_input(f"Is {order} usual?", **says)
    )
    await ctx.step.publish_workflow_event("opinion", {"text": opinion.result}, "opinion")
    answer = await ctx.step.suspend(
        "approve", data={"order": order, "amount": payload["amount"]}, timeout=86400
    )
    if not answer["data"]["approved"]:
        return f"cancelled {order}"
    by = answer["resumed_by"]
    return await ctx.step.run("ship", lambda: f"shipped {order}, approved by {by}")


async def approve(execution_id: str) -> None:
    """What the other process does; it knows only where the server is."""
    async with PolosClient() as client:
        answer = {"approved": True}
        told = await client.resume(
            "order-processing", execution_id, "approve", answer, resumed_by="the manager"
        )
        print("(another process)", "approved" if told.accepted else "was approved before")


async def main() -> None:
    say_which()
    async with PolosClient() as client:
        handle = await order_processing.invoke(client, {"order": "A7", "amount": 950})
        async for event in events.stream_workflow(client, "order-processing", handle.id):
            if event.event_type == "opinion":
                print("the agent says:", event.data["text"])
            if event.event_type == "suspend_approve":
                print("asked for an approval of", event.data["amount"])
                sys.stdout.flush()
                other = await asyncio.create_subprocess_exec(
                    sys.executable, __file__, "approve", handle.id
                )
                await other.wait()
        print(await handle.result(client))


if __name__ == "__main__":
    if sys.argv[1:2] == ["approve"]:
        asyncio.run(approve(sys.argv[2]))
    else:
        asyncio.run(main())
