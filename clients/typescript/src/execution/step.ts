/** Durable steps: `ctx.step` in workflows and tools. */
import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { randomUUID } from "node:crypto";
import { shown } from "../checks.js";
import { parse, stringify, stringifyArgument } from "../codec/json.js";
import { valueOutcome } from "../codec/outcomes.js";
import { answerSchemaOf, fit, type OutputOf, type StandardSchema } from "../codec/schema.js";
import { durationOf, timestampOf } from "../codec/times.js";
import {
  ExecutionCancelledError,
  InvalidArgumentError,
  NonRetryableError,
  StepExecutionError,
  TimeoutError,
  UnsupportedFeatureError,
} from "../errors.js";
import { StepRequestSchema, type TaskOutcome } from "../gen/polos/v1/steps_pb.js";
import type { AskKind } from "../replay/machine.js";
import type { ExecutionHandle, RunReader } from "../runs/handle.js";
import type { AgentResult, BatchStepResult, EventPayload } from "../runs/types.js";
import {
  batchResultOf,
  childOf,
  childOfAgent,
  childOfBatch,
  handleOf,
  requestFor,
  resultOf,
  type BatchWorkflowInput,
  type Child,
  type RunIdentity,
} from "./children.js";
import type { Execution } from "./execution.js";
import { eventFields } from "./inputs.js";
import type { AgentRunConfig, StartOptions } from "./starts.js";
import type { Target } from "./startable.js";
import { spanned, type Attributes, type Span } from "./trace.js";
import {
  Tries,
  checkWork,
  isStepOptions,
  limited,
  outcomeOfTry,
  type StepOptions,
} from "./work.js";

const SECONDS_MAX = 1e10;

/** How long to wait; what is given is added up. */
export interface WaitForOptions {
  seconds?: number;
  minutes?: number;
  hours?: number;
  days?: number;
  weeks?: number;
}

/** What is waited for of a topic. */
export interface WaitForEventOptions {
  topic: string;
  /** Seconds after which the step fails (`errorType` "TIMEOUT"). Default: never. */
  timeout?: number;
  /** Only events of this type. */
  eventType?: string;
}

/** What is published. */
export interface PublishEventOptions {
  topic: string;
  type?: string;
  data: unknown;
}

/** What a suspension shows, and what it takes. */
export interface SuspendOptions<T = unknown> {
  /** What it shows to whoever looks at it. */
  data?: T;
  /** Seconds after which the step fails (`errorType` "TIMEOUT"). Default: never. */
  timeout?: number;
}

/** What is given to a suspension without a schema. */
export interface ResumeEvent<T = any> {
  /** The answer. */
  data: T;
  id: string;
  sequenceId: number;
  topic: string;
  /** "resume_<step key>". */
  eventType: string;
  /** Who answered; undefined: nobody said. */
  resumedBy?: string | undefined;
  /** When, ISO 8601; undefined: it is not known. */
  createdAt?: string | undefined;
}

/** Which suspension is answered, and how. */
export interface ResumeOptions {
  suspendStepKey: string;
  suspendExecutionId: string;
  /** The workflow of that run; empty: not compared. */
  suspendWorkflowId?: string;
  data: unknown;
}

/** How a child run is started. */
export type InvokeOptions = StartOptions;

/** What becomes of runs that are waited for. */
export interface OutliveOptions {
  /** True: when this run fails before them, they go on; else they are cancelled. */
  outliveParent?: boolean;
}

/** How a child run is started that is waited for. */
export type WaitOptions = InvokeOptions & OutliveOptions;

type Arguments<In, Options> = undefined extends In
  ? [payload?: In, options?: Options]
  : [payload: In, options?: Options];

/**
 * Units of work whose outcome is kept: done once, remembered for ever.
 *
 * A step is named by its key, unique in its run. When the code runs again (its host died, or let go
 * of it because it only waited), a step that has settled is answered from the journal; its function
 * is not called. Outcomes include failures and falsy values. A key may be used once per execution;
 * in a loop, put the counter into it. All steps may be used in parallel (Promise.all).
 *
 * Every step throws StepExecutionError when it failed for good, now or in an earlier execution, and
 * ExecutionCancelledError where the code is told that its run is being cancelled.
 */
