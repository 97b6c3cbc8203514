"""Decorators and constructors: what they make of functions, and what they refuse."""

from __future__ import annotations

import inspect
import json
import re
from typing import Any

import pytest
from pydantic import BaseModel, ValidationError

import polos
import polos.step
from polos._codec.values import Given
from polos import (
    Agent,
    MaxStepsConfig,
    MaxTokensConfig,
    PolosClient,
    Tool,
    UnsupportedFeatureError,
    Workflow,
    WorkflowContext,
    max_steps,
    max_tokens,
    tool,
    workflow,
)
from polos.v1 import common_pb2


class City(BaseModel):
    city: str


def an_agent(**arguments: Any) -> Agent:
    return Agent(**{"id": "a", "provider": "openai", "model": "m", **arguments})


def test_a_tool_takes_its_name_schema_and_description_from_the_function():
    @tool
    async def get_weather(ctx: WorkflowContext, input: City) -> dict:
        """Get weather for a city"""
        return {}

    assert isinstance(get_weather, Tool)
    definition = get_weather.definition()
    assert definition.id == "get_weather"
    assert definition.description == "Get weather for a city"
    schema = json.loads(definition.parameters_json)
    assert schema["properties"]["city"]["type"] == "string"
    assert schema["additionalProperties"] is False and schema["required"] == ["city"]


def test_a_model_of_the_enclosing_function_is_found():
    class Local(BaseModel):
        x: int

    @tool(id="t", description="d", timeout=2.5, at_most_once=True)
    def t(ctx, input: Local):
        return input.x

    assert t.parameters["properties"].keys() == {"x"}
    assert t.definition().timeout.ToMilliseconds() == 2500
    assert t.definition().on_lost == common_pb2.LOST_CALL_UNKNOWN


def test_a_tool_without_input_takes_an_empty_object():
    @tool
    def ping(ctx):
        return "pong"

    assert json.loads(ping.definition().parameters_json) == {"type": "object", "properties": {}}


def test_what_is_no_tool_is_refused():
    with pytest.raises(TypeError, match="must be a pydantic BaseModel"):

        @tool
        def wrong(ctx, input: int):
            return input

    with pytest.raises(TypeError, match=r"takes \(ctx\) or \(ctx, input\)"):

        @tool
        def too_many(ctx, a, b):
            return a

    with pytest.raises(ValueError, match="id 'no spaces' is no name that models"):
        tool(id="no spaces")(lambda ctx: None)
    with pytest.raises(UnsupportedFeatureError, match=r"tool\(approval=...\) is not supported"):
        tool(approval="always")
    with pytest.raises(TypeError, match="decorate it with @tool"):
        an_agent(tools=[print])
    with pytest.raises(UnsupportedFeatureError, match="built-in tool"):
        an_agent(tools=[{"type": "web_search"}])


UNSUPPORTED = {
    "compaction": {},
    "channels": ["slack"],
    "provider_llm_api": "realtime",
}


@pytest.mark.parametrize("name", UNSUPPORTED)
def test_an_agent_argument_without_its_feature_is_refused_by_name(name):
    with pytest.raises(UnsupportedFeatureError, match=name) as caught:
        an_agent(**{name: UNSUPPORTED[name]})
    assert isinstance(caught.value, NotImplementedError)


def test_an_unknown_agent_argument_is_refused():
    with pytest.raises(TypeError):
        an_agent(colour="red")


def test_stop_conditions_become_limits():
    agent = an_agent(
        stop_conditions=[
            max_steps(MaxStepsConfig(limit=15)),
            max_steps(MaxStepsConfig(count=10)),
            max_tokens(MaxTokensConfig(limit=50000)),
        ]
    )
    assert agent.definition().max_turns == 10
    assert [c.max_tokens for c in agent.definition().stop_conditions] == [50000]
    assert an_agent(stop_conditions=[max_steps]).definition().max_turns == 20
    assert max_steps(limit=3).max_steps == 3
    with pytest.raises(UnsupportedFeatureError, match="stop_conditions"):
        an_agent(stop_conditions=[lambda ctx: True])
    with pytest.raises(ValidationError):
        MaxStepsConfig(limits=15)
    with pytest.raises(ValidationError):
        MaxTokensConfig(limit=0)


