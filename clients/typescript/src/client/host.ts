/**
 * The host: takes tasks of the server and runs the tools and workflows of this process.
 *
 * The protocol is the session's affair; here are the stream, the clock and the user's code. A host
 * dials again for as long as it lives; tasks at work go on meanwhile, and what they settled is sent
 * again when the server is back.
 */
import { randomUUID } from "node:crypto";
import { hostname } from "node:os";
import type { Workflow } from "../define/workflow.js";
import {
  InvalidArgumentError,
  PermissionDeniedError,
  PolosError,
  ServerError,
  StepExecutionError,
} from "../errors.js";
import { currentTask } from "../execution/current.js";
import { Execution, type Line } from "../execution/execution.js";
import { waitThresholdMs } from "../execution/parking.js";
import type { Target } from "../execution/startable.js";
import { errorOutcome } from "../codec/outcomes.js";
import type { Offers, Task, ToolServiceConnectRequest } from "../gen/polos/v1/host_pb.js";
import { ToolService } from "../gen/polos/v1/tools_pb.js";
import { log } from "../log.js";
import type { RunReader } from "../runs/handle.js";
import { Beat } from "../session/beat.js";
import { ProtocolError, Session, type SessionEvent } from "../session/machine.js";
import { VERSION } from "../version.js";
import { backoffMs, errorFrom, unreachable } from "../wire/errors.js";
import { FIRST_CONTACT_MS, pause, type Wire } from "../wire/wire.js";
import { Signal, keepingAlive, within } from "./signal.js";
import { runTask, standstill } from "./running.js";

const LEAVE_MS = 1_000; // what the server may take to hear that the host leaves
const ACK_DELAY_MS = 50; // how long an acknowledgement waits for a message to ride on
const PARK_MS = 2_000; // what giving tasks back may take that only wait, when the host leaves
const HEARTBEAT_MS = 5_000; // until the server says what it wants
const BLOCKED_MS = 1_000; // how late a heartbeat is before something is said
const HOST_NAME_CHARACTERS = 64;

/** What a host is made from. */
export interface HostConfig {
  wire: Wire;
  /** The code for a task; undefined: there is none here. */
  resolve: (task: Task) => Workflow<any, any, any> | undefined;
  offers: Offers;
  deployment: string;
  slots: number;
  /** Makes a target known to the server, before code starts a run of it. */
  prepare: (target: Target) => Promise<void>;
  prepareQueue: (name: string) => Promise<void>;
  find: (name: string) => Target | undefined;
  /** For the handles of child runs. */
  client: RunReader;
}

/** A task at work. */
interface Running {
  readonly task: Task;
  readonly execution: Execution;
  /** Others want its slot. */
  isPressed: boolean;
}

/** Order: start(); offer() when there is something else to offer; stop(). */
export class Host implements Line {
  /** Why the host gave up; undefined: it did not. */
  failure: PolosError | undefined;
  private readonly config: HostConfig;
  private readonly session: Session;
  private readonly beat: Beat;
  private readonly running = new Map<string, Running>();
  private readonly thresholdMs = waitThresholdMs();
  private readonly toSend = new Signal(); // there is something to send
  private readonly settled = new Signal(); // something stopped being held
  private readonly leaving = new AbortController();
  private readonly ready = new Signal(); // Welcome came, or the host gave up
  private stream = new AbortController();
  private isRedialling = false;
  private isFlushArmed = false;
  private isEnding = false; // this stream
  private isDraining = false;
  private heartbeatMs = HEARTBEAT_MS;
  private leaseMs = Infinity; // until the server says it
  private last: PolosError | undefined; // why the last stream ended
  private dialling: Promise<void> = Promise.resolve();
  private stopAt = 0; // when a stop() under way does not wait for tasks any more

  constructor(config: HostConfig) {
    this.config = config;
    const { offers, deployment, slots, wire } = config;
    const name = hostname();
    this.session = new Session({
      hostId: `${name.slice(0, HOST_NAME_CHARACTERS)}-${process.pid}-${randomUUID().slice(0, 13)}`,
      deployment,
      slots,
      offers,
      userAgent: `polos-typescript/${VERSION} node/${process.versions.node} host=${name}`,
    });
    this.beat = new Beat(wire.endpoint, wire.headers, () => this.redial());
  }

  // ---- life ----

  get offers(): Offers {
    return this.session.config.offers;
  }

  /** Tasks at work or with an answer that is not durable yet. */
  get heldCount(): number {
    return this.session.heldCount;
  }

