/** Runs of the wire as the types of the documentation, and ended runs as results or exceptions. */
import { parsed } from "../codec/json.js";
import { isoOf, msOf, secondsOf } from "../codec/times.js";
import {
  InvalidArgumentError,
  OutputError,
  RunCancelledError,
  RunFailedError,
  WorkflowTimeoutError,
} from "../errors.js";
import {
  RunKind,
  RunStatus,
  StopReason,
  Waiting_Kind,
  type Run,
  type ToolResult,
  type Turn,
  type Usage,
  type Waiting,
} from "../gen/polos/v1/common_pb.js";
import type { HistoryEvent as WireHistoryEvent } from "../gen/polos/v1/history_pb.js";
import { Suspension_State, type Suspension as WireSuspension } from "../gen/polos/v1/suspend_pb.js";
import { dataOf, typeOf } from "./facts.js";
import type {
  Execution,
  ExecutionStatus,
  HistoryEvent,
  LLMToolCall,
  LLMUsage,
  StepInfo,
  Suspension,
  ToolResultInfo,
} from "./types.js";

const STATUS_WORDS: Record<number, ExecutionStatus> = {
  [RunStatus.RUNNING]: "running",
  [RunStatus.WAITING]: "waiting",
  [RunStatus.COMPLETED]: "completed",
  [RunStatus.FAILED]: "failed",
  [RunStatus.CANCELLED]: "cancelled",
  [RunStatus.UNREADABLE]: "unreadable",
};

const KIND_WORDS: Record<number, Execution["kind"]> = {
  [RunKind.AGENT]: "agent",
  [RunKind.WORKFLOW]: "workflow",
  [RunKind.TOOL]: "tool",
};

const STOP_WORDS: Record<number, string> = {
  [StopReason.END]: "end",
  [StopReason.MAX_TURNS]: "max_steps",
  [StopReason.MAX_TOKENS]: "max_tokens",
  [StopReason.LENGTH]: "length",
  [StopReason.CONTENT_FILTER]: "content_filter",
  [StopReason.REFUSAL]: "refusal",
  [StopReason.HOOK]: "hook",
};

// Beside what a task is waited for, which is named as what it runs.
const WAITING_WORDS: Record<number, string> = {
  [Waiting_Kind.MODEL]: "model",
  [Waiting_Kind.PLACE]: "model",
  [Waiting_Kind.CODE]: "code",
  [Waiting_Kind.RETRY]: "retry",
  [Waiting_Kind.QUEUE]: "queue",
  [Waiting_Kind.SLEEP]: "sleep",
  [Waiting_Kind.SUSPENSION]: "suspension",
  [Waiting_Kind.EVENT]: "event",
  [Waiting_Kind.CHILDREN]: "child",
  [Waiting_Kind.COPY]: "copy",
};

/** "workflow", "agent" or "tool"; of a kind that a newer server knows "workflow". */
export function kindWordOf(kind: RunKind): string {
  return KIND_WORDS[kind] ?? "workflow";
}

/** A kind by its word; empty: any. Throws InvalidArgumentError for another. */
export function kindOf(word: string): RunKind {
  return keyOf(KIND_WORDS, word, "kind");
}

/** A status by its word. Throws InvalidArgumentError for another. */
export function statusOf(word: string): RunStatus {
  return keyOf(STATUS_WORDS, word, "status");
}

function keyOf(words: Record<number, string>, word: string, field: string): number {
  if (!word) return 0;
  const found = Object.entries(words).find(([, each]) => each === word);
  if (found) return Number(found[0]);
  const known = Object.values(words).join(", ");
  throw new InvalidArgumentError(`${field} is ${JSON.stringify(word)}: it is one of ${known}`, {
    field,
  });
}

/** As AgentResult.stop_reason has it; empty: the loop has not ended. */
export function stopWord(reason: StopReason): string {
  return STOP_WORDS[reason] ?? "";
}

export function usageOf(usage: Usage | undefined): LLMUsage {
  return {
    input_tokens: Number(usage?.inputTokens ?? 0),
    output_tokens: Number(usage?.outputTokens ?? 0),
    total_tokens: Number(usage?.totalTokens ?? 0),
    cache_read_input_tokens: Number(usage?.cacheReadInputTokens ?? 0),
    cache_creation_input_tokens: Number(usage?.cacheCreationInputTokens ?? 0),
  };
}

export function toolCallOf(callId: string, name: string, text: string): LLMToolCall {
  return { id: callId, type: "function", call_id: callId, function: { name, arguments: text } };
}

function toolResultOf(result: ToolResult): ToolResultInfo {
  return {
    tool_name: result.name,
    status: result.error ? "failed" : "completed",
    result: result.error ? null : parsed(result.resultJson),
    result_schema: null,
    error: result.error?.message ?? null,
    tool_call_id: result.callId,
    tool_call_call_id: result.callId,
  };
}

export function stepOf(turn: Turn): StepInfo {
  return {
    step: turn.number,
    content: turn.text,
    tool_calls: turn.toolCalls.map((c) => toolCallOf(c.callId, c.name, c.argumentsJson)),
    tool_results: turn.toolResults.map(toolResultOf),
    usage: usageOf(turn.usage),
    raw_output: null,
  };
}

