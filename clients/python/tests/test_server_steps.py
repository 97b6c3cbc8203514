"""What every step keeps, alone, in parallel and inside tools, on the real polosd."""

from __future__ import annotations

import asyncio
import gc
import os
import random
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import polosd
import pytest
from conftest import HERE, running_server
from pydantic import BaseModel

from polos import (
    Agent,
    BatchWorkflowInput,
    EventData,
    ExecutionHandle,
    PolosClient,
    RunFailedError,
    StepExecutionError,
    events,
    tool,
    workflow,
)

SECONDS = 20
RACES = int(os.environ.get("RACES", "20"))


class Point(BaseModel):
    x: int


OUTCOMES: dict[str, Any] = {
    "none": None, "zero": 0, "false": False, "empty": "", "list": [], "dict": {}, "float": 0.0,
    "point": Point(x=0), "text": "ünïcode \u2028 \U0001f600", "deep": {"a": [{"b": [None]}]},
}


async def test_outcomes_are_kept_falsy_failed_and_random_ones_too(server, client, monkeypatch):
    """The code runs three times: it waits, and the server is killed while it does."""
    monkeypatch.setenv("POLOS_WAIT_THRESHOLD_SECONDS", "0")
    called = Counter[str]()
    seen: list[list[Any]] = []

    def give(name: str, *, unused: bool) -> Any:
        called[name] += 1
        return OUTCOMES[name]

    def fail(name: str) -> None:
        called[name] += 1
        raise LookupError(f"no {name}")

    @workflow
    async def flow(ctx, payload):
        found: list[Any] = []
        seen.append(found)
        for name in OUTCOMES:
            found.append(await ctx.step.run(name, give, name, unused=True))
        for name in ("bad", "worse"):
            try:
                await ctx.step.run(name, fail, name, max_retries=1, base_delay=0.01)
            except StepExecutionError as error:
                found.append((error.error_type, str(error)))
        found.append(await ctx.step.uuid("uuid"))
        found.append(await ctx.step.now("now"))
        found.append(await ctx.step.random("random"))
        await ctx.step.wait_for("nap", seconds=0.05)
        return (await ctx.step.suspend("ask", {}))["data"]

    handle = await flow.invoke(client, 1)
    while not await client.list_suspensions(handle.id):
        await asyncio.sleep(0.02)
    server.kill()
    server.start()
    await client.resume("flow", handle.id, "ask", "go on")
    assert await handle.result(client, SECONDS) == "go on"
    assert len(seen) >= 3 and all(found == seen[0] for found in seen)
    assert seen[0][: len(OUTCOMES)] == list(OUTCOMES.values())
    assert [type(v) for v in seen[-1][: len(OUTCOMES)]] == [type(v) for v in OUTCOMES.values()]
    assert seen[-1][len(OUTCOMES)][0] == "LookupError" and "no bad" in seen[-1][len(OUTCOMES)][1]
    assert called == {**dict.fromkeys(OUTCOMES, 1), "bad": 2, "worse": 2}


