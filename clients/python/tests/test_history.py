"""Histories as text and JSON, forks and retries, and the command line on the real polosd."""

from __future__ import annotations

import asyncio
import json
import os
import re
import subprocess
import sys
from collections import Counter
from typing import Any

import polosd
import pytest
from conftest import HERE

from polos import (
    Agent,
    BatchWorkflowInput,
    ConflictError,
    ExecutionHandle,
    History,
    HistoryEvent,
    InvalidArgumentError,
    NotFoundError,
    PolosClient,
    Queue,
    RunCancelledError,
    RunFailedError,
    StepExecutionError,
    UnavailableError,
    tool,
    workflow,
)
from polos.history import Words
from polos.v1 import common_pb2

SECONDS = 15
NOBODY = "00000000-0000-7000-8000-000000000000"


def facts(*events: tuple[str, dict[str, Any]]) -> History:
    """Facts a second apart, all about effect 1."""
    return History(
        HistoryEvent(seq=n, time_ms=1000 * n, type=type_, effect_id=1, attempt=1, data=data)
        for n, (type_, data) in enumerate(events, 1)
    )


def words(history: History) -> list[str]:
    """What text() says happened, without numbers and times, with ids and durations as X."""
    lines = history.text().splitlines()
    assert lines[0].split() == ["seq", "time", "(UTC)", "after", "what"]
    said = []
    for event, line in zip(history, lines[1:], strict=True):
        found = re.fullmatch(
            r" *(\d+)  \d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{3} +\+(\d+\.\d{3})s  (.*)", line
        )
        assert found and int(found[1]) == event.seq, line
        assert float(found[2]) == (event.time_ms - history[0].time_ms) / 1000
        what = re.sub(r" \(test_history\.py:\d+, in \w+\)", "", found[3])
        said.append(re.sub(r"[0-9a-f]{8}-[0-9a-f-]{27}|\d+\.\d{3} s", "X", what))
    return said


# ---- the text ----


def test_values_are_shortened_and_stay_on_their_line():
    noise = "a\nb\x1b[31mc\u202ed" + "x" * 500
    history = facts(
        ("RUN_STARTED", {"kind": "workflow", "name": "w", "input": noise}),
        ("TASK_REQUESTED", {"kind": "tool", "name": noise, "input": {"n": [1] * 500}}),
        ("STEP_SETTLED", {"key": noise, "error": {"reason": noise, "message": noise}}),
        ("RUN_FAILED", {"error": {"reason": noise, "message": noise}}),
        ("SOMETHING_NEW", {"text": noise}),
    )
    lines = history.text(payload_characters=20).splitlines()
    assert len(lines) == 1 + len(history)
    assert all(line.isprintable() for line in lines)
    assert lines[1].endswith('with "a\\nb\\u001b[31mc\\...')
    assert lines[2].endswith('with {"n": [1, 1, 1, 1...')
    assert lines[5].endswith('SOMETHING_NEW {"text": "a\\nb\\u0...')
    assert history.text(payload_characters=1000) != history.text()
    with pytest.raises(ValueError, match="payload_characters is 0"):
        history.text(payload_characters=0)


@pytest.mark.parametrize(
    "name",
    ["api_key", "apiKey", "X-API-Key", "authorization", "client_secret", "accessToken", "password"],
)
def test_secrets_are_hidden_wherever_they_stand(name):
    history = facts(
        ("RUN_STARTED", {"name": "w", "input": {"deep": [{name: "hush"}], "max_tokens": 7}}),
        ("TASK_SETTLED", {"value": {name: {"nested": "hush"}, "token_count": 8}}),
    )
    for shown in (history.text(), history.json(), str(history)):
        assert "hush" not in shown and shown.count("(hidden)") == 2
        assert '"max_tokens": 7' in shown and '"token_count": 8' in shown
    assert history[0].data["input"]["deep"] == [{name: "hush"}]


def test_facts_of_every_kind_are_said_as_in_other_languages():
    folder = polosd.WORKSPACE / "tests" / "conformance" / "words"
    told = json.loads((folder / "facts.json").read_text())
    history = History(HistoryEvent(**fact) for fact in told)
    said = f"{history.text()}\n\n{history.text(24)}\n\n{history.stack()}\n"
    assert said == (folder / "said.txt").read_text()
    assert {fact["type"] for fact in told} >= set(Words(1)._kinds)


