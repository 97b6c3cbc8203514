/**
 * One execution of a task's code: what it asks for, what it is given, how it ends.
 *
 * What is given when is decided by the machine of replay/; here are the promises that the code
 * awaits, the server's answers that settle them, and the two ways in which code is stopped: it is
 * let go of because it only waits, or it is shown that its run is being cancelled. Code that is let
 * go of stands where it awaits a step for ever, and is collected.
 */
import { checkedText } from "../checks.js";
import { valueOutcome } from "../codec/outcomes.js";
import { secondsOf } from "../codec/times.js";
import type { StandardSchema } from "../codec/schema.js";
import {
  ExecutionCancelledError,
  InvalidArgumentError,
  NonDeterminismError,
  type StepExecutionError,
} from "../errors.js";
import type { Task } from "../gen/polos/v1/host_pb.js";
import {
  StepKind,
  type SettledStep,
  type StepRequest,
  type TaskOutcome,
} from "../gen/polos/v1/steps_pb.js";
import { INITIAL_STATE, KEY_BYTES_MAX } from "../keys.js";
import { log } from "../log.js";
import {
  Replay,
  type AskKind,
  type Diverged,
  type Fact,
  type FactKind,
  type Output,
} from "../replay/machine.js";
import { pumpSoon, type Pumped } from "../replay/pump.js";
import { Parking } from "./parking.js";
import { State } from "./state.js";
import type { Target } from "./startable.js";

const WAITS_MAX = 31; // open at once; the server takes 32 in a run, one of them for what is no wait
const DIAGNOSIS_MS = 5_000; // how long code may leave the next fact unasked
const CANCEL_PATIENCE_MS = 10_000; // what a step at work may take when its run is cancelled

const WORDS: Record<number, FactKind> = {
  [StepKind.CODE]: "step",
  [StepKind.SLEEP]: "sleep",
  [StepKind.SUSPENSION]: "suspend",
  [StepKind.EVENT]: "event",
  [StepKind.CHILDREN]: "children",
  [StepKind.AT_ONCE]: "at once",
  [StepKind.TRY]: "try",
};
const WAITS: readonly AskKind[] = ["sleep", "suspend", "event", "invoke_and_wait"];

/** How an execution speaks to the server; what comes back is told to it by its host. */
export interface Line {
  /** The step's number; 0: nobody wants it. */
  stepDone(taskId: string, key: string, outcome: TaskOutcome, stateJson: string): number;
  /** The number of the fact that a try of a step failed, and another comes after so many
   * milliseconds; 0: nobody wants it. */
  stepTry(
    taskId: string,
    key: string,
    tryNumber: number,
    outcome: TaskOutcome,
    pauseMs: number,
  ): number;
  /** False: nobody wants it. */
  order(taskId: string, request: StepRequest): boolean;
  /** Outcomes from now on are for the task's next execution. False: it is not at work here. */
  letGo(taskId: string): boolean;
  /** Its code stands still for good: because it only waits, or because it does not fit. */
  stopped(taskId: string): void;
  /** Makes a workflow, tool or agent known to the server. */
  prepare(target: Target): Promise<void>;
  /** Sees to it that the server has a queue of this name. */
  prepareQueue(name: string): Promise<void>;
  /** The workflow, tool or agent of this name; undefined: this process defines none. */
  find(name: string): Target | undefined;
}

/** A key the code awaits; settled with an outcome, or with undefined: begin. */
interface Ask {
  readonly isWait: boolean;
  isOpen: boolean;
  settle(outcome: TaskOutcome | undefined): void;
  fail(error: Error): void;
}

/** Never settled: code that awaits it does not go on. */
function never(): Promise<never> {
  return new Promise(() => {});
}

/** Order: begin(), then what steps ask for; close(). */
export class Execution implements Pumped {
  readonly taskId: string;
  readonly state: State;
  /** It only waited, and its code was let go of. */
  isParked = false;
  /** Its run is being cancelled. */
  isCancelling: boolean;
  /** Its code was told so; from here on it cleans up. */
  isCancelShown = false;
  /** Why it must not go on; undefined: it may. */
  failure: NonDeterminismError | undefined;
  private readonly aborting = new AbortController();
  private readonly replay: Replay<TaskOutcome>;
  private readonly line: Line;
  private readonly lastStep: number; // the number of the last fact that may have left a state
  private readonly isNew: boolean;
  private readonly begunAtMs = performance.now();
  private readonly asks = new Map<string, Ask>();
  private readonly sent = new Map<number, Fact<TaskOutcome>>(); // by step number
  private readonly due = new Set<string>(); // keys of steps that are done, before their turn
  private readonly parking: Parking;
  private readonly forRoom: (() => void)[] = []; // waits that wait for one of WAITS_MAX to end
  private waitCount = 0;
  private busyCount = 0; // steps at work
  private patience: NodeJS.Timeout | undefined;
  private diagnosis: NodeJS.Timeout | undefined;
  private isOver = false;

