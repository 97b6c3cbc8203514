/**
 * The host protocol without any I/O: numbers, acknowledgements, resume, held tasks.
 *
 * Envelopes go in, envelopes and events come out; the stream, the clock and the user's code are the
 * affair of the host. A task is held from the moment it arrives until its TaskDone is acknowledged
 * (which means: durable) or its Park is, it is stopped, or the server says it is lost; connections
 * may come and go meanwhile. The surprising part: a task that comes again with a higher epoch while
 * its code is still at work is not started twice. The work goes on, and its answers carry the new
 * epoch. Step requests without a result are said again in every new session: asking twice is asking
 * once. All that was said when the stream takes more goes out in one envelope.
 *
 * The code is given what its task has settled in the journal's order. What it told itself is durable
 * when it is acknowledged, or when a result says that it stands before it. While a result comes in
 * pieces, an acknowledgement may be of what comes after it, and waits.
 */
import { clone, create } from "@bufbuild/protobuf";
import { durationOf } from "../codec/times.js";
import {
  HostMessageSchema,
  StopTask_Reason,
  TaskDoneSchema,
  ToolServiceConnectRequestSchema,
  type HostMessage,
  type Offers,
  type Refused,
  type ServerMessage,
  type StopTask,
  type Task,
  type TaskFacts,
  type ToolServiceConnectRequest,
  type ToolServiceConnectResponse,
  type Welcome,
} from "../gen/polos/v1/host_pb.js";
import {
  StepKind,
  type SettledStep,
  type StepRequest,
  type StepResult,
  type TaskOutcome,
} from "../gen/polos/v1/steps_pb.js";

/** The peer broke a rule; the stream has to be dialled again. */
export class ProtocolError extends Error {}

/** What came of an envelope. */
export type SessionEvent =
  | { is: "welcomed"; leaseMs: number; heartbeatMs: number; resumed: boolean }
  | { is: "given"; task: Task }
  /** No answer is wanted. */
  | { is: "stopped"; taskId: string; cause: string }
  /** A StepDone is on the server's disk. */
  | { is: "stepDurable"; taskId: string; number: number }
  /** The server does not take this step, and will not later. */
  | { is: "stepRefused"; taskId: string; number: number; reason: string; message: string }
  /** What a step request asked for has come about, or will not. */
  | { is: "orderSettled"; taskId: string; key: string; outcome: TaskOutcome }
  | { is: "orderRefused"; taskId: string; key: string; reason: string; message: string }
  /** A TaskDone is on the server's disk; the task is no longer held. */
  | { is: "taskDurable"; taskId: string }
  /** The server does not take this task's answer; another answer may be given. */
  | { is: "taskRefused"; taskId: string; reason: string; message: string }
  /** The task's run is being cancelled: let its code see that, and clean up. */
  | { is: "cancelling"; taskId: string }
  /** What the task waits for needs its place: let go of it as soon as its code only waits. */
  | { is: "wanted"; taskId: string }
  /** A Park is dealt with; the task is no longer held. */
  | { is: "parked"; taskId: string }
  | { is: "serverDrains"; cause: string };

const PROTOCOL = 1;
const LANGUAGE = "typescript"; // whose histories this host can go on with
const MESSAGES_MAX = 1000; // in an envelope
const SIZE_MAX = 1 << 20; // of an envelope, unless one message is larger; in bytes 3 times as much

const STOPPED: Record<number, string> = {
  [StopTask_Reason.RUN_ENDED]: "its run has ended",
  [StopTask_Reason.DEADLINE]: "its time is up",
  [StopTask_Reason.LEASE_LOST]: "the lease was lost",
};

interface Sent {
  seq: number;
  readonly message: HostMessage;
  /** About how much of an envelope it takes. */
  readonly size: number;
  /** Nobody waits for its acknowledgement. */
  isVoid: boolean;
}