def test_a_history_without_facts_is_a_heading():
    assert History().text().split() == ["seq", "time", "(UTC)", "after", "what"]
    assert History().json() == "[]"


async def test_what_a_workflow_did_is_said_in_words(client, monkeypatch):
    monkeypatch.setenv("POLOS_WAIT_THRESHOLD_SECONDS", "0")

    @workflow
    async def child(ctx, payload):
        return payload

    @workflow
    async def flow(ctx, payload):
        try:
            await ctx.step.run("bad", lambda: 1 / 0, max_retries=0)
        except StepExecutionError:
            await ctx.step.run("good", lambda: {"a": 1})
        await ctx.step.wait_for("nap", seconds=0.05)
        await ctx.step.publish_event("tell", "news", {})
        try:
            await ctx.step.wait_for_event("hear", "other news", timeout=0.05)
        except StepExecutionError:
            await ctx.step.invoke_and_wait("one", child, 7)
        await ctx.step.batch_invoke("two", [BatchWorkflowInput(id="child", payload=8)] * 2)
        await ctx.step.suspend("ask", {"q": 1})
        if ctx.retry_count == 0:
            raise ConnectionError("not yet")
        return "done"

    place = {"queue": Queue("line", 1), "concurrency_key": "k"}
    handle = await flow.invoke(client, {"n": 1}, **place)
    await client.resume("flow", handle.id, "ask", "yes", resumed_by="ann")
    assert await handle.result(client, SECONDS) == "done"
    said = [line for line in words(await client.history(handle.id)) if "code of" not in line]
    early = "an answer to step 'ask' came early by ann and is kept: \"yes\""
    assert [
        re.sub(r"\d{4}-\d\d-\d\d .*|:\d+, in ", "T", s) for s in said if s != early
    ] == [
        "workflow 'flow' was started in queue 'line' under key 'k' with {\"n\": 1}",
        "step 'bad' failed: ZeroDivisionError: division by zero (test_history.pyT<lambda>)",
        "step 'good' gave {\"a\": 1}",
        "step 'nap' waits until T",
        "step 'nap' has waited after X",
        "step 'tell' was ordered",
        "step 'tell' was done",
        "step 'hear' waits for an event of topic 'other news' until T",
        "step 'hear' failed after X: TIMEOUT: nothing came before the step's timeout",
        "step 'one' waits for a run: 'child' X",
        "step 'one': run X gave 7",
        "step 'one': all its runs have ended after X",
        "step 'two' started 2 runs: 'child' X, 'child' X",
        "step 'two' was done",
        "step 'ask' waits for an answer and shows {\"q\": 1}",
        "step 'ask' was answered by ann after X: \"yes\"",
        "the run completed after X",
    ]
    assert early in said
    code = {line for line in words(await client.history(handle.id)) if "code of" in line}
    assert {
        "code of 'flow' was ordered",
        "code of 'flow' only waits: its host let go of it",
        "code of 'flow' failed after X: ConnectionError: not yet; again in X",
        "code of 'flow' is to be tried again",
        "code of 'flow' gave \"done\" after X",
    } <= code
    given = re.compile(r"code of 'flow' went to host \S+ \(deployment default\)(, attempt \d)?")
    assert any(given.fullmatch(line) for line in code)