export class Step {
  readonly #ctx: RunIdentity;
  readonly #execution: Execution;
  readonly #client: RunReader | undefined;

  constructor(ctx: RunIdentity, execution: Execution, client: RunReader | undefined) {
    this.#ctx = ctx;
    this.#execution = execution;
    this.#client = client;
  }

  // ---- work ----

  /**
   * Calls fn once and keeps what it gives, as JSON gives it back.
   *
   * @param key 1 to 512 bytes, unique in the run.
   * @param options of the tries; see StepOptions.
   */
  run<T>(key: string, fn: () => T | Promise<T>, options?: StepOptions): Promise<T>;
  /** As run(key, () => fn(...args)). */
  run<A extends unknown[], T>(
    key: string,
    fn: (...args: A) => T | Promise<T>,
    ...args: A
  ): Promise<T>;
  run(key: string, fn: (...args: any[]) => unknown, ...args: unknown[]): Promise<any> {
    const isOptions = args.length === 1 && (args[0] === undefined || isStepOptions(args[0]));
    const options = isOptions ? ((args[0] ?? {}) as StepOptions) : {};
    return handled(this.#run(key, fn, isOptions ? [] : args, options));
  }

  async #run(key: string, fn: (...args: any[]) => unknown, args: unknown[], options: StepOptions) {
    checkWork(key, fn, options);
    const tries = new Tries(key, options);
    const settled = await this.#execution.recall(key, "step");
    if (settled) return valueOf(settled, key);
    const working = this.#execution.atWork(key);
    try {
      const outcome = await this.#tried(tries, async () => {
        const work = Promise.resolve().then(() => fn(...args));
        const value = await limited(this.#execution.interruptible(work), options.timeout);
        return valueOutcome(stringify(value), `step ${shown(key)}`);
      });
      await this.#execution.settle(key, outcome);
      return valueOf(outcome, key);
    } finally {
      working.end();
    }
  }

  /** A random UUID that stays the same when the code runs again. */
  uuid(key: string): Promise<string> {
    return this.#recorded(key, () => randomUUID());
  }

  /** The time in Unix milliseconds, the same when the code runs again. */
  now(key: string): Promise<number> {
    return this.#recorded(key, () => Date.now());
  }

  /** A random number in [0, 1), the same when the code runs again. */
  random(key: string): Promise<number> {
    return this.#recorded(key, () => Math.random());
  }

  // ---- waits ----

  /** Waits so long; the wait survives server and host, and costs nothing. */
  waitFor(key: string, options: WaitForOptions): Promise<void> {
    return handled(this.#waitFor(key, options));
  }

  async #waitFor(key: string, options: WaitForOptions): Promise<void> {
    const { seconds = 0, minutes = 0, hours = 0, days = 0, weeks = 0 } = options;
    const total = seconds + 60 * minutes + 3600 * hours + 86400 * days + 604800 * weeks;
    if (Object.keys(options).length === 0 || !(total >= 0 && total < SECONDS_MAX)) {
      throw new InvalidArgumentError(
        `waitFor(${shown(key)}) waits ${total} s: give seconds, minutes, hours, days or weeks, ` +
          "0 or more",
        { field: "seconds" },
      );
    }
    const end = { case: "duration" as const, value: durationOf(Math.max(1e-3, total))! };
    await this.#ordered(key, "sleep", { case: "sleep", value: { end } });
  }

  /** Waits for a time. */
  waitUntil(key: string, date: Date): Promise<void> {
    return handled(this.#waitUntil(key, date));
  }

  async #waitUntil(key: string, date: Date): Promise<void> {
    if (!(date instanceof Date) || Number.isNaN(date.getTime())) {
      throw new InvalidArgumentError(`waitUntil(${shown(key)}) waits for a Date`, {
        field: "date",
      });
    }
    const until = new Date(Math.max(1, date.getTime()));
    const end = { case: "until" as const, value: timestampOf(until)! };
    await this.#ordered(key, "sleep", { case: "sleep", value: { end } });
  }

  /** The next event of a topic that is published from now on. */
  waitForEvent<T = EventPayload>(key: string, options: WaitForEventOptions): Promise<T> {
    return handled(this.#waitForEvent(key, options) as Promise<T>);
  }

  async #waitForEvent(key: string, options: WaitForEventOptions): Promise<unknown> {
    const { topic, eventType = "", timeout } = options;
    const value = { topic, eventType, timeout: timeoutOf(key, timeout) };
    return eventFields(await this.#ordered(key, "event", { case: "awaitEvent", value }));
  }

  /**
   * Waits for an answer from outside: client.resume(...) of anybody, anywhere.
   *
   * Gives what the schema makes of the answer, or without one a ResumeEvent, whose `data` is the
   * answer. An answer that does not fit the JSON Schema of the schema is refused where it is given
   * (InvalidArgumentError), and the step goes on waiting; one that fits that, and not the schema,
   * fails the step (`errorType` "ANSWER_INVALID").
   */
  suspend<S extends StandardSchema>(
    key: string,
    options: SuspendOptions & { schema: S },
  ): Promise<OutputOf<S>>;
  suspend<T = unknown, R = ResumeEvent>(key: string, options?: SuspendOptions<T>): Promise<R>;
  suspend(key: string, options: SuspendOptions & { schema?: StandardSchema } = {}): Promise<any> {
    return handled(this.#suspend(key, options));
  }

  async #suspend(key: string, options: SuspendOptions & { schema?: StandardSchema }) {
    const dataJson = stringifyArgument(
      options.data ?? null,
      `the data of suspend(${shown(key)})`,
      "data",
    );
    const answerSchemaJson = options.schema === undefined ? "" : answerSchemaOf(options.schema);
    const value = { dataJson, answerSchemaJson, timeout: timeoutOf(key, options.timeout) };
    const told = (await this.#ordered(key, "suspend", { case: "suspend", value })) as any;
    const answer: unknown = told?.data ?? null;
    if (options.schema === undefined) return this.#resumed(key, answer, told ?? {});
    const found = await fit(options.schema, answer);
    if (found.problem === undefined) return found.value;
    throw new StepExecutionError(
      `the answer to step ${shown(key)} does not fit: ${found.problem}`,
      "ANSWER_INVALID",
    );
  }

  #resumed(key: string, data: unknown, told: Record<string, any>): ResumeEvent {
    const at: unknown = told["resumed_at_ms"];
    return {
      id: `${this.#ctx.executionId}:${key}`,
      sequenceId: Number(told["sequence"] ?? 0),
      topic: this.#ownTopic(),
      eventType: `resume_${key}`,
      data,
      resumedBy: (told["resumed_by"] as string | undefined) || undefined,
      createdAt: typeof at === "number" ? new Date(at).toISOString() : undefined,
    };
  }

  // ---- what may take only so long ----

  /**
   * Limits the time of a part of the code: after it the promise is rejected with a TimeoutError,
   * and what `fn` awaits of steps is given up, as is what it asks for later. The time goes on while
   * the code is let go of, and is over at the same place when it runs again.
   *
   *     await ctx.step.timeout("patience", 30, () => ctx.step.suspend("approve"));
   */
  timeout<T>(key: string, seconds: number, fn: () => T | Promise<T>): Promise<T> {
    return handled(this.#timeout(key, seconds, fn));
  }

  async #timeout<T>(key: string, seconds: number, fn: () => T | Promise<T>): Promise<T> {
    const end = { case: "duration" as const, value: timeoutOf(key, seconds ?? 0)! };
    const wait = async () => {
      await this.#execution.afterThis();
      await this.#ordered(key, "sleep", { case: "sleep", value: { end } });
    };
    const clock = this.#execution.part(wait, true);
    const body = this.#execution.part(fn);
    clock.done.then(
      () => body.giveUp(new TimeoutError()),
      (error: Error) => error instanceof ExecutionCancelledError || body.giveUp(error),
    );
    try {
      return await body.done;
    } finally {
      clock.giveUp(new TimeoutError());
    }
  }

  /**
   * Gives up a part of the code when a signal aborts: the promise is rejected with the signal's
   * reason, and what `fn` awaits of steps is given up, as is what it asks for later. A time that
   * the signal measures begins anew when the code runs again.
   *
   *     await ctx.step.giveUpWhen(AbortSignal.timeout(5_000), () => ctx.step.suspend("approve"));
   */
  giveUpWhen<T>(signal: AbortSignal, fn: () => T | Promise<T>): Promise<T> {
    return handled(this.#giveUpWhen(signal, fn));
  }

  async #giveUpWhen<T>(signal: AbortSignal, fn: () => T | Promise<T>): Promise<T> {
    const body = this.#execution.part(fn);
    const give = () => body.giveUp(signal.reason as Error);
    if (signal.aborted) give();
    signal.addEventListener("abort", give, { once: true });
    try {
      return await body.done;
    } finally {
      signal.removeEventListener("abort", give);
    }
  }

  // ---- events and answers ----

  /** Publishes an event, once, however often the code runs. */
  publishEvent(key: string, options: PublishEventOptions): Promise<void> {
    return handled(this.#publishEvent(key, options));
  }

  async #publishEvent(key: string, options: PublishEventOptions): Promise<void> {
    const dataJson = stringifyArgument(
      options.data ?? null,
      `the data of publishEvent(${shown(key)})`,
      "data",
    );
    const value = { topic: options.topic, eventType: options.type ?? "", dataJson };
    await this.#ordered(key, "publish", { case: "publish", value });
  }

  /** Publishes an event to those who follow the run (client.events.streamWorkflow). */
  publishWorkflowEvent(key: string, options: { data: unknown; type?: string }): Promise<void> {
    return this.publishEvent(key, { ...options, topic: this.#ownTopic() });
  }

  /** Answers another run's suspension, once; nothing happens when it was answered before. */
  resume(key: string, options: ResumeOptions): Promise<void> {
    return handled(this.#resume(key, options));
  }

  async #resume(key: string, options: ResumeOptions): Promise<void> {
    const value = {
      runId: options.suspendExecutionId,
      stepKey: options.suspendStepKey,
      dataJson: stringifyArgument(
        options.data ?? null,
        `the data of resume(${shown(key)})`,
        "data",
      ),
      workflowId: options.suspendWorkflowId ?? "",
    };
    await this.#ordered(key, "resume", { case: "resume", value });
  }

  // ---- child runs ----

  /** Starts a run of a workflow, tool or agent and goes on; its handle. */
  invoke<In, Out>(
    key: string,
    workflow: Target<In, Out>,
    ...rest: Arguments<In, InvokeOptions>
  ): Promise<ExecutionHandle<Out>>;
  invoke<In = unknown, Out = any>(
    key: string,
    workflow: string,
    payload?: In,
    options?: InvokeOptions,
  ): Promise<ExecutionHandle<Out>>;
  invoke(
    key: string,
    workflow: string | Target,
    payload?: unknown,
    options: InvokeOptions = {},
  ): Promise<any> {
    const started = async () => {
      const child = childOf(workflow, payload, options, (name) => this.#execution.find(name));
      return (await this.#started(key, [child]))[0];
    };
    return handled(started());
  }

  /**
   * Starts a run of a workflow, tool or agent and waits for its result. Throws StepExecutionError
   * when the run failed or was cancelled.
   */
  invokeAndWait<In, Out>(
    key: string,
    workflow: Target<In, Out>,
    ...rest: Arguments<In, WaitOptions>
  ): Promise<Out>;
  invokeAndWait<In = unknown, Out = any>(
    key: string,
    workflow: string,
    payload?: In,
    options?: WaitOptions,
  ): Promise<Out>;
  invokeAndWait(
    key: string,
    workflow: string | Target,
    payload?: unknown,
    options: WaitOptions = {},
  ): Promise<any> {
    const { outliveParent, ...start } = options;
    const ended = async () => {
      const child = childOf(workflow, payload, start, (name) => this.#execution.find(name));
      return this.#result(key, child, outliveParent);
    };
    return handled(ended());
  }

  /** Starts runs and goes on; their handles, in order. */
  batchInvoke(key: string, items: readonly BatchWorkflowInput[]): Promise<ExecutionHandle<any>[]> {
    return handled(this.#batch(items).then((children) => this.#started(key, children)));
  }

  /** Starts runs and waits for all of them; how each ended, in order. */
  batchInvokeAndWait<T = any>(
    key: string,
    items: readonly BatchWorkflowInput[],
    { outliveParent }: OutliveOptions = {},
  ): Promise<BatchStepResult<T>[]> {
    const ended = async () => this.#results(key, await this.#batch(items), outliveParent);
    return handled(ended());
  }

  /** Starts a run of an agent (agent.withInput(...)) and goes on; its handle. */
  agentInvoke<T>(key: string, config: AgentRunConfig<T>): Promise<ExecutionHandle<AgentResult<T>>> {
    const started = async () => (await this.#started(key, [childOfAgent(config)]))[0]!;
    return handled(started());
  }

  /**
   * Starts a run of an agent (agent.withInput(...)) and waits for its result. Throws
   * StepExecutionError when the run failed or was cancelled.
   */
  agentInvokeAndWait<T>(
    key: string,
    config: AgentRunConfig<T>,
    { outliveParent }: OutliveOptions = {},
  ): Promise<AgentResult<T>> {
    const ended = async () => this.#result(key, childOfAgent(config), outliveParent);
    return handled(ended() as Promise<AgentResult<T>>);
  }

  /** Starts runs of agents and goes on; their handles, in order. */
  batchAgentInvoke(
    key: string,
    configs: readonly AgentRunConfig<any>[],
  ): Promise<ExecutionHandle<AgentResult<any>>[]> {
    const started = async () => this.#started(key, configs.map(childOfAgent));
    return handled(started());
  }

  /** Starts runs of agents and waits for all of them; how each ended, in order. */
  batchAgentInvokeAndWait<T = AgentResult<any>>(
    key: string,
    configs: readonly AgentRunConfig<any>[],
    { outliveParent }: OutliveOptions = {},
  ): Promise<BatchStepResult<T>[]> {
    const ended = async () => this.#results(key, configs.map(childOfAgent), outliveParent);
    return handled(ended());
  }

  /**
   * A named stretch of the code: times and attributes, for whoever looks; not durable. Where
   * OpenTelemetry's API is loaded it is one of its spans, within that of the task.
   */
  trace<T>(
    name: string,
    fn: (span: Span) => T | Promise<T>,
    attributes: Attributes = {},
  ): Promise<T> {
    return spanned(name, attributes, fn);
  }

  // ---- inside ----

  /**
   * The outcome of the try that works, or of the last one; no wait after it. A failed try is a fact,
   * so that no crash grants more of them.
   */
  async #tried(tries: Tries, attempt: () => Promise<TaskOutcome>): Promise<TaskOutcome> {
    let pauseMs: number;
    ({ failed: tries.failed, pauseMs } = this.#execution.tried(tries.key));
    for (;;) {
      if (pauseMs > 0) await this.#execution.interruptible(pause(pauseMs));
      try {
        return await spanned(`step ${tries.key}`, { "polos.step_key": tries.key }, attempt);
      } catch (thrown) {
        if (thrown instanceof ExecutionCancelledError || thrown instanceof UnsupportedFeatureError)
          throw thrown;
        if (this.#execution.isGivenUp) throw thrown;
        tries.warnOf(thrown, this.#ctx.executionId);
        const outcome = outcomeOfTry(thrown, tries.key);
        if (tries.left === 0 || thrown instanceof NonRetryableError) return outcome;
        tries.failed++;
        pauseMs = tries.pauseMs;
        await this.#execution.keepTry(tries.key, tries.failed, outcome, pauseMs);
      }
    }
  }

  #recorded<T>(key: string, make: () => T): Promise<T> {
    const recorded = async () => {
      const settled = await this.#execution.recall(key, "step");
      if (settled) return valueOf(settled, key) as T;
      const outcome = valueOutcome(stringify(make()), `step ${shown(key)}`);
      const working = this.#execution.working();
      try {
        await this.#execution.settle(key, outcome);
      } finally {
        working.end();
      }
      return valueOf(outcome, key) as T;
    };
    return handled(recorded());
  }

  /** The value of a step that the server does, from the history or from the server. */
  async #ordered(key: string, kind: AskKind, request: RequestInit): Promise<any> {
    const settled = await this.#execution.recall(key, kind);
    if (settled) return valueOf(settled, key);
    const made = create(StepRequestSchema, { key, request });
    return valueOf(await this.#execution.order(made, kind), key);
  }

  async #batch(items: readonly BatchWorkflowInput[]): Promise<Child[]> {
    return items.map((item) => childOfBatch(item, (name) => this.#execution.find(name)));
  }

  async #childrenOf(
    key: string,
    children: Child[],
    wait: boolean,
    outliveParent = false,
  ): Promise<Record<string, any>[]> {
    const kind = wait ? "invoke_and_wait" : "invoke";
    let outcome = await this.#execution.recall(key, kind);
    if (!outcome) {
      const targets = new Set(children.flatMap((child) => child.target ?? []));
      const queues = new Set(children.map((child) => child.options.queue).filter(Boolean));
      await this.#execution.prepare(targets, [...queues].sort());
      outcome = await this.#execution.order(requestFor(key, children, this.#ctx, { wait, outliveParent }), kind);
    }
    const found = valueOf(outcome, key) as unknown;
    if (Array.isArray(found) && found.length === children.length) return found;
    throw new StepExecutionError(
      `step ${shown(key)}: the server told of no ${children.length} runs`,
    );
  }

  async #started(key: string, children: Child[]): Promise<ExecutionHandle<any>[]> {
    if (children.length === 0) return this.#recorded(key, () => []);
    const found = await this.#childrenOf(key, children, false);
    return children.map((child, at) => handleOf(key, child, found[at]!, this.#ctx, this.#client));
  }

  async #result(key: string, child: Child, outliveParent?: boolean): Promise<any> {
    const [told] = await this.#childrenOf(key, [child], true, outliveParent);
    return resultOf(key, child, told!);
  }

  async #results(
    key: string,
    children: Child[],
    outliveParent?: boolean,
  ): Promise<BatchStepResult<any>[]> {
    if (children.length === 0) return this.#recorded(key, () => []);
    const found = await this.#childrenOf(key, children, true, outliveParent);
    return Promise.all(children.map((child, at) => batchResultOf(key, child, found[at]!)));
  }

  #ownTopic(): string {
    return `workflow/${this.#ctx.rootWorkflowId}/${this.#ctx.rootExecutionId}`;
  }
}

/** The documented name of what `ctx.step` is. */
export type StepHelper = Step;

type RequestInit = NonNullable<MessageInitShape<typeof StepRequestSchema>["request"]>;

/** A promise that may be left alone: its rejection is no unhandled one. */
function handled<T>(promise: Promise<T>): Promise<T> {
  promise.catch(() => undefined);
  return promise;
}

/** What the code is given: the same when the step ran and whenever it is replayed. */
function valueOf(outcome: TaskOutcome, key: string): any {
  const { result } = outcome;
  if (result.case !== "error") return parse(result.value || "null");
  const { type, message } = result.value;
  throw new StepExecutionError(`step ${shown(key)} failed: ${type}: ${message}`, type);
}

function timeoutOf(key: string, seconds: number | undefined) {
  if (seconds === undefined || (seconds > 0 && seconds < SECONDS_MAX)) return durationOf(seconds);
  throw new InvalidArgumentError(
    `the timeout of step ${shown(key)} is ${seconds}: it is more than 0 seconds`,
    {
      field: "timeout",
    },
  );
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
