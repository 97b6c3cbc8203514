/** PolosClient: which server, and what can be asked of it. */
import { randomUUID } from "node:crypto";
import { shown } from "../checks.js";
import { parsed, stringifyArgument } from "../codec/json.js";
import * as registry from "../define/registry.js";
import type { Starter } from "../define/starter.js";
import { StreamResult } from "../define/stream.js";
import { fitted } from "../define/workflow.js";
import {
  InvalidArgumentError,
  NotFoundError,
  OutputError,
  PermissionDeniedError,
  PolosError,
  WorkflowTimeoutError,
} from "../errors.js";
import type { BatchWorkflowInput } from "../execution/children.js";
import { refuseInsideTask } from "../execution/current.js";
import {
  AgentRunConfig,
  providerJson,
  timeoutOf,
  wireInput,
  wireOptions,
  type StartOptions,
} from "../execution/starts.js";
import type { AgentDefinitionLike, Target } from "../execution/startable.js";
import { AgentService } from "../gen/polos/v1/agents_pb.js";
import { RunKind, Waiting_Kind, type Run } from "../gen/polos/v1/common_pb.js";
import { QueueService } from "../gen/polos/v1/queues_pb.js";
import type { StartOptions as WireOptions } from "../gen/polos/v1/start_pb.js";
import { ToolService } from "../gen/polos/v1/tools_pb.js";
import { WorkflowService } from "../gen/polos/v1/workflows_pb.js";
import { ExecutionHandle } from "../runs/handle.js";
import type { History } from "../runs/history.js";
import {
  executionOf,
  hasEnded,
  stepOf,
  stopWord,
  throwUnlessCompleted,
  usageOf,
} from "../runs/models.js";
import { SeenSuspensions } from "../runs/seen.js";
import type {
  AgentResult,
  Execution,
  HistoryEvent,
  ResumeResult,
  Suspension,
} from "../runs/types.js";
import { Endpoint } from "../wire/endpoint.js";
import { waitUntilEnded } from "../wire/streams.js";
import { Wire } from "../wire/wire.js";
import { sourceOf } from "./agent-stream.js";
import { Connection } from "./connection.js";
import { Definitions } from "./definitions.js";
import { Events } from "./events.js";
import { Queues } from "./queues.js";
import * as runs from "./runs.js";
import { Schedules } from "./schedules.js";
import type { Wiring } from "./wiring.js";

const DEFAULT_URL = "http://localhost:8080";
const DEFAULT_SLOTS = 100;
const SLOTS_MAX = 10_000;
const GRACE_MS = 5_000; // beyond a run's timeout, for the server to say so itself
const LOOK_MS = 1_000; // at what a run waits for, when its time is over
const STOPS_CLOCK = [
  Waiting_Kind.SLEEP,
  Waiting_Kind.SUSPENSION,
  Waiting_Kind.EVENT,
  Waiting_Kind.CHILDREN,
];

/** Which server, and the credentials for it; what is not given is taken from the environment. */
export interface PolosClientConfig {
  /** Where polosd listens. Default: $POLOS_API_URL, else http://localhost:8080. */
  apiUrl?: string | undefined;
  /** Default: $POLOS_API_KEY; may be empty. */
  apiKey?: string | undefined;
  /** Default: $POLOS_PROJECT_ID; may be empty. */
  projectId?: string | undefined;
  /** The code version this process runs. Default: $POLOS_DEPLOYMENT_ID, else "default". */
  deploymentId?: string | undefined;
  /**
   * Tasks at work at once, 1 to 10000. Default: $POLOS_MAX_CONCURRENT_WORKFLOWS, else 100.
   */
  maxConcurrentWorkflows?: number | undefined;
}

/** How client.invoke() starts a run. */
export interface ClientInvokeOptions extends StartOptions {
  /** Changes the queue's limit for each concurrency key first; its other limits are taken away. */
  queueConcurrencyLimit?: number | undefined;
}