def test_an_agent_definition_carries_everything():
    @tool
    def t(ctx):
        return 1

    agent = an_agent(
        description="d",
        system_prompt="s",
        tools=[t],
        temperature=0.0,
        max_output_tokens=10,
        provider_base_url="http://x",
        output_schema=City,
    )
    definition = agent.definition()
    (model,) = definition.models
    assert model.HasField("temperature") and model.temperature == 0.0
    assert not an_agent().definition().models[0].HasField("temperature")
    assert [each.id for each in definition.tools] == ["t"]
    assert json.loads(definition.output_schema_json)["required"] == ["city"]
    assert model.base_url == "http://x" and model.max_output_tokens == 10


def test_a_workflow_takes_typed_and_untyped_payloads():
    @workflow
    async def untyped(ctx, payload):
        return payload

    @workflow(id="typed", description="d")
    async def other(ctx: WorkflowContext, payload: City):
        return payload.city

    assert isinstance(untyped, Workflow) and untyped.id == "untyped"
    assert untyped._arguments(Given('{"a":1}')) == [{"a": 1}]
    assert other._arguments(Given('{"city":"x"}')) == [City(city="x")]
    assert polos.get_all_workflows() == {"untyped": untyped, "typed": other}
    with pytest.raises(ValueError, match="workflow 'typed' do not fit: city: Field required"):
        other._arguments(Given("{}"))
    with pytest.raises(TypeError, match="on_start of workflow 'bad' holds 'x'"):
        workflow(id="bad", on_start="x")(lambda ctx: None)


def test_every_export_exists():
    for name in polos.__all__:
        assert getattr(polos, name) is not None


# As the documentation has them; what a call may be given beyond that comes after.
DOCUMENTED = """
Agent.run(self, client, input, initial_state=None, session_id=None, user_id=None, timeout=600.0)
Agent.stream(self, client, input, initial_state=None, session_id=None, user_id=None, \
run_timeout_seconds=None)
Agent.with_input(self, input, initial_state=None, session_id=None, user_id=None, streaming=False, \
run_timeout_seconds=None)
AgentRunConfig(agent, input, session_id=None, user_id=None, streaming=False, initial_state=None, \
run_timeout_seconds=None)
Agent(id, provider, model, description=None, system_prompt=None, tools=None, temperature=None, \
max_output_tokens=None, provider_base_url=None, provider_llm_api=None, queue=None, \
stop_conditions=None, output_schema=None, on_start=None, on_end=None, on_agent_step_start=None, \
on_agent_step_end=None, on_tool_start=None, on_tool_end=None, guardrails=None, \
guardrail_max_retries=2, compaction=None, stream_to_workflow=False)
Workflow.invoke(self, client, payload=None, queue=None, concurrency_key=None, session_id=None, \
user_id=None, initial_state=None, run_timeout_seconds=None)
Workflow.run(self, client, payload=None, queue=None, concurrency_key=None, session_id=None, \
user_id=None, timeout=600.0, initial_state=None)
workflow(id=None, description=None, queue=None, trigger_on_event=None, batch_size=1, \
batch_timeout_seconds=None, schedule=None, on_start=None, on_end=None, state_schema=None)
get_workflow(workflow_id)
get_all_workflows()
Tool(id, description=None, parameters=None, func=None, queue=None, on_start=None, on_end=None, \
approval=None)
tool(id=None, description=None, parameters=None, queue=None, on_start=None, on_end=None, \
approval=None)
Step.run(self, step_key, func, *args, max_retries=2, base_delay=1.0, max_delay=10.0, **kwargs)
Step.wait_for(self, step_key, seconds=None, minutes=None, hours=None, days=None, weeks=None)
Step.wait_until(self, step_key, timestamp)
Step.wait_for_event(self, step_key, topic, timeout=None)
Step.publish_event(self, step_key, topic, data, event_type=None)
Step.publish_workflow_event(self, step_key, data, event_type=None)
Step.suspend(self, step_key, data, timeout=None)
Step.resume(self, step_key, suspend_step_key, suspend_execution_id, suspend_workflow_id, data)
Step.invoke(self, step_key, workflow, payload, initial_state=None, queue=None, \
concurrency_key=None, run_timeout_seconds=None)
Step.invoke_and_wait(self, step_key, workflow, payload, initial_state=None, queue=None, \
concurrency_key=None, run_timeout_seconds=None)
Step.batch_invoke(self, step_key, workflows)
Step.batch_invoke_and_wait(self, step_key, workflows)
Step.agent_invoke(self, step_key, config)
Step.agent_invoke_and_wait(self, step_key, config)
Step.batch_agent_invoke(self, step_key, configs)
Step.batch_agent_invoke_and_wait(self, step_key, configs)
Step.uuid(self, step_key)
Step.now(self, step_key)
Step.random(self, step_key)
Step.trace(self, name, attributes=None)
Polos(project_id=None, api_url=None, api_key=None, deployment_id=None, port=8000, \
max_concurrent_workflows=None, channels=None, log_file=None)
Polos.invoke(self, workflow_id, payload=None, queue_name=None, queue_concurrency_limit=None, \
concurrency_key=None, session_id=None, user_id=None, initial_state=None, run_timeout_seconds=None)
Polos.batch_invoke(self, workflows, session_id=None, user_id=None)
Polos.resume(self, suspend_workflow_id, suspend_execution_id, suspend_step_key, data)
Polos.get_execution(self, execution_id)
Polos.cancel_execution(self, execution_id)
PolosClient(api_url=None, api_key=None, project_id=None, deployment_id=None)
PolosClient.invoke(self, workflow_id, payload=None, queue_name=None, queue_concurrency_limit=None, \
concurrency_key=None, session_id=None, user_id=None, initial_state=None, run_timeout_seconds=None)
PolosClient.batch_invoke(self, workflows, session_id=None, user_id=None)
PolosClient.resume(self, suspend_workflow_id, suspend_execution_id, suspend_step_key, data)
PolosClient.get_execution(self, execution_id)
PolosClient.cancel_execution(self, execution_id)
ExecutionHandle.get(self, client)
ExecutionHandle.cancel(self, client)
Queue(name, concurrency_limit=None)
queue(name, concurrency_limit=None)
batch_invoke(client, workflows, session_id=None, user_id=None)
batch_agent_invoke(client, agents)
events.batch_publish(client, topic, events, execution_id=None, root_execution_id=None)
events.publish(client, topic, event_data, execution_id=None, root_execution_id=None)
events.stream_topic(client, topic, last_sequence_id=None, last_timestamp=None)
events.stream_workflow(client, workflow_id, workflow_run_id, last_sequence_id=None, \
last_timestamp=None)
schedules.create(client, workflow, cron, timezone='UTC', key='global')
StepExecutionError(reason=None)
WorkflowTimeoutError(execution_id=None, timeout_seconds=None)
"""


