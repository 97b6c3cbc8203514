"""Scenarios whose connection breaks off, or tells things twice, at one message or another: what
comes of them is as if nothing had happened.

A tenth of the faults, drawn by CONFORMANCE_SEED (default: 1); CONFORMANCE_FAULTS=all: all of them.
"""

from __future__ import annotations

import os
import random
import re
from collections.abc import Iterator

import pytest
from places import Place, compile_driver
from plays import Play, Scenario, scenarios
from proxy import Fault
from test_scenarios import difference, without

NAMES = (
    "success/ten-steps",
    "success/steps-nested-groups",
    "success/tool-with-steps",
    "success/batch-invoke-order",
    "errors/child-failed",
    "errors/step-retries-then-ok",
    "cancel/cleanup-with-steps",
)
WHAT = ("cut", "cut after", "twice", "call")
SHARE = 1.0 if os.environ.get("CONFORMANCE_FAULTS") == "all" else 0.1
SEED = int(os.environ.get("CONFORMANCE_SEED", "1"))
LEASES = ["LEASE_GRANTED", "LEASE_LOST", "TASK_REQUEUED"]  # of a server that was away


@pytest.fixture(scope="module", params=["python", "typescript"])
def place(request: pytest.FixtureRequest) -> Iterator[Place]:
    compile_driver()
    found = Place(request.param, is_proxied=True)
    assert found.proxy is not None
    found.proxy.call = lambda: (found.server.kill(), found.server.start())
    yield found
    found.close()


@pytest.mark.parametrize("name", NAMES)
def test_faults(name: str, place: Place) -> None:
    scenario = next(each for each in scenarios() if each.name == name)
    counts = _played(scenario, place, None)
    for fault in _drawn(scenario, counts):
        _played(scenario, place, fault)


def _drawn(scenario: Scenario, counts: dict[str, int]) -> list[Fault]:
    gated = bool(scenario.told.get("play"))  # the runner's own watch ends with the server
    faults = [
        Fault(direction, number, what)
        for direction, count in counts.items()
        for number in range(1, count + 1)
        for what in WHAT
        if not (gated and what == "call")
    ]
    drawn = random.Random(f"{SEED} {scenario.name}").sample(faults, len(faults))
    return drawn[: max(1, round(len(faults) * SHARE))]


def _played(scenario: Scenario, place: Place, fault: Fault | None) -> dict[str, int]:
    """Plays it, and compares; how many messages there were."""
    assert place.proxy is not None
    place.proxy.begin(fault)
    try:
        text = Play(scenario, place).text()
    except Exception as error:
        pytest.fail(f"{fault}: it could not be played: {error!r}", pytrace=False)
    lacks = [*scenario.known.get("lacks", []), *LEASES]
    wanted, found = (_plain(each, lacks) for each in (scenario.golden.read_text(), text))
    if found != wanted:
        pytest.fail(f"{fault}:\n{difference(wanted, found)}", pytrace=False)
    return place.proxy.counts


def _plain(text: str, lacks: list[str]) -> str:
    return re.sub(r" attempt=\d+", "", without(text, lacks))
