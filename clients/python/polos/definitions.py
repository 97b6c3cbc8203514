"""What the server knows of agents, workflows and tools, whether a host is there or not; hosts.

    for version in await definitions.list_agent_versions(client, "helper"):
        if not (version.newest or version.hosts or version.runs):
            await definitions.delete_agent(client, "helper", version.definition_hash)
"""

from __future__ import annotations

import json

from ._codec.times import iso_of
from ._run_models import agent_record
from ._starter import Starter
from ._wire.methods import (
    AGENT_DELETE,
    AGENT_LIST,
    HOST_DRAIN,
    HOST_LIST,
    TOOL_DELETE,
    TOOL_LIST,
    WORKFLOW_DELETE,
    WORKFLOW_LIST,
)
from .types import AgentInfo, HostInfo, ToolInfo, WorkflowInfo
from .v1 import agents_pb2, tools_pb2, workflows_pb2

__all__ = [
    "delete_agent",
    "delete_tool",
    "delete_workflow",
    "drain_host",
    "list_agent_versions",
    "list_hosts",
    "list_tools",
    "list_workflows",
]


async def list_agent_versions(
    client: Starter, agent_id: str, limit: int = 100
) -> list[AgentInfo]:
    """All versions of an agent, newest first: as of list_agents(), each with `newest`, `hosts` that
    define it, `runs` that have not ended with it, and `registered_at`. Empty: there is no such
    agent."""
    request = agents_pb2.AgentServiceListRequest(versions_of=agent_id)
    wire = client._connection().wire
    found = await wire.rows(AGENT_LIST, request, lambda page: page.agents, limit)
    return [agent_record(each) for each in found]


async def delete_agent(client: Starter, agent_id: str, definition_hash: str = "") -> None:
    """Deletes an agent, or one version of it. Runs that have ended stay.

    A process that still defines it registers it again when its host connects anew.

    Raises ConflictError (DEFINITION_IN_USE): runs have not ended that were started with it, a host
    defines it, or it is the newest version. NotFoundError: there is none.
    """
    request = agents_pb2.AgentServiceDeleteRequest(
        agent_id=agent_id, definition_hash=definition_hash
    )
    await client._connection().wire.call(AGENT_DELETE, request)


async def list_workflows(client: Starter, limit: int = 100) -> list[WorkflowInfo]:
    """The workflows that hosts offer or have offered, by their ids."""
    request = workflows_pb2.WorkflowServiceListRequest()
    wire = client._connection().wire
    found = await wire.rows(WORKFLOW_LIST, request, lambda page: page.workflows, limit)
    return [_workflow_record(each) for each in found]


async def delete_workflow(client: Starter, workflow_id: str) -> None:
    """Forgets a workflow that no host offers, and ends its trigger; runs and schedules stay.

    Raises ConflictError (DEFINITION_IN_USE): a host offers it. NotFoundError: there is none.
    """
    request = workflows_pb2.WorkflowServiceDeleteRequest(workflow_id=workflow_id)
    await client._connection().wire.call(WORKFLOW_DELETE, request)


async def list_tools(client: Starter, limit: int = 100) -> list[ToolInfo]:
    """The tools that hosts offer or have offered, by their ids."""
    request = tools_pb2.ToolServiceListRequest()
    wire = client._connection().wire
    found = await wire.rows(TOOL_LIST, request, lambda page: page.tools, limit)
    return [_tool_record(each) for each in found]


async def delete_tool(client: Starter, tool_id: str) -> None:
    """Forgets a tool that no host offers.

    Raises ConflictError (DEFINITION_IN_USE): a host offers it. NotFoundError: there is none.
    """
    request = tools_pb2.ToolServiceDeleteRequest(tool_id=tool_id)
    await client._connection().wire.call(TOOL_DELETE, request)


async def list_hosts(
    client: Starter, deployment_id: str = "", limit: int = 100
) -> list[HostInfo]:
    """The processes that have dialled in, by their ids; those of one deployment, or all."""
    request = tools_pb2.ToolServiceListHostsRequest(deployment=deployment_id)
    wire = client._connection().wire
    found = await wire.rows(HOST_LIST, request, lambda page: page.hosts, limit)
    return [_host_record(each) for each in found]


async def drain_host(client: Starter, host_id: str) -> HostInfo:
    """Gives a host nothing new, until it is started anew; what it holds it ends. The host.

    Raises NotFoundError (HOST_NOT_FOUND): it is not there.
    """
    request = tools_pb2.ToolServiceDrainHostRequest(host_id=host_id)
    return _host_record((await client._connection().wire.call(HOST_DRAIN, request)).host)


def _host_record(found: tools_pb2.Host) -> HostInfo:
    """A host as the server knows it."""
    return HostInfo({
        "id": found.id,
        "deployment_id": found.deployment,
        "user_agent": found.user_agent,
        "connected": found.connected,
        "draining": found.draining,
        "slots": found.slots,
        "tasks": found.tasks,
        "connected_at": iso_of(found.connected_at),
        "heard_at": iso_of(found.heard_at),
        "tools": list(found.tool_ids),
        "workflows": list(found.workflow_ids),
        "agents": list(found.agent_ids),
    })


def _workflow_record(found: workflows_pb2.Workflow) -> WorkflowInfo:
    """A workflow as hosts offered it last."""
    told = found.definition
    return WorkflowInfo({
        "id": told.id,
        "description": told.description,
        "queue_name": told.queue or None,
        "trigger_on_event": told.trigger.topic or None,
        "schedule": told.schedule.cron or None,
        "deployment_id": found.deployment,
        "hosts": found.hosts,
        "offered_at": iso_of(found.offered_at),
    })


def _tool_record(found: tools_pb2.Tool) -> ToolInfo:
    """A tool as hosts offered it last."""
    told = found.definition
    return ToolInfo({
        "id": told.id,
        "description": told.description,
        "parameters": json.loads(told.parameters_json) if told.parameters_json else None,
        "deployment_id": found.deployment,
        "hosts": found.hosts,
        "offered_at": iso_of(found.offered_at),
    })
