/**
 * For tests of your own: a server that is there as long as a test.
 *
 *     const server = await Server.start();
 *     const client = new PolosClient({ apiUrl: server.url });
 *     const answer = await agent.run(client, "hi", { script: [{ text: "hello" }] });
 *     await server.skip({ days: 14 }); // what waits for less is due
 *     await server.stop();
 *
 * An agent with the model "scripted:any" says what its run's `script` has, without a network.
 */
import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, open, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import type { WaitForOptions } from "./execution/step.js";
import { clear } from "./define/registry.js";
import { InvalidArgumentError, UnavailableError } from "./errors.js";

const STOP_MS = 20_000;
const SKIP_SECONDS_MAX = 36600 * 86400;
const READY = /^polosd ready address=(\S+) /;
const LOG_CHARACTERS = 2000;

/** How a server is started. */
export interface ServerOptions {
  /** The binary. Default: $POLOSD, else polosd on the path. */
  program?: string;
  /** Further ones for its command line. */
  flags?: string[];
  /** Variables for it, beside those of this process: providers' keys, addresses. */
  environment?: Record<string, string>;
}

/** A polosd on a free port with a data directory of its own, which stop() deletes. */
export class Server {
  /** Its address: "http://127.0.0.1:34567". */
  url = "";
  readonly #options: ServerOptions;
  readonly #folder: string;
  #address = "127.0.0.1:0";
  #aheadSeconds = 0;
  #process: ChildProcess | undefined;

  private constructor(folder: string, options: ServerOptions) {
    this.#folder = folder;
    this.#options = options;
  }

  /** Throws UnavailableError when there is no such program, or it does not come up. */
  static async start(options: ServerOptions = {}): Promise<Server> {
    const server = new Server(await mkdtemp(join(tmpdir(), "polosd-")), options);
    try {
      await server.restart();
    } catch (error) {
      await server.stop();
      throw error;
    }
    return server;
  }

  /** Starts it again after kill(): at the same address, with the same data. */
  async restart(): Promise<void> {
    const { program = process.env["POLOSD"] ?? "polosd", flags = [], environment } = this.#options;
    const logPath = join(this.#folder, "log");
    const log = await open(logPath, "a");
    const data = join(this.#folder, "data");
    const ahead = `--clock-ahead-ms=${Math.round(this.#aheadSeconds * 1000)}`;
    const running = spawn(program, ["--listen", this.#address, "--data", data, ...flags, ahead], {
      stdio: ["ignore", "pipe", log.fd],
      env: { ...process.env, ...environment },
    });
    this.#process = running;
    const found = READY.exec(await firstLineOf(running));
    await log.close();
    if (!found) {
      await this.#end("SIGKILL");
      const said = (await readFile(logPath, "utf8")).slice(-LOG_CHARACTERS);
      throw new UnavailableError(
        `polosd did not come up (${program}; POLOSD names another): ${said}`,
        {
          reason: "NO_SERVER",
        },
      );
    }
    this.#address = found[1]!;
    this.url = `http://${this.#address}`;
  }

  /**
   * Lets so much time pass at once: what waits for it, or has its time limit in it, is due. The
   * server is killed and started anew with its clock ahead; who is connected comes back.
   *
   * @param time what is given is added up. Throws InvalidArgumentError for more than 100 years.
   */
  async skip(time: WaitForOptions): Promise<void> {
    const { seconds = 0, minutes = 0, hours = 0, days = 0, weeks = 0 } = time;
    const total = seconds + 60 * minutes + 3600 * hours + 86400 * days + 604800 * weeks;
    if (!(total >= 0 && total <= SKIP_SECONDS_MAX)) {
      throw new InvalidArgumentError(
        `skip of ${total} s: it is 0 or more, and at most a hundred years`,
        { field: "time" },
      );
    }
    this.#aheadSeconds += total;
    await this.kill();
    await this.restart();
  }

  /** SIGKILL: what it had acknowledged is there when it is started again. */
  kill(): Promise<void> {
    return this.#end("SIGKILL");
  }

  /** Ends it, and deletes its data. */
  async stop(): Promise<void> {
    await this.#end("SIGTERM");
    await rm(this.#folder, { recursive: true, force: true });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop();
  }

  async #end(signal: NodeJS.Signals): Promise<void> {
    const running = this.#process;
    this.#process = undefined;
    if (!running || running.exitCode !== null || running.pid === undefined) return;
    const ended = once(running, "exit");
    running.kill(signal);
    const timer = setTimeout(() => running.kill("SIGKILL"), STOP_MS);
    await ended;
    clearTimeout(timer);
  }
}

/** The first line a process says; empty: it ended, or could not be started. */
function firstLineOf(running: ChildProcess): Promise<string> {
  return new Promise((resolve) => {
    const lines = createInterface({ input: running.stdout! });
    lines.once("line", resolve);
    lines.once("close", () => resolve(""));
    running.once("error", () => resolve(""));
  });
}

/** Forgets what this process has defined, so that tests do not see each other's definitions. */
export function clearDefinitions(): void {
  clear();
}
