/** How a run is to be started: its options, and an agent with what it is to be run with. */
import { create } from "@bufbuild/protobuf";
import { checkedText, nearest, shown } from "../checks.js";
import { stringify, stringifyArgument } from "../codec/json.js";
import { durationOf } from "../codec/times.js";
import { InvalidArgumentError, UnsupportedFeatureError } from "../errors.js";
import { Message_Role, type Message, MessageSchema } from "../gen/polos/v1/messages_pb.js";
import { StartOptionsSchema, type StartOptions as WireOptions } from "../gen/polos/v1/start_pb.js";
import type { AgentResult } from "../runs/types.js";
import { partOf, type AgentPart } from "./parts.js";
import type { AgentDefinitionLike } from "./startable.js";

const RETRIES_MAX = 100;
const TIMEOUT_SECONDS_MAX = 366 * 24 * 3600;

/** What every start takes beside its input; what is not given is the server's default. */
export interface StartOptions {
  /** Seconds the run may take, waits not counted. */
  timeout?: number | undefined;
  /** The same as `timeout`. */
  runTimeoutSeconds?: number | undefined;
  /** What `ctx.state` begins with. */
  initialState?: object | undefined;
  /** Kept with the run, and seen by its code. */
  sessionId?: string | undefined;
  userId?: string | undefined;
  conversationId?: string | undefined;
  /** The queue it waits in: its name, or what defineQueue() gave. */
  queue?: string | { readonly name: string } | undefined;
  /** The same as `queue`, by its name. */
  queueName?: string | undefined;
  /** Whose turn it is within the queue: a user, a tenant. */
  concurrencyKey?: string | undefined;
  /** Within its key, higher ones go first. Default: 0. */
  priority?: number | undefined;
  /** How often a workflow that throws is tried again. Default: twice. */
  maxRetries?: number | undefined;
  /** 1 to 200 bytes: the same key finds the run that was started first. */
  idempotencyKey?: string | undefined;
}

export const START_OPTION_NAMES = [
  "timeout",
  "runTimeoutSeconds",
  "initialState",
  "sessionId",
  "userId",
  "conversationId",
  "queue",
  "queueName",
  "concurrencyKey",
  "priority",
  "maxRetries",
  "idempotencyKey",
] as const;

/** Options as the API takes them. Throws InvalidArgumentError for what is none. */
export function wireOptions(options: StartOptions): WireOptions {
  checkNumbers(options);
  const queue = typeof options.queue === "object" ? options.queue.name : options.queue;
  return create(StartOptionsSchema, {
    runTimeout: durationOf(timeoutOf(options)),
    sessionId: checkedText(options.sessionId, "sessionId"),
    userId: checkedText(options.userId, "userId"),
    conversationId: checkedText(options.conversationId, "conversationId"),
    initialStateJson: stateJson(options.initialState),
    retry: options.maxRetries === undefined ? undefined : { maxRetries: options.maxRetries },
    queue: checkedText(queue ?? options.queueName, "queue"),
    concurrencyKey: checkedText(options.concurrencyKey, "concurrencyKey"),
    priority: options.priority ?? 0,
    idempotencyKey: checkedText(options.idempotencyKey, "idempotencyKey"),
  });
}

/** Seconds a run may take; undefined: nothing was said. */
export function timeoutOf(options: StartOptions): number | undefined {
  return options.timeout ?? options.runTimeoutSeconds;
}

function checkNumbers(options: StartOptions): void {
  const timeout = timeoutOf(options);
  if (timeout !== undefined && !(timeout > 0 && timeout <= TIMEOUT_SECONDS_MAX)) {
    throw new InvalidArgumentError(
      `timeout is ${timeout}: it is more than 0 and at most ${TIMEOUT_SECONDS_MAX} seconds`,
      { field: "timeout" },
    );
  }
  const { maxRetries, priority, idempotencyKey } = options;
  if (maxRetries !== undefined && !isWithin(maxRetries, 0, RETRIES_MAX)) {
    throw new InvalidArgumentError(`maxRetries is ${maxRetries}: it is 0 to ${RETRIES_MAX}`, {
      field: "maxRetries",
    });
  }
  if (priority !== undefined && !isWithin(priority, -(2 ** 31), 2 ** 31 - 1)) {
    throw new InvalidArgumentError(`priority is ${priority}: it is an integer of 32 bits`, {
      field: "priority",
    });
  }
  if (idempotencyKey === "") {
    throw new InvalidArgumentError("idempotencyKey is empty: it is 1 to 200 bytes", {
      field: "idempotencyKey",
    });
  }
}

function isWithin(number: number, least: number, most: number): boolean {
  return Number.isInteger(number) && number >= least && number <= most;
}

function stateJson(state: object | undefined): string {
  if (state === undefined) return "";
  const text = stringifyArgument(state, "initialState", "initialState");
  if (text.startsWith("{")) return text;
  throw new InvalidArgumentError("initialState is an object", { field: "initialState" });
}

/** What an agent may be told: a text, messages, or what stands for one of them. */
export type AgentInput =
  string | AgentMessage[] | { input: string | AgentMessage[] } | AgentResult<any>;

