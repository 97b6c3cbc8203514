"""A run's journal, as text for people and as JSON.

    history = await client.history(run_id)
    print(history.text())

Invariant: one line a fact, whatever the fact holds: payloads are shortened, control characters are
escaped, and values under names of secrets are not shown.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable
from datetime import datetime, timezone
from typing import Any

from .types import HistoryEvent

PAYLOAD_CHARACTERS = 120  # of one value in a line of text, unless told otherwise
HIDDEN = "(hidden)"

_SECRET = re.compile(  # "api_key", "X-Api-Key", "accessToken", but not "max_tokens"
    r"((api|secret|access|private)[_-]?keys?|authorization|passw(or)?d|passphrase|secrets?|token"
    r"|credentials?|cookie)$",
    re.IGNORECASE,
)


class History(list[HistoryEvent]):
    """The facts of a run, oldest first.

    What stands under a name such as "api_key", "authorization", "password", "secret", "token" or
    "credentials" is left out of text() and json(). It is still in the journal and in
    `event.data`: keep secrets out of payloads.
    """

    def text(self, payload_characters: int = PAYLOAD_CHARACTERS) -> str:
        """A table for people: number, time (UTC), seconds since the run's start, what happened.

        The number is what client.fork() takes. `payload_characters`: how many of each value are
        shown, 1 or more; what was cut ends with "...".
        """
        if payload_characters < 1:
            raise ValueError(f"payload_characters is {payload_characters}: it is 1 or more")
        words = Words(payload_characters)
        return "\n".join([words.header(), *map(words.line, self)])

    def stack(self) -> str:
        """The traceback of the last failure that has one; empty: none has."""
        for event in reversed(self):
            error = event.data.get("error") or event.data.get("run", {}).get("error")
            stack = error.get("stack") if isinstance(error, dict) else None
            if stack:
                lines = str(stack).replace("\t", "    ").split("\n")
                return "\n".join("".join(_shown(line)) for line in lines)
        return ""

    def json(self, indent: int | None = 2) -> str:
        """All of it: an array of objects with the attributes of HistoryEvent."""
        return json.dumps([without_secrets(e.model_dump()) for e in self], indent=indent)

    def __str__(self) -> str:
        return self.text()


class Words:
    """Says what facts mean, one after the other: later ones refer to earlier ones by effect."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._names: dict[int, str] = {}  # by effect
        self._since: dict[int, int] = {}  # by effect: when it was ordered, given or begun last
        self._calls = 0
        self._began = 0
        self._first_ms: int | None = None
        self._kinds: dict[str, Callable[[HistoryEvent], str]] = {
            "RUN_STARTED": self._run_started,
            "RUN_COMPLETED": self._run_completed,
            "RUN_FAILED": lambda e: f"the run failed{self._took_all(e)}: {self._why(e)}",
            "RUN_CANCELLED": lambda e: (
                f"the run was cancelled{self._took_all(e)}{self._cause(e.data)}"
            ),
            "CANCEL_REQUESTED": lambda e: (
                f"the run is being cancelled{self._cause(e.data)}; its code may clean up"
            ),
            "ADMISSION_ASKED": lambda e: "the run asks its queue for leave to work",
            "ADMISSION_GIVEN": lambda e: "the run was given leave to work",
            "MODEL_REQUESTED": self._model_requested,
            "MODEL_REPLIED": self._model_replied,
            "MODEL_FAILED": lambda e: (
                f"{self._name(e)} failed{self._took(e)}: {self._why(e)}{_again(e)}"
            ),
            "INPUT_ACCEPTED": self._input_accepted,
            "INPUT_TAKEN": lambda e: (
                f"turn {e.data.get('turn')} has input {one_line(e.data.get('input_id'))}"
            ),
            "INPUT_RETURNED": lambda e: (
                f"the model is not told input {one_line(e.data.get('input_id'))}: the run ends"
            ),
            "REPLY_REJECTED": self._reply_rejected,
            "REPLY_AMENDED": lambda e: "a guardrail changed the reply",
            "REPLY_JUDGED": self._reply_judged,
            "REPLY_PASSED": lambda e: "all guardrails let the reply pass",
            "INPUT_AMENDED": lambda e: self._value(
                e.data.get("input"), "a hook changed what the model is told of the input: "
            ),
            "CALL_AMENDED": lambda e: self._value(
                e.data.get("arguments"), "a hook changed what the tool is called with: "
            ),
            "RESULT_AMENDED": lambda e: self._value(
                e.data.get("result"), "a hook changed what came of it: "
            ),
            "TASK_REQUESTED": self._task_requested,
            "TASK_SETTLED": lambda e: f"{self._name(e)} {self._ended(e)}",
            "TASK_FAILED": lambda e: f"{self._name(e)} {self._ended(e)}{_again(e)}",
            "TASK_PARKED": lambda e: f"{self._name(e)} only waits: its host let go of it",
            "TASK_REQUEUED": lambda e: (
                f"{self._name(e)} is to be tried again"
                if e.attempt
                else f"{self._name(e)} may begin: its hooks have passed"
            ),
            "LEASE_GRANTED": self._lease_granted,
            "LEASE_LOST": lambda e: (
                f"{self._name(e)} was taken from its host{self._cause(e.data)}"
            ),
            "STEP_SETTLED": self._step_settled,
            "STEP_TRIED": self._step_tried,
            "WAIT_SET": self._wait_set,
            "WAIT_SETTLED": self._wait_settled,
            "CHILD_SETTLED": self._child_settled,
            "ANSWER_KEPT": self._answer_kept,
            "CANCEL_SHOWN": lambda e: f"{self._name(e)} was shown the cancellation",
            "WITHDRAWN": lambda e: f"{self._name(e)} gave up step {_quoted(e.data.get('key'))}",
        }

    @staticmethod
    def header() -> str:
        return f"{'seq':>5}  {'time (UTC)':<23}  {'after':>10}  what"

    def line(self, event: HistoryEvent) -> str:
        if self._first_ms is None:
            self._first_ms = event.time_ms
        after = _after(event.time_ms - self._first_ms)
        return f"{event.seq:>5}  {_time(event.time_ms)}  {after:>10}  {self.of(event)}"

    def of(self, event: HistoryEvent) -> str:
        known = self._kinds.get(event.type)
        return self._value(event.data, f"{event.type} ") if known is None else known(event)

    # ---- runs ----

    def _run_started(self, event: HistoryEvent) -> str:
        data = event.data
        self._began = event.time_ms
        parts = [f"{data.get('kind', 'run')} {_quoted(data.get('name'))} was started"]
        if data.get("parent_run_id"):
            parts.append(f"by run {one_line(data['parent_run_id'])}")
        options = data.get("options") or {}
        if options.get("queue"):
            key = options.get("concurrency_key")
            parts.append(f"in queue {_quoted(options['queue'])}")
            parts += [f"under key {_quoted(key)}"] if key else []
        return self._value(data.get("input"), " ".join(parts) + " with ")

    def _run_completed(self, event: HistoryEvent) -> str:
        reason = event.data.get("stop_reason")
        note = "" if reason in (None, "", "end") else f" ({one_line(reason)})"
        return f"the run completed{self._took_all(event)}{note}"

    # ---- models ----

    def _model_requested(self, event: HistoryEvent) -> str:
        self._since[event.effect_id] = event.time_ms
        if event.effect_id not in self._names:
            self._calls += 1
            self._names[event.effect_id] = f"model call {self._calls}"
        return f"{self._name(event)} was ordered{_attempt(event)}"

    def _model_replied(self, event: HistoryEvent) -> str:
        message, usage = event.data.get("message") or {}, event.data.get("usage") or {}
        parts = message.get("parts") or []
        said = [
            self._value("".join(texts), "")
            for kind in ("text", "refusal")
            if (texts := [part[kind] for part in parts if kind in part])
        ]
        said += [
            self._value(call.get("arguments"), f"calls {_quoted(call.get('name'))} with ")
            for call in (part["tool_call"] for part in parts if "tool_call" in part)
        ]
        tokens = f"{usage.get('input_tokens', 0)} + {usage.get('output_tokens', 0)} tokens"
        model = one_line(message.get("origin") or event.data.get("model") or "")
        return (
            f"{self._name(event)} was answered by {model}{self._took(event)} "
            f"({'tokens unknown' if usage.get('incomplete') else tokens}): "
            f"{'; '.join(said) or 'nothing'}"
        )

    # ---- tasks and steps ----

    def _reply_rejected(self, event: HistoryEvent) -> str:
        by = event.data.get("guardrail")
        what = "the answer does not fit its schema"
        if by:
            what = f"guardrail {_quoted(by)} turned the reply down"
        return self._value(event.data.get("feedback"), f"{what}; the model is told: ")

    def _reply_judged(self, event: HistoryEvent) -> str:
        verdict = "passes" if event.data.get("passed") else "does not pass"
        return self._value(event.data.get("reason"), f"a model judged the reply, which {verdict}: ")

    def _task_requested(self, event: HistoryEvent) -> str:
        data = event.data
        kind = {"tool": "tool", "callback": "hook"}.get(str(data.get("kind")), "code of")
        self._names[event.effect_id] = f"{kind} {_quoted(data.get('name'))}"
        self._since[event.effect_id] = event.time_ms
        if kind == "code of":  # its input is that of the run
            return f"{self._name(event)} was ordered"
        if kind == "hook":
            return f"{self._name(event)} was asked"
        return self._value(data.get("input"), f"{self._name(event)} was called with ")

    def _lease_granted(self, event: HistoryEvent) -> str:
        self._since[event.effect_id] = event.time_ms
        host, deployment = event.data.get("host_id"), event.data.get("deployment")
        version = f" (deployment {one_line(deployment)})" if deployment else ""
        return f"{self._name(event)} went to host {one_line(host)}{version}{_attempt(event)}"

    def _step_settled(self, event: HistoryEvent) -> str:
        return f"step {_quoted(event.data.get('key'))} {self._outcome(event.data)}"

    def _step_tried(self, event: HistoryEvent) -> str:
        number, step = event.data.get("try_number"), _quoted(event.data.get("key"))
        return f"try {number} of step {step} failed: {self._why(event)}{_again(event)}"

    # ---- waits ----

    def _wait_set(self, event: HistoryEvent) -> str:
        data, effect = event.data, event.effect_id
        kind, runs = data.get("kind"), data.get("runs")
        self._names[effect] = f"step {_quoted(data.get('key'))}"
        self._since[effect] = event.time_ms
        until = data.get("deadline_ms")
        due = f" until {_time(until)}" if until else ""
        if kind == "sleep":
            return f"{self._name(event)} waits{due}"
        if kind == "suspension":
            shown = (data.get("suspension") or {}).get("data")
            return self._value(shown, f"{self._name(event)} waits for an answer{due} and shows ")
        if kind == "event":
            awaited = data.get("event") or {}
            topic, wanted = awaited.get("topic"), awaited.get("event_type")
            note = f" of type {_quoted(wanted)}" if wanted else ""
            return f"{self._name(event)} waits for an event{note} of topic {_quoted(topic)}{due}"
        if kind == "children":
            return f"{self._name(event)} waits for {self._children(runs or [])}"
        if runs:
            return f"{self._name(event)} started {self._children(runs)}"
        return f"{self._name(event)} was ordered"

    def _children(self, runs: list[dict[str, Any]]) -> str:
        named = [f"{_quoted(run.get('name'))} {one_line(run.get('id'))}" for run in runs]
        told = ", ".join(named)
        cut = told if len(told) <= self._most else told[: max(1, self._most - 3)] + "..."
        return f"{'a run' if len(runs) == 1 else f'{len(runs)} runs'}: {cut}"

    def _wait_settled(self, event: HistoryEvent) -> str:
        data = event.data
        name = self._names.get(event.effect_id) or f"step {_quoted(data.get('key'))}"
        if "error" in data:
            return f"{name} {self._outcome(data, self._took(event))}"
        by = f" by {one_line(data['answered_by'])}" if data.get("answered_by") else ""
        kind, value = data.get("kind"), data.get("value")
        if kind == "suspension":
            answer = value.get("data") if isinstance(value, dict) else value
            return self._value(answer, f"{name} was answered{by}{self._took(event)}: ")
        if kind == "event":
            return self._value(value, f"{name} got its event{self._took(event)}: ")
        if kind == "at_once":
            return f"{name} was done"
        what = ": all its runs have ended" if kind == "children" else " has waited"
        return f"{name}{what}{self._took(event)}"

    def _child_settled(self, event: HistoryEvent) -> str:
        run = event.data.get("run") or {}
        named = one_line(run.get("id") or "that did not start")
        ended = {"value": run.get("result")} | ({"error": run["error"]} if "error" in run else {})
        return f"{self._name(event)}: run {named} {self._outcome(ended)}"

    def _input_accepted(self, event: HistoryEvent) -> str:
        parts = (event.data.get("message") or {}).get("parts") or []
        said = "".join(part.get("text", "") for part in parts)
        return self._value(said, f"input {one_line(event.data.get('input_id'))} was accepted: ")

    def _answer_kept(self, event: HistoryEvent) -> str:
        answer = event.data.get("answer") or {}
        by = f" by {one_line(answer['answered_by'])}" if answer.get("answered_by") else ""
        key = _quoted(event.data.get("step_key"))
        told = f"an answer to step {key} came early{by} and is kept: "
        return self._value(answer.get("data"), told)

    # ---- parts of sentences ----

    def _name(self, event: HistoryEvent) -> str:
        return self._names.get(event.effect_id) or f"effect {event.effect_id}"

    def _ended(self, event: HistoryEvent) -> str:
        return self._outcome(event.data, self._took(event))

    def _outcome(self, data: dict[str, Any], took: str = "") -> str:
        if "error" not in data:
            return self._value(data.get("value"), "gave ") + took
        error = data["error"]
        kind, message = error.get("reason", ""), error.get("message", "")
        if message.startswith(f"{kind.rpartition('.')[2]}: "):  # it says so itself
            message = message.partition(": ")[2]
        return f"failed{took}: {self._cut(one_line(kind))}: {self._cut(one_line(message))}"

    def _why(self, event: HistoryEvent) -> str:
        error = event.data.get("error") or {}
        message = self._cut(one_line(error.get("message", "")))
        return f"{one_line(error.get('reason', ''))}: {message}"

    def _cause(self, data: dict[str, Any]) -> str:
        return f": {self._cut(one_line(data['cause']))}" if data.get("cause") else ""

    def _took(self, event: HistoryEvent) -> str:
        since = self._since.get(event.effect_id)
        return "" if since is None else f" after {_seconds(event.time_ms - since)}"

    def _took_all(self, event: HistoryEvent) -> str:
        return f" after {_seconds(event.time_ms - self._began)}" if self._began else ""

    def _value(self, value: Any, before: str) -> str:
        text = json.dumps(without_secrets(value), ensure_ascii=False)
        return before + self._cut(one_line(text))

    def _cut(self, text: str) -> str:
        if len(text) <= self._most:
            return text
        return text[: max(1, self._most - 3)] + "..."


