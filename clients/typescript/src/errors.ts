/**
 * What can go wrong, as exceptions.
 *
 * Every error of the server arrives as one of these, with the server's stable `reason`, the `field`
 * it blames (a path as in the protos, or empty) and a sentence that says what to do.
 */

/** What errors may be told beside their sentence. */
export interface ErrorDetails {
  /** A stable word in capitals for programs ("RUN_NOT_FOUND"); empty when there is none. */
  reason?: string;
  /** The field of the request to blame; empty when there is none. */
  field?: string;
  cause?: unknown;
}

/** Base of everything this package throws on its own. */
export class PolosError extends Error {
  readonly reason: string;
  readonly field: string;

  constructor(message: string, details: ErrorDetails = {}) {
    super(message, details.cause === undefined ? undefined : { cause: details.cause });
    this.name = new.target.name;
    this.reason = details.reason ?? "";
    this.field = details.field ?? "";
  }
}

/** A documented feature this release does not have; nothing was started. */
export class UnsupportedFeatureError extends PolosError {
  readonly what: string;

  constructor(what: string, instead = "") {
    const sentence = `${what} is not supported by this release`;
    super(instead ? `${sentence}; ${instead}` : sentence, { reason: "UNSUPPORTED" });
    this.what = what;
  }
}

/** The server cannot be reached, or went away and did not come back in time. */
export class UnavailableError extends PolosError {}

/** The server refused a request; `field` names what is wrong with it. */
export class InvalidArgumentError extends PolosError {}

/** There is no such run, agent or workflow. */
export class NotFoundError extends PolosError {}

/** It exists already with other contents, or its state does not allow the request. */
export class ConflictError extends PolosError {}

/** The API key is missing, wrong, or may not do this. */
export class PermissionDeniedError extends PolosError {}

/** A limit of the server: its disk, its queues, the size of a message. */
export class ResourceExhaustedError extends PolosError {
  /** Seconds after which the server expects to have room; undefined: no hint. */
  readonly retryAfter: number | undefined;

  constructor(message: string, details: ErrorDetails & { retryAfter?: number | undefined } = {}) {
    super(message, details);
    this.retryAfter = details.retryAfter;
  }
}

/** The server failed in a way that is its own fault, or does not know the method. */
export class ServerError extends PolosError {}

/** A run ended with an error; `reason` is the server's word for why ("MODEL_FAILED", ...). */
export class RunFailedError extends PolosError {
  readonly runId: string;

  constructor(runId: string, message: string, reason = "") {
    super(message, { reason });
    this.runId = runId;
  }
}

/** A run was cancelled before it ended. */
export class RunCancelledError extends RunFailedError {}

/** A run did not end in the time it was given. */
export class WorkflowTimeoutError extends PolosError {
  readonly executionId: string;
  /** What it was given; undefined: nothing. */
  readonly timeoutSeconds: number | undefined;

  constructor(executionId: string, timeoutSeconds: number | undefined, waitsFor = "") {
    const given = timeoutSeconds === undefined ? "" : ` within ${timeoutSeconds} s`;
    const waits = waitsFor ? `; ${waitsFor}` : "";
    super(`run ${executionId} did not end${given}${waits}`, { reason: "DEADLINE_EXCEEDED" });
    this.executionId = executionId;
    this.timeoutSeconds = timeoutSeconds;
  }
}

/** A result does not fit the schema it was asked for; `text` is what came. */
export class OutputError extends PolosError {
  readonly runId: string;
  readonly text: string;

  constructor(message: string, about: { runId?: string; text?: string } = {}) {
    super(message, { reason: "OUTPUT_INVALID" });
    this.runId = about.runId ?? "";
    this.text = about.text ?? "";
  }
}

/** A value has no JSON form; the sentence says where in it. */
export class NotJsonError extends PolosError {}

/** A durable step failed for good; a replay throws it again without running the step. */
export class StepExecutionError extends PolosError {
  /** The class name of what the step threw, or a word in capitals ("TIMEOUT"). */
  readonly errorType: string;

  constructor(message: string, errorType = "", cause?: unknown) {
    super(message, { reason: message, cause });
    this.errorType = errorType;
  }
}

/** The time of a part of the code is over: see ctx.step.timeout(). */
export class TimeoutError extends PolosError {
  constructor(message = "the time of this part of the code is over") {
    super(message, { reason: "TIMEOUT" });
  }
}

/** Thrown by a step's function or a workflow: what failed would fail again, do not retry it. */
export class NonRetryableError extends PolosError {}

/** Code that runs again asks for other steps than its run's history has. */
export class NonDeterminismError extends PolosError {
  constructor(message: string) {
    super(message, { reason: "NON_DETERMINISM" });
  }
}

/**
 * The run is being cancelled: thrown where the code awaits a step, once. Clean up, with further
 * steps if need be, and let it pass.
 */
export class ExecutionCancelledError extends PolosError {
  constructor(message = "Execution cancelled") {
    super(message, { reason: "CANCELLED" });
  }
}

/** A task's input does not fit the function; the message is for the model or the caller. */
export class InputError extends PolosError {
  constructor(message: string) {
    super(message, { reason: "INPUT_INVALID" });
  }
}