/** Whether a run has ended. */
export function hasEnded(run: Run): boolean {
  return [RunStatus.COMPLETED, RunStatus.FAILED, RunStatus.CANCELLED].includes(run.status);
}

/** RunCancelledError, WorkflowTimeoutError, OutputError or RunFailedError for a run that did not complete. */
export function throwUnlessCompleted(run: Run, timeoutSeconds: number | undefined): void {
  if (run.status === RunStatus.COMPLETED) return;
  const reason = run.error?.reason ?? "";
  const message = run.error?.message ?? "";
  if (run.status === RunStatus.CANCELLED) {
    throw new RunCancelledError(run.id, message || "the run was cancelled", reason);
  }
  if (reason === "OUTPUT_INVALID") {
    throw new OutputError(message, { runId: run.id, text: run.turns.at(-1)?.text ?? "" });
  }
  if (reason === "DEADLINE_EXCEEDED") {
    throw new WorkflowTimeoutError(run.id, secondsOf(run.runTimeout) ?? timeoutSeconds, message);
  }
  throw new RunFailedError(run.id, message || `run ${run.id} failed`, reason);
}

/** A run as ExecutionHandle.get() gives it. */
export function executionOf(run: Run): Execution {
  const status = statusWordOf(run);
  return {
    id: run.id,
    execution_id: run.id,
    workflow_id: run.name,
    kind: KIND_WORDS[run.kind] ?? "",
    status,
    payload: parsed(run.inputJson),
    result: parsed(run.resultJson),
    error: run.error?.message ?? null,
    error_reason: run.error?.reason ?? null,
    created_at: isoOf(run.createdAt) ?? null,
    started_at: isoOf(run.startedAt) ?? null,
    completed_at: isoOf(run.endedAt) ?? null,
    cancelled_at: run.status === RunStatus.CANCELLED ? (isoOf(run.endedAt) ?? null) : null,
    cancelling: run.cancelling,
    retry_count: run.retryCount,
    deployment_id: run.deployment || null,
    queue_name: run.queue || null,
    concurrency_key: run.concurrencyKey || null,
    run_timeout_seconds: secondsOf(run.runTimeout) ?? null,
    state: parsed(run.stateJson),
    parent_execution_id: run.parentRunId || null,
    root_execution_id: run.rootRunId || run.id,
    origin_execution_id: run.originRunId || null,
    session_id: run.sessionId || null,
    user_id: run.userId || null,
    conversation_id: run.conversationId || null,
    stop_reason: stopWord(run.stopReason) || null,
    steps: run.turns.map(stepOf),
    total_steps: run.turnCount || run.stepCount,
    usage: usageOf(run.usage),
    waiting: run.waiting.map((wait) => ({
      kind: waitingWordOf(run, wait),
      name: wait.name || wait.stepKey,
      since_ms: msOf(wait.since) ?? null,
      message: wait.message,
    })),
  };
}

function waitingWordOf(run: Run, wait: Waiting): string {
  if (wait.kind === Waiting_Kind.TASK || wait.kind === Waiting_Kind.HOST) {
    return run.kind === RunKind.WORKFLOW ? "workflow" : "tool";
  }
  return WAITING_WORDS[wait.kind] ?? "";
}

/** "queued": it has not begun, for want of a host or of its turn. */
function statusWordOf(run: Run): ExecutionStatus {
  const kinds = [Waiting_Kind.QUEUE];
  if (run.kind !== RunKind.AGENT) kinds.push(Waiting_Kind.HOST);
  const waits = run.waiting.length > 0 && run.waiting.every((wait) => kinds.includes(wait.kind));
  if (run.status === RunStatus.WAITING && !run.startedAt && waits) return "queued";
  return STATUS_WORDS[run.status] ?? "unknown";
}

const dateOf = (time: Parameters<typeof msOf>[0]) => {
  const ms = msOf(time);
  return ms === undefined ? undefined : new Date(ms);
};

export function suspensionOf(found: WireSuspension): Suspension {
  return {
    id: found.id,
    runId: found.runId,
    rootRunId: found.rootRunId || found.runId,
    stepKey: found.stepKey,
    name: found.name,
    data: parsed(found.dataJson),
    answerSchema: found.answerSchemaJson ? objectOf(parsed(found.answerSchemaJson)) : undefined,
    since: dateOf(found.createdAt) ?? new Date(0),
    deadline: dateOf(found.deadline),
    isOpen: found.state === Suspension_State.OPEN,
    resumedBy: found.answer?.answeredBy || undefined,
    answer: parsed(found.answer?.dataJson ?? ""),
    resumedAt: dateOf(found.answer?.answeredAt),
  };
}

export function historyEventOf(event: WireHistoryEvent): HistoryEvent {
  return {
    seq: event.seq,
    timeMs: msOf(event.time) ?? 0,
    type: typeOf(event),
    effectId: event.effectId,
    attempt: event.attempt,
    data: dataOf(event),
  };
}

/** A value as an object; what is none is an empty one. */
export function objectOf(value: unknown): Record<string, any> {
  const isObject = typeof value === "object" && value !== null && !Array.isArray(value);
  return isObject ? (value as Record<string, any>) : {};
}
