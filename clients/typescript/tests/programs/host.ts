/**
 * A host in a process of its own: says what it does on standard output, a line each, and is told to
 * go on by lines on standard input.
 */
import { appendFileSync } from "node:fs";
import { createInterface } from "node:readline";
import { Polos, configureLogging, defineWorkflow } from "@polos/sdk";

const [url = "", name = "", effects = ""] = process.argv.slice(2);
configureLogging({ level: "warn" });

const waiting: (() => void)[] = [];
createInterface({ input: process.stdin }).on("line", () => waiting.shift()?.());

function say(line: string): void {
  process.stdout.write(`${name}: ${line}\n`);
}

/** Done outside, where it can be counted. */
function effect(what: string): string {
  appendFileSync(effects, `${what}\n`);
  return what;
}

defineWorkflow({ id: "two-steps" }, async (ctx) => {
  await ctx.step.run("one", () => effect("one"));
  say("between");
  await new Promise<void>((resolve) => waiting.push(resolve));
  await ctx.step.run("two", () => effect("two"));
  return name;
});

defineWorkflow({ id: "ten-steps" }, async (ctx) => {
  for (let n = 0; n < 10; n++) await ctx.step.run(`s${n}`, () => effect(`s${n}`));
  return ctx.step.suspend("ask");
});

defineWorkflow({ id: "computes" }, async (ctx) => {
  await ctx.step.run("hold", () => {
    say("computes");
    const until = performance.now() + Number(ctx.sessionId);
    while (performance.now() < until);
    return effect("computed");
  });
});

defineWorkflow({ id: "flaky" }, (ctx) => {
  const fail = () => {
    say("tried");
    throw new Error(effect("tried"));
  };
  return ctx.step.run("call", fail, { maxRetries: 3, baseDelay: 300, maxDelay: 300 });
});

const polos = new Polos({ apiUrl: url });
await polos.start();
say("ready");
await polos.serve();
say("left");
process.stdin.destroy();
