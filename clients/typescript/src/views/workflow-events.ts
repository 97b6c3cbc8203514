/** A workflow's or tool's facts as the events of a stream. */
import { parsed } from "../codec/json.js";
import { msOf } from "../codec/times.js";
import { RunStatus, type Run } from "../gen/polos/v1/common_pb.js";
import type { HistoryEvent, WaitSet } from "../gen/polos/v1/history_pb.js";
import type { RunServiceWatchResponse } from "../gen/polos/v1/runs_pb.js";
import { StepKind, type SettledStep } from "../gen/polos/v1/steps_pb.js";
import { OWN_PREFIX } from "../keys.js";
import type { StreamEvent } from "../runs/types.js";

const STEP_WORDS: Record<number, string> = {
  [StepKind.SLEEP]: "sleep",
  [StepKind.SUSPENSION]: "suspension",
  [StepKind.EVENT]: "event",
  [StepKind.CHILDREN]: "children",
  [StepKind.AT_ONCE]: "at_once",
};

/** Type and data of an event. */
export type Happened = [type: string, data: Record<string, any>];

/** Makes events of what a watch sends; fed in order. */
export interface Teller {
  tell(told: RunServiceWatchResponse): Generator<StreamEvent, void>;
}

/** Turns what Watch sends of a workflow's or tool's run into StreamEvents; one per watch. */
export class RunNarrator implements Teller {
  private readonly keys = new Map<number, string>(); // of the waits, by effect
  private seq = 0;

  /**
   * @param kind "workflow" or "tool".
   * @param settled effects of waits that were over before; suspensions among them are left out.
   */
  constructor(
    private readonly workflowId: string,
    private readonly runId: string,
    private readonly topic: string,
    private readonly kind: string,
    private readonly settled: ReadonlySet<number>,
  ) {}

  /** What a message is to those who follow; often nothing. */
  *tell(told: RunServiceWatchResponse): Generator<StreamEvent, void> {
    const { event } = told;
    if (event.case === "fact") {
      this.seq = event.value.seq;
      yield* this.numbered(this.fact(event.value), msOf(event.value.time) ?? 0);
    } else if (event.case === "ended") {
      this.seq += 1;
      yield* this.numbered([this.end(event.value)], msOf(event.value.endedAt) ?? 0);
    }
  }

  private *numbered(found: Iterable<Happened>, timeMs: number): Generator<StreamEvent, void> {
    const metadata = { execution_id: this.runId, workflow_id: this.workflowId };
    let number = 0;
    for (const [eventType, data] of found) {
      yield {
        id: `${this.runId}:${this.seq}${number ? `.${number}` : ""}`,
        sequenceId: this.seq,
        topic: this.topic,
        eventType,
        data: { ...data, _metadata: metadata },
        createdAt: timeMs ? new Date(timeMs).toISOString() : undefined,
      };
      number++;
    }
  }

  private *fact({ event, effectId }: HistoryEvent): Generator<Happened, void> {
    if (event.case === "runStarted") {
      const payload = parsed(event.value.inputJson);
      yield [`${this.kind}_start`, { workflow_id: this.workflowId, payload }];
    } else if (event.case === "stepSettled") {
      const step = event.value.step!;
      if (step.key.startsWith(OWN_PREFIX)) return;
      yield ["step_start", { step_key: step.key, step_type: "step" }];
      yield ["step_finish", stepData(step.key, "step", step)];
    } else if (event.case === "waitSet") {
      this.keys.set(effectId, event.value.key);
      yield* this.wait(effectId, event.value);
    } else if (event.case === "waitSettled") {
      const step = event.value.step!;
      const key = this.keys.get(effectId) || step.key;
      this.keys.delete(effectId);
      if (!key.startsWith(OWN_PREFIX)) yield* waitOver(this.runId, effectId, key, step);
    }
  }

  private *wait(effectId: number, wait: WaitSet): Generator<Happened, void> {
    if (wait.key.startsWith(OWN_PREFIX)) return;
    if (wait.kind !== StepKind.SUSPENSION) {
      yield ["step_start", { step_key: wait.key, step_type: STEP_WORDS[wait.kind] ?? "" }];
    } else if (!this.settled.has(effectId)) {
      yield suspended(this.runId, effectId, wait);
    }
  }

  private end(run: Run): Happened {
    if (run.status === RunStatus.COMPLETED) {
      return [`${this.kind}_finish`, { result: parsed(run.resultJson) }];
    }
    const told = { reason: run.error?.reason ?? "", error: run.error?.message ?? "" };
    return [run.status === RunStatus.CANCELLED ? `${this.kind}_cancel` : "error", told];
  }
}

/** A run waits for an answer from outside. */
export function suspended(runId: string, effectId: number, wait: WaitSet): Happened {
  const asked = wait.detail.case === "suspension" ? parsed(wait.detail.value.dataJson) : null;
  const shown = { _execution_id: runId, _suspension_id: `${runId}.${effectId}` };
  return [`suspend_${wait.key}`, { ...wrapped(asked), ...shown }];
}

/** A wait has ended. */
export function* waitOver(
  runId: string,
  effectId: number,
  key: string,
  step: SettledStep,
): Generator<Happened, void> {
  const result = step.outcome?.result;
  const answer = result?.case === "valueJson" ? parsed(result.value) : null;
  if (step.kind === StepKind.SUSPENSION && typeof answer === "object" && answer !== null) {
    const { data, resumed_by } = answer as Record<string, unknown>;
    const told = { _resumed_by: resumed_by, _suspension_id: `${runId}.${effectId}` };
    yield [`resume_${key}`, { ...wrapped(data), ...told }];
  } else {
    yield ["step_finish", stepData(key, STEP_WORDS[step.kind] ?? "", step)];
  }
}

function wrapped(value: unknown): Record<string, any> {
  const isObject = typeof value === "object" && value !== null && !Array.isArray(value);
  return isObject ? value : { data: value ?? null };
}

function stepData(key: string, kind: string, step: SettledStep): Record<string, any> {
  const result = step.outcome?.result;
  const output = result?.case === "valueJson" ? parsed(result.value) : null;
  let error: Record<string, string> | null = null;
  if (result?.case === "error") {
    const { type, message, stack } = result.value;
    error = { type, message, ...(stack ? { stack } : {}) };
  }
  return { step_key: key, step_type: kind, output, error };
}