async def everything(ctx: Any, inside: str) -> dict[str, Any]:
    """All of a step's ways at once, each as `inside` and its own name."""
    agent = Agent(id="helper", provider="scripted", model="scripted")
    says = agent.with_input("hi", script=[{"text": "said"}])
    soon = datetime.now(timezone.utc) + timedelta(seconds=0.1)

    async def heard() -> Any:
        return (await ctx.step.wait_for_event("hear", f"told-{inside}", timeout=SECONDS)).data

    async def awaited() -> Any:
        handle = await ctx.step.invoke("start", "leaf", 1)
        handles = await ctx.step.batch_invoke("starts", [BatchWorkflowInput(id="leaf", payload=2)])
        agents = [await ctx.step.agent_invoke("agent", says)]
        agents += await ctx.step.batch_agent_invoke("agents", [says])
        return [len({h.id for h in [handle, *handles, *agents]}), handle.root_execution_id]

    with ctx.step.trace("everything", {"inside": inside}) as span:
        found = await asyncio.gather(
            ctx.step.run("run", lambda a, b=0: a + b, 1, b=2),
            ctx.step.uuid("uuid"),
            ctx.step.now("now"),
            ctx.step.random("random"),
            ctx.step.wait_for("for", seconds=0.05),
            ctx.step.wait_until("until", soon),
            heard(),
            ctx.step.publish_event("publish", f"heard-{inside}", {"n": 1}, "type"),
            ctx.step.publish_workflow_event("tell", {"n": 2}, "progress"),
            ctx.step.suspend("ask", {"q": inside}),
            ctx.step.invoke_and_wait("child", "leaf", 3),
            ctx.step.batch_invoke_and_wait("children", [BatchWorkflowInput(id="leaf", payload=4)]),
            ctx.step.agent_invoke_and_wait("asked", says),
            ctx.step.batch_agent_invoke_and_wait("all asked", [says, says]),
            awaited(),
        )
        span.set_attribute("steps", len(found))
    ctx.state["done"] = inside
    return {
        "sum": found[0],
        "heard": found[6],
        "answer": found[9]["data"],
        "child": found[10],
        "children": [each.result for each in found[11]],
        "asked": found[12].result,
        "all asked": [each.result.result for each in found[13]],
        "started": found[14][0],
        "root": found[14][1],
    }


def expected(root: str) -> dict[str, Any]:
    return {
        "sum": 3, "heard": {"told": 1}, "answer": "fine", "child": 3, "children": [4],
        "asked": "said", "all asked": ["said", "said"], "started": 4, "root": root,
    }


async def play_along(client: PolosClient, name: str, run_id: str, inside: str) -> list[str | None]:
    """Answers and publishes what everything() waits for; the types of the run's first event and of
    what its code says."""
    while not (found := [s for s in await client.list_suspensions() if s.step_key == "ask"]):
        await asyncio.sleep(0.02)
    await client.resume(name, found[0].run_id, "ask", "fine")
    while "event" not in [w["kind"] for w in (await client.get_execution(run_id))["waiting"]]:
        await asyncio.sleep(0.02)
    await events.publish(client, f"told-{inside}", EventData(data={"told": 1}))
    topic = events.stream_topic(client, f"heard-{inside}", last_sequence_id=0)
    assert (await anext(topic)).data == {"n": 1}
    await topic.aclose()
    own = events.stream_topic(client, f"workflow/{name}/{run_id}", last_sequence_id=0)
    told = []
    while "progress" not in told:
        told.append((await anext(own)).event_type)
    await own.aclose()
    return [told[0], told[-1]]


def define_leaf() -> None:
    @workflow
    async def leaf(ctx, payload):
        return payload


async def test_everything_at_once_in_a_workflow(client, threshold):
    define_leaf()

    @workflow
    async def flow(ctx, payload):
        return await everything(ctx, payload)

    handle = await flow.invoke(client, "workflow")
    told = await asyncio.wait_for(play_along(client, "flow", handle.id, "workflow"), SECONDS)
    assert told == ["workflow_start", "progress"]
    assert await handle.result(client, SECONDS) == expected(handle.id)
    assert (await handle.get(client))["state"] == {"done": "workflow"}
    settled = Counter(
        event.data["key"]
        for event in await client.history(handle.id)
        if event.type in ("STEP_SETTLED", "WAIT_SET")
    )
    assert set(settled.values()) == {1} and len(settled) == 18


async def test_everything_at_once_in_a_tool(client, threshold):
    define_leaf()

    @tool
    async def work(ctx):
        return await everything(ctx, "tool")

    agent = Agent(id="worker", provider="scripted", model="scripted", tools=[work])
    script = [{"tool_calls": [{"name": "work", "arguments": {}}]}, {"text": "done"}]
    stream = await agent.stream(client, "go", script=script)
    told = await asyncio.wait_for(play_along(client, "worker", stream.id, "tool"), SECONDS)
    assert told == ["agent_start", "progress"]
    found = await asyncio.wait_for(stream.result(), SECONDS)
    (result,) = found.tool_results
    assert result.result == expected(stream.id), result.error


