/** What the tests against a server share: one server per file, definitions per test. */
import { after, afterEach, before, test } from "node:test";
import { PolosClient, configureLogging } from "@polos/sdk";
import { Server, clearDefinitions, type ServerOptions } from "@polos/sdk/testing";

for (const name of Object.keys(process.env)) {
  if (/^(POLOS_|OPENAI_|ANTHROPIC_)/.test(name)) delete process.env[name];
}

/** Lines this package logged since the test began. */
export const lines: string[] = [];
const keep = (line: string) => void lines.push(line);
configureLogging({ level: "debug", logger: { debug: keep, info: keep, warn: keep, error: keep } });

/** A server for a file's tests, and a client of it for each test. */
export function withServer(options: ServerOptions = {}): {
  readonly server: Server;
  readonly client: PolosClient;
} {
  let server: Server | undefined;
  let client: PolosClient | undefined;
  before(async () => {
    server = await Server.start(options);
  });
  after(async () => {
    await server?.stop();
  });
  afterEach(async () => {
    await client?.close();
    client = undefined;
    clearDefinitions();
    lines.length = 0;
  });
  return {
    get server() {
      return server!;
    },
    get client() {
      client ??= new PolosClient({ apiUrl: server!.url });
      return client;
    },
  };
}

/** Once with code that is kept while it waits, once with code that is let go of at once. */
export function bothWays(name: string, body: () => Promise<void>): void {
  for (const seconds of ["10", "0"]) {
    test(`${name} (POLOS_WAIT_THRESHOLD_SECONDS=${seconds})`, async () => {
      process.env["POLOS_WAIT_THRESHOLD_SECONDS"] = seconds;
      try {
        await body();
      } finally {
        delete process.env["POLOS_WAIT_THRESHOLD_SECONDS"];
      }
    });
  }
}

/** A promise, and what settles it: tests wait for what has happened, never for time. */
export function gate<T = void>(): { opened: Promise<T>; open: (value: T) => void } {
  let open!: (value: T) => void;
  const opened = new Promise<T>((resolve) => (open = resolve));
  return { opened, open };
}

/** Returns once the run waits for something of this kind. */
export async function untilWaiting(client: PolosClient, id: string, kind: string): Promise<void> {
  for (;;) {
    const { waiting, status } = await client.getExecution(id);
    if (waiting.some((wait) => wait.kind === kind)) return;
    if (["completed", "failed", "cancelled"].includes(status)) {
      throw new Error(`run ${id} has ended (${status}), and never waited for ${kind}`);
    }
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}
