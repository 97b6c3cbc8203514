"""Retries, fallbacks, compensation, runs that fail and runs that are tried again.

    ./run serve &
    python clients/python/examples/11-error-handling/main.py

Prints:

    fallback: from the cache, as ConnectionError came 2 times
    compensated: ['flight', 'hotel'] then undone ['hotel', 'flight']
    failed: WORKFLOW_FAILED
    tried again: ok after 1 failure, paid once
"""

import asyncio

from polos import PolosClient, RunFailedError, StepExecutionError, WorkflowContext, workflow

calls: dict[str, int] = {}


def count(name: str) -> int:
    calls[name] = calls.get(name, 0) + 1
    return calls[name]


def primary() -> str:
    count("primary")
    raise ConnectionError("the primary is down")


def book(what: str) -> str:
    if what == "car":
        raise LookupError("no cars left")
    return what


@workflow(id="with-fallback")
async def with_fallback(ctx: WorkflowContext) -> str:
    try:
        return await ctx.step.run("primary", primary, max_retries=1, base_delay=0.05)
    except StepExecutionError as error:
        times = calls.get("primary")
        return await ctx.step.run(
            "fallback", lambda: f"from the cache, as {error.error_type} came {times} times"
        )


@workflow(id="with-compensation")
async def with_compensation(ctx: WorkflowContext) -> str:
    booked: list[str] = []
    try:
        for what in ("flight", "hotel", "car"):
            booked.append(await ctx.step.run(f"book-{what}", book, what, max_retries=0))
    except StepExecutionError:
        undone = [await ctx.step.run(f"undo-{w}", lambda w=w: w) for w in reversed(booked)]
        return f"{booked} then undone {undone}"
    return "all booked"


@workflow(id="fails")
async def fails(ctx: WorkflowContext) -> None:
    await ctx.step.run("impossible", book, "car", max_retries=0)


@workflow(id="shaky-code")
async def shaky_code(ctx: WorkflowContext) -> str:
    await ctx.step.run("pay", count, "paid")
    if ctx.retry_count == 0:
        raise TimeoutError("the code itself fails; its steps stay settled")
    return f"ok after {ctx.retry_count} failure, paid {'once' if calls['paid'] == 1 else 'twice'}"


async def main() -> None:
    async with PolosClient() as client:
        print("fallback:", await with_fallback.run(client))
        print("compensated:", await with_compensation.run(client))
        try:
            await fails.run(client)
        except RunFailedError as error:
            print("failed:", error.reason)
        print("tried again:", await shaky_code.run(client, max_retries=3))


if __name__ == "__main__":
    asyncio.run(main())
