"""Runs on the real polosd with its scripted model: results, streams, failures, kill -9."""

from __future__ import annotations

import asyncio
import os
import re
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

import polosd
import pytest
from google.protobuf.timestamp_pb2 import Timestamp
from pydantic import BaseModel
from replay_model import Turn

from polos import (
    Agent,
    ConflictError,
    InvalidArgumentError,
    NotFoundError,
    PolosClient,
    PolosError,
    Queue,
    RunCancelledError,
    RunFailedError,
    UnavailableError,
    WorkflowTimeoutError,
    max_steps,
    queues,
    schedules,
    tool,
    workflow,
)
from polos._run_models import run_record
from polos.cli import _run, parsed
from polos.v1 import common_pb2

HERE = Path(__file__).resolve().parent


class City(BaseModel):
    city: str


def scripted(**arguments: Any) -> Agent:
    return Agent(**{"id": "a", "provider": "scripted", "model": "scripted", **arguments})


def call(name: str, arguments: Any) -> dict[str, Any]:
    return {"tool_calls": [{"name": name, "arguments": arguments}]}


def weather(calls: list[str] | None = None):
    @tool(description="Get weather for a city")
    async def get_weather(ctx, input: City) -> dict:
        if calls is not None:
            calls.append(input.city)
        return {"city": input.city, "celsius": 21}

    return get_weather


async def types_of(client: PolosClient, run_id: str) -> Counter[str]:
    return Counter(event.type for event in await client.history(run_id))


# ---- what a run gives ----


async def test_a_run_with_a_tool(client):
    agent = scripted(tools=[weather()])
    script = [call("get_weather", {"city": "Rome"}), {"text": "Rome: {{tool_result}}"}]
    found = await agent.run(client, "Rome?", script=script, session_id="s", user_id="u")
    assert found.result == 'Rome: {"city":"Rome","celsius":21}'
    assert found.total_steps == 2 and found.stop_reason == "end"
    (result,) = found.tool_results
    assert (result.tool_name, result.status) == ("get_weather", "completed")
    assert result.result == {"city": "Rome", "celsius": 21}
    assert found.usage.total_tokens == found.usage.input_tokens + found.usage.output_tokens > 0
    run = await client.get_execution(found.agent_run_id)
    assert (run["status"], run["session_id"], run["user_id"]) == ("completed", "s", "u")
    events = await client.history(found.agent_run_id)
    assert [e.seq for e in events] == list(range(1, len(events) + 1))
    assert [e.type for e in events][0] == "RUN_STARTED" and events[-1].type == "RUN_COMPLETED"
    assert found.agent_run_id in [r["id"] for r in await client.list_executions("a")]


async def test_a_conversation_as_input(client):
    messages = [
        {"role": "user", "content": "My name is Ann."},
        {"role": "assistant", "content": "Hello Ann."},
        {"role": "user", "content": "What is my name?"},
    ]
    found = await scripted().run(client, messages, script=[{"text": "heard: {{input}}"}])
    assert found.result == "heard: What is my name?"


async def test_chunks_arrive_one_by_one_and_events_tell_it_all(client):
    agent = scripted(tools=[weather()])
    script = [
        {"text": "One moment.", **call("get_weather", {"city": "Rome"})},
        {"text": "It is warm in Rome."},
    ]
    stream = await agent.stream(client, "Rome?", script=script, delta_ms=5)
    chunks = [chunk async for chunk in stream.text_chunks]
    assert len(chunks) > 4 and "".join(chunks) == "One moment.It is warm in Rome."
    names = [event.event_type async for event in stream.events]  # again, from the start
    assert [n for n in names if n != "text_delta"] == [
        "agent_start", "step_start", "stream_start", "tool_call", "tool_start", "tool_finish",
        "step_finish", "step_start", "stream_start", "step_finish", "agent_finish",
    ]
    assert await stream.text() == "One moment.It is warm in Rome."
    assert (await stream.result()).result == "It is warm in Rome."
    assert (await stream.get())["status"] == "completed"


