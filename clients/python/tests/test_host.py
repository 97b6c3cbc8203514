"""The host against a SIMULATED server: tasks, steps, broken streams, bad tools."""

from __future__ import annotations

import asyncio
import json
import threading
from typing import Any

import pytest
from pydantic import BaseModel

from polos import PolosClient, StepExecutionError, tool, workflow
from polos.v1 import history_pb2, host_pb2, steps_pb2


class City(BaseModel):
    city: str


async def serve(client: PolosClient):
    """Attaches a host with everything defined so far."""
    return await client._connection().serve()


async def test_hello_says_what_is_offered(fake, fake_client):
    @tool(description="d")
    async def get_weather(ctx, input: City):
        return {}

    @workflow
    async def flow(ctx):
        return None

    await serve(fake_client)
    (hello,) = fake.hellos
    assert [t.id for t in hello.offers.tools] == ["get_weather"]
    assert [w.id for w in hello.offers.workflows] == ["flow"]
    assert hello.slots == 100 and hello.deployment == "default" and hello.host_token == ""


async def test_a_tool_is_called_with_its_model_and_context(fake, fake_client):
    seen: list[Any] = []

    @tool
    async def get_weather(ctx, input: City):
        seen.append((ctx.task_id, ctx.workflow_type, ctx.call_id, ctx.user_id, input))
        return City(city=input.city.upper())

    await serve(fake_client)
    task_id = fake.give("get_weather", {"city": "nyc"}, call_id="c1", user_id="u")
    assert json.loads((await fake.outcome(task_id)).value_json) == {"city": "NYC"}
    assert seen == [(task_id, "tool", "c1", "u", City(city="nyc"))]


async def test_a_sync_tool_runs_beside_the_loop(fake, fake_client):
    together = threading.Barrier(2, timeout=5)

    @tool
    def meet(ctx):
        together.wait()  # needs two threads at once
        return threading.current_thread() is not threading.main_thread()

    await serve(fake_client)
    tasks = [fake.give("meet", {}), fake.give("meet", {})]
    assert [(await fake.outcome(t)).value_json for t in tasks] == ["true", "true"]


BAD_RETURNS = {
    "object": (object(), "tool 'bad' gave back a value that has no JSON form: object: "),
    "nan": (float("nan"), "tool 'bad' gave back a value that has no JSON form: float: "),
    "huge": ("x" * 4_000_000, "tool 'bad' gave back 4,000,002 bytes of JSON; at most 3,145,728"),
}


@pytest.mark.parametrize("case", BAD_RETURNS)
async def test_a_bad_return_value_is_a_clear_error(fake, fake_client, case):
    value, sentence = BAD_RETURNS[case]

    @tool
    async def bad(ctx):
        return value

    await serve(fake_client)
    error = (await fake.outcome(fake.give("bad", {}))).error
    assert error.message.startswith(sentence), error.message


async def test_what_a_tool_raises_is_its_outcome(fake, fake_client):
    @tool
    async def raises(ctx):
        raise LookupError("no such city: Atlantis")

    @tool
    def leaves(ctx):
        raise SystemExit(3)

    @tool
    async def cancels(ctx):
        raise asyncio.CancelledError("by itself")

    await serve(fake_client)
    error = (await fake.outcome(fake.give("raises", {}))).error
    assert (error.type, error.message) == ("LookupError", "no such city: Atlantis")
    assert "Traceback" in error.stack and "test_host.py" in error.stack
    assert (await fake.outcome(fake.give("leaves", {}))).error.type == "SystemExit"
    assert "CancelledError" in (await fake.outcome(fake.give("cancels", {}))).error.type


async def test_wrong_input_is_explained_to_the_model(fake, fake_client):
    @tool
    async def get_weather(ctx, input: City):
        return {}

    await serve(fake_client)
    error = (await fake.outcome(fake.give("get_weather", {"town": "x"}))).error
    assert error.message == "the arguments of tool 'get_weather' do not fit: city: Field required"
    error = (await fake.outcome(fake.give("get_weather", input_json='{"city'))).error
    assert error.message.startswith("the arguments of tool 'get_weather' are not valid JSON: ")