interface Held {
  epoch: number;
  /** Steps of its code that have settled, those that came with the task included. */
  steps: number;
  /** Of these, the number of the last that the code was told is durable. */
  durable: number;
  /** Keys of the step requests known to be settled. */
  readonly outcomes: Set<string>;
  /** Step requests without a result. */
  readonly open: Map<string, StepRequest>;
  /** Keys of those without a result that the code gave up. */
  readonly givenUp: Set<string>;
  /** Outcomes the code has seen, once its host lets go of it. */
  seen: number | undefined;
  isParked: boolean;
  isDone: boolean;
}

/** A Task or a StepResult whose pieces are on their way. */
interface Partial {
  readonly seq: number;
  readonly task: Task | undefined;
  readonly taskId: string;
  facts: number;
  readonly steps: SettledStep[];
  /** Values of children, by key and place. */
  readonly children: Map<string, string[]>;
}

/** How a host presents itself. */
export interface SessionConfig {
  hostId: string;
  deployment: string;
  slots: number;
  offers: Offers;
  userAgent: string;
}

/** How a task ended. */
export interface TaskEnd {
  /** Or a sentence that says how its code does not fit its history. */
  outcome: TaskOutcome | { mismatch: string };
  stateJson?: string;
  cancelled?: boolean;
  retryable?: boolean;
}

/**
 * One host's side of ToolService.Connect.
 *
 * Order: hello(); then receive() each envelope and send what take() gives; after the stream broke,
 * hello() again. take() gives nothing before Welcome has been received.
 */
export class Session {
  readonly config: SessionConfig;
  /** Welcome.host_token. */
  token = "";
  /** On this stream. */
  isWelcomed = false;
  private readonly held = new Map<string, Held>();
  private unacknowledged: Sent[] = [];
  private outgoing: Sent[] = [];
  private sentSeq = 0; // of the last numbered message
  private dealtSeq = 0; // of the last server message dealt with
  private toldSeq = 0; // the acknowledgement the server has last been sent
  private ahead: Sent[] = []; // acknowledged, but not its turn
  private partial: Partial | undefined;
  private isBeatDue = false; // an envelope is due, with or without messages

  constructor(config: SessionConfig) {
    this.config = config;
  }

  // ---- the stream ----

  /** The first envelope of a stream, also when the offers have changed. */
  hello(): ToolServiceConnectRequest {
    this.isWelcomed = false;
    this.partial = undefined;
    this.isBeatDue = false;
    this.outgoing = [];
    const held = [...this.held].map(([taskId, { epoch }]) => ({ taskId, epoch }));
    const { token: hostToken } = this;
    return create(ToolServiceConnectRequestSchema, {
      ack: BigInt(hostToken ? this.dealtSeq : 0),
      hello: { ...this.config, protocol: PROTOCOL, language: LANGUAGE, hostToken, held },
    });
  }

  /** Deals with an envelope of the server. Throws ProtocolError when it makes no sense. */
  receive(envelope: ToolServiceConnectResponse): SessionEvent[] {
    const events: SessionEvent[] = [];
    const ack = Number(envelope.ack);
    if (envelope.welcome) events.push(...this.receiveWelcome(envelope.welcome, ack));
    else if (!this.isWelcomed) throw new ProtocolError("something came before Welcome");
    const first = Number(envelope.firstSeq);
    envelope.messages.forEach(({ message }, at) => {
      // Before the acknowledgement, which counts the refused message as dealt with.
      if (message.case !== "refused" || first + at <= this.dealtSeq) return;
      events.push(...this.receiveRefused(message.value));
    });
    events.push(...this.acknowledged(ack));
    envelope.messages.forEach((message, at) => {
      if (this.isNew(first + at)) events.push(...this.receiveMessage(first + at, message));
    });
    if (envelope.facts) events.push(...this.receiveFacts(envelope.facts));
    events.push(...this.catchUp());
    return events;
  }

