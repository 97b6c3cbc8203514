"""A workflow's or tool's facts as the events of a stream."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from . import _keys
from ._run_models import iso, parsed
from .types import StreamEvent
from .v1 import common_pb2, history_pb2, runs_pb2, steps_pb2


Happened = tuple[str, dict[str, Any]]  # type and data

STEP_WORDS = {
    steps_pb2.STEP_KIND_SLEEP: "sleep",
    steps_pb2.STEP_KIND_SUSPENSION: "suspension",
    steps_pb2.STEP_KIND_EVENT: "event",
    steps_pb2.STEP_KIND_CHILDREN: "children",
    steps_pb2.STEP_KIND_AT_ONCE: "at_once",
}


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
            time_ms = told.fact.time.ToMilliseconds()
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

    def _fact(self, fact: history_pb2.HistoryEvent) -> Iterator[Happened]:
        kind = fact.WhichOneof("event")
        if kind == "run_started":
            payload = parsed(fact.run_started.input_json)
            yield f"{self._kind}_start", {"workflow_id": self._workflow_id, "payload": payload}
        elif kind == "step_settled":
            step = fact.step_settled.step
            if not step.key.startswith(_keys.OWN_PREFIX):
                yield "step_start", {"step_key": step.key, "step_type": "step"}
                yield "step_finish", _step(step.key, "step", step)
        elif kind == "wait_set":
            self._keys[fact.effect_id] = fact.wait_set.key
            yield from self._wait(fact.effect_id, fact.wait_set)
        elif kind == "wait_settled":
            step = fact.wait_settled.step
            key = self._keys.pop(fact.effect_id, "") or step.key
            if not key.startswith(_keys.OWN_PREFIX):
                yield from wait_over(self._run_id, fact.effect_id, key, step)

    def _wait(self, effect_id: int, wait: history_pb2.WaitSet) -> Iterator[Happened]:
        if wait.key.startswith(_keys.OWN_PREFIX):
            return
        if wait.kind != steps_pb2.STEP_KIND_SUSPENSION:
            yield "step_start", {"step_key": wait.key, "step_type": STEP_WORDS.get(wait.kind, "")}
        elif effect_id not in self._settled:
            yield suspended(self._run_id, effect_id, wait)

    def _end(self, run: common_pb2.Run) -> Happened:
        if run.status == common_pb2.RUN_STATUS_COMPLETED:
            return f"{self._kind}_finish", {"result": parsed(run.result_json)}
        told = {"reason": run.error.reason, "error": run.error.message}
        cancelled = run.status == common_pb2.RUN_STATUS_CANCELLED
        return (f"{self._kind}_cancel" if cancelled else "error"), told


def suspended(run_id: str, effect_id: int, wait: history_pb2.WaitSet) -> Happened:
    """A run waits for an answer from outside."""
    shown = {"_execution_id": run_id, "_suspension_id": f"{run_id}.{effect_id}"}
    return f"suspend_{wait.key}", {**_object(parsed(wait.suspension.data_json)), **shown}


def wait_over(
    run_id: str, effect_id: int, key: str, step: steps_pb2.SettledStep
) -> Iterator[Happened]:
    """A wait has ended."""
    answer = parsed(step.outcome.value_json)
    if step.kind == steps_pb2.STEP_KIND_SUSPENSION and isinstance(answer, dict):
        told = {
            "_resumed_by": answer.get("resumed_by"),
            "_suspension_id": f"{run_id}.{effect_id}",
        }
        yield f"resume_{key}", {**_object(answer.get("data")), **told}
    else:
        yield "step_finish", _step(key, STEP_WORDS.get(step.kind, ""), step)


def _object(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {"data": value}


def _step(key: str, kind: str, step: steps_pb2.SettledStep) -> dict[str, Any]:
    outcome, error = step.outcome, None
    if outcome.HasField("error"):
        error = {"type": outcome.error.type, "message": outcome.error.message}
        error |= {"stack": outcome.error.stack} if outcome.error.stack else {}
    return {
        "step_key": key,
        "step_type": kind,
        "output": parsed(outcome.value_json),
        "error": error,
    }
