/**
 * The TypeScript driver: offers one workflow and one tool, `conform`, whose payload is its program,
 * and does what the runner says, one line of JSON at a time.
 *
 *     driver.mjs SERVER_URL EFFECTS_URL
 *
 * Written against the public API alone; driver.py says what the operations are.
 */
import { request } from "node:http";
import { createInterface } from "node:readline";
import { isDeepStrictEqual } from "node:util";
import { z } from "zod";
import {
  ExecutionCancelledError,
  NonRetryableError,
  Polos,
  PolosError,
  Queue,
  RunFailedError,
  StepExecutionError,
  TimeoutError,
  configureLogging,
  defineAgent,
  defineTool,
  defineWorkflow,
  sleep,
  type BatchWorkflowInput,
  type StandardSchema,
  type StepOptions,
  type SuspendOptions,
  type WorkflowContext,
} from "@polos/sdk";

const [serverUrl = "", effectsUrl = ""] = process.argv.slice(2);

/** What programs throw. */
class Boom extends Error {
  override name = "Boom";
}

/** Of which no text can be had. */
class Unprintable extends Error {
  override name = "Unprintable";
  override get message(): string {
    throw new Error("no text");
  }
}

/** What a typed agent answers. */
const Answer = z.object({ city: z.string(), degrees: z.number().int() });

/** What suspensions with a schema are answered with. */
const SCHEMAS: Record<string, StandardSchema> = {
  approval: z.object({ yes: z.boolean(), note: z.string().default("none") }),
};

// ---- effects ----

type Told = Record<string, any>;

/** Has the runner do it: it counts, may hold it up, and says how it ends. */
async function effect(ctx: WorkflowContext, key: string): Promise<any> {
  const told = await posted({ run: ctx.executionId, key });
  if ("raise" in told) throw errorOf(told);
  return told["value"] ?? null;
}

function posted(body: object): Promise<Told> {
  return new Promise((resolve, reject) => {
    const asked = request(effectsUrl, { method: "POST", agent: false }, (answer) => {
      let text = "";
      answer.on("data", (piece: Buffer) => (text += piece.toString()));
      answer.on("end", () => resolve(JSON.parse(text) as Told));
    });
    asked.on("error", reject);
    asked.end(JSON.stringify(body));
  });
}

function errorOf(told: Told): Error {
  const message = String(told["message"] ?? "");
  const kinds: Record<string, () => Error> = {
    boom: () => new Boom(message),
    nul: () => new Boom("a\u0000b"),
    nonretryable: () => new NonRetryableError(message),
    group: () => new AggregateError([new Boom(message), new Boom("another")], "several"),
    unprintable: () => new Unprintable(),
  };
  return kinds[told["raise"] as string]!();
}

// ---- programs ----

type Op = Record<string, any>;

/** A program has its result. */
class Returned {
  constructor(readonly value: unknown) {}
}

/** One execution of one program. */
class Program {
  readonly programs: Record<string, Op[]>;
  readonly names: Record<string, any>;

  constructor(
    readonly ctx: WorkflowContext,
    readonly given: Told,
  ) {
    this.programs = given["programs"] as Record<string, Op[]>;
    this.names = { input: given["input"] ?? null };
  }

  run(): Promise<unknown> {
    return this.branch(this.programs[this.given["program"] as string]!);
  }

  async branch(ops: Op[]): Promise<any> {
    try {
      await this.all(ops);
    } catch (error) {
      if (error instanceof Returned) return error.value;
      throw error;
    }
    return null;
  }

  async all(ops: Op[]): Promise<void> {
    for (const op of ops) {
      const name = Object.keys(op).find((each) => each in OPS)!;
      const given: unknown = WITH_OPS.includes(name) ? op[name] : this.filled(op[name]);
      const value = await OPS[name]!(this, op, given);
      if ("as" in op) this.names[op["as"] as string] = value ?? null;
    }
  }

  /** With what names stand for: {"$": name}, and "{name}" in texts. */
  filled(value: any): any {
    if (Array.isArray(value)) return value.map((each) => this.filled(each));
    if (typeof value === "object" && value !== null) {
      if (Object.keys(value as object).join() === "$") return this.names[value["$"] as string];
      const filled = Object.entries(value as object).map(([key, each]) => [key, this.filled(each)]);
      return Object.fromEntries(filled);
    }
    if (typeof value !== "string" || !value.includes("{")) return value;
    let text = value;
    for (const [name, each] of Object.entries(this.names)) {
      text = text.replaceAll(`{${name}}`, String(each));
    }
    return text;
  }

