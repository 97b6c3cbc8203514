"""Decorators and constructors: what they make of functions, and what they refuse."""

from __future__ import annotations

import json
from typing import Any

import pytest
from pydantic import BaseModel, ValidationError

import polos
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
    assert definition.name == "get_weather"
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
    assert t.definition().timeout_ms == 2500 and t.definition().at_most_once


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

    with pytest.raises(ValueError, match="id 'no spaces' is not valid"):
        tool(id="no spaces")(lambda ctx: None)
    with pytest.raises(UnsupportedFeatureError, match=r"tool\(approval=...\) is not supported"):
        tool(approval="always")
    with pytest.raises(TypeError, match="decorate it with @tool"):
        an_agent(tools=[print])
    with pytest.raises(UnsupportedFeatureError, match="built-in tool"):
        an_agent(tools=[{"type": "web_search"}])


UNSUPPORTED = {
    "on_start": print,
    "on_end": print,
    "on_agent_step_start": print,
    "on_agent_step_end": print,
    "on_tool_start": print,
    "on_tool_end": print,
    "guardrails": "be nice",
    "guardrail_max_retries": 5,
    "compaction": {},
    "stream_to_workflow": True,
    "channels": ["slack"],
    "provider_llm_api": "responses",
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
    assert agent.definition().max_steps == 10
    assert agent.definition().max_total_tokens == 50000
    assert an_agent(stop_conditions=[max_steps]).definition().max_steps == 20
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
    assert definition.HasField("temperature") and definition.temperature == 0.0
    assert not an_agent().definition().HasField("temperature")
    assert [each.name for each in definition.tools] == ["t"]
    assert json.loads(definition.output_schema_json)["required"] == ["city"]
    assert definition.base_url == "http://x" and definition.max_output_tokens == 10


def test_a_workflow_takes_typed_and_untyped_payloads():
    @workflow
    async def untyped(ctx, payload):
        return payload

    @workflow(id="typed", description="d")
    async def other(ctx: WorkflowContext, payload: City):
        return payload.city

    assert isinstance(untyped, Workflow) and untyped.id == "untyped"
    assert untyped._arguments('{"a":1}') == [{"a": 1}]
    assert other._arguments('{"city":"x"}') == [City(city="x")]
    assert polos.get_all_workflows() == {"untyped": untyped, "typed": other}
    with pytest.raises(ValueError, match="workflow 'typed' do not fit: city: Field required"):
        other._arguments("{}")
    with pytest.raises(UnsupportedFeatureError, match="on_start"):
        workflow(on_start="x")


def test_every_export_exists():
    for name in polos.__all__:
        assert getattr(polos, name) is not None


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