def parameters_of(signature: inspect.Signature) -> list[tuple[str, Any]]:
    kinds = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    return [
        (p.name, str(p.kind) if p.kind in kinds else p.default)
        for p in signature.parameters.values()
    ]


@pytest.mark.parametrize("documented", re.sub(r" *\\\n", "", DOCUMENTED).split("\n")[1:-1])
def test_a_signature_is_the_documented_one(documented):
    """The same parameters, in the same order; what is required there may have a default here."""
    path, _, rest = documented.partition("(")
    found: Any = polos
    for name in path.split("."):
        found = polos.step.Step if name == "Step" else getattr(found, name)
    scope: dict[str, Any] = {}
    exec(f"def wanted({rest}: pass", scope)
    wanted = parameters_of(inspect.signature(scope["wanted"]))
    has = parameters_of(inspect.signature(found))
    for (name, default), (own_name, own_default) in zip(wanted, has, strict=False):
        assert own_name == name
        assert default is inspect.Parameter.empty or own_default == default, name
    assert len(has) >= len(wanted)


MODELS = {
    "BatchWorkflowInput": ["id", "payload", "initial_state", "run_timeout_seconds"],
    "BatchStepResult": ["workflow_id", "success", "result", "error"],
    "AgentResult": [
        "agent_run_id", "result", "result_schema", "tool_results", "total_steps", "usage",
    ],
    "ToolResult": [
        "tool_name", "status", "result", "result_schema", "error", "tool_call_id",
        "tool_call_call_id",
    ],
    "Step": ["step", "content", "tool_calls", "tool_results", "usage", "raw_output"],
    "Usage": [
        "input_tokens", "output_tokens", "total_tokens", "cache_read_input_tokens",
        "cache_creation_input_tokens",
    ],
    "ExecutionHandle": [
        "id", "workflow_id", "created_at", "parent_execution_id", "root_workflow_id",
        "root_execution_id", "session_id", "user_id", "step_key",
    ],
    "EventPayload": ["id", "sequence_id", "topic", "event_type", "data", "created_at"],
    "SchedulePayload": [
        "timestamp", "last_timestamp", "timezone", "schedule_id", "key", "upcoming",
    ],
}


