/** Every example, run by itself: it prints what its first comment says. */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { readFileSync, readdirSync } from "node:fs";
import { dirname, join } from "node:path";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { withServer } from "./support.js";

const there = withServer();
const BUILT = join(dirname(fileURLToPath(import.meta.url)), "examples");
const SOURCE = join(BUILT, "..", "..", "..", "examples");

for (const name of readdirSync(SOURCE).filter((each) => /^\d/.test(each))) {
  test(`${name} prints what it says`, async () => {
    const text = readFileSync(join(SOURCE, name, "main.ts"), "utf8");
    const comment = text.slice(0, text.indexOf("*/"));
    const told = [...comment.matchAll(/^ \* {5}(.*)$/gm)].map((line) => line[1]);
    const running = spawn(process.execPath, [join(BUILT, name, "main.js")], {
      env: { ...process.env, POLOS_API_URL: there.server.url, POLOS_LOG_LEVEL: "error" },
      stdio: ["ignore", "pipe", "inherit"],
    });
    let said = "";
    running.stdout.on("data", (chunk) => (said += String(chunk)));
    assert.deepEqual(await once(running, "exit"), [0, null]);
    assert.deepEqual(said.trimEnd().split("\n"), told);
  });
}

test("there is one beside each of Python's", () => {
  const python = readdirSync(join(SOURCE, "..", "..", "python", "examples"));
  const onlyPython = ["06-guardrails", "07-lifecycle-hooks"]; // Not in TypeScript yet.
  const numbered = (names: string[]) => names.filter((name) => /^\d/.test(name)).sort();
  const wanted = numbered(python).filter((name) => !onlyPython.includes(name));
  assert.deepEqual(numbered(readdirSync(SOURCE)), wanted);
});
