/** What the server knows of agents, workflows and tools, whether a host is there or not; hosts. */
import { parsed } from "../codec/json.js";
import { isoOf } from "../codec/times.js";
import { AgentService, type Agent } from "../gen/polos/v1/agents_pb.js";
import { ToolService, type Host, type Tool } from "../gen/polos/v1/tools_pb.js";
import { WorkflowService, type Workflow } from "../gen/polos/v1/workflows_pb.js";
import type { Wiring } from "./wiring.js";

const LIMIT = 100;

/** A version of an agent, as the server has it. */
export interface AgentInfo {
  id: string;
  provider: string;
  model: string;
  description: string;
  systemPrompt: string;
  /** Names of its tools. */
  tools: string[];
  queueName: string | undefined;
  /** Equal definitions have equal ones. */
  definitionHash: string;
  /** ISO 8601. */
  registeredAt: string | undefined;
  /** Runs are started with it. */
  isNewest: boolean;
  /** How many hosts define this very version. */
  hosts: number;
  /** Runs that have not ended and go on with it. */
  runs: number;
  /** Tools that no host offers now. */
  missingOffers: string[];
}

/** A workflow as hosts offered it last. */
export interface WorkflowInfo {
  id: string;
  description: string;
  queueName: string | undefined;
  triggerOnEvent: string | undefined;
  schedule: string | undefined;
  deploymentId: string;
  /** How many offer it now. */
  hosts: number;
  offeredAt: string | undefined;
}

/** A tool as hosts offered it last. */
export interface ToolInfo {
  id: string;
  description: string;
  /** JSON Schema. */
  parameters: any;
  deploymentId: string;
  /** How many offer it now. */
  hosts: number;
  offeredAt: string | undefined;
}

/** A process that has dialled in. */
export interface HostInfo {
  id: string;
  deploymentId: string;
  userAgent: string;
  isConnected: boolean;
  /** It is given nothing new. */
  isDraining: boolean;
  slots: number;
  /** That it holds. */
  tasks: number;
  connectedAt: string | undefined;
  heardAt: string | undefined;
  tools: string[];
  workflows: string[];
  agents: string[];
}

/** `client.definitions`. */
export class Definitions {
  readonly #wiring: () => Wiring;

  constructor(wiring: () => Wiring) {
    this.#wiring = wiring;
  }

  /** The agents that the server knows, by their ids. */
  async listAgents(limit = LIMIT): Promise<AgentInfo[]> {
    return this.#agents("", limit);
  }

  /** All versions of an agent, newest first; none: there is no such agent. */
  async listAgentVersions(agentId: string, limit = LIMIT): Promise<AgentInfo[]> {
    return this.#agents(agentId, limit);
  }

  async #agents(versionsOf: string, limit: number): Promise<AgentInfo[]> {
    const { wire } = this.#wiring();
    const method = AgentService.method.list;
    return (await wire.rows(method, { versionsOf }, (page) => page.agents, limit)).map(agentOf);
  }

  /**
   * Deletes an agent, or one version of it. Runs that have ended stay. A process that still defines
   * it registers it again when its host connects anew.
   *
   * Throws ConflictError (DEFINITION_IN_USE): runs have not ended that were started with it, a host
   * defines it, or it is the newest version. NotFoundError: there is none.
   */
  async deleteAgent(agentId: string, definitionHash = ""): Promise<void> {
    await this.#wiring().wire.call(AgentService.method.delete, { agentId, definitionHash });
  }

  /** The workflows that hosts offer or have offered, by their ids. */
  async listWorkflows(limit = LIMIT): Promise<WorkflowInfo[]> {
    const { wire } = this.#wiring();
    const method = WorkflowService.method.list;
    return (await wire.rows(method, {}, (page) => page.workflows, limit)).map(workflowOf);
  }

  /**
   * Forgets a workflow that no host offers, and ends its trigger; runs and schedules stay. Throws
   * ConflictError (DEFINITION_IN_USE): a host offers it. NotFoundError: there is none.
   */
  async deleteWorkflow(workflowId: string): Promise<void> {
    await this.#wiring().wire.call(WorkflowService.method.delete, { workflowId });
  }

  /** The tools that hosts offer or have offered, by their ids. */
  async listTools(limit = LIMIT): Promise<ToolInfo[]> {
    const { wire } = this.#wiring();
    return (await wire.rows(ToolService.method.list, {}, (page) => page.tools, limit)).map(toolOf);
  }

  /** Forgets a tool that no host offers; throws as deleteWorkflow(). */
  async deleteTool(toolId: string): Promise<void> {
    await this.#wiring().wire.call(ToolService.method.delete, { toolId });
  }

  /** The processes that have dialled in, by their ids; those of one deployment, or all. */
  async listHosts(deploymentId = "", limit = LIMIT): Promise<HostInfo[]> {
    const request = { deployment: deploymentId };
    const { wire } = this.#wiring();
    const found = await wire.rows(ToolService.method.listHosts, request, (p) => p.hosts, limit);
    return found.map(hostOf);
  }

  /**
   * Gives a host nothing new, until it is started anew; what it holds it ends. Throws NotFoundError
   * (HOST_NOT_FOUND): it is not there.
   */
  async drainHost(hostId: string): Promise<HostInfo> {
    const told = await this.#wiring().wire.call(ToolService.method.drainHost, { hostId });
    return hostOf(told.host!);
  }
}

function agentOf(found: Agent): AgentInfo {
  const told = found.definition!;
  return {
    id: told.id,
    provider: told.models[0]?.provider ?? "",
    model: told.models[0]?.model ?? "",
    description: told.description,
    systemPrompt: told.systemPrompt,
    tools: told.tools.map((tool) => tool.id),
    queueName: told.queue || undefined,
    definitionHash: found.definitionHash,
    registeredAt: isoOf(found.registeredAt),
    isNewest: found.newest,
    hosts: found.hosts,
    runs: Number(found.runs),
    missingOffers: found.missingOffers,
  };
}

function workflowOf(found: Workflow): WorkflowInfo {
  const told = found.definition!;
  return {
    id: told.id,
    description: told.description,
    queueName: told.queue || undefined,
    triggerOnEvent: told.trigger?.topic || undefined,
    schedule: told.schedule?.cron || undefined,
    deploymentId: found.deployment,
    hosts: found.hosts,
    offeredAt: isoOf(found.offeredAt),
  };
}

function toolOf(found: Tool): ToolInfo {
  const told = found.definition!;
  return {
    id: told.id,
    description: told.description,
    parameters: parsed(told.parametersJson),
    deploymentId: found.deployment,
    hosts: found.hosts,
    offeredAt: isoOf(found.offeredAt),
  };
}

function hostOf(found: Host): HostInfo {
  return {
    id: found.id,
    deploymentId: found.deployment,
    userAgent: found.userAgent,
    isConnected: found.connected,
    isDraining: found.draining,
    slots: found.slots,
    tasks: found.tasks,
    connectedAt: isoOf(found.connectedAt),
    heardAt: isoOf(found.heardAt),
    tools: found.toolIds,
    workflows: found.workflowIds,
    agents: found.agentIds,
  };
}