async def test_what_an_agent_did_is_said_in_words(client):
    @tool
    async def look(ctx):
        return {"sky": "clear"}

    agent = Agent(id="a", provider="scripted", model="scripted", tools=[look])
    script = [
        {"tool_calls": [{"name": "look", "arguments": {"n": 1}}]},
        {"text": "clear", "error": {"reason": "RATE_LIMITED", "after_chunks": 0, "attempts": 1}},
    ]
    found = await agent.run(client, "well?", script=script)
    said = words(await client.history(found.agent_run_id))
    tokens = [re.sub(r"\(\d+ \+ \d+ tokens\)", "(T)", line) for line in said]
    assert [line for line in tokens if "host" not in line] == [
        "agent 'a' was started with \"well?\"",
        "model call 1 was ordered",
        "model call 1 was answered by scripted/scripted after X (T): calls 'look' with {\"n\": 1}",
        "tool 'look' was called with {\"n\": 1}",
        "tool 'look' gave {\"sky\": \"clear\"} after X",
        "model call 2 was ordered",
        "model call 2 failed after X: RATE_LIMITED: the script says so: RATE_LIMITED; again in X",
        "model call 2 was ordered, attempt 2",
        "model call 2 was answered by scripted/scripted after X (T): \"clear\"",
        "the run completed after X",
    ]


async def test_a_cancellation_is_said_in_words(client):
    @workflow
    async def flow(ctx):
        await ctx.step.suspend("ask", {})

    handle = await flow.invoke(client)
    while not await client.list_suspensions(handle.id):
        await asyncio.sleep(0.02)
    await client.cancel_execution(handle.id, "not wanted")
    with pytest.raises(RunCancelledError):
        await handle.result(client, SECONDS)
    said = words(await client.history(handle.id))
    assert "the run is being cancelled: not wanted; its code may clean up" in said
    assert said[-1].startswith("the run was cancelled after X: ")


async def test_the_json_is_all_of_it(client):
    @workflow
    async def flow(ctx, payload):
        return await ctx.step.run("s", lambda: payload)

    handle = await flow.invoke(client, "x" * 5000)
    await handle.result(client, SECONDS)
    history = await client.history(handle.id)
    assert json.loads(history.json()) == [event.model_dump() for event in history]
    assert "\n" not in history.json(indent=None)


# ---- forks and retries ----


async def test_a_retry_does_what_failed_and_nothing_else(client):
    done = Counter[str]()

    @workflow
    async def flow(ctx, payload):
        ctx.state["n"] = 1
        await ctx.step.run("good", lambda: done.update(["good"]))
        await ctx.step.run("bad", lambda: done.update(["bad"]) or 1 / (done["bad"] - 1),
                           max_retries=0)
        return ctx.user_id

    handle = await flow.invoke(client, 1, user_id="ann")
    with pytest.raises(RunFailedError):
        await handle.result(client, SECONDS)
    again = await client.retry(handle.id)
    assert again.id != handle.id and (again.workflow_id, again.user_id) == ("flow", "ann")
    assert await again.result(client, SECONDS) == "ann"
    assert done == {"good": 1, "bad": 2}
    assert (await handle.get(client))["status"] == "failed"
    assert (await again.get(client))["state"] == {"n": 1}
    with pytest.raises(ConflictError) as caught:
        await client.retry(again.id)
    assert caught.value.reason == "RUN_NOT_FAILED"
    with pytest.raises(NotFoundError):
        await client.retry(NOBODY)


async def test_a_retry_of_an_agent_keeps_its_tool_calls(client):
    calls = Counter[str]()

    @tool
    async def look(ctx):
        calls["look"] += 1
        return calls["look"]

    agent = Agent(id="a", provider="scripted", model="scripted", tools=[look])
    script = [
        {"tool_calls": [{"name": "look", "arguments": {}}]},
        {"text": "seen", "error": {"reason": "QUOTA", "retryable": False, "attempts": 1}},
    ]
    with pytest.raises(RunFailedError) as caught:
        await agent.run(client, "go", script=script)
    again = await client.retry(caught.value.run_id)
    assert await again.result(client, SECONDS) == "seen"
    assert calls == {"look": 1}