  payload(op: Op): object {
    return {
      program: op["program"],
      programs: this.programs,
      input: this.filled(op["input"] ?? null),
    };
  }
}

/** So many times: of texts, as the other languages multiply them. */
function repeated(value: any, times = 1): any {
  return times > 1 ? (value as string).repeat(times) : value;
}

const REFUSED = ["InvalidArgumentError", "NotJsonError", "OutcomeTooLargeError"];

/** What code sees of what it caught. */
function caught(error: any): Told {
  if (error instanceof StepExecutionError)
    return { class: "StepExecutionError", type: error.errorType, message: error.message };
  if (error instanceof AggregateError) return { class: "group", of: error.errors.map(caught) };
  if (error instanceof TimeoutError) return { class: error.name, message: error.message };
  if (REFUSED.includes(error.name)) return { class: "refused" };
  if (error instanceof PolosError)
    return { class: error.name, reason: error.reason, field: error.field };
  return { class: error.name, message: error.message };
}

const OPS: Record<string, (program: Program, op: Op, value: any) => Promise<any>> = {
  async step(program, op, key: string) {
    const { ctx } = program;
    const options: StepOptions = { maxRetries: op["retries"] ?? 0, baseDelay: 1 };
    if ("timeout" in op) options.timeout = op["timeout"];
    const work = async () => {
      if ("raise" in op) throw errorOf(op);
      if ("value" in op) return repeated(program.filled(op["value"]), op["times"]);
      if ("odd" in op) return ODD[op["odd"] as string]!();
      return effect(ctx, op["effect"] ?? key);
    };
    return ctx.step.run(key, work, options);
  },
  async sleep({ ctx }, op, key: string) {
    await ctx.step.waitFor(key, { seconds: op["seconds"] });
  },
  async until({ ctx }, _op, key: string) {
    await ctx.step.waitUntil(key, new Date("2020-01-01T00:00:00Z"));
  },
  async suspend(program, op, key: string) {
    const options: SuspendOptions = { data: program.filled(op["data"]) };
    if ("timeout" in op) options.timeout = op["timeout"];
    const { step } = program.ctx;
    if ("schema" in op) {
      return step.suspend(key, { ...options, schema: SCHEMAS[op["schema"] as string]! });
    }
    return (await step.suspend(key, options)).data;
  },
  async event(program, op, key: string) {
    const topic: string = program.filled(op["topic"]);
    const about = { topic, timeout: op["timeout"], eventType: op["type"] };
    const found = await program.ctx.step.waitForEvent(key, about);
    return { type: found.eventType ?? null, data: found.data };
  },
  async publish(program, op, key: string) {
    const topic: string = program.filled(op["topic"]);
    const event = { topic, data: program.filled(op["data"]), type: op["type"] };
    await program.ctx.step.publishEvent(key, event);
  },
  async resume(program, op, key: string) {
    await program.ctx.step.resume(key, {
      suspendStepKey: op["suspension"],
      suspendExecutionId: program.filled(op["run"]),
      suspendWorkflowId: "conform",
      data: program.filled(op["data"]),
    });
  },
  async invoke(program, op, key: string) {
    const child: string = op["workflow"] ?? "conform";
    return (await program.ctx.step.invoke(key, child, program.payload(op))).id;
  },
  async invoke_wait(program, op, key: string) {
    const child: string = op["workflow"] ?? "conform";
    return program.ctx.step.invokeAndWait(key, child, program.payload(op), childOptions(op));
  },
  async batch(program, op, key: string) {
    const runs: BatchWorkflowInput[] = (op["of"] as Op[]).map((each) => ({
      id: "conform",
      payload: program.payload(each),
    }));
    const found = await program.ctx.step.batchInvokeAndWait(key, runs);
    return found.map(({ success, result, error }) => ({ success, result, error }));
  },
  async agent(program, op, key: string) {
    const agent = AGENTS[op["kind"] ?? "plain"]!;
    const config = agent.withInput(program.filled(op["input"]), { script: op["script"] });
    return (await program.ctx.step.agentInvokeAndWait(key, config)).result;
  },
  race(program, op) {
    const branches = (op["race"] as Op[][]).map(async (ops, at) => [at, await program.branch(ops)]);
    return Promise.race(branches);
  },
  all(program, op) {
    return Promise.all((op["all"] as Op[][]).map((ops) => program.branch(ops)));
  },
  async settled(program, op) {
    const branches = (op["settled"] as Op[][]).map((ops) => program.branch(ops));
    const found = await Promise.allSettled(branches);
    return found.map((each) => (each.status === "fulfilled" ? each.value : caught(each.reason)));
  },
  async in_order(program, op) {
    const found: unknown[] = [];
    const one = async (ops: Op[]) => void found.push(await program.branch(ops));
    await Promise.all((op["in_order"] as Op[][]).map(one));
    return found;
  },
  async group(program, op) {
    const failing = new AbortController();
    const branch = async (ops: Op[]) => {
      try {
        return await program.branch(ops);
      } catch (error) {
        failing.abort(new AggregateError([error]));
        throw error;
      }
    };
    const all = () => Promise.all((op["group"] as Op[][]).map(branch));
    return program.ctx.step.giveUpWhen(failing.signal, all);
  },
  async timeout(program, op, key: string) {
    await program.ctx.step.timeout(key, op["seconds"], () => program.all(op["do"]));
  },
  async patience(program, op, seconds: number) {
    const over = new AbortController();
    setTimeout(() => over.abort(new TimeoutError("")), seconds * 1000);
    await program.ctx.step.giveUpWhen(over.signal, () => program.all(op["do"]));
  },
  async try(program, op) {
    try {
      await program.all(op["try"]);
    } catch (error) {
      if (error instanceof Returned) throw error;
      if (error instanceof ExecutionCancelledError) {
        await program.all(op["cancelled"] ?? []);
        throw error;
      }
      if (!("catch" in op)) throw error;
      program.names["error"] = caught(error);
      await program.all(op["catch"]);
    } finally {
      await program.all(op["finally"] ?? []);
    }
  },
  async raise(program, op, kind: string) {
    throw errorOf({ message: program.filled(op["message"] ?? ""), raise: kind });
  },
  async return(_program, op, value) {
    throw new Returned("odd" in op ? ODD[op["odd"] as string]!() : repeated(value, op["times"]));
  },
  async set({ ctx }, op, values: Told) {
    for (const [name, value] of Object.entries(values)) {
      ctx.state[name] = repeated(value, op["times"]);
    }
  },
  async get({ ctx }, _op, name: string) {
    return ctx.state[name];
  },
  uuid: ({ ctx }, _op, key: string) => ctx.step.uuid(key),
  now: ({ ctx }, _op, key: string) => ctx.step.now(key),
  random: ({ ctx }, _op, key: string) => ctx.step.random(key),
  plain: ({ ctx }, _op, key: string) => effect(ctx, key),
  async until_cancelling({ ctx }) {
    while (!ctx.isCancelling) await sleep(5);
  },
  async repeat(program, op, times: number) {
    for (let number = 0; number < times; number++) {
      program.names["i"] = number;
      await program.all(op["do"]);
    }
  },
  async depth(program, op, depth: number) {
    if (depth === 0) return 0;
    const again = program.payload({ ...op, input: depth - 1 });
    return 1 + (await program.ctx.step.invokeAndWait<object, number>("child", "conform", again));
  },
  async let(_program, _op, value) {
    return value;
  },
  async same(_program, _op, values: unknown[]) {
    return values.every((value) => isDeepStrictEqual(value, values[0]));
  },
  async version(program, op) {
    await program.all(op["version"][process.env["CONFORM_VERSION"] ?? "1"]);
  },
  async spin(_program, _op, milliseconds: number) {
    const until = performance.now() + milliseconds;
    while (performance.now() < until);
  },
};

