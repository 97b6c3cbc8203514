"""Every scenario, in every language: what comes of it is the same, byte for byte."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from difflib import unified_diff

import pytest
from places import Place, compile_driver
from plays import Play, Scenario, scenarios

NUMBER = re.compile(r"^\d+ (?=[A-Z])|, \"number\": \d+")
UNPLAYED = "it could not be played"
LANGUAGES = ("python", "typescript")


class Places:
    """Servers with their drivers, one for each language, environment of drivers, and lease."""

    def __init__(self) -> None:
        self._places: dict[str, Place] = {}

    def of(self, language: str, scenario: Scenario) -> Place:
        key = self._key(language, scenario)
        if key not in self._places:
            lease = {"POLOSD_LEASE_MS": str(scenario.lease_ms)}
            self._places[key] = Place(language, scenario.host, lease)
        return self._places[key]

    def drop(self, language: str, scenario: Scenario) -> None:
        """It may be in any state."""
        found = self._places.pop(self._key(language, scenario), None)
        if found is not None:
            found.close()

    @staticmethod
    def _key(language: str, scenario: Scenario) -> str:
        return f"{language} {sorted(scenario.host.items())} {scenario.lease_ms}"

    def close(self) -> None:
        for place in self._places.values():
            place.close()


@pytest.fixture(scope="module")
def places() -> Iterator[Places]:
    compile_driver()
    found = Places()
    yield found
    found.close()


@pytest.mark.parametrize("scenario", scenarios(), ids=lambda scenario: scenario.name)
def test_scenario(scenario: Scenario, places: Places) -> None:
    languages = [each for each in LANGUAGES if scenario.only in ("", each)]
    if scenario.known and "lacks" not in scenario.known:
        languages.remove(scenario.known["of"])

    def played(language: str) -> str:
        try:
            return Play(scenario, places.of(language, scenario)).text()
        except Exception as error:
            places.drop(language, scenario)
            return f"{UNPLAYED}: {error!r}\n"

    with ThreadPoolExecutor(len(languages)) as pool:
        texts = dict(zip(languages, pool.map(played, languages)))
    if any("second" in action or "environment" in action for action in scenario.play):
        for language in languages:  # whose hosts are others now
            places.drop(language, scenario)
    for language, text in texts.items():
        assert not text.startswith(UNPLAYED), f"{language}: {text}"
    if os.environ.get("CONFORMANCE_WRITE") == "1":
        scenario.golden.write_text(texts[languages[0]])
    golden = scenario.golden.read_text()
    for language, text in texts.items():
        wanted = golden
        if language == scenario.known.get("of"):  # and that is a fact it lacks
            lacks = scenario.known["lacks"]
            assert text != golden, f"{language} does not lack {lacks} any more: see {scenario.path}"
            wanted, text = without(golden, lacks), without(text, lacks)
        if text != wanted:
            pytest.fail(f"{language} differs:\n{difference(wanted, text)}", pytrace=False)


def without(text: str, kinds: list[str]) -> str:
    """A text without facts of some kinds, and the others without their numbers."""
    lines = [NUMBER.sub("", line) for line in text.splitlines()]
    return "\n".join(line for line in lines if line.split(" ")[0] not in kinds)


def difference(golden: str, text: str) -> str:
    lines = unified_diff(golden.splitlines(), text.splitlines(), "golden", "here", lineterm="", n=1)
    return "\n".join(lines)
