/** Agents: a model, a prompt and tools, run by the server's durable loop. */
import { create } from "@bufbuild/protobuf";
import { checkNames, checkedId, refuse } from "../checks.js";
import { checkSchema, jsonSchemaOf, type OutputOf, type StandardSchema } from "../codec/schema.js";
import { InvalidArgumentError } from "../errors.js";
import type { AgentDefinitionLike } from "../execution/startable.js";
import {
  AgentRunConfig,
  timeoutOf,
  type AgentInput,
  type AgentRunOptions,
} from "../execution/starts.js";
import { AgentDefinitionSchema, type AgentDefinition } from "../gen/polos/v1/definitions_pb.js";
import type { ExecutionHandle } from "../runs/handle.js";
import type { AgentResult } from "../runs/types.js";
import { combined, type StopCondition } from "./conditions.js";
import { serverModelOf, type LanguageModelObject } from "./models.js";
import { queueNameOf, type Queue, type QueueConfig } from "./queue.js";
import * as registry from "./registry.js";
import { checkClient, type Starter } from "./starter.js";
import type { StreamResult } from "./stream.js";
import { Tool } from "./tool.js";

const RUN_TIMEOUT_SECONDS = 600;

/** What an agent is defined by. */
export interface DefineAgentConfig<S extends StandardSchema | undefined = undefined> {
  /** 1 to 128 letters, digits, '_', '-' or '.'. */
  id: string;
  /** "provider:model", a provider's name for one beside `provider`, or a model of the AI SDK. */
  model: string | LanguageModelObject;
  /** A provider the server knows, where `model` is a name alone: "openai", "scripted", ... */
  provider?: string | undefined;
  /** Where the provider is reached, instead of its usual address. */
  providerBaseUrl?: string | undefined;
  /** For people. */
  description?: string | undefined;
  /** What the model is told first. */
  systemPrompt?: string | undefined;
  /** What defineTool() gave. */
  tools?: readonly Tool<any, any>[] | undefined;
  /** As the provider defines it. Default: its own. */
  temperature?: number | undefined;
  /** Per model call. Default: the provider's. */
  maxOutputTokens?: number | undefined;
  /** The queue its runs wait in: a name, a Queue, or its limits. */
  queue?: string | Queue | Partial<QueueConfig> | undefined;
  /** maxSteps(...), maxTokens(...). */
  stopConditions?: readonly StopCondition[] | undefined;
  /** What the answer has to fit; `AgentResult.result` is what it makes of it. */
  outputSchema?: S;
  /**
   * How often an answer that does not fit is asked for again, with what is wrong, before the run
   * fails with OUTPUT_INVALID; default once; at most 10.
   */
  outputRetries?: number;
  /** Whether events of a run above tell its text as it is written. Default: false. */
  streamToWorkflow?: boolean | undefined;
  /** Features of later releases; given, they are refused. */
  onStart?: unknown;
  onEnd?: unknown;
  onAgentStepStart?: unknown;
  onAgentStepEnd?: unknown;
  onToolStart?: unknown;
  onToolEnd?: unknown;
  guardrails?: unknown;
  guardrailMaxRetries?: unknown;
  compaction?: unknown;
  conversationHistory?: unknown;
  modelRunsOn?: unknown;
  channels?: unknown;
}

const LATER_NAMES = [
  "onStart",
  "onEnd",
  "onAgentStepStart",
  "onAgentStepEnd",
  "onToolStart",
  "onToolEnd",
  "guardrails",
  "guardrailMaxRetries",
  "compaction",
  "conversationHistory",
  "channels",
];

const CONFIG_NAMES = [
  "id",
  "model",
  "provider",
  "providerBaseUrl",
  "description",
  "systemPrompt",
  "tools",
  "temperature",
  "maxOutputTokens",
  "queue",
  "stopConditions",
  "outputSchema",
  "outputRetries",
  "streamToWorkflow",
  "modelRunsOn",
  ...LATER_NAMES,
];

/** What an agent answers: text, or what its outputSchema makes of it. */
export type AnswerOf<S extends StandardSchema | undefined> = S extends StandardSchema
  ? OutputOf<S>
  : string;

/**
 * A model, a prompt and tools under an id; `T` is what it answers.
 *
 * The loop runs in the server: it calls the model, has the tools run by a host (this process, or
 * any other that offers them), feeds their results back, and writes every fact down before it goes
 * on. A run survives the end of the server and of this process.
 */
export class Agent<T = string> implements AgentDefinitionLike {
  readonly kind = "agent";
  readonly id: string;
  readonly description: string | undefined;
  readonly agentConfig: DefineAgentConfig<any>;
  readonly tools: readonly Tool<any, any>[];
  readonly outputSchema: StandardSchema<any, T> | undefined;
  readonly queue: string;
  readonly streamToWorkflow: boolean;
  declare readonly takes?: (payload: AgentInput) => void;
  declare readonly gives?: () => AgentResult<T>;
  readonly #definition: AgentDefinition;

  constructor(config: DefineAgentConfig<any>) {
    this.id = checkedId(config.id, "agent");
    this.description = config.description;
    this.agentConfig = config;
    this.tools = checkedTools(config);
    checkSchema(config.outputSchema, `the outputSchema of agent ${config.id}`);
    this.outputSchema = config.outputSchema as StandardSchema<any, T> | undefined;
    this.queue = queueNameOf(config.queue, this.id);
    this.streamToWorkflow = config.streamToWorkflow ?? false;
    this.#definition = definitionOf(this, config);
  }