const WITH_OPS = ["race", "all", "settled", "in_order", "group", "try", "version"];

function childOptions(op: Op): { maxRetries?: number } {
  return "retries" in op ? { maxRetries: op["retries"] } : {};
}

const ODD: Record<string, () => unknown> = {
  function: () => () => null,
  nan: () => NaN,
  deep: () => ({ items: [{ file: () => null }] }),
  "half a character": () => ["\ud800"],
  nul: () => ({ deep: ["a", "b\u0000c"] }),
  "nul in a key": () => ({ deep: { "b\u0000c": 1 } }),
  infinite: () => -Infinity,
  big: () => ({ big: 2n ** 64n, negative: -(2n ** 63n), exact: 2n ** 53n + 1n }),
};

// ---- what is offered ----

defineWorkflow({ id: "conform" }, (ctx, payload: Told) => new Program(ctx, payload).run());

defineWorkflow(
  {
    id: "conform-checked",
    payloadSchema: z.object({ name: z.string(), count: z.number().int().default(1) }),
  },
  async (_ctx, { name, count }) => ({ name, count }),
);

const TOOL = {
  description: "Runs a program",
  parameters: { type: "object", properties: { program: { type: "string" } } },
} as const;
const runs = (ctx: WorkflowContext, payload: Told) => new Program(ctx, payload).run();
const tools = [
  defineTool({ id: "conform_tool", ...TOOL }, runs),
  defineTool({ id: "conform_once", ...TOOL, atMostOnce: true }, runs),
];