  /**
   * Dials the server and returns once it said Welcome.
   *
   * Throws UnavailableError when a server that was never reached is not there, and
   * InvalidArgumentError or PermissionDeniedError when it refuses this host.
   */
  async start(): Promise<void> {
    this.dialling = this.dial().finally(() => void this.beat.stop());
    await this.untilReady();
  }

  /** Offers something else from now on; returns once the server said Welcome to it. */
  async offer(offers: Offers): Promise<void> {
    if (this.failure) throw this.failure;
    this.session.config.offers = offers;
    this.ready.reset();
    this.redial();
    await this.untilReady();
  }

  /** Returns when the host was stopped; throws why it gave up. */
  async wait(): Promise<void> {
    await keepingAlive(this.dialling);
    if (this.failure) throw this.failure;
  }

  /**
   * Takes no new tasks, gives back those that only wait, lets those at work end for so long, stops
   * the others, and leaves.
   */
  async stop(graceMs = 0): Promise<void> {
    this.isDraining = true;
    this.session.drain("the host is shutting down");
    this.flushSoon();
    for (const { execution } of this.running.values()) execution.hurry();
    this.stopAt = performance.now() + graceMs;
    await this.letTasksEnd();
    for (const { execution } of this.running.values()) execution.stop("the host is leaving");
    this.running.clear();
    if (this.session.heldCount) this.session.drain("the host is shutting down", true);
    await this.leave();
  }

  /** Ends the patience of a stop() under way. */
  leaveNow(): void {
    this.stopAt = 0;
    this.settled.set();
  }

  private async letTasksEnd(): Promise<void> {
    const parkUntil = this.session.isWelcomed ? performance.now() + PARK_MS : 0;
    while (this.session.heldCount) {
      const until = Math.max(this.stopAt, this.givesBack() ? parkUntil : 0);
      const leftMs = until - performance.now();
      if (leftMs <= 0) return;
      this.settled.reset();
      await within(this.settled.wait(), leftMs);
    }
  }

  /** Whether there are tasks that only wait, or whose Park is on its way. */
  private givesBack(): boolean {
    const waiting = [...this.running.values()].some(({ execution }) => execution.onlyWaits);
    return waiting || this.session.parkingCount > 0;
  }

  /** Says what is left to say, half-closes, and ends the stream. */
  private async leave(): Promise<void> {
    this.leaving.abort();
    this.isEnding = true;
    this.toSend.set();
    if (this.session.isWelcomed) await within(this.dialling, LEAVE_MS);
    this.stream.abort();
    await within(this.dialling, LEAVE_MS);
    await this.beat.stop();
  }

  private async untilReady(): Promise<void> {
    const { wire } = this.config;
    const ready = this.ready.wait();
    if (wire.hasContact) await keepingAlive(ready);
    else if (!(await within(ready, FIRST_CONTACT_MS))) {
      throw this.last ?? unreachable(wire.endpoint.url, "no answer");
    }
    if (this.failure) throw this.failure;
  }

  // ---- the stream ----

  private redial(): void {
    this.isRedialling = true;
    this.stream.abort();
  }

  /** Dials, again and again, until something says that there is no point. */
  private async dial(): Promise<void> {
    const giveUpAt = performance.now() + FIRST_CONTACT_MS;
    for (let failures = 0; !this.leaving.signal.aborted;) {
      const told = await this.oneStream();
      if (this.session.isWelcomed) failures = 0;
      failures++;
      this.session.isWelcomed = false;
      this.last = told;
      if (this.leaving.signal.aborted) return;
      const isLate = !this.config.wire.hasContact && performance.now() > giveUpAt;
      if (told && (isLate || isFinal(told))) return this.giveUp(told);
      if (this.isRedialling) continue;
      if (failures === 1 && this.config.wire.hasContact && !this.isDraining) this.warnOfLoss(told);
      await pause(backoffMs(failures), this.leaving.signal, true);
    }
  }

  private warnOfLoss(told: PolosError | undefined): void {
    const { url } = this.config.wire.endpoint;
    const why = told?.message ?? "the stream was closed";
    log.warn(`lost polosd at ${url} (${why}); dialling again`);
  }

  /** One stream from Hello to its end; why it ended, or undefined when it was just closed. */
  private async oneStream(): Promise<PolosError | undefined> {
    this.isRedialling = false;
    this.isEnding = false;
    this.stream = new AbortController();
    const beating = this.startBeating();
    try {
      await this.readAll();
      return undefined;
    } catch (error) {
      return this.whyEnded(error);
    } finally {
      clearInterval(beating);
      this.stream.abort();
      this.isEnding = true;
      this.toSend.set(); // so that the writer of this stream ends
    }
  }

