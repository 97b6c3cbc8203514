"""Child runs: what a step asks the server to start, and how it hears of their ends."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Protocol

from pydantic import BaseModel, ValidationError

from .._checks import checked_id
from .._codec.names import class_path
from .._codec.text import sentences
from .._codec.values import Given, child_result_of, given
from .._run_models import typed_result
from .._startable import StartableAgent
from ..errors import InvalidArgumentError, OutputError, PolosError
from ..handle import ExecutionHandle
from ..types import (
    AgentResult,
    BatchStepResult,
    BatchWorkflowInput,
    Step,
    ToolCall,
    ToolCallFunction,
    ToolResult,
    Usage,
)
from ..v1 import common_pb2, start_pb2, steps_pb2
from .starts import AgentInput, AgentRunConfig, StartOptions, agent_input, options_json


class RunIdentity(Protocol):
    """What a child inherits of the run that starts it."""

    execution_id: str
    root_execution_id: str
    root_workflow_id: str
    session_id: str
    user_id: str


Find = Callable[[str], Any]  # what this process defines under a name


@dataclass
class Child:
    """A run to be started; `target` is what it runs, where this process defines it."""

    name: str
    kind: common_pb2.RunKind
    options: start_pb2.StartOptions
    input_json: str = ""  # of a workflow or tool
    said: AgentInput = field(default_factory=AgentInput)  # to an agent
    target: Any = None

    @classmethod
    def of_workflow(cls, workflow: Any, payload: Any, options: StartOptions, find: Find) -> Child:
        """A workflow or tool, itself or its id; ids nobody here knows are workflows elsewhere."""
        target = find(workflow) if isinstance(workflow, str) else workflow
        if not isinstance(workflow, str) and not hasattr(workflow, "kind"):
            raise TypeError(
                f"what is invoked is a workflow, a tool or an id, not {type(workflow).__name__}: "
                "decorate the function with @workflow"
            )
        name = workflow if isinstance(workflow, str) else workflow.id
        checked_id(name, "workflow")
        kind = getattr(target, "kind", "workflow")
        if kind == "agent":
            return cls._of_agent(target, payload, options, {})
        told = _given(target, name, payload)
        message = options.message()
        message.input_type = told.type
        return cls(
            name=str(name),
            kind=(
                common_pb2.RUN_KIND_TOOL if kind == "tool" else common_pb2.RUN_KIND_WORKFLOW
            ),
            input_json=told.json,
            options=message,
            target=target,
        )

    @classmethod
    def of_batch(cls, each: BatchWorkflowInput | dict[str, Any], find: Find) -> Child:
        found = batch_input(each)
        return cls.of_workflow(found.id, found.payload, batch_options(found), find)

    @classmethod
    def of_agent(cls, config: AgentRunConfig) -> Child:
        if not isinstance(config, AgentRunConfig):
            raise TypeError(
                f"an agent is invoked with agent.with_input(...), not {type(config).__name__}"
            )
        return cls._of_agent(config.agent, config.input, config.options, config.kwargs)

    @classmethod
    def _of_agent(
        cls, agent: StartableAgent, input: Any, options: StartOptions, kwargs: dict[str, Any]
    ) -> Child:
        message = options.message()
        message.provider_options_json = options_json(kwargs)
        return cls(
            name=agent.id,
            kind=common_pb2.RUN_KIND_AGENT,
            said=agent_input(input),
            options=message,
            target=agent,
        )


def _given(target: Any, name: Any, payload: Any) -> Given:
    if target is not None:
        found: Given = target._given(payload)
        return found
    return given(payload, f"the payload of {name!r}", "payload", known=False)


def batch_input(each: Any) -> BatchWorkflowInput:
    """One of a batch, as itself or as a dict of its fields."""
    if isinstance(each, BatchWorkflowInput):
        return each
    try:
        return BatchWorkflowInput.model_validate(each)
    except ValidationError as error:
        raise InvalidArgumentError(
            f"a batch is of BatchWorkflowInputs, or of dicts with their fields: {sentences(error)}",
            field="workflows",
        ) from error


def batch_options(found: BatchWorkflowInput) -> StartOptions:
    """The options of one of a batch."""
    return StartOptions(
        timeout=found.run_timeout_seconds,
        initial_state=found.initial_state,
        queue=found.queue,
        concurrency_key=found.concurrency_key,
        priority=found.priority,
    )


def order_of(
    key: str, children: list[Child], ctx: RunIdentity, wait: bool, outlive_parent: bool
) -> steps_pb2.StepRequest:
    """The request for a step's children; session and user are inherited where not given."""
    specs = []
    for child in children:
        options = start_pb2.StartOptions()
        options.CopyFrom(child.options)
        options.session_id = options.session_id or ctx.session_id
        options.user_id = options.user_id or ctx.user_id
        specs.append(
            start_pb2.RunSpec(
                kind=child.kind,
                name=child.name,
                input_json=child.input_json,
                options=options,
                **child.said,
            )
        )
    start = steps_pb2.StartRuns(runs=specs, wait=wait, outlive_parent=outlive_parent)
    return steps_pb2.StepRequest(key=key, start_runs=start)