async def test_any_fact_of_a_history_is_a_point_to_fork_from(client):
    """Each either gives a run that ends like the first, or names the nearest point before."""
    done = Counter[str]()

    @workflow
    async def flow(ctx):
        for n in range(4):
            await ctx.step.run(f"s{n}", lambda n=n: done.update([f"s{n}"]))
        return await ctx.step.uuid("id")

    handle = await flow.invoke(client)
    first = await handle.result(client, SECONDS)
    history = await client.history(handle.id)
    expected = Counter({f"s{n}": 1 for n in range(4)})
    settled: set[str] = set()
    for event in history:
        settled |= {event.data["key"]} if event.type == "STEP_SETTLED" else set()
        try:
            fork = await client.fork(handle.id, event.seq)
        except InvalidArgumentError as error:
            assert error.field == "after_seq" and "the nearest point before" in error.message
            continue
        found = await fork.result(client, SECONDS)
        assert (found == first) == ("id" in settled)
        expected.update({f"s{n}" for n in range(4)} - settled)
        copied = (await client.history(fork.id))[: event.seq]
        assert [e.type for e in copied] == [e.type for e in history[: event.seq]]
    assert done == expected
    for wrong in (0, -1, len(history) + 1, 2**40):
        with pytest.raises(InvalidArgumentError) as caught:
            await client.fork(handle.id, wrong)
        assert caught.value.field == "after_seq"
    with pytest.raises(NotFoundError):
        await client.fork(NOBODY, 1)


async def test_a_fork_of_a_run_under_way_leaves_it_alone(client):
    @workflow
    async def flow(ctx):
        answer = await ctx.step.suspend("ask", {})
        return answer["data"]

    handle = await flow.invoke(client)
    while not await client.list_suspensions(handle.id):
        await asyncio.sleep(0.02)
    fork = await client.fork(handle.id, (await client.history(handle.id))[-1].seq)
    await client.resume("flow", fork.id, "ask", "fork")
    assert await fork.result(client, SECONDS) == "fork"
    assert (await handle.get(client))["status"] in ("running", "waiting")
    await client.resume("flow", handle.id, "ask", "first")
    assert await handle.result(client, SECONDS) == "first"


async def test_fork_and_retry_are_asked_for_under_one_key(fake, fake_client):
    """A call that was lost is made again, and finds what the first one started."""
    fake.runs = {"a": common_pb2.Run(id="c", name="n"), "b": common_pb2.Run(id="d", name="n")}
    assert (await fake_client.fork("a", 1)).id == "c"
    assert (await fake_client.retry("b")).id == "d"
    first, second, third, fourth = fake.copied
    assert first == second != third == fourth and first and third


# ---- the command line ----


def polos(server: Any, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-W", "default", "-m", "polos", *words],
        env={**os.environ, "POLOS_API_URL": server.url, "PYTHONPATH": str(HERE.parent)},
        capture_output=True,
        text=True,
        timeout=60,
    )


async def shell(server: Any, *words: str, code: int = 0) -> str:
    """What a command prints; of one that fails or has nothing to print, its complaint."""
    done = await asyncio.to_thread(polos, server, *words)
    assert done.returncode == code, (done.returncode, done.stdout, done.stderr)
    if code == 0:
        assert done.stderr == "" or done.stdout == ""
        return (done.stdout or done.stderr).strip()
    assert done.stdout == "" and "Traceback" not in done.stderr
    return done.stderr.strip()