async def test_tools_of_one_turn_run_at_the_same_time(client):
    together = asyncio.Barrier(3) if sys.version_info >= (3, 11) else None
    if together is None:
        pytest.skip("asyncio.Barrier came with Python 3.11")

    @tool
    async def meet(ctx):
        async with asyncio.timeout(10):
            await together.wait()
        return "met"

    script = [{"tool_calls": [{"name": "meet", "arguments": {}}] * 3}, {"text": "done"}]
    found = await scripted(tools=[meet]).run(client, "go", script=script)
    assert [r.result for r in found.tool_results] == ["met"] * 3


async def test_max_steps_ends_the_loop(client):
    script = [call("get_weather", {"city": "Rome"})] * 9
    agent = scripted(tools=[weather()], stop_conditions=[max_steps(count=2)])
    found = await agent.run(client, "go", script=script)
    assert found.total_steps == 2 and found.stop_reason == "max_steps"


async def test_a_tool_by_itself_and_a_workflow(client):
    assert await weather().run(client, City(city="Oslo")) == {"city": "Oslo", "celsius": 21}

    @workflow
    async def flow(ctx, payload):
        one = await ctx.step.run("one", lambda n: n + 1, payload["n"])
        two = [await ctx.step.uuid("u"), await ctx.step.now("t"), await ctx.step.random("r")]
        return {"one": one, "kinds": [type(v).__name__ for v in two]}

    found = await flow.run(client, {"n": 1})
    assert found == {"one": 2, "kinds": ["str", "int", "float"]}
    handle = await flow.invoke(client, {"n": 1})
    while (run := await handle.get(client))["status"] in ("queued", "running", "waiting"):
        await asyncio.sleep(0.02)
    assert run["status"] == "completed" and run["result"]["one"] == 2
    assert (await types_of(client, handle.id))["STEP_SETTLED"] == 4


async def test_what_is_defined_later_is_offered_too(client):
    first = scripted(tools=[weather()])
    script = [call("get_weather", {"city": "Rome"}), {"text": "ok"}]
    await first.run(client, "go", script=script)

    @tool
    def later(ctx):
        return "here"

    second = scripted(id="b", tools=[later])
    found = await second.run(client, "go", script=[call("later", {}), {"text": "ok"}])
    assert found.tool_results[0].result == "here"


async def test_two_tools_of_one_name_belong_to_their_agents(client):
    def named(answer: str):
        @tool(id="same")
        def same(ctx):
            return answer

        return same

    one, two = scripted(id="one", tools=[named("1")]), scripted(id="two", tools=[named("2")])
    script = [call("same", {}), {"text": "{{tool_result}}"}]
    found = [(await agent.run(client, "go", script=script)).result for agent in (one, two)]
    assert found == ['"1"', '"2"'] or found == ["1", "2"]


# ---- bad input: each gives its sentence ----


async def test_a_tool_that_raises_is_told_to_the_model(client):
    @tool
    async def broken(ctx):
        raise LookupError("no such city: Atlantis")

    script = [call("broken", {}), {"text": "It said: {{tool_result}}"}]
    found = await scripted(tools=[broken]).run(client, "go", script=script)
    assert "no such city: Atlantis" in found.result
    (result,) = found.tool_results
    assert (result.status, result.error) == ("failed", "no such city: Atlantis")


async def test_invalid_arguments_never_reach_the_tool(client):
    calls: list[str] = []
    agent = scripted(tools=[weather(calls)])
    script = [call("get_weather", '{"city": "Ro'), {"text": "heard: {{tool_result}}"}]
    found = await agent.run(client, "go", script=script)
    assert calls == [] and found.tool_results[0].status == "failed"
    assert "JSON" in (found.tool_results[0].error or "")
    script = [call("get_weather", {"town": "Rome"}), {"text": "heard: {{tool_result}}"}]
    found = await agent.run(client, "go", script=script)
    assert calls == []
    assert found.tool_results[0].error == (
        "the arguments of tool 'get_weather' do not fit: city: Field required"
    )


async def test_a_tool_the_agent_does_not_have_is_told_to_the_model(client):
    script = [call("nobody", {}), {"text": "heard"}]
    found = await scripted(tools=[weather()]).run(client, "go", script=script)
    assert found.result == "heard" and found.tool_results[0].status == "failed"
    assert "nobody" in (found.tool_results[0].error or "")


