"""What the server knows of agents, workflows, tools and hosts: by the module, and by the shell."""

from __future__ import annotations

import pytest

from polos import Agent, ConflictError, NotFoundError, definitions, workflow
from polos.cli import _run, parsed


def agent(prompt: str) -> Agent:
    return Agent(id="helper", provider="scripted", model="scripted", system_prompt=prompt)


async def shell(client, capsys, *words: str) -> str:
    words = (*words, "--server", client.api_url)
    assert await _run(parsed(list(words))) == 0
    return capsys.readouterr().out


async def test_what_hosts_offer_and_what_is_forgotten(client, capsys):
    @workflow(id="flow")
    async def flow(ctx, payload):
        return payload

    assert await flow.run(client, 1) == 1
    (found,) = await definitions.list_workflows(client)
    assert (found["id"], found["hosts"], found["deployment_id"]) == ("flow", 1, "default")
    assert "flow" in await shell(client, capsys, "workflows")
    (host,) = await definitions.list_hosts(client)
    assert host["connected"] and "flow" in host["workflows"]
    assert host["id"] in await shell(client, capsys, "hosts", "--deployment", "default")
    with pytest.raises(ConflictError) as refused:
        await definitions.delete_workflow(client, "flow")
    assert refused.value.reason == "DEFINITION_IN_USE"
    await shell(client, capsys, "drain", host["id"])
    assert "draining" in await shell(client, capsys, "hosts")
    with pytest.raises(NotFoundError):
        await definitions.delete_tool(client, "nosuch")
    with pytest.raises(NotFoundError):
        await definitions.drain_host(client, "nosuch")


async def test_versions_of_an_agent(client, capsys):
    for prompt in ("one", "two"):
        found = await agent(prompt).run(client, "hi", script=[{"text": "hello"}])
        assert found.result == "hello"
    newest, old = await definitions.list_agent_versions(client, "helper")
    assert (newest["newest"], old["newest"], old["runs"]) == (True, False, 0)
    assert (newest["system_prompt"], old["system_prompt"]) == ("two", "one")
    table = await shell(client, capsys, "agents", "helper")
    assert old["definition_hash"] in table and "newest" in table
    if old["hosts"] == 0:
        version = old["definition_hash"]
        await shell(client, capsys, "forget", "agent", "helper", "--version", version)
        assert len(await definitions.list_agent_versions(client, "helper")) == 1
    with pytest.raises(ConflictError):
        await definitions.delete_agent(client, "helper", newest["definition_hash"])


@pytest.mark.parametrize("words", ["runs", "agents", "workflows", "tools", "hosts", "suspended"])
async def test_a_list_of_nothing_says_so(server, words, capsys):
    assert await _run(parsed([words, "--server", server.url])) == 0
    told = capsys.readouterr()
    assert told.out == "" and told.err.startswith("polos: ") and len(told.err) > len("polos: no .")