async def test_runs_are_looked_at_and_answered_from_a_shell(server, client):
    @workflow
    async def flow(ctx, payload):
        answer = await ctx.step.suspend("ask", {"q": 1, "api_key": "hush"})
        if answer["data"] == "fail":
            raise ValueError("as told")
        return answer["data"]

    handle = await flow.invoke(client, {"n": 1}, max_retries=0)
    while not await client.list_suspensions(handle.id):
        await asyncio.sleep(0.02)

    listed = await shell(server, "runs")
    assert listed == await shell(server, "runs", "--name", "flow", "--status", "waiting")
    header, line = listed.splitlines()
    assert header.split() == ["RUN", "STATUS", "STARTED", "(UTC)", "KIND", "NAME"]
    assert line.startswith(f"{handle.id[-8:]}  waiting ") and line.endswith("workflow  flow")
    assert header.index("NAME") == line.rindex("flow")
    assert await shell(server, "runs", "--ids", "--kind", "workflow", "--since", "1h") == handle.id
    for none in (["--name", "other"], ["--status", "failed"], ["--kind", "agent"],
                 ["--until", "1h"], ["--since", "2100-01-01"], ["--user", "ann"],
                 ["--parent", handle.id], ["--session", "s"], ["--conversation", "c"]):
        assert await shell(server, "runs", *none) == "polos: there is no such run"
    assert json.loads(await shell(server, "runs", "--json", "--limit", "1"))[0]["id"] == handle.id
    while "works on it" in (shown := await shell(server, "show", handle.id[-8:])):
        pass  # until its host has let go of it
    assert shown == await shell(server, "show", handle.id)
    assert shown == await shell(server, "show", handle.id[:13])
    assert re.search(r"^waits for +suspension ask: ", shown, re.MULTILINE)
    assert json.loads(await shell(server, "show", handle.id, "--json"))["payload"] == {"n": 1}
    told = await shell(server, "suspended")
    assert told.startswith("RUN ") and f"\n{handle.id[-8:]}  ask  " in told
    assert '"q": 1' in told and "hush" not in told
    (found,) = json.loads(await shell(server, "suspended", handle.id, "--json"))
    assert found["step_key"] == "ask" and found["data"]["api_key"] == "(hidden)"

    refused = await shell(server, "resume", handle.id, "aks", '"fail"', code=1)
    assert "OTHER_SUSPENSIONS_OPEN" in refused
    assert await shell(server, "resume", handle.id, "ask", '"fail"', "--by", "ann") == "answered"
    with pytest.raises(RunFailedError):
        await handle.result(client, SECONDS)
    assert "had been answered" in await shell(server, "resume", handle.id, "ask", "1", code=1)
    history = await client.history(handle.id)
    assert 'raise ValueError("as told")\nValueError: as told' in history.stack()
    for most in (120, 9):
        told = await shell(server, "history", handle.id, "--characters", str(most))
        assert told == f"{history.text(most)}\n\n{history.stack()}".strip()
    assert await shell(server, "history", handle.id, "--json") == history.json()
    watched = await asyncio.to_thread(polos, server, "watch", handle.id)
    assert (watched.returncode, watched.stdout.rstrip()) == (1, history.text())
    assert (await shell(server, "show", handle.id)).endswith(history.stack().strip())

    suspended = next(event.seq for event in history if event.type == "WAIT_SET")
    fork = await shell(server, "fork", handle.id, str(suspended))
    assert await shell(server, "resume", fork, "ask") == "answered"
    while (await client.get_execution(fork))["status"] != "completed":
        await asyncio.sleep(0.02)
    assert "nothing has changed" in await shell(server, "cancel", fork, code=1)
    again = await shell(server, "retry", handle.id)
    assert (await client.get_execution(again))["workflow_id"] == "flow"
    other = await flow.invoke(client)
    assert (await shell(server, "cancel", other.id, "--cause", "done with")).startswith("cancelled")


async def test_an_agent_at_work_is_told_something_from_a_shell_and_by_its_handle(server, client):
    started, told = asyncio.Event(), asyncio.Event()

    @tool
    async def slow(ctx):
        started.set()
        await told.wait()
        return "done"

    agent = Agent(id="told", provider="scripted", model="scripted", tools=[slow])
    script = [{"tool_calls": [{"name": "slow", "arguments": {}}]}, {"text": "{{input}}"}]
    stream = await agent.stream(client, "hi", script=script)
    await asyncio.wait_for(started.wait(), SECONDS)
    run_id = stream.agent_run_id
    out = await shell(server, "send", run_id, "shorter", "--key", "k")
    assert out == "input 1: the model is told at its next turn"
    assert json.loads(await shell(server, "send", run_id, "shorter", "--key", "k", "--json")) == {
        "id": run_id,
        "input_id": "1",
    }
    handle = ExecutionHandle(id=run_id)
    assert await handle.send(client, "in Celsius") == "2"
    told.set()
    assert (await stream.result()).result == "in Celsius"
    text = (await client.history(run_id)).text()
    assert 'input 1 was accepted: "shorter"' in text and "turn 2 has input 2" in text, text
    assert "RUN_ENDED" in await shell(server, "send", run_id, "more", code=1)