async def test_a_workflow_nobody_hosts_waits_visibly_until_its_deadline(client):
    handle = await client.invoke("nobody-has-this", {}, run_timeout_seconds=1)
    run = await handle.get(client)
    assert run["status"] == "queued"
    assert "nobody-has-this" in run["waiting"][0]["message"]
    while (run := await handle.get(client))["status"] == "queued":
        await asyncio.sleep(0.05)
    assert run["status"] == "failed" and run["error_reason"] == "DEADLINE_EXCEEDED"


def test_what_a_host_has_had_is_not_queued():
    run = common_pb2.Run(
        kind=common_pb2.RUN_KIND_WORKFLOW,
        status=common_pb2.RUN_STATUS_WAITING,
        waiting=[common_pb2.Waiting(kind=common_pb2.Waiting.KIND_HOST)],
        created_at=Timestamp(seconds=1),
    )
    assert run_record(run)["status"] == "queued" and run_record(run)["started_at"] is None
    run.started_at.CopyFrom(Timestamp(seconds=2))
    assert run_record(run)["status"] == "waiting"
    assert run_record(run)["started_at"] == "1970-01-01T00:00:02+00:00"


async def test_a_run_past_its_deadline_is_a_timeout(client):
    stopped = asyncio.Event()

    @tool
    async def endless(ctx):
        try:
            await asyncio.sleep(60)
        finally:
            stopped.set()

    with pytest.raises(WorkflowTimeoutError, match="did not end within 1 s") as caught:
        await scripted(tools=[endless]).run(
            client, "go", script=[call("endless", {})], timeout=1
        )
    assert caught.value.execution_id
    await asyncio.wait_for(stopped.wait(), 10)  # the host is told to stop


async def test_an_unknown_provider_is_named(client):
    with pytest.raises(InvalidArgumentError, match="no-such-provider") as caught:
        await scripted(provider="no-such-provider").run(client, "go")
    assert "scripted" in str(caught.value)  # the known ones are listed


async def test_a_missing_key_names_the_variable(client):
    with pytest.raises(PolosError, match="OPENAI_API_KEY"):
        await scripted(provider="openai", model="gpt-4o").run(client, "go")


async def test_a_bad_script_is_refused(client):
    with pytest.raises(PolosError, match="options.script must be an array"):
        await scripted().run(client, "go", script="not a list")


async def test_oversize_input_is_refused_and_nothing_is_lost(client):
    with pytest.raises(InvalidArgumentError, match="2000002 bytes, the limit is 1048576"):
        await scripted().run(client, "x" * 2_000_000)
    with pytest.raises(InvalidArgumentError, match="too large for the server"):
        await scripted().run(client, "x" * 20_000_000)
    assert (await scripted().run(client, "go", script=[{"text": "still here"}])).result == (
        "still here"
    )


async def test_lists_go_on_from_page_to_page(client, monkeypatch):
    monkeypatch.setattr("polos._wire.channel.PAGE_ROWS_MAX", 2)

    @workflow
    async def flow(ctx):
        await ctx.step.suspend("ask", {})

    handles = [await flow.invoke(client) for _ in range(5)]
    while len(await client.list_suspensions(limit=10)) < 5:
        await asyncio.sleep(0.02)
    found = [run["id"] for run in await client.list_executions("flow")]
    assert found == [handle.id for handle in reversed(handles)]
    assert [r["id"] for r in await client.list_executions("flow", limit=3)] == found[:3]
    assert len({s.run_id for s in await client.list_suspensions(limit=4)}) == 4

    many = 250  # More than the server puts on a page.
    for n in range(many):
        await schedules.create(client, "flow", "0 9 * * *", key=f"key-{n:03}")
        await queues.put(client, Queue(f"queue-{n:03}", 1))
    assert [s.key for s in await schedules.list_schedules(client, flow)] == [
        f"key-{n:03}" for n in range(many)
    ]
    assert [q.name for q in await queues.list_queues(client)] == [
        f"queue-{n:03}" for n in range(many)
    ]


async def test_wrong_ids_are_refused(client):
    with pytest.raises(InvalidArgumentError, match="run_id"):
        await client.get_execution("no uuid")
    with pytest.raises(NotFoundError):
        await client.get_execution("00000000-0000-7000-8000-000000000000")
    with pytest.raises(InvalidArgumentError):
        await client.invoke("no spaces allowed")


