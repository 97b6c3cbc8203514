"""A workflow run's facts as the events of a stream."""

from __future__ import annotations

from typing import Any

from . import _keys
from ._run_models import iso, parsed
from .types import StreamEvent
from .v1 import common_pb2, runs_pb2


class RunNarrator:
    """Turns what Watch sends of a workflow run into StreamEvents; one per watch, fed in order."""

    def __init__(self, workflow_id: str, run_id: str, topic: str) -> None:
        self._workflow_id = workflow_id
        self._run_id = run_id
        self._topic = topic
        self._metadata = {"execution_id": run_id, "workflow_id": workflow_id}
        self._keys: dict[int, str] = {}  # of the waits, by effect
        self._seq = 0

    def tell(self, told: runs_pb2.RunServiceWatchResponse) -> StreamEvent | None:
        """What a message is to those who follow; None: nothing."""
        kind = told.WhichOneof("event")
        if kind == "fact":
            found, self._seq = self._fact(told.fact), told.fact.seq
            time_ms = told.fact.time_ms
        elif kind == "ended":
            found, self._seq = _of_end(told.ended), self._seq + 1
            time_ms = told.ended.ended_at_ms
        else:
            return None
        if found is None:
            return None
        return StreamEvent(
            id=f"{self._run_id}:{self._seq}",
            sequence_id=self._seq,
            topic=self._topic,
            event_type=found[0],
            data={**found[1], "_metadata": self._metadata},
            created_at=iso(time_ms) if time_ms else None,
        )

    def _fact(self, fact: runs_pb2.HistoryEvent) -> tuple[str, dict[str, Any]] | None:
        whole = parsed(fact.data_json)
        data: dict[str, Any] = whole if isinstance(whole, dict) else {}
        kind = str(data.get("kind") or "")
        if fact.type == "RUN_STARTED":
            payload = data.get("input")
            return "workflow_start", {"workflow_id": self._workflow_id, "payload": payload}
        if fact.type == "STEP_SETTLED":
            if str(data.get("key")).startswith(_keys.OWN_PREFIX):
                return None
            return "step_finish", _step(str(data.get("key")), "step", data)
        if fact.type == "WAIT_SET":
            key = self._keys[fact.effect_id] = str(data.get("key"))
            return (f"suspend_{key}", _object(data.get("data"))) if kind == "suspension" else None
        if fact.type == "WAIT_SETTLED":
            key = self._keys.pop(fact.effect_id, "") or str(data.get("key"))
            answer = data.get("value")
            if kind == "suspension" and isinstance(answer, dict):
                shown = _object(answer.get("data"))
                return f"resume_{key}", {**shown, "_resumed_by": answer.get("resumed_by")}
            return "step_finish", _step(key, kind, data)
        return None


def _object(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {"data": value}


def _step(key: str, kind: str, data: dict[str, Any]) -> dict[str, Any]:
    return {
        "step_key": key,
        "step_type": kind,
        "output": data.get("value"),
        "error": data.get("error"),
    }


def _of_end(run: common_pb2.Run) -> tuple[str, dict[str, Any]]:
    if run.status == common_pb2.RUN_STATUS_COMPLETED:
        return "workflow_finish", {"result": parsed(run.result_json)}
    told = {"reason": run.error.reason, "error": run.error.message}
    cancelled = run.status == common_pb2.RUN_STATUS_CANCELLED
    return ("workflow_cancel" if cancelled else "error"), told
