"""Spans: named stretches of a workflow's code.

They are logged, and where OpenTelemetry's API is installed they are its spans as well: those of
one tree of runs make one trace, whatever processes they ran in, for its id is the root's. Without
the API there is nothing but the log.
"""

from __future__ import annotations

import contextlib
import importlib
import logging
import time
import uuid
from collections.abc import Iterator
from typing import Any

from ._codec.outcomes import text_of

log = logging.getLogger("polos.trace")

SPAN_ID_MASK = 2**64 - 1


def _api_if_there() -> Any:
    try:
        return importlib.import_module("opentelemetry.trace")
    except ImportError:
        return None


_api = _api_if_there()


class Span:
    """What `ctx.step.trace(name)` gives; logged at its end (logger "polos.trace", DEBUG).

    Attributes:
        name, attributes, events: what it was told.
        error: what was raised inside; empty: nothing.
        started_at, ended_at: Unix seconds; 0: not yet.
        traceparent, span_id: as W3C Trace Context writes them; None without OpenTelemetry.
    """

    def __init__(
        self, name: str, attributes: dict[str, Any] | None = None, other: Any = None
    ) -> None:
        self.name = name
        self.attributes = dict(attributes or {})
        self.events: list[tuple[str, dict[str, Any]]] = []
        self.error = ""
        self.started_at = time.time()
        self.ended_at = 0.0
        self._other = other  # OpenTelemetry's; None: there is none
        told = None if other is None else other.get_span_context()
        self.span_id = f"{told.span_id:016x}" if told else None
        self.traceparent = (
            f"00-{told.trace_id:032x}-{self.span_id}-{int(told.trace_flags):02x}" if told else None
        )

    def set_attribute(self, key: str, value: Any) -> None:
        self.set_attributes({key: value})

    def set_attributes(self, attributes: dict[str, Any]) -> None:
        self.attributes.update(attributes)
        if self._other is not None:
            self._other.set_attributes(_plain(attributes))

    def add_event(self, name: str, attributes: dict[str, Any] | None = None) -> None:
        self.events.append((name, dict(attributes or {})))
        if self._other is not None:
            self._other.add_event(name, _plain(attributes))

    def record_exception(self, error: BaseException) -> None:
        self.error = f"{type(error).__name__}: {text_of(error)}"
        if self._other is not None:
            with contextlib.suppress(Exception):  # of one that cannot be printed
                self._other.record_exception(error)
            self._other.set_status(_api.StatusCode.ERROR, self.error)

    def set_status(self, *status: Any) -> None:
        """For code written for other tracers; here the status follows from `error`."""
        if self._other is not None:
            with contextlib.suppress(Exception):  # whatever such code means by it
                self._other.set_status(*status)

    def end(self) -> None:
        self.ended_at = time.time()
        taken = (self.ended_at - self.started_at) * 1000
        log.debug("%s: %.1f ms %s %s", self.name, taken, self.attributes, self.error)


@contextlib.contextmanager
def span(
    name: str, attributes: dict[str, Any] | None = None, *, root_id: str = ""
) -> Iterator[Span]:
    """A stretch of code; those within it are its parts.

    `root_id`: it belongs to the trace of this run, and to no other span.
    """
    with _opened(name, attributes, root_id) as other:
        found = Span(name, attributes, other)
        try:
            yield found
        except Exception as error:
            found.record_exception(error)
            raise
        except BaseException as error:  # the code was stopped, which is no failure
            found.error = type(error).__name__
            raise
        finally:
            found.end()


def _opened(name: str, attributes: dict[str, Any] | None, root_id: str) -> Any:
    """OpenTelemetry's own, or what does nothing and gives None."""
    if _api is None:
        return contextlib.nullcontext()
    return _api.get_tracer("polos").start_as_current_span(
        name,
        context=_beginning(root_id),
        attributes=_plain(attributes),
        record_exception=False,
        set_status_on_exception=False,
    )


def _beginning(root_id: str) -> Any:
    """The trace whose id is a run's; None: what is open now."""
    try:
        number = uuid.UUID(root_id).int
    except ValueError:
        return None
    known = _api.SpanContext(
        number, number & SPAN_ID_MASK, is_remote=True,
        trace_flags=_api.TraceFlags(_api.TraceFlags.SAMPLED),
    )  # fmt: skip
    return _api.set_span_in_context(_api.NonRecordingSpan(known))


def _plain(attributes: dict[str, Any] | None) -> dict[str, Any]:
    """Attributes as OpenTelemetry takes them."""
    return {
        str(key): value if isinstance(value, (str, bool, int, float)) else str(value)
        for key, value in (attributes or {}).items()
    }
