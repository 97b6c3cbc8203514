/**
 * A run's facts and deltas as the events of a stream.
 *
 * The interesting part is what happens to text already shown when the server has to call the model
 * again: the new attempt's text is held back while it repeats what was shown, and when it says
 * something else, that is said.
 */
import { parsed } from "../codec/json.js";
import { msOf } from "../codec/times.js";
import { RunStatus, type Failure, type Run, type Usage } from "../gen/polos/v1/common_pb.js";
import {
  TaskKind,
  type HistoryEvent,
  type ModelReplied,
  type TaskRequested,
  type TaskSettled,
} from "../gen/polos/v1/history_pb.js";
import { DeltaKind, type Delta, type RunServiceWatchResponse } from "../gen/polos/v1/runs_pb.js";
import { StepKind } from "../gen/polos/v1/steps_pb.js";
import { stopWord, toolCallOf, usageOf } from "../runs/models.js";
import type { LLMUsage, StreamEvent } from "../runs/types.js";
import { suspended, waitOver, type Happened, type Teller } from "./workflow-events.js";

/** What was shown of one model call. */
interface Call {
  step: number;
  attempt: number;
  /** To the consumer, over all attempts. */
  shown: string;
  /** Of this attempt. */
  text: string;
  chunks: number;
  isDone: boolean;
}

/** Turns what Watch sends of an agent's run into StreamEvents; one per watch, fed in order. */
export class AgentNarrator implements Teller {
  private readonly calls = new Map<number, Call>(); // by effect
  private readonly tasks = new Map<number, Record<string, any>>(); // of tools, by effect
  private readonly callbacks = new Set<number>(); // effects
  private readonly waits = new Map<number, string>(); // keys of suspensions by effect
  private results: Record<string, any>[] = []; // of the turn
  private step = 0; // the turn at work
  private isStepOpen = false;
  private stepBeganMs = 0;
  private reply: Record<string, any> = {};
  private failure: Failure | undefined; // of the attempt before
  private held: { call: Call; replied: ModelReplied } | undefined; // guardrails judge it
  private isAgain = false; // guardrails turned the turn's reply down
  private count = 0;
  private seq = 0;

  /** @param settled waits whose suspensions are left out. */
  constructor(
    private readonly runId: string,
    private readonly agentId: string,
    private readonly topic: string,
    private readonly settled: ReadonlySet<number> = new Set(),
  ) {}

  /** The text of all turns so far, without what was void. */
  text(): string {
    return [...this.calls.values()].map((call) => call.shown).join("");
  }

  /** The events of one message; often none. */
  *tell(told: RunServiceWatchResponse): Generator<StreamEvent, void> {
    const { event } = told;
    if (event.case === "fact") {
      this.seq = event.value.seq;
      yield* this.numbered(this.fact(event.value), msOf(event.value.time) ?? 0);
    } else if (event.case === "delta") {
      yield* this.numbered(this.delta(event.value), 0);
    } else if (event.case === "ended") {
      yield* this.numbered(this.ended(event.value), msOf(event.value.endedAt) ?? 0);
    }
  }

  private *numbered(found: Iterable<Happened>, timeMs: number): Generator<StreamEvent, void> {
    const metadata = { execution_id: this.runId, workflow_id: this.agentId };
    for (const [eventType, data] of found) {
      this.count++;
      yield {
        id: `${this.seq}.${this.count}`,
        sequenceId: this.count,
        topic: this.topic,
        eventType,
        data: { ...data, _metadata: metadata },
        createdAt: timeMs ? new Date(timeMs).toISOString() : undefined,
      };
    }
  }

  // ---- facts ----

