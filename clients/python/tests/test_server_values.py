"""What goes in comes out: every kind of value, wherever one is kept, on the real polosd."""

from __future__ import annotations

import asyncio
from datetime import date
from typing import Any

import pytest
import test_values
from pydantic import BaseModel
from test_values import NOON, VALUES, Base, Derived, Holder

from polos import (
    InvalidArgumentError,
    OutputError,
    PolosClient,
    RunFailedError,
    WorkflowState,
    tool,
    workflow,
)
from polos._codec.values import Given
from polos._execution.starts import StartOptions

SECONDS = 30


class Order(BaseModel):
    items: list[str]
    when: date | None = None


def same(one: Any, other: Any) -> bool:
    """Of one class, and equal; an object of JSON may be given with attributes."""
    is_object = type(other) is dict and isinstance(one, dict)
    return (is_object or type(one) is type(other)) and one == other


async def test_payloads_results_and_children(client):
    seen: list[Any] = []

    @workflow
    async def echo(ctx, payload):
        seen.append(payload)
        return payload

    @tool
    async def back(ctx, payload):
        return payload

    @workflow
    async def parent(ctx, number):
        value = VALUES[number]
        kept = await ctx.step.run("step", lambda: value)
        one = await ctx.step.invoke_and_wait("one", echo, value)
        two = await ctx.step.invoke_and_wait("two", back, value)
        (three,) = await ctx.step.batch_invoke_and_wait("three", [{"id": "echo", "payload": value}])
        return [same(found, value) for found in (kept, one, two, three.result)]

    wrong: list[Any] = []
    for number, value in enumerate(VALUES):
        found = await echo.run(client, value, timeout=SECONDS)
        if not same(found, value) or not same(seen[-1], value):
            wrong.append((value, seen[-1], found))
        found = await parent.run(client, number, timeout=SECONDS)
        if found != [True] * 4:
            wrong.append((value, found))
    assert wrong == []


async def test_the_type_that_a_workflow_takes_comes_first(client):
    seen: list[Any] = []

    @workflow
    async def orders(ctx, payload: Order) -> list[Base]:
        seen.append(payload)
        return [Derived(a=1, b=2), Base(a=3)]

    @workflow
    async def holds(ctx, payload: Holder):
        seen.append(payload)

    order = Order(items=["a"], when=NOON.date())
    for given in (order, order.model_dump(), {"items": ["a"], "when": "2026-01-02"}):
        found = await orders.run(client, given, timeout=SECONDS)
        assert found == [Derived(a=1, b=2), Base(a=3)] and type(found[0]) is Derived
    handle = await client.invoke("orders", order)
    assert await handle.result(client, timeout=SECONDS) == found
    run = await client.get_execution(handle.id)
    assert run["payload"] == {"items": ["a"], "when": "2026-01-02"}  # the JSON is plain
    assert run["result"] == [{"a": 1, "b": 2}, {"a": 3}]
    assert seen == [order] * 4
    holder = Holder(one=Derived(a=1, b=2), when=NOON)
    await holds.run(client, holder, timeout=SECONDS)
    assert seen[-1] == holder and type(seen[-1].one) is Derived


class Memory(WorkflowState):
    one: Base = Base(a=0)
    any: Any = None


@pytest.fixture
def let_go(monkeypatch) -> None:
    """Code that waits is let go of at once, and runs anew."""
    monkeypatch.setenv("POLOS_WAIT_THRESHOLD_SECONDS", "0")


