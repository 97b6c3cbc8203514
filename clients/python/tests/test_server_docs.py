"""The documentation's snippets, verbatim, against the real polosd and a SIMULATED model.

What they leave out (an import, weather_api, search_api, email_service) is given by a prelude.
They are taken from the documentation's text where it is there, else from snippets.md.
"""

from __future__ import annotations

import ast
import inspect
import json
import os
import re
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import polosd
import pytest
from replay_model import KEY, ReplayModel, Turn

from polos import Agent, PolosClient

HERE = Path(__file__).resolve().parent
DOCUMENTATION = polosd.WORKSPACE.parent / "shared/reference/polos-docs/agents.md"
RUN, DIRECT, STREAM, TOOLS, STRUCTURED = range(5)

PRELUDE = '''
import asyncio

class weather_api:
    @staticmethod
    async def get(city):
        return {"city": city, "celsius": 21}

class search_api:
    @staticmethod
    async def query(text):
        return [f"{text} {n}" for n in range(9)]

class email_service:
    sent = []
    @staticmethod
    async def send(to, subject, body):
        email_service.sent.append((to, subject, body))
'''


def snippets() -> list[str]:
    """The Python blocks RUN, DIRECT, STREAM, TOOLS, STRUCTURED."""
    if DOCUMENTATION.exists():
        text = DOCUMENTATION.read_text()
        blocks = re.findall(r"```python[^\n]*\n(.*?)```", text, re.DOTALL)
        blocks = [textwrap.dedent(block) for block in blocks]
        return blocks[:4] + [b for b in blocks if "person_extractor = Agent(" in b]
    return re.findall(r"```python\n(.*?)```", (HERE / "snippets.md").read_text(), re.DOTALL)


@pytest.fixture
def server(tmp_path: Path, model: ReplayModel):
    """The real polosd, whose OpenAI is simulated."""
    running = polosd.Polosd(polosd.binary(), tmp_path / "data", model.environment)
    running.start()
    yield running
    running.stop()


def run_script(text: str, url: str, folder: Path) -> subprocess.CompletedProcess[str]:
    script = folder / "snippet.py"
    script.write_text(PRELUDE + text)
    path = os.pathsep.join([str(HERE.parent), os.environ.get("PYTHONPATH", "")])
    return subprocess.run(
        [sys.executable, "-W", "default", str(script)],
        env={**os.environ, "POLOS_API_URL": url, "PYTHONPATH": path},
        capture_output=True,
        text=True,
        timeout=60,
    )


async def execute(text: str, names: dict[str, Any]) -> None:
    """Runs a snippet in a namespace, with `await` at its top level."""
    flags = ast.PyCF_ALLOW_TOP_LEVEL_AWAIT
    code = compile(text, "<snippet>", "exec", flags=flags, dont_inherit=True)
    found = eval(code, names)
    if inspect.iscoroutine(found):
        await found


def namespace() -> dict[str, Any]:
    names: dict[str, Any] = {"__name__": "snippet"}
    exec(PRELUDE, names)
    return names


async def test_the_first_snippet_runs_by_itself(server, model, tmp_path):
    model.script = [
        Turn(tool_calls=[("get_weather", '{"city":"NYC"}')]),
        Turn(text="It is 21 degrees in NYC."),
    ]
    done = run_script(snippets()[RUN], server.url, tmp_path)
    assert done.stdout == "It is 21 degrees in NYC.\n", done.stderr
    assert done.stderr == "", "a script that ends well says nothing"
    assert model.headers[0]["authorization"] == f"Bearer {KEY}"
    first, second = model.requests
    assert first["model"] == "gpt-4o"
    assert first["path"].endswith("/responses") and first["tools"][0]["name"] == "get_weather"
    assert first["tools"][0]["parameters"]["required"] == ["city"]
    answer = second["input"][-1]
    assert answer["type"] == "function_call_output" and json.loads(answer["output"]) == {
        "city": "NYC",
        "celsius": 21,
    }


async def test_direct_execution_and_streaming(server, model, client, capsys):
    names = namespace()
    await execute(snippets()[RUN], names)
    names["client"] = client
    model.script = [
        Turn(
            text="Let me see.",
            tool_calls=[("get_weather", '{"city":"NYC"}'), ("get_weather", '{"city":"London"}')],
        ),
        Turn(text="Both are at 21 degrees."),
    ]
    await execute(snippets()[DIRECT], names)
    assert capsys.readouterr().out == "Both are at 21 degrees.\n"
    response = names["response"]
    assert [r.result["city"] for r in response.tool_results] == ["NYC", "London"]
    assert response.total_steps == 2 and len(response.steps) == 2
    assert response.usage.input_tokens == 20 and response.usage.total_tokens == 30
    assert model.requests[0]["reasoning"] == {"effort": "medium"}

    model.script = [Turn(text="Tokyo is rainy today, they say.")]
    await execute(snippets()[STREAM], names)
    assert capsys.readouterr().out == "Tokyo is rainy today, they say."


async def test_the_tools_run_and_their_agent_is_defined(server, model, client):
    names = namespace()
    names["Agent"] = Agent
    await execute(snippets()[TOOLS], names)
    found = await names["search_web"].run(client, names["SearchInput"](query="polos"))
    assert found.model_dump() == {"results": [f"polos {n}" for n in range(5)]}

    defined = names["research_agent"]
    assert [tool.id for tool in defined.tools] == ["search_web", "send_email"]
    agent = Agent(id="r", provider="openai", model="m", tools=defined.tools)
    mail = {"to": "a@b.c", "subject": "s", "body": "b"}
    model.script = [
        Turn(tool_calls=[("search_web", '{"query":"x"}'), ("send_email", json.dumps(mail))]),
        Turn(text="Sent."),
    ]
    response = await agent.run(client, "Search and mail")
    assert [r.result.model_dump() for r in response.tool_results] == [
        {"results": [f"x {n}" for n in range(5)]},
        {"status": "sent"},
    ]
    assert names["email_service"].sent == [("a@b.c", "s", "b")]


async def test_structured_output_is_a_model(server, model, tmp_path):
    person = {"name": "Alice", "age": 28, "email": "alice@example.com", "location": "SF"}
    model.script = [Turn(text=json.dumps(person))]
    done = run_script(snippets()[STRUCTURED], server.url, tmp_path)
    assert done.stdout == "Alice\n28\nSF\n", done.stderr
    schema = model.requests[0]["text"]["format"]["schema"]
    assert schema["additionalProperties"] is False
    assert schema["required"] == ["name", "age", "email", "location"]


def test_our_own_snippets_are_complete():
    text = (HERE / "snippets.md").read_text()
    assert len(re.findall(r"```python\n", text)) == 5
    assert PolosClient().api_url == "http://localhost:8080"
