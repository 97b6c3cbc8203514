"""Facts of a run's history as plain values: what HistoryEvent.type and .data are.

Names are those of history.proto, with what is not set left out: JSON text is the value it stands
for, under its name without "_json"; instants and lengths are milliseconds, under "..._ms"; words
of enums are in lower case. A settled step stands in its fact, not below it.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp

from ._run_models import parsed
from .v1 import history_pb2, steps_pb2

UNKNOWN = "UNKNOWN"  # a kind of a newer server


def type_of(fact: history_pb2.HistoryEvent) -> str:
    """ "RUN_STARTED", "STEP_SETTLED", ..."""
    return (fact.WhichOneof("event") or UNKNOWN).upper()


def data_of(fact: history_pb2.HistoryEvent) -> dict[str, Any]:
    """What the fact says beyond its time and its effect."""
    kind = fact.WhichOneof("event")
    found = {} if kind is None else _members(getattr(fact, kind))
    if fact.left_out_bytes:
        found["left_out_bytes"] = fact.left_out_bytes
    return found


def _members(message: Message) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for field, value in message.ListFields():
        if isinstance(value, (steps_pb2.SettledStep, steps_pb2.TaskOutcome)):
            found |= _members(value)
        elif isinstance(value, (Timestamp, Duration)):
            found[f"{field.name}_ms"] = value.ToMilliseconds()
        elif field.name.endswith("_json"):
            found[field.name.removesuffix("_json")] = parsed(value)
        elif isinstance(value, Sequence) and not isinstance(value, (str, bytes)):
            found[field.name] = [_value(field, each) for each in value]
        else:
            found[field.name] = _value(field, value)
    return found


def _value(field: Any, value: Any) -> Any:
    if isinstance(value, steps_pb2.RunList):
        return [_members(run) for run in value.runs]
    if isinstance(value, steps_pb2.TaskError):  # named as every other failure is
        named = _members(value)
        return {"reason": named.pop("type", ""), **named}
    if isinstance(value, Message):
        return _members(value)
    if field.enum_type is not None:
        return _word(field.enum_type, value)
    return value


def _word(words: Any, number: int) -> str:
    """ "max_turns" of STOP_REASON_MAX_TURNS; the number of a word that is not known."""
    prefix = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", words.name).upper() + "_"
    known = words.values_by_number.get(number)
    return str(number) if known is None else known.name.removeprefix(prefix).lower()