@pytest.mark.parametrize("name", MODELS)
def test_a_model_has_the_documented_fields(name):
    assert list(getattr(polos, name).model_fields)[: len(MODELS[name])] == MODELS[name]


EXPORTS = """
Polos workflow Workflow get_workflow get_all_workflows PolosClient ExecutionHandle Queue queue
batch_invoke batch_agent_invoke Agent AgentStreamHandle StreamResult stop_condition max_steps
max_tokens executed_tool has_text MaxTokensConfig MaxStepsConfig ExecutedToolConfig HasTextConfig
StopConditionContext tool Tool ToolApproval hook HookContext HookResult HookAction guardrail
GuardrailContext GuardrailResult Worker WorkflowContext AgentContext WorkflowState events schedules
SchedulePayload EventPayload BatchEventPayload BatchStepResult Step Usage ToolCall ToolResult
ToolCallFunction AgentConfig WorkflowTimeoutError StepExecutionError BatchWorkflowInput
sandbox_tools SandboxToolsConfig SandboxManager ManagedSandbox ExecutionEnvironment
DockerEnvironment LocalEnvironment DockerEnvironmentConfig E2BEnvironmentConfig
LocalEnvironmentConfig ExecToolConfig ExecOptions ExecResult GlobOptions GrepOptions GrepMatch
EnvironmentInfo create_ask_user_tool AskUserInput AskUserField AskUserFieldOption
create_web_search_tool WebSearchToolConfig WebSearchResult WebSearchResultItem WebSearchOptions
WebSearchFunction Channel ChannelContext ChannelOutputMode SuspendNotification SlackChannel
SlackChannelConfig
""".split()


@pytest.mark.parametrize("name", EXPORTS)
def test_a_documented_name_is_there_or_says_that_it_is_not(name):
    if name in polos.__all__:
        assert getattr(polos, name) is not None
        return
    with pytest.raises(UnsupportedFeatureError, match=f"polos.{name} is not supported by this"):
        getattr(polos, name)
    with pytest.raises(ImportError, match=name):
        exec(f"from polos import {name}", {})


def test_other_names_are_unknown_as_ever():
    with pytest.raises(ImportError, match="cannot import name 'Nonsense'"):
        exec("from polos import Nonsense", {})
    assert not hasattr(polos, "nonsense")


def test_the_documented_module_paths_lead_to_the_same():
    from polos.core.workflow import StepExecutionError
    from polos.features import events, schedules
    from polos.types.types import BatchWorkflowInput

    assert StepExecutionError is polos.StepExecutionError
    assert BatchWorkflowInput is polos.BatchWorkflowInput
    assert events.publish is polos.events.publish
    assert schedules.create is polos.schedules.create


def test_a_client_reads_its_environment(monkeypatch):
    assert PolosClient().api_url == "http://localhost:8080"
    monkeypatch.setenv("POLOS_API_URL", "http://example.com:1")
    monkeypatch.setenv("POLOS_API_KEY", "k")
    monkeypatch.setenv("POLOS_PROJECT_ID", "p")
    monkeypatch.setenv("POLOS_DEPLOYMENT_ID", "d")
    client = PolosClient.from_env()
    assert (client.api_url, client.deployment_id) == ("http://example.com:1", "d")
    assert client._metadata() == [("authorization", "Bearer k"), ("x-project-id", "p")]
    monkeypatch.setenv("POLOS_LOCAL_MODE", "true")
    with pytest.raises(polos.InvalidArgumentError, match="on this machine"):
        PolosClient()


@pytest.mark.parametrize("url", ["ftp://x", "http://", "http://x:port"])
def test_a_wrong_address_is_named(url):
    with pytest.raises(polos.InvalidArgumentError, match="field api_url"):
        PolosClient(api_url=url)
