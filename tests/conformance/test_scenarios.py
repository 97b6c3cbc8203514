"""Every scenario, in every language: what comes of it is the same, byte for byte."""

from __future__ import annotations

import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from places import Place, compile_driver
from plays import Play, Scenario, scenarios

LANGUAGES = ("python", "typescript")
LEASE = {"POLOSD_LEASE_MS": "3000"}


class Places:
    """Servers with their drivers, one for each language and each environment of drivers."""

    def __init__(self) -> None:
        self._places: dict[str, Place] = {}

    def of(self, language: str, environment: dict[str, str]) -> Place:
        key = f"{language} {sorted(environment.items())}"
        if key not in self._places:
            self._places[key] = Place(language, environment, LEASE)
        return self._places[key]

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

    def played(language: str) -> str:
        return Play(scenario, places.of(language, scenario.host)).text()

    with ThreadPoolExecutor(len(languages)) as pool:
        texts = dict(zip(languages, pool.map(played, languages)))
    if os.environ.get("CONFORMANCE_WRITE") == "1":
        scenario.golden.write_text(texts[languages[0]])
    golden = scenario.golden.read_text()
    for language, text in texts.items():
        if scenario.known and language == "typescript" and text != golden:
            pytest.xfail(scenario.known)
        assert text.splitlines() == golden.splitlines(), language
