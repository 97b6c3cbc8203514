"""Which fact an execution's code is given next: a pure machine, the same live and replayed.

The facts of a run (settled steps, outcomes of waits) are numbered in the journal's order. The code
asks for them by key, in whatever order it likes, and is given them one at a time in the journal's
order, each when it has nothing left to run. So two tasks of the code that race see the same winner
in every execution.

    key       asked   fact    what comes next
    HELD      yes     no      begun at an idle at which nothing else is due
    ASKED     yes     no      its fact, when it comes about
    KNOWN     no      yes     the code asks for it, or has diverged
    DUE       yes     yes     given when all before it were
    GIVEN     yes     yes     nothing
    WITHDRAWN given up        its fact is passed over

No I/O, no clock, no event loop: whoever runs the code says when it is idle.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from enum import Enum
from typing import Any

# The word of a fact for what the code asked for.
KINDS = {
    "step": "step",
    "sleep": "sleep",
    "suspend": "suspend",
    "event": "event",
    "invoke_and_wait": "children",
    "invoke": "at once",
    "publish": "at once",
    "resume": "at once",
}


class KeyState(Enum):
    """Where a key stands; one that is neither asked for nor a fact has no state."""

    HELD = "held"
    ASKED = "asked"
    KNOWN = "known"
    DUE = "due"
    GIVEN = "given"
    WITHDRAWN = "withdrawn"


@dataclass(frozen=True)
class Fact:
    """How a step or a wait ended.

    Attributes:
        key: of the step.
        kind: the journal's word for it; may be empty.
        is_step: a function of the code did it, not the server.
        outcome: for whoever asks; the machine does not look at it.
        cancels: the server refused it because the run is being cancelled.
    """

    key: str
    kind: str
    is_step: bool
    outcome: Any
    cancels: bool = False


@dataclass(frozen=True)
class Begin:
    """Nothing is known under this key: do it."""

    key: str


@dataclass(frozen=True)
class Give:
    """Give the code this fact, the `number`th of the journal from 0."""

    number: int
    fact: Fact


@dataclass(frozen=True)
class ShowCancel:
    """Let the code see that its run is being cancelled; `key`: the ask that is refused for it."""

    key: str | None = None


@dataclass(frozen=True)
class Diverged:
    """The code does not ask for what the facts have; the sentences say what and where."""

    message: str


Output = Begin | Give | ShowCancel | Diverged


class Replay:
    """One execution's way through the facts of its run.

    Laws: what is given is a prefix of the facts, but for what was withdrawn; at most one Give
    between two idles; Begin at most once per key, and never for one with a fact.
    """

    def __init__(self, facts: Iterable[Fact] = (), *, cancelling: bool = False) -> None:
        self._facts = list(facts)
        self._numbers = {fact.key: number for number, fact in enumerate(self._facts)}
        self._states = {fact.key: KeyState.KNOWN for fact in self._facts}
        self._kinds: dict[str, str] = {}  # of the asks, by key
        self._given = 0
        self._unasked = len(self._facts)
        self._held: list[str] = []
        self._asked: list[str] = []  # that were facts, for a sentence about what went wrong
        self._cancelling = cancelling
        self._shown = False

    # ---- what happens ----

    def was_asked(self, key: str) -> bool:
        """Whether the code has used this key."""
        return key in self._kinds

    def find(self, key: str) -> Fact | None:
        """A fact, whether it was given or not."""
        number = self._numbers.get(key)
        return None if number is None else self._facts[number]

    def is_held(self, key: str) -> bool:
        """Whether it was asked for, and not begun."""
        return self._states.get(key) is KeyState.HELD

    def ask(self, key: str, kind: str) -> Begin | Diverged | None:
        """The code asks for a key it has not used; None: wait for what idle() says."""
        self._kinds[key] = kind
        number = self._numbers.get(key)
        if number is None:
            return self._ask_for_new(key)
        fact = self._facts[number]
        if fact.is_step != (kind == "step") or not _fits(fact, kind):
            return self._diverged(number, repr(key), kind)
        self._states[key] = KeyState.DUE
        self._unasked -= 1
        return None

    def settle(self, fact: Fact) -> None:
        """A fact has been added to the journal."""
        state = self._states.get(fact.key)
        if fact.key in self._numbers:
            return
        self._numbers[fact.key] = len(self._facts)
        self._facts.append(fact)
        if state is KeyState.ASKED:
            self._states[fact.key] = KeyState.DUE
        elif state is None:
            self._states[fact.key] = KeyState.KNOWN
            self._unasked += 1

    def withdraw(self, key: str) -> None:
        """The code no longer waits for this key, or nothing will come of it."""
        if self._states.get(key) in (KeyState.HELD, KeyState.ASKED, KeyState.DUE):
            self._states[key] = KeyState.WITHDRAWN
            if key in self._held:
                self._held.remove(key)

    def cancel(self) -> None:
        """The run is being cancelled."""
        self._cancelling = True

    def show_cancel(self) -> None:
        """The code was shown it, whatever it was at."""
        self._shown = True

    # ---- what comes of it ----

    @property
    def wants_idle(self) -> bool:
        """Whether idle() may have something to say."""
        hidden = self._cancelling and not self._shown
        return hidden or bool(self._held) or self._given < len(self._facts)

    @property
    def is_blocked(self) -> bool:
        """Whether the next fact is one the code has not asked for."""
        self._pass_withdrawn()
        return self._given < len(self._facts) and self._next_state() is KeyState.KNOWN

    @property
    def unasked(self) -> list[str]:
        """Keys of facts that the code did not ask for."""
        return [f.key for f in self._facts if self._states[f.key] is KeyState.KNOWN]

    def idle(self, *, busy: bool, stuck: Callable[[], bool]) -> list[Output]:
        """The code has nothing left to run.

        Args:
            busy: steps of it are at work.
            stuck: whether it waits for facts alone, so that nothing but a fact makes it go on.
        """
        self._pass_withdrawn()
        if self._given < len(self._facts):
            fact = self._facts[self._given]
            if self._next_state() is KeyState.DUE:
                return self._give(fact, busy)
            if not busy and stuck():
                hidden = self._cancelling and not self._shown  # what is next is its clean-up's
                return [self._show(None) if hidden else self.diverged_at_next()]
            return self._begin_held()
        if self._cancelling and not self._shown:
            return [] if busy else [self._show(None)]
        return self._begin_held()

    def end(self) -> Diverged | None:
        """The code gave a value."""
        return self._diverged(self._given, "the end of the code", "") if self.unasked else None

    def diverged_at_next(self) -> Diverged:
        """Says what the code asks for in place of the next fact."""
        asked = self._held[0] if self._held else next(self._waiting(), "")
        kind = self._kinds.get(asked, "")
        return self._diverged(self._given, repr(asked) if asked else "nothing", kind)

    # ---- inside ----

    def _ask_for_new(self, key: str) -> Begin | None:
        if self._unasked or (self._cancelling and not self._shown):
            self._states[key] = KeyState.HELD
            self._held.append(key)
            return None
        self._states[key] = KeyState.ASKED
        return Begin(key)

    def _begin_held(self) -> list[Output]:
        if self._cancelling and not self._shown:
            return []
        begun: list[Output] = [Begin(key) for key in self._held]
        for key in self._held:
            self._states[key] = KeyState.ASKED
        self._held.clear()
        return begun

    def _give(self, fact: Fact, busy: bool) -> list[Output]:
        if fact.cancels and self._cancelling and not self._shown:
            if busy:
                return []
            self._pass(fact, KeyState.WITHDRAWN)
            return [self._show(fact.key)]
        number = self._given
        self._pass(fact, KeyState.GIVEN)
        self._asked.append(fact.key)
        return [Give(number, fact)]

    def _show(self, key: str | None) -> ShowCancel:
        self._shown = True
        return ShowCancel(key)

    def _pass(self, fact: Fact, state: KeyState) -> None:
        self._states[fact.key] = state
        self._given += 1

    def _pass_withdrawn(self) -> None:
        while self._given < len(self._facts) and self._next_state() is KeyState.WITHDRAWN:
            self._given += 1

    def _next_state(self) -> KeyState:
        return self._states[self._facts[self._given].key]

    def _waiting(self) -> Iterator[str]:
        return (key for key, state in self._states.items() if state is KeyState.DUE)

    def _diverged(self, number: int, asked: str, kind: str) -> Diverged:
        """What the history has and what the code asks for, side by side."""
        unasked = self.unasked
        fact = self._facts[number] if number < len(self._facts) else None
        if fact is None or (not kind and unasked):
            fact = self._facts[self._numbers[unasked[0]]]
        expected = f"{fact.key!r} ({_kind_of(fact)})"
        actual = f"{asked} ({kind})" if kind else asked
        before = [repr(key) for key in self._asked[-3:]]
        width = max(map(len, ["history (expected)", expected, *before])) + 2
        lines = [f"  {'history (expected)':<{width}}code (actual)"]
        lines += [f"  {key:<{width}}{key}" for key in before]
        lines.append(f"  {expected:<{width}}{actual}   <- differs")
        return Diverged(
            "the code does not ask for the steps its history has; run it with the code that made "
            "the history, or start a new run:\n" + "\n".join(lines)
        )


def _fits(fact: Fact, kind: str) -> bool:
    return fact.is_step or not fact.kind or fact.kind == KINDS[kind]


def _kind_of(fact: Fact) -> str:
    return fact.kind or ("step" if fact.is_step else "order")