async def test_an_unknown_tool_is_named(fake, fake_client):
    await serve(fake_client)
    error = (await fake.outcome(fake.give("nobody", {}))).error
    assert error.message == "this host does not have tool 'nobody'"


async def test_steps_are_durable_before_the_code_goes_on(fake, fake_client):
    passed: list[str] = []

    @workflow
    async def flow(ctx, payload):
        passed.append(await ctx.step.run("one", lambda: "first"))
        passed.append(await ctx.step.run("two", str.upper, payload))
        return passed

    await serve(fake_client)
    fake.hold_acks = True
    task_id = fake.give("flow", "second", kind=history_pb2.TASK_KIND_WORKFLOW)
    await fake.until(lambda: len(fake.heard) == 1)
    await asyncio.sleep(0.05)
    assert passed == [], "went on before the acknowledgement"
    fake.release_acks()
    assert json.loads((await fake.outcome(task_id)).value_json) == ["first", "SECOND"]
    assert [m.step_done.number for m in fake.heard[:2]] == [1, 2]


def settled(key: str, value: Any = None, error: str = "") -> steps_pb2.SettledStep:
    outcome = steps_pb2.TaskOutcome(value_json=json.dumps(value))
    if error:
        outcome = steps_pb2.TaskOutcome(error=steps_pb2.TaskError(type="E", message=error))
    return steps_pb2.SettledStep(key=key, outcome=outcome)


def tried(key: str, number: int, seconds_left: float) -> steps_pb2.SettledStep:
    error = steps_pb2.TaskError(type="E", message="no")
    step = steps_pb2.SettledStep(key=key, kind=steps_pb2.STEP_KIND_TRY, try_number=number)
    step.outcome.error.CopyFrom(error)
    step.pause.FromMilliseconds(round(seconds_left * 1000))
    return step


async def test_a_replay_answers_settled_steps_falsy_and_failed_ones_too(fake, fake_client):
    calls: list[str] = []

    def never(name):
        calls.append(name)

    @workflow
    async def flow(ctx):
        values = [await ctx.step.run(f"falsy{i}", never, i) for i in range(4)]
        try:
            await ctx.step.run("failed", never, "failed")
        except StepExecutionError as error:
            values.append(str(error))
        values.append(await ctx.step.now("now"))
        values.append(await ctx.step.uuid("uuid"))
        return values

    await serve(fake_client)
    steps = [settled(f"falsy{i}", value) for i, value in enumerate([0, "", False, None])]
    steps += [settled("failed", error="gone"), settled("now", 5), settled("uuid", "u")]
    task_id = fake.give("flow", kind=history_pb2.TASK_KIND_WORKFLOW, steps=steps)
    outcome = json.loads((await fake.outcome(task_id)).value_json)
    assert outcome == [0, "", False, None, "step 'failed' failed: E: gone", 5, "u"]
    assert calls == [] and len(fake.heard) == 1


async def test_a_failing_step_is_tried_again_then_kept(fake, fake_client):
    calls = 0

    def fails():
        nonlocal calls
        calls += 1
        raise ValueError(f"try {calls}")

    @workflow
    async def flow(ctx):
        await ctx.step.run("s", fails, max_retries=2, base_delay=0.001)

    await serve(fake_client)
    outcome = await fake.outcome(fake.give("flow", kind=history_pb2.TASK_KIND_WORKFLOW))
    assert calls == 3
    assert outcome.error.message.startswith("step 's' failed: ValueError: try 3 (test_host.py:")
    tries = [m.step_try for m in fake.heard[:2]]
    assert [(t.number, t.key, t.try_number) for t in tries] == [(1, "s", 1), (2, "s", 2)]
    assert [t.error.message.partition(" (")[0] for t in tries] == ["try 1", "try 2"]
    assert [t.pause.ToMilliseconds() for t in tries] == [1, 2]
    done = fake.heard[2].step_done
    assert (done.number, done.key) == (3, "s")
    assert done.outcome.error.message.startswith("try 3 (")


