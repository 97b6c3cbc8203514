"""Which fact an execution's code is given next: a pure machine, the same live and replayed.

The facts of a run (settled steps, outcomes of waits, that its code saw a cancellation or gave a key
up) are numbered in the journal's order. The code asks for them by key, in whatever order it likes,
and is given them one at a time in the journal's order, each when it has nothing left to run. So two
tasks of the code that race see the same winner in every execution.

    key       asked   fact    what comes next
    HELD      yes     no      begun at an idle at which nothing else is due
    ASKED     yes     no      its fact, when it comes about
    KNOWN     no      yes     the code asks for it, or has diverged
    DUE       yes     yes     given when all before it were
    GIVEN     yes     yes     nothing
    GOING     yes     given up in an earlier execution: neither begun nor given; from where that was
                      the code is given nothing more before it has given the key up again
    WITHDRAWN given up        its fact is passed over

What an attempt that failed gave up last, before nothing else settled, does not count in the next.

A try of a step that failed is a fact, too; the code is not given it, whoever runs the step is.

No I/O, no clock, no event loop: whoever runs the code says when it is idle.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from enum import Enum
from typing import Any

# The word of a fact for what the code asked for.
CANCEL_SHOWN = "cancellation shown"
GIVEN_UP = "given up"
TRY = "try"
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
    GOING = "going"
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
        seen: of what was given up: how many facts the code had been given.
        tries: and how often the run had been tried before.
        ends: the wait is over because the code gave it up.
        try_number: of a try that failed: which, from 1.
        pause: and the seconds that were left before the next, when this was told.
    """

    key: str
    kind: str
    is_step: bool
    outcome: Any
    cancels: bool = False
    seen: int = 0
    tries: int = 0
    ends: bool = False
    try_number: int = 0
    pause: float = 0.0


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
class SayCancel:
    """Make it a fact that the code sees the cancellation here: it is shown once that is one."""


@dataclass(frozen=True)
class ShowCancel:
    """Let the code see that its run is being cancelled; `key`: the ask that is refused for it."""

    key: str | None = None


@dataclass(frozen=True)
class Diverged:
    """The code does not ask for what the facts have; the sentences say what and where."""

    message: str


Output = Begin | Give | SayCancel | ShowCancel | Diverged


