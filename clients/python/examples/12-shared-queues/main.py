"""One queue for two workflows: at most two calls of a service at once for each customer.

    ./run serve &
    python clients/python/examples/12-shared-queues/main.py

Prints:

    30 calls made
    acme: never more than 2 at once
    bolt: never more than 2 at once
    the urgent one was the next to go
"""

import asyncio
from collections import Counter

from polos import Polos, Queue, WorkflowContext, workflow

service = Queue("service", concurrency_limit=2)  # for each concurrency key
single = Queue("single", total_limit=1)

at_once: Counter[str] = Counter()
most: Counter[str] = Counter()
order: list[str] = []


async def call(customer: str) -> None:
    """What a service that minds how often it is called would be asked."""
    at_once[customer] += 1
    most[customer] = max(most[customer], at_once[customer])
    await asyncio.sleep(0.01)
    at_once[customer] -= 1


@workflow(id="lookup", queue=service)
async def lookup(ctx: WorkflowContext, payload: dict) -> None:
    await call(payload["customer"])


@workflow(id="update", queue=service)
async def update(ctx: WorkflowContext, payload: dict) -> None:
    await call(payload["customer"])


@workflow(id="nightly")
async def nightly(ctx: WorkflowContext, payload: dict) -> int:
    """Starts its children into the queue, one key for each customer, and waits for all."""
    calls = [
        ctx.step.invoke_and_wait(
            f"{workflow.id}-{customer}-{number}",
            workflow,
            {"customer": customer},
            concurrency_key=customer,
        )
        for customer in payload["customers"]
        for number in range(5)
        for workflow in (lookup, update)
    ]
    return len(await asyncio.gather(*calls))


@workflow(id="print-job")
async def print_job(ctx: WorkflowContext, payload: str) -> None:
    order.append(payload)
    await asyncio.sleep(0.2 if payload == "first" else 0)


async def main() -> None:
    async with Polos() as polos:
        client = polos.client
        calls = await nightly.run(client, {"customers": ["acme", "bolt"]})
        handles = [
            await polos.invoke("lookup", {"customer": "acme"}, concurrency_key="acme")
            for _ in range(10)
        ]
        for handle in handles:
            await handle.result(client)
        print(f"{calls + len(handles)} calls made")
        for customer in ("acme", "bolt"):
            print(f"{customer}: never more than {most[customer]} at once")

        jobs = [await print_job.invoke(client, "first", queue=single)]
        jobs.append(await print_job.invoke(client, "second", queue=single))
        jobs.append(await print_job.invoke(client, "urgent", queue=single, priority=10))
        for job in jobs:
            await job.result(client)
        if order == ["first", "urgent", "second"]:
            print("the urgent one was the next to go")


if __name__ == "__main__":
    asyncio.run(main())
