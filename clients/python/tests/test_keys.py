"""Goal: a client shows the key of POLOS_API_KEY, calls and hosts with it, and says what is wrong
with it.

Method: the real polosd, with keys that `polosd keys` made before it was started.
"""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import polosd
import pytest

from polos import PermissionDeniedError, PolosClient, WorkflowContext, workflow

ROLES = {"root": "admin", "both": "caller,host", "reader": "reader", "gone": "admin"}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, dict[str, str]]]:
    data = tmp_path_factory.mktemp("keys") / "data"

    def command(*arguments: str) -> str:
        line = [str(polosd.binary()), "keys", *arguments, "--data", str(data)]
        return subprocess.run(line, check=True, capture_output=True, text=True).stdout.strip()

    keys = {
        name: command("create", "--name", name, "--roles", role) for name, role in ROLES.items()
    }
    command("revoke", keys["gone"][:14])
    server = polosd.Polosd(polosd.binary(), data)
    server.start()
    yield server.url, keys
    server.kill()


async def test_the_key_of_the_environment_calls_and_hosts(server, monkeypatch):
    @workflow(id="keyed")
    async def keyed(ctx: WorkflowContext, number: int) -> int:
        return await ctx.step.run("double", lambda: 2 * number)

    url, keys = server
    monkeypatch.setenv("POLOS_API_KEY", keys["both"])
    async with PolosClient(url) as client:
        assert await keyed.run(client, 21) == 42


async def test_a_key_may_be_given_to_the_client(server):
    url, keys = server
    async with PolosClient(url, api_key=keys["reader"]) as client:
        assert isinstance(await client.list_executions(), list)


@pytest.mark.parametrize(
    ("name", "reason", "words"),
    [
        ("", "KEY_MISSING", "POLOS_API_KEY"),
        ("gone", "KEY_REVOKED", "was revoked"),
        ("polos_00000000_" + 43 * "A", "KEY_UNKNOWN", "no such key"),
        ("secret", "KEY_MALFORMED", "polos_"),
    ],
)
async def test_what_is_wrong_with_a_key_is_said(server, monkeypatch, name, reason, words):
    url, keys = server
    monkeypatch.setenv("POLOS_API_KEY", keys.get(name, name))
    async with PolosClient(url) as client:
        with pytest.raises(PermissionDeniedError, match=words) as caught:
            await client.list_executions()
    assert caught.value.reason == reason


async def test_a_role_that_is_missing_is_named(server, monkeypatch):
    url, keys = server
    monkeypatch.setenv("POLOS_API_KEY", keys["reader"])
    async with PolosClient(url) as client:
        with pytest.raises(PermissionDeniedError, match="CALLER.*has READER") as caught:
            await client.invoke("keyed", 1)
    assert caught.value.reason == "PERMISSION_DENIED"
