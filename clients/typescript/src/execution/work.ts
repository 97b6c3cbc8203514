/** The function of a step: how it is tried again, and what its options are. */
import { shown } from "../checks.js";
import { errorOutcome, wholeTextOf, stackOf } from "../codec/outcomes.js";
import { InvalidArgumentError, PolosError } from "../errors.js";
import type { TaskOutcome } from "../gen/polos/v1/steps_pb.js";
import { log } from "../log.js";

/** How a step's function is tried. */
export interface StepOptions {
  /** Further tries after a failure, before the failure is kept. Default: 2. */
  maxRetries?: number;
  /** Milliseconds before the first retry; doubled for each further one. Default: 1000. */
  baseDelay?: number;
  /** The most milliseconds between two tries. Default: 10000. */
  maxDelay?: number;
  /** Seconds that a try may take; then it has failed (`errorType` "TIMEOUT"). Default: no limit. */
  timeout?: number;
  /** Of the documentation; not used. */
  input?: unknown;
}

const OPTION_NAMES = ["maxRetries", "baseDelay", "maxDelay", "timeout", "input"];

/** Whether the only argument after a step's function is its options. */
export function isStepOptions(given: unknown): given is StepOptions {
  if (typeof given !== "object" || given === null) return false;
  const prototype: unknown = Object.getPrototypeOf(given);
  if (prototype !== Object.prototype && prototype !== null) return false;
  const names = Object.keys(given);
  return names.length > 0 && names.every((name) => OPTION_NAMES.includes(name));
}

/** Throws InvalidArgumentError for what no try of the step can cure. */
export function checkWork(key: string, fn: unknown, options: StepOptions): void {
  if (typeof fn !== "function") {
    const isPromise = typeof (fn as { then?: unknown } | null)?.then === "function";
    const hint = isPromise ? "a promise: leave the call to the step" : shown(typeof fn);
    throw new InvalidArgumentError(
      `step ${shown(key)} needs a function, as in ctx.step.run(${shown(key)}, () => fetchIt()), ` +
        `and was given ${hint}`,
      { field: "fn" },
    );
  }
  for (const name of ["maxRetries", "baseDelay", "maxDelay", "timeout"] as const) {
    const value = options[name];
    if (value === undefined || (typeof value === "number" && value >= 0)) continue;
    throw new InvalidArgumentError(
      `${name} of step ${shown(key)} is ${shown(value)}: it is 0 or more`,
      {
        field: name,
      },
    );
  }
}

/** A try of a step took longer than it may. */
export class OutOfTimeError extends PolosError {}

/** What the work gives; rejects when that takes longer than it may. */
export async function limited<T>(work: Promise<T>, seconds: number | undefined): Promise<T> {
  if (seconds === undefined) return work;
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    const error = new OutOfTimeError(`it did not end within ${seconds} s`, {
      reason: "TIMEOUT",
    });
    timer = setTimeout(() => reject(error), seconds * 1000);
  });
  try {
    return await Promise.race([work, late]);
  } finally {
    clearTimeout(timer);
  }
}

/** How a try ended that threw. */
export function outcomeOfTry(thrown: unknown, key: string): TaskOutcome {
  const type = thrown instanceof OutOfTimeError ? "TIMEOUT" : "";
  return errorOutcome(thrown, `step ${shown(key)}`, { type });
}

/** Tells whoever reads the log that code of theirs failed, and where. */
export function warnOf(thrown: unknown, what: string): void {
  log.warn(`${what}: ${wholeTextOf(thrown)}\n${stackOf(thrown)}`);
}

/** How often a step's function was called in vain, and may be called again. */
export class Tries {
  failed = 0; // in earlier executions, too
  private readonly retriesMax: number;
  private readonly baseDelayMs: number;
  private readonly maxDelayMs: number;

  constructor(
    readonly key: string,
    options: StepOptions,
  ) {
    this.retriesMax = Math.floor(options.maxRetries ?? 2);
    this.baseDelayMs = options.baseDelay ?? 1000;
    this.maxDelayMs = options.maxDelay ?? 10_000;
  }

  /** Further tries after the one at work. */
  get left(): number {
    return Math.max(0, this.retriesMax - this.failed);
  }

  /** Milliseconds between the last that failed and the next. */
  get pauseMs(): number {
    return Math.min(this.maxDelayMs, this.baseDelayMs * 2 ** (this.failed - 1));
  }

  /** Logs how the try at work ended; also the last one, which the code may catch unseen. */
  warnOf(thrown: unknown, runId: string): void {
    const tries = `try ${this.failed + 1} of ${this.retriesMax + 1}`;
    warnOf(thrown, `step ${shown(this.key)} of run ${runId} failed, ${tries}`);
  }
}