  /** What is to be sent now; undefined: nothing. What does not fit is taken next. */
  take(): ToolServiceConnectRequest | undefined {
    if (!this.isWelcomed || !(this.outgoing.length || this.isBeatDue)) return undefined;
    let count = 0;
    for (let size = 0; count < Math.min(MESSAGES_MAX, this.outgoing.length); count++) {
      size += this.outgoing[count]!.size;
      if (count && size > SIZE_MAX) break;
    }
    const taken = this.outgoing.slice(0, count);
    this.outgoing = this.outgoing.slice(count);
    this.toldSeq = this.dealtSeq;
    this.isBeatDue = false;
    return create(ToolServiceConnectRequestSchema, {
      firstSeq: BigInt(taken[0]?.seq ?? 0),
      ack: BigInt(this.dealtSeq),
      messages: taken.map((sent) => sent.message),
    });
  }

  /** Whether the server has not been told yet what was dealt with. */
  get isAcknowledgementDue(): boolean {
    return this.isWelcomed && this.toldSeq < this.dealtSeq;
  }

  /** Sends an acknowledgement alone, when one is due. */
  acknowledge(): void {
    this.isBeatDue ||= this.isAcknowledgementDue;
  }

  // ---- the work ----

  /** Renews the leases. */
  heartbeat(): void {
    this.isBeatDue = true;
  }

  /** Asks for no more tasks; `releaseAll`: gives those back that are held. */
  drain(cause: string, releaseAll = false): void {
    this.queue({ case: "drain", value: { cause, releaseAll } });
  }

  /** Reports a settled step; its number, or 0 when the task is no longer at work here. */
  stepDone(taskId: string, key: string, outcome: TaskOutcome, stateJson = ""): number {
    const held = this.atWork(taskId);
    if (!held) return 0;
    held.steps++;
    const value = { taskId, epoch: held.epoch, number: held.steps, key, outcome, stateJson };
    this.queue({ case: "stepDone", value });
    return held.steps;
  }

  /**
   * Reports that a try of a step failed, and another comes after so many milliseconds; its number
   * among the steps, or 0 when the task is no longer at work here.
   */
  stepTry(
    taskId: string,
    key: string,
    tryNumber: number,
    outcome: TaskOutcome,
    pauseMs: number,
  ): number {
    const held = this.atWork(taskId);
    if (!held || outcome.result.case !== "error") return 0;
    held.steps++;
    const number = held.steps;
    const pause = pauseMs > 0 ? durationOf(pauseMs / 1000) : undefined;
    const error = outcome.result.value;
    const value = { taskId, epoch: held.epoch, number, key, tryNumber, error, pause };
    this.queue({ case: "stepTry", value });
    return number;
  }

  /**
   * Reports that the code is to see the cancellation now; its number among the steps, or 0 when the
   * task is no longer at work here.
   */
  cancelShown(taskId: string): number {
    const held = this.atWork(taskId);
    if (!held) return 0;
    held.steps++;
    const value = { taskId, epoch: held.epoch, number: held.steps };
    this.queue({ case: "cancelShown", value });
    return held.steps;
  }

  /**
   * Reports that the code gave up what it asked for under a key when it had been given so many
   * facts; its number among the steps, or 0 when the task is no longer at work here.
   */
  withdraw(taskId: string, key: string, factsSeen: number): number {
    const held = this.atWork(taskId);
    if (!held) return 0;
    held.steps++;
    if (held.open.delete(key)) {
      held.givenUp.add(key);
      this.voidOrder(taskId, key);
    }
    const value = { taskId, epoch: held.epoch, number: held.steps, key, factsSeen };
    this.queue({ case: "withdraw", value });
    return held.steps;
  }

  /** Asks for a step that the server does; false when the task is no longer at work here. */
  order(taskId: string, request: StepRequest): boolean {
    const held = this.atWork(taskId);
    if (!held) return false;
    request.taskId = taskId;
    request.epoch = held.epoch;
    held.open.set(request.key, request);
    this.queue({ case: "stepRequest", value: request });
    return true;
  }

  /**
   * The code stands still because it only waits: outcomes that come from now on are for its next
   * life. park() follows. False when the task is no longer at work here.
   */
  letGo(taskId: string): boolean {
    const held = this.atWork(taskId);
    if (!held) return false;
    held.seen = held.outcomes.size;
    return true;
  }

