/**
 * One execution of a task's code: what it asks for, what it is given, how it ends.
 *
 * What is given when is decided by the machine of replay/; here are the promises that the code
 * awaits, the server's answers that settle them, and the two ways in which code is stopped: it is
 * let go of because it only waits, or it is shown that its run is being cancelled. Code that is let
 * go of stands where it awaits a step for ever, and is collected.
 */
import { create } from "@bufbuild/protobuf";
import { getEventListeners, setMaxListeners } from "node:events";
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
  TaskOutcomeSchema,
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
import { Part, currentPart, isWithin, whyGivenUp } from "./giving-up.js";
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
  [StepKind.CANCEL_SHOWN]: "cancellation shown",
  [StepKind.WITHDRAWN]: "given up",
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
  /** The number of the fact that the code sees the cancellation; 0: nobody wants it. */
  cancelShown(taskId: string): number;
  /** The number of the fact that the code gave a key up; 0: nobody wants it. */
  withdraw(taskId: string, key: string, factsSeen: number): number;
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
  readonly part: Part | undefined;
  isOpen: boolean;
  settle(outcome: TaskOutcome | undefined): void;
  fail(error: Error): void;
}

/** A function of the code that may be interrupted. */
interface Interrupt {
  readonly part: Part | undefined;
  readonly interrupt: (error: Error) => void;
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
  private forRoom: (() => void)[] = []; // waits that wait for one of WAITS_MAX to end
  private readonly interrupts = new Set<Interrupt>();
  private readonly keysAtWork = new Map<string, Part | undefined>(); // steps whose functions run
  private givenUp: [key: string, factsSeen: number][] = []; // not said yet
  private readonly clocks = new WeakSet<Part>(); // parts that are no code, but measure its time
  private isCancelUntold = false; // it was shown where the code awaited nothing of ours
  private waitCount = 0;
  private busyCount = 0; // steps at work
  private beginningCount = 0; // clocks that are about to be asked for
  private patience: NodeJS.Timeout | undefined;
  private diagnosis: NodeJS.Timeout | undefined;
  private isOver = false;