  private whyEnded(error: unknown): PolosError | undefined {
    if (error instanceof ProtocolError) {
      log.error(`the server broke the host protocol: ${error.message}`);
      this.session.token = "";
      return undefined;
    }
    if (this.isRedialling || this.leaving.signal.aborted) return undefined;
    return named(errorFrom(error, this.config.wire.endpoint.url), this.offers);
  }

  private async readAll(): Promise<void> {
    const { stream, config } = this;
    const requests = this.requests(stream.signal);
    const answers = await config.wire.hostStream(
      ToolService.method.connect,
      requests,
      stream.signal,
    );
    let acknowledging: NodeJS.Timeout | undefined;
    for await (const envelope of answers) {
      if (stream.signal.aborted) return;
      if (this.wasAway()) return this.redial();
      for (const event of this.session.receive(envelope)) this.handle(event);
      this.flushSoon();
      if (acknowledging || !this.session.isAcknowledgementDue) continue;
      acknowledging = setTimeout(() => {
        acknowledging = undefined;
        if (stream.signal.aborted) return;
        this.session.acknowledge();
        this.toSend.set();
      }, ACK_DELAY_MS).unref();
    }
  }

  /**
   * Whether what was just read may be old: this process or its machine stood still for longer than
   * its lease, so what it was given then may be another's by now.
   */
  private wasAway(): boolean {
    const { silenceMs } = this.beat;
    if (!this.session.isWelcomed || silenceMs <= this.leaseMs) return false;
    log.warn(
      `the server has heard nothing of this host for ${(silenceMs / 1000).toFixed(1)} s, which is ` +
        "longer than its lease; dialling again before anything is begun",
    );
    return true;
  }

  /** What this host says on one stream: all that was said meanwhile goes into one envelope. */
  private async *requests(signal: AbortSignal): AsyncGenerator<ToolServiceConnectRequest, void> {
    yield this.session.hello();
    for (;;) {
      await this.toSend.wait();
      if (signal.aborted) return;
      this.toSend.reset();
      for (let envelope = this.session.take(); envelope; envelope = this.session.take()) {
        yield envelope;
        if (signal.aborted) return;
      }
      if (this.isEnding) return; // half-closes: what is still held goes to others at once
    }
  }

  private flushSoon(): void {
    if (this.isFlushArmed) return;
    this.isFlushArmed = true;
    setImmediate(() => {
      this.isFlushArmed = false;
      this.toSend.set();
    });
  }

  private startBeating(): NodeJS.Timeout {
    let dueAt = performance.now() + this.heartbeatMs;
    return setInterval(() => {
      const lateMs = performance.now() - dueAt;
      if (lateMs > BLOCKED_MS) {
        log.warn(
          `the event loop was blocked for ${(lateMs / 1000).toFixed(1)} s, and nothing else of ` +
            "this process ran meanwhile: put what computes for long into a worker thread",
        );
      }
      dueAt = performance.now() + this.heartbeatMs;
      this.session.heartbeat();
      this.toSend.set();
    }, this.heartbeatMs).unref();
  }

  private giveUp(error: PolosError): void {
    this.failure = error;
    log.error(`this host gave up: ${error.message}`);
    for (const { execution } of this.running.values()) execution.stop("its host gave up");
    this.running.clear();
    this.ready.set();
  }

  // ---- what the server says ----

  private handle(event: SessionEvent): void {
    switch (event.is) {
      case "welcomed":
        return this.welcomed(event);
      case "given":
        return this.begin(event.task);
      case "stopped":
        return this.stopTask(event.taskId, event.cause);
      case "taskRefused":
        return this.answerRefused(event);
      case "taskDurable":
      case "parked":
        return this.settled.set();
      case "serverDrains":
        return log.info(`polosd is going away: ${event.cause}`);
      default: {
        const running = this.running.get(event.taskId);
        if (running) tell(running.execution, event);
      }
    }
  }

  private welcomed(event: { leaseMs: number; heartbeatMs: number; resumed: boolean }): void {
    this.config.wire.hasContact = true;
    if (event.leaseMs > 0) this.leaseMs = event.leaseMs;
    if (event.heartbeatMs > 0) this.heartbeatMs = event.heartbeatMs;
    this.beat.begin(this.session.token, this.heartbeatMs);
    this.ready.set();
    log.debug(`connected, resumed=${event.resumed}`);
  }

