"""Fixtures of all tests. What is real says so, what is simulated is named `fake` or `replay`."""

from __future__ import annotations

import asyncio
import os
import sys
import threading
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent)]

import fake_server  # noqa: E402
import polosd  # noqa: E402
import replay_model  # noqa: E402

from polos import PolosClient, _registry  # noqa: E402


@pytest.fixture(autouse=True)
def own_environment(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """No test sees another's definitions, nor the caller's POLOS_ variables or keys."""
    for name in list(os.environ):
        kept = name in ("POLOS_REQUIRE_SERVER", "POLOS_FIXTURES")
        if name.startswith(("POLOS_", "OPENAI_")) and not kept:
            monkeypatch.delenv(name)
    _registry.clear()
    yield
    _registry.clear()


@pytest.fixture
async def fake() -> AsyncIterator[fake_server.FakeServer]:
    """A simulated server, for the protocol alone."""
    server = fake_server.FakeServer()
    await server.start()
    yield server
    await server.stop()


@pytest.fixture
async def fake_client(fake: fake_server.FakeServer) -> AsyncIterator[PolosClient]:
    client = PolosClient(api_url=fake.url)
    yield client
    await client.close()


@pytest.fixture
def model() -> Iterator[replay_model.ReplayModel]:
    """A simulated OpenAI-compatible endpoint."""
    server = replay_model.ReplayModel()
    server.start()
    yield server
    server.stop()


def running_server(tmp_path: Path, **environment: str) -> Iterator[polosd.Polosd]:
    """The real polosd with a data directory of its own."""
    running = polosd.Polosd(polosd.binary(), tmp_path / "data", environment)
    running.start()
    yield running
    running.stop()


@pytest.fixture
def server(tmp_path: Path) -> Iterator[polosd.Polosd]:
    yield from running_server(tmp_path)


@pytest.fixture
def impatient_server(tmp_path: Path) -> Iterator[polosd.Polosd]:
    """Its leases are short."""
    yield from running_server(tmp_path, POLOSD_LEASE_MS="1500")


@pytest.fixture(params=["10", "0"], ids=["in place", "let go of"])
def threshold(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Whether code that waits is kept, or let go of at once."""
    seconds: str = request.param
    monkeypatch.setenv("POLOS_WAIT_THRESHOLD_SECONDS", seconds)
    return seconds


@pytest.fixture
async def client(server: polosd.Polosd) -> AsyncIterator[PolosClient]:
    client = PolosClient(api_url=server.url)
    yield client
    await client.close()


@pytest.fixture
def fake_in_thread() -> Iterator[fake_server.FakeServer]:
    """A simulated server on a loop of its own, for tests that have none or several."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    server = fake_server.FakeServer()
    asyncio.run_coroutine_threadsafe(server.start(), loop).result(10)
    yield server
    asyncio.run_coroutine_threadsafe(server.stop(), loop).result(10)
    loop.call_soon_threadsafe(loop.stop)
    thread.join(10)