  constructor(task: Task, line: Line, thresholdMs: number) {
    this.taskId = task.taskId;
    this.line = line;
    this.state = new State(task.stateJson);
    this.isCancelling = task.cancelling;
    setMaxListeners(0, this.aborting.signal); // one for each request that is passed it
    const facts = task.steps.map(factOf);
    this.lastStep = facts.findLastIndex((fact) => fact.isStep);
    this.replay = new Replay(facts, task.cancelling, task.retryCount);
    this.isNew = facts.length === 0;
    this.parking = new Parking(
      thresholdMs,
      () => this.onlyWaits,
      () => !this.replay.hasMore,
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

  /** The code has ended, and what cleans up after it is not told again. */
  beginCleanUp(): void {
    this.isCancelUntold = false;
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
    this.replay.settle(fact);
    if (fact.kind === "try") this.asks.get(keyOfTry(fact))?.settle(undefined);
    if (fact.isStep && this.asks.has(fact.key)) {
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
    this.replay.settle(fact(key, "", { outcome, cancels: isCancellation(outcome) }));
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
    this.checkTold();
    if (!this.isAlive) return never();
    this.sayGivenUp();
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
    this.checkTold();
    if (!this.isAlive) return never();
    this.sayGivenUp();
    const number = this.line.stepTry(this.taskId, key, tryNumber, outcome, pauseMs);
    if (number === 0) return never();
    const tried = fact(key, "try", { outcome, tryNumber });
    this.sent.set(number, tried);
    await this.await(keyOfTry(tried), false);
  }

  /** As working(), of the function of this step. */
  atWork(key: string): { end(): void } {
    this.keysAtWork.set(key, currentPart());
    const working = this.working();
    const end = () => {
      this.keysAtWork.delete(key);
      working.end();
    };
    return { end };
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
    this.checkTold();
    if (!this.isAlive) return never();
    this.sayGivenUp();
    const changed = this.state.changed();
    const number = this.line.stepDone(this.taskId, key, outcome, changed);
    if (number === 0) return never();
    if (changed) this.state.sent = changed;
    this.sent.set(number, fact(key, "step", { isStep: true, outcome }));
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
      this.checkTold();
      if (!this.isAlive) return await never();
      this.sayGivenUp();
      if (!this.line.order(this.taskId, request)) return await never();
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

  /**
   * What a step's function gives; rejects when its run's cancellation is shown meanwhile, or the
   * part of the code it stands in is given up.
   */
  async interruptible<T>(work: Promise<T>): Promise<T> {
    let one: Interrupt | undefined;
    const interrupted = new Promise<never>((_, reject) => {
      one = { part: currentPart(), interrupt: reject };
      this.interrupts.add(one);
    });
    try {
      return await Promise.race([work, interrupted]);
    } finally {
      this.interrupts.delete(one!);
    }
  }

  /** Returns when the code has begun what it is at; it is given nothing before. */
  async afterThis(): Promise<void> {
    this.beginningCount++;
    await new Promise(setImmediate);
    this.beginningCount--;
    pumpSoon(this);
  }

  /** Whether the code that runs now stands in a part that was given up. */
  get isGivenUp(): boolean {
    return whyGivenUp(currentPart()) !== undefined;
  }

  /**
   * Runs a part of the code. After giveUp() its promise is rejected so, what it awaits of ours is
   * given up, and so is whatever it asks for later; nothing happens when it has ended.
   *
   * @param isClock it is no code that is to be told of a cancellation.
   */
  part<T>(
    work: () => T | Promise<T>,
    isClock = false,
  ): { done: Promise<T>; giveUp: (error: Error) => void } {
    const part = new Part();
    if (isClock) this.clocks.add(part);
    let isDone = false;
    let giveUp!: (error: Error) => void;
    const givenUp = new Promise<never>((_, reject) => {
      giveUp = (error) => {
        if (isDone) return;
        isDone = true;
        part.error = error;
        this.giveUpIn(part, error);
        reject(error);
      };
    });
    givenUp.catch(() => undefined);
    const running = part.run(async () => work());
    const done = Promise.race([running, givenUp]).finally(() => (isDone = true));
    return { done, giveUp };
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
          part: currentPart(),
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

  /** Throws where the code is to see the cancellation, or goes on with what it gave up. */
  private checkTold(): void {
    if (this.isCancelUntold) {
      this.isCancelUntold = false;
      throw new ExecutionCancelledError();
    }
    const error = whyGivenUp(currentPart());
    if (error) throw error;
  }

  /** All that a part awaits is given up. */
  private giveUpIn(part: Part, error: Error): void {
    for (const [key, within] of this.keysAtWork) if (isWithin(within, part)) this.giveUp(key);
    for (const one of this.interrupts) if (isWithin(one.part, part)) one.interrupt(error);
    for (const [key, ask] of this.asks) {
      if (!ask.isOpen || !isWithin(ask.part, part)) continue;
      this.giveUp(key);
      ask.fail(error);
    }
    if (this.replay.wantsIdle || this.givenUp.length) pumpSoon(this);
  }

  private giveUp(key: string): void {
    if (this.replay.withdraw(key)) this.givenUp.push([key, this.replay.givenCount]);
  }

  /**
   * Only once the code has gone on: what is taken from code that is ended, with its host, is not
   * given up.
   */
  private sayGivenUp(): void {
    for (const [key, seen] of this.givenUp.splice(0)) {
      const number = this.line.withdraw(this.taskId, key, seen);
      if (number) this.sent.set(number, fact(key, "given up", { seen }));
    }
  }

  /** Returns when a wait has room among those that are open. */
  private async room(): Promise<{ end(): void }> {
    if (this.waitCount >= WAITS_MAX) await this.waitForRoom();
    else this.waitCount++;
    const end = () => {
      const next = this.forRoom.shift();
      if (next) next();
      else this.waitCount--;
    };
    return { end };
  }

  private async waitForRoom(): Promise<void> {
    let come!: () => void;
    const room = new Promise<void>((resolve) => this.forRoom.push((come = resolve)));
    try {
      await this.interruptible(room);
    } finally {
      this.forRoom = this.forRoom.filter((each) => each !== come);
    }
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
    if (!this.isAlive || this.beginningCount) return;
    this.sayGivenUp();
    if (!this.replay.wantsIdle) return;
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
    } else if (output.do === "sayCancel") {
      const number = this.line.cancelShown(this.taskId);
      if (number) this.sent.set(number, fact("", "cancellation shown"));
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
    this.patience = setTimeout(() => {
      if (!this.isAlive) return;
      for (const output of this.replay.insist()) this.carryOut(output);
    }, CANCEL_PATIENCE_MS);
    this.patience.unref();
  }

  /**
   * The code sees it wherever it awaits something of ours; where it awaits nothing of ours and does
   * not listen to its signal, at what it asks for next.
   */
  private showCancel(): void {
    if (this.isCancelShown || !this.isAlive) return;
    this.isCancelShown = true;
    const open = [...this.asks].filter(([, ask]) => ask.isOpen);
    const told = [...open.map(([, { part }]) => part), ...[...this.interrupts].map((i) => i.part)];
    const isHeard = getEventListeners(this.signal, "abort").length > 0;
    this.isCancelUntold = !isHeard && told.every((part) => part && this.clocks.has(part));
    this.aborting.abort(new ExecutionCancelledError());
    for (const [key, ask] of open) {
      this.replay.withdraw(key);
      ask.fail(new ExecutionCancelledError());
    }
    for (const { interrupt } of [...this.interrupts]) interrupt(new ExecutionCancelledError());
    if (this.replay.wantsIdle) pumpSoon(this);
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
  return fact(step.key, kind, {
    isStep,
    outcome,
    cancels: !isStep && isCancellation(outcome),
    ends: !isStep && failedAs(outcome) === "WITHDRAWN",
    seen: step.factsSeen,
    tries: step.retryCount,
    tryNumber: step.tryNumber,
    pauseMs: (secondsOf(step.pause) ?? 0) * 1000,
  });
}

/** A fact; one that the code is not given has no outcome. */
function fact(
  key: string,
  kind: FactKind,
  about: Partial<Fact<TaskOutcome>> = {},
): Fact<TaskOutcome> {
  const outcome = about.outcome ?? create(TaskOutcomeSchema);
  return { isStep: false, cancels: false, ...about, key, kind, outcome };
}

/** Where it is asked for that a try is a fact: no step has such a key. */
function keyOfTry({ key, tryNumber }: Fact<TaskOutcome>): string {
  return `\0try ${tryNumber} of ${key}`;
}

function isCancellation(outcome: TaskOutcome): boolean {
  return failedAs(outcome) === "CANCELLED";
}

/** The word of its error; empty: it has none. */
function failedAs(outcome: TaskOutcome | undefined): string {
  return outcome?.result.case === "error" ? outcome.result.value.type : "";
}
