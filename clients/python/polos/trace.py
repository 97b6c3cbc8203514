"""Spans: named stretches of a workflow's code."""

from __future__ import annotations

import logging
import time
from typing import Any

log = logging.getLogger("polos.trace")


class Span:
    """What `ctx.step.trace(name)` gives; logged at its end (logger "polos.trace", DEBUG).

    Attributes:
        name, attributes, events: what it was told.
        error: what was raised inside; empty: nothing.
        started_at, ended_at: Unix seconds; 0: not yet.
    """

    def __init__(self, name: str, attributes: dict[str, Any] | None = None) -> None:
        self.name = name
        self.attributes = dict(attributes or {})
        self.events: list[tuple[str, dict[str, Any]]] = []
        self.error = ""
        self.started_at = time.time()
        self.ended_at = 0.0

    def set_attribute(self, key: str, value: Any) -> None:
        self.attributes[key] = value

    def set_attributes(self, attributes: dict[str, Any]) -> None:
        self.attributes.update(attributes)

    def add_event(self, name: str, attributes: dict[str, Any] | None = None) -> None:
        self.events.append((name, dict(attributes or {})))

    def record_exception(self, error: BaseException) -> None:
        self.error = f"{type(error).__name__}: {error}"

    def set_status(self, *status: Any) -> None:
        """Accepted for code written for other tracers; the status follows from `error`."""

    def end(self) -> None:
        self.ended_at = time.time()
        taken = (self.ended_at - self.started_at) * 1000
        log.debug("%s: %.1f ms %s %s", self.name, taken, self.attributes, self.error)