  /** Gives back a task whose code was let go of. */
  park(taskId: string): boolean {
    const held = this.held.get(taskId);
    if (held?.seen === undefined || held.isParked) return false;
    held.isParked = true;
    this.queue({ case: "park", value: { taskId, epoch: held.epoch, resultsSeen: held.seen } });
    return true;
  }

  /** Reports a task's end; false when the task is no longer at work here. */
  taskDone(taskId: string, end: TaskEnd): boolean {
    const held = this.atWork(taskId);
    if (!held) return false;
    held.isDone = true;
    held.open.clear();
    const { outcome, stateJson = "", cancelled = false, retryable = false } = end;
    const done = create(TaskDoneSchema, {
      taskId,
      epoch: held.epoch,
      stateJson,
      cancelled,
      retryable,
    });
    done.result =
      "mismatch" in outcome
        ? {
            case: "mismatch",
            value: { $typeName: "polos.v1.Mismatch", message: outcome.mismatch },
          }
        : { case: "outcome", value: outcome };
    this.queue({ case: "taskDone", value: done });
    return true;
  }

  /** Tasks at work or with an answer that is not durable yet. */
  get heldCount(): number {
    return this.held.size;
  }

  /** Tasks let go of, of which the server does not know yet. */
  get parkingCount(): number {
    return [...this.held.values()].filter((held) => held.seen !== undefined).length;
  }

  /** Messages the server has not acknowledged. */
  get unacknowledgedCount(): number {
    return this.unacknowledged.length;
  }

  // ---- inside ----

  private atWork(taskId: string): Held | undefined {
    const held = this.held.get(taskId);
    return held && !held.isDone && held.seen === undefined ? held : undefined;
  }

  private queue(
    message: NonNullable<Parameters<typeof create<typeof HostMessageSchema>>[1]>["message"],
  ): void {
    this.queueMessage(create(HostMessageSchema, { message }));
  }

  private queueMessage(message: HostMessage): void {
    const sent = { seq: ++this.sentSeq, message, size: sizeOf(message), isVoid: false };
    this.unacknowledged.push(sent);
    if (this.isWelcomed) this.outgoing.push(sent);
  }

  private isNew(seq: number): boolean {
    if (this.partial && seq === this.partial.seq + 1) return true; // the rest before does not come
    if (seq <= this.dealtSeq + 1) return seq === this.dealtSeq + 1;
    throw new ProtocolError(`server message ${seq} came after ${this.dealtSeq}`);
  }

  private receiveWelcome(welcome: Welcome, ack: number): SessionEvent[] {
    if (this.isWelcomed) throw new ProtocolError("a second Welcome came");
    if (welcome.resumed && !this.token) {
      throw new ProtocolError("the server resumed a session that was not asked for");
    }
    this.isWelcomed = true;
    this.token = welcome.hostToken;
    const { resumed } = welcome;
    const [leaseMs, heartbeatMs] = [msOf(welcome.lease), msOf(welcome.heartbeat)];
    const events: SessionEvent[] = [{ is: "welcomed", leaseMs, heartbeatMs, resumed }];
    if (resumed) events.push(...this.acknowledged(ack));
    for (const { taskId } of welcome.lost) events.push(...this.drop(taskId, "the lease was lost"));
    if (!resumed) this.renumber();
    this.toldSeq = 0;
    this.outgoing = [...this.unacknowledged];
    return events;
  }

  /** A new session: numbers start at 1; what nobody waits for is not said again. */
  private renumber(): void {
    const said = [...this.ahead.splice(0), ...this.unacknowledged];
    const kept = said.filter((sent) => !sent.isVoid).map((sent) => sent.message);
    const again = [...this.held.keys()].flatMap((taskId) => this.acknowledgedOrders(taskId));
    this.sentSeq = this.dealtSeq = 0;
    this.unacknowledged = [];
    const isWelcomed = this.isWelcomed;
    this.isWelcomed = false; // they are not outgoing twice
    for (const value of again) this.queue({ case: "stepRequest", value });
    for (const message of kept) this.queueMessage(message);
    this.isWelcomed = isWelcomed;
  }