async def test_a_failed_model_call_fails_the_run_with_its_reason(client):
    script = [{"error": {"reason": "QUOTA", "retryable": False}}]
    with pytest.raises(RunFailedError) as caught:
        await scripted().run(client, "go", script=script)
    assert caught.value.reason == "QUOTA" and caught.value.run_id


async def test_a_repeated_model_call_is_told_in_the_stream(client):
    script = [
        {
            "text": "one two three four",
            "error": {"reason": "RATE_LIMITED", "after_chunks": 2, "attempts": 1},
        }
    ]
    stream = await scripted().stream(client, "go", script=script)
    events = [event async for event in stream.events]
    (retry,) = [e.data for e in events if e.event_type == "retry"]
    assert retry["attempt"] == 2 and retry["reason"] == "RATE_LIMITED"
    assert "".join([chunk async for chunk in stream.text_chunks]) == "one two three four"
    assert (await stream.result()).result == "one two three four"


async def test_cancelling_stops_the_tool(client):
    begun, stopped = asyncio.Event(), asyncio.Event()

    @tool
    async def endless(ctx):
        begun.set()
        try:
            await asyncio.sleep(60)
        finally:
            stopped.set()

    stream = await scripted(tools=[endless]).stream(client, "go", script=[call("endless", {})])
    await asyncio.wait_for(begun.wait(), 10)
    assert await stream.cancel() is True
    await asyncio.wait_for(stopped.wait(), 10)
    with pytest.raises(RunCancelledError):
        await stream.result()
    assert await stream.cancel() is False


async def test_deleting_a_run(client, capsys):
    kept = await scripted().run(client, "go", script=[{"text": "one"}])
    found = await scripted().run(client, "go", script=[{"text": "one"}])
    await client.delete_execution(found.agent_run_id)
    with pytest.raises(NotFoundError):
        await client.get_execution(found.agent_run_id)
    with pytest.raises(NotFoundError):
        await client.delete_execution(found.agent_run_id)
    words = ["delete", kept.agent_run_id[-8:], "--server", client.api_url]
    assert await _run(parsed(words)) == 0
    assert capsys.readouterr().out == "deleted\n"
    with pytest.raises(NotFoundError):
        await client.get_execution(kept.agent_run_id)


async def test_a_run_at_work_is_not_deleted(client):
    begun = asyncio.Event()

    @tool
    async def endless(ctx):
        begun.set()
        await asyncio.sleep(60)

    stream = await scripted(tools=[endless]).stream(client, "go", script=[call("endless", {})])
    await asyncio.wait_for(begun.wait(), 10)
    with pytest.raises(ConflictError) as refused:
        await client.delete_execution(stream.id)
    assert refused.value.reason == "RUN_NOT_ENDED"
    await stream.cancel()


# ---- kill -9 ----


async def test_killed_while_a_tool_is_at_work(server, client):
    calls: Counter[str] = Counter()
    begun, go_on = asyncio.Event(), asyncio.Event()

    @tool
    async def quick(ctx):
        calls["quick"] += 1
        return 1

    @tool
    async def slow(ctx):
        calls["slow"] += 1
        begun.set()
        await go_on.wait()
        return 2

    agent = scripted(tools=[quick, slow])
    script = [call("quick", {}), call("slow", {}), {"text": "done"}]
    running = asyncio.create_task(agent.run(client, "go", script=script))
    await asyncio.wait_for(begun.wait(), 10)
    server.kill()
    await asyncio.sleep(0.3)
    server.start()
    go_on.set()
    found = await asyncio.wait_for(running, 30)
    assert found.result == "done" and calls == {"quick": 1, "slow": 1}
    types = await types_of(client, found.agent_run_id)
    assert types["MODEL_REQUESTED"] == types["MODEL_REPLIED"] == 3
    assert types["TASK_REQUESTED"] == types["TASK_SETTLED"] == 2