class Replay:
    """One execution's way through the facts of its run.

    Laws: what is given is a prefix of the facts, but for what was withdrawn; at most one Give
    between two idles; Begin at most once per key, and never for one with a fact.
    """

    def __init__(
        self, facts: Iterable[Fact] = (), *, cancelling: bool = False, tries: int = 0
    ) -> None:
        self._facts = list(facts)
        self._void = _void(self._facts, tries)  # numbers of facts that count no more
        self._numbers: dict[str, int] = {}
        self._going: dict[str, int] = {}  # keys that were given up, and after how many facts
        self._tries: dict[str, Fact] = {}  # the last that failed, by the step's key
        for number, fact in enumerate(self._facts):
            if fact.kind == TRY:
                self._tries[fact.key] = fact
            elif number in self._void:
                continue
            elif fact.kind == GIVEN_UP:
                self._going[fact.key] = fact.seen
            elif fact.kind != CANCEL_SHOWN:
                self._numbers[fact.key] = number
        self._barriers: dict[int, list[str]] = {}
        for key, seen in self._going.items():
            self._barriers.setdefault(seen, []).append(key)
        self._states = dict.fromkeys(self._numbers, KeyState.KNOWN)
        self._kinds: dict[str, str] = {}  # of the asks, by key
        self._given = 0
        self._unasked = len(self._states)
        self._cancel_said = any(fact.kind == CANCEL_SHOWN for fact in self._facts)
        self._cancel_known = self._cancel_said
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

    def last_try(self, key: str) -> Fact | None:
        """The last try of a step that failed, and after which another was to come."""
        return self._tries.get(key)

    def is_held(self, key: str) -> bool:
        """Whether it was asked for, and not begun."""
        return self._states.get(key) is KeyState.HELD

    def ask(self, key: str, kind: str) -> Begin | Diverged | None:
        """The code asks for a key it has not used; None: wait for what idle() says."""
        self._kinds[key] = kind
        number = self._numbers.get(key)
        tried = self._tries.get(key)
        if tried is not None and kind != "step":
            return self._diverged(self._facts.index(tried), repr(key), kind)
        if key in self._going:
            self._unasked -= number is not None
            self._states[key] = KeyState.GOING
            return None
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
        if fact.kind in (CANCEL_SHOWN, GIVEN_UP, TRY):
            self._cancel_known |= fact.kind == CANCEL_SHOWN
            self._facts.append(fact)
            if fact.kind == TRY:
                self._tries[fact.key] = fact
            return
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

    def withdraw(self, key: str) -> bool:
        """The code no longer waits for this key, or nothing will come of it. True: it is news that
        the code gives it up."""
        state = self._states.get(key)
        if state not in (KeyState.HELD, KeyState.ASKED, KeyState.DUE, KeyState.GOING):
            return False
        self._states[key] = KeyState.WITHDRAWN
        if key in self._held:
            self._held.remove(key)
        return state is not KeyState.GOING

    @property
    def given(self) -> int:
        """How many facts the code has been given, or passed over."""
        return self._given

    def cancel(self) -> None:
        """The run is being cancelled."""
        self._cancelling = True

    def insist(self) -> SayCancel | None:
        """The code was not at rest for so long that it is shown the cancellation all the same."""
        return None if self._shown else self._say()

    # ---- what comes of it ----

    @property
    def wants_idle(self) -> bool:
        """Whether idle() may have something to say."""
        hidden = self._cancelling and not self._shown
        return hidden or bool(self._held) or self._given < len(self._facts)

    @property
    def has_more(self) -> bool:
        """Whether there are facts that the code has not been given."""
        self._pass_withdrawn()
        return self._given < len(self._facts)

    @property
    def is_blocked(self) -> bool:
        """Whether the next fact is one the code has not asked for."""
        self._pass_withdrawn()
        return self._barrier() is not None or (
            self._given < len(self._facts) and self._next_state() is KeyState.KNOWN
        )

    @property
    def unasked(self) -> list[str]:
        """Keys of facts that the code did not ask for."""
        return [key for key in self._numbers if self._states.get(key) is KeyState.KNOWN]

    def idle(self, *, busy: bool, stuck: Callable[[], bool]) -> list[Output]:
        """The code has nothing left to run.

        Args:
            busy: steps of it are at work.
            stuck: whether it waits for facts alone, so that nothing but a fact makes it go on.
        """
        self._pass_withdrawn()
        while (key := self._barrier()) is not None:
            if self._states.get(key) is KeyState.GOING or busy or not stuck():
                return self._begin_held()
            self._barriers[self._given].remove(key)  # the code does without it now
            self._pass_withdrawn()
        if self._given < len(self._facts):
            fact = self._facts[self._given]
            if fact.kind == CANCEL_SHOWN:
                self._given += 1
                return [self._show(None)]
            if self._next_state() is KeyState.DUE:
                return self._give(fact, busy)
            if not busy and stuck():
                if self._cancelling and not self._shown:  # what is next is its clean-up's
                    return self._say_or_show(None)
                return [self.diverged_at_next()]
            return self._begin_held()
        if self._cancelling and not self._shown:
            return [] if busy else self._say_or_show(None)
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
            if self._cancel_known:
                self._pass(fact, KeyState.WITHDRAWN)
            return self._say_or_show(fact.key)
        number = self._given
        self._pass(fact, KeyState.GIVEN)
        self._asked.append(fact.key)
        return [Give(number, fact)]

    def _say(self) -> SayCancel | None:
        if self._cancel_said:
            return None
        self._cancel_said = True
        return SayCancel()

    def _say_or_show(self, key: str | None) -> list[Output]:
        """It is shown where it is a fact already, so that it is shown here in every execution."""
        if self._cancel_known:
            return [self._show(key)]
        said = self._say()
        return [] if said is None else [said]

    def _show(self, key: str | None) -> ShowCancel:
        self._shown = True
        return ShowCancel(key)

    def _pass(self, fact: Fact, state: KeyState) -> None:
        self._states[fact.key] = state
        self._given += 1

    def _pass_withdrawn(self) -> None:
        while (
            self._given < len(self._facts)
            and self._barrier() is None
            and self._next_state() is KeyState.WITHDRAWN
        ):
            self._given += 1

    def _barrier(self) -> str | None:
        """A key that the code had given up before it was given the next fact."""
        for key in self._barriers.get(self._given, ()):
            if self._states.get(key) is not KeyState.WITHDRAWN:
                return key
        return None

    def _next_state(self) -> KeyState:
        """WITHDRAWN: it is passed over. Of a cancellation that is to be shown: DUE."""
        fact = self._facts[self._given]
        if self._given in self._void or fact.kind in (GIVEN_UP, TRY):
            return KeyState.WITHDRAWN
        if fact.kind == CANCEL_SHOWN:
            return KeyState.WITHDRAWN if self._shown else KeyState.DUE
        state = self._states[fact.key]
        return KeyState.WITHDRAWN if state is KeyState.GOING else state

    def _waiting(self) -> Iterator[str]:
        return (key for key, state in self._states.items() if state is KeyState.DUE)

    def _diverged(self, number: int, asked: str, kind: str) -> Diverged:
        """What the history has and what the code asks for, side by side."""
        unasked = self.unasked
        fact = self._facts[number] if number < len(self._facts) else None
        if unasked and (fact is None or not kind):
            fact = self._facts[self._numbers[unasked[0]]]
        assert fact is not None
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


def _void(facts: list[Fact], tries: int) -> set[int]:
    """Numbers of facts that count no more: what an attempt that failed gave up at its end, and what
    is known of a key from before it was given up and then asked for again."""
    void: set[int] = set()
    for number in range(len(facts) - 1, -1, -1):
        if not (facts[number].ends or (facts[number].kind == GIVEN_UP)):
            break
        if facts[number].kind == GIVEN_UP and facts[number].tries >= tries:
            break
        void.add(number)
    last: dict[str, int] = {}
    for number, fact in enumerate(facts):
        if fact.kind not in (CANCEL_SHOWN, GIVEN_UP, TRY):
            last[fact.key] = number
    for number, fact in enumerate(facts):
        if fact.kind != CANCEL_SHOWN and last.get(fact.key, number) > number and (
            fact.kind == GIVEN_UP or fact.ends or _was_given_up(facts, number, last[fact.key])
        ):
            void.add(number)
    return void


def _was_given_up(facts: list[Fact], number: int, last: int) -> bool:
    key = facts[number].key
    return any(facts[n].kind == GIVEN_UP and facts[n].key == key for n in range(number, last))


def _fits(fact: Fact, kind: str) -> bool:
    return fact.is_step or not fact.kind or fact.kind == KINDS[kind]


def _kind_of(fact: Fact) -> str:
    return "step" if fact.kind == TRY else fact.kind or ("step" if fact.is_step else "order")