  private *fact(fact: HistoryEvent): Generator<Happened, void> {
    const { event, effectId } = fact;
    if (event.case === "runStarted") {
      const input = parsed(event.value.inputJson);
      yield ["agent_start", { agent_id: this.agentId, run_id: this.runId, input }];
    } else if (event.case === "modelRequested") {
      yield* this.modelRequested(fact);
    } else if (event.case === "modelReplied") {
      yield* this.modelReplied(fact, event.value);
    } else if (event.case === "replyAmended" && this.held) {
      this.held.replied = { ...this.held.replied, message: event.value.message };
    } else if (event.case === "replyPassed" && this.held) {
      const { call, replied } = this.held;
      this.held = undefined;
      yield* this.told(call, replied);
    } else if (event.case === "replyRejected" && event.value.by.case === "guardrail") {
      this.held = undefined;
      this.isAgain = true;
    } else if (event.case === "modelFailed") {
      this.failure = event.value.error;
    } else if (event.case === "taskRequested") {
      yield* this.taskRequested(effectId, event.value);
    } else if (event.case === "taskSettled") {
      yield* this.taskSettled(effectId, event.value);
    } else {
      yield* this.suspension(fact);
    }
  }

  private *modelRequested(fact: HistoryEvent): Generator<Happened, void> {
    if (fact.event.case === "modelRequested" && fact.event.value.guardrail > 0) return;
    if (this.isAgain) {
      this.isAgain = false; // the turn goes on
      this.callOf(fact.effectId, this.step, fact.attempt);
      return;
    }
    const known = this.calls.get(fact.effectId);
    if (known) {
      yield* this.newAttempt(known, fact.attempt);
      return;
    }
    const timeMs = msOf(fact.time) ?? 0;
    yield* this.finishStep(timeMs);
    this.step += 1;
    this.isStepOpen = true;
    this.stepBeganMs = timeMs;
    this.callOf(fact.effectId, this.step, fact.attempt);
    yield ["step_start", { step: this.step }];
    yield ["stream_start", { step: this.step }];
  }

  private *modelReplied(fact: HistoryEvent, replied: ModelReplied): Generator<Happened, void> {
    const call = this.callOf(fact.effectId, Math.max(1, this.step), 1);
    if (call.isDone) return;
    yield* this.newAttempt(call, fact.attempt);
    if (replied.isJudged) {
      this.held = { call, replied };
      return;
    }
    yield* this.told(call, replied);
  }

  private *told(call: Call, replied: ModelReplied): Generator<Happened, void> {
    const parts = (replied.message?.parts ?? []).map(({ part }) => part);
    const said = (kind: "text" | "refusal") =>
      parts.map((part) => (part.case === kind ? part.value : "")).join("");
    const text = said("text") || said("refusal");
    yield* this.shownSoFar(call, text, true);
    call.isDone = true;
    this.reply = { content: text, usage: turnUsage(replied.usage) };
    for (const part of parts) {
      if (part.case !== "toolCall") continue;
      const { callId, name, argumentsJson } = part.value;
      const told = toolCallOf(callId, name, argumentsJson);
      yield ["tool_call", { step: call.step, tool_name: name, tool_call: told }];
    }
  }

  private *taskRequested(effectId: number, task: TaskRequested): Generator<Happened, void> {
    if (task.kind === TaskKind.CALLBACK) {
      this.callbacks.add(effectId);
      return;
    }
    if (this.tasks.has(effectId)) return;
    const call = {
      step: this.step,
      tool_name: task.name,
      tool_call_id: task.callId,
      arguments: task.inputJson,
    };
    this.tasks.set(effectId, call);
    yield ["tool_start", { ...call }];
  }

  private *taskSettled(effectId: number, { result }: TaskSettled): Generator<Happened, void> {
    if (this.callbacks.has(effectId)) return;
    const call = this.tasks.get(effectId) ?? { step: this.step, tool_name: "" };
    const told = {
      ...call,
      status: result.case === "error" ? "failed" : "completed",
      result: result.case === "valueJson" ? parsed(result.value) : null,
      error: result.case === "error" ? result.value.message : null,
    };
    this.results.push(told);
    yield ["tool_finish", { ...told }];
  }