  /** Open step requests of a task that are not among what will be sent again anyway. */
  private acknowledgedOrders(taskId: string): StepRequest[] {
    const open = [...this.held.get(taskId)!.open.values()];
    if (open.length === 0) return open;
    const waiting = new Set(this.about(taskId).map(({ message }) => orderKeyOf(message)));
    return open.filter((request) => !waiting.has(request.key));
  }

  private acknowledged(ack: number): SessionEvent[] {
    if (ack > this.sentSeq) {
      throw new ProtocolError(`message ${ack} was acknowledged; the last sent is ${this.sentSeq}`);
    }
    let count = 0;
    while (count < this.unacknowledged.length && this.unacknowledged[count]!.seq <= ack) count++;
    if (count === 0) return [];
    const done = this.unacknowledged.slice(0, count);
    this.unacknowledged = this.unacknowledged.slice(count);
    return done.flatMap((sent) => (sent.isVoid ? [] : this.durable(sent)));
  }

  /** Acknowledged: the code is told, unless a result that stands before it is on its way. */
  private durable(sent: Sent): SessionEvent[] {
    const { message } = sent.message;
    if (isNumbered(message)) {
      const { taskId, number } = message.value;
      if (!this.partial || this.partial.task || this.partial.taskId !== taskId) {
        return this.stands(taskId, number);
      }
      this.ahead.push(sent);
      return [];
    }
    if (message.case !== "taskDone" && message.case !== "park") return [];
    const { taskId } = message.value;
    this.held.delete(taskId);
    return [{ is: message.case === "park" ? "parked" : "taskDurable", taskId }];
  }

  /** What was acknowledged ahead of a result, once that is there. */
  private catchUp(): SessionEvent[] {
    if (this.partial || this.ahead.length === 0) return [];
    return this.ahead.splice(0).flatMap((sent) => this.durable(sent));
  }

  /** All that was told of a task up to this number is durable. */
  private stands(taskId: string, upTo: number): SessionEvent[] {
    const held = this.held.get(taskId);
    const events: SessionEvent[] = [];
    while (held && held.durable < Math.min(upTo, held.steps)) {
      events.push({ is: "stepDurable", taskId, number: ++held.durable });
    }
    return events;
  }

  private receiveMessage(seq: number, { message }: ServerMessage): SessionEvent[] {
    this.dealtSeq = seq;
    this.partial = undefined;
    switch (message.case) {
      case "task":
        if (message.value.hasMore) return this.awaitFacts(seq, message.value, message.value.taskId);
        return this.receiveTask(message.value);
      case "stepResult":
        return this.receiveResult(seq, message.value);
      case "cancelTask":
        return this.ifCurrent("cancelling", message.value);
      case "yieldTask":
        return this.ifCurrent("wanted", message.value);
      case "stopTask":
        return this.receiveStop(message.value);
      case "drain":
        return [{ is: "serverDrains", cause: message.value.cause }];
      default:
        return [];
    }
  }

  private receiveResult(seq: number, result: StepResult): SessionEvent[] {
    if (result.hasMore) return this.awaitFacts(seq, undefined, result.taskId);
    return this.resultOf(result.taskId, result.step!);
  }

  private resultOf(taskId: string, step: SettledStep): SessionEvent[] {
    const before = this.stands(taskId, step.stepsBefore);
    return [...before, ...this.orderSettled(taskId, step.key, step.outcome!)];
  }

  private awaitFacts(seq: number, task: Task | undefined, taskId: string): SessionEvent[] {
    this.dealtSeq = seq - 1; // until its last piece is there
    this.partial = {
      seq,
      task,
      taskId,
      facts: 0,
      steps: task?.steps ?? [],
      children: new Map(),
    };
    return [];
  }