/** A message: a text, or parts: texts, and what is shown beside them. */
export interface AgentMessage {
  role: "system" | "user" | "assistant";
  content: string | AgentPart[];
}

/** What a run of an agent is told, as the API takes it. */
export interface WireInput {
  input?: string;
  messages?: Message[];
}

const ROLES: Record<string, Message_Role> = {
  system: Message_Role.SYSTEM,
  user: Message_Role.USER,
  assistant: Message_Role.ASSISTANT,
};

/** An agent's input as the API takes it. Throws InvalidArgumentError. */
export function wireInput(given: unknown): WireInput {
  const input = unwrapped(given);
  if (typeof input === "string") return { input: checkedText(input, "input") };
  if (Array.isArray(input) && input.length > 0) return { messages: input.map(messageOf) };
  throw new InvalidArgumentError(
    `input is a text, or a list of messages with role and content, not ${shown(typeof input)}`,
    { field: "input" },
  );
}

/** { input } stands for that, and a result of an agent for its answer, as programs pass them. */
function unwrapped(given: unknown): unknown {
  if (typeof given !== "object" || given === null || Array.isArray(given)) return given;
  if ("input" in given) return given.input;
  if ("agent_run_id" in given && "result" in given) {
    return typeof given.result === "string" ? given.result : stringify(given.result);
  }
  return given;
}

function messageOf(given: unknown, at: number): Message {
  const { role, content } = (given ?? {}) as { role?: unknown; content?: unknown };
  const found = typeof role === "string" ? ROLES[role] : undefined;
  if (found === undefined) {
    throw new InvalidArgumentError(
      `input[${at}].role is "system", "user" or "assistant", not ${shown(role)}`,
      { field: "input" },
    );
  }
  const parts = (typeof content === "string" ? [content] : content) as unknown[];
  if (!Array.isArray(parts) || parts.length === 0) {
    throw new InvalidArgumentError(`input[${at}].content is a text, or a list of parts`, {
      field: "input",
    });
  }
  return create(MessageSchema, {
    role: found,
    parts: parts.map((part, n) => partOf(part, `input[${at}].content[${n}]`)),
  });
}

/** Beside StartOptions, anything: it goes into the body of the model call as it is. */
export interface AgentRunOptions extends StartOptions {
  /** Every run can be followed; nothing depends on it. */
  streaming?: boolean | undefined;
  /** Goes into the body of the model call. */
  kwargs?: Record<string, unknown> | undefined;
  [provider: string]: unknown;
}

const PROVIDER_NAMES = [
  "user",
  "seed",
  "metadata",
  "topP",
  "top_p",
  "topK",
  "top_k",
  "store",
  "stream",
];

/** An agent with what it is to be run with; made by agent.withInput(). `T` is its answer. */
export class AgentRunConfig<T = unknown> {
  readonly agent: AgentDefinitionLike;
  readonly input: unknown;
  readonly options: StartOptions;
  /** What goes into the body of the model call. */
  readonly kwargs: Record<string, unknown>;
  declare readonly answers?: T;

  constructor(options: { agent: AgentDefinitionLike; input: AgentInput } & AgentRunOptions) {
    const { agent, input, streaming: _, kwargs, ...rest } = options;
    this.agent = agent;
    this.input = input;
    const [own, others] = split(rest);
    if (own.initialState !== undefined) {
      throw new UnsupportedFeatureError(`an agent's initialState (agent ${shown(agent.id)})`);
    }
    if (own.maxRetries !== undefined) {
      throw new UnsupportedFeatureError(`an agent's maxRetries (agent ${shown(agent.id)})`);
    }
    this.options = own;
    this.kwargs = { ...others, ...kwargs };
  }

  get sessionId(): string | undefined {
    return this.options.sessionId;
  }

  get userId(): string | undefined {
    return this.options.userId;
  }

  get runTimeoutSeconds(): number | undefined {
    return timeoutOf(this.options);
  }
}

/** Our options and the provider's; throws for one that is ours, misspelt. */
function split(given: Record<string, unknown>): [StartOptions, Record<string, unknown>] {
  const own: Record<string, unknown> = {};
  const others: Record<string, unknown> = {};
  for (const [name, value] of Object.entries(given)) {
    if ((START_OPTION_NAMES as readonly string[]).includes(name)) own[name] = value;
    else if (value !== undefined) others[name] = value;
  }
  for (const name of Object.keys(others)) {
    const meant = PROVIDER_NAMES.includes(name) ? undefined : nearest(name, START_OPTION_NAMES);
    if (!meant) continue;
    throw new InvalidArgumentError(`there is no option ${shown(name)}; did you mean ${meant}?`, {
      field: name,
    });
  }
  return [own, others];
}

/** What goes into the body of the model call, as the API takes it. */
export function providerJson(kwargs: Record<string, unknown>): string {
  if (Object.keys(kwargs).length === 0) return "";
  return stringifyArgument(kwargs, "the options of the provider", "kwargs");
}