async def test_a_step_goes_on_where_its_tries_ended_before(fake, fake_client, monkeypatch):
    slept: list[float] = []
    sleep = asyncio.sleep

    async def quick(seconds, *args):
        slept.append(seconds)
        await sleep(0)

    def fails():
        raise ValueError("no")

    @workflow
    async def flow(ctx):
        await ctx.step.run("s", fails, max_retries=3, base_delay=2.0)

    await serve(fake_client)
    monkeypatch.setattr("polos.step.asyncio.sleep", quick)
    steps = [tried("s", 1, 0.0), tried("s", 2, 3.0)]
    await fake.outcome(fake.give("flow", kind=history_pb2.TASK_KIND_WORKFLOW, steps=steps))
    third, last = fake.heard[0].step_try, fake.heard[1].step_done
    assert (third.number, third.try_number, third.pause.ToSeconds()) == (3, 3, 8)
    assert (last.number, last.key) == (4, "s")
    first = next(seconds for seconds in slept if seconds > 1)
    assert 2 < first <= 3 and slept[-1] == 8.0


async def test_tries_of_a_key_that_is_no_step_do_not_fit(fake, fake_client):
    @workflow
    async def flow(ctx):
        await ctx.step.wait_for("s", seconds=1)

    await serve(fake_client)
    task_id = fake.give("flow", kind=history_pb2.TASK_KIND_WORKFLOW, steps=[tried("s", 1, 0.0)])
    assert "'s' (step)" in await fake.mismatch(task_id)


async def test_a_step_that_succeeds_at_last_is_kept_once(fake, fake_client):
    tries = iter([ValueError("no"), ValueError("no"), "yes"])

    async def flaky():
        found = next(tries)
        if isinstance(found, Exception):
            raise found
        return found

    @workflow
    async def flow(ctx):
        return await ctx.step.run("s", flaky, base_delay=0.001)

    await serve(fake_client)
    outcome = await fake.outcome(fake.give("flow", kind=history_pb2.TASK_KIND_WORKFLOW))
    assert outcome.value_json == '"yes"'
    said = [m.WhichOneof("message") for m in fake.heard[:-1]]
    assert said == ["step_try", "step_try", "step_done"]


async def test_a_step_gives_the_same_type_now_and_in_a_replay(fake, fake_client):
    def plain(city):
        return City(city=city)

    def typed() -> list[City]:
        return [City(city="b")]

    @workflow
    async def flow(ctx):
        one = await ctx.step.run("plain", plain, "a")
        two = await ctx.step.run("typed", typed)
        return [type(one).__name__, type(two[0]).__name__, one.city + two[0].city]

    await serve(fake_client)
    first = await fake.outcome(fake.give("flow", kind=history_pb2.TASK_KIND_WORKFLOW))
    steps = [
        steps_pb2.SettledStep(key=m.step_done.key, outcome=m.step_done.outcome)
        for m in fake.heard[:2]
    ]
    again = fake.give("flow", kind=history_pb2.TASK_KIND_WORKFLOW, steps=steps)
    assert json.loads(first.value_json) == ["City", "City", "ab"]
    assert (await fake.outcome(again)).value_json == first.value_json


async def test_a_key_used_twice_is_an_error(fake, fake_client):
    @workflow
    async def flow(ctx):
        for _ in range(2):
            await ctx.step.run("same", lambda: 1)

    await serve(fake_client)
    outcome = await fake.outcome(fake.give("flow", kind=history_pb2.TASK_KIND_WORKFLOW))
    assert "step key 'same' is used twice" in outcome.error.message


async def test_a_broken_stream_loses_and_repeats_nothing(fake, fake_client):
    begun = 0
    go_on = asyncio.Event()

    @workflow
    async def flow(ctx):
        nonlocal begun
        begun += 1
        await ctx.step.run("before", lambda: 1)
        await go_on.wait()
        return await ctx.step.run("after", lambda: 2)

    await serve(fake_client)
    task_id = fake.give("flow", kind=history_pb2.TASK_KIND_WORKFLOW)
    await fake.until(lambda: len(fake.heard) == 1)
    fake.cut()
    await fake.until(lambda: len(fake.hellos) == 2)
    go_on.set()
    assert (await fake.outcome(task_id)).value_json == "2"
    assert begun == 1
    assert fake.hellos[1].host_token == fake.session.name
    assert [(h.task_id, h.epoch) for h in fake.hellos[1].held] == [(task_id, 1)]


