"""What the demo prints."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable
from typing import Any

from polos import History
from polos.types import StreamEvent

TTY = sys.stdout.isatty() and "NO_COLOR" not in os.environ
DETAIL_CHARACTERS = 72


def styled(text: str, code: str) -> str:
    return f"\033[{code}m{text}\033[0m" if TTY else text


def heading(text: str) -> None:
    print(f"\n{styled(text, '1')}")


def note(text: str) -> None:
    print(f"  {text}", flush=True)


def next_steps() -> None:
    """What to do after the demo; each of it works in a checkout as it is."""
    heading("What to do next")
    for command, what in (
        ("./run serve", "a server that stays; the others go into a second terminal"),
        (".venv/bin/python clients/python/examples/01-agent-with-tools/main.py", "an agent"),
        (".venv/bin/python -m polos runs", "what ran there; polos history RUN tells all of it"),
        ("docs/start.md", "a project of your own"),
    ):
        note(f"{styled(command, '36')}\n      {what}")


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


def history(events: History) -> None:
    heading, *lines = events.text(DETAIL_CHARACTERS).splitlines()
    note(styled(heading, "2"))
    for line in lines:
        note(line)


def counts(rows: Iterable[tuple[str, int, int]]) -> bool:
    """Begun beside finished; whether they are equal everywhere and something was counted."""
    fine = True
    for what, begun, finished in rows:
        good = begun == finished and begun > 0
        fine = fine and good
        mark = "" if good else "   <- not as it should be"
        note(f"{what:<34} {begun:>3} / {finished}{mark}")
    return fine
