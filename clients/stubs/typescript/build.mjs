#!/usr/bin/env node
// Fills dist/ with what the SDK has generated and compiled for itself: ESM, and CJS in dist/cjs.
import { execFileSync } from "node:child_process";
import { cpSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const here = dirname(fileURLToPath(import.meta.url));
const sdk = join(here, "..", "..", "typescript");
const dist = join(here, "dist");

execFileSync(process.execPath, [join(sdk, "build.mjs")], { stdio: "inherit" });
rmSync(dist, { recursive: true, force: true });
cpSync(join(sdk, "dist", "gen"), dist, { recursive: true });
cpSync(join(sdk, "dist", "cjs", "gen"), join(dist, "cjs"), { recursive: true });
writeFileSync(join(dist, "cjs", "package.json"), '{ "type": "commonjs" }\n');