  private answerRefused(event: { taskId: string; reason: string; message: string }): void {
    log.error(`the server refused a task's answer: ${event.message} (${event.reason})`);
    const error = new PolosError(`the answer was refused: ${event.message}`, event);
    this.session.taskDone(event.taskId, { outcome: errorOutcome(error, "the task") });
  }

  private stopTask(taskId: string, cause: string): void {
    this.settled.set();
    const running = this.running.get(taskId);
    if (!running) return;
    log.info(`task ${taskId} is stopped: ${cause}`);
    this.running.delete(taskId);
    running.execution.stop(cause);
  }

  // ---- the work ----

  private begin(task: Task): void {
    const execution = new Execution(task, this, this.thresholdMs);
    const running = { task, execution, isPressed: false };
    this.running.set(task.taskId, running);
    if (this.running.size >= this.config.slots) this.makeRoom();
    const { taskId, runId } = task;
    currentTask.run({ taskId, runId }, () => void this.work(running));
  }

  /**
   * Every slot is taken, and what stands in line may be what these wait for: those that only wait,
   * now or later, are kept for a moment only.
   */
  private makeRoom(): void {
    for (const running of this.running.values()) {
      if (!running.isPressed) running.execution.press();
      running.isPressed = true;
    }
  }

  /** Runs a task's code and reports how it ended, unless nobody wants to know. */
  private async work(running: Running): Promise<void> {
    const { task, execution } = running;
    const { client, deployment, resolve } = this.config;
    const about = { client, deploymentId: deployment };
    const end = await runTask(resolve(task), task, execution, about);
    if (this.running.get(task.taskId) !== running) return;
    this.running.delete(task.taskId);
    execution.close();
    this.session.taskDone(task.taskId, end);
    this.flushSoon();
  }

  // ---- how executions speak ----

  stepDone(...said: Parameters<Session["stepDone"]>): number {
    this.flushSoon();
    return this.session.stepDone(...said);
  }

  stepTry(...said: Parameters<Session["stepTry"]>): number {
    this.flushSoon();
    return this.session.stepTry(...said);
  }

  cancelShown(taskId: string): number {
    this.flushSoon();
    return this.session.cancelShown(taskId);
  }

  withdraw(...said: Parameters<Session["withdraw"]>): number {
    this.flushSoon();
    return this.session.withdraw(...said);
  }

  order(...said: Parameters<Session["order"]>): boolean {
    this.flushSoon();
    return this.session.order(...said);
  }

  letGo(taskId: string): boolean {
    return this.session.letGo(taskId);
  }

  stopped(taskId: string): void {
    const running = this.running.get(taskId);
    if (!running) return;
    this.running.delete(taskId);
    const { task, execution } = running;
    execution.close();
    if (execution.failure) this.session.taskDone(taskId, standstill(execution.failure, task));
    else this.session.park(taskId);
    this.flushSoon();
  }

  prepare(target: Target): Promise<void> {
    return this.config.prepare(target);
  }

  prepareQueue(name: string): Promise<void> {
    return this.config.prepareQueue(name);
  }

  find(name: string): Target | undefined {
    return this.config.find(name);
  }
}

/** Hands on what the server says about a task at work. */
function tell(execution: Execution, event: SessionEvent): void {
  switch (event.is) {
    case "stepDurable":
      return execution.durable(event.number);
    case "stepRefused":
      return execution.refused(event.number, new StepExecutionError(event.message, event.reason));
    case "orderSettled":
      return execution.settled(event.key, event.outcome);
    case "orderRefused":
      return execution.orderRefused(event.key, new StepExecutionError(event.message, event.reason));
    case "cancelling":
      return execution.cancel();
    case "wanted":
      return execution.hurry();
    default:
      return;
  }
}

/** Whether dialling again does not cure it. */
function isFinal(error: PolosError): boolean {
  if (error instanceof ServerError) return error.reason === "UNIMPLEMENTED";
  return error instanceof InvalidArgumentError || error instanceof PermissionDeniedError;
}

/** An error that blames hello.offers.workflows[2] says which one that is. */
function named(error: PolosError, offers: Offers): PolosError {
  const found = /hello\.offers\.(workflows|tools|agents|queues)\[(\d+)\]/.exec(error.field);
  if (!found) return error;
  const kind = found[1] as "workflows" | "tools" | "agents" | "queues";
  const one = offers[kind][Number(found[2])] as { id?: string; name?: string } | undefined;
  if (!one) return error;
  const name = one.id ?? one.name ?? "";
  const { reason, field } = error;
  return new InvalidArgumentError(`${kind.slice(0, -1)} ${name}: ${error.message}`, {
    reason,
    field,
  });
}