  get config(): DefineAgentConfig<any> {
    return this.agentConfig;
  }

  /** As the server stores it. */
  definition(): AgentDefinition {
    return this.#definition;
  }

  /**
   * Runs the agent and gives its result.
   *
   * The first call of a script attaches this process as a host for the tools defined so far. The
   * run survives the server: when it goes away and comes back in time, the answer arrives all the
   * same.
   *
   * @param input what the user says: a text, messages, or { input } with one of them.
   * @param options `timeout`: seconds the run may take, 600 if not given; sessionId, userId, queue,
   *   ... as of StartOptions; anything else goes into the body of the model call as it is. Throws
   *   RunFailedError, RunCancelledError, WorkflowTimeoutError, OutputError (the answer does not
   *   fit), UnavailableError, InvalidArgumentError.
   */
  async run(
    client: Starter,
    input: AgentInput,
    options: AgentRunOptions = {},
  ): Promise<AgentResult<T>> {
    checkClient(client, "agent.run");
    const timeout = timeoutOf(options) ?? RUN_TIMEOUT_SECONDS;
    const handle = await client.startAgent(this.withInput(input, { ...options, timeout }));
    return client.agentResult(this, handle.id, timeout);
  }

  /**
   * Starts a run and gives at once what follows it; arguments and errors as of run(), no timeout.
   */
  async stream(
    client: Starter,
    input: AgentInput,
    options: AgentRunOptions = {},
  ): Promise<StreamResult<T>> {
    checkClient(client, "agent.stream");
    const handle = await client.startAgent(this.withInput(input, options));
    return client.streamOf(this, handle);
  }

  /** Starts a run and gives its handle at once. */
  async invoke(
    client: Starter,
    input: AgentInput,
    options: AgentRunOptions = {},
  ): Promise<ExecutionHandle<AgentResult<T>>> {
    checkClient(client, "agent.invoke");
    const handle = await client.startAgent(this.withInput(input, options));
    return handle as ExecutionHandle<AgentResult<T>>;
  }

  /** This agent with what it is to be run with, for ctx.step.agentInvoke and its kin. */
  withInput(input: AgentInput, options: AgentRunOptions = {}): AgentRunConfig<T> {
    return new AgentRunConfig<T>({ ...options, agent: this, input });
  }
}

/** The documented name of an agent. */
export type AgentWorkflow<T = any> = Agent<T>;

/**
 * Makes an Agent.
 *
 * Throws InvalidArgumentError for a config that is none, UnsupportedFeatureError for one of a
 * feature this release does not have.
 */
export function defineAgent<S extends StandardSchema | undefined = undefined>(
  config: DefineAgentConfig<S>,
): Agent<AnswerOf<S>> {
  checkNames("defineAgent", config, CONFIG_NAMES);
  refuse("defineAgent", config, LATER_NAMES);
  refuse("defineAgent", { modelRunsOn: config.modelRunsOn === "host" || undefined }, [
    "modelRunsOn",
  ]);
  const made = new Agent<AnswerOf<S>>(config);
  registry.agents.set(made.id, made);
  return made;
}

/** Whether it is an agent. */
export function isAgentWorkflow(value: unknown): value is Agent<any> {
  return value instanceof Agent;
}

/** Whether it is a tool. */
export function isToolWorkflow(value: unknown): value is Tool {
  return value instanceof Tool;
}

function checkedTools(config: DefineAgentConfig<any>): readonly Tool<any, any>[] {
  const tools = config.tools ?? [];
  const names = new Set<string>();
  for (const tool of tools) {
    if (!(tool instanceof Tool)) {
      throw new InvalidArgumentError(
        `the tools of agent ${config.id} are made by defineTool(); one of them is not`,
        { field: "tools" },
      );
    }
    if (names.has(tool.id)) {
      throw new InvalidArgumentError(`agent ${config.id} has two tools named ${tool.id}`, {
        field: "tools",
      });
    }
    names.add(tool.id);
  }
  return tools;
}

function definitionOf(agent: Agent<any>, config: DefineAgentConfig<any>): AgentDefinition {
  const stop = combined(config.stopConditions ?? []);
  const named = serverModelOf(config.model, config.provider, config.id);
  return create(AgentDefinitionSchema, {
    id: config.id,
    description: config.description ?? "",
    models: [
      {
        provider: named.provider,
        model: named.model,
        baseUrl: config.providerBaseUrl ?? "",
        ...(config.temperature === undefined ? {} : { temperature: config.temperature }),
        maxOutputTokens: config.maxOutputTokens ?? 0,
      },
    ],
    systemPrompt: config.systemPrompt ?? "",
    tools: agent.tools.map((tool) => tool.definition()),
    maxTurns: stop.maxSteps,
    stopConditions: stop.maxTotalTokens
      ? [{ condition: { case: "maxTokens", value: BigInt(stop.maxTotalTokens) } }]
      : [],
    outputSchemaJson: outputSchemaText(config),
    outputRetries: config.outputRetries,
    queue: agent.queue,
  });
}

function outputSchemaText(config: DefineAgentConfig<any>): string {
  if (config.outputSchema === undefined) return "";
  return JSON.stringify(
    jsonSchemaOf(config.outputSchema, `the outputSchema of agent ${config.id}`, true),
  );
}
