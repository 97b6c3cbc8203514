/** Workflows: durable functions that run in this process. */
import { create } from "@bufbuild/protobuf";
import { checkNames, checkedId, refuse, shown } from "../checks.js";
import { checkSchema, fit, type StandardSchema } from "../codec/schema.js";
import { parse } from "../codec/json.js";
import { InputError, InvalidArgumentError, OutputError } from "../errors.js";
import type { WorkflowContext } from "../execution/context.js";
import { eventFields, scheduleFields } from "../execution/inputs.js";
import type { StartOptions } from "../execution/starts.js";
import type { Target } from "../execution/startable.js";
import { WorkflowDefinitionSchema, type WorkflowDefinition } from "../gen/polos/v1/definitions_pb.js";
import type { ExecutionHandle } from "../runs/handle.js";
import type { AgentResult } from "../runs/types.js";
import { log } from "../log.js";
import { queueNameOf, type Queue, type QueueConfig } from "./queue.js";
import * as registry from "./registry.js";
import { scheduleOffer, triggerOffer, type ScheduleConfig } from "./offers.js";
import { checkClient, type Starter } from "./starter.js";

const RUN_TIMEOUT_SECONDS = 600;

type MaybePromise<T> = T | Promise<T>;

/** The function of a workflow or tool. */
export type WorkflowHandler<In, State, Out> = (
  ctx: WorkflowContext<State>,
  payload: In,
) => MaybePromise<Out>;

/**
 * What a workflow is defined by. `Given` is what callers pass, `In` what its schema makes of it.
 */
export interface WorkflowConfig<In = any, State = any, Out = any, Given = In> {
  /** 1 to 128 letters, digits, '_', '-' or '.'. */
  id: string;
  /** For people. */
  description?: string | undefined;
  /** The queue its runs wait in: a name, a Queue, or its limits. */
  queue?: string | Queue | Partial<QueueConfig> | undefined;
  /**
   * "30 9 * * MON-FRI", in UTC, or { cron, timezone, key }: the clock starts runs, whose payload is
   * a SchedulePayload. true: it may, as client.schedules.create() says.
   */
  schedule?: string | ScheduleConfig | boolean | undefined;
  /** Each event of this topic starts a run; its payload is an EventPayload. */
  triggerOnEvent?: string | undefined;
  /** Start a run for so many events; its payload is a BatchEventPayload. */
  batchSize?: number | undefined;
  /** ... or for as many as came within so many seconds of the first. */
  batchTimeoutSeconds?: number | undefined;
  /** What the payload has to fit. */
  payloadSchema?: StandardSchema<Given, In> | undefined;
  /** What `ctx.state` is; it must make something of {}. */
  stateSchema?: StandardSchema<any, State> | undefined;
  /** What the result has to fit. */
  outputSchema?: StandardSchema<any, Out> | undefined;
  /** Called with the same arguments when the function ended because its run is being cancelled. */
  onCancel?: ((ctx: WorkflowContext<State>, payload: In) => MaybePromise<unknown>) | undefined;
  /** Features of later releases; given, they are refused. */
  onStart?: unknown;
  onEnd?: unknown;
  channels?: unknown;
  workflowType?: string | undefined;
}

/** How a definition is made. */
export interface DefineOptions {
  /** Whether hosts of this process offer it. Default: true. */
  autoRegister?: boolean | undefined;
}

export const CONFIG_NAMES = [
  "id",
  "description",
  "queue",
  "schedule",
  "triggerOnEvent",
  "batchSize",
  "batchTimeoutSeconds",
  "payloadSchema",
  "stateSchema",
  "outputSchema",
  "onCancel",
  "onStart",
  "onEnd",
  "channels",
  "workflowType",
];

type RunArguments<Given> = undefined extends Given
  ? [payload?: Given, options?: StartOptions]
  : [payload: Given, options?: StartOptions];

/**
 * A durable function. When its host dies, or lets go of it because it only waits, it runs again
 * from the top, on whatever host offers it; the steps it had settled are answered from the journal.
 *
 * `In` is what it takes, `State` what `ctx.state` is, `Out` what it gives.
 */
export class Workflow<In = any, State = any, Out = any> implements Target<In, Out> {
  readonly kind: "workflow" | "tool" | "agent" = "workflow";
  readonly id: string;
  readonly description: string | undefined;
  readonly config: WorkflowConfig<any, State, Out, In>;
  readonly handler: WorkflowHandler<any, State, Out>;
  readonly queue: string;
  declare readonly takes?: (payload: In) => void;
  declare readonly gives?: () => Out;

  constructor(
    config: WorkflowConfig<any, State, Out, In>,
    handler: WorkflowHandler<any, State, Out>,
  ) {
    this.id = checkedId(config.id, "workflow");
    this.description = config.description;
    this.config = config;
    this.handler = handler;
    for (const name of ["payloadSchema", "stateSchema", "outputSchema"] as const) {
      checkSchema(config[name], `the ${name} of ${config.id}`);
    }
    this.queue = this.queueOf(config);
  }

  /** The name of the queue its runs wait in; empty: none. */
  protected queueOf(config: WorkflowConfig): string {
    const hasSchedule = config.schedule !== undefined && config.schedule !== false;
    return hasSchedule && config.queue === undefined ? "" : queueNameOf(config.queue, this.id);
  }

  get payloadSchema(): StandardSchema | undefined {
    return this.config.payloadSchema;
  }

  get stateSchema(): StandardSchema | undefined {
    return this.config.stateSchema;
  }

