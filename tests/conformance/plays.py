"""Plays a scenario in one place, and writes down what came of it."""

from __future__ import annotations

import json
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
        self.only: str = self.told.get("only", "")
        self.known: str = self.told.get("known", "")

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
        self.told: list[tuple[str, Any]] = []  # answers to be compared

    def text(self) -> str:
        """What is compared: answers, results, effects, histories."""
        self.place.effects.begin(self.scenario.effects)
        for action in self.scenario.play:
            do = next(name for name in action if name in ACTIONS)
            ACTIONS[do](self, action, action[do])
        for run in self.runs.values():
            self.place.wait_ended(run)
        results = {name: self._ask(do="result", run=run) for name, run in self.runs.items()}
        return self._written(results)

    def _written(self, results: dict[str, Any]) -> str:
        names, mask = Names(), self.scenario.mask
        histories: list[str] = []
        waiting = list(self.runs.values())
        seen = set(waiting)
        while waiting:
            run = waiting.pop(0)
            facts = self.place.history(run)
            histories += ["", names.of("run", run), *lines_of(facts, names, mask)]
            below = [each for each in children_in(facts) if each not in seen]
            seen.update(below)
            waiting += below
        told = [f"{what}: {compact(plain(answer, names))}" for what, answer in self.told]
        told += [f"result of {n}: {compact(plain(found, names))}" for n, found in results.items()]
        told += [f"effects: {compact(dict(sorted(self.place.effects.counts.items())))}"]
        return "\n".join([*told, *histories]) + "\n"

    def _ask(self, **order: Any) -> Any:
        return self.place.driver.ask(**order)()

    def _note(self, action: dict[str, Any], what: str, answer: Any) -> None:
        if action.get("noted", True):
            self.told.append((what, answer))

    # ---- actions ----

    def start(self, action: dict[str, Any], program: str) -> None:
        order: dict[str, Any] = {"options": action.get("options", {})}
        if "workflow" in action:
            order |= {"workflow": action["workflow"], "payload": action["input"]}
        else:
            about = {"program": program, "programs": self.scenario.programs}
            order["payload"] = {**about, "input": action.get("input")}
        told = self._ask(do="start", **order)
        if "run" not in told:
            self.told.append((f"start of {program}", told))
            return
        name = action.get("as", program)
        if told["run"] in self.runs.values():
            self.told.append((f"start of {name}", {"the same as": program}))
        else:
            self.runs[name] = told["run"]

    def cancel(self, action: dict[str, Any], run: str) -> None:
        told = self._ask(do="cancel", run=self.runs[run], cause=action.get("cause", ""))
        self._note(action, f"cancel of {run}", told)

    def answer(self, action: dict[str, Any], run: str) -> None:
        told = self._ask(
            do="answer", run=self.runs[run], key=action["key"], data=action.get("data")
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
        self.place.wait_for(self.runs[run], action["has"], action.get("count", 1))

    def ended(self, action: dict[str, Any], run: str) -> None:
        self.place.wait_ended(self.runs[run])

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
    "kill": Play.kill,
}
