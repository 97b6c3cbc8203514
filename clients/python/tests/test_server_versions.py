"""Two versions of a workflow's code, each in processes of its own, on the real polosd."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import polosd
import pytest

from polos import ExecutionHandle, PolosClient

SECONDS = 30
HOST = """
import asyncio, os, sys
from polos import Polos, workflow

@workflow(id="trip")
async def trip(ctx):
    await ctx.step.run("book", lambda: "booked")
    {more}
    await ctx.step.suspend("ask", {{}})
    return await ctx.step.run("where", lambda: os.environ["POLOS_DEPLOYMENT_ID"])

asyncio.run(Polos().serve())
"""
CODE = {
    "v1": HOST.format(more="pass"),
    "v2": HOST.format(more="await ctx.step.run('insure', lambda: 'insured')"),
}


class Hosts:
    def __init__(self, server: polosd.Polosd, folder: Path):
        self.server = server
        self.folder = folder
        self.running: dict[str, subprocess.Popen[bytes]] = {}

    def start(self, version: str) -> None:
        path = self.folder / f"{version}.py"
        path.write_text(CODE[version])
        self.running[version] = subprocess.Popen(
            [sys.executable, str(path)],
            env={
                **os.environ,
                "POLOS_API_URL": self.server.url,
                "POLOS_DEPLOYMENT_ID": version,
                "POLOS_WAIT_THRESHOLD_SECONDS": "0",
            },
        )

    def stop(self, version: str) -> None:
        host = self.running.pop(version)
        host.terminate()
        assert host.wait(SECONDS) == 0


@pytest.fixture
def hosts(impatient_server: polosd.Polosd, tmp_path: Path) -> Iterator[Hosts]:
    running = Hosts(impatient_server, tmp_path)
    yield running
    for host in running.running.values():
        host.kill()
        host.wait()


@pytest.fixture
async def caller(impatient_server: polosd.Polosd) -> Any:
    client = PolosClient(api_url=impatient_server.url)
    yield client
    await client.close()


async def waits_for(client: PolosClient, handle: ExecutionHandle, kind: str) -> dict[str, Any]:
    """What the run waits for, once it is of this kind and no host has its code."""

    async def look() -> dict[str, Any]:
        while True:
            run = await handle.get(client)
            waiting = run["waiting"]
            assert not run["error"], run["error"]
            if [each["kind"] for each in waiting] == [kind]:
                return dict(waiting[0])
            await asyncio.sleep(0.02)

    return await asyncio.wait_for(look(), SECONDS)


async def begin(client: PolosClient) -> ExecutionHandle:
    handle = await client.invoke("trip")
    await waits_for(client, handle, "suspension")
    return handle


async def resume(client: PolosClient, handle: ExecutionHandle) -> None:
    await client.resume("trip", handle.id, "ask", 1)


async def test_each_run_ends_on_the_code_it_began_with(hosts, caller):
    hosts.start("v1")
    first = await begin(caller)
    hosts.start("v2")
    second = await begin(caller)
    while (await second.get(caller))["deployment_id"] != "v2":  # The least busy one may be v1.
        second = await begin(caller)
    await resume(caller, second)
    await resume(caller, first)
    assert await first.result(caller, SECONDS) == "v1"
    assert await second.result(caller, SECONDS) == "v2"
    assert (await first.get(caller))["deployment_id"] == "v1"


async def test_other_code_stops_a_run_until_its_own_is_back(hosts, caller):
    hosts.start("v1")
    handle = await begin(caller)
    hosts.stop("v1")
    hosts.start("v2")
    await resume(caller, handle)
    waiting = await waits_for(caller, handle, "code")
    assert waiting["name"] == "trip"
    assert "'ask' (suspend)" in waiting["message"] and "'insure' (step)" in waiting["message"]
    run = await handle.get(caller)
    assert (run["status"], run["deployment_id"], run["retry_count"]) == ("waiting", "v1", 0)
    hosts.start("v1")
    assert await handle.result(caller, SECONDS) == "v1"
