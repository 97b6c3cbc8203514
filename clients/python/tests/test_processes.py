"""What a process does to its connection: loops that end, forks, hosts that die between tries."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import subprocess
import sys
from pathlib import Path
from typing import IO

import pytest
from conftest import HERE, running_server

from polos import (
    Agent,
    Polos,
    PolosClient,
    RunFailedError,
    StepExecutionError,
    UnavailableError,
    sync,
    testing,
    workflow,
)

SECONDS = 20


def program(text: str, url: str, folder: Path, *arguments: str) -> subprocess.Popen[str]:
    script = folder / "program.py"
    script.write_text(text)
    return subprocess.Popen(
        [sys.executable, str(script), *arguments],
        env={**os.environ, "POLOS_API_URL": url, "PYTHONPATH": str(HERE.parent)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


LOOPS = """
import asyncio, sys
from polos import Agent, PolosClient, tool

@tool
async def add(ctx):
    return 3

client = PolosClient()
agent = Agent(id="noise", provider="scripted", model="m", tools=[add])

async def main():
    await agent.run(client, "x")
    told = await agent.stream(client, "y", script=[{"text": "a b c d e f"}], delta_ms=1)
    async for _ in told.text_chunks:
        break
    if sys.argv[1] == "close":
        await client.close()

for _ in range(int(sys.argv[2])):
    asyncio.run(main())
"""


@pytest.mark.parametrize("how", ["close", "leave"])
def test_loops_that_end_say_nothing(server, tmp_path, how):
    """Every operation of gRPC is awaited to its end, also where nobody closes the client. A longer
    look: LOOPS=2000."""
    loops = os.environ.get("LOOPS", "60")
    told = program(LOOPS, server.url, tmp_path, how, loops)
    assert told.communicate(timeout=60 + int(loops)) == ("", "")
    assert told.returncode == 0


DROPPED = """
import asyncio, gc
from polos import Agent, PolosClient, _connection

agent = Agent(id="plain", provider="scripted", model="m")

async def ask():
    return (await agent.run(PolosClient(), "x")).result

async def main():
    for _ in range(20):
        await ask()
        gc.collect()
    while _connection._guards:
        await asyncio.sleep(0.01)

asyncio.run(main())
"""


def test_clients_that_nobody_closes_end_and_say_nothing(server, tmp_path):
    told = program(DROPPED, server.url, tmp_path)
    assert told.communicate(timeout=60) == ("", "") and told.returncode == 0


FORK = """
import asyncio, os, sys
from polos import PolosClient

client = PolosClient()

async def look(each):
    return len(await each.list_executions())

if sys.argv[1] == "after":
    assert asyncio.run(look(client)) == 0
child = os.fork()
if child == 0:
    for each in (client, PolosClient()):
        try:
            print(asyncio.run(look(each)), flush=True)
        except Exception as error:
            print(error, flush=True)
    os._exit(0)
os.waitpid(child, 0)
print("parent", asyncio.run(look(client)))
"""


@pytest.mark.parametrize(
    ("when", "said"), [("before", ["0", "0"]), ("after", ["forked after gRPC was in use"] * 2)]
)
def test_a_forked_process_works_or_says_why_not(server, tmp_path, when, said):
    told, _ = program(FORK, server.url, tmp_path, when).communicate(timeout=60)
    *child, parent = told.splitlines()
    assert parent == "parent 0" and len(child) == 2
    assert all(part in line for part, line in zip(said, child))


FORKING = """
import asyncio, os, time
from polos import PolosClient, workflow

@workflow
def forks(ctx):
    children = []
    for _ in range(20):
        children.append(os.fork())
        if children[-1] == 0:
            time.sleep(0.05)
            os._exit(0)
    return [os.waitpid(child, 0)[1] for child in children]

print(sum(asyncio.run(forks.run(PolosClient()))))
"""


def test_the_children_of_a_process_that_uses_a_client_live(server, tmp_path):
    told = program(FORKING, server.url, tmp_path)
    said, _ = told.communicate(timeout=60)  # Python 3.12 warns of forks beside threads
    assert (said, told.returncode) == ("0\n", 0)


HOST = """
import asyncio, sys
from polos import Polos, workflow

def fail():
    print("tried", flush=True)
    sys.stdin.readline()
    raise OSError("down")

