/** Every block of docs/typescript.md, compiled and run, in order, against the real server. */
import assert from "node:assert/strict";
import { execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { after, before, test } from "node:test";
import { fileURLToPath } from "node:url";
import { withServer } from "./support.js";

const there = withServer();
const ROOT = join(dirname(fileURLToPath(import.meta.url)), "..", "..");
const PAGE = join(ROOT, "..", "..", "docs", "typescript.md");
const folder = mkdtempSync(join(tmpdir(), "polos-docs-"));

before(() => {
  const blocks = [...readFileSync(PAGE, "utf8").matchAll(/```typescript\n(.*?)```/gs)];
  const program: string[] = [];
  for (const [, text = ""] of blocks) {
    const name = /^\/\/ (\S+\.ts)\n/.exec(text)?.[1];
    if (name) writeFileSync(join(folder, name), text);
    else program.push(text);
  }
  assert.ok(program.length >= 4);
  writeFileSync(join(folder, "main.ts"), program.join("\n"));
  writeFileSync(join(folder, "package.json"), '{ "type": "module" }');
  const modules = join(folder, "node_modules");
  mkdirSync(join(modules, "@polos"), { recursive: true });
  mkdirSync(join(modules, "@types"));
  symlinkSync(ROOT, join(modules, "@polos", "sdk"));
  for (const name of ["zod", "@types/node"]) {
    symlinkSync(join(ROOT, "node_modules", name), join(modules, name));
  }
  const options = { module: "nodenext", target: "es2022", strict: true, types: ["node"] };
  const config = { compilerOptions: { ...options, skipLibCheck: true }, include: ["*.ts"] };
  writeFileSync(join(folder, "tsconfig.json"), JSON.stringify(config));
  execFileSync(process.execPath, [join(ROOT, "node_modules/typescript/bin/tsc"), "-p", folder], {
    stdio: "inherit",
  });
});
after(() => rmSync(folder, { recursive: true, force: true }));

for (const page of ["cancelling", "suspending", "waiting"]) {
  test(`the TypeScript of ${page}.md runs, beside its Python`, async () => {
    const text = readFileSync(join(dirname(PAGE), `${page}.md`), "utf8");
    const blocks = [...text.matchAll(/```typescript\n(.*?)```/gs)].map((block) => block[1]!);
    const tsc = join(ROOT, "node_modules", "typescript", "bin", "tsc");
    writeFileSync(join(folder, `${page}.ts`), blocks.join("\n"));
    execFileSync(process.execPath, [tsc, "-p", folder], { stdio: "inherit" });
    const words = { cwd: folder, env: environment() };
    const running = spawn(process.execPath, [`${page}.js`], { ...words, stdio: "inherit" });
    assert.deepEqual(await once(running, "exit"), [0, null]);
  });
}

const environment = () => ({ ...process.env, POLOS_API_URL: there.server.url });

test("the blocks of the page run, one after the other, and the script ends by itself", async () => {
  const running = spawn(process.execPath, ["main.js"], { cwd: folder, env: environment() });
  let said = "";
  running.stdout.on("data", (text) => (said += String(text)));
  running.stderr.on("data", (text) => (said += String(text)));
  const [code] = (await once(running, "exit")) as [number];
  assert.equal(code, 0, said);
  for (const line of [/celsius/, /agent_finish/, /42 is on its way \(charged 42\)/, /nobody answered/, /^hello$/m]) {
    assert.match(said, line);
  }
});

test("the worker of the page serves until it is told to leave", async () => {
  const running = spawn(process.execPath, ["worker.js"], {
    cwd: folder,
    env: { ...environment(), POLOS_LOG_LEVEL: "info" },
  });
  let said = "";
  await new Promise<void>((resolve) => {
    running.stderr.on("data", (text) => {
      said += String(text);
      if (said.includes("serving what is defined here")) resolve();
    });
  });
  const exit = once(running, "exit");
  running.kill("SIGTERM");
  assert.deepEqual(await exit, [0, null]);
});
