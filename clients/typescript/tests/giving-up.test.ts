/** Parts of code that may take only so long, and code that is told to end, on the real server. */
import assert from "node:assert/strict";
import { test } from "node:test";
import {
  ExecutionCancelledError,
  TimeoutError,
  defineWorkflow,
  sleep,
  type Workflow,
} from "@polos/sdk";
import { bothWays, gate, untilWaiting, withServer } from "./support.js";

const there = withServer();

bothWays("a part of the code that takes too long is given up, and the code goes on", async () => {
  const flow = defineWorkflow({ id: "patient" }, async (ctx) => {
    const found = await ctx.step
      .timeout("patience", 0.05, () => ctx.step.suspend("ask"))
      .catch((error: unknown) => error);
    assert.ok(error(found) instanceof TimeoutError);
    await ctx.step.waitFor("nap", { seconds: 0.02 });
    return ctx.step.run("after", () => "went on");
  });
  const handle = await flow.invoke(there.client);
  assert.equal(await handle.getResult(), "went on");
  const history = await there.client.history(handle.id);
  const withdrawn = history.filter(({ type }) => type === "WITHDRAWN");
  assert.deepEqual(
    withdrawn.map(({ data }) => data["key"]),
    ["ask"],
  );
});

bothWays("a part that ends in time gives up its clock", async () => {
  const flow = defineWorkflow({ id: "in-time" }, async (ctx) => {
    const found = await ctx.step.timeout("patience", 3600, async () => {
      await ctx.step.waitFor("nap", { seconds: 0.02 });
      return ctx.step.run("work", () => "done");
    });
    return [found, await ctx.step.run("after", () => 1)];
  });
  const handle = await flow.invoke(there.client);
  assert.deepEqual(await handle.getResult(), ["done", 1]);
  const withdrawn = (await there.client.history(handle.id)).filter((e) => e.type === "WITHDRAWN");
  assert.deepEqual(
    withdrawn.map(({ data }) => data["key"]),
    ["patience"],
  );
});

test("what a part asks for after it was given up is refused, and its steps are not tried", async () => {
  const late = gate<string>();
  let calls = 0;
  const flow = defineWorkflow({ id: "stray" }, async (ctx) => {
    const over = new AbortController();
    const part = ctx.step.giveUpWhen(over.signal, async () => {
      const work = () => {
        calls++;
        over.abort(new Error("enough"));
        return Promise.reject(new Error("in vain"));
      };
      await ctx.step.run("work", work).catch(() => undefined);
      const stray = await ctx.step.run("stray", () => "begun").catch((e: unknown) => e);
      late.open(error(stray).message);
    });
    const [found] = await Promise.all([part.catch((e: unknown) => e), late.opened]);
    await ctx.step.run("after", () => 1);
    return error(found).message;
  });
  assert.equal(await flow.run(there.client), "enough");
  assert.equal(await late.opened, "enough");
  assert.equal(calls, 1);
});

test("parts stand in parts: the outer one takes the inner one with it", async () => {
  const flow = defineWorkflow({ id: "nested" }, async (ctx) => {
    const seen: string[] = [];
    const inner = () =>
      ctx.step
        .timeout("long", 3600, () => ctx.step.suspend("ask"))
        .catch((e: unknown) => void seen.push(error(e).name));
    await ctx.step.timeout("short", 0.05, inner).catch((e: unknown) => {
      seen.push(error(e).name);
    });
    await ctx.step.run("after", () => 1);
    return seen;
  });
  const handle = await flow.invoke(there.client);
  assert.deepEqual(await handle.getResult(), ["TimeoutError", "TimeoutError"]);
  const withdrawn = (await there.client.history(handle.id)).filter((e) => e.type === "WITHDRAWN");
  assert.deepEqual(withdrawn.map(({ data }) => data["key"]).sort(), ["ask", "long"]);
});

test("a time is more than 0 seconds", async () => {
  const flow = defineWorkflow({ id: "no-time" }, (ctx) => ctx.step.timeout("t", 0, () => 1));
  await assert.rejects(flow.run(there.client), /the timeout of step "t" is 0/);
});

test("code that awaits something of its own is told at its next step, once", async () => {
  const seen: string[] = [];
  const begun = gate();
  const flow = defineWorkflow({ id: "own-await" }, async (ctx) => {
    begun.open();
    while (!ctx.signal.aborted) await sleep(5);
    try {
      await ctx.step.run("never", () => seen.push("never"));
    } catch (thrown) {
      assert.ok(thrown instanceof ExecutionCancelledError);
      seen.push(await ctx.step.run("undo", () => "undone"));
    }
  });
  await cancelAtWork(flow, begun.opened);
  assert.deepEqual(seen, ["undone"]);
});

