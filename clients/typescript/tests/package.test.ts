/** What npm packs, in projects that have nothing else: as ESM and as CJS, with its types. */
import assert from "node:assert/strict";
import { execFile, execFileSync } from "node:child_process";
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
import { dirname, join } from "node:path";
import { after, before, test } from "node:test";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { Server } from "@polos/sdk/testing";
import { VERSION } from "#sdk/version.js";

const ROOT = join(dirname(fileURLToPath(import.meta.url)), "..", "..");
const NEEDED = ["@bufbuild/protobuf", "@connectrpc/connect", "@connectrpc/connect-node"];
const folder = mkdtempSync(join(tmpdir(), "polos-package-"));
const installed = join(folder, "node_modules", "@polos", "sdk");

before(() => {
  const packed = execFileSync("npm", ["pack", "--ignore-scripts", "--pack-destination", folder], {
    cwd: ROOT,
    encoding: "utf8",
    stdio: ["ignore", "pipe", "ignore"],
  });
  mkdirSync(installed, { recursive: true });
  const archive = join(folder, packed.trim().split("\n").at(-1)!);
  execFileSync("tar", ["xzf", archive, "--strip-components=1", "-C", installed]);
  for (const name of [...NEEDED, "@types/node"]) {
    mkdirSync(dirname(join(folder, "node_modules", name)), { recursive: true });
    symlinkSync(join(ROOT, "node_modules", name), join(folder, "node_modules", name));
  }
});
after(() => rmSync(folder, { recursive: true, force: true }));

/** What a program of a project prints. */
function printed(name: string, text: string): string {
  writeFileSync(join(folder, name), text);
  return execFileSync(process.execPath, [name], { cwd: folder, encoding: "utf8" }).trim();
}

const NAMES = "{ PolosClient, defineAgent }";
const BODY = `
console.log(typeof defineAgent, new PolosClient({ apiUrl: "h:1" }).apiUrl, typeof Server.start);
`;

test("it is imported by ESM and required by CJS, without zod and the AI SDK", () => {
  const esm = `import ${NAMES} from "@polos/sdk"; import { Server } from "@polos/sdk/testing";`;
  const cjs = `const ${NAMES} = require("@polos/sdk");
const { Server } = require("@polos/sdk/testing");`;
  assert.equal(printed("a.mjs", esm + BODY), "function h:1 function");
  assert.equal(printed("b.cjs", cjs + BODY), "function h:1 function");
});

test("the first program of the page runs there", async () => {
  const page = readFileSync(join(ROOT, "..", "..", "docs", "typescript.md"), "utf8");
  const blocks = [...page.matchAll(/```typescript\n(.*?)```/gs)].map((block) => block[1]!);
  writeFileSync(join(folder, "weather.ts"), blocks[0]!);
  writeFileSync(join(folder, "first.ts"), blocks[1]!);
  writeFileSync(join(folder, "package.json"), '{ "type": "module" }');
  symlinkSync(join(ROOT, "node_modules", "zod"), join(folder, "node_modules", "zod"));
  const tsc = join(ROOT, "node_modules", "typescript", "bin", "tsc");
  const words = "--strict --skipLibCheck --types node --module nodenext --target es2022 first.ts";
  execFileSync(process.execPath, [tsc, ...words.split(" ")], { cwd: folder, stdio: "inherit" });
  const server = await Server.start();
  const environment = { ...process.env, POLOS_API_URL: server.url };
  const run = promisify(execFile)(process.execPath, ["first.js"], { cwd: folder, env: environment });
  assert.match((await run).stdout, /\d+\n$/);
  await server.stop();
  rmSync(join(folder, "package.json"));
});

test("its types are found by every way of resolving modules", () => {
  const text = `import { PolosClient } from "@polos/sdk";
import { Server } from "@polos/sdk/testing";
export const client: PolosClient = new PolosClient({ apiUrl: Server.name });
// @ts-expect-error: no such option
new PolosClient({ apiUri: "x" });
`;
  for (const name of ["c.mts", "d.cts"]) writeFileSync(join(folder, name), text);
  const tsc = join(ROOT, "node_modules", "typescript-5", "bin", "tsc");
  for (const [kind, way] of [
    ["node16", "node16"],
    ["nodenext", "nodenext"],
    ["esnext", "bundler"],
  ]) {
    const options = [
      "--noEmit",
      "--strict",
      "--skipLibCheck",
      "--types",
      "node",
      "--target",
      "es2022",
    ];
    const words = [
      tsc,
      ...options,
      "--module",
      kind!,
      "--moduleResolution",
      way!,
      "c.mts",
      "d.cts",
    ];
    execFileSync(process.execPath, words, { cwd: folder, stdio: "pipe" });
  }
});

test("it holds the package and nothing of its making", () => {
  assert.deepEqual(readdirSync(installed).sort(), ["README.md", "dist", "package.json"]);
  const own = JSON.parse(readFileSync(join(ROOT, "package.json"), "utf8")) as { version: string };
  const server = readFileSync(join(ROOT, "..", "..", "VERSION"), "utf8").trim();
  assert.deepEqual([own.version, VERSION], [server, server]);
});
