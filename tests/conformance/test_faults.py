"""Scenarios whose connection breaks off, stalls, or tells things twice, or whose server or host
dies or freezes, at one message or another: what comes of them is as if nothing had happened.

A tenth of the faults, drawn by CONFORMANCE_SEED (default: 1); CONFORMANCE_FAULTS=all: all of them.
"""

from __future__ import annotations

import os
import random
import re
import signal
import time
from collections.abc import Callable, Iterator

import pytest
from histories import Names, lines_of
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
WHAT = ("cut", "cut after", "hold", "delay", "twice", "goaway", "call")
LEASE_MS = 1500
SHARE = 1.0 if os.environ.get("CONFORMANCE_FAULTS") == "all" else 0.1
SEED = int(os.environ.get("CONFORMANCE_SEED", "1"))
AGAIN = re.compile(r"^(MODEL_REQUESTED .*\n)\1+", re.M)  # a call that was lost with its server
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


@pytest.mark.parametrize("language", ["python", "typescript"])
@pytest.mark.parametrize("fault", ["killed", "frozen"])
def test_host(language: str, fault: str) -> None:
    """A host that dies, or stands still for longer than its lease, at one message or another."""
    compile_driver()
    scenario = next(each for each in scenarios() if each.name == "life/ten-values")
    place = Place(language, None, {"POLOSD_LEASE_MS": str(LEASE_MS)}, is_proxied=True)
    assert place.proxy is not None
    place.proxy.call = _kill_host(place) if fault == "killed" else _freeze_host(place)
    wanted = _plain(_histories_of(scenario.golden.read_text()), LEASES)
    try:
        counts = _run_alone(scenario, place, None, wanted)
        faults = [Fault("down", number + 1, "call") for number in range(counts["down"])]
        faults += [Fault("up", number + 1, "call") for number in range(counts["up"])]
        drawn = random.Random(f"{SEED} {fault}").sample(faults, len(faults))
        for each in drawn[: max(2, round(len(faults) * SHARE))]:
            _run_alone(scenario, place, each, wanted)
    finally:
        place.close()


def _run_alone(
    scenario: Scenario, place: Place, fault: Fault | None, wanted: str
) -> dict[str, int]:
    """Its history alone: whoever would ask the host for more may have died."""
    assert place.proxy is not None
    place.effects.begin(scenario.effects)
    place.proxy.begin(fault)
    run = place.start({"program": "main", "programs": scenario.programs, "input": None})
    place.wait_ended(run)
    names = Names()
    text = "\n".join([names.of("run", run), *lines_of(place.history(run), names, scenario.mask)])
    found = _plain(text, LEASES)
    if found != wanted:
        pytest.fail(f"{fault}:\n{difference(wanted, found)}", pytrace=False)
    return place.proxy.counts


def _histories_of(golden: str) -> str:
    return golden[golden.index("run-1\n") :].rstrip("\n")


def _kill_host(place: Place) -> Callable[[], None]:
    def kill() -> None:
        place.driver.end()
        place.start_host()

    return kill


def _freeze_host(place: Place) -> Callable[[], None]:
    def freeze() -> None:
        place.driver.process.send_signal(signal.SIGSTOP)
        time.sleep(LEASE_MS / 1000 + 0.5)  # so long it takes to be given up
        place.driver.process.send_signal(signal.SIGCONT)

    return freeze


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
    found = re.sub(r" attempt=\d+", "", without(text, lacks))
    return AGAIN.sub(r"\1", found)
