/** Who may import whom: each layer only those before it, and nobody in a circle. */
import assert from "node:assert/strict";
import { readFileSync, readdirSync } from "node:fs";
import { dirname, join, relative } from "node:path";
import { test } from "node:test";
import { fileURLToPath } from "node:url";

const SOURCE = join(dirname(fileURLToPath(import.meta.url)), "..", "..", "src");

const LAYERS = [
  ["gen"],
  ["errors", "log", "keys", "version", "sleep"],
  ["codec"],
  ["checks"],
  ["wire"],
  ["session"],
  ["replay"],
  ["runs"],
  ["execution"],
  ["views"],
  ["define"],
  ["client"],
  ["later", "index", "testing"],
];

const modules = readdirSync(SOURCE, { recursive: true, encoding: "utf8" })
  .filter((name) => name.endsWith(".ts") && !name.startsWith("gen"))
  .map((name) => name.replaceAll("\\", "/"));

/** What a module imports; `isAll`: types alone, too. */
function importsOf(module: string, isAll: boolean): string[] {
  const text = readFileSync(join(SOURCE, module), "utf8");
  const found = text.matchAll(/^(?:import|export)\s+(type\s)?[^;]*?from "(\.[^"]+)";/gms);
  return [...found]
    .filter((each) => isAll || !each[1])
    .map((each) =>
      relative(SOURCE, join(SOURCE, dirname(module), each[2]!)).replace(/\.js$/, ".ts"),
    );
}

function rankOf(module: string): number {
  const [first] = module.replace(/\.ts$/, "").split("/");
  const rank = LAYERS.findIndex((names) => names.includes(first!));
  assert.notEqual(rank, -1, `${module} is in no layer`);
  return rank;
}

test("a module imports only what is below it", () => {
  for (const module of modules) {
    for (const other of importsOf(module, true)) {
      assert.ok(rankOf(other) <= rankOf(module), `${module} imports ${other}`);
    }
  }
});

test("no modules import each other", () => {
  const done = new Set<string>();
  const visit = (module: string, above: string[]): void => {
    assert.ok(!above.includes(module), [...above, module].join(" -> "));
    if (done.has(module) || module.startsWith("gen/")) return;
    for (const other of importsOf(module, false)) visit(other, [...above, module]);
    done.add(module);
  };
  for (const module of modules) visit(module, []);
});

test("the machines know no clock, no stream and no process", () => {
  for (const module of ["session/machine.ts", "replay/machine.ts"]) {
    const text = readFileSync(join(SOURCE, module), "utf8");
    assert.doesNotMatch(text, /node:|setTimeout|setImmediate|process\.|performance|Date\./, module);
  }
});