async def test_a_restarted_server_gets_what_it_had_not_acknowledged(fake, fake_client):
    begun = 0

    @tool
    async def slow(ctx):
        nonlocal begun
        begun += 1
        return await ctx.step.run("s", lambda: "kept")

    await serve(fake_client)
    fake.hold_acks = True
    task_id = fake.give("slow", {})
    await fake.until(lambda: len(fake.heard) == 1)
    fake.heard.clear()
    fake.hold_acks = False
    await fake.restart()
    assert (await fake.outcome(task_id)).value_json == '"kept"'
    assert begun == 1 and fake.session.dealt == len(fake.heard)
    assert fake.heard[0].step_done.number == 1
    assert [h.task_id for h in fake.hellos[1].held] == [task_id]


async def test_a_cancelled_task_stops_and_says_nothing(fake, fake_client):
    stopped = asyncio.Event()

    @tool
    async def endless(ctx):
        try:
            await asyncio.sleep(60)
        finally:
            stopped.set()

    @tool
    async def ping(ctx):
        return "pong"

    await serve(fake_client)
    task_id = fake.give("endless", {})
    await asyncio.sleep(0.05)
    fake.stop_task(task_id)
    await asyncio.wait_for(stopped.wait(), 5)
    assert (await fake.outcome(fake.give("ping", {}))).value_json == '"pong"'
    assert fake.done(task_id) is None


async def test_lost_tasks_are_stopped(fake, fake_client):
    stopped = asyncio.Event()

    @tool
    async def endless(ctx):
        try:
            await asyncio.sleep(60)
        finally:
            stopped.set()

    await serve(fake_client)
    task_id = fake.give("endless", {})
    await asyncio.sleep(0.05)
    fake.lost = [host_pb2.HeldTask(task_id=task_id, epoch=1)]
    await fake.restart()
    await asyncio.wait_for(stopped.wait(), 5)


async def test_a_refused_answer_becomes_an_error(fake, fake_client):
    @tool
    async def t(ctx):
        return "odd"

    await serve(fake_client)
    fake.hold_acks = True
    task_id = fake.give("t", {})
    await fake.until(lambda: len(fake.heard) == 1)
    body = host_pb2.Refused(refused_seq=1, reason="INVALID_FIELD", message="not JSON")
    fake.hold_acks = False
    fake.send(host_pb2.ServerMessage(refused=body))
    await fake.until(lambda: len(fake.heard) == 2)
    assert fake.heard[1].task_done.task_id == task_id
    assert "the answer was refused: not JSON" in fake.heard[1].task_done.outcome.error.message


async def test_heartbeats_keep_the_asked_for_pace(fake, fake_client):
    fake.heartbeat_ms = 20
    await serve(fake_client)
    await fake.until(lambda: fake.heartbeats >= 3)


async def test_stopping_waits_for_what_is_at_work(fake, fake_client):
    begun = asyncio.Event()

    @tool
    async def slow(ctx):
        begun.set()
        await asyncio.sleep(0.1)
        return "done"

    host = await serve(fake_client)
    task_id = fake.give("slow", {})
    await asyncio.wait_for(begun.wait(), 5)
    await host.stop(grace_seconds=5)
    assert fake.done(task_id).value_json == '"done"'
    assert "drain" in [m.WhichOneof("message") for m in fake.heard]


async def test_who_stops_says_that_it_leaves(fake, fake_client):
    begun = asyncio.Event()

    @tool
    async def endless(ctx):
        begun.set()
        await asyncio.sleep(3600)

    host = await serve(fake_client)
    fake.give("endless", {})
    await asyncio.wait_for(begun.wait(), 5)
    session = fake.session
    await host.stop()
    assert "drain" in [m.WhichOneof("message") for m in fake.heard]
    assert session.left


async def test_agents_cannot_be_run_inside_a_tool(fake, fake_client):
    from polos import Agent

    agent = Agent(id="a", provider="scripted", model="m")

    @tool
    async def nested(ctx):
        await agent.run(fake_client, "hi")

    await serve(fake_client)
    error = (await fake.outcome(fake.give("nested", {}))).error
    assert "agent.run and agent.stream cannot be called inside a tool" in error.message
