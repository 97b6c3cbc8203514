"""Histories of runs, without what differs from one run of a scenario to the next.

    identities     "run-1", "run-2", ...: UUIDs by their order of appearance
    instants       "T"; that they do not go backwards is looked at before
    hosts          "host-1", ...; deployments and whoever answers by name stay
    errors         without stacks, modules, and the place in the file that Python tells
    languages      left out, and value types: they are one language's names of its classes
    misfits        "does not fit ...", "has no JSON form ...": what else is said comes from pydantic
                   and zod, or names the language's own kinds of values
    long texts     as their length and a hash
    texts          keys in double quotes, as one of the two languages writes them
"""

from __future__ import annotations

import hashlib
import json
import re
from typing import Any

from polos._facts import data_of, type_of

UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
MODULE = re.compile(r"\b(?:__main__|driver)\.(?=[A-Z])")
PLACE = re.compile(r" \(\w+\.py:\d+, in [\w.<>]+\)")
MISFIT = re.compile(r"(does not fit|do not fit|has no JSON form)(?!: (\S+: )?a text ).*", re.S)
QUOTED = re.compile(r"(?<!\w)'([^']*)'(?!\w)")
BESIDE = ("stack", "value_type", "input_type", "result_type", "language")
INSTANT_MS = 10**12
LONGEST = 10_000  # characters of a text


class Names:
    """Names for what is different each time, by order of appearance."""

    def __init__(self) -> None:
        self._names: dict[str, str] = {}
        self._counts: dict[str, int] = {}

    def of(self, kind: str, value: str) -> str:
        if value not in self._names:
            self._counts[kind] = self._counts.get(kind, 0) + 1
            self._names[value] = f"{kind}-{self._counts[kind]}"
        return self._names[value]

    def in_text(self, text: str) -> str:
        return UUID.sub(lambda found: self.of("run", found[0]), text)


def plain(value: Any, names: Names, mask: tuple[str, ...] = ()) -> Any:
    """A value of a history or an answer, as it is compared."""
    if isinstance(value, list):
        return [plain(each, names, mask) for each in value]
    if isinstance(value, str):
        return shortened(text(names.in_text(value)))
    if not isinstance(value, dict):
        return value
    if "programs" in value and "program" in value:  # the payload of a program
        value = {"program": value["program"], "input": value.get("input")}
    found = {}
    for key, each in value.items():
        if key in BESIDE:
            continue
        if key == "host_id":
            found[key] = names.of("host", each)
        elif key in ("idempotency_key", "definition_hash", "usage", "answer_schema"):
            found[key] = "..."
        elif key.endswith("_ms") and isinstance(each, int) and each > INSTANT_MS:
            found[key] = "T"
        elif key == "value" and value.get("key") in mask:
            found[key] = f"<{type(each).__name__}>"
        else:
            found[key] = plain(each, names, mask)
    return found


def text(given: str) -> str:
    given = MISFIT.sub(r"\1 ...", PLACE.sub("", MODULE.sub("", given)))
    return QUOTED.sub(r'"\1"', given)


def shortened(given: str) -> str:
    if len(given) <= LONGEST:
        return given
    return f"<{len(given)} characters, {hashlib.sha256(given.encode()).hexdigest()[:12]}>"


def compact(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)


def children_in(facts: list[Any]) -> list[str]:
    """The runs that a history says were started, in order."""
    found: list[str] = []
    for fact in facts:
        if fact.WhichOneof("event") == "wait_set":
            found += [run["id"] for run in data_of(fact).get("runs", []) if run.get("id")]
    return found


def lines_of(facts: list[Any], names: Names, mask: tuple[str, ...] = ()) -> list[str]:
    """A history, a line for each fact."""
    last, found = 0, []
    for fact in facts:
        now = fact.time.ToMilliseconds()
        assert now >= last, f"fact {fact.seq} is older than the one before"
        last = now
        about = [str(fact.seq), type_of(fact)]
        about += [f"effect={fact.effect_id}"] if fact.effect_id else []
        about += [f"attempt={fact.attempt}"] if fact.attempt else []
        data = plain(data_of(fact), names, mask)
        found.append(" ".join([*about, compact(data)]))
    return found
