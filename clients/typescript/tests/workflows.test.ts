/** Workflows and tools of this process, against the real server. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { z } from "zod";
import {
  ExecutionCancelledError,
  InvalidArgumentError,
  NonRetryableError,
  PolosClient,
  SlackChannel,
  RunFailedError,
  StepExecutionError,
  UnsupportedFeatureError,
  defineAgent,
  defineTool,
  defineWorkflow,
  sandboxTools,
  type BatchEventPayload,
  type EventPayload,
  type SchedulePayload,
} from "@polos/sdk";
import { bothWays, gate, lines, untilWaiting, withServer } from "./support.js";

const there = withServer();

test("payloads and results fit their schemas, with defaults filled in", async () => {
  const greet = defineWorkflow(
    {
      id: "greet",
      payloadSchema: z.object({ name: z.string(), times: z.number().default(2) }),
      outputSchema: z.object({ text: z.string(), at: z.coerce.date() }),
    },
    async (_ctx, { name, times }) => ({ text: `hi ${name}`.repeat(times), at: new Date(0) }),
  );
  const found = await greet.run(there.client, { name: "a" });
  assert.deepEqual(found, { text: "hi ahi a", at: new Date(0) });
  await assert.rejects(greet.run(there.client, { name: 1 as never }), (error) => {
    assert.ok(error instanceof RunFailedError);
    assert.match(error.message, /the arguments of workflow "greet" do not fit: name: /);
    return true;
  });
});

test("a step gives what JSON gives back, falsy values too", async () => {
  const values = defineWorkflow({ id: "values" }, async (ctx) => ({
    nothing: await ctx.step.run("undefined", () => undefined),
    zero: await ctx.step.run("zero", () => 0),
    empty: await ctx.step.run("empty", () => ""),
    no: await ctx.step.run("no", () => false),
    date: await ctx.step.run("date", () => new Date(0) as unknown),
    big: String(await ctx.step.run("big", () => 12345678901234567890n)),
    set: await ctx.step.run("set", () => new Set([1]) as unknown),
  }));
  assert.deepEqual(await values.run(there.client), {
    nothing: null,
    zero: 0,
    empty: "",
    no: false,
    date: "1970-01-01T00:00:00.000Z",
    big: "12345678901234567890",
    set: [1],
  });
});

test("a step takes arguments, or options", async () => {
  let tries = 0;
  const flow = defineWorkflow({ id: "arguments" }, async (ctx) => {
    const sum = await ctx.step.run("sum", (a: number, b: number) => a + b, 1, 2);
    const object = await ctx.step.run("object", (o: { a: number }) => o.a, { a: 5 });
    const flaky = await ctx.step.run(
      "flaky",
      () => {
        if (++tries < 3) throw new Error("not yet");
        return tries;
      },
      { maxRetries: 2, baseDelay: 1 },
    );
    return [sum, object, flaky];
  });
  assert.deepEqual(await flow.run(there.client), [3, 5, 3]);
  assert.equal(lines.filter((line) => line.includes("try 1 of 3")).length, 1);
});

test("a step that failed for good throws, is kept, and may be caught", async () => {
  let calls = 0;
  const flow = defineWorkflow({ id: "caught" }, async (ctx) => {
    try {
      await ctx.step.run("bad", () => {
        calls++;
        throw new NonRetryableError("never");
      });
    } catch (error) {
      assert.ok(error instanceof StepExecutionError);
      return [error.errorType, error.message];
    }
    return [];
  });
  const told = ["NonRetryableError", 'step "bad" failed: NonRetryableError: never'];
  assert.deepEqual(await flow.run(there.client), told);
  assert.equal(calls, 1);
});

test("a try of a step may take only so long", async () => {
  const flow = defineWorkflow({ id: "slow" }, async (ctx) => {
    const never = () => new Promise<void>(() => undefined);
    await ctx.step.run("never", never, { timeout: 0.02, maxRetries: 0 });
  });
  await assert.rejects(flow.run(there.client), /step "never" failed: TIMEOUT: it did not end/);
});

test("a workflow that throws is tried again with its settled steps", async () => {
  let runs = 0;
  let steps = 0;
  const flow = defineWorkflow({ id: "again" }, async (ctx) => {
    await ctx.step.run("once", () => ++steps);
    if (++runs === 1) throw new TypeError("passing");
    return ctx.retryCount;
  });
  assert.equal(await flow.run(there.client), 1);
  assert.equal(steps, 1);
});

test("a key that is used twice, or is none, fails the run with a sentence", async () => {
  const flow = defineWorkflow({ id: "twice" }, async (ctx, key: string) => {
    await ctx.step.run(key, () => 1);
    await ctx.step.run(key, () => 2);
  });
  await assert.rejects(flow.run(there.client, "k"), /step key "k" is used twice/);
  await assert.rejects(flow.run(there.client, ""), /a step key is a text of 1 to 512 bytes/);
});

test("what has no JSON form fails the step, by name and place", async () => {
  const flow = defineWorkflow({ id: "no-json" }, async (ctx) => {
    await ctx.step.run("bad", () => ({ items: [0, { f: () => 1 }] }), { maxRetries: 0 });
  });
  await assert.rejects(flow.run(there.client), /items\[1\]\.f: a function has no JSON form/);
});

bothWays("steps in parallel, and a race that every execution decides alike", async () => {
  const effects: string[] = [];
  const flow = defineWorkflow({ id: "race" }, async (ctx) => {
    const all = await Promise.all(
      [0, 1, 2, 3, 4].map((n) => ctx.step.run(`p${n}`, () => effects.push(`p${n}`) && n)),
    );
    const winner = await Promise.race([
      ctx.step.waitFor("short", { seconds: 0.05 }).then(() => "short"),
      ctx.step.waitFor("long", { weeks: 1 }).then(() => "long"),
    ]);
    await ctx.step.waitFor("after", { seconds: 0.05 });
    return [all, winner];
  });
  assert.deepEqual(await flow.run(there.client), [[0, 1, 2, 3, 4], "short"]);
  assert.equal(effects.length, 5);
});

bothWays("time, chance and ids stay as they were", async () => {
  const seen: unknown[] = [];
  const flow = defineWorkflow({ id: "same" }, async (ctx) => {
    const one = await ctx.step.uuid("u");
    const found = [one, await ctx.step.now("n"), await ctx.step.random("r")];
    seen.push(found);
    await ctx.step.waitUntil("soon", new Date(Date.now() + 20));
    return found;
  });
  const found = await flow.run(there.client);
  for (const each of seen) assert.deepEqual(each, found);
});

bothWays("an answer from outside, as data or as a schema makes it", async () => {
  const flow = defineWorkflow({ id: "answers" }, async (ctx) => {
    const first = await ctx.step.suspend("first", { data: { n: 1 } });
    const second = await ctx.step.suspend("second", { schema: z.object({ ok: z.boolean() }) });
    return [first.data, first.eventType, second.ok];
  });
  const { client } = there;
  const handle = await flow.invoke(client);
  await client.resume("answers", handle.id, "first", { yes: 1 });
  for (let open = false; !open; ) {
    open = (await client.listSuspensions(handle.id)).some((each) => each.stepKey === "second");
  }
  await assert.rejects(client.resume("answers", handle.id, "second", { ok: "yes" }), (error) => {
    assert.ok(error instanceof InvalidArgumentError);
    assert.equal(error.reason, "ANSWER_MISFIT");
    return true;
  });
  await client.resume("answers", handle.id, "second", { ok: true });
  assert.deepEqual(await handle.getResult(), [{ yes: 1 }, "resume_first", true]);
});

bothWays("a suspension that nobody answers in time fails its step", async () => {
  const flow = defineWorkflow({ id: "late" }, async (ctx) => {
    try {
      await ctx.step.suspend("ask", { timeout: 0.05 });
    } catch (error) {
      return (error as StepExecutionError).errorType;
    }
    return "answered";
  });
  assert.equal(await flow.run(there.client), "TIMEOUT");
});

bothWays("an event of a topic, published by another run, once", async () => {
  const waits = defineWorkflow({ id: "waits" }, async (ctx, topic: string) => {
    const event = await ctx.step.waitForEvent("event", { topic });
    return [event.data, event.eventType, event.topic === topic];
  });
  const publishes = defineWorkflow({ id: "publishes" }, async (ctx, topic: string) => {
    await ctx.step.publishEvent("publish", { topic, type: "made", data: { n: 7 } });
    await ctx.step.waitFor("rest", { seconds: 0.02 });
  });
  const { client } = there;
  const topic = `t-${Date.now()}-${Math.random()}`;
  const handle = await waits.invoke(client, topic);
  await untilWaiting(client, handle.id, "event");
  await publishes.run(client, topic);
  assert.deepEqual(await handle.getResult(), [{ n: 7 }, "made", true]);
  for await (const event of client.events.streamTopic(topic, 0)) {
    assert.equal(event.sequenceId, 1);
    break;
  }
});

bothWays("children: their results, their failures, many at once", async () => {
  const child = defineWorkflow(
    { id: "child", payloadSchema: z.object({ n: z.number() }) },
    async (ctx, { n }) => {
      await ctx.step.waitFor("nap", { seconds: 0.02 });
      if (n < 0) throw new NonRetryableError("negative");
      return { double: 2 * n, session: ctx.sessionId, parent: ctx.parentExecutionId };
    },
  );
  const parent = defineWorkflow({ id: "parent" }, async (ctx) => {
    const one = await ctx.step.invokeAndWait("one", child, { n: 1 });
    const failed = await ctx.step
      .invokeAndWait("bad", child, { n: -1 })
      .catch((error: unknown) => (error as StepExecutionError).message);
    const all = await ctx.step.batchInvokeAndWait<{ double: number }>("all", [
      { workflow: child, payload: { n: 2 } },
      { workflow: "child", payload: { n: -2 } },
      { workflow: child, payload: { n: 4 } },
    ]);
    const handle = await ctx.step.invoke("started", child, { n: 5 });
    const none = await ctx.step.batchInvokeAndWait("none", []);
    return { one, failed, all, started: handle.id, none, self: ctx.executionId };
  });
  const found = await parent.run(there.client, undefined, { sessionId: "s1" });
  assert.deepEqual(found.one, { double: 2, session: "s1", parent: found.self });
  assert.match(found.failed as string, /step "bad" failed: child: .*negative/);
  assert.deepEqual(
    found.all.map((each) => [each.success, each.result?.double]),
    [
      [true, 4],
      [false, undefined],
      [true, 8],
    ],
  );
  assert.deepEqual(found.none, []);
  const started = await there.client.getExecution(found.started);
  assert.equal(started.parent_execution_id, found.self);
});

bothWays("state is kept with the steps, and begins as given", async () => {
  const stateSchema = z.object({
    count: z.number().default(0),
    log: z.array(z.string()).default([]),
  });
  const flow = defineWorkflow({ id: "stateful", stateSchema }, async (ctx) => {
    ctx.state.count += 1;
    await ctx.step.run("a", () => 1);
    ctx.state.log.push("after a");
    await ctx.step.waitFor("nap", { seconds: 0.02 });
    ctx.state.count += 10;
    await ctx.step.run("b", () => 1);
    return ctx.state;
  });
  const { client } = there;
  assert.deepEqual(await flow.run(client), { count: 11, log: ["after a"] });
  const handle = await flow.invoke(client, undefined, { initialState: { count: 100 } });
  assert.deepEqual(await handle.getResult(), { count: 111, log: ["after a"] });
  assert.deepEqual((await handle.get()).state, { count: 111, log: ["after a"] });
  const bad = flow.run(client, undefined, { initialState: { count: "x" } });
  await assert.rejects(bad, /the state does not fit its schema: count/);
});

test("a cancelled run's code sees it where it waits, and cleans up with steps", async () => {
  const { client } = there;
  const seen: string[] = [];
  const begun = gate();
  const flow = defineWorkflow(
    { id: "cancelled", onCancel: (ctx) => void seen.push(`onCancel ${ctx.workflowId}`) },
    async (ctx) => {
      try {
        begun.open();
        await ctx.step.suspend("ask");
      } catch (error) {
        assert.ok(error instanceof ExecutionCancelledError);
        seen.push(`aborted ${ctx.signal.aborted}`);
        seen.push(await ctx.step.run("undo", () => "undone"));
        throw error;
      }
    },
  );
  const handle = await flow.invoke(client);
  await begun.opened;
  await untilWaiting(client, handle.id, "suspension");
  assert.equal(await handle.cancel(), true);
  await assert.rejects(handle.getResult(), { name: "RunCancelledError" });
  assert.deepEqual(seen, ["aborted true", "undone", "onCancel cancelled"]);
});

test("a step at work hears of the cancellation by ctx.signal, in the end", async () => {
  const { client } = there;
  const begun = gate();
  const flow = defineWorkflow({ id: "at-work" }, async (ctx) => {
    await ctx.step.run("work", async () => {
      begun.open();
      await new Promise((resolve) => ctx.signal.addEventListener("abort", resolve));
    });
  });
  const handle = await flow.invoke(client);
  await begun.opened;
  await handle.cancel();
  await assert.rejects(handle.getResult(), { name: "RunCancelledError" });
});

test("code that was changed stands still with both sides of the difference", async () => {
  const { client } = there;
  let kind = "first";
  const flow = defineWorkflow({ id: "changed" }, async (ctx) => {
    if (kind === "first") await ctx.step.run("a", () => 1);
    else await ctx.step.waitFor("a", { seconds: 1 });
    await ctx.step.suspend("ask");
  });
  const other = defineWorkflow({ id: "other" }, async () => 1);
  const handle = await flow.invoke(client);
  await untilWaiting(client, handle.id, "suspension");
  await client.close(); // gives the run back
  kind = "second";
  await client.resume("changed", handle.id, "ask", 1);
  await other.run(client); // is a host again
  await untilWaiting(client, handle.id, "code");
  const { waiting } = await client.getExecution(handle.id);
  assert.match(waiting.map((wait) => wait.message).join(), /history \(expected\)/);
  assert.ok(lines.some((line) => line.includes("stands still until code that fits is here")));
  await client.cancelExecution(handle.id);
});

test("events and batches of them start runs", async () => {
  const { client } = there;
  const topic = `trigger-${Date.now()}`;
  const one = gate<EventPayload>();
  const two = gate<BatchEventPayload>();
  const each = defineWorkflow(
    { id: "each", triggerOnEvent: topic },
    async (_ctx, event: EventPayload) => one.open(event),
  );
  defineWorkflow(
    { id: "batched", triggerOnEvent: topic, batchSize: 2 },
    async (_ctx, batch: BatchEventPayload) => two.open(batch),
  );
  await each.run(client, { sequence: 0, topic: "by-hand", data: 1 } as never);
  await client.events.batchPublish(topic, [{ eventType: "t", data: { n: 1 } }, { data: { n: 2 } }]);
  assert.equal((await one.opened).data, 1);
  const { events } = await two.opened;
  assert.deepEqual(
    events.map((event) => [event.sequenceId, event.data.n]),
    [
      [1, 1],
      [2, 2],
    ],
  );
  assert.equal(events[0]!.eventType, "t");
});

test("a schedule's run is told its tick", async () => {
  const { client } = there;
  const told = gate<SchedulePayload>();
  const flow = defineWorkflow(
    { id: "daily", schedule: "0 3 * * *" },
    async (_ctx, tick: SchedulePayload) => told.open(tick),
  );
  await flow.invoke(client, { schedule_id: "x" } as never);
  assert.equal((await told.opened).scheduleId, "x");
  const [made] = await client.schedules.list("daily");
  assert.equal(made!.cron, "0 3 * * *");
});

test("a host whose only slot is taken makes room for what its code waits for", async () => {
  const { server } = there;
  const one = new PolosClient({ apiUrl: server.url, maxConcurrentWorkflows: 1 });
  const leaf = defineWorkflow({ id: "leaf" }, async () => 7);
  const flow = defineWorkflow({ id: "waits-for-leaf" }, async (ctx) =>
    ctx.step.invokeAndWait("leaf", leaf),
  );
  const began = performance.now();
  assert.equal(await flow.run(one), 7);
  assert.ok(performance.now() - began < 9_000, "it was kept for its whole patience");
  await one.close();
});

test("a history tells what happened under the names of the API", async () => {
  const { client } = there;
  const flow = defineWorkflow({ id: "told" }, async (ctx, n: number) => {
    await ctx.step.run("fails", () => Promise.reject(new TypeError("no")), { maxRetries: 0 });
    return n;
  });
  const handle = await flow.invoke(client, 7, { maxRetries: 0, sessionId: "s" });
  await assert.rejects(handle.getResult());
  const history = await client.history(handle.id);
  const [started] = history;
  assert.deepEqual(started!.data["input"], 7);
  assert.deepEqual([started!.data["kind"], started!.data["options"].session_id], ["workflow", "s"]);
  const settled = history.find((event) => event.type === "STEP_SETTLED")!;
  const { key, kind, error, number } = settled.data;
  assert.deepEqual([key, kind, number], ["fails", "code", 1]);
  assert.deepEqual([error.reason, error.message], ["TypeError", "no"]);
  assert.match(error.stack, /TypeError: no/);
  assert.ok(Math.abs(settled.timeMs - Date.now()) < 60_000);
  assert.equal(history.at(-1)!.type, "RUN_FAILED");
});

test("a tool runs by itself, with steps and progress kept as a workflow's", async () => {
  const tool = defineTool(
    { id: "double", description: "Doubles", inputSchema: z.object({ n: z.number() }) },
    async (ctx, { n }) => ctx.step.run("double", () => [ctx.workflowType, 2 * n]),
  );
  assert.deepEqual(await tool.run(there.client, { n: 4 }), ["tool", 8]);
});

test("runs cannot be started from inside a task but by steps", async () => {
  const { client } = there;
  const inner = defineWorkflow({ id: "inner" }, async () => 1);
  const outer = defineWorkflow({ id: "outer" }, async () => inner.run(client));
  await assert.rejects(outer.run(client, undefined, { maxRetries: 0 }), /ctx.step.invokeAndWait/);
});

test("what a run publishes is told to those who follow it, between its own events", async () => {
  const { client } = there;
  const go = gate();
  const flow = defineWorkflow({ id: "tells" }, async (ctx) => {
    await ctx.step.publishWorkflowEvent("tell", { type: "progress", data: { percent: 50 } });
    await go.opened;
    return 1;
  });
  const handle = await flow.invoke(client);
  const types: (string | undefined)[] = [];
  for await (const event of client.events.streamWorkflow("tells", handle.id)) {
    types.push(event.eventType);
    if (event.eventType === "progress") go.open();
  }
  assert.deepEqual(
    types.filter((type) => !/step/.test(type ?? "")),
    ["workflow_start", "progress", "workflow_finish"],
  );
});

test("what this release does not have, and what is misspelt, is refused where it is given", () => {
  const noop = async () => 1;
  const hooked = () => defineWorkflow({ id: "hooked", onStart: noop }, noop);
  assert.throws(hooked, UnsupportedFeatureError);
  const misspelt = () => defineWorkflow({ id: "x", stateShema: z.object({}) } as never, noop);
  assert.throws(misspelt, /has no option "stateShema"; did you mean stateSchema\?/);
  assert.throws(() => defineWorkflow({ id: "a b" }, noop), InvalidArgumentError);
  const both = () => defineWorkflow({ id: "x", schedule: "@daily", queue: "q" }, noop);
  assert.throws(both, /a workflow with a schedule cannot have a queue/);
  assert.throws(() => defineTool({ id: "a.b", description: "" }, noop), /no name that models can/);
  assert.throws(
    () => defineAgent({ id: "a", model: "scripted:m", guardrails: [noop] }),
    UnsupportedFeatureError,
  );
  assert.throws(() => sandboxTools({ env: "docker" }), /sandboxTools is not supported by this/);
  assert.throws(() => new SlackChannel({}), UnsupportedFeatureError);
});
