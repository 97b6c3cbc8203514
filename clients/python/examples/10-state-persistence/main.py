"""State that is kept with the steps that change it.

    ./run serve &
    python clients/python/examples/10-state-persistence/main.py

Prints:

    result: 3 items, 17
    state: {'items': ['gift', 'tea', 'cup'], 'total': 17, 'phase': 'paid'}
"""

import asyncio

from polos import PolosClient, WorkflowContext, WorkflowState, workflow


class CartState(WorkflowState):
    items: list[str] = []
    total: int = 0
    phase: str = "open"


@workflow(id="cart", state_schema=CartState)
async def cart(ctx: WorkflowContext, payload: dict) -> str:
    for item, price in payload["items"].items():
        ctx.state.items.append(item)
        ctx.state.total += await ctx.step.run(f"price-{item}", lambda price=price: price)
    ctx.state.phase = "waiting"
    await ctx.step.wait_for("for the bank", seconds=0.2)
    ctx.state.phase = "paid"
    return f"{len(ctx.state.items)} items, {ctx.state.total}"


async def main() -> None:
    async with PolosClient() as client:
        handle = await cart.invoke(
            client, {"items": {"tea": 5, "cup": 12}}, initial_state=CartState(items=["gift"])
        )
        print("result:", await handle.result(client))
        print("state:", (await handle.get(client))["state"])


if __name__ == "__main__":
    asyncio.run(main())