/** A server's address and the credentials for it; connects when it is first used. */
export class PolosClient implements Starter {
  readonly apiUrl: string;
  readonly apiKey: string;
  readonly projectId: string;
  readonly deploymentId: string;
  readonly maxConcurrentWorkflows: number;
  /** Publish to topics, follow topics and runs. */
  readonly events: Events;
  /** Have the clock start runs. */
  readonly schedules: Schedules;
  /** Look at queues and change them. */
  readonly queues: Queues;
  /** What the server knows of agents, workflows, tools and hosts. */
  readonly definitions: Definitions;
  readonly #endpoint: Endpoint;
  readonly #suspensions = new SeenSuspensions();
  #connection: Connection | undefined;

  /** Throws InvalidArgumentError for an address that is none. */
  constructor(config: PolosClientConfig = {}) {
    const { env } = process;
    this.apiUrl = config.apiUrl || env["POLOS_API_URL"] || DEFAULT_URL;
    this.apiKey = config.apiKey || env["POLOS_API_KEY"] || "";
    this.projectId = config.projectId || env["POLOS_PROJECT_ID"] || "";
    this.deploymentId = config.deploymentId || env["POLOS_DEPLOYMENT_ID"] || "default";
    this.maxConcurrentWorkflows = slotsOf(config.maxConcurrentWorkflows);
    this.#endpoint = new Endpoint(this.apiUrl);
    this.events = new Events(() => this.#wiring());
    this.schedules = new Schedules(() => this.#wiring());
    this.queues = new Queues(() => this.#wiring());
    this.definitions = new Definitions(() => this.#wiring());
  }

  /** A client as the environment says; the same as new PolosClient(). */
  static fromEnv(): PolosClient {
    return new PolosClient();
  }

  /** This client, for programs that write client.workflows.invoke(...). */
  get workflows(): this {
    return this;
  }

  /**
   * Ends its connection and its host, which lets tasks at work end for so long; those that are left
   * go to another host. A client that is used afterwards connects again.
   *
   * @param graceSeconds default: 0.
   */
  async close(graceSeconds = 0): Promise<void> {
    const connection = this.#connection;
    this.#connection = undefined;
    await connection?.close(graceSeconds * 1000);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  // ---- starts ----

  /**
   * Starts a run of a workflow, tool or agent, or of a workflow by its id, wherever it is hosted,
   * and gives its handle. It is started once, however often it takes to reach the server.
   */
  async invoke<Out = unknown>(
    workflow: string | Target<any, Out>,
    payload?: unknown,
    options: ClientInvokeOptions = {},
  ): Promise<ExecutionHandle<Out>> {
    const { queueConcurrencyLimit, ...rest } = options;
    if (queueConcurrencyLimit !== undefined) {
      await this.#limitQueue(rest.queueName, queueConcurrencyLimit);
    }
    const target = typeof workflow === "string" ? registry.find(workflow) : workflow;
    if (target) return (await this.startTarget(target, payload, rest)) as ExecutionHandle<Out>;
    const started = await this.#start(workflow as string, RunKind.WORKFLOW, payload, rest);
    return started as ExecutionHandle<Out>;
  }

  /** Starts runs; their handles, in order. */
  batchInvoke(items: readonly BatchWorkflowInput[]): Promise<ExecutionHandle<any>[]> {
    return Promise.all(
      items.map(({ workflow, id, payload, ...options }) => {
        if (workflow ?? id) return this.invoke<any>((workflow ?? id)!, payload, options);
        throw new InvalidArgumentError("a batch is of { workflow, payload }", {
          field: "workflow",
        });
      }),
    );
  }

  // ---- runs ----

  /** A run as it stands. Throws NotFoundError when there is none. */
  async getExecution(executionId: string): Promise<Execution> {
    return executionOf(await runs.getRun(this.#wire(), executionId));
  }

  /**
   * Says something to an agent's run while it works; the model is told at its next turn.
   *
   * It is durable when this returns: the run goes on for it, unless a limit forbids another turn.
   * Gives its id, which INPUT_ACCEPTED and INPUT_TAKEN of the history have. With a key it is sent
   * once, however often it is asked. Throws ConflictError for a run that has ended (RUN_ENDED) or
   * is no agent's (RUN_NOT_AGENT); NotFoundError when there is none.
   */
  send(executionId: string, text: string, idempotencyKey = ""): Promise<string> {
    return runs.sendInput(this.#wire(), executionId, text, idempotencyKey);
  }

  /** Cancels a run; false when it had ended. Throws NotFoundError when there is none. */
  cancelExecution(executionId: string, cause = ""): Promise<boolean> {
    return runs.cancelRun(this.#wire(), executionId, cause);
  }

  /**
   * Deletes a run that has ended, and all the runs below it, with their histories. The key it was
   * started with stays used. Throws ConflictError while it, or a run below it, has not ended
   * (RUN_NOT_ENDED), and for a run below another one (RUN_NOT_ROOT); NotFoundError.
   */
  deleteExecution(executionId: string): Promise<void> {
    return runs.deleteRun(this.#wire(), executionId);
  }

  /** The run's journal, oldest first; text() of it says what happened. Throws NotFoundError when there is no such run. */
  history(executionId: string): Promise<History> {
    return runs.historyOf(this.#wire(), executionId);
  }

  /** What happens in a run, from its start to its end, as it happens; across disconnects. */
  watch(executionId: string): AsyncGenerator<HistoryEvent, void> {
    return runs.watchRun(this.#wire(), executionId);
  }

  /**
   * What happens in a root and in all runs below it, in the order in which it was committed, each
   * with its run; until nothing of the tree is left at work, across disconnects. Throws
   * ConflictError (RUN_NOT_ROOT) for a run below another one, NotFoundError when there is none.
   */
  watchTree(executionId: string): AsyncGenerator<{ runId: string; event: HistoryEvent }, void> {
    return runs.watchTree(this.#wire(), executionId);
  }

  /** Runs, newest first, without payload, steps and result. */
  listExecutions(options: runs.ListOptions = {}): Promise<Execution[]> {
    return runs.listRuns(this.#wire(), options);
  }

  /**
   * Starts a new run that has another one's history up to an event, and goes on from there; the
   * other stays as it is.
   *
   * @param afterSeq HistoryEvent.seq of the last event to keep. Events that were written together
   *   cannot be parted; then InvalidArgumentError names the nearest event before. Throws
   *   ConflictError (CHILDREN_OPEN) where the run waits for children, NotFoundError.
   */
  async fork(executionId: string, afterSeq: number): Promise<ExecutionHandle<any>> {
    return this.#handle(await runs.forkRun(this.#wire(), executionId, afterSeq));
  }

  /**
   * Starts a new run that goes on with a failed one from its last good fact. Throws ConflictError
   * when the run has not failed, NotFoundError when there is none.
   */
  async retry(executionId: string): Promise<ExecutionHandle<any>> {
    return this.#handle(await runs.retryRun(this.#wire(), executionId));
  }

  // ---- suspensions ----

  /**
   * Answers a suspension; the run goes on.
   *
   * Where this process has seen the suspension, by a stream, listSuspensions or getSuspension, that
   * one is answered and no other; else the one that the key can only mean. An answer that comes
   * early is kept; one to a suspension that is over changes nothing, and the result says so. Throws
   * ConflictError when the key may mean several or the run is one of another workflow;
   * NotFoundError.
   *
   * @param suspendWorkflowId the workflow of that run; empty: not compared.
   * @param suspendExecutionId the run that called ctx.step.suspend, or the top of its tree.
   * @param resumedBy who answers, for the history. Default: this process and machine.
   */
  resume(
    suspendWorkflowId: string,
    suspendExecutionId: string,
    suspendStepKey: string,
    data?: unknown,
    resumedBy?: string,
  ): Promise<ResumeResult> {
    return runs.resumeRun(this.#wiring(), {
      workflowId: suspendWorkflowId,
      executionId: suspendExecutionId,
      stepKey: suspendStepKey,
      data,
      resumedBy,
    });
  }

  /** Open suspensions, oldest first; of one run, or of all. */
  listSuspensions(executionId = "", limit = 50): Promise<Suspension[]> {
    return runs.listSuspensions(this.#wiring(), executionId, limit);
  }

  /**
   * The open suspension under this key, else the last one. Throws NotFoundError when there is none,
   * ConflictError when several are open.
   */
  getSuspension(executionId: string, stepKey: string): Promise<Suspension> {
    return runs.getSuspension(this.#wiring(), executionId, stepKey);
  }

  // ---- for definitions ----

  /** @internal */
  async startTarget(
    target: Target,
    payload: unknown,
    options: StartOptions,
  ): Promise<ExecutionHandle> {
    if (target.kind === "agent") {
      const config = {
        ...options,
        agent: target as AgentDefinitionLike,
        input: payload as string,
      };
      return this.startAgent(new AgentRunConfig(config));
    }
    refuseInsideTask(`${target.kind}.run and ${target.kind}.invoke`);
    await this.#connected().ready(target, giveUpAt(options));
    const kind = target.kind === "tool" ? RunKind.TOOL : RunKind.WORKFLOW;
    return this.#start(target.id, kind, payload, options);
  }

  /** @internal */
  async startAgent(config: AgentRunConfig<any>): Promise<ExecutionHandle> {
    refuseInsideTask("agent.run and agent.stream");
    const connection = this.#connected();
    const until = giveUpAt(config.options);
    const options = startedOnce(config.options);
    options.providerOptionsJson = providerJson(config.kwargs);
    const request = { agentId: config.agent.id, ...wireInput(config.input), options };
    await connection.readyForQueue(options.queue, until);
    const start = async () => {
      await connection.ready(config.agent, until);
      return connection.wire.call(AgentService.method.start, request, { giveUpAt: until });
    };
    const forgotten = (error: unknown) => {
      if (!(error instanceof NotFoundError)) throw error;
      connection.forget(config.agent.id); // another data directory since it was registered
      return start();
    };
    const { runId } = await start().catch(forgotten);
    return this.#rootHandle(runId, config.agent.id, options);
  }

  /** @internal */
  async agentResult(
    agent: AgentDefinitionLike,
    runId: string,
    timeoutSeconds: number | undefined,
  ): Promise<AgentResult<any>> {
    let run = await this.#ended(runId, timeoutSeconds, false);
    if (run.turnCount && run.turns.length === 0) run = await runs.getRun(this.#wire(), runId);
    return agentResultOf(agent, run, timeoutSeconds);
  }

  /** @internal */
  streamOf(agent: AgentDefinitionLike, handle: ExecutionHandle): StreamResult<any> {
    return new StreamResult(agent, handle, this, sourceOf(this.#wiring(), agent.id, handle.id));
  }

  /** @internal */
  async resultIn(runId: string, timeoutSeconds: number | undefined): Promise<unknown> {
    const run = await this.#ended(runId, timeoutSeconds, false);
    throwUnlessCompleted(run, timeoutSeconds);
    return parsed(run.resultJson);
  }

  /** @internal */
  async resultOf(runId: string, timeoutSeconds: number | undefined): Promise<unknown> {
    const run = await this.#ended(runId, timeoutSeconds, true);
    throwUnlessCompleted(run, timeoutSeconds);
    const target = registry.find(run.name);
    if (run.kind === RunKind.AGENT)
      return agentResultOf(registry.agents.get(run.name), run, undefined);
    const value = parsed(run.resultJson);
    return target ? fitted(target, value, runId) : value;
  }

  /** Everything defined in this process, offered. @internal */
  serveDefinitions() {
    return this.#connected().serve();
  }

  // ---- inside ----

  #connected(): Connection {
    this.#connection ??= new Connection(new Wire(this.#endpoint, this.#headers()), {
      deployment: this.deploymentId,
      slots: this.maxConcurrentWorkflows,
      client: this,
    });
    leaveAtTheEnd(this);
    return this.#connection;
  }

  #wire(): Wire {
    return this.#connected().wire;
  }

  #wiring(): Wiring {
    const connection = this.#connected();
    return {
      wire: connection.wire,
      suspensions: this.#suspensions,
      ready: (target) => connection.ready(target),
    };
  }

  #headers(): [string, string][] {
    const headers: [string, string][] = [];
    if (this.apiKey) {
      if (!/^[\x21-\x7e]+$/.test(this.apiKey)) {
        throw new PermissionDeniedError("the API key holds characters no key has");
      }
      headers.push(["authorization", `Bearer ${this.apiKey}`]);
    }
    if (this.projectId) headers.push(["x-project-id", this.projectId]);
    return headers;
  }

  async #limitQueue(name: string | undefined, limit: number): Promise<void> {
    if (name === undefined || !(limit >= 1)) {
      throw new InvalidArgumentError(
        `queueConcurrencyLimit is ${limit}: it is 1 or more, beside a queueName`,
        { field: "queueConcurrencyLimit" },
      );
    }
    const queue = { name, perKeyLimit: limit };
    await this.#wire().call(QueueService.method.put, { queue });
  }

  async #start(
    name: string,
    kind: RunKind,
    payload: unknown,
    given: StartOptions,
  ): Promise<ExecutionHandle> {
    const until = giveUpAt(given);
    const options = startedOnce(given);
    const inputJson = stringifyArgument(payload ?? null, `the payload of ${name}`, "payload");
    const connection = this.#connected();
    await connection.readyForQueue(options.queue, until);
    const { wire } = connection;
    const { runId } =
      kind === RunKind.TOOL
        ? await wire.call(
            ToolService.method.start,
            { toolId: name, inputJson, options },
            { giveUpAt: until },
          )
        : await wire.call(
            WorkflowService.method.start,
            { workflowId: name, inputJson, options },
            { giveUpAt: until },
          );
    return this.#rootHandle(runId, name, options);
  }

  #rootHandle(runId: string, name: string, options: WireOptions): ExecutionHandle {
    const fields = {
      id: runId,
      workflowId: name,
      createdAt: new Date().toISOString(),
      rootWorkflowId: name,
      rootExecutionId: runId,
      sessionId: options.sessionId || undefined,
      userId: options.userId || undefined,
    };
    return new ExecutionHandle(fields, this);
  }

  #handle(run: Run): ExecutionHandle<any> {
    const { id, name, sessionId, userId } = run;
    return this.#rootHandle(id, name, { sessionId, userId } as WireOptions);
  }

  /**
   * The ended run; WorkflowTimeoutError when the server does not end it in time either.
   *
   * `isOwnClock`: the timeout is this call's; otherwise it is the run's, whose clock stops while
   * the run waits for a time, an answer, an event or a child.
   */
  async #ended(runId: string, timeout: number | undefined, isOwnClock: boolean): Promise<Run> {
    const patienceMs =
      timeout === undefined ? undefined : timeout * 1000 + (isOwnClock ? 0 : GRACE_MS);
    for (;;) {
      const run = await inTime(patienceMs, (signal) => waitUntilEnded(this.#wire(), runId, signal));
      if (run) return run;
      const told = await this.#look(runId);
      if (told instanceof PolosError) throw new WorkflowTimeoutError(runId, timeout, told.message);
      if (isOwnClock || !told.waiting.some((wait) => STOPS_CLOCK.includes(wait.kind))) {
        const waits = hasEnded(told) ? "" : told.waiting.map((wait) => wait.message).join("; ");
        throw new WorkflowTimeoutError(runId, timeout, waits);
      }
    }
  }

  async #look(runId: string): Promise<Run | PolosError> {
    try {
      return await runs.getRun(this.#wire(), runId, performance.now() + LOOK_MS);
    } catch (error) {
      if (error instanceof PolosError) return error;
      throw error;
    }
  }
}

/** What the work gives; undefined: it did not end in time, and was told to. */
async function inTime<T>(
  ms: number | undefined,
  work: (signal: AbortSignal) => Promise<T>,
): Promise<T | undefined> {
  const ending = new AbortController();
  const timer = ms === undefined ? undefined : setTimeout(() => ending.abort(), ms);
  try {
    return await work(ending.signal);
  } catch (error) {
    if (ending.signal.aborted) return undefined;
    throw error;
  } finally {
    clearTimeout(timer);
  }
}

/** The result of an ended agent run; throws when it did not complete or does not fit. */
async function agentResultOf(
  agent: AgentDefinitionLike | undefined,
  run: Run,
  timeoutSeconds: number | undefined,
): Promise<AgentResult<any>> {
  throwUnlessCompleted(run, timeoutSeconds);
  const steps = run.turns.map(stepOf);
  return {
    agent_run_id: run.id,
    result: await answerOf(agent, run),
    result_schema: null,
    tool_results: steps.flatMap((step) => step.tool_results),
    total_steps: run.turnCount,
    usage: usageOf(run.usage),
    steps,
    stop_reason: stopWord(run.stopReason),
  };
}

async function answerOf(agent: AgentDefinitionLike | undefined, run: Run): Promise<unknown> {
  const value = parsed(run.resultJson);
  if (agent?.outputSchema === undefined) return value;
  try {
    return await fitted(agent, typeof value === "string" ? parsed(value) : value, run.id);
  } catch (error) {
    if (!(error instanceof OutputError)) throw error;
    const stop = stopWord(run.stopReason);
    const message = `${error.message}; the run ended with stop reason ${shown(stop)}`;
    throw new OutputError(message, { runId: run.id, text: run.resultJson });
  }
}

/** With a key under which the server starts one run, however often it is asked. */
function startedOnce(options: StartOptions): WireOptions {
  const made = wireOptions(options);
  made.idempotencyKey ||= randomUUID();
  return made;
}

function giveUpAt(options: StartOptions): number | undefined {
  const timeout = timeoutOf(options);
  return timeout === undefined ? undefined : performance.now() + timeout * 1000;
}

function slotsOf(given: number | undefined): number {
  const text = process.env["POLOS_MAX_CONCURRENT_WORKFLOWS"];
  const slots = given ?? (text ? Number(text) : DEFAULT_SLOTS);
  if (Number.isInteger(slots) && slots >= 1 && slots <= SLOTS_MAX) return slots;
  throw new InvalidArgumentError(
    `maxConcurrentWorkflows is ${given ?? shown(text)}: it is a number from 1 to ${SLOTS_MAX}`,
    { field: "maxConcurrentWorkflows" },
  );
}

const open = new Set<PolosClient>();

/** A script that just ends says that its host leaves. */
function leaveAtTheEnd(client: PolosClient): void {
  if (open.size === 0) process.once("beforeExit", leaveAll);
  open.add(client);
}

function leaveAll(): void {
  const clients = [...open];
  open.clear();
  for (const client of clients) void client.close();
}

/** As client.batchInvoke(). */
export function batchInvoke(
  client: PolosClient,
  items: readonly BatchWorkflowInput[],
): Promise<ExecutionHandle<any>[]> {
  return client.batchInvoke(items);
}

/** Starts runs of agents (agent.withInput(...)); their handles, in order. */
export function batchAgentInvoke(
  client: PolosClient,
  configs: readonly AgentRunConfig<any>[],
): Promise<ExecutionHandle<any>[]> {
  return Promise.all(configs.map((config) => client.startAgent(config)));
}