  constructor(task: Task, line: Line, thresholdMs: number) {
    this.taskId = task.taskId;
    this.line = line;
    this.state = new State(task.stateJson);
    this.isCancelling = task.cancelling;
    const facts = task.steps.map(factOf);
    const told = facts.filter((fact) => fact.kind !== "try");
    this.lastStep = told.findLastIndex((fact) => fact.isStep);
    this.replay = new Replay(facts, task.cancelling);
    this.isNew = facts.length === 0;
    this.parking = new Parking(
      thresholdMs,
      () => this.onlyWaits,
      () => this.park(),
    );
  }

  // ---- its life ----

  /** Aborts when the code is shown its cancellation, or is stopped. */
  get signal(): AbortSignal {
    return this.aborting.signal;
  }

  /** Makes the state; called before the code. */
  async begin(schema: StandardSchema | undefined): Promise<void> {
    if (this.isCancelling) this.bePatient();
    const working = this.working();
    try {
      await (this.isNew ? this.beginState(schema) : this.beginStateAgain(schema));
    } finally {
      working.end();
    }
  }

  private async beginState(schema: StandardSchema | undefined): Promise<void> {
    const initial = this.state.sent;
    await this.state.begin(schema, initial);
    if (!initial) return;
    // So that a replay can begin with it, whatever becomes of it later.
    this.replay.ask(INITIAL_STATE, "step");
    await this.settle(INITIAL_STATE, valueOutcome(initial, "the initial state"));
  }

  private async beginStateAgain(schema: StandardSchema | undefined): Promise<void> {
    const found = this.replay.find(INITIAL_STATE);
    const kept = found?.outcome.result;
    await this.state.begin(schema, kept?.case === "valueJson" ? kept.value : "");
    if (found) await this.recall(INITIAL_STATE, "step");
  }

  /** The code has ended, or is not wanted any more: what it awaits does not come. */
  close(): void {
    this.isOver = true;
    this.parking.stop();
    clearTimeout(this.patience);
    clearTimeout(this.diagnosis);
    this.asks.clear();
  }

  /** Its answer is not wanted: whatever it is at may end. */
  stop(cause: string): void {
    this.close();
    this.aborting.abort(new ExecutionCancelledError(`the task was stopped: ${cause}`));
  }

  /** At the end of code that gave a value: throws NonDeterminismError if steps are left. */
  checkComplete(): void {
    if (this.failure) throw this.failure;
    const diverged = this.replay.end();
    if (diverged) throw new NonDeterminismError(diverged.message);
  }

  /** The run is being cancelled: the code is told when it has nothing left to run. */
  cancel(): void {
    if (this.isCancelling || this.isParked || this.isOver) return;
    this.isCancelling = true;
    this.replay.cancel();
    this.bePatient();
    this.parking.touch();
    pumpSoon(this);
  }

  /** Code that only waits is let go of at once. */
  hurry(): void {
    this.parking.hurry();
  }

  /** Others may want its slot: code that only waits is kept for a moment only. */
  press(): void {
    this.parking.press();
  }

  /** Whether the code may be let go of. */
  get onlyWaits(): boolean {
    if (this.busyCount || this.isOver || this.isParked || this.isCancelling) return false;
    return [...this.asks.values()].some((ask) => ask.isWait && ask.isOpen);
  }

  // ---- what the host is told by the server ----

  /** A step of settle() is on the server's disk. */
  durable(number: number): void {
    const fact = this.sent.get(number);
    if (!fact) return;
    this.sent.delete(number);
    if (fact.kind === "try") {
      this.asks.get(keyOfTry(fact))?.settle(undefined);
      return;
    }
    this.replay.settle(fact);
    if (this.asks.has(fact.key)) {
      this.busyCount--;
      this.due.add(fact.key);
    }
    pumpSoon(this);
  }

  refused(number: number, error: StepExecutionError): void {
    const fact = this.sent.get(number);
    this.sent.delete(number);
    if (fact) this.refuse(fact.kind === "try" ? keyOfTry(fact) : fact.key, error);
  }

  /** What a step request asked for has come about. */
  settled(key: string, outcome: TaskOutcome): void {
    this.replay.settle({
      key,
      kind: "",
      isStep: false,
      outcome,
      cancels: isCancellation(outcome),
    });
    pumpSoon(this);
  }

  orderRefused(key: string, error: StepExecutionError): void {
    this.refuse(key, error);
  }

  // ---- what steps ask for ----

