"""What queues are made of, and what stands in the argument `queue` of others."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Any

from . import _registry
from ._checks import checked_id
from .errors import InvalidArgumentError
from .v1 import queues_pb2

LIMIT_MAX = 1_000_000
RATE_MAX = 10_000


@dataclass(frozen=True)
class Queue:
    """A queue as hosts that are started from this process define it.

    Attributes:
        name: its name for the server.
        concurrency_limit: runs of one concurrency key at once; runs without a key share one.
        total_limit: runs of the whole queue at once.
        rate_limit: runs that begin within any `rate_period`.
        rate_period: seconds.
    """

    name: str
    concurrency_limit: int | None = None
    total_limit: int | None = None
    rate_limit: int | None = None
    rate_period: float = 1.0

    def __post_init__(self) -> None:
        checked_id(self.name, "queue")
        for what, limit_max in (
            ("concurrency_limit", LIMIT_MAX),
            ("total_limit", LIMIT_MAX),
            ("rate_limit", RATE_MAX),
        ):
            limit = getattr(self, what)
            if limit is not None and (not isinstance(limit, int) or not 1 <= limit <= limit_max):
                raise ValueError(
                    f"the {what} of queue {self.name!r} is {limit!r}: it is 1 to {limit_max}, "
                    "or None"
                )
        if not 0.001 <= self.rate_period <= 31 * 24 * 3600:
            raise ValueError(
                f"the rate_period of queue {self.name!r} is {self.rate_period!r}: it is 0.001 "
                "seconds to 31 days"
            )
        _registry.queues[self.name] = self

    def definition(self) -> queues_pb2.QueueDefinition:
        """As the server takes it."""
        found = queues_pb2.QueueDefinition(
            name=self.name,
            concurrency_limit=self.total_limit or 0,
            per_key_limit=self.concurrency_limit or 0,
            rate_limit=self.rate_limit or 0,
        )
        if self.rate_limit:
            found.rate_period.FromMilliseconds(round(self.rate_period * 1000))
        return found


@dataclass(frozen=True)
class QueueInfo:
    """A queue as the server has it: its limits, None for none, and how busy it is."""

    name: str
    concurrency_limit: int | None
    total_limit: int | None
    rate_limit: int | None
    rate_period: float | None
    running: int
    waiting: int


def queue(name: str, concurrency_limit: int | None = None, **limits: Any) -> Queue:
    """A Queue; `limits` as its attributes."""
    return Queue(name, concurrency_limit, **limits)


def default_name(id: str) -> str:
    """The queue of what names none: its own, where $POLOS_DEFAULT_CONCURRENCY_LIMIT gives each one
    a limit; empty: none."""
    text = os.environ.get("POLOS_DEFAULT_CONCURRENCY_LIMIT", "")
    if not text:
        return ""
    if not text.isdigit() or not 1 <= int(text) <= LIMIT_MAX:
        raise InvalidArgumentError(
            f"POLOS_DEFAULT_CONCURRENCY_LIMIT is {text!r}: it is a number from 1 to {LIMIT_MAX}",
            field="queue",
        )
    return Queue(id, concurrency_limit=int(text)).name


def name_of(given: Any, default: str = "") -> str:
    """The name of what stands in an argument `queue`: a name, a Queue, a dict of its attributes.

    `default`: the name of a dict without one.
    """
    if given is None:
        return ""
    if isinstance(given, dict):
        attributes: dict[str, Any] = {"name": default, **given} if default else given
        return Queue(**attributes).name
    if isinstance(given, Queue):
        return given.name
    return checked_id(given, "queue")


def queue_info(found: queues_pb2.Queue) -> QueueInfo:
    limits = found.definition
    return QueueInfo(
        name=limits.name,
        concurrency_limit=limits.per_key_limit or None,
        total_limit=limits.concurrency_limit or None,
        rate_limit=limits.rate_limit or None,
        rate_period=limits.rate_period.ToMilliseconds() / 1000 if limits.rate_limit else None,
        running=found.running,
        waiting=found.waiting,
    )