const AGENTS: Record<string, any> = {
  plain: defineAgent({ id: "conform-agent", model: "scripted:m", tools }),
  typed: defineAgent({ id: "conform-typed", model: "scripted:m", outputSchema: Answer }),
};
new Queue("conform-one", { concurrencyLimit: 1 });

// ---- what the runner says ----

function startOptions(told: Told): object {
  const names: Record<string, string> = {
    queue: "queueName",
    concurrencyKey: "concurrencyKey",
    retries: "maxRetries",
    state: "initialState",
    timeout: "timeout",
    key: "idempotencyKey",
  };
  const given = Object.entries((told["options"] ?? {}) as Told);
  return Object.fromEntries(given.map(([name, value]) => [names[name]!, value]));
}

const ORDERS: Record<string, (polos: Polos, told: Told) => Promise<object>> = {
  async offer(_polos, told) {
    defineWorkflow({ id: told["workflow"] }, (ctx, payload: Told) => new Program(ctx, payload).run());
    return {};
  },
  async leave(polos, told) {
    await polos.stop(told["seconds"]);
    return {};
  },
  async start(polos, told) {
    const workflow: string = told["workflow"] ?? "conform";
    const { id } = await polos.invoke(workflow, told["payload"], startOptions(told));
    return { run: id };
  },
  async result(polos, told) {
    try {
      return { value: await polos.resultOf(told["run"], undefined) };
    } catch (error) {
      if (!(error instanceof RunFailedError)) throw error;
      return { class: error.name, reason: error.reason, message: error.message };
    }
  },
  async cancel(polos, told) {
    return { value: await polos.cancelExecution(told["run"], told["cause"] ?? "") };
  },
  async answer(polos, told) {
    const by: string = told["by"] ?? "somebody";
    const { run, key, data } = told;
    const { accepted, kept, existed } = await polos.resume("conform", run, key, data, by);
    return { accepted, kept, existed };
  },
  async publish(polos, told) {
    await polos.events.publish(told["topic"], { eventType: told["type"], data: told["data"] });
    return {};
  },
};

async function carryOut(polos: Polos, told: Told): Promise<void> {
  let found: object;
  try {
    found = await ORDERS[told["do"] as string]!(polos, told);
  } catch (error) {
    found =
      error instanceof PolosError
        ? { class: error.name, reason: error.reason, field: error.field }
        : { fault: String((error as Error).stack) }; // of the driver's
  }
  say({ id: told["id"], ...found });
}

function say(told: object): void {
  const text = JSON.stringify(told, (_, value: unknown) =>
    typeof value === "bigint" ? `@big ${value}` : value,
  );
  process.stdout.write(text.replace(/"@big (-?\d+)"/g, "$1") + "\n");
}

configureLogging({ level: "error" });
const polos = new Polos({ apiUrl: serverUrl });
await polos.start();
say({ ready: true });
for await (const line of createInterface({ input: process.stdin })) {
  void carryOut(polos, JSON.parse(line) as Told);
}
await polos.stop();