  /**
   * How the history says that a step ended, when it is its turn; undefined: the step is new.
   *
   * Throws InvalidArgumentError for a bad key or one used before, ExecutionCancelledError (once)
   * where the code is to see that its run is being cancelled. Does not return to code that must not
   * go on.
   */
  async recall(key: string, kind: AskKind): Promise<TaskOutcome | undefined> {
    this.checkKey(key);
    if (!this.isAlive) return never();
    this.lookAgainLater();
    const told = this.replay.ask(key, kind);
    if (told?.do === "diverged") {
      this.fail(told);
      return never();
    }
    return told === undefined ? this.await(key, false) : undefined;
  }

  /**
   * How many tries of a step failed in earlier executions, and the milliseconds that are left
   * before the next.
   */
  tried(key: string): { failed: number; pauseMs: number } {
    const { tryNumber = 0, pauseMs = 0 } = this.replay.lastTry(key) ?? {};
    const passedMs = performance.now() - this.begunAtMs;
    return { failed: tryNumber, pauseMs: Math.max(0, pauseMs - passedMs) };
  }

  /**
   * Returns when it is on the server's disk that a try of a step failed, and another comes after so
   * many milliseconds; called while working().
   */
  async keepTry(
    key: string,
    tryNumber: number,
    outcome: TaskOutcome,
    pauseMs: number,
  ): Promise<void> {
    if (!this.isAlive) return never();
    const number = this.line.stepTry(this.taskId, key, tryNumber, outcome, pauseMs);
    if (number === 0) return never();
    const fact: Fact<TaskOutcome> = {
      key,
      kind: "try",
      isStep: false,
      outcome,
      cancels: false,
      tryNumber,
    };
    this.sent.set(number, fact);
    await this.await(keyOfTry(fact), false);
  }

  /** A step is at work until end() is called: the code does not only wait. */
  working(): { end(): void } {
    this.busyCount++;
    this.parking.touch();
    let isAtWork = true;
    const end = () => {
      if (!isAtWork) return;
      isAtWork = false;
      this.busyCount--;
      this.parking.touch();
      if (this.replay.wantsIdle) pumpSoon(this);
    };
    return { end };
  }

  /**
   * Returns when a step's outcome is on the server's disk, and it is its turn; called while
   * working().
   */
  async settle(key: string, outcome: TaskOutcome): Promise<void> {
    if (!this.isAlive) return never();
    const changed = this.state.changed();
    const number = this.line.stepDone(this.taskId, key, outcome, changed);
    if (number === 0) return never();
    if (changed) this.state.sent = changed;
    this.sent.set(number, { key, kind: "step", isStep: true, outcome, cancels: false });
    try {
      await this.await(key, false);
    } finally {
      if (this.due.delete(key)) this.busyCount++;
    }
  }

  /** The outcome of a step request that recall() said is new. */
  async order(request: StepRequest, kind: AskKind): Promise<TaskOutcome> {
    const isWait = WAITS.includes(kind);
    const working = isWait ? await this.room() : this.working();
    try {
      if (!this.isAlive || !this.line.order(this.taskId, request)) return await never();
      return (await this.await(request.key, isWait))!;
    } finally {
      working.end();
    }
  }

  /** Makes what is to be invoked, and where it is to wait, known to the server. */
  async prepare(targets: Iterable<Target>, queues: Iterable<string>): Promise<void> {
    const working = this.working();
    try {
      for (const target of targets) await this.line.prepare(target);
      for (const queue of queues) await this.line.prepareQueue(queue);
    } finally {
      working.end();
    }
  }

  /** What this process defines under a name. */
  find(name: string): Target | undefined {
    return this.line.find(name);
  }

  /** What a step's function gives; rejects when its run's cancellation is shown meanwhile. */
  interruptible<T>(work: Promise<T>): Promise<T> {
    const { signal } = this;
    if (this.isCancelShown) return work; // it cleans up
    return new Promise((resolve, reject) => {
      const interrupt = () => {
        if (this.isCancelShown) reject(new ExecutionCancelledError());
      };
      signal.addEventListener("abort", interrupt, { once: true });
      work.then(resolve, reject).finally(() => signal.removeEventListener("abort", interrupt));
    });
  }

  // ---- inside: asks ----

  private get isAlive(): boolean {
    return !(this.isOver || this.isParked || this.failure);
  }

  /** What comes of an ask; it is given up when the run's cancellation is shown. */
  private async await(key: string, isWait: boolean): Promise<TaskOutcome | undefined> {
    try {
      return await new Promise((resolve, reject) => {
        const ask: Ask = {
          isWait,
          isOpen: true,
          settle: (outcome) => {
            ask.isOpen = false;
            resolve(outcome);
          },
          fail: (error) => {
            ask.isOpen = false;
            reject(error);
          },
        };
        this.asks.set(key, ask);
        this.parking.touch();
        if (this.replay.wantsIdle) pumpSoon(this);
      });
    } finally {
      this.asks.delete(key);
      this.parking.touch();
    }
  }