  get outputSchema(): StandardSchema | undefined {
    return this.config.outputSchema;
  }

  /** As hosts offer it to the server. */
  offer(): WorkflowDefinition {
    return create(WorkflowDefinitionSchema, {
      id: this.id,
      description: this.description ?? "",
      trigger: triggerOffer(this.config),
      schedule: scheduleOffer(this.config),
      queue: this.queue,
    });
  }

  /**
   * Starts a run, waits for it and gives its result.
   *
   * `timeout` of the options: seconds the run may take, waits not counted. Default: 600.
   * Throws RunFailedError, RunCancelledError, WorkflowTimeoutError, OutputError, UnavailableError,
   * InvalidArgumentError.
   */
  async run(client: Starter, ...[payload, options]: RunArguments<In>): Promise<Out> {
    checkClient(client, `${this.kind}.run`);
    const timeout = options?.timeout ?? options?.runTimeoutSeconds ?? RUN_TIMEOUT_SECONDS;
    const handle = await client.startTarget(this, payload, { ...options, timeout });
    return fitted(this, await client.resultIn(handle.id, timeout), handle.id);
  }

  /** Starts a run and gives its handle at once; errors as run(). */
  async invoke(
    client: Starter,
    ...[payload, options]: RunArguments<In>
  ): Promise<ExecutionHandle<Out>> {
    checkClient(client, `${this.kind}.invoke`);
    return (await client.startTarget(this, payload, options ?? {})) as ExecutionHandle<Out>;
  }

  /** Runs the function on a task's input; what it throws is the task's error. @internal */
  async execute(ctx: WorkflowContext<any>, inputJson: string): Promise<Out> {
    const value = await this.handler(ctx, await this.inputOf(inputJson));
    return fitted(this, value, "");
  }

  /** Runs onCancel, after the function ended because of a cancellation. @internal */
  async cancelled(ctx: WorkflowContext<any>, inputJson: string): Promise<void> {
    await this.config.onCancel?.(ctx, await this.inputOf(inputJson));
  }

  private async inputOf(inputJson: string): Promise<any> {
    let value = parsedInput(inputJson, `${this.kind} ${shown(this.id)}`);
    if (this.config.triggerOnEvent !== undefined) value = eventFields(value);
    if (this.config.schedule !== undefined) value = scheduleFields(value);
    const schema = this.payloadSchema;
    if (schema === undefined) return value;
    const found = await fit(schema, value ?? {});
    if (found.problem === undefined) return found.value;
    throw new InputError(
      `the arguments of ${this.kind} ${shown(this.id)} do not fit: ${found.problem}`,
    );
  }
}

function parsedInput(inputJson: string, what: string): unknown {
  try {
    return parse(inputJson || "null");
  } catch (error) {
    throw new InputError(
      `the arguments of ${what} are not valid JSON: ${String(error)}`);
  }
}

/** The workflow of this id that this process defines; undefined: there is none. */
export function getWorkflow(id: string): Workflow<any, any, any> | undefined {
  return registry.workflows.get(id);
}

/** The workflows that this process defines, by their ids. */
export function getAllWorkflows(): Map<string, Workflow<any, any, any>> {
  return new Map(registry.workflows);
}

/** A result as its outputSchema makes it. Throws OutputError when it does not fit. */
export async function fitted(target: Target, value: unknown, runId: string): Promise<any> {
  const schema = target.outputSchema;
  if (schema === undefined) return value;
  const found = await fit(schema, value);
  if (found.problem === undefined) return found.value;
  const message = `the result of ${target.kind} ${shown(target.id)} does not fit: ${found.problem}`;
  throw new OutputError(message, { runId });
}

/**
 * Makes a function a Workflow.
 *
 * The types of payload, state and result come from the schemas and the function, or are given:
 * `defineWorkflow<Payload, State, Result>({ id }, async (ctx, payload) => ...)`.
 * Throws InvalidArgumentError for a config that is none, UnsupportedFeatureError for one of a
 * feature this release does not have.
 */
export function defineWorkflow<In = any, State = Record<string, any>, Out = any, Given = In>(
  config: WorkflowConfig<In, State, Out, Given>,
  handler: WorkflowHandler<In, State, Out>,
  options?: DefineOptions,
): Workflow<Given, State, Out>;
/** As the documentation has it: the result may be an agent's, which stands for its answer. */
export function defineWorkflow<In, State, Out>(
  config: WorkflowConfig<In, State, Out>,
  handler: WorkflowHandler<In, State, Out | AgentResult<any>>,
  options?: DefineOptions,
): Workflow<In, State, Out>;
export function defineWorkflow(
  config: WorkflowConfig,
  handler: WorkflowHandler<any, any, any>,
  options: DefineOptions = {},
): Workflow {
  checkHandler(handler, `workflow ${config.id}`);
  checkNames("defineWorkflow", config, CONFIG_NAMES);
  refuse("defineWorkflow", config, ["onStart", "onEnd", "channels"]);
  const made = new Workflow(config, handler);
  made.offer();
  if (options.autoRegister === false) return made;
  if (registry.workflows.has(made.id)) {
    log.warn(`workflow ${made.id} is defined twice in this process: the later one counts`);
  }
  registry.workflows.set(made.id, made);
  return made;
}

/** Throws InvalidArgumentError for what is no function. */
export function checkHandler(handler: unknown, what: string): void {
  if (typeof handler === "function") return;
  throw new InvalidArgumentError(`${what} needs a function: (ctx, payload) => ...`, {
    field: "handler",
  });
}
