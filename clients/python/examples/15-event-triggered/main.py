"""Workflows that events start, singly and in batches, and one that waits for an event.

    ./run serve &
    python clients/python/examples/15-event-triggered/main.py

Prints:

    payment for A1 was waited for: 20
    shipped A1
    counted 3 clicks, 6 points
"""

import asyncio
import uuid

from polos import (
    BatchEventPayload,
    EventData,
    EventPayload,
    Polos,
    WorkflowContext,
    events,
    workflow,
)

# Topics of this run of the program, so that it may be run again.
RUN = uuid.uuid4().hex[:8]
ORDERS, PAYMENTS, CLICKS, RESULTS = (f"{t}-{RUN}" for t in ("orders", "pay", "clicks", "results"))


@workflow(id=f"on-order-{RUN}", trigger_on_event=ORDERS)
async def on_order(ctx: WorkflowContext, event: EventPayload) -> None:
    order = event.data["order"]
    await ctx.step.publish_event("ask", topic=RESULTS, data={"order": order}, event_type="asked")
    payment = await ctx.step.wait_for_event("payment", topic=PAYMENTS, timeout=60)
    text = f"payment for {order} was waited for: {payment.data['amount']}"
    await ctx.step.publish_event("paid", topic=RESULTS, data={"text": text}, event_type="paid")
    await ctx.step.publish_event("shipped", topic=RESULTS, data={"text": f"shipped {order}"})


@workflow(id=f"on-clicks-{RUN}", trigger_on_event=CLICKS, batch_size=3, batch_timeout_seconds=30)
async def on_clicks(ctx: WorkflowContext, batch: BatchEventPayload) -> None:
    points = sum(event.data["points"] for event in batch.events)
    text = f"counted {len(batch.events)} clicks, {points} points"
    await ctx.step.publish_event("counted", topic=RESULTS, data={"text": text})


async def main() -> None:
    async with Polos() as polos:
        client = polos.client
        await events.publish(client, ORDERS, EventData(data={"order": "A1"}))
        told = 0
        async for event in events.stream_topic(client, RESULTS, last_sequence_id=0):
            if event.event_type == "asked":
                await paid(polos, event.data["order"])
                continue
            print(event.data["text"])
            told += 1
            if told == 2:  # a batch is started when it is full
                clicks = [EventData(data={"points": n}) for n in (1, 2, 3)]
                await events.batch_publish(client, CLICKS, clicks)
            if told == 3:
                break


async def paid(polos: Polos, order: str) -> None:
    """Pays once the workflow listens: only what is published after that is heard."""
    while True:
        for run in await polos.client.list_executions(f"on-order-{RUN}"):
            waits = (await polos.get_execution(run["id"]))["waiting"]
            if any(wait["kind"] == "event" for wait in waits):
                await events.publish(polos.client, PAYMENTS, EventData(data={"amount": 20}))
                return
        await asyncio.sleep(0.05)


if __name__ == "__main__":
    asyncio.run(main())
