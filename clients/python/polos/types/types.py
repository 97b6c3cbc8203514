"""What runs give back, as pydantic models."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Generic

from pydantic import BaseModel, ConfigDict, Field
from typing_extensions import TypeVar

R = TypeVar("R", default=Any)  # pydantic checks what is not said by the default


class Usage(BaseModel):
    """Tokens as the provider counted them, summed over the model calls of a run or turn."""

    input_tokens: int = 0
    output_tokens: int = 0
    total_tokens: int = 0
    cache_read_input_tokens: int | None = None
    cache_creation_input_tokens: int | None = None


class ToolCallFunction(BaseModel):
    """A tool's name and the raw argument text the model sent (JSON unless the model erred)."""

    name: str
    arguments: str


class ToolCall(BaseModel):
    """A tool call the model asked for."""

    id: str
    type: str = "function"
    function: ToolCallFunction
    call_id: str | None = None


class ToolResult(BaseModel):
    """What came of a tool call.

    `status` is "completed" or "failed"; then `error` is the sentence the model was shown.
    """

    tool_name: str
    status: str
    result: Any | None = None
    result_schema: str | None = None
    error: str | None = None
    tool_call_id: str
    tool_call_call_id: str


class Step(BaseModel):
    """One turn of an agent, from 1: a model call and the tools it asked for."""

    step: int
    content: Any | None = None
    tool_calls: list[ToolCall] = []
    tool_results: list[ToolResult] = []
    usage: Usage | None = None
    raw_output: Any | None = None


class AgentConfig(BaseModel):
    """An agent as its hooks are told of it.

    Attributes:
        name: its id.
        tools: what the model is told of its tools: name, description, parameters.
    """

    name: str
    provider: str
    model: str
    tools: list[dict[str, Any]] = []
    system_prompt: str | None = None
    max_output_tokens: int | None = None
    temperature: float | None = None
    top_p: float | None = None
    provider_base_url: str | None = None
    provider_llm_api: str | None = None
    provider_kwargs: dict[str, Any] | None = None
    output_schema: dict[str, Any] | None = None
    output_schema_name: str | None = None
    guardrail_max_retries: int | None = None


class AgentResult(BaseModel, Generic[R]):
    """How an agent run ended.

    Attributes:
        agent_run_id: the run.
        result: the answer: text, or an instance of the agent's output_schema.
        result_schema: the output_schema's "module.Class"; None for text.
        tool_results: every tool call of the run, in order.
        total_steps: model calls that gave an answer.
        usage: tokens of all of them.
        steps: the turns.
        stop_reason: "end", "max_steps", "max_tokens", "length", "content_filter", "refusal", or
            "hook": on_agent_step_start failed.
    """

    agent_run_id: str
    result: R = None  # type: ignore[assignment]
    result_schema: str | None = None
    tool_results: list[ToolResult] = []
    total_steps: int
    usage: Usage
    steps: list[Step] = []
    stop_reason: str = ""


class BatchWorkflowInput(BaseModel):
    """A run to be started among others.

    Attributes:
        id: the workflow's id.
        payload: its payload.
        initial_state: what `ctx.state` begins with.
        run_timeout_seconds: seconds it may take, waits not counted.
        queue: the name of the queue it waits in; None: its workflow's own.
        concurrency_key: whose turn it is within the queue.
        priority: within its key, higher ones go first; None: 0.
    """

    model_config = ConfigDict(extra="forbid")

    id: str
    payload: Any | None = None
    initial_state: BaseModel | dict[str, Any] | None = None
    run_timeout_seconds: float | None = None
    queue: str | None = None
    concurrency_key: str | None = None
    priority: int | None = None


class BatchStepResult(BaseModel):
    """How one run of a batch ended: `result`, or `error` when it failed or was cancelled."""

    workflow_id: str
    success: bool
    result: Any | None = None
    error: str | None = None


class ResumeResult(BaseModel):
    """What became of an answer to a suspension.

    Attributes:
        accepted: False: the suspension was over; this answer changed nothing.
        kept: the run is not suspended there yet; the answer is kept until it is.
        existed: not accepted, but this very answer, by the same hand, had been.
    """

    accepted: bool
    kept: bool = False
    existed: bool = False


class Suspension(BaseModel):
    """A run's wait for an answer from outside.

    Attributes:
        id: names this question and no other.
        run_id, step_key: where; what client.resume() takes.
        data: what the run shows.
        answer_schema: the JSON Schema its answer must fit; None: any JSON.
        name: the run's workflow, agent or tool.
        root_run_id: the top of its tree.
        since: when it began.
        deadline: when it times out; None: never.
        is_open: False: it was answered, timed out, or is no longer asked.
        resumed_by, answer, resumed_at: who answered, what and when; None: nobody yet.
    """

    id: str
    run_id: str
    step_key: str
    data: Any = None
    answer_schema: dict[str, Any] | bool | None = None
    name: str = ""
    root_run_id: str = ""
    since: datetime
    deadline: datetime | None = None
    is_open: bool = True
    resumed_by: str | None = None
    answer: Any = None
    resumed_at: datetime | None = None


class StreamEvent(BaseModel):
    """One event of a run's stream; `StreamResult.events` lists the types.

    `id` is the position in the stream: opaque, unique, in order.
    """

    id: str
    sequence_id: int
    topic: str
    event_type: str | None = None
    data: dict[str, Any] = Field(default_factory=dict)
    created_at: str | None = None


class HistoryEvent(BaseModel):
    """One event of a run's journal.

    Attributes:
        seq: from 1, without gaps.
        time_ms: Unix milliseconds when it was decided.
        type: "RUN_STARTED", "MODEL_REQUESTED", ...
        effect_id: the effect (model call, task) it is about; 0: none.
        attempt: which attempt of it, from 1; 0: none.
        data: the rest, under the names that the API gives it.
    """

    seq: int
    time_ms: int
    type: str
    effect_id: int = 0
    attempt: int = 0
    data: dict[str, Any] = Field(default_factory=dict)
