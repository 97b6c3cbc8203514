/** Polos: a long-lived host that is a client as well. */
import { refuse } from "../checks.js";
import { UnavailableError } from "../errors.js";
import { currentTask } from "../execution/current.js";
import { configureLogging, log } from "../log.js";
import { pause } from "../wire/wire.js";
import { PolosClient, type PolosClientConfig } from "./client.js";
import type { Host } from "./host.js";
import { Signal } from "./signal.js";

const DRAIN_SECONDS = 25;
const LOOK_AGAIN_MS = 1_000; // between two looks for a server that is not there
const REMINDER_MS = 60_000; // between two lines about that

/** As of PolosClient, and how this process logs. */
export interface PolosConfig extends PolosClientConfig {
  /** Accepted and not used: hosts dial out, nothing listens here. */
  port?: number | undefined;
  /** What this package logs is appended to this file, "info" and above. */
  logFile?: string | undefined;
  /** A feature of a later release; given, it is refused. */
  channels?: unknown;
}

/**
 * Everything defined in this process, offered to a server for as long as it lives; and a client of
 * that server.
 *
 * `await polos.start()` connects and offers; `await polos.serve()` stays until SIGINT or SIGTERM,
 * lets tasks at work end (25 s at most) and leaves; a second signal leaves at once. A server that
 * is not there yet, or goes away, is dialled again for ever.
 */
export class Polos extends PolosClient {
  #host: Host | undefined;

  constructor(config: PolosConfig = {}) {
    refuse("Polos", config, ["channels"]);
    super(config);
    if (config.logFile) configureLogging({ file: config.logFile });
  }

  /** This object: it is a client itself. */
  getClient(): PolosClient {
    return this;
  }

  /**
   * Connects and offers everything defined so far. Throws UnavailableError when the server is not
   * there, InvalidArgumentError when it refuses a definition; the message names it.
   */
  async start(): Promise<void> {
    this.#host ??= await this.serveDefinitions();
  }

  /**
   * Stays until SIGINT or SIGTERM, then lets tasks at work end, and leaves; a second signal leaves
   * at once. Waits for a server that is not there yet. Throws when the server refuses this host.
   */
  async serve(): Promise<void> {
    const signals = new Signals();
    process.on("unhandledRejection", logRejection);
    try {
      await Promise.race([signals.first.wait(), this.#serve(signals)]);
      await this.#leave(signals);
    } finally {
      signals.close();
      process.off("unhandledRejection", logRejection);
    }
  }

  /** Lets tasks at work end for so long, then leaves. */
  async stop(graceSeconds = 0): Promise<void> {
    await this.close(graceSeconds);
  }

  /** The same as stop(). */
  override async close(graceSeconds = 0): Promise<void> {
    this.#host = undefined;
    await super.close(graceSeconds);
  }

  async #serve(signals: Signals): Promise<void> {
    let saidAt = -Infinity;
    while (!this.#host && !signals.count) {
      try {
        await this.start();
      } catch (error) {
        if (!(error instanceof UnavailableError)) throw error;
        if (performance.now() - saidAt >= REMINDER_MS) {
          saidAt = performance.now();
          log.warn(`${error.message}; waiting for it`);
        }
        await pause(LOOK_AGAIN_MS);
      }
    }
    log.info(`serving what is defined here at ${this.apiUrl}`);
    await this.#host?.wait();
  }

  /** Lets tasks at work end, unless a further signal says that there is no time for it. */
  async #leave(signals: Signals): Promise<void> {
    const host = this.#host;
    if (host?.heldCount) {
      log.warn(
        `leaving: ${host.heldCount} tasks are at work, which have ${DRAIN_SECONDS} s to end; a ` +
          "further signal leaves at once",
      );
    }
    void signals.second.wait().then(() => host?.leaveNow());
    await this.stop(DRAIN_SECONDS);
  }
}

/** SIGINT and SIGTERM while serve() runs; the third is not ours any more. */
class Signals {
  readonly first = new Signal();
  readonly second = new Signal();
  count = 0;
  private readonly came = () => {
    this.count++;
    this.first.set();
    if (this.count < 2) return;
    this.second.set();
    this.close();
  };

  constructor() {
    process.on("SIGINT", this.came);
    process.on("SIGTERM", this.came);
  }

  close(): void {
    process.off("SIGINT", this.came);
    process.off("SIGTERM", this.came);
  }
}

function logRejection(reason: unknown): void {
  const run = currentTask.getStore()?.runId;
  const where = run ? `of run ${run}` : "of this process";
  const text = reason instanceof Error ? (reason.stack ?? reason.message) : String(reason);
  log.error(`a promise of code ${where} was rejected, and nobody looked at it: ${text}`);
}