  private refuse(key: string, error: StepExecutionError): void {
    this.replay.withdraw(key);
    this.asks.get(key)?.fail(error);
  }

  /** Returns when a wait has room among those that are open. */
  private async room(): Promise<{ end(): void }> {
    if (this.waitCount >= WAITS_MAX) {
      await new Promise<void>((resolve) => this.forRoom.push(resolve));
    } else {
      this.waitCount++;
    }
    const end = () => {
      const next = this.forRoom.shift();
      if (next) next();
      else this.waitCount--;
    };
    return { end };
  }

  private checkKey(key: string): void {
    const size = typeof key === "string" ? Buffer.byteLength(checkedText(key, "stepKey")) : 0;
    if (size < 1 || size > KEY_BYTES_MAX) {
      throw new InvalidArgumentError(
        `a step key is a text of 1 to ${KEY_BYTES_MAX} bytes, not ${JSON.stringify(key)}`,
        { field: "stepKey" },
      );
    }
    if (!this.replay.wasAsked(key)) return;
    throw new InvalidArgumentError(
      `step key ${JSON.stringify(key)} is used twice in this execution: every step needs a key ` +
        "of its own (in a loop, put the counter into it)",
      { field: "stepKey" },
    );
  }

  // ---- inside: idle ----

  /** The code has nothing left to run: what is it given? */
  look(): void {
    if (!this.isAlive || !this.replay.wantsIdle) return;
    for (const output of this.replay.idle(this.busyCount > 0, this.asks.size > 0))
      this.carryOut(output);
    if (this.replay.isBlocked && !this.diagnosis) this.lookAgainLater();
  }

  private carryOut(output: Output<TaskOutcome>): void {
    if (output.do === "begin") {
      this.asks.get(output.key)?.settle(undefined);
    } else if (output.do === "give") {
      if (output.number === this.lastStep) this.state.restore();
      this.asks.get(output.fact.key)?.settle(output.fact.outcome);
      if (this.replay.wantsIdle) pumpSoon(this);
    } else if (output.do === "showCancel") {
      this.showCancel();
    } else {
      this.fail(output);
    }
  }

  /** For code that leaves the next fact unasked. */
  private lookAgainLater(): void {
    clearTimeout(this.diagnosis);
    this.diagnosis = undefined;
    if (!this.replay.wantsIdle || this.isOver) return;
    this.diagnosis = setTimeout(() => this.diagnose(), DIAGNOSIS_MS);
    this.diagnosis.unref();
  }

  private diagnose(): void {
    this.diagnosis = undefined;
    if (!this.isAlive || !this.replay.wantsIdle) return;
    if (this.replay.isBlocked && this.busyCount === 0) this.fail(this.replay.divergedAtNext());
    else this.look();
    this.lookAgainLater();
  }

  // ---- inside: the ends ----

  private park(): void {
    if (this.isOver || !this.line.letGo(this.taskId)) return;
    this.isParked = true;
    this.line.stopped(this.taskId);
  }

  private bePatient(): void {
    this.patience = setTimeout(() => this.showCancel(), CANCEL_PATIENCE_MS);
    this.patience.unref();
  }

  /** The code sees it wherever it awaits something. */
  private showCancel(): void {
    if (this.isCancelShown || !this.isAlive) return;
    this.isCancelShown = true;
    this.replay.showCancel();
    const open = [...this.asks].filter(([, ask]) => ask.isOpen);
    this.aborting.abort(new ExecutionCancelledError());
    for (const [key, ask] of open) {
      this.replay.withdraw(key);
      ask.fail(new ExecutionCancelledError());
    }
  }

  private fail(diverged: Diverged): void {
    this.standStill(diverged.message);
  }

  /** The code that runs here is not the one that made the history. */
  standStill(message: string): void {
    if (this.failure || this.isOver) return;
    this.failure = new NonDeterminismError(message);
    log.debug(message);
    this.line.stopped(this.taskId);
  }
}

function factOf(step: SettledStep): Fact<TaskOutcome> {
  const kind = WORDS[step.kind] ?? "step";
  const isStep = kind === "step";
  const outcome = step.outcome!;
  return {
    key: step.key,
    kind,
    isStep,
    outcome,
    cancels: !isStep && isCancellation(outcome),
    tryNumber: step.tryNumber,
    pauseMs: (secondsOf(step.pause) ?? 0) * 1000,
  };
}

/** Where it is asked for that a try is a fact: no step has such a key. */
function keyOfTry({ key, tryNumber }: Fact<TaskOutcome>): string {
  return `\0try ${tryNumber} of ${key}`;
}

function isCancellation(outcome: TaskOutcome): boolean {
  return outcome.result.case === "error" && outcome.result.value.type === "CANCELLED";
}