  private receiveFacts(piece: TaskFacts): SessionEvent[] {
    const { partial } = this;
    if (partial?.taskId !== piece.taskId) return [];
    if (partial.facts !== piece.first) {
      throw new ProtocolError(`fact ${piece.first} came after ${partial.facts}`);
    }
    takePiece(partial, piece);
    if (!piece.isLast) return [];
    this.dealtSeq = partial.seq;
    this.partial = undefined;
    if (partial.task) {
      partial.task.stateJson = piece.stateJson;
      return this.receiveTask(partial.task);
    }
    return partial.steps.filter(isOrder).flatMap((step) => this.resultOf(piece.taskId, step));
  }

  private receiveTask(task: Task): SessionEvent[] {
    let held = this.held.get(task.taskId);
    if (held?.isParked && task.epoch > held.epoch) {
      this.drop(task.taskId, ""); // its Park was dealt with
      held = undefined;
    }
    if (!held) return this.hold(task);
    if (task.epoch <= held.epoch) return [];
    held.epoch = task.epoch;
    this.sendAgainAs(task.taskId, held);
    const events = this.factsSettled(task.taskId, task.steps);
    if (task.cancelling && this.atWork(task.taskId)) {
      events.push({ is: "cancelling", taskId: task.taskId });
    }
    return events;
  }

  private hold(task: Task): SessionEvent[] {
    const outcomes = new Set(task.steps.filter(isOrder).map((step) => step.key));
    const steps = task.settledCount || task.steps.length - outcomes.size;
    const open = new Map<string, StepRequest>();
    const held = {
      epoch: task.epoch,
      steps,
      durable: steps,
      outcomes,
      open,
      givenUp: new Set<string>(),
      seen: undefined,
      isParked: false,
      isDone: false,
    };
    this.held.set(task.taskId, held);
    return [{ is: "given", task }];
  }

  /** Of a task that is given again while its code is at work. */
  private factsSettled(taskId: string, steps: SettledStep[]): SessionEvent[] {
    let told = 0;
    return steps.flatMap((step) =>
      isOrder(step)
        ? this.orderSettled(taskId, step.key, step.outcome!)
        : this.stands(taskId, ++told),
    );
  }

  /** An outcome counts once, and only while the code is there to see it. */
  private orderSettled(taskId: string, key: string, outcome: TaskOutcome): SessionEvent[] {
    const held = this.atWork(taskId);
    if (!held) return [];
    held.outcomes.add(key);
    if (!held.givenUp.delete(key) && !held.open.delete(key)) return [];
    this.voidOrder(taskId, key);
    return [{ is: "orderSettled", taskId, key, outcome }];
  }

  /** Nobody waits for what is said of it. */
  private voidOrder(taskId: string, key: string): void {
    for (const sent of this.about(taskId)) {
      if (orderKeyOf(sent.message) === key) sent.isVoid = true;
    }
  }

  /** What was said under the old epoch will be refused: say it again under the new one. */
  private sendAgainAs(taskId: string, held: Held): void {
    const orders = this.acknowledgedOrders(taskId);
    for (const sent of this.about(taskId)) {
      const again = clone(HostMessageSchema, sent.message);
      sent.isVoid = true;
      if (again.message.case && "epoch" in again.message.value)
        again.message.value.epoch = held.epoch;
      if (again.message.case === "stepRequest")
        held.open.set(again.message.value.key, again.message.value);
      this.queueMessage(again);
    }
    for (const value of orders) {
      value.epoch = held.epoch;
      this.queue({ case: "stepRequest", value });
    }
  }

  private about(taskId: string): Sent[] {
    return this.unacknowledged.filter((sent) => !sent.isVoid && taskIdOf(sent.message) === taskId);
  }

  private ifCurrent(
    is: "cancelling" | "wanted",
    { taskId, epoch }: { taskId: string; epoch: number },
  ): SessionEvent[] {
    const held = this.atWork(taskId);
    return held && epoch >= held.epoch ? [{ is, taskId }] : [];
  }

  private receiveStop({ taskId, epoch, reason }: StopTask): SessionEvent[] {
    const held = this.held.get(taskId);
    if (!held || epoch < held.epoch) return [];
    return this.drop(taskId, STOPPED[reason] ?? "the server says so");
  }

