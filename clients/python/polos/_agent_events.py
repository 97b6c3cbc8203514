"""A run's facts and deltas as the events of a stream.

The interesting part is what happens to text already shown when the server has to call the model
again: the new attempt's text is held back while it repeats what was shown, and when it says
something else, that is said.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from ._run_models import iso, parsed, stop_word, usage_of
from ._workflow_events import suspended, wait_over
from .types import StreamEvent
from .v1 import common_pb2, history_pb2, runs_pb2, steps_pb2


@dataclass
class _Effect:
    """What was shown of one model call."""

    step: int
    attempt: int = 1
    shown: str = ""  # to the consumer, over all attempts
    text: str = ""  # of this attempt
    chunks: int = 0
    done: bool = False


@dataclass
class Narrator:
    """Turns what Watch sends into StreamEvents; one per watch, fed in order."""

    run_id: str
    agent_id: str
    topic: str = ""  # default: the run's own
    settled: set[int] = field(default_factory=set)  # waits whose suspensions are left out
    _effects: dict[int, _Effect] = field(default_factory=dict)
    _calls: dict[int, dict[str, Any]] = field(default_factory=dict)  # tool tasks by effect
    _judgements: set[int] = field(default_factory=set)  # model calls for guardrails
    _held: history_pb2.ModelReplied | None = None  # guardrails judge it
    _held_by: _Effect | None = None
    _is_again: bool = False  # guardrails turned the turn's reply down
    _callbacks: set[int] = field(default_factory=set)  # effects
    _waits: dict[int, str] = field(default_factory=dict)  # keys of suspensions by effect
    _results: list[dict[str, Any]] = field(default_factory=list)  # of the turn
    _step: int = 0  # the turn at work
    _step_open: bool = False
    _step_began_ms: int = 0
    _reply: dict[str, Any] = field(default_factory=dict)
    _failure: common_pb2.Failure = field(default_factory=common_pb2.Failure)  # of the last attempt
    _count: int = 0
    _seq: int = 0

    @property
    def _metadata(self) -> dict[str, str]:
        return {"execution_id": self.run_id, "workflow_id": self.agent_id}

    def text(self) -> str:
        """The text of all turns so far, without what was void."""
        return "".join(effect.shown for effect in self._effects.values())

    def tell(self, response: runs_pb2.RunServiceWatchResponse) -> Iterator[StreamEvent]:
        """The events of one message; often none."""
        kind = response.WhichOneof("event")
        if kind == "fact":
            self._seq = response.fact.seq
            events = self._fact(response.fact)
        elif kind == "delta":
            events = self._delta(response.delta)
        elif kind == "ended":
            events = self._ended(response.ended)
        else:
            return
        time_ms = response.fact.time.ToMilliseconds() if kind == "fact" else 0
        if kind == "ended":
            time_ms = response.ended.ended_at.ToMilliseconds()
        for event_type, data in events:
            self._count += 1
            yield StreamEvent(
                id=f"{self._seq}.{self._count}",
                sequence_id=self._count,
                topic=self.topic or f"workflow/{self.agent_id}/{self.run_id}",
                event_type=event_type,
                data={**data, "_metadata": self._metadata},
                created_at=iso(time_ms) if time_ms else None,
            )

    # ---- facts ----

    def _fact(self, fact: history_pb2.HistoryEvent) -> Iterator[tuple[str, dict[str, Any]]]:
        kind = fact.WhichOneof("event")
        if kind == "run_started":
            yield "agent_start", {
                "agent_id": self.agent_id,
                "run_id": self.run_id,
                "input": parsed(fact.run_started.input_json),
            }
        elif kind == "model_requested":
            yield from self._model_requested(fact)
        elif kind == "model_replied":
            yield from self._model_replied(fact)
        elif kind == "reply_amended" and self._held is not None:
            self._held.message.CopyFrom(fact.reply_amended.message)
        elif kind == "reply_passed":
            yield from self._reply_passed()
        elif kind == "reply_rejected" and fact.reply_rejected.guardrail:
            self._held, self._is_again = None, True
        elif kind == "model_failed":
            self._failure = fact.model_failed.error
        elif kind == "task_requested":
            yield from self._task_requested(fact)
        elif kind == "task_settled":
            yield from self._task_settled(fact)
        elif kind == "wait_set" or kind == "wait_settled":
            yield from self._suspension(fact)

    def _model_requested(
        self, fact: history_pb2.HistoryEvent
    ) -> Iterator[tuple[str, dict[str, Any]]]:
        if fact.model_requested.guardrail:
            self._judgements.add(fact.effect_id)
            return
        if fact.effect_id in self._effects:
            yield from self._new_attempt(self._effects[fact.effect_id], fact.attempt)
            return
        if self._is_again:  # the turn goes on
            self._is_again = False
            self._effects[fact.effect_id] = _Effect(step=self._step, attempt=fact.attempt)
            return
        time_ms = fact.time.ToMilliseconds()
        yield from self._finish_step(time_ms)
        self._step += 1
        self._step_open = True
        self._step_began_ms = time_ms
        self._effects[fact.effect_id] = _Effect(step=self._step, attempt=fact.attempt)
        yield "step_start", {"step": self._step}
        yield "stream_start", {"step": self._step}

    def _model_replied(
        self, fact: history_pb2.HistoryEvent
    ) -> Iterator[tuple[str, dict[str, Any]]]:
        effect = self._effects.setdefault(fact.effect_id, _Effect(step=max(1, self._step)))
        if effect.done:
            return
        yield from self._new_attempt(effect, fact.attempt)
        if fact.model_replied.is_judged:
            self._held, self._held_by = fact.model_replied, effect
            return
        yield from self._told(effect, fact.model_replied)

    def _reply_passed(self) -> Iterator[tuple[str, dict[str, Any]]]:
        if self._held is not None and self._held_by is not None:
            held, self._held = self._held, None
            yield from self._told(self._held_by, held)

    def _told(
        self, effect: _Effect, replied: history_pb2.ModelReplied
    ) -> Iterator[tuple[str, dict[str, Any]]]:
        parts = replied.message.parts
        text = "".join(part.text for part in parts) or "".join(part.refusal for part in parts)
        yield from self._shown_so_far(effect, text, final=True)
        effect.done = True
        self._reply = {"content": text, "usage": _usage(replied.usage)}
        for part in parts:
            if part.WhichOneof("part") == "tool_call":
                yield "tool_call", _tool_call_data(effect.step, part.tool_call)

    def _task_requested(
        self, fact: history_pb2.HistoryEvent
    ) -> Iterator[tuple[str, dict[str, Any]]]:
        if fact.task_requested.kind == history_pb2.TASK_KIND_CALLBACK:
            self._callbacks.add(fact.effect_id)
            return
        if fact.effect_id in self._calls:
            return
        call = {
            "step": self._step,
            "tool_name": fact.task_requested.name,
            "tool_call_id": fact.task_requested.call_id,
            "arguments": fact.task_requested.input_json,
        }
        self._calls[fact.effect_id] = call
        yield "tool_start", dict(call)

    def _task_settled(
        self, fact: history_pb2.HistoryEvent
    ) -> Iterator[tuple[str, dict[str, Any]]]:
        if fact.effect_id in self._callbacks:
            return
        call = self._calls.get(fact.effect_id, {"step": self._step, "tool_name": ""})
        settled = fact.task_settled
        failed = settled.HasField("error")
        result = {
            **call,
            "status": "failed" if failed else "completed",
            "result": None if failed else parsed(settled.value_json),
            "error": settled.error.message if failed else None,
        }
        self._results.append(result)
        yield "tool_finish", dict(result)

    def _suspension(
        self, fact: history_pb2.HistoryEvent
    ) -> Iterator[tuple[str, dict[str, Any]]]:
        """A tool asks somebody, or was answered; other waits are not told."""
        if fact.wait_set.kind == steps_pb2.STEP_KIND_SUSPENSION:
            self._waits[fact.effect_id] = fact.wait_set.key
            if fact.effect_id not in self.settled:
                yield suspended(self.run_id, fact.effect_id, fact.wait_set)
        elif fact.wait_settled.step.kind == steps_pb2.STEP_KIND_SUSPENSION:
            step = fact.wait_settled.step
            key = self._waits.get(fact.effect_id, step.key)
            yield from wait_over(self.run_id, fact.effect_id, key, step)

    def _finish_step(self, time_ms: int) -> Iterator[tuple[str, dict[str, Any]]]:
        if not self._step_open:
            return
        self._step_open = False
        reply, results = self._reply, self._results
        self._reply, self._results = {}, []
        yield "step_finish", {
            "step": self._step,
            "step_type": "agent_step",
            "output": reply.get("content", ""),
            "usage": reply.get("usage", {}),
            "tool_results": results,
            "duration_ms": max(0, time_ms - self._step_began_ms),
        }

    def _ended(self, run: common_pb2.Run) -> Iterator[tuple[str, dict[str, Any]]]:
        yield from self._finish_step(run.ended_at.ToMilliseconds())
        if run.status == common_pb2.RUN_STATUS_COMPLETED:
            yield "agent_finish", {
                "result": parsed(run.result_json),
                "usage": usage_of(run.usage).model_dump(),
                "total_steps": run.turn_count,
                "stop_reason": stop_word(run.stop_reason),
            }
            return
        cancelled = run.status == common_pb2.RUN_STATUS_CANCELLED
        yield "agent_cancel" if cancelled else "error", {
            "reason": run.error.reason,
            "error": run.error.message,
            "usage": usage_of(run.usage).model_dump(),
            "total_steps": run.turn_count,
        }

    # ---- text ----

    def _delta(self, delta: runs_pb2.Delta) -> Iterator[tuple[str, dict[str, Any]]]:
        effect = self._effects.setdefault(
            delta.effect_id, _Effect(step=delta.turn or self._step, attempt=delta.attempt)
        )
        if effect.done or delta.attempt < effect.attempt:
            return
        yield from self._new_attempt(effect, delta.attempt)
        if delta.kind == runs_pb2.DELTA_KIND_TEXT:
            yield from self._shown_so_far(effect, effect.text + delta.text)
        elif delta.kind == runs_pb2.DELTA_KIND_REASONING:
            yield "reasoning_delta", {"content": delta.text, "step": effect.step}
        elif delta.kind == runs_pb2.DELTA_KIND_TOOL_ARGUMENTS:
            yield "tool_arguments_delta", {"content": delta.text, "step": effect.step}
        elif delta.kind == runs_pb2.DELTA_KIND_PROGRESS:
            yield "tool_progress", {"content": delta.text, "step": effect.step}

    def _new_attempt(self, effect: _Effect, attempt: int) -> Iterator[tuple[str, dict[str, Any]]]:
        if attempt <= effect.attempt:
            return
        effect.attempt = attempt
        effect.text = ""
        failure, self._failure = self._failure, common_pb2.Failure()
        yield "retry", {
            "step": effect.step,
            "attempt": attempt,
            "voided": effect.shown,
            "reason": failure.reason,
            "error": failure.message,
        }

    def _shown_so_far(
        self, effect: _Effect, text: str, *, final: bool = False
    ) -> Iterator[tuple[str, dict[str, Any]]]:
        """Shows what `text`, this attempt's so far, has beyond what was shown."""
        effect.text = text
        if text == effect.shown or (effect.shown.startswith(text) and not final):
            return
        restarted = not text.startswith(effect.shown)
        piece = text if restarted else text[len(effect.shown) :]
        effect.shown = text
        effect.chunks += 1
        yield "text_delta", {
            "content": piece,
            "step": effect.step,
            "chunk_index": effect.chunks - 1,
            "restarted": restarted,
        }


def _tool_call_data(step: int, call: common_pb2.ToolCall) -> dict[str, Any]:
    return {
        "step": step,
        "tool_name": call.name,
        "tool_call": {
            "id": call.call_id,
            "call_id": call.call_id,
            "type": "function",
            "function": {"name": call.name, "arguments": call.arguments_json},
        },
    }


def _usage(usage: common_pb2.Usage) -> dict[str, Any]:
    """One turn's tokens; empty where the provider did not say."""
    return {} if usage.incomplete else usage_of(usage).model_dump()
