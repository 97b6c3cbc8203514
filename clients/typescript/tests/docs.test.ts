/** The TypeScript of the pages of docs/, compiled and run as docs/README.md says, for real. */
import assert from "node:assert/strict";
import { execFileSync, spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import {
  mkdirSync,
  mkdtempSync,
  readFileSync,
  readdirSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { basename, dirname, join } from "node:path";
import { after, before, test } from "node:test";
import { fileURLToPath } from "node:url";
import { Server } from "@polos/sdk/testing";

const ROOT = join(dirname(fileURLToPath(import.meta.url)), "..", "..");
const DOCS = join(ROOT, "..", "..", "docs");
const ONLY_PYTHON = [
  "python", // typescript.md is its other half
  "hooks", // typescript.md says that they are not there, nor these:
  "guardrails",
];
const OF_STUBS = ["stubs"]; // tests/stubs.test.ts runs its blocks
const WORKER_SAYS = "serving what is defined here";
const folder = mkdtempSync(join(tmpdir(), "polos-docs-"));

function blocksOf(page: string, language: string): string[] {
  const text = readFileSync(join(DOCS, `${page}.md`), "utf8");
  return [...text.matchAll(/```(\w+)\n(.*?)```/gs)]
    .filter((block) => block[1] === language)
    .map((block) => block[2]!);
}

const pages = readdirSync(DOCS)
  .filter((name) => name.endsWith(".md") && name !== "README.md")
  .map((name) => basename(name, ".md"));
const told = pages.filter(
  (page) => blocksOf(page, "typescript").length > 0 && !OF_STUBS.includes(page),
);

/** The programs of a page by their names, in its order: what has no name of its own is one. */
function programsOf(page: string): Map<string, string> {
  const found = new Map<string, string>();
  for (const text of blocksOf(page, "typescript")) {
    const name = /^\/\/ (\S+)\.ts\n/.exec(text)?.[1] ?? "main";
    found.set(name, (found.get(name) ?? "") + text);
  }
  return found;
}

before(() => {
  for (const page of told) {
    mkdirSync(join(folder, page));
    for (const [name, text] of programsOf(page)) {
      writeFileSync(join(folder, page, `${name}.ts`), text);
    }
  }
  writeFileSync(join(folder, "package.json"), '{ "type": "module" }');
  const modules = join(folder, "node_modules");
  mkdirSync(join(modules, "@polos"), { recursive: true });
  mkdirSync(join(modules, "@types"));
  symlinkSync(ROOT, join(modules, "@polos", "sdk"));
  for (const name of ["zod", "@types/node"]) {
    symlinkSync(join(ROOT, "node_modules", name), join(modules, name));
  }
  const options = { module: "nodenext", target: "es2022", strict: true, types: ["node"] };
  const config = { compilerOptions: { ...options, skipLibCheck: true }, include: ["*/*.ts"] };
  writeFileSync(join(folder, "tsconfig.json"), JSON.stringify(config));
  execFileSync(process.execPath, [join(ROOT, "node_modules/typescript/bin/tsc"), "-p", folder], {
    stdio: "inherit",
  });
});
after(() => rmSync(folder, { recursive: true, force: true }));

/** A program of a page at work, and all that it has said. */
interface Running {
  process: ChildProcess;
  said: () => string;
}

function started(page: string, name: string, server: Server): Running {
  const env: NodeJS.ProcessEnv = { ...process.env, POLOS_API_URL: server.url };
  env["POLOS_LOG_LEVEL"] = "info";
  delete env["NODE_TEST_CONTEXT"]; // a test of a page is not one of this file
  const how = name.endsWith(".test") ? ["--test"] : [];
  const running = spawn(process.execPath, [...how, `${name}.js`], {
    cwd: join(folder, page),
    env,
  });
  let said = "";
  running.stdout.on("data", (text) => (said += String(text)));
  running.stderr.on("data", (text) => (said += String(text)));
  return { process: running, said: () => said };
}

/** Returns once a worker serves. */
async function serves(worker: Running): Promise<void> {
  while (!worker.said().includes(WORKER_SAYS)) {
    assert.equal(worker.process.exitCode, null, worker.said());
    await Promise.race([once(worker.process.stderr!, "data"), once(worker.process, "exit")]);
  }
}

/** Runs a page's programs, workers beside what follows them; what those that ended have said. */
async function read(page: string, server: Server): Promise<string> {
  const workers: Running[] = [];
  let said = "";
  for (const [name, text] of programsOf(page)) {
    const running = started(page, name, server);
    if (text.includes(".serve()")) {
      workers.push(running);
      await serves(running);
      continue;
    }
    const [code] = (await once(running.process, "exit")) as [number];
    assert.equal(code, 0, `${name}.ts of ${page}.md: ${running.said()}`);
    said += running.said();
  }
  for (const worker of workers) {
    const exit = once(worker.process, "exit");
    worker.process.kill("SIGTERM");
    assert.deepEqual(await exit, [0, null], worker.said());
  }
  return said;
}

const PROMISED: Record<string, RegExp[]> = {
  typescript: [
    /celsius/,
    /agent_finish/,
    /42 is on its way \(charged 42\)/,
    /nobody answered/,
    /^hello$/m,
  ],
};

for (const page of told) {
  test(`the TypeScript of ${page}.md runs as it is`, { timeout: 60_000 }, async () => {
    const server = await Server.start();
    try {
      const said = await read(page, server);
      for (const line of PROMISED[page] ?? []) assert.match(said, line);
    } finally {
      await server.stop();
    }
  });
}

test("every page with Python has TypeScript beside it", () => {
  const without = pages.filter(
    (page) =>
      blocksOf(page, "python").length > 0 &&
      blocksOf(page, "typescript").length === 0 &&
      !ONLY_PYTHON.includes(page),
  );
  assert.deepEqual(without, []);
});
