/** What can be asked of runs, whoever started them. */
import { randomUUID } from "node:crypto";
import { hostname } from "node:os";
import { checkedText } from "../checks.js";
import { stringifyArgument } from "../codec/json.js";
import { timestampOf } from "../codec/times.js";
import { ConflictError, InvalidArgumentError } from "../errors.js";
import type { Run } from "../gen/polos/v1/common_pb.js";
import { RunService } from "../gen/polos/v1/runs_pb.js";
import {
  ResumeOutcome,
  SuspendService,
  Suspension_State,
} from "../gen/polos/v1/suspend_pb.js";
import { History } from "../runs/history.js";
import { executionOf, historyEventOf, kindOf, statusOf, suspensionOf } from "../runs/models.js";
import type {
  Execution,
  ExecutionStatus,
  HistoryEvent,
  ResumeResult,
  Suspension,
} from "../runs/types.js";
import { follow } from "../wire/streams.js";
import type { Wire } from "../wire/wire.js";
import type { Wiring } from "./wiring.js";

/** Which runs; what is not given does not filter. */
export interface ListOptions {
  /** Only runs of this workflow, agent or tool. */
  workflowId?: string;
  /** At most so many. Default: 50. */
  limit?: number;
  /** Only runs that stay with this deployment. */
  deploymentId?: string;
  kind?: "workflow" | "agent" | "tool";
  status?: Exclude<ExecutionStatus, "queued" | "unknown">;
  /** Only runs that this one started. */
  parentExecutionId?: string;
  /** Only runs of the tree of this root, itself too. */
  rootExecutionId?: string;
  /** Only runs that no other run started. */
  onlyRoots?: boolean;
  /** Only runs that this schedule started: its workflow or agent, "/", its key. */
  scheduleId?: string;
  sessionId?: string;
  userId?: string;
  conversationId?: string;
  /** Only runs that were started then or later, or before. */
  createdAfter?: Date;
  createdBefore?: Date;
}

/** A run as the server has it. */
export async function getRun(wire: Wire, runId: string, giveUpAt?: number): Promise<Run> {
  return (await wire.call(RunService.method.get, { runId }, { giveUpAt })).run!;
}

export async function cancelRun(wire: Wire, runId: string, cause: string): Promise<boolean> {
  try {
    await wire.call(RunService.method.cancel, { runId, cause });
    return true;
  } catch (error) {
    if (error instanceof ConflictError) return false;
    throw error;
  }
}

export async function deleteRun(wire: Wire, runId: string): Promise<void> {
  await wire.call(RunService.method.delete, { runId });
}

export async function historyOf(wire: Wire, runId: string): Promise<History> {
  const request = { runId, pageSize: 1000 };
  const found = await wire.rows(RunService.method.history, request, (page) => page.events);
  const history = new History();
  for (const event of found) history.push(historyEventOf(event));
  return history;
}

export async function* watchRun(wire: Wire, runId: string): AsyncGenerator<HistoryEvent, void> {
  for await (const told of follow(wire, runId, { deltas: false })) {
    if (told.event.case === "fact") yield historyEventOf(told.event.value);
  }
}

export async function* watchTree(
  wire: Wire,
  rootId: string,
): AsyncGenerator<{ runId: string; event: HistoryEvent }, void> {
  for await (const told of follow(wire, rootId, { deltas: false, isTree: true })) {
    if (told.event.case !== "fact") continue;
    yield { runId: told.runId || rootId, event: historyEventOf(told.event.value) };
  }
}

/** The id of what was said. */
export async function sendInput(
  wire: Wire,
  runId: string,
  input: string,
  idempotencyKey: string,
): Promise<string> {
  const request = { runId, input: checkedText(input, "text"), idempotencyKey };
  return (await wire.call(RunService.method.send, request)).inputId;
}

/** The run that a copy of another one's history up to an event has become. */
export async function forkRun(wire: Wire, runId: string, afterSeq: number): Promise<Run> {
  if (!(Number.isInteger(afterSeq) && afterSeq > 0 && afterSeq < 2 ** 32)) {
    throw new InvalidArgumentError(
      `afterSeq is ${afterSeq}: it is the number of an event, from 1`,
      {
        field: "afterSeq",
      },
    );
  }
  const request = { runId, afterSeq, idempotencyKey: randomUUID() };
  return (await wire.call(RunService.method.fork, request)).run!;
}

export async function retryRun(wire: Wire, runId: string): Promise<Run> {
  const request = { runId, idempotencyKey: randomUUID() };
  return (await wire.call(RunService.method.retry, request)).run!;
}

export async function listRuns(wire: Wire, options: ListOptions): Promise<Execution[]> {
  const filter = {
    name: options.workflowId ?? "",
    deployment: options.deploymentId ?? "",
    kind: kindOf(options.kind ?? ""),
    statuses: options.status ? [statusOf(options.status)] : [],
    parentRunId: options.parentExecutionId ?? "",
    rootRunId: options.rootExecutionId ?? "",
    onlyRoots: options.onlyRoots ?? false,
    scheduleId: options.scheduleId ?? "",
    sessionId: options.sessionId ?? "",
    userId: options.userId ?? "",
    conversationId: options.conversationId ?? "",
    createdAfter: timestampOf(options.createdAfter),
    createdBefore: timestampOf(options.createdBefore),
  };
  const limit = options.limit ?? 50;
  const found = await wire.rows(RunService.method.list, { filter }, (page) => page.runs, limit);
  return found.map(executionOf);
}

/** Whose suspension is answered, and how. */
export interface Answer {
  workflowId: string;
  executionId: string;
  stepKey: string;
  data: unknown;
  resumedBy?: string | undefined;
}

export async function resumeRun(wiring: Wiring, answer: Answer): Promise<ResumeResult> {
  const { wire, suspensions } = wiring;
  const seen = suspensions.find(answer.executionId, answer.stepKey);
  const asked = {
    suspensionId: seen,
    runId: seen ? "" : answer.executionId,
    stepKey: seen ? "" : answer.stepKey,
    dataJson: stringifyArgument(answer.data ?? null, "the answer", "data"),
    answeredBy: answer.resumedBy ?? `node on ${hostname()}`,
    workflowId: answer.workflowId,
  };
  const told = await wire.call(SuspendService.method.resume, asked);
  suspensions.forget(seen);
  const before = told.suspension?.answer;
  const kept = told.outcome === ResumeOutcome.KEPT;
  return {
    accepted: kept || told.outcome === ResumeOutcome.ACCEPTED,
    kept,
    existed: before?.dataJson === asked.dataJson && before.answeredBy === asked.answeredBy,
  };
}

export async function listSuspensions(
  wiring: Wiring,
  executionId: string,
  limit: number,
): Promise<Suspension[]> {
  const { wire, suspensions } = wiring;
  const request = { runId: executionId };
  const rowsOf = (page: { suspensions: Parameters<typeof suspensionOf>[0][] }) => page.suspensions;
  const found = await wire.rows(SuspendService.method.list, request, rowsOf, limit);
  for (const each of found) suspensions.note(each.id, each.stepKey, each.runId, each.rootRunId);
  return found.map(suspensionOf);
}

export async function getSuspension(
  wiring: Wiring,
  executionId: string,
  stepKey: string,
): Promise<Suspension> {
  const { wire, suspensions } = wiring;
  const request = { runId: executionId, stepKey };
  const found = (await wire.call(SuspendService.method.get, request)).suspension!;
  if (found.state === Suspension_State.OPEN) suspensions.note(found.id, found.stepKey, found.runId, found.rootRunId);
  else suspensions.forget(found.id);
  return suspensionOf(found);
}