  /** A tool asks somebody, or was answered; other waits are not told. */
  private *suspension({ event, effectId }: HistoryEvent): Generator<Happened, void> {
    if (event.case === "waitSet" && event.value.kind === StepKind.SUSPENSION) {
      this.waits.set(effectId, event.value.key);
      if (!this.settled.has(effectId)) yield suspended(this.runId, effectId, event.value);
    } else if (event.case === "waitSettled" && event.value.step?.kind === StepKind.SUSPENSION) {
      const { step } = event.value;
      yield* waitOver(this.runId, effectId, this.waits.get(effectId) ?? step.key, step);
    }
  }

  private *finishStep(timeMs: number): Generator<Happened, void> {
    if (!this.isStepOpen) return;
    this.isStepOpen = false;
    const { reply, results } = this;
    this.reply = {};
    this.results = [];
    const told = {
      step: this.step,
      step_type: "agent_step",
      output: (reply["content"] ?? "") as unknown,
      usage: (reply["usage"] ?? {}) as unknown,
      tool_results: results,
      duration_ms: Math.max(0, timeMs - this.stepBeganMs),
    };
    yield ["step_finish", told];
  }

  private *ended(run: Run): Generator<Happened, void> {
    yield* this.finishStep(msOf(run.endedAt) ?? 0);
    const usage = usageOf(run.usage);
    const totalSteps = run.turnCount;
    if (run.status === RunStatus.COMPLETED) {
      const result = parsed(run.resultJson);
      const stop_reason = stopWord(run.stopReason);
      yield ["agent_finish", { result, usage, total_steps: totalSteps, stop_reason }];
      return;
    }
    const { reason = "", message = "" } = run.error ?? {};
    const told = { reason, error: message, usage, total_steps: totalSteps };
    yield [run.status === RunStatus.CANCELLED ? "agent_cancel" : "error", told];
  }

  // ---- text ----

  private *delta(delta: Delta): Generator<Happened, void> {
    const call = this.callOf(delta.effectId, delta.turn || this.step, delta.attempt);
    if (call.isDone || delta.attempt < call.attempt) return;
    yield* this.newAttempt(call, delta.attempt);
    const about = { content: delta.text, step: call.step };
    if (delta.kind === DeltaKind.TEXT) yield* this.shownSoFar(call, call.text + delta.text, false);
    else if (delta.kind === DeltaKind.REASONING) yield ["reasoning_delta", about];
    else if (delta.kind === DeltaKind.TOOL_ARGUMENTS) yield ["tool_arguments_delta", about];
    else if (delta.kind === DeltaKind.PROGRESS) yield ["tool_progress", about];
  }

  private callOf(effectId: number, step: number, attempt: number): Call {
    const known = this.calls.get(effectId);
    if (known) return known;
    const made = { step, attempt, shown: "", text: "", chunks: 0, isDone: false };
    this.calls.set(effectId, made);
    return made;
  }

  private *newAttempt(call: Call, attempt: number): Generator<Happened, void> {
    if (attempt <= call.attempt) return;
    call.attempt = attempt;
    call.text = "";
    const { reason = "", message = "" } = this.failure ?? {};
    this.failure = undefined;
    const told = {
      step: call.step,
      attempt,
      voided: call.shown,
      reason,
      error: message,
    };
    yield ["retry", told];
  }

  /** Shows what `text`, this attempt's so far, has beyond what was shown. */
  private *shownSoFar(call: Call, text: string, isFinal: boolean): Generator<Happened, void> {
    call.text = text;
    if (text === call.shown || (call.shown.startsWith(text) && !isFinal)) return;
    const restarted = !text.startsWith(call.shown);
    const content = restarted ? text : text.slice(call.shown.length);
    call.shown = text;
    const told = { content, step: call.step, chunk_index: call.chunks, restarted };
    call.chunks++;
    yield ["text_delta", told];
  }
}

/** One turn's tokens; empty where the provider did not say. */
function turnUsage(usage: Usage | undefined): Partial<LLMUsage> {
  return usage === undefined || usage.incomplete ? {} : usageOf(usage);
}