async def test_a_tool_that_ends_while_the_server_is_away(server, client):
    begun, ended = asyncio.Event(), asyncio.Event()
    calls = 0

    @tool
    async def slow(ctx):
        nonlocal calls
        calls += 1
        begun.set()
        await asyncio.sleep(0.3)
        ended.set()
        return "kept"

    agent = scripted(tools=[slow])
    script = [call("slow", {}), {"text": "{{tool_result}}"}]
    running = asyncio.create_task(agent.run(client, "go", script=script))
    await asyncio.wait_for(begun.wait(), 10)
    server.kill()
    await asyncio.wait_for(ended.wait(), 10)
    await asyncio.sleep(0.2)
    server.start()
    found = await asyncio.wait_for(running, 30)
    assert "kept" in found.result and calls == 1


async def test_killed_in_the_middle_of_a_stream(server, client):
    words = " ".join(f"word{n}" for n in range(60))
    stream = await scripted().stream(client, "go", script=[{"text": words}], delta_ms=10)
    shown: list[str] = []
    async for chunk in stream.text_chunks:
        shown.append(chunk)
        if len(shown) == 20:
            server.kill()
            server.start()
    assert "".join(shown) == words, "the continuation joins what was shown"
    types = await types_of(client, stream.id)
    assert types["MODEL_REQUESTED"] == 2 and types["MODEL_REPLIED"] == 1


async def test_steps_survive_the_server(server, client):
    calls: Counter[int] = Counter()

    @workflow
    async def flow(ctx):
        for number in range(20):
            await ctx.step.run(f"s{number}", lambda n=number: calls.update([n]))
            await asyncio.sleep(0.01)
        return "done"

    running = asyncio.create_task(flow.run(client))
    for kill_at in (5, 12):
        await until(lambda at=kill_at: len(calls) >= at)
        server.kill()
        server.start()
    assert await asyncio.wait_for(running, 60) == "done"
    assert set(calls.values()) == {1} and len(calls) == 20


@pytest.mark.parametrize("seed", range(4))
async def test_killed_anywhere(server, client, seed):
    """Three kills at random moments of an agent's run: one text, every tool called once."""
    chance = random.Random(seed)
    calls: Counter[str] = Counter()

    @tool
    async def work(ctx, input: City):
        calls[input.city] += 1
        await asyncio.sleep(chance.uniform(0, 0.1))
        return input.city

    words = [" ".join(f"{turn}word{n}" for n in range(15)) for turn in range(4)]
    script: list[dict[str, Any]] = [
        {"text": words[turn], **call("work", {"city": f"city{turn}"})} for turn in range(3)
    ]
    script.append({"text": words[3]})
    agent = scripted(tools=[work])
    await agent.run(client, "go", script=[{"text": "hello"}])

    async def run() -> tuple[str, str]:
        stream = await agent.stream(client, "go", script=script, delta_ms=3)
        return stream.id, "".join([chunk async for chunk in stream.text_chunks])

    running = asyncio.create_task(run())
    for _ in range(3):
        await asyncio.sleep(chance.uniform(0, 0.25))
        server.kill()
        await asyncio.sleep(chance.choice([0, 0.1]))
        server.start()
    run_id, text = await asyncio.wait_for(running, 60)
    assert text == "".join(words)
    assert calls == {"city0": 1, "city1": 1, "city2": 1}
    types = await types_of(client, run_id)
    assert types["MODEL_REPLIED"] == 4 and types["TASK_SETTLED"] == 3


async def test_a_start_gives_up_with_its_timeout(server, client):
    await scripted().run(client, "go", script=[{"text": "first"}])
    server.kill()
    for agent in (scripted(), scripted(id="b", tools=[weather()])):
        with pytest.raises(UnavailableError, match=server.url):
            await agent.run(client, "go", timeout=0.5)
    server.start()
    assert (await agent.run(client, "go", script=[{"text": "back"}])).result == "back"


async def test_a_start_waits_for_a_server_that_is_away(server, client):
    agent = scripted()
    await agent.run(client, "go", script=[{"text": "first"}])
    server.kill()
    running = asyncio.create_task(agent.run(client, "go", script=[{"text": "second"}], timeout=30))
    await asyncio.sleep(0.5)
    server.start()
    assert (await running).result == "second"