@workflow
async def flaky(ctx):
    await ctx.step.run("call", fail, max_retries=3, base_delay=0.01, max_delay=0.01)

async def main():
    async with Polos() as polos:
        await polos.serve()

asyncio.run(main())
"""


def test_the_tries_of_a_step_are_counted_over_a_crash(server, tmp_path):
    """Each try waits for a word of the test; that the second begins says that the first is kept."""
    hosts = [program(HOST, server.url, tmp_path)]

    async def start() -> str:
        async with PolosClient(server.url) as client:
            return (await client.invoke("flaky", max_retries=0)).id

    async def end(run_id: str) -> list[str]:
        async with PolosClient(server.url) as client:
            with pytest.raises(RunFailedError, match="OSError: down"):
                await client._result_of(run_id, SECONDS)
            return (await client.history(run_id)).text().splitlines()

    try:
        run_id = asyncio.run(start())
        until(hosts[0].stdout, "tried")
        go_on(hosts[0])
        until(hosts[0].stdout, "tried")
        hosts[0].kill()
        hosts.append(program(HOST, server.url, tmp_path))
        for _ in range(3):
            until(hosts[1].stdout, "tried")
            go_on(hosts[1])
        history = asyncio.run(end(run_id))
    finally:
        for host in hosts:
            host.kill()
    tries = [re.search(r"try (\d) of step 'call' failed", line) for line in history]
    assert [int(found[1]) for found in tries if found] == [1, 2, 3]


def go_on(host: subprocess.Popen[str]) -> None:
    host.stdin.write("\n")
    host.stdin.flush()


async def test_code_that_gives_up_on_a_step_gives_up_again(client, monkeypatch):
    monkeypatch.setenv("POLOS_WAIT_THRESHOLD_SECONDS", "0")

    async def slow() -> None:
        await asyncio.Event().wait()

    lives: list[int] = []

    @workflow
    async def limited(ctx):
        lives.append(1)
        try:
            await asyncio.wait_for(ctx.step.run("slow", slow), 0.2)
        except asyncio.TimeoutError:
            other = await ctx.step.run("other", lambda: "other way")
        await ctx.step.wait_for("pause", seconds=0.05)
        return other

    assert await limited.run(client, timeout=SECONDS) == "other way" and len(lives) == 2


SERVING = """
import asyncio, logging, sys, time
from polos import Polos, workflow

logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stdout)

def work():
    print("at work", flush=True)
    time.sleep(60)

@workflow
async def slow(ctx):
    await ctx.step.run("work", work)

async def main():
    async with Polos() as polos:
        await polos.serve()

asyncio.run(main())
print("left", flush=True)
"""


def until(stream: IO[str], text: str) -> str:
    """The next line with a text in it."""
    return next(line for line in stream if text in line)


def test_a_host_waits_for_a_server_that_is_not_there_yet(tmp_path):
    for server in running_server(tmp_path):
        server.stop()
        host = program(SERVING, server.url, tmp_path)
        try:
            until(host.stdout, "waiting for it")
            server.start()
            until(host.stdout, "serving what is defined here")
            host.send_signal(signal.SIGTERM)
            assert until(host.stdout, "left") and host.wait(SECONDS) == 0
        finally:
            host.kill()


PAYING = """
import asyncio, logging, sys
from polos import Polos, workflow

logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stdout)

@workflow
async def pay(ctx, order: int):
    return await ctx.step.run("charge", lambda: print("charged", order, flush=True))

async def main():
    async with Polos() as polos:
        await polos.serve()

