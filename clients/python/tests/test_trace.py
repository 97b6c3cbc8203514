"""Spans by OpenTelemetry's API, with its SDK, of runs of the real polosd."""

from __future__ import annotations

import asyncio
import logging
import uuid
from collections.abc import Iterator
from typing import Any

import pytest

from polos import Agent, RunFailedError, tool, workflow

sdk = pytest.importorskip("opentelemetry.sdk.trace")
from opentelemetry import trace as api  # noqa: E402
from opentelemetry.sdk.trace.export import SimpleSpanProcessor  # noqa: E402
from opentelemetry.sdk.trace.export.in_memory_span_exporter import (  # noqa: E402
    InMemorySpanExporter,
)

EXPORTER = InMemorySpanExporter()


@pytest.fixture(autouse=True, scope="module")
def provider() -> None:
    """As a program sets one up; it can be done once in a process."""
    made = sdk.TracerProvider()
    made.add_span_processor(SimpleSpanProcessor(EXPORTER))
    api.set_tracer_provider(made)


@pytest.fixture(autouse=True)
def nothing_left() -> Iterator[None]:
    EXPORTER.clear()
    yield


def spans() -> dict[str, Any]:
    return {span.name: span for span in EXPORTER.get_finished_spans()}


async def test_a_tree_of_runs_is_one_trace(client):
    @tool
    async def clock(ctx):
        return "12:00"

    agent = Agent(id="a", provider="scripted", model="scripted", tools=[clock])
    script = [{"tool_calls": [{"name": "clock", "arguments": {}}]}, {"text": "noon"}]

    @workflow
    async def child(ctx):
        return ctx.otel_traceparent

    def charge() -> str:
        own = api.get_current_span().get_span_context()  # in a thread, too
        return f"{own.span_id:016x}"

    @workflow
    async def parent(ctx):
        with ctx.step.trace("all of it", {"n": 1, "of": [2]}) as span:
            span.add_event("begun", {"at": None})
            inner = await ctx.step.run("charge", charge)
            outer = await ctx.step.invoke_and_wait("child", child)
        await ctx.step.agent_invoke_and_wait("ask", agent.with_input("?", script=script))
        return [inner, outer, ctx.otel_traceparent, ctx.otel_span_id]

    handle = await parent.invoke(client)
    inner, outer, own, own_span = await handle.result(client)
    found = spans()
    number = uuid.UUID(handle.id).int
    assert {span.context.trace_id for span in found.values()} == {number}
    assert set(found) == {
        "workflow parent", "workflow child", "tool clock", "all of it", "step charge"
    }
    top, middle, step = found["workflow parent"], found["all of it"], found["step charge"]
    assert step.parent.span_id == middle.context.span_id and inner == f"{step.context.span_id:016x}"
    assert middle.parent.span_id == top.context.span_id
    assert own == f"00-{number:032x}-{own_span}-01" and own_span == f"{top.context.span_id:016x}"
    assert outer.split("-")[2] == f"{found['workflow child'].context.span_id:016x}"
    assert top.attributes["polos.run_id"] == handle.id
    assert dict(middle.attributes) == {"n": 1, "of": "[2]"} and middle.events[0].name == "begun"
    assert found["tool clock"].attributes["polos.agent_id"] == "a"
    assert all(span.status.is_unset for span in found.values())


async def test_what_failed_is_marked_and_what_was_stopped_is_not(client, caplog):
    def broken() -> None:
        raise LookupError("none")

    @workflow
    async def failing(ctx):
        await ctx.step.run("look", broken, max_retries=0)

    @workflow
    async def stopped(ctx):
        await ctx.step.suspend("ask", {})

    with pytest.raises(RunFailedError):
        await failing.run(client, max_retries=0)
    handle = await stopped.invoke(client)
    while not await client.list_suspensions(handle.id):
        await asyncio.sleep(0.02)
    await handle.cancel(client)
    while "workflow stopped" not in spans():
        await asyncio.sleep(0.02)
    found = spans()
    assert found["step look"].status.description == "LookupError: none"
    assert found["step look"].events[0].name == "exception"
    assert not found["workflow failing"].status.is_ok and found["workflow failing"].events
    assert found["workflow stopped"].status.is_unset and not found["workflow stopped"].events
    assert not [r for r in caplog.records if "opentelemetry" in r.name and r.levelno > logging.INFO]
