"""A workflow run's facts as the events of a stream."""

from __future__ import annotations

from typing import Any

from ._results import iso, parsed
from .types import StreamEvent
from .v1 import common_pb2, runs_pb2


def run_event(
    told: runs_pb2.RunServiceWatchResponse,
    last_seq: int,
    workflow_id: str,
    run_id: str,
    topic: str,
) -> StreamEvent | None:
    """What a message of Watch is to those who follow a workflow; None: nothing."""
    kind = told.WhichOneof("event")
    if kind == "fact":
        found = _of_fact(told.fact, workflow_id)
        seq, time_ms = told.fact.seq, told.fact.time_ms
    elif kind == "ended":
        found = _of_end(told.ended)
        seq, time_ms = last_seq + 1, told.ended.ended_at_ms
    else:
        return None
    if found is None:
        return None
    return StreamEvent(
        id=f"{run_id}:{seq}",
        sequence_id=seq,
        topic=topic,
        event_type=found[0],
        data={**found[1], "_metadata": {"execution_id": run_id}},
        created_at=iso(time_ms) if time_ms else None,
    )


def _of_fact(
    fact: runs_pb2.HistoryEvent, workflow_id: str
) -> tuple[str, dict[str, Any]] | None:
    whole = parsed(fact.data_json)
    data: dict[str, Any] = whole if isinstance(whole, dict) else {}
    key = str(data.get("key") or "")
    if fact.type == "RUN_STARTED":
        return "workflow_start", {"workflow_id": workflow_id, "payload": data.get("input")}
    if fact.type == "STEP_SETTLED":
        return "step_finish", _step(key, "step", data)
    if fact.type == "WAIT_SET" and data.get("kind") == "suspension":
        shown = data.get("data")
        return f"suspend_{key}", shown if isinstance(shown, dict) else {"data": shown}
    if fact.type == "WAIT_SETTLED" and data.get("kind") == "suspension" and "error" not in data:
        answer = data.get("result", data.get("value"))
        return f"resume_{key}", {
            **(answer if isinstance(answer, dict) else {"data": answer}),
            "_resumed_by": data.get("by"),
        }
    if fact.type == "WAIT_SETTLED":
        return "step_finish", _step(key, str(data.get("kind") or "order"), data)
    return None


def _step(key: str, kind: str, data: dict[str, Any]) -> dict[str, Any]:
    return {
        "step_key": key,
        "step_type": kind,
        "output": data.get("result", data.get("value")),
        "error": data.get("error"),
    }


def _of_end(run: common_pb2.Run) -> tuple[str, dict[str, Any]]:
    if run.status == common_pb2.RUN_STATUS_COMPLETED:
        return "workflow_finish", {"result": parsed(run.result_json)}
    told = {"reason": run.error.reason, "error": run.error.message}
    cancelled = run.status == common_pb2.RUN_STATUS_CANCELLED
    return ("workflow_cancel" if cancelled else "error"), told