async def test_a_step_is_tried_again_after_growing_pauses(client):
    tries: list[float] = []

    def shaky() -> str:
        tries.append(time.monotonic())
        if len(tries) < 4:
            raise ConnectionError("not yet")
        return "ok"

    @workflow
    async def flow(ctx):
        return await ctx.step.run("s", shaky, max_retries=3, base_delay=0.1, max_delay=0.2)

    assert await flow.run(client) == "ok"
    pauses = [after - before for before, after in zip(tries, tries[1:], strict=False)]
    assert all(pause > least for pause, least in zip(pauses, (0.09, 0.19, 0.19), strict=True))


async def test_a_run_is_tried_again_after_growing_pauses(client):
    @workflow
    async def flow(ctx):
        raise ConnectionError("never")

    handle = await flow.invoke(client, max_retries=2)
    with pytest.raises(RunFailedError, match="never"):
        await handle.result(client, SECONDS)
    history = await client.history(handle.id)
    failed = [event for event in history if event.type == "TASK_FAILED"]
    first, second = (event.data["retry_at_ms"] - event.time_ms for event in failed)
    assert 0 < first < second
    given = [event.time_ms for event in history if event.type == "LEASE_GRANTED"]
    assert len(given) == 3
    due = [event.data["retry_at_ms"] for event in failed]
    assert all(again >= at for at, again in zip(due, given[1:], strict=True))


# ---- a host that is killed ----

DOOMED = '''
import asyncio, os, signal
from polos import Polos, workflow
from polos._session import machine
from polos._session.machine import Session

LAST = int(os.environ.get("LAST", "0"))  # 0: none; else killed before its LAST-th message
NAMES = os.environ["NAMES"].split()
taken = 0
take = Session.take
machine.MESSAGES_MAX = 1  # in an envelope: what is written before the last one goes out

def counted(self):
    global taken
    envelope = take(self)
    if envelope is not None and envelope.messages:
        taken += 1
        if LAST and taken == LAST:
            os.kill(os.getpid(), signal.SIGKILL)
    return envelope

Session.take = counted

def define(name):
    @workflow(id=name)
    async def flow(ctx):
        async def log(word):
            with open(os.environ["LOG"], "a") as file:
                file.write(f"{name}:{word}\\n")
            return word
        one = await ctx.step.run("one", log, "one")
        await ctx.step.wait_for("nap", seconds=0.05)
        await ctx.step.publish_event("tell", topic=name, data={})
        child = await ctx.step.invoke_and_wait("child", "leaf", 7)
        two = await ctx.step.run("two", log, "two")
        return [one, child, two]

for name in NAMES:
    define(name)

@workflow
async def leaf(ctx, payload):
    return payload

asyncio.run(Polos().serve())
'''
MESSAGES = 7  # one, nap, tell, child, the child's answer, two, its own answer


@pytest.fixture
def server_of_the_dead(tmp_path: Path) -> Iterator[polosd.Polosd]:
    """Its leases are short, but not so short that a host on a busy machine loses one."""
    yield from running_server(tmp_path, POLOSD_LEASE_MS="12000")


async def test_code_that_blocks_the_loop_keeps_its_lease(impatient_server):
    """A thread renews it; what the code gives after two leases counts, at its first try."""
    client = PolosClient(api_url=impatient_server.url)

    @workflow
    async def blocking(ctx):
        time.sleep(3.5)
        return ctx.attempt

    try:
        assert await blocking.run(client) == 1
    finally:
        await client.close()


