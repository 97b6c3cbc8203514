"""Runs of the wire as the models of polos.types, and ended runs as results or exceptions."""

from __future__ import annotations

import json
from datetime import datetime, timezone
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from ._codec.names import class_path
from ._codec.times import iso_of, seconds_of
from ._codec.values import restored, return_annotation
from ._startable import AnsweringAgent
from .errors import (
    InvalidArgumentError,
    OutputError,
    RunCancelledError,
    RunFailedError,
    WorkflowTimeoutError,
)
from .types import (
    AgentInfo,
    AgentResult,
    Execution,
    ResumeResult,
    Step,
    Suspension,
    ToolCall,
    ToolCallFunction,
    ToolResult,
    Usage,
    Waiting,
)
from .v1 import agents_pb2, common_pb2, suspend_pb2

K = TypeVar("K")

STATUS_WORDS = {
    common_pb2.RUN_STATUS_UNSPECIFIED: "unknown",
    common_pb2.RUN_STATUS_RUNNING: "running",
    common_pb2.RUN_STATUS_WAITING: "waiting",
    common_pb2.RUN_STATUS_COMPLETED: "completed",
    common_pb2.RUN_STATUS_FAILED: "failed",
    common_pb2.RUN_STATUS_CANCELLED: "cancelled",
    common_pb2.RUN_STATUS_UNREADABLE: "unreadable",
}
KIND_WORDS = {
    common_pb2.RUN_KIND_UNSPECIFIED: "",
    common_pb2.RUN_KIND_AGENT: "agent",
    common_pb2.RUN_KIND_WORKFLOW: "workflow",
    common_pb2.RUN_KIND_TOOL: "tool",
}


def agent_record(found: agents_pb2.Agent) -> AgentInfo:
    """An agent as the server has it."""
    told = found.definition
    return AgentInfo({
        "id": told.id,
        "provider": told.models[0].provider,
        "model": told.models[0].model,
        "description": told.description,
        "system_prompt": told.system_prompt,
        "tools": [tool.id for tool in told.tools],
        "queue_name": told.queue or None,
        "definition_hash": found.definition_hash,
        "registered_at": iso_of(found.registered_at),
        "newest": found.newest,
        "hosts": found.hosts,
        "runs": found.runs,
        "missing_offers": list(found.missing_offers),
    })


def kind_of(word: str) -> common_pb2.RunKind:
    """A kind by its word; empty: any. Raises InvalidArgumentError for another."""
    return _key_of(KIND_WORDS, word, "kind", common_pb2.RUN_KIND_UNSPECIFIED)


def status_of(word: str) -> common_pb2.RunStatus:
    """A status by its word; empty: any. Raises InvalidArgumentError for another."""
    return _key_of(STATUS_WORDS, word, "status", common_pb2.RUN_STATUS_UNSPECIFIED)


def _key_of(words: dict[K, str], word: str, field: str, any: K) -> K:
    found = next((key for key, each in words.items() if each == word), None) if word else any
    if found is None or (word and found == any):
        known = ", ".join(each for key, each in words.items() if key != any)
        raise InvalidArgumentError(f"{field} is {word!r}: it is one of {known}", field=field)
    return found


STOP_WORDS = {
    common_pb2.STOP_REASON_END: "end",
    common_pb2.STOP_REASON_MAX_TURNS: "max_steps",
    common_pb2.STOP_REASON_MAX_TOKENS: "max_tokens",
    common_pb2.STOP_REASON_LENGTH: "length",
    common_pb2.STOP_REASON_CONTENT_FILTER: "content_filter",
    common_pb2.STOP_REASON_REFUSAL: "refusal",
    common_pb2.STOP_REASON_HOOK: "hook",
}
HOOK_SENTENCE = "it waits for hook "  # how Waiting.message begins of one
WAITING_WORDS = {  # beside what a task is waited for, which is named as what it runs
    common_pb2.Waiting.KIND_MODEL: "model",
    common_pb2.Waiting.KIND_PLACE: "model",
    common_pb2.Waiting.KIND_CODE: "code",
    common_pb2.Waiting.KIND_RETRY: "retry",
    common_pb2.Waiting.KIND_QUEUE: "queue",
    common_pb2.Waiting.KIND_SLEEP: "sleep",
    common_pb2.Waiting.KIND_SUSPENSION: "suspension",
    common_pb2.Waiting.KIND_EVENT: "event",
    common_pb2.Waiting.KIND_CHILDREN: "child",
    common_pb2.Waiting.KIND_COPY: "copy",
}


def usage_of(usage: common_pb2.Usage) -> Usage:
    return Usage(
        input_tokens=usage.input_tokens,
        output_tokens=usage.output_tokens,
        total_tokens=usage.total_tokens,
        cache_read_input_tokens=usage.cache_read_input_tokens,
        cache_creation_input_tokens=usage.cache_creation_input_tokens,
    )


def parsed(text: str) -> Any:
    """A value kept as JSON text; what is no JSON stays the text it is."""
    if not text:
        return None
    try:
        return json.loads(text)
    except ValueError:
        return text


