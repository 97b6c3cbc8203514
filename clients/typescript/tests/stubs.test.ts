/** The generated stubs alone, in a project without the SDK: the program of docs/stubs.md. */
import assert from "node:assert/strict";
import { execFile, execFileSync } from "node:child_process";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { after, before, test } from "node:test";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { withServer } from "./support.js";

const there = withServer();
const ROOT = join(dirname(fileURLToPath(import.meta.url)), "..", "..");
const STUBS = join(ROOT, "..", "stubs", "typescript");
const NEEDED = [
  "@bufbuild/protobuf",
  "@connectrpc/connect",
  "@connectrpc/connect-node",
  "@types/node",
];
const folder = mkdtempSync(join(tmpdir(), "polos-stubs-"));
const modules = join(folder, "node_modules");

before(() => {
  execFileSync(process.execPath, [join(STUBS, "build.mjs")], { stdio: "inherit" });
  const words = ["pack", "--ignore-scripts", "--pack-destination", folder];
  const packed = execFileSync("npm", words, {
    cwd: STUBS,
    encoding: "utf8",
    stdio: ["ignore", "pipe", "ignore"],
  });
  const installed = join(modules, "@polos", "stubs");
  mkdirSync(installed, { recursive: true });
  const archive = join(folder, packed.trim().split("\n").at(-1)!);
  execFileSync("tar", ["xzf", archive, "--strip-components=1", "-C", installed]);
  for (const name of NEEDED) {
    mkdirSync(dirname(join(modules, name)), { recursive: true });
    symlinkSync(join(ROOT, "node_modules", name), join(modules, name));
  }
});
after(() => rmSync(folder, { recursive: true, force: true }));

test("an agent is registered, run and its answer read", async () => {
  const page = readFileSync(join(ROOT, "..", "..", "docs", "stubs.md"), "utf8");
  const program = /```typescript\n(.*?)```/s.exec(page)![1]!;
  writeFileSync(join(folder, "greet.ts"), program);
  writeFileSync(join(folder, "package.json"), '{ "type": "module" }');
  const tsc = join(ROOT, "node_modules", "typescript", "bin", "tsc");
  const words = "--strict --skipLibCheck --types node --module nodenext --target es2022 greet.ts";
  execFileSync(process.execPath, [tsc, ...words.split(" ")], { cwd: folder, stdio: "inherit" });
  const environment = { ...process.env, POLOS_API_URL: there.server.url };
  const running = promisify(execFile)(process.execPath, ["greet.js"], {
    cwd: folder,
    env: environment,
  });
  assert.equal((await running).stdout, "hello\n");
});

test("they are required by CommonJS, too, and have the server's version", () => {
  const text = `console.log(require("@polos/stubs/polos/v1/runs_pb").RunService.typeName)`;
  writeFileSync(join(folder, "a.cjs"), text);
  const words = { cwd: folder, encoding: "utf8" as const };
  assert.equal(execFileSync(process.execPath, ["a.cjs"], words), "polos.v1.RunService\n");
  const own = JSON.parse(readFileSync(join(STUBS, "package.json"), "utf8")) as { version: string };
  assert.equal(own.version, readFileSync(join(ROOT, "..", "..", "VERSION"), "utf8").trim());
});
