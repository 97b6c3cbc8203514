/** What workflows and tools are told about the run they work for. */
import { isoOf, secondsOf } from "../codec/times.js";
import type { Task } from "../gen/polos/v1/host_pb.js";
import type { RunReader } from "../runs/handle.js";
import type { Execution } from "./execution.js";
import { Step } from "./step.js";

/** The first argument of every workflow and tool; `S` is what `state` is. */
export class WorkflowContext<S = Record<string, any>> {
  /** The workflow's or tool's id. */
  readonly workflowId: string;
  /** The run: a UUID. */
  readonly executionId: string;
  /** The code version this host runs. */
  readonly deploymentId: string;
  /** As given at the run's start. */
  readonly sessionId: string | undefined;
  readonly userId: string | undefined;
  readonly conversationId: string | undefined;
  /** The run that started this one; undefined: it is a root. */
  readonly parentExecutionId: string | undefined;
  /** The top of the run's tree. */
  readonly rootExecutionId: string;
  readonly rootWorkflowId: string;
  /**
   * Unique for ever and the same in every repetition of this call: the idempotency key for whatever
   * it does outside.
   */
  readonly taskId: string;
  /** How often the run was tried before, after failures. */
  readonly retryCount: number;
  /** How often the work was given to a host, this time included. */
  readonly attempt: number;
  /** When the run was started, ISO 8601. */
  readonly createdAt: string | undefined;
  /** When its answer is no longer wanted; undefined: never. */
  readonly deadline: Date | undefined;
  readonly workflowType: "workflow" | "tool";
  /** The agent whose model asked for it, and the model's id for the call; undefined: none did. */
  readonly agentId: string | undefined;
  readonly callId: string | undefined;
  /** Of the task's span, as W3C Trace Context writes them; undefined without OpenTelemetry. */
  otelTraceparent: string | undefined;
  otelSpanId: string | undefined;
  /** Durable steps. */
  readonly step: Step;
  readonly #execution: Execution;

  constructor(
    task: Task,
    execution: Execution,
    about: {
      deploymentId: string;
      workflowType: "workflow" | "tool";
      client: RunReader | undefined;
    },
  ) {
    const timeout = secondsOf(task.timeout);
    this.#execution = execution;
    this.workflowId = task.name;
    this.executionId = task.runId;
    this.deploymentId = about.deploymentId;
    this.sessionId = task.sessionId || undefined;
    this.userId = task.userId || undefined;
    this.conversationId = task.conversationId || undefined;
    this.parentExecutionId = task.parentRunId || undefined;
    this.rootExecutionId = task.rootRunId || task.runId;
    this.rootWorkflowId = task.rootName || task.agentId || task.name;
    this.taskId = task.taskId;
    this.retryCount = task.retryCount;
    this.attempt = task.epoch;
    this.createdAt = isoOf(task.createdAt);
    this.deadline = timeout === undefined ? undefined : new Date(Date.now() + timeout * 1000);
    this.workflowType = about.workflowType;
    this.agentId = task.agentId || undefined;
    this.callId = task.callId || undefined;
    this.step = new Step(this, execution, about.client);
  }

  /**
   * What the run keeps beside its steps: what the stateSchema makes of it, else an object. Change
   * it in place or assign it; it is kept with the next step.
   */
  get state(): S {
    return this.#execution.state.value as S;
  }

  set state(value: S) {
    this.#execution.state.value = value;
  }

  /** Aborts where the code is shown that its run is being cancelled, or is not wanted any more. */
  get signal(): AbortSignal {
    return this.#execution.signal;
  }

  /** The run is being cancelled; only clean up. */
  get isCancelling(): boolean {
    return this.#execution.isCancelling;
  }
}

/** As WorkflowContext; `agentId` is the agent it belongs to. */
export type AgentContext<S = Record<string, any>> = WorkflowContext<S>;
