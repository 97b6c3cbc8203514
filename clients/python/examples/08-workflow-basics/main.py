"""Steps, retries, things that stay the same, waits and a child run.

    ./run serve &
    python clients/python/examples/08-workflow-basics/main.py

Prints:

    try 1 of the shaky step
    try 2 of the shaky step
    waiting half a second
    order A1: 25, id of 36 characters, lucky number in range: True
    sent to ann@example.com
"""

import asyncio

from pydantic import BaseModel

from polos import PolosClient, WorkflowContext, workflow


class Order(BaseModel):
    id: str
    prices: list[int]
    email: str


tries = 0


def shaky() -> bool:
    global tries
    tries += 1
    print(f"try {tries} of the shaky step")
    if tries < 2:
        raise ConnectionError("not yet")
    return True


@workflow(id="send-receipt")
async def send_receipt(ctx: WorkflowContext, payload: dict) -> str:
    return await ctx.step.run("send", lambda: f"sent to {payload['email']}")


@workflow(id="workflow-basics")
async def workflow_basics(ctx: WorkflowContext, order: Order) -> dict:
    total = await ctx.step.run("total", sum, order.prices)
    await ctx.step.run("shaky", shaky, max_retries=3, base_delay=0.05)
    number = await ctx.step.uuid("number")
    await ctx.step.now("time")
    lucky = await ctx.step.random("lucky")
    await ctx.step.run("say", print, "waiting half a second")
    await ctx.step.wait_for("cooling", seconds=0.5)
    receipt = await ctx.step.invoke_and_wait("receipt", send_receipt, {"email": order.email})
    return {
        "order": order.id,
        "total": total,
        "id_length": len(number),
        "lucky": 0 <= lucky < 1,
        "receipt": receipt,
    }


async def main() -> None:
    async with PolosClient() as client:
        order = Order(id="A1", prices=[5, 20], email="ann@example.com")
        found = await workflow_basics.run(client, order)
        print(
            f"order {found['order']}: {found['total']}, id of {found['id_length']} characters, "
            f"lucky number in range: {found['lucky']}"
        )
        print(found["receipt"])


if __name__ == "__main__":
    asyncio.run(main())