async def test_another_process_takes_over_from_a_dead_one(impatient_server, tmp_path):
    """A worker is killed in the middle of a workflow; the next one does only what is left."""
    server = impatient_server
    log = tmp_path / "log"
    worker = tmp_path / "worker.py"
    worker.write_text(WORKER)
    environment = {
        **os.environ,
        "POLOS_API_URL": server.url,
        "PYTHONPATH": str(HERE.parent),
        "LOG": str(log),
    }

    def start_worker() -> subprocess.Popen[bytes]:
        return subprocess.Popen([sys.executable, str(worker)], env=environment)

    def lines() -> list[str]:
        return log.read_text().split() if log.exists() else []

    first = start_worker()
    client = PolosClient(api_url=server.url)
    handle = await client.invoke("two-steps", {}, run_timeout_seconds=60)
    await until(lambda: "waiting" in lines())
    first.kill()
    first.wait()
    second = start_worker()
    try:
        while (run := await handle.get(client))["status"] in ("queued", "running", "waiting"):
            await asyncio.sleep(0.1)
        assert run["status"] == "completed" and run["result"] == ["one", "two"]
        assert Counter(lines()) == {"begun": 2, "one": 1, "waiting": 2, "two": 1}
        second.send_signal(signal.SIGTERM)
        assert second.wait(10) == 0
    finally:
        second.kill()
        await client.close()


WORKER = '''
import asyncio, os
from polos import Polos, workflow

def log(word):
    with open(os.environ["LOG"], "a") as file:
        file.write(word + "\\n")
    return word

@workflow(id="two-steps")
async def two_steps(ctx):
    log("begun")
    one = await ctx.step.run("one", log, "one")
    log("waiting")
    first = open(os.environ["LOG"]).read().split().count("waiting") == 1
    await asyncio.sleep(60 if first else 0)
    return [one, await ctx.step.run("two", log, "two")]

async def main():
    async with Polos() as polos:
        await polos.serve()

asyncio.run(main())
'''


async def until(condition: Any, seconds: float = 20) -> None:
    give_up_at = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < give_up_at, "it did not happen"
        await asyncio.sleep(0.005)


def test_the_demo_holds(tmp_path):
    """What ./run shows, on the real server: its exit code says whether everything held."""
    program = polosd.binary()
    done = subprocess.run(
        [sys.executable, str(HERE.parent / "demo/main.py"), str(program)],
        env={k: v for k, v in os.environ.items() if not k.startswith("OPENAI_")},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Everything held." in done.stdout and done.stderr == ""
    then = done.stdout.partition("What to do next")[2]
    assert "./run serve" in then
    for path in re.findall(r"(?:clients|docs)/\S+", then):
        assert (polosd.WORKSPACE / path).exists(), path


def test_the_demo_with_a_key_asks_the_provider(model):
    program = polosd.binary()
    city = '{"city":"Lisbon"}'
    model.script = [
        Turn(tool_calls=[("get_weather", city)]),
        Turn(text="No umbrella."),
        Turn(tool_calls=[("get_weather", city)]),
        Turn(tool_calls=[("book_table", city)]),
        Turn(text="Booked."),
    ]
    done = subprocess.run(
        [sys.executable, str(HERE.parent / "demo/main.py"), str(program)],
        env={**os.environ, **model.environment},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "The model is gpt-4o-mini of OpenAI at http" in done.stdout
    assert len(model.requests) == 5 and model.requests[0]["model"] == "gpt-4o-mini"


def test_the_demo_ends_quietly_on_ctrl_c():
    program = polosd.binary()
    demo = subprocess.Popen(
        [sys.executable, "-u", str(HERE.parent / "demo/main.py"), str(program)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )
    assert demo.stdout is not None
    pid = next(line.split("pid ")[1].split(")")[0] for line in demo.stdout if "is ready" in line)
    demo.send_signal(signal.SIGINT)
    _, errors = demo.communicate(timeout=30)
    assert demo.returncode == 130 and errors.strip() == "Interrupted."
    with pytest.raises(ProcessLookupError):
        os.kill(int(pid), 0)


def test_the_demo_without_a_server_says_so(tmp_path):
    done = subprocess.run(
        [sys.executable, str(HERE.parent / "demo/main.py"), str(tmp_path / "nothing")],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 2
    assert done.stderr.startswith("demo: There is no server at")
