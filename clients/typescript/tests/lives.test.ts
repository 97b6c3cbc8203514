/** Servers and hosts that are killed in the middle, freeze, leave, and come back. */
import assert from "node:assert/strict";
import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { createInterface } from "node:readline";
import { afterEach, test } from "node:test";
import { fileURLToPath } from "node:url";
import { defineAgent, defineWorkflow } from "@polos/sdk";
import { gate, untilWaiting, withServer } from "./support.js";

const LEASE_MS = 2000;
const there = withServer({ environment: { POLOSD_LEASE_MS: String(LEASE_MS) } });
const HOST = join(dirname(fileURLToPath(import.meta.url)), "programs", "host.js");
const folder = mkdtempSync(join(tmpdir(), "polos-lives-"));
process.on("exit", () => rmSync(folder, { recursive: true, force: true }));
const running: HostProcess[] = [];

/** A host in a process of its own. */
class HostProcess {
  readonly process: ChildProcess;
  private readonly said: string[] = [];
  private heard: (() => void) | undefined;

  constructor(name: string, effects: string, environment: Record<string, string> = {}) {
    this.process = spawn(process.execPath, [HOST, there.server.url, name, effects], {
      stdio: ["pipe", "pipe", "inherit"],
      env: { ...process.env, ...environment },
    });
    createInterface({ input: this.process.stdout! }).on("line", (line) => {
      this.said.push(line.slice(name.length + 2));
      this.heard?.();
    });
    running.push(this);
  }

  /** Returns once it has said this. */
  async hear(line: string): Promise<void> {
    while (!this.said.includes(line)) await new Promise<void>((resolve) => (this.heard = resolve));
    this.said.splice(this.said.indexOf(line), 1);
  }

  /** Lets it go on. */
  tell(): void {
    this.process.stdin!.write("\n");
  }

  /** Its exit code, or the signal that ended it. */
  async ended(signal?: NodeJS.Signals): Promise<unknown> {
    if (this.process.exitCode !== null || this.process.signalCode) return this.process.exitCode;
    const exit = once(this.process, "exit");
    if (signal) this.process.kill(signal);
    const [code, by] = (await exit) as [number | null, string | null];
    return code ?? by;
  }
}

afterEach(async () => {
  for (const host of running.splice(0)) await host.ended("SIGKILL");
});

let files = 0;
function effectsFile(): string {
  const path = join(folder, `effects-${files++}`);
  writeFileSync(path, "");
  return path;
}
const effectsIn = (path: string) => readFileSync(path, "utf8").split("\n").filter(Boolean);

test("a server that is killed between steps: no step is done twice", async () => {
  const { client, server } = there;
  const effects: string[] = [];
  const between = gate();
  const go = gate();
  const flow = defineWorkflow({ id: "server-dies" }, async (ctx) => {
    await ctx.step.run("one", () => effects.push("one"));
    between.open();
    await go.opened;
    await ctx.step.run("two", () => effects.push("two"));
    await ctx.step.waitFor("nap", { seconds: 0.01 });
    return ctx.step.run("three", () => effects.push("three"));
  });
  const result = flow.run(client);
  await between.opened;
  await server.kill();
  go.open();
  await server.restart();
  assert.equal(await result, 3);
  assert.deepEqual(effects, ["one", "two", "three"]);
});

test("a host that is killed between two tries of a step grants no more of them", async () => {
  const { client } = there;
  const effects = effectsFile();
  const first = new HostProcess("a", effects);
  await first.hear("ready");
  const handle = await client.invoke("flaky", null, { maxRetries: 0 });
  for (const _ of [1, 2]) await first.hear("tried");
  await first.ended("SIGKILL");
  const second = new HostProcess("b", effects);
  await second.hear("ready");
  await assert.rejects(handle.getResult());
  const history = await client.history(handle.id);
  const tries = history.filter((event) => event.type === "STEP_TRIED");
  assert.deepEqual(
    tries.map(({ data }) => [data["key"], data["try_number"]]),
    [1, 2, 3].map((number) => ["call", number]),
  );
  assert.equal(history.filter((event) => event.type === "STEP_SETTLED").length, 1);
  // The one at work when it was killed may be made again.
  assert.ok([4, 5].includes(effectsIn(effects).length));
});

test("a server that is killed while a stream is read: nothing is told twice", async () => {
  const { client, server } = there;
  const agent = defineAgent({ id: "talks", model: "scripted:m" });
  const text = Array.from({ length: 40 }, (_, n) => `word${n} `).join("");
  const stream = await agent.stream(client, "hi", { script: [{ text }], delta_ms: 5 });
  let heard = "";
  let isKilled = false;
  for await (const { content, restarted } of stream.chunks) {
    heard = restarted ? content : heard + content;
    if (isKilled) continue;
    isKilled = true;
    await server.kill();
    await server.restart();
  }
  assert.equal(heard, text);
  assert.equal((await stream.result()).result, text);
});

test("a server that is killed at random, with many runs: every step once", async () => {
  const { client, server } = there;
  const counts = new Map<string, number>();
  const flow = defineWorkflow({ id: "many" }, async (ctx, n: number) => {
    for (let step = 0; step < 4; step++) {
      const key = `${n}.${step}`;
      await ctx.step.run(key, () => counts.set(key, (counts.get(key) ?? 0) + 1).size);
    }
    const found = await ctx.step.invokeAndWait<unknown, number>("child", "leaf", n);
    return found + 1;
  });
  defineWorkflow({ id: "leaf" }, async (ctx, n: number) => ctx.step.run("leaf", () => n));
  const runs = Array.from({ length: 30 }, (_, n) => flow.run(client, n));
  for (let kills = 0; kills < 3; kills++) {
    await server.kill();
    await server.restart();
    await client.listExecutions({ limit: 1 });
  }
  assert.deepEqual(
    await Promise.all(runs),
    Array.from({ length: 30 }, (_, n) => n + 1),
  );
  assert.equal(counts.size, 120);
  assert.deepEqual(new Set(counts.values()), new Set([1]));
});

