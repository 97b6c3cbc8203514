"""Which suspensions this process has seen: what a step's key means to whoever answers here."""

from __future__ import annotations

SEEN_MAX = 10_000


class SeenSuspensions:
    """Ids of open suspensions by run, or the top of its tree, and step key. At most SEEN_MAX; of
    those that are more the oldest goes."""

    def __init__(self) -> None:
        self._ids: dict[tuple[str, str], set[str]] = {}
        self._places: dict[str, set[tuple[str, str]]] = {}

    def note(self, suspension_id: str, step_key: str, *names: str) -> None:
        """It is open; `names`: its run, and what else it may be named by."""
        for place in ((name, step_key) for name in names):
            self._ids.setdefault(place, set()).add(suspension_id)
            self._places.setdefault(suspension_id, set()).add(place)
        while len(self._places) > SEEN_MAX:
            self.forget(next(iter(self._places)))

    def forget(self, suspension_id: str) -> None:
        """It is over."""
        for place in self._places.pop(suspension_id, ()):
            self._ids[place].discard(suspension_id)
            if not self._ids[place]:
                del self._ids[place]

    def find(self, name: str, step_key: str) -> str:
        """The only one that was seen open there; empty: none, or several."""
        ids = self._ids.get((name, step_key), set())
        return next(iter(ids)) if len(ids) == 1 else ""