  private receiveRefused({ refusedSeq, reason, message, taskIsGone }: Refused): SessionEvent[] {
    const sent = this.unacknowledged.find((each) => each.seq === Number(refusedSeq));
    const taskId = sent && taskIdOf(sent.message);
    const held = taskId ? this.held.get(taskId) : undefined;
    if (!sent || sent.isVoid || !taskId || !held) return [];
    const refused = sent.message.message;
    sent.isVoid = true;
    if (taskIsGone || refused.case === "park") return this.drop(taskId, message);
    if (isNumbered(refused)) {
      held.steps--;
      return [{ is: "stepRefused", taskId, number: refused.value.number, reason, message }];
    }
    if (refused.case === "stepRequest") {
      held.open.delete(refused.value.key);
      return [{ is: "orderRefused", taskId, key: refused.value.key, reason, message }];
    }
    held.isDone = false;
    return [{ is: "taskRefused", taskId, reason, message }];
  }

  private drop(taskId: string, cause: string): SessionEvent[] {
    for (const sent of this.about(taskId)) sent.isVoid = true;
    return this.held.delete(taskId) ? [{ is: "stopped", taskId, cause }] : [];
  }
}

/** What a piece tells; the value of a wait is made of its children. */
function takePiece(partial: Partial, piece: TaskFacts): void {
  partial.facts += piece.facts.length;
  for (const fact of piece.facts) {
    const { key, outcome } = fact;
    if (fact.isChild) {
      const places = partial.children.get(key) ?? [];
      places[fact.childIndex] =
        outcome?.result.case === "valueJson" ? outcome.result.value : "null";
      partial.children.set(key, places);
      continue;
    }
    if (fact.hasChildren && outcome) {
      const values = (partial.children.get(key) ?? []).filter((value) => value !== undefined);
      outcome.result = { case: "valueJson", value: `[${values.join(",")}]` };
      partial.children.delete(key);
    }
    partial.steps.push(fact);
  }
}

/** Characters of what is long in a message, and something for the rest. */
function sizeOf({ message }: HostMessage): number {
  const rest = 256;
  if (message.case === "stepDone") {
    return rest + message.value.stateJson.length + lengthOf(message.value.outcome);
  }
  if (message.case === "stepTry") {
    const { error } = message.value;
    return rest + (error?.message.length ?? 0) + (error?.stack.length ?? 0);
  }
  if (message.case === "taskDone") {
    const { result, stateJson } = message.value;
    return rest + stateJson.length + (result.case === "outcome" ? lengthOf(result.value) : 0);
  }
  if (message.case !== "stepRequest") return rest;
  const { request } = message.value;
  if (request.case === "startRuns") {
    const { runs } = request.value;
    return runs.reduce((sum, run) => sum + rest + run.inputJson.length + run.input.length, rest);
  }
  return rest + (request.value && "dataJson" in request.value ? request.value.dataJson.length : 0);
}

function lengthOf(outcome: TaskOutcome | undefined): number {
  if (outcome?.result.case === "error")
    return outcome.result.value.message.length + outcome.result.value.stack.length;
  return outcome?.result.value?.length ?? 0;
}

type Body = HostMessage["message"];
type Numbered = "stepDone" | "stepTry" | "cancelShown" | "withdraw";

/** Whether it counts among the steps of its task. */
function isNumbered(message: Body): message is Extract<Body, { case: Numbered }> {
  return ["stepDone", "stepTry", "cancelShown", "withdraw"].includes(message.case ?? "");
}

/** Whether the server did it, rather than the code. */
function isOrder(step: SettledStep): boolean {
  return step.kind >= StepKind.SLEEP && step.kind <= StepKind.AT_ONCE;
}

/** The task a numbered message is about; empty for the others. */
function taskIdOf({ message }: HostMessage): string {
  return message.case && message.case !== "drain" ? message.value.taskId : "";
}

function orderKeyOf({ message }: HostMessage): string | undefined {
  return message.case === "stepRequest" ? message.value.key : undefined;
}

function msOf(length: { seconds: bigint; nanos: number } | undefined): number {
  return length ? Number(length.seconds) * 1000 + length.nanos / 1e6 : 0;
}
