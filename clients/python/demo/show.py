"""What the demo prints."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable
from typing import Any

from polos import HistoryEvent
from polos.types import StreamEvent

TTY = sys.stdout.isatty() and "NO_COLOR" not in os.environ
DETAIL_CHARACTERS = 72


def styled(text: str, code: str) -> str:
    return f"\033[{code}m{text}\033[0m" if TTY else text


def heading(text: str) -> None:
    print(f"\n{styled(text, '1')}")


def note(text: str) -> None:
    print(f"  {text}", flush=True)


class Narration:
    """A stream of events as text: the answer word by word, tool calls on lines of their own."""

    def __init__(self) -> None:
        self._in_text = False

    def tell(self, event: StreamEvent) -> None:
        data = event.data
        if event.event_type == "text_delta":
            if data["restarted"]:
                self.line("(the model was called again and says:)")
            self._text(data["content"])
        elif event.event_type == "tool_call":
            function = data["tool_call"]["function"]
            self.line(styled(f"-> {function['name']}({function['arguments']})", "36"))
        elif event.event_type == "tool_finish":
            outcome = data["error"] if data["status"] == "failed" else data["result"]
            self.line(styled(f"<- {shortened(outcome)}", "36"))
        elif event.event_type == "error":
            self.line(f"The run failed: {data['error']} ({data['reason']})")

    def line(self, text: str) -> None:
        """A line of its own, also in the middle of a text."""
        if self._in_text:
            print()
        self._in_text = False
        note(text)

    def end(self) -> None:
        if self._in_text:
            print()
        self._in_text = False

    def _text(self, text: str) -> None:
        if not self._in_text:
            print("  ", end="")
        self._in_text = True
        print(text.replace("\n", "\n  "), end="", flush=True)


def shortened(value: Any, most: int = DETAIL_CHARACTERS) -> str:
    text = " ".join(str(value).split())
    return text if len(text) <= most else text[: most - 3] + "..."


def history(events: list[HistoryEvent]) -> None:
    """The journal as a table."""
    began = events[0].time_ms if events else 0
    note(styled(f"{'seq':>4} {'ms':>7}  {'event':<16} what", "2"))
    for event in events:
        time = event.time_ms - began
        note(f"{event.seq:>4} {time:>7}  {event.type:<16} {shortened(detail(event))}")


def detail(event: HistoryEvent) -> str:
    data = event.data
    attempt = f" (attempt {event.attempt})" if event.attempt > 1 else ""
    if event.type == "RUN_STARTED":
        return f"{data.get('name')}: {data.get('input')}"
    if event.type == "MODEL_REPLIED":
        return _reply(data)
    if event.type == "TASK_REQUESTED":
        return f"{data.get('name')} {data.get('input')}"
    if event.type == "TASK_SETTLED":
        return str(data["error"].get("message") if "error" in data else data.get("value"))
    if event.type == "LEASE_GRANTED":
        return f"to this process{attempt}"
    if event.type in ("MODEL_FAILED", "RUN_FAILED"):
        return f"{data.get('reason')}: {data.get('message')}"
    if event.type in ("LEASE_LOST", "RUN_CANCELLED"):
        return str(data.get("cause", ""))
    return str(data.get("stop_reason", "")) + attempt


def _reply(data: dict[str, Any]) -> str:
    reply = data.get("reply") or {}
    calls = ", ".join(call.get("name", "") for call in reply.get("tool_calls") or [])
    usage = data.get("usage") or {}
    tokens = f"{usage.get('input_tokens', 0)}+{usage.get('output_tokens', 0)} tokens"
    return f"{'calls ' + calls if calls else reply.get('text', '')} ({tokens})"


def counts(rows: Iterable[tuple[str, int, int]]) -> bool:
    """Begun beside finished; whether they are equal everywhere and something was counted."""
    fine = True
    for what, begun, finished in rows:
        good = begun == finished and begun > 0
        fine = fine and good
        mark = "" if good else "   <- not as it should be"
        note(f"{what:<34} {begun:>3} / {finished}{mark}")
    return fine
