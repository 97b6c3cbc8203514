"""Instants and lengths of the wire, and what Python has for them."""

from __future__ import annotations

from datetime import datetime, timezone

from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp


def length(seconds: float | None) -> Duration | None:
    """A length, to the millisecond and at least one; None: not said."""
    if seconds is None:
        return None
    found = Duration()
    found.FromMilliseconds(max(1, round(seconds * 1000)))
    return found


def seconds_of(found: Duration) -> float | None:
    """None for 0, which is not set."""
    return found.ToMilliseconds() / 1000 or None


def instant_of(found: Timestamp) -> datetime | None:
    """None for one that is not set."""
    if found.ToMilliseconds() == 0:
        return None
    return datetime.fromtimestamp(found.ToMilliseconds() / 1000, timezone.utc)


def iso_of(found: Timestamp) -> str | None:
    """As ISO 8601 text; None for one that is not set."""
    instant = instant_of(found)
    return None if instant is None else instant.isoformat()


def timestamp(time: datetime | None) -> Timestamp | None:
    """One without a time zone is taken as UTC."""
    if time is None:
        return None
    found = Timestamp()
    aware = time if time.tzinfo else time.replace(tzinfo=timezone.utc)
    found.FromMilliseconds(round(aware.timestamp() * 1000))
    return found