test("a host that is killed: another goes on, and does not do again what had settled", async () => {
  const { client } = there;
  const effects = effectsFile();
  const first = new HostProcess("first", effects);
  await first.hear("ready");
  const handle = await client.invoke("two-steps");
  await first.hear("between");
  assert.equal(await first.ended("SIGKILL"), "SIGKILL");
  const second = new HostProcess("second", effects);
  await second.hear("between");
  second.tell();
  assert.equal(await handle.getResult(), "second");
  assert.deepEqual(effectsIn(effects), ["one", "two"]);
});

test("a host that is told to leave lets work end, and gives back what only waits", async () => {
  const { client } = there;
  const effects = effectsFile();
  const host = new HostProcess("host", effects);
  await host.hear("ready");
  const waits = await client.invoke("ten-steps");
  await untilWaiting(client, waits.id, "suspension");
  const works = await client.invoke("two-steps");
  await host.hear("between");
  const left = host.ended("SIGTERM");
  host.tell();
  assert.equal(await works.getResult(), "host");
  assert.equal(await left, 0);
  await host.hear("left");
  const next = new HostProcess("next", effects);
  await next.hear("ready");
  await client.resume("ten-steps", waits.id, "ask", { yes: 1 });
  assert.deepEqual(((await waits.getResult()) as { data: unknown }).data, { yes: 1 });
  const done = effectsIn(effects).filter((line) => line.startsWith("s"));
  assert.deepEqual(
    done,
    Array.from({ length: 10 }, (_, n) => `s${n}`),
  );
});

test("a second signal leaves at once, and what was at work goes to another host", async () => {
  const { client } = there;
  const effects = effectsFile();
  const host = new HostProcess("host", effects);
  await host.hear("ready");
  const handle = await client.invoke("two-steps");
  await host.hear("between");
  host.process.kill("SIGINT");
  assert.equal(await host.ended("SIGTERM"), 0);
  const next = new HostProcess("next", effects);
  await next.hear("between");
  next.tell();
  assert.equal(await handle.getResult(), "next");
  assert.deepEqual(effectsIn(effects), ["one", "two"]);
});

test("code that holds up the event loop longer than a lease keeps its task", async () => {
  const { client } = there;
  const effects = effectsFile();
  const host = new HostProcess("host", effects);
  const other = new HostProcess("other", effects);
  await Promise.all([host.hear("ready"), other.hear("ready")]);
  const handle = await client.invoke("computes", null, { sessionId: String(3 * LEASE_MS) });
  await Promise.race([host.hear("computes"), other.hear("computes")]);
  await handle.getResult();
  assert.deepEqual(effectsIn(effects), ["computed"]);
});

test("a host that is frozen over its lease and wakes does not disturb who went on", async () => {
  const { client } = there;
  const effects = effectsFile();
  const frozen = new HostProcess("frozen", effects);
  await frozen.hear("ready");
  const handle = await client.invoke("two-steps");
  await frozen.hear("between");
  frozen.process.kill("SIGSTOP");
  const awake = new HostProcess("awake", effects);
  await awake.hear("between");
  frozen.process.kill("SIGCONT");
  frozen.tell();
  awake.tell();
  assert.equal(await handle.getResult(), "awake");
  assert.equal(
    (await client.history(handle.id)).filter((e) => e.type === "STEP_SETTLED").length,
    2,
  );
});

test("what was given to a host that froze is not begun when it wakes", async () => {
  const { client } = there;
  const effects = effectsFile();
  const frozen = new HostProcess("frozen", effects);
  await frozen.hear("ready");
  frozen.process.kill("SIGSTOP");
  const handle = await client.invoke("two-steps");
  await untilWaiting(client, handle.id, "workflow");
  const awake = new HostProcess("awake", effects);
  await awake.hear("between");
  frozen.process.kill("SIGCONT");
  awake.tell();
  assert.equal(await handle.getResult(), "awake");
  assert.equal(await frozen.ended("SIGTERM"), 0);
  assert.deepEqual(effectsIn(effects), ["one", "two"]);
});

test("a history that takes more than one message comes in pieces", async () => {
  const { client } = there;
  process.env["POLOS_WAIT_THRESHOLD_SECONDS"] = "0";
  try {
    let calls = 0;
    const flow = defineWorkflow({ id: "large" }, async (ctx) => {
      const sizes: number[] = [];
      for (let n = 0; n < 6; n++) {
        const text = await ctx.step.run(`large${n}`, () => `${++calls && n}`.padEnd(900_000, "x"));
        sizes.push(text.length);
      }
      await ctx.step.suspend("ask");
      return sizes;
    });
    const handle = await flow.invoke(client);
    await untilWaiting(client, handle.id, "suspension");
    await client.resume("large", handle.id, "ask");
    assert.deepEqual(await handle.getResult(), Array(6).fill(900_000));
    assert.equal(calls, 6);
  } finally {
    delete process.env["POLOS_WAIT_THRESHOLD_SECONDS"];
  }
});