async def test_states(client, let_go):
    """The step that puts something into the state is done in the first life only."""

    @workflow
    async def remembers(ctx, number):
        await ctx.step.run("set", lambda: ctx.state.update(value=VALUES[number]))
        await ctx.step.wait_for("pause", seconds=0.01)
        await ctx.step.run("again", lambda: ctx.state.update(more=[ctx.state["value"]]))
        await ctx.step.wait_for("pause again", seconds=0.01)
        found = ctx.state["value"], ctx.state["more"][0], ctx.state["begun"]
        return [same(*pair) for pair in zip(found, (VALUES[number], VALUES[number], NOON))]

    @workflow(state_schema=Memory)
    async def fits(ctx):
        def set() -> None:
            ctx.state.one, ctx.state.any = Derived(a=1, b=2), {NOON}

        await ctx.step.run("set", set)
        await ctx.step.wait_for("pause", seconds=0.01)
        return ctx.state.one, ctx.state.any

    wrong = []
    for number, value in enumerate(VALUES):
        state = {"begun": NOON}
        found = await remembers.run(client, number, initial_state=state, timeout=SECONDS)
        if found != [True] * 3:
            wrong.append((value, found))
    assert wrong == []
    one, any = await fits.run(client, timeout=SECONDS)
    assert type(one) is Derived and one == Derived(a=1, b=2) and any == {NOON}


async def test_a_state_whose_class_is_gone_waits_for_it(client, let_go, monkeypatch):
    @workflow
    async def keeps(ctx):
        await ctx.step.run("set", lambda: ctx.state.update(one=Derived(a=1, b=2)))
        await ctx.step.suspend("ask")
        return ctx.state["one"].b

    handle = await keeps.invoke(client)
    while not await client.list_suspensions(handle.id):
        await asyncio.sleep(0.01)
    monkeypatch.delattr(test_values, "Derived")
    await client.resume("keeps", handle.id, "ask", 1)
    told = await until_it_stands_still(client, handle.id)
    assert "the state cannot be made again" in told and "no class Derived" in told
    monkeypatch.undo()
    keeps._register()
    assert await handle.result(client, timeout=SECONDS) == 2


async def test_what_cannot_be_named_is_refused_where_it_is_given(client):
    @workflow
    async def echo(ctx, payload):
        return [NOON] * 500 if payload == "many" else test_values.local_class()(x=1)

    for given, name, sentence in (
        ([NOON] * 500, "many", "holds too many values"),
        (test_values.local_class()(x=1), "local", "at the top of a module"),
    ):
        with pytest.raises(InvalidArgumentError, match=f"payload of workflow 'echo'.*{sentence}"):
            await echo.run(client, given)
        with pytest.raises(RunFailedError, match=sentence):
            await echo.run(client, name, max_retries=0, timeout=SECONDS)


async def test_code_of_another_process_is_given_what_every_process_has(client):
    """Its id alone does not say what it takes, nor what classes it has."""
    handle = await client.invoke("elsewhere", {"when": NOON, "who": Base(a=1)})
    seen: list[Any] = []

    @workflow
    async def elsewhere(ctx, payload):
        seen.append(payload)

    await elsewhere.run(client, None, timeout=SECONDS)  # this process is a host from here on
    await handle.result(client, timeout=SECONDS)
    assert {"when": NOON, "who": {"a": 1}} in seen


async def test_a_class_that_is_gone_is_named(client, monkeypatch):
    """To the caller, and in the run that waits for code which has it."""

    @workflow
    async def give(ctx):
        return Derived(a=1, b=2)

    @workflow
    async def take(ctx, payload):
        return payload.b

    handle = await give.invoke(client)
    assert await handle.result(client, timeout=SECONDS) == Derived(a=1, b=2)
    gone = "no class Derived in module test_values"
    monkeypatch.delattr(test_values, "Derived")
    with pytest.raises(OutputError, match=gone):
        await handle.result(client, timeout=SECONDS)
    given = Given('{"a":1,"b":2}', "py:test_values:Derived")
    takes = await client._start_task(take, given, StartOptions())
    told = await until_it_stands_still(client, takes.id)
    assert "the payload of workflow 'take'" in told and gone in told
    monkeypatch.undo()
    take._register()
    assert await takes.result(client, timeout=SECONDS) == 2


async def until_it_stands_still(client: PolosClient, run_id: str) -> str:
    while True:
        for event in await client.history(run_id):
            if event.type == "TASK_FAILED":
                assert event.data["error"]["reason"] == "NON_DETERMINISM"
                return event.data["error"]["message"]
        await asyncio.sleep(0.02)