def without_secrets(value: Any) -> Any:
    """A JSON value, with HIDDEN in place of what stands under the name of a secret."""
    if isinstance(value, list):
        return [without_secrets(each) for each in value]
    if not isinstance(value, dict):
        return value
    return {
        key: HIDDEN if _is_secret(key, each) else without_secrets(each)
        for key, each in value.items()
    }


def _is_secret(key: str, value: Any) -> bool:
    return isinstance(value, (str, list, dict)) and _SECRET.search(key) is not None


def one_line(value: Any) -> str:
    """A text as part of a line: no line breaks, no escape sequences for a terminal."""
    text = " ".join(str(value).split())
    return text if text.isprintable() else "".join(_shown(text))


def _shown(text: str) -> Iterable[str]:
    return (c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in text)


def _quoted(name: Any) -> str:
    return f"'{one_line(name or '')}'"


def _time(time_ms: int) -> str:
    time = datetime.fromtimestamp(time_ms / 1000, timezone.utc)
    return time.strftime("%Y-%m-%d %H:%M:%S.") + f"{time.microsecond // 1000:03}"


def _after(elapsed_ms: int) -> str:
    return f"+{max(0, elapsed_ms) / 1000:.3f}s"


def _seconds(elapsed_ms: int) -> str:
    return f"{max(0, elapsed_ms) / 1000:.3f} s"


def _attempt(event: HistoryEvent) -> str:
    return f", attempt {event.attempt}" if event.attempt > 1 else ""


def _again(event: HistoryEvent) -> str:
    at = event.data.get("retry_at_ms")
    return f"; again in {_seconds(at - event.time_ms)}" if at else ""
