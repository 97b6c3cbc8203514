"""Plays a scenario in one place, and writes down what came of it.

What the runner may do, in order: start, cancel, answer, publish; held, done, open (effects); until
(a run has a fact), ended, below (a child, by a name); kill (host or server), end and begin (the
host; "begin" with an environment of its own, or in the "other" language), waits (a run says what
for), leave (it ends its tasks first, so many seconds),
second (a host beside the first), freeze and thaw (the first), cancel_raw (without one).
"""

from __future__ import annotations

import json
import signal
from pathlib import Path
from typing import Any

from histories import Names, children_in, compact, lines_of, plain
from places import Place

HERE = Path(__file__).resolve().parent
SCENARIOS = HERE / "scenarios"


class Scenario:
    """A file of scenarios/; README.md says what stands in it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.name = f"{path.parent.name}/{path.stem}"
        self.told: dict[str, Any] = json.loads(path.read_text())
        self.programs: dict[str, Any] = self.told["programs"]
        self.effects: dict[str, Any] = self.told.get("effects", {})
        self.play: list[dict[str, Any]] = self.told.get("play", [{"start": "main"}])
        self.host: dict[str, str] = self.told.get("host", {})
        self.mask: tuple[str, ...] = tuple(self.told.get("mask", ()))
        ends = ("kill", "end", "freeze", "leave")
        kills = any(name in action for action in self.play for name in ends)
        kills = kills or self.told.get("short_lease", False)
        self.lease_ms = 2500 if kills else 20_000
        self.only: str = self.told.get("only", "")
        self.known: dict[str, Any] = self.told.get("known", {})

    @property
    def golden(self) -> Path:
        return self.path.with_suffix(".golden")


def scenarios() -> list[Scenario]:
    return [Scenario(path) for path in sorted(SCENARIOS.glob("*/*.json"))]


class Play:
    """A scenario on its way; `runs` are those the runner started, by name."""

    def __init__(self, scenario: Scenario, place: Place) -> None:
        self.scenario = scenario
        self.place = place
        self.runs: dict[str, str] = {}
        self.children: dict[str, str] = {}
        self.told: list[tuple[str, Any]] = []  # answers to be compared

    def text(self) -> str:
        """What is compared: answers, results, effects, histories."""
        self.place.effects.begin(self.scenario.effects)
        for action in self.scenario.play:
            do = next(name for name in action if name in ACTIONS)
            ACTIONS[do](self, action, action[do])
        results = {name: self._ask(do="result", run=run) for name, run in self.runs.items()}
        return self._written(results)

    def _written(self, results: dict[str, Any]) -> str:
        names, mask = Names(), self.scenario.mask
        histories: list[str] = []
        waiting = list(self.runs.values())
        seen = set(waiting)
        while waiting:
            run = waiting.pop(0)
            self.place.wait_ended(run)
            facts = self.place.history(run)
            histories += ["", names.of("run", run), *lines_of(facts, names, mask)]
            below = [each for each in children_in(facts) if each not in seen]
            seen.update(below)
            waiting += below
        told = [f"{what}: {compact(plain(answer, names))}" for what, answer in self.told]
        told += [f"result of {n}: {compact(plain(found, names))}" for n, found in results.items()]
        told += [f"effects: {compact(dict(sorted(self.place.effects.counts.items())))}"]
        return "\n".join([*told, *histories]) + "\n"

    def _with_runs(self, value: Any) -> Any:
        """With the id of a run that was started for "@NAME"."""
        if isinstance(value, str) and value.startswith("@"):
            return self.runs[value[1:]]
        return value

    def _ask(self, **order: Any) -> Any:
        return self.place.driver.ask(**order)()

    def _note(self, action: dict[str, Any], what: str, answer: Any) -> None:
        if action.get("noted", True):
            self.told.append((what, answer))

    # ---- actions ----

    def start(self, action: dict[str, Any], program: str) -> None:
        given = self._with_runs(action.get("input"))
        order: dict[str, Any] = {"options": action.get("options", {})}
        if "workflow" in action:
            order |= {"workflow": action["workflow"], "payload": given}
        else:
            about = {"program": program, "programs": self.scenario.programs}
            order["payload"] = {**about, "input": given}
        told = self._ask(do="start", **order)
        if "run" not in told:
            self.told.append((f"start of {program}", told))
            return
        name = action.get("as", program)
        if told["run"] in self.runs.values():
            self.told.append((f"start of {name}", {"the same as": program}))
        else:
            self.runs[name] = told["run"]

    def _run(self, name: str) -> str:
        return self.runs.get(name) or self.children[name]

    def cancel(self, action: dict[str, Any], run: str) -> None:
        told = self._ask(do="cancel", run=self._run(run), cause=action.get("cause", ""))
        self._note(action, f"cancel of {run}", told)

    def answer(self, action: dict[str, Any], run: str) -> None:
        told = self._ask(
            do="answer", run=self._run(run), key=action["key"], data=action.get("data")
        )
        self._note(action, f"answer to {action['key']}", told)

    def publish(self, action: dict[str, Any], topic: str) -> None:
        about = {"topic": topic, "data": action.get("data"), "type": action.get("type")}
        self._note(action, f"publish to {topic}", self._ask(do="publish", **about))

    def held(self, action: dict[str, Any], effect: str) -> None:
        self.place.effects.wait_held(effect, action.get("tries", 1))

    def done(self, action: dict[str, Any], effect: str) -> None:
        self.place.effects.wait_done(effect, action.get("tries", 1))

    def open(self, action: dict[str, Any], effect: str) -> None:
        self.place.effects.open(effect)

    def until(self, action: dict[str, Any], run: str) -> None:
        self.place.wait_for(self._run(run), action["has"], action.get("count", 1))

    def below(self, action: dict[str, Any], run: str) -> None:
        """A child that the run has started, once it has."""
        self.place.wait_for(self.runs[run], "WAIT_SET")
        child = children_in(self.place.history(self.runs[run]))[action.get("at", 0)]
        self.children[action["as"]] = child

    def ended(self, action: dict[str, Any], run: str) -> None:
        self.place.wait_ended(self._run(run))

    def end(self, action: dict[str, Any], what: str) -> None:
        """The host is gone; orders are carried out by nobody until it is there again."""
        self.place.driver.end()

    def begin(self, action: dict[str, Any], what: str) -> None:
        language = action.get("language", "same")
        self.place.start_host(action.get("environment"), language).wait_ready()

    def waits(self, action: dict[str, Any], run: str) -> None:
        """The run says that it waits for something, in these words among others."""
        told = self.place.wait_waiting(self._run(run), action["for"])
        self._note(action, f"{run} waits", told)

    def leave(self, action: dict[str, Any], seconds: float) -> None:
        """The host says that it goes, and lets its tasks end for so long."""
        self.place.driver.leave(seconds)

    def second(self, action: dict[str, Any], what: str) -> None:
        """Another host; orders are carried out by it from now on."""
        self.place.start_host(action.get("environment")).wait_ready()

    def freeze(self, action: dict[str, Any], which: int) -> None:
        self.place.drivers[which].process.send_signal(signal.SIGSTOP)

    def thaw(self, action: dict[str, Any], which: int) -> None:
        self.place.drivers[which].process.send_signal(signal.SIGCONT)

    def offer(self, action: dict[str, Any], workflow: str) -> None:
        """The host defines something more, and dials again to say so."""
        self._ask(do="offer", workflow=workflow)

    def cancel_raw(self, action: dict[str, Any], run: str) -> None:
        """By the runner itself: there may be no host."""
        self.place.cancel(self._run(run), action.get("cause", ""))

    def kill(self, action: dict[str, Any], what: str) -> None:
        if what == "host":
            self.place.driver.end()
            self.place.start_host().wait_ready()
        else:
            self.place.server.kill()
            self.place.server.start()


ACTIONS: dict[str, Any] = {
    "start": Play.start,
    "cancel": Play.cancel,
    "answer": Play.answer,
    "publish": Play.publish,
    "held": Play.held,
    "done": Play.done,
    "open": Play.open,
    "until": Play.until,
    "ended": Play.ended,
    "below": Play.below,
    "cancel_raw": Play.cancel_raw,
    "end": Play.end,
    "begin": Play.begin,
    "kill": Play.kill,
    "leave": Play.leave,
    "waits": Play.waits,
    "second": Play.second,
    "freeze": Play.freeze,
    "thaw": Play.thaw,
    "offer": Play.offer,
}