async def test_hosts_that_are_killed_at_every_message(server_of_the_dead, tmp_path: Path):
    """One host for each message it would send, killed before it; then one that takes all over."""
    server = server_of_the_dead
    program, log = tmp_path / "doomed.py", tmp_path / "log"
    program.write_text(DOOMED)
    names = [f"flow-{n}" for n in range(1, MESSAGES + 1)]

    def start(last: int, *own: str) -> subprocess.Popen[bytes]:
        environment = {
            **os.environ,
            "POLOS_API_URL": server.url,
            "PYTHONPATH": str(HERE.parent),
            "LOG": str(log),
            "LAST": str(last),
            "NAMES": " ".join(own),
        }
        return subprocess.Popen([sys.executable, str(program)], env=environment)

    client = PolosClient(api_url=server.url)
    heir = None
    try:
        for last, name in enumerate(names, 1):
            doomed = start(last, name)
            handle = await client.invoke(name)
            while doomed.poll() is None:
                await asyncio.sleep(0.02)
            assert doomed.returncode == -9, f"it was to die before message {last}"
            run = await handle.get(client)
            assert run["status"] in ("running", "waiting", "queued"), (last, run)
        heir = start(0, *names)
        for last, name in enumerate(names, 1):
            (run,) = await client.list_executions(name)
            found = await ExecutionHandle(id=run["id"]).result(client, 60)
            assert found == ["one", 7, "two"], last
            history = await client.history(run["id"])
            keys = Counter(
                e.data["key"] for e in history if e.type in ("STEP_SETTLED", "WAIT_SET")
            )
            assert keys == dict.fromkeys(["one", "nap", "tell", "child", "two"], 1), last
            assert await events.publish(client, name, EventData()) == 2, "it published once"
        words = Counter(log.read_text().split())
        assert all(1 <= count <= 2 for count in words.values())
        repeated = {word for word, count in words.items() if count == 2}
        # Only a step whose message was the one that never left is done again.
        assert repeated <= {"flow-1:one", "flow-6:two"}, repeated
    finally:
        if heir is not None:
            heir.kill()
            heir.wait()
        await client.close()


# ---- races ----


async def nested(depth: int, work: Any) -> Any:
    """So many gathers deep."""
    if depth == 0:
        return await work()
    (found,) = await asyncio.gather(nested(depth - 1, work))
    return found


async def test_races_go_the_same_way_in_every_life(server, client, monkeypatch, caplog):
    """Steps, waits, events and children against each other, each in a task of its own; who comes
    first decides what is done next. The code lives many times, and the server is killed meanwhile.
    """
    monkeypatch.setenv("POLOS_WAIT_THRESHOLD_SECONDS", "0")
    lives: dict[str, list[list[str]]] = {}

    @workflow
    async def child(ctx, seconds: float):
        await ctx.step.wait_for("pause", seconds=seconds)

    @workflow
    async def racing(ctx, seed: int):
        chance, trace = random.Random(seed), []
        lives.setdefault(ctx.execution_id, []).append(trace)
        seconds = [chance.choice([0.01, 0.1, 0.25]) for _ in range(5)]
        works = {
            "step": lambda: ctx.step.run("step", asyncio.sleep, seconds[0]),
            "other": lambda: ctx.step.run("other", time.sleep, seconds[1]),
            "wait": lambda: ctx.step.wait_for("wait", seconds=seconds[2]),
            "child": lambda: ctx.step.invoke_and_wait("child", child, seconds[3]),
            "event": lambda: ctx.step.wait_for_event("event", topic=f"race {seed}"),
            "late": lambda: ctx.step.wait_for("late", seconds=seconds[4]),
        }
        left = {
            asyncio.create_task(nested(chance.randrange(7), work), name=key)
            for key, work in works.items()
        }
        published = False
        while left:
            done, left = await asyncio.wait(left, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                await task  # raises where the code is stopped
            trace += sorted(task.get_name() for task in done)
            await ctx.step.run(f"after {'+'.join(trace)}", lambda: None)
            if not published and (len(trace) > 2 or len(left) == 1):
                published = True
                await ctx.step.publish_event(f"after {len(trace)}", f"race {seed}", None)
        await ctx.step.wait_for("rest", seconds=0.3)  # every code is let go of here, or before
        return trace

    runs = [await racing.invoke(client, seed, max_retries=0) for seed in range(RACES)]
    while not lives:
        await asyncio.sleep(0.01)
    server.kill()
    server.start()
    for run in runs:
        found = await run.result(client, timeout=60)
        assert all(trace == found[: len(trace)] for trace in lives[run.id])
        told = [event.type for event in await client.history(run.id)]
        assert "TASK_FAILED" not in told  # NON_DETERMINISM
    assert all(len(each) > 1 for each in lives.values())
    gc.collect()
    assert [record for record in caplog.records if record.name == "asyncio"] == []
