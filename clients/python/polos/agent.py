"""Agents: a model, a prompt and tools, run by the server's durable loop."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, Generic
from uuid import UUID

from pydantic import BaseModel
from typing_extensions import TypeVar

from . import _registry, sync
from ._checks import check_client, checked_id, refuse, spelling_checked
from ._codec.schema import schema_of
from ._execution.starts import AgentRunConfig
from ._starter import Starter
from .errors import UnsupportedFeatureError
from .handle import ExecutionHandle
from .guardrail import AgentGuardrail, guardrail_definition, guardrails_of
from .hook import AgentHook, hooks_of
from .queue import Queue, default_name, name_of
from .stop_conditions import combined
from .stream import StreamStart
from .tool import Tool
from .types import AgentConfig, AgentResult
from .v1 import definitions_pb2
from .workflow import Workflow

Input = str | list[dict[str, Any]]


T = TypeVar("T", default=str)

AgentCallback = AgentHook | AgentGuardrail


class Agent(Workflow[Any, AgentResult[T]], Generic[T]):
    """A model, a prompt and tools under an id; `T` is what it answers: text, or its output_schema.

    The loop runs in the server: it calls the model, has the tools run by a host (this process, or
    any other that offers them), feeds their results back, and writes every fact down before it
    goes on. A run survives the end of the server and of this process.

    Args:
        id: 1 to 128 letters, digits, '_', '-' or '.'.
        provider: a provider the server knows: "openai", "groq", "scripted", ...
        model: the model's name as the provider knows it.
        description: for people.
        system_prompt: what the model is told first.
        tools: functions decorated with @tool.
        temperature: as the provider defines it; None: its default.
        max_output_tokens: per model call; None: the provider's default.
        provider_base_url: where the provider is reached, instead of its usual address.
        provider_llm_api: how a provider is spoken to; None: as it likes best, which of "openai" is
            "responses" and of all others of its dialect "chat_completions".
        queue: the Queue its runs wait in, its name, or {"name": ..., "concurrency_limit": 5}. A
            name alone defines a queue without limits, where there is none.
        stop_conditions: max_steps(...), max_tokens(...).
        stream_to_workflow: events.stream_workflow of a run above tells its text as it is written.
        output_schema: a pydantic model the answer has to fit; `AgentResult.result` is one of it.
            The server judges it by its JSON Schema.
        on_start, on_end, on_agent_step_start, on_agent_step_end, on_tool_start, on_tool_end:
            functions of (ctx, hook_ctx), or lists of them, that the run asks there; see @hook.
        guardrails: functions of (ctx, guardrail_ctx) and sentences, or one of them: they judge each
            reply before its tools are called and before its text is streamed; see @guardrail.
        guardrail_max_retries: how often a turn's reply that they turn down is asked for again.
        output_retries: how often an answer that does not fit is asked for again, with what is
            wrong, before the run fails with OUTPUT_INVALID; None: once; at most 10.

    The other arguments belong to features this release does not have and raise
    UnsupportedFeatureError.
    """

    kind = "agent"

    @spelling_checked("Agent")
    def __init__(
        self,
        id: str,
        provider: str,
        model: str,
        description: str | None = None,
        system_prompt: str | None = None,
        tools: list[Any] | None = None,
        temperature: float | None = None,
        max_output_tokens: int | None = None,
        provider_base_url: str | None = None,
        provider_llm_api: str | None = None,
        queue: str | Queue | dict[str, Any] | None = None,
        stop_conditions: list[Any] | None = None,
        output_schema: type[T] | None = None,
        on_start: Callable[..., Any] | list[Callable[..., Any]] | None = None,
        on_end: Callable[..., Any] | list[Callable[..., Any]] | None = None,
        on_agent_step_start: Callable[..., Any] | list[Callable[..., Any]] | None = None,
        on_agent_step_end: Callable[..., Any] | list[Callable[..., Any]] | None = None,
        on_tool_start: Callable[..., Any] | list[Callable[..., Any]] | None = None,
        on_tool_end: Callable[..., Any] | list[Callable[..., Any]] | None = None,
        guardrails: Any = None,
        guardrail_max_retries: int = 2,
        compaction: Any = None,
        stream_to_workflow: bool = False,
        channels: Any = None,
        conversation_history: int | None = None,
        output_retries: int | None = None,
    ) -> None:
        refuse(
            "Agent",
            compaction=compaction,
            channels=channels,
            conversation_history=conversation_history,
        )
        self.id = checked_id(id, "agent")
        self.func = None
        self.state_schema, self.on_cancel, self.trigger, self.schedule = None, None, None, None
        self.provider = provider
        self.provider_llm_api = provider_llm_api
        self._provider_row = _provider_row(provider, provider_llm_api)
        self.model = model
        self.description = description or ""
        self.system_prompt = system_prompt
        self.tools = _checked_tools(self.id, tools or [])
        self.temperature = temperature
        self.max_output_tokens = max_output_tokens
        self.provider_base_url = provider_base_url
        self.stop_conditions = list(stop_conditions or [])
        self.stream_to_workflow = stream_to_workflow
        self.output_schema = _checked_schema(self.id, output_schema)
        self.output_retries = output_retries
        self.queue = default_name(self.id) if queue is None else name_of(queue, self.id)
        self.hooks = hooks_of(
            self.id,
            on_start=on_start,
            on_end=on_end,
            on_agent_step_start=on_agent_step_start,
            on_agent_step_end=on_agent_step_end,
            on_tool_start=on_tool_start,
            on_tool_end=on_tool_end,
        )
        self.guardrails = guardrails_of(self.id, guardrails)
        self.guardrail_max_retries = guardrail_max_retries
        self.callbacks: list[AgentCallback] = [
            *self.hooks,
            *(each for each in self.guardrails if isinstance(each, AgentGuardrail)),
        ]
        self._definition = self._define()
        _registry.agents[self.id] = self

    def __call__(self, *arguments: Any, **more: Any) -> Any:
        raise TypeError(
            f"agent {self.id!r} is not called but started: .run(client, input) from outside, "
            "ctx.step.agent_invoke_and_wait(key, agent.with_input(...)) inside a workflow"
        )

    def definition(self) -> definitions_pb2.AgentDefinition:
        """As the server stores it."""
        return self._definition

    def callback(self, name: str) -> AgentCallback | None:
        """Its hook or guardrail of this name, as its definition has it."""
        return next((each for each in self.callbacks if each.name == name), None)

    def config(self) -> AgentConfig:
        """As its hooks and guardrails are told of it."""
        told = self._definition
        schema = self.output_schema
        return AgentConfig(
            name=self.id,
            provider=self.provider,
            model=self.model,
            tools=[
                {
                    "name": tool.id,
                    "description": tool.description,
                    "parameters": json.loads(tool.parameters_json or "{}"),
                }
                for tool in told.tools
            ],
            system_prompt=self.system_prompt,
            max_output_tokens=self.max_output_tokens,
            temperature=self.temperature,
            provider_base_url=self.provider_base_url,
            provider_llm_api=self.provider_llm_api,
            output_schema=json.loads(told.output_schema_json) if schema else None,
            output_schema_name=None if schema is None else schema.__name__,
            guardrail_max_retries=self.guardrail_max_retries,
        )

    def _define(self) -> definitions_pb2.AgentDefinition:
        stop = combined(self.stop_conditions)
        schema = "" if self.output_schema is None else _schema_text(self.output_schema)
        return definitions_pb2.AgentDefinition(
            id=self.id,
            description=self.description,
            models=[
                definitions_pb2.ModelSpec(
                    provider=self._provider_row,
                    model=self.model,
                    base_url=self.provider_base_url or "",
                    temperature=self.temperature,
                    max_output_tokens=self.max_output_tokens or 0,
                )
            ],
            system_prompt=self.system_prompt or "",
            tools=[tool.definition() for tool in self.tools],
            max_turns=stop.max_steps,
            stop_conditions=(
                [definitions_pb2.StopCondition(max_tokens=stop.max_total_tokens)]
                if stop.max_total_tokens
                else []
            ),
            output_schema_json=schema,
            output_retries=self.output_retries,
            queue=self.queue,
            hooks=[each.definition() for each in self.hooks],
            guardrails=[guardrail_definition(each) for each in self.guardrails],
            guardrail_max_retries=self.guardrail_max_retries if self.guardrails else None,
        )

    async def run(  # type: ignore[override]
        self,
        client: Starter,
        input: Input,
        initial_state: BaseModel | dict[str, Any] | None = None,
        session_id: str | UUID | None = None,
        user_id: str | None = None,
        timeout: float | None = 600.0,
        conversation_id: str | UUID | None = None,
        queue: str | Queue | None = None,
        concurrency_key: str | None = None,
        priority: int | None = None,
        idempotency_key: str | None = None,
        **provider_kwargs: Any,
    ) -> AgentResult[T]:
        """Runs the agent and returns its answer.

        The first call of a script attaches this process as a host for the tools defined so far;
        it leaves with the event loop or with `await client.close()`. The run survives the server:
        when it goes away and comes back in time, the answer arrives as if nothing had happened.

        Args:
            client: which server.
            input: what the user says, or messages: [{"role": "user", "content": "..."}, ...].
            session_id, user_id, conversation_id: kept with the run; tools see them in
                their context.
            timeout: seconds the run may take; None: the server's own limit only.
            queue: the queue it waits in, or its name; None: the agent's own.
            concurrency_key: whose turn it is within the queue: a user, a tenant.
            priority: within its key, higher ones go first; None: 0.
            idempotency_key: 1 to 200 bytes. For 24 hours, the same key finds the run it started
                first; None: every call starts one.
            provider_kwargs: anything else goes into the body of the model call as it is.

        Raises: RunFailedError, RunCancelledError, WorkflowTimeoutError, OutputError (the answer
            does not fit output_schema), UnavailableError (no server), InvalidArgumentError.
        """
        check_client(client, "agent.run")
        config = self.with_input(
            input,
            initial_state,
            session_id,
            user_id,
            run_timeout_seconds=timeout,
            conversation_id=conversation_id,
            queue=queue,
            concurrency_key=concurrency_key,
            priority=priority,
            idempotency_key=idempotency_key,
            **provider_kwargs,
        )
        run = await client._start_agent(config)
        return await client._agent_result(self, run.id, timeout)

    def run_sync(  # type: ignore[override]
        self, client: Starter, input: Input, **options: Any
    ) -> AgentResult[T]:
        """As run(), for code without an event loop: waits in a thread of its own. Also works where
        a loop runs, as in a notebook; not inside a tool or workflow."""
        return sync.run(lambda: self.run(client, input, **options))

    def stream(
        self,
        client: Starter,
        input: Input,
        initial_state: BaseModel | dict[str, Any] | None = None,
        session_id: str | UUID | None = None,
        user_id: str | None = None,
        run_timeout_seconds: int | None = None,
        conversation_id: str | UUID | None = None,
        timeout: float | None = None,
        queue: str | Queue | None = None,
        concurrency_key: str | None = None,
        priority: int | None = None,
        idempotency_key: str | None = None,
        **provider_kwargs: Any,
    ) -> StreamStart[T]:
        """Starts a run and returns at once; the result's `text_chunks` and `events` follow it.

            stream = await agent.stream(client, "hi")
            async with agent.stream(client, "hi") as stream: ...

        Arguments and errors as for run(); `run_timeout_seconds` and `timeout` mean the same.
        """
        check_client(client, "agent.stream")
        config = self.with_input(
            input,
            initial_state,
            session_id,
            user_id,
            streaming=True,
            run_timeout_seconds=run_timeout_seconds if timeout is None else timeout,
            conversation_id=conversation_id,
            queue=queue,
            concurrency_key=concurrency_key,
            priority=priority,
            idempotency_key=idempotency_key,
            **provider_kwargs,
        )
        return StreamStart(client, self, client._start_agent(config))

    async def invoke(
        self,
        client: Starter,
        payload: Any = None,
        queue: str | Queue | None = None,
        concurrency_key: str | None = None,
        session_id: str | UUID | None = None,
        user_id: str | None = None,
        initial_state: BaseModel | dict[str, Any] | None = None,
        run_timeout_seconds: float | None = None,
        max_retries: int | None = None,
        priority: int | None = None,
        *,
        idempotency_key: str | None = None,
    ) -> ExecutionHandle:
        """Starts a run and returns its handle at once; `payload` is its input, or {"input": ...}.
        """
        check_client(client, "agent.invoke")
        refuse("agent.invoke", max_retries=max_retries)
        config = self.with_input(
            payload,
            initial_state,
            session_id,
            user_id,
            run_timeout_seconds=run_timeout_seconds,
            queue=queue,
            concurrency_key=concurrency_key,
            priority=priority,
            idempotency_key=idempotency_key,
        )
        return await client._start_agent(config)

    def with_input(
        self,
        input: Input,
        initial_state: BaseModel | dict[str, Any] | None = None,
        session_id: str | UUID | None = None,
        user_id: str | None = None,
        streaming: bool = False,
        run_timeout_seconds: float | None = None,
        conversation_id: str | UUID | None = None,
        queue: str | Queue | None = None,
        concurrency_key: str | None = None,
        priority: int | None = None,
        idempotency_key: str | None = None,
        **kwargs: Any,
    ) -> AgentRunConfig[T]:
        """This agent with what it is to be run with, for ctx.step.agent_invoke and its kin.

        Arguments as for run(); session and user default to those of the run that invokes it.
        """
        return AgentRunConfig(
            self,
            input,
            session_id,
            user_id,
            streaming,
            initial_state,
            run_timeout_seconds,
            conversation_id=conversation_id,
            queue=queue,
            concurrency_key=concurrency_key,
            priority=priority,
            idempotency_key=idempotency_key,
            **kwargs,
        )


def _provider_row(provider: str, llm_api: str | None) -> str:
    """The server's name for a provider that is spoken to in this way."""
    if llm_api is None or (provider, llm_api) == ("openai", "responses"):
        return provider
    if llm_api == "chat_completions":
        return "openai_chat" if provider == "openai" else provider
    raise UnsupportedFeatureError(
        f"Agent(provider={provider!r}, provider_llm_api={llm_api!r})", '"chat_completions" is'
    )


def _checked_tools(agent_id: str, tools: list[Any]) -> list[Tool]:
    names: set[str] = set()
    for tool in tools:
        if isinstance(tool, dict):
            raise UnsupportedFeatureError(
                f"Agent(tools=[{{...}}]) with a provider's built-in tool in agent {agent_id!r}"
            )
        if not isinstance(tool, Tool):
            name = getattr(tool, "__name__", repr(tool))
            raise TypeError(
                f"{name} in the tools of agent {agent_id!r} is no tool: decorate it with @tool"
            )
        if tool.id in names:
            raise ValueError(f"agent {agent_id!r} has two tools named {tool.id!r}")
        names.add(tool.id)
    return list(tools)


def _checked_schema(agent_id: str, schema: type[Any] | None) -> type[BaseModel] | None:
    if schema is None or (isinstance(schema, type) and issubclass(schema, BaseModel)):
        return schema
    raise TypeError(f"the output_schema of agent {agent_id!r} must be a pydantic BaseModel class")


def _schema_text(schema: type[BaseModel]) -> str:
    return json.dumps(schema_of(schema, closed=True), ensure_ascii=False)