def handle_of(
    key: str, child: Child, told: dict[str, Any], ctx: RunIdentity
) -> ExecutionHandle:
    return ExecutionHandle(
        id=told["run_id"],
        workflow_id=child.name,
        parent_execution_id=ctx.execution_id,
        root_workflow_id=ctx.root_workflow_id,
        root_execution_id=ctx.root_execution_id,
        session_id=child.options.session_id or ctx.session_id or None,
        user_id=child.options.user_id or ctx.user_id or None,
        step_key=key,
    )


def error_of(told: dict[str, Any]) -> tuple[str, str] | None:
    """Reason and sentence of a child that did not complete; None: it did."""
    status = str(told.get("status") or "").lower().removeprefix("run_status_")
    if status in ("completed", "") and not told.get("error"):
        return None
    error = told.get("error")
    if isinstance(error, dict):
        reason = error.get("reason") or error.get("type") or ""
        return str(reason or status.upper()), str(error.get("message") or f"the run was {status}")
    return status.upper(), str(error or f"the run was {status}")


def value_of(child: Child, told: dict[str, Any]) -> Any:
    """A completed child's result; of an agent an AgentResult. Raises OutputError for one that
    does not fit, UnknownClassError for one of a class that is not here."""
    value = told.get("result")
    if child.kind != common_pb2.RUN_KIND_AGENT:
        func = getattr(child.target, "func", None)
        return child_result_of(value, told.get("result_type") or "", func)
    agent = child.target
    schema = None if agent is None else agent.output_schema
    usage = told.get("usage")
    steps = [_step_of(step, agent) for step in told.get("steps") or []]
    return AgentResult(
        agent_run_id=told.get("run_id", ""),
        result=value if schema is None else _fitted(schema, value),
        result_schema=None if schema is None else class_path(schema),
        tool_results=[result for step in steps for result in step.tool_results],
        steps=steps,
        total_steps=told.get("total_steps") or 0,
        usage=Usage.model_validate(usage if isinstance(usage, dict) else {}),
        stop_reason=told.get("stop_reason") or "",
    )


def _step_of(told: dict[str, Any], agent: StartableAgent | None) -> Step:
    calls = [
        ToolCall(
            id=call["call_id"],
            call_id=call["call_id"],
            function=ToolCallFunction(name=call["name"], arguments=call["arguments_json"]),
        )
        for call in told["tool_calls"]
    ]
    return Step(
        step=told["step"],
        content=told["content"],
        tool_calls=calls,
        tool_results=[_tool_result_of(result, agent) for result in told["tool_results"]],
        usage=Usage.model_validate(told["usage"]),
    )


def _tool_result_of(told: dict[str, Any], agent: StartableAgent | None) -> ToolResult:
    error = told.get("error")
    value, schema = None, None
    if error is None:
        value, schema = typed_result(agent, told["tool_name"], told.get("result"))
    return ToolResult(
        tool_name=told["tool_name"],
        status="completed" if error is None else "failed",
        result=value,
        result_schema=schema,
        error=None if error is None else error["message"],
        tool_call_id=told["call_id"],
        tool_call_call_id=told["call_id"],
    )


def _fitted(schema: type[BaseModel], value: Any) -> BaseModel:
    try:
        if isinstance(value, str):
            return schema.model_validate_json(value)
        return schema.model_validate(value)
    except ValidationError as error:
        raise OutputError(
            f"the answer does not fit {class_path(schema)}: {sentences(error)}", text=str(value)
        ) from error


def batch_result(child: Child, told: dict[str, Any]) -> BatchStepResult:
    error = error_of(told)
    if error is not None:
        return BatchStepResult(workflow_id=child.name, success=False, error=error[1])
    try:
        value = value_of(child, told)
    except (PolosError, ValueError) as problem:
        return BatchStepResult(workflow_id=child.name, success=False, error=str(problem))
    return BatchStepResult(workflow_id=child.name, success=True, result=value)
