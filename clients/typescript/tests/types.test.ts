/** Programs of users by TypeScript 7 and 5.7: right ones, and ones with a mistake a line. */
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { dirname, join } from "node:path";
import { test } from "node:test";
import { fileURLToPath } from "node:url";

const ROOT = join(dirname(fileURLToPath(import.meta.url)), "..", "..");
const WAYS = [
  ["typescript", "--module nodenext --moduleResolution nodenext"],
  ["typescript-5", "--module nodenext --moduleResolution nodenext"],
  ["typescript-5", "--module esnext --moduleResolution bundler"],
] as const;

for (const [compiler, modules] of WAYS) {
  test(`good and bad programs, by ${compiler} with ${modules.split(" ").at(-1)}`, () => {
    const tsc = join(ROOT, "node_modules", compiler, "bin", "tsc");
    const words = [tsc, "-p", "tests/typed", ...modules.split(" ")];
    try {
      execFileSync(process.execPath, words, { cwd: ROOT, encoding: "utf8" });
    } catch (error) {
      assert.fail((error as { stdout: string }).stdout);
    }
  });
}