async def test_runs_are_started_from_a_shell(server, client):
    @workflow
    async def flow(ctx, payload):
        if payload == "fail":
            raise ValueError("as told")
        return {"given": payload, "user": ctx.user_id}

    @tool
    async def clock(ctx):
        return "12:00"

    Agent(id="talker", provider="scripted", model="scripted")
    Agent(id="asker", provider="scripted", model="scripted", tools=[clock])
    await client._connection().serve()

    async def run(*words: str, code: int = 0) -> tuple[str, str]:
        done = await asyncio.to_thread(polos, server, "run", *words)
        assert done.returncode == code, done.stderr
        return done.stdout.strip(), done.stderr

    out, err = await run("flow", '{"n": 1}', "--user", "ann")
    assert json.loads(out) == {"given": {"n": 1}, "user": "ann"}
    assert (await client.list_executions("flow"))[0]["id"] in err
    out, err = await run("flow", '"fail"', "--timeout", "0.5", code=1)
    assert out == "" and "polos: run" in err or "as told" in err
    assert (await run("clock", "--tool"))[0] == '"12:00"'
    header, line, _ = (await shell(server, "agents")).splitlines()
    assert header.split() == ["AGENT", "PROVIDER", "MODEL", "TOOLS"]
    assert line.split() == ["asker", "scripted", "scripted", "clock"]
    told, _ = json.loads(await shell(server, "agents", "--json"))
    assert told == (await client.list_agents())[0] and told["tools"] == ["clock"]
    out, err = await run("talker", "hello there", "--agent")
    assert "hello there" in out
    out, err = await run("talker", "hello there", "--agent", "--json")
    assert json.loads(out)["kind"] == "agent" and "hello there" in json.loads(out)["result"]
    assert "AGENT_NOT_FOUND" in (await run("nobody", "hi", "--agent", code=1))[1]
    assert "a text needs quotes" in (await run("flow", "yes", code=1))[1]
    out, err = await run("flow", "5", "--detach", "--idempotency-key", "k")
    assert err == "" and out == (await run("flow", "5", "--detach", "--idempotency-key", "k"))[0]
    assert await shell(server, "watch", out, "--json") == "\n".join(
        json.dumps(event.model_dump()) for event in await client.history(out)
    )


@pytest.mark.parametrize(
    ("words", "code", "why"),
    [
        ([], 2, "required: COMMAND"),
        (["no-such"], 2, "invalid choice: 'no-such'"),
        (["history"], 2, "required: RUN"),
        (["runs", "--limit", "-1"], 2, "'-1' is no number from 1"),
        (["fork", NOBODY, "x"], 2, "'x' is no number from 1"),
        (["resume", NOBODY, "k", "yes"], 2, "a text needs quotes of its own"),
        (["history", NOBODY], 1, "there is no run with this id"),
        (["history", "no-uuid"], 1, "is no id of a run: give it whole"),
        (["show", "ffff"], 1, "none of the newest 5,000 runs has an id that begins or ends with"),
        (["runs", "--since", "soon"], 2, "'soon' is no time: write 2h"),
        (["run", "flow", "--agent", "--tool"], 2, "not allowed with argument"),
        (["resume", NOBODY, "k", "1"], 1, "RUN_NOT_FOUND"),
        (["retry", NOBODY], 1, "RUN_NOT_FOUND"),
        (["runs", "--server", "ftp://x"], 1, "is no server address"),
        (["runs", "--server", "127.0.0.1:1"], 3, "cannot reach polosd at 127.0.0.1:1"),
    ],
)
async def test_a_wrong_command_says_why(server, words, code, why):
    assert why in await shell(server, *words, code=code)


async def test_a_pipe_that_closes_is_no_error(server, client):
    @workflow
    async def flow(ctx):
        for n in range(300):
            await ctx.step.run(f"s{n}", lambda: "x" * 200)

    handle = await flow.invoke(client)
    await handle.result(client, 60)
    command = f"'{sys.executable}' -m polos history {handle.id} --json | head -1"
    environment = {**os.environ, "POLOS_API_URL": server.url, "PYTHONPATH": str(HERE.parent)}
    done = await asyncio.to_thread(
        subprocess.run, command, shell=True, env=environment, capture_output=True, timeout=60
    )
    assert (done.stdout, done.stderr) == (b"[\n", b"")
