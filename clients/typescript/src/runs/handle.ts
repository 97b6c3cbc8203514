/** The handle of a run that was started. */
import type { Execution } from "./types.js";

/** A client, as far as a handle needs one. */
export interface RunReader {
  getExecution(executionId: string): Promise<Execution>;
  cancelExecution(executionId: string, cause?: string): Promise<boolean>;
  send(executionId: string, text: string, idempotencyKey?: string): Promise<string>;
  /** @internal */
  resultOf(runId: string, timeoutSeconds: number | undefined): Promise<unknown>;
}

/** What is known of a run by whoever started it. */
export interface ExecutionHandleFields {
  /** The run: a UUID. */
  id: string;
  workflowId: string;
  /** ISO 8601. */
  createdAt?: string | undefined;
  parentExecutionId?: string | undefined;
  rootWorkflowId: string;
  rootExecutionId: string;
  sessionId?: string | undefined;
  userId?: string | undefined;
  /** Of the step that started it. */
  stepKey?: string | undefined;
}

/** A run that was started; `T` is its result. */
export class ExecutionHandle<T = unknown> implements ExecutionHandleFields {
  readonly id: string;
  readonly workflowId: string;
  readonly createdAt: string | undefined;
  readonly parentExecutionId: string | undefined;
  readonly rootWorkflowId: string;
  readonly rootExecutionId: string;
  readonly sessionId: string | undefined;
  readonly userId: string | undefined;
  readonly stepKey: string | undefined;
  readonly #client: RunReader | undefined;

  constructor(fields: ExecutionHandleFields, client?: RunReader) {
    this.id = fields.id;
    this.workflowId = fields.workflowId;
    this.createdAt = fields.createdAt;
    this.parentExecutionId = fields.parentExecutionId;
    this.rootWorkflowId = fields.rootWorkflowId;
    this.rootExecutionId = fields.rootExecutionId;
    this.sessionId = fields.sessionId;
    this.userId = fields.userId;
    this.stepKey = fields.stepKey;
    this.#client = client;
  }

  /** The same as `id`. */
  get executionId(): string {
    return this.id;
  }

  /** The run as it stands. Throws NotFoundError when there is none. */
  get(client?: RunReader): Promise<Execution> {
    return this.clientOf(client).getExecution(this.id);
  }

  /**
   * Waits for the run's end and gives its result.
   *
   * @param timeout seconds to wait here; the run goes on. Default: no limit.
   * Throws RunFailedError, RunCancelledError, WorkflowTimeoutError.
   */
  getResult(timeout?: number): Promise<T> {
    return this.clientOf().resultOf(this.id, timeout) as Promise<T>;
  }

  /** As getResult(), of the documented WorkflowHandle. */
  waitForResult(options: { timeout?: number } = {}): Promise<T> {
    return this.getResult(options.timeout);
  }

  /** As get(), of the documented WorkflowHandle. */
  getStatus(): Promise<Execution> {
    return this.get();
  }

  /** Says something to an agent's run while it works; see PolosClient.send(). */
  send(text: string, idempotencyKey?: string): Promise<string> {
    return this.clientOf().send(this.id, text, idempotencyKey);
  }

  /** Cancels the run; false when it had ended. */
  cancel(client?: RunReader): Promise<boolean> {
    return this.clientOf(client).cancelExecution(this.id);
  }

  /** The plain values, without what is not set. */
  toDict(): Record<string, string> {
    const fields = Object.entries({ ...this }) as [string, string | undefined][];
    return Object.fromEntries(fields.filter((entry): entry is [string, string] => !!entry[1]));
  }

  /** As toDict(): a handle may be kept by a step. */
  toJSON(): Record<string, string> {
    return this.toDict();
  }

  private clientOf(client = this.#client): RunReader {
    if (client) return client;
    throw new TypeError(`the handle of run ${this.id} knows no client: give it one`);
  }
}

/** The documented name of a handle. */
export type WorkflowHandle<T = unknown> = ExecutionHandle<T>;