asyncio.run(main())
"""


async def test_a_host_that_stood_still_begins_nothing_of_before(impatient_server, tmp_path):
    """A task waited in its socket when it froze; another host did it after the lease."""
    url = impatient_server.url
    hosts = []

    def host() -> subprocess.Popen[str]:
        folder = tmp_path / f"host-{len(hosts)}"
        folder.mkdir()
        hosts.append(program(PAYING, url, folder))
        until(hosts[-1].stdout, "serving what is defined here")
        return hosts[-1]

    try:
        async with PolosClient(url) as client:
            frozen = host()
            frozen.send_signal(signal.SIGSTOP)
            first = await client.invoke("pay", 1)
            other = host()
            await first.result(client, SECONDS)
            other.kill()
            frozen.send_signal(signal.SIGCONT)
            second = await client.invoke("pay", 2)
            assert until(frozen.stdout, "charged") == "charged 2\n"
            await second.result(client, SECONDS)
    finally:
        for each in hosts:
            each.kill()


def test_a_second_signal_leaves_at_once(server, tmp_path):
    host = program(SERVING, server.url, tmp_path)

    async def start() -> None:
        async with PolosClient(server.url) as client:
            await client.invoke("slow", max_retries=0)

    try:
        until(host.stdout, "serving what is defined here")
        asyncio.run(start())
        until(host.stdout, "at work")
        host.send_signal(signal.SIGINT)
        assert "1 tasks are at work" in until(host.stdout, "leaving")
        host.send_signal(signal.SIGINT)
        assert until(host.stdout, "left") and host.wait(SECONDS) == 0
    finally:
        host.kill()


async def test_signals_are_handled_as_before_once_nobody_serves(server):
    def mine(*arguments: object) -> None:
        raise AssertionError

    before = signal.signal(signal.SIGTERM, mine)
    try:
        polos = Polos(api_url=server.url)
        serving = asyncio.create_task(polos.serve())
        while polos._host is None:
            await asyncio.sleep(0.01)
        serving.cancel()
        await asyncio.gather(serving, return_exceptions=True)
        assert signal.getsignal(signal.SIGTERM) is mine
    finally:
        signal.signal(signal.SIGTERM, before)


async def test_code_without_a_loop_waits(client):
    agent = Agent(id="plain", provider="scripted", model="m")

    @workflow
    async def double(ctx, payload):
        return 2 * payload

    @workflow
    async def inside(ctx):
        return agent.run_sync(client, "x")

    assert double.run_sync(client, 4) == 8  # a loop runs here
    assert await asyncio.to_thread(lambda: double.run_sync(client, 5)) == 10
    assert agent.run_sync(client, "x", script=[{"text": "hello"}]).result == "hello"
    assert sync.run(client.list_executions)
    with pytest.raises(RunFailedError, match="cannot be called inside a tool or workflow"):
        await inside.run(client, max_retries=0)


SYNC = """
from polos import Agent, PolosClient
agent = Agent(id="plain", provider="scripted", model="m")
print(agent.run_sync(PolosClient(), "x", script=[{"text": "hello"}]).result)
"""


def test_a_script_without_a_loop_ends_quietly(server, tmp_path):
    told = program(SYNC, server.url, tmp_path)
    assert told.communicate(timeout=60) == ("hello\n", "") and told.returncode == 0


def test_a_server_for_tests_is_there_as_long_as_they_are(server, monkeypatch):
    agent = Agent(id="tested", provider="scripted", model="m")
    with testing.Server(str(server.program)) as own:
        client = PolosClient(own.url)
        run = agent.run_sync(client, "x", script=[{"text": "hello"}])
        own.kill()
        own.start()
        found = sync.run(lambda: client.get_execution(run.agent_run_id))
        assert run.result == found["result"] == "hello"
        sync.run(client.close)
    assert not Path(own._folder.name).exists()
    monkeypatch.delenv("POLOSD", raising=False)
    monkeypatch.setenv("PATH", "")
    with pytest.raises(UnavailableError, match="set POLOSD"), testing.Server():
        pass


async def test_a_test_lets_time_pass(server):
    @workflow
    async def patient(ctx):
        begun = await ctx.step.now("begun")
        await ctx.step.wait_for("two weeks", days=14)
        await ctx.step.wait_for("another", weeks=1)
        try:
            await ctx.step.suspend("ask", timeout=3600)
        except StepExecutionError as error:
            return error.error_type, begun

    async def until_it_waits(key: str) -> None:
        while key not in [wait.name for wait in (await run.get(client)).waiting]:
            await asyncio.sleep(0.01)

    with testing.Server(str(server.program)) as own:
        async with PolosClient(own.url) as client:
            run = await patient.invoke(client)
            await until_it_waits("two weeks")
            own.skip(days=13, hours=23)
            await until_it_waits("two weeks")
            own.skip(hours=1)
            await until_it_waits("another")
            own.skip(days=7)
            await until_it_waits("ask")
            own.skip(minutes=60)
            assert (await run.result(client, SECONDS))[0] == "TIMEOUT"
            with pytest.raises(ValueError, match="0 or more"):
                own.skip(-1)