def tool_call_of(call_id: str, name: str, arguments: str) -> ToolCall:
    return ToolCall(
        id=call_id, call_id=call_id, function=ToolCallFunction(name=name, arguments=arguments)
    )


def typed_result(
    agent: AnsweringAgent | None, tool_name: str, value: Any
) -> tuple[Any, str | None]:
    """What a tool gave, as its return annotation says, and the class that names; as JSON gives it
    where nothing is known of the tool."""
    tools = [] if agent is None else agent.tools
    func = next((tool.func for tool in tools if tool.id == tool_name), None)
    try:
        found = restored(func, value)
    except OutputError:
        return value, None
    return found, class_path(type(found)) if isinstance(found, BaseModel) else None


def tool_result_of(
    result: common_pb2.ToolResult, agent: AnsweringAgent | None = None
) -> ToolResult:
    failed = result.HasField("error")
    value, schema = typed_result(agent, result.name, parsed(result.result_json))
    return ToolResult(
        tool_name=result.name,
        status="failed" if failed else "completed",
        result=None if failed else value,
        result_schema=None if failed else schema,
        error=result.error.message if failed else None,
        tool_call_id=result.call_id,
        tool_call_call_id=result.call_id,
    )


def step_of(turn: common_pb2.Turn, agent: AnsweringAgent | None = None) -> Step:
    return Step(
        step=turn.number,
        content=turn.text,
        tool_calls=[tool_call_of(c.call_id, c.name, c.arguments_json) for c in turn.tool_calls],
        tool_results=[tool_result_of(result, agent) for result in turn.tool_results],
        usage=usage_of(turn.usage),
    )


def stop_word(reason: common_pb2.StopReason) -> str:
    """As AgentResult.stop_reason has it; "": the loop has not ended."""
    return STOP_WORDS.get(reason, "")


def agent_result(
    agent: AnsweringAgent | None, run: common_pb2.Run, timeout: float | None
) -> AgentResult:
    """The result of an ended agent run; raises when it did not complete or does not fit."""
    raise_unless_completed(run, timeout)
    steps = [step_of(step, agent) for step in run.turns]
    return AgentResult(
        agent_run_id=run.id,
        result=_answer(agent, run),
        result_schema=schema_path(agent),
        tool_results=[result for step in steps for result in step.tool_results],
        total_steps=run.turn_count,
        usage=usage_of(run.usage),
        steps=steps,
        stop_reason=stop_word(run.stop_reason),
    )


def raise_unless_completed(run: common_pb2.Run, timeout: float | None) -> None:
    """RunCancelledError, WorkflowTimeoutError, OutputError (no answer fits the agent's schema) or
    RunFailedError for a run that did not complete."""
    if run.status == common_pb2.RUN_STATUS_COMPLETED:
        return
    reason, message = run.error.reason, run.error.message
    if reason == "OUTPUT_INVALID":
        said = run.turns[-1].text if run.turns else ""
        raise OutputError(message, run_id=run.id, text=said)
    if run.status == common_pb2.RUN_STATUS_CANCELLED:
        raise RunCancelledError(run.id, message or "the run was cancelled", reason=reason)
    if reason == "DEADLINE_EXCEEDED":
        given = seconds_of(run.run_timeout) or timeout
        named = message.replace("run_timeout", "timeout (run_timeout_seconds of invoke)")
        raise WorkflowTimeoutError(run.id, given, named)
    raise RunFailedError(run.id, message or f"run {run.id} failed", reason=reason)


def output_schema_name(target: Any) -> str | None:
    """The class path of what a workflow, tool or agent of this process gives back, if a model."""
    if getattr(target, "kind", "") == "agent":
        return schema_path(target)
    annotation = return_annotation(getattr(target, "func", None))
    is_model = isinstance(annotation, type) and issubclass(annotation, BaseModel)
    return class_path(annotation) if is_model else None


def schema_path(agent: AnsweringAgent | None) -> str | None:
    """The class path of an agent's output schema; None for free text."""
    if agent is None or agent.output_schema is None:
        return None
    return class_path(agent.output_schema)


def _answer(agent: AnsweringAgent | None, run: common_pb2.Run) -> Any:
    value = parsed(run.result_json)
    if agent is None or agent.output_schema is None:
        return value
    text = value if isinstance(value, str) else run.result_json
    try:
        if isinstance(value, str):
            return agent.output_schema.model_validate_json(value)
        return agent.output_schema.model_validate(value)
    except ValidationError as error:
        raise OutputError(
            f"the answer of agent {agent.id!r} does not fit {schema_path(agent)} "
            f"({error.error_count()} problems): {_first(error)}; the run ended with stop reason "
            f"{stop_word(run.stop_reason)!r}",
            run_id=run.id,
            text=text,
        ) from error


def _first(error: ValidationError) -> str:
    found = error.errors(include_url=False, include_input=False)[0]
    return f"{'.'.join(map(str, found['loc'])) or 'the answer'}: {found['msg']}"


