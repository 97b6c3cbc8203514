#!/usr/bin/env node
// Builds the package into dist/: ESM, and CJS in dist/cjs; with --tests also the tests, into
// tests/.build/.
// Does nothing of it when the sources are as they were.
import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, readFileSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { fingerprint, generate } from "./generate.mjs";

const here = dirname(fileURLToPath(import.meta.url));

function compile(...options) {
  const tsc = join(here, "node_modules", "typescript", "bin", "tsc");
  execFileSync(process.execPath, [tsc, ...options], { cwd: here, stdio: "inherit" });
}

function hashOf(folder, hash = createHash("sha256")) {
  for (const entry of readdirSync(folder, { withFileTypes: true }).sort((a, b) =>
    a.name < b.name ? -1 : 1,
  )) {
    const path = join(folder, entry.name);
    if (entry.name === "gen" || entry.name.startsWith(".")) continue;
    if (entry.isDirectory()) hashOf(path, hash);
    else hash.update(path + "\0").update(readFileSync(path));
  }
  return hash;
}

function onceFor(stamp, wanted, work) {
  if (existsSync(stamp) && readFileSync(stamp, "utf8") === wanted) return;
  work();
  writeFileSync(stamp, wanted);
}

generate();
const wanted = hashOf(join(here, "src"))
  .update(fingerprint())
  .update(readFileSync(join(here, "tsconfig.json")))
  .digest("hex");
onceFor(join(here, "dist", ".stamp"), wanted, () => {
  rmSync(join(here, "dist"), { recursive: true, force: true });
  compile("-p", ".");
  const cjs = [
    "--module",
    "commonjs",
    "--moduleResolution",
    "bundler",
    "--verbatimModuleSyntax",
    "false",
  ];
  compile("-p", ".", "--outDir", "dist/cjs", ...cjs);
  writeFileSync(join(here, "dist", "cjs", "package.json"), '{ "type": "commonjs" }\n');
});
if (process.argv.includes("--tests")) {
  rmSync(join(here, "tests", ".build"), { recursive: true, force: true });
  compile("-p", "tests");
  compile("-p", "examples");
}
