/** A client's end: its calls, and the host that comes with it. */
import { create, equals } from "@bufbuild/protobuf";
import { Agent } from "../define/agent.js";
import * as registry from "../define/registry.js";
import { Tool } from "../define/tool.js";
import { Workflow } from "../define/workflow.js";
import { NotFoundError } from "../errors.js";
import type { Target } from "../execution/startable.js";
import { AgentService } from "../gen/polos/v1/agents_pb.js";
import { AgentDefinitionSchema, type AgentDefinition } from "../gen/polos/v1/definitions_pb.js";
import { TaskKind } from "../gen/polos/v1/history_pb.js";
import { OffersSchema, type Offers, type Task } from "../gen/polos/v1/host_pb.js";
import { QueueService } from "../gen/polos/v1/queues_pb.js";
import type { RunReader } from "../runs/handle.js";
import type { Wire } from "../wire/wire.js";
import { Host } from "./host.js";

/** Where a host runs. */
export interface ConnectionConfig {
  deployment: string;
  slots: number;
  client: RunReader;
}

/** Made when a client is first used; ends by close(). */
export class Connection {
  readonly wire: Wire;
  host: Host | undefined;
  private readonly config: ConnectionConfig;
  private readonly registered = new Map<string, AgentDefinition>(); // that the server has
  private readonly queues = new Set<string>(); // that the server has
  private readonly agents = new Map<string, Agent<any>>(); // whose tools tasks are resolved by
  private busy: Promise<unknown> = Promise.resolve(); // one at a time changes what is offered

  constructor(wire: Wire, config: ConnectionConfig) {
    this.wire = wire;
    this.config = config;
  }

  // ---- what a run needs ----

  /** Returns when the server knows the target, and a host here offers it or its tools. */
  ready(target: Target, giveUpAt?: number): Promise<void> {
    return this.alone(async () => {
      if (target instanceof Agent) await this.readyForAgent(target, giveUpAt);
      else if (target instanceof Workflow) await this.offer([target]);
    });
  }

  private async readyForAgent(agent: Agent<any>, giveUpAt: number | undefined): Promise<void> {
    this.agents.set(agent.id, agent);
    // A host defines the queues.
    if (agent.tools.length || registry.queues.size) await this.offer(agent.tools);
    await this.register(agent, giveUpAt);
  }

  /**
   * Returns when the server has a queue of this name; one that it has not is made, without limits.
   */
  async readyForQueue(name: string, giveUpAt?: number): Promise<void> {
    if (!name || registry.queues.has(name) || this.queues.has(name)) return;
    try {
      await this.wire.call(QueueService.method.get, { name }, { giveUpAt });
    } catch (error) {
      if (!(error instanceof NotFoundError)) throw error;
      await this.wire.call(QueueService.method.put, { queue: { name } }, { giveUpAt });
    }
    this.queues.add(name);
  }

  /** The host, offering everything defined so far, agents included. */
  serve(): Promise<Host> {
    return this.alone(async () => {
      const agents = [...registry.agents.values()];
      for (const agent of agents) this.agents.set(agent.id, agent);
      const definitions = agents.map((agent) => agent.definition());
      await this.offer([], definitions);
      for (const definition of definitions) this.registered.set(definition.id, definition);
      return this.host!;
    });
  }

  /** The server does not know the agent after all. */
  forget(agentId: string): void {
    this.registered.delete(agentId);
  }

  private async register(agent: Agent<any>, giveUpAt: number | undefined): Promise<void> {
    const definition = agent.definition();
    const known = this.registered.get(agent.id);
    if (known && equals(AgentDefinitionSchema, known, definition)) return;
    await this.wire.call(AgentService.method.register, { agent: definition }, { giveUpAt });
    this.registered.set(agent.id, definition);
  }

  private alone<T>(work: () => Promise<T>): Promise<T> {
    const result = this.busy.then(work, work);
    this.busy = result.catch(() => undefined);
    return result;
  }

  // ---- the host ----

  /** Sees to a host that offers at least these; what else is defined goes along. */
  private async offer(
    wanted: readonly Workflow<any, any, any>[],
    agents: AgentDefinition[] = [],
  ): Promise<void> {
    if (this.host?.failure) {
      await this.host.stop();
      this.host = undefined;
    }
    const offers = everything(wanted, agents, this.host?.offers);
    if (this.host) {
      if (!equals(OffersSchema, this.host.offers, offers)) await this.host.offer(offers);
      return;
    }
    const host = this.makeHost(offers);
    try {
      await host.start();
    } catch (error) {
      await host.stop();
      throw error;
    }
    this.host = host;
  }

  private makeHost(offers: Offers): Host {
    return new Host({
      ...this.config,
      wire: this.wire,
      offers,
      resolve: (task) => this.resolve(task),
      prepare: (target) => this.ready(target),
      prepareQueue: (name) => this.readyForQueue(name),
      find: (name) => registry.find(name),
    });
  }

  /** The code for a task: an agent's own tool first, then what is defined under the name. */
  private resolve(task: Task): Workflow<any, any, any> | undefined {
    if (task.kind !== TaskKind.TOOL) return registry.workflows.get(task.name);
    const own = this.agents.get(task.agentId)?.tools.find((tool) => tool.id === task.name);
    return own ?? registry.tools.get(task.name);
  }

  // ---- the end ----

  /** Stops the host and ends all calls; what was settled stays settled. */
  async close(graceMs = 0): Promise<void> {
    const { host } = this;
    this.host = undefined;
    await host?.stop(graceMs);
    this.wire.close();
  }
}

/** What is defined in this process, with what was offered before. */
function everything(
  wanted: readonly Workflow<any, any, any>[],
  agents: AgentDefinition[],
  before: Offers | undefined,
): Offers {
  const tools = new Map(before?.tools.map((tool) => [tool.id, tool]));
  const workflows = new Map(before?.workflows.map((workflow) => [workflow.id, workflow]));
  for (const each of [...registry.tools.values(), ...registry.workflows.values(), ...wanted]) {
    if (each instanceof Tool) tools.set(each.id, each.definition());
    else workflows.set(each.id, each.offer());
  }
  const known = new Map([...(before?.agents ?? []), ...agents].map((agent) => [agent.id, agent]));
  return create(OffersSchema, {
    tools: [...tools.values()],
    workflows: [...workflows.values()],
    agents: [...known.values()],
    queues: [...registry.queues.values()].map((queue) => queue.definition()),
  });
}