def run_record(run: common_pb2.Run) -> Execution:
    """A run as ExecutionHandle.get() gives it."""
    return Execution({
        "id": run.id,
        "workflow_id": run.name,
        "kind": KIND_WORDS.get(run.kind, ""),
        "status": _status(run),
        "payload": parsed(run.input_json),
        "result": parsed(run.result_json),
        "error": run.error.message if run.HasField("error") else None,
        "error_reason": run.error.reason if run.HasField("error") else None,
        "created_at": iso_of(run.created_at),
        "started_at": iso_of(run.started_at),
        "step_key": None,
        "root_workflow_id": None if run.parent_run_id else run.name,
        "output_schema_name": None,
        "completed_at": iso_of(run.ended_at),
        "cancelled_at": (
            iso_of(run.ended_at) if run.status == common_pb2.RUN_STATUS_CANCELLED else None
        ),
        "cancelling": run.cancelling,
        "retry_count": run.retry_count,
        "deployment_id": run.deployment or None,
        "queue_name": run.queue or None,
        "concurrency_key": run.concurrency_key or None,
        "run_timeout_seconds": seconds_of(run.run_timeout),
        "state": parsed(run.state_json),
        "parent_execution_id": run.parent_run_id or None,
        "root_execution_id": run.root_run_id or run.id,
        "origin_execution_id": run.origin_run_id or None,
        "session_id": run.session_id or None,
        "user_id": run.user_id or None,
        "conversation_id": run.conversation_id or None,
        "stop_reason": stop_word(run.stop_reason) or None,
        "steps": [step_of(turn).model_dump() for turn in run.turns],
        "total_steps": run.turn_count or run.step_count,
        "usage": usage_of(run.usage).model_dump(),
        "waiting": [
            Waiting(
                kind=_waiting_word(run, w),
                name=w.name or w.step_key,
                since_ms=w.since.ToMilliseconds(),
                message=w.message,
            )
            for w in run.waiting
        ],
    })


def _waiting_word(run: common_pb2.Run, wait: common_pb2.Waiting) -> str:
    if wait.kind in (common_pb2.Waiting.KIND_TASK, common_pb2.Waiting.KIND_HOST):
        if wait.message.startswith(HOOK_SENTENCE):
            return "hook"
        return "workflow" if run.kind == common_pb2.RUN_KIND_WORKFLOW else "tool"
    return WAITING_WORDS.get(wait.kind, "")


def _status(run: common_pb2.Run) -> str:
    """A word; "queued": it has not begun, for want of a host or of its turn."""
    is_agent = run.kind == common_pb2.RUN_KIND_AGENT
    queue, host = common_pb2.Waiting.KIND_QUEUE, common_pb2.Waiting.KIND_HOST
    kinds = (queue,) if is_agent else (queue, host)
    if run.status == common_pb2.RUN_STATUS_WAITING and not run.HasField("started_at"):
        if run.waiting and all(w.kind in kinds for w in run.waiting):
            return "queued"
    return STATUS_WORDS.get(run.status, "unknown")


def suspension_of(found: suspend_pb2.Suspension) -> Suspension:
    answer = found.answer
    is_answered = found.HasField("answer")
    return Suspension(
        id=found.id,
        run_id=found.run_id,
        step_key=found.step_key,
        data=parsed(found.data_json),
        answer_schema=parsed(found.answer_schema_json),
        name=found.name,
        root_run_id=found.root_run_id or found.run_id,
        since=_time(found.created_at.ToMilliseconds()),
        deadline=_time(found.deadline.ToMilliseconds()) if found.HasField("deadline") else None,
        is_open=found.state == suspend_pb2.Suspension.STATE_OPEN,
        resumed_by=answer.answered_by or None,
        answer=parsed(answer.data_json),
        resumed_at=_time(answer.answered_at.ToMilliseconds()) if is_answered else None,
    )


def resume_result_of(
    told: suspend_pb2.SuspendServiceResumeResponse,
    asked: suspend_pb2.SuspendServiceResumeRequest,
) -> ResumeResult:
    answer = told.suspension.answer
    is_kept = told.outcome == suspend_pb2.RESUME_OUTCOME_KEPT
    return ResumeResult(
        accepted=is_kept or told.outcome == suspend_pb2.RESUME_OUTCOME_ACCEPTED,
        kept=is_kept,
        existed=told.suspension.HasField("answer")
        and answer.data_json == asked.data_json
        and answer.answered_by == asked.answered_by,
    )


def _time(time_ms: int) -> datetime:
    return datetime.fromtimestamp(time_ms / 1000, timezone.utc)


def iso(time_ms: int) -> str:
    return datetime.fromtimestamp(time_ms / 1000, timezone.utc).isoformat()


def ended(run: common_pb2.Run) -> bool:
    return run.status in (
        common_pb2.RUN_STATUS_COMPLETED,
        common_pb2.RUN_STATUS_FAILED,
        common_pb2.RUN_STATUS_CANCELLED,
    )
