"""When code that only waits is let go of."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable

from .._replay.ready import outside
from ..errors import InvalidArgumentError

QUIET_SECONDS = 0.01  # the least: what has just begun to wait may have more to say
PRESSED_SECONDS = 0.1  # at most, where others may want the slot
OWN_TIMERS_SECONDS = 60.0  # how long code with a timer of its own is kept for it


def wait_threshold() -> float:
    """Seconds code may only wait before its host lets go of it."""
    text = os.environ.get("POLOS_WAIT_THRESHOLD_SECONDS", "")
    try:
        seconds = float(text or 10)
    except ValueError:
        seconds = -1.0
    if not 0 <= seconds < float("inf"):
        raise InvalidArgumentError(
            f"POLOS_WAIT_THRESHOLD_SECONDS is {text!r}: it is a number of seconds, 0 or more",
            field="POLOS_WAIT_THRESHOLD_SECONDS",
        )
    return seconds


class Parking:
    """A clock that begins anew with everything that happens.

    `only_waits()`: whether the code may be let go of; `rests()`: whether it has seen all that it
    waited for and has come about, as nobody tells it again; `park()` lets go; `next_timer()`: when
    a timer of the code's own is due, in the loop's time; None: it has none.
    """

    def __init__(
        self,
        threshold: float,
        only_waits: Callable[[], bool],
        rests: Callable[[], bool],
        park: Callable[[], None],
        next_timer: Callable[[], float | None],
    ) -> None:
        self._threshold = max(threshold, QUIET_SECONDS)
        self._only_waits = only_waits
        self._rests = rests
        self._park = park
        self._next_timer = next_timer
        self._handle: asyncio.TimerHandle | None = None
        self._quiet_since = 0.0
        self._hurries = False

    def touch(self) -> None:
        """Something happened."""
        self.stop()
        if self._only_waits():
            loop = asyncio.get_running_loop()
            self._quiet_since = loop.time()
            self._handle = loop.call_later(self._threshold, self._due, context=outside())

    def hurry(self) -> None:
        """The host is leaving: code that only waits is let go of at once."""
        self._threshold, self._hurries = QUIET_SECONDS, True
        self.touch()

    def lose_patience(self) -> None:
        """Code that only waits is let go of soon, if it has no timer of its own."""
        self._threshold = QUIET_SECONDS
        self.touch()

    def press(self) -> None:
        """Others may want the slot: as lose_patience(), but a short wait may end in place."""
        self._threshold = min(self._threshold, PRESSED_SECONDS)
        self.touch()

    def stop(self) -> None:
        if self._handle is not None:
            self._handle.cancel()
            self._handle = None

    def _due(self) -> None:
        self._handle = None
        if not self._only_waits():
            return
        loop = asyncio.get_running_loop()
        if not self._rests():
            self._handle = loop.call_later(QUIET_SECONDS, self._due, context=outside())
            return
        timer, last = self._next_timer(), self._quiet_since + OWN_TIMERS_SECONDS
        if timer is None or self._hurries or loop.time() >= last:
            self._park()
            return
        at = min(timer + QUIET_SECONDS, last)
        self._handle = loop.call_at(at, self._due, context=outside())