test("code that listens to its signal cleans up with the next step", async () => {
  const { client } = there;
  const seen: string[] = [];
  const begun = gate();
  const flow = defineWorkflow({ id: "listens" }, async (ctx) => {
    begun.open();
    await new Promise((resolve) => ctx.signal.addEventListener("abort", resolve));
    seen.push(await ctx.step.run("undo", () => "undone"));
  });
  const handle = await cancelAtWork(flow, begun.opened);
  assert.deepEqual(seen, ["undone"]);
  const types = (await client.history(handle.id)).map(({ type }) => type);
  assert.ok(types.indexOf("CANCEL_SHOWN") < types.indexOf("STEP_SETTLED"));
});

test("a part with a clock is told of a cancellation as other code is", async () => {
  const { client } = there;
  const seen: string[] = [];
  const begun = gate();
  const flow = defineWorkflow({ id: "clocked" }, (ctx) =>
    ctx.step.timeout("patience", 3600, async () => {
      begun.open();
      while (!ctx.isCancelling) await sleep(5);
      while (!ctx.signal.aborted) await sleep(5);
      await ctx.step.run("never", () => seen.push("never")).catch(() => seen.push("told"));
      await ctx.step.run("undo", () => seen.push("undone"));
    }),
  );
  const handle = await flow.invoke(client);
  await begun.opened;
  await untilWaiting(client, handle.id, "sleep");
  await handle.cancel();
  await assert.rejects(handle.getResult(), { name: "RunCancelledError" });
  assert.deepEqual(seen, ["told", "undone"]);
});

test("many steps and requests at once say nothing of listeners", async () => {
  const warnings: string[] = [];
  const note = (warning: Error) => void warnings.push(warning.name);
  process.on("warning", note);
  const flow = defineWorkflow({ id: "many" }, async (ctx) => {
    const keys = Array.from({ length: 30 }, (_, n) => `s${n}`);
    for (const key of keys) ctx.signal.addEventListener("abort", () => key);
    await Promise.all(keys.map((key) => ctx.step.run(key, () => sleep(1))));
  });
  await flow.run(there.client);
  await new Promise(setImmediate);
  process.off("warning", note);
  assert.deepEqual(warnings, []);
});

test("a child outlives its parent where it is to", async () => {
  const { client } = there;
  const child = defineWorkflow({ id: "survivor" }, async (ctx) => {
    await ctx.step.suspend("ask");
    return "lived";
  });
  const parent = defineWorkflow({ id: "mortal" }, (ctx) =>
    Promise.race([
      ctx.step.invokeAndWait("lives", child, undefined, { outliveParent: true }),
      ctx.step.invokeAndWait("dies", child),
      ctx.step.suspend("fail").then(() => Promise.reject(new Error("broken"))),
    ]),
  );
  const handle = await parent.invoke(client, undefined, { maxRetries: 0 });
  await untilWaiting(client, handle.id, "suspension");
  const open = async () => await client.listSuspensions();
  while ((await open()).filter((each) => each.name === "survivor").length < 2) await sleep(5);
  const children = await client.listExecutions({ parentExecutionId: handle.id });
  await client.resume("mortal", handle.id, "fail");
  await assert.rejects(handle.getResult(), /broken/);
  while ((await open()).filter((each) => each.name === "survivor").length > 1) await sleep(5);
  const [left] = await open();
  await client.resume("survivor", left!.runId, "ask");
  const ends: string[] = [];
  for (const { id } of children) {
    while (["waiting", "running"].includes((await client.getExecution(id)).status)) await sleep(5);
    ends.push((await client.getExecution(id)).status);
  }
  assert.deepEqual(ends.sort(), ["cancelled", "completed"]);
});

/** A run that was cancelled once its code had begun; it has ended. */
async function cancelAtWork(flow: Workflow, begun: Promise<void>) {
  const handle = await flow.invoke(there.client);
  await begun;
  await handle.cancel();
  await assert.rejects(handle.getResult(), { name: "RunCancelledError" });
  return handle;
}

function error(thrown: unknown): Error {
  assert.ok(thrown instanceof Error);
  return thrown;
}
