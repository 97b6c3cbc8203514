/** A task at work: its code is run, and how that ends is told. */
import { shown } from "../checks.js";
import { stringify } from "../codec/json.js";
import {
  errorOutcome,
  OutcomeTooLargeError,
  partsOf,
  textOf,
  valueOutcome,
  wholeTextOf,
} from "../codec/outcomes.js";
import type { Workflow } from "../define/workflow.js";
import {
  ExecutionCancelledError,
  InputError,
  InvalidArgumentError,
  NonDeterminismError,
  NonRetryableError,
  NotJsonError,
  OutputError,
  PolosError,
  StepExecutionError,
  UnsupportedFeatureError,
} from "../errors.js";
import { WorkflowContext } from "../execution/context.js";
import type { Execution } from "../execution/execution.js";
import { spanned, type Attributes, type Span } from "../execution/trace.js";
import { warnOf } from "../execution/work.js";
import { TaskKind } from "../gen/polos/v1/history_pb.js";
import type { Task } from "../gen/polos/v1/host_pb.js";
import { log } from "../log.js";
import type { RunReader } from "../runs/handle.js";
import type { TaskEnd } from "../session/machine.js";

/** A task for something this host does not have. */
class UnknownTaskError extends PolosError {}

// What fails a workflow for good; other errors of its code may pass when it is tried again.
const LASTING = [
  NonRetryableError,
  StepExecutionError,
  InputError,
  OutputError,
  InvalidArgumentError,
  UnknownTaskError,
  UnsupportedFeatureError,
  NotJsonError,
  OutcomeTooLargeError,
];

/** What a task's code is told of where it runs. */
export interface Surroundings {
  deploymentId: string;
  client: RunReader | undefined;
}

/** How a task's code ended; undefined: nobody wants to know. */
export async function runTask(
  found: Workflow<any, any, any> | undefined,
  task: Task,
  execution: Execution,
  about: Surroundings,
): Promise<TaskEnd> {
  const what = nameOfTask(task);
  let end: TaskEnd;
  try {
    if (!found) throw new UnknownTaskError(`this host does not have ${what}`);
    const value: unknown = await valueOf(found, task, execution, about);
    end = { outcome: valueOutcome(stringify(value), what) };
  } catch (error) {
    end = failed(error, task, execution);
  }
  return { ...end, stateJson: lastStateOf(execution), cancelled: execution.isCancelShown };
}

async function valueOf(
  found: Workflow<any, any, any>,
  task: Task,
  execution: Execution,
  about: Surroundings,
): Promise<unknown> {
  const workflowType = found.kind === "tool" ? "tool" : "workflow";
  const ctx = new WorkflowContext<any>(task, execution, { ...about, workflowType });
  await execution.begin(found.stateSchema);
  const name = `${workflowType} ${task.name}`;
  const run = async (span: Span) => {
    [ctx.otelTraceparent, ctx.otelSpanId] = [span.traceparent, span.spanId];
    try {
      return (await found.execute(ctx, task.inputJson)) as unknown;
    } finally {
      execution.beginCleanUp();
      if (execution.isCancelShown) await found.cancelled(ctx, task.inputJson);
    }
  };
  const value = await spanned(name, attributesOf(task), run, ctx.rootExecutionId);
  if (!execution.isCancelShown) execution.checkComplete();
  return value;
}

/** What a span says of a task. */
function attributesOf(task: Task): Attributes {
  const { runId, taskId, epoch, agentId } = task;
  const about = { "polos.run_id": runId, "polos.task_id": taskId, "polos.attempt": epoch };
  return agentId ? { ...about, "polos.agent_id": agentId } : about;
}

function failed(thrown: unknown, task: Task, execution: Execution): TaskEnd {
  const error = execution.failure ?? thrown;
  if (error instanceof NonDeterminismError) return standstill(error, task);
  const what = nameOfTask(task);
  const isObedience = execution.isCancelShown && error instanceof ExecutionCancelledError;
  if (!isObedience) warnOf(error, `${what} of run ${task.runId} failed`);
  const isWorkflow = task.kind === TaskKind.WORKFLOW;
  const isLasting = (part: unknown) => LASTING.some((known) => part instanceof known);
  const says = isWorkflow ? wholeTextOf : textOf;
  return {
    outcome: errorOutcome(error, what, { says }),
    retryable: isWorkflow && !partsOf(error).some(isLasting),
  };
}

/** Code that does not fit its run's history: nothing is settled. */
export function standstill(error: NonDeterminismError, task: Task): TaskEnd {
  log.error(
    `${nameOfTask(task)} of run ${task.runId} stands still until code that fits is here (code ` +
      "that looks at the time or at chance needs ctx.step.now, random and uuid): " +
      error.message,
  );
  return { outcome: { mismatch: error.message } };
}

function lastStateOf(execution: Execution): string {
  try {
    return execution.state.changed();
  } catch (error) {
    log.error(`the last state of task ${execution.taskId} is not kept: ${String(error)}`);
    return "";
  }
}

/** 'workflow "fulfil-order"'. */
export function nameOfTask(task: Task): string {
  return `${task.kind === TaskKind.TOOL ? "tool" : "workflow"} ${shown(task.name)}`;
}
