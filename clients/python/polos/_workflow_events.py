"""A workflow's or tool's facts as the events of a stream."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from . import _keys
from ._run_models import iso, parsed
from .types import StreamEvent
from .v1 import common_pb2, runs_pb2


Happened = tuple[str, dict[str, Any]]  # type and data


class RunNarrator:
    """Turns what Watch sends of a workflow's or tool's run into StreamEvents; one per watch, fed in
    order.

    Args:
        kind: "workflow" or "tool".
        settled: effects of waits that were over before; suspensions among them are left out.
    """

    def __init__(
        self, workflow_id: str, run_id: str, topic: str, kind: str, settled: set[int]
    ) -> None:
        self._workflow_id = workflow_id
        self._run_id = run_id
        self._topic = topic
        self._kind = kind
        self._settled = settled
        self._metadata = {"execution_id": run_id, "workflow_id": workflow_id}
        self._keys: dict[int, str] = {}  # of the waits, by effect
        self._seq = 0

    def tell(self, told: runs_pb2.RunServiceWatchResponse) -> Iterator[StreamEvent]:
        """What a message is to those who follow; often nothing."""
        kind = told.WhichOneof("event")
        if kind == "fact":
            found, self._seq = self._fact(told.fact), told.fact.seq
            time_ms = told.fact.time_ms
        elif kind == "ended":
            found, self._seq = iter([self._end(told.ended)]), self._seq + 1
            time_ms = told.ended.ended_at.ToMilliseconds()
        else:
            return
        for number, (event_type, data) in enumerate(found):
            yield StreamEvent(
                id=f"{self._run_id}:{self._seq}" + (f".{number}" if number else ""),
                sequence_id=self._seq,
                topic=self._topic,
                event_type=event_type,
                data={**data, "_metadata": self._metadata},
                created_at=iso(time_ms) if time_ms else None,
            )

    def _fact(self, fact: runs_pb2.HistoryEvent) -> Iterator[Happened]:
        whole = parsed(fact.data_json)
        data: dict[str, Any] = whole if isinstance(whole, dict) else {}
        key = str(data.get("key") or "")
        if key.startswith(_keys.OWN_PREFIX):
            return
        if fact.type == "RUN_STARTED":
            payload = data.get("input")
            yield f"{self._kind}_start", {"workflow_id": self._workflow_id, "payload": payload}
        elif fact.type == "STEP_SETTLED":
            yield "step_start", {"step_key": key, "step_type": "step"}
            yield "step_finish", _step(key, "step", data)
        elif fact.type == "WAIT_SET":
            self._keys[fact.effect_id] = key
            yield from self._wait(fact.effect_id, key, data)
        elif fact.type == "WAIT_SETTLED":
            key = self._keys.pop(fact.effect_id, "") or key
            yield from wait_over(self._run_id, fact.effect_id, key, data)

    def _wait(self, effect_id: int, key: str, data: dict[str, Any]) -> Iterator[Happened]:
        kind = str(data.get("kind") or "")
        if kind != "suspension":
            yield "step_start", {"step_key": key, "step_type": kind}
        elif effect_id not in self._settled:
            yield suspended(self._run_id, effect_id, key, data)

    def _end(self, run: common_pb2.Run) -> Happened:
        if run.status == common_pb2.RUN_STATUS_COMPLETED:
            return f"{self._kind}_finish", {"result": parsed(run.result_json)}
        told = {"reason": run.error.reason, "error": run.error.message}
        cancelled = run.status == common_pb2.RUN_STATUS_CANCELLED
        return (f"{self._kind}_cancel" if cancelled else "error"), told


def suspended(run_id: str, effect_id: int, key: str, data: dict[str, Any]) -> Happened:
    """A run waits for an answer from outside; `data`: of its fact."""
    shown = {"_execution_id": run_id, "_suspension_id": f"{run_id}.{effect_id}"}
    return f"suspend_{key}", {**_object(data.get("data")), **shown}


def wait_over(run_id: str, effect_id: int, key: str, data: dict[str, Any]) -> Iterator[Happened]:
    """A wait has ended; `data`: of its fact."""
    kind, answer = str(data.get("kind") or ""), data.get("value")
    if kind == "suspension" and isinstance(answer, dict):
        told = {
            "_resumed_by": answer.get("resumed_by"),
            "_suspension_id": f"{run_id}.{effect_id}",
        }
        yield f"resume_{key}", {**_object(answer.get("data")), **told}
    else:
        yield "step_finish", _step(key, kind, data)


def _object(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {"data": value}


def _step(key: str, kind: str, data: dict[str, Any]) -> dict[str, Any]:
    return {
        "step_key": key,
        "step_type": kind,
        "output": data.get("value"),
        "error": data.get("error"),
    }
