"""A workflow with durable steps.

    ./run serve &
    python clients/python/examples/steps.py

Prints:

    charging 42
    shipping 42 (receipt-42)
    {'receipt': 'receipt-42', 'parcel': 'parcel-42'}

There are five seconds between the steps. Kill the server meanwhile (and start it again): no step is
done twice.
"""

import asyncio

from polos import PolosClient, WorkflowContext, workflow


async def charge(order: str) -> str:
    print(f"charging {order}")
    return f"receipt-{order}"


async def ship(order: str, receipt: str) -> str:
    print(f"shipping {order} ({receipt})")
    return f"parcel-{order}"


@workflow(id="fulfil-order")
async def fulfil_order(ctx: WorkflowContext, payload: dict[str, str]) -> dict[str, str]:
    order = payload["order"]
    receipt = await ctx.step.run("charge", charge, order)
    await asyncio.sleep(5)
    parcel = await ctx.step.run("ship", ship, order, receipt)
    return {"receipt": receipt, "parcel": parcel}


async def main() -> None:
    async with PolosClient() as client:
        print(await fulfil_order.run(client, {"order": "42"}))


if __name__ == "__main__":
    asyncio.run(main())
