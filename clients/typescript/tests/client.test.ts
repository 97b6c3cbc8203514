/** Calls of a client about runs, against the real server; no code of these runs is here. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { z } from "zod";
import {
  ConflictError,
  InvalidArgumentError,
  NotFoundError,
  Polos,
  PolosClient,
  UnavailableError,
  WorkflowTimeoutError,
  Queue,
  defineAgent,
  defineTool,
  defineWorkflow,
  getAllWorkflows,
  getWorkflow,
} from "@polos/sdk";
import { gate, untilWaiting, withServer } from "./support.js";

const there = withServer();
const NOBODY = "01900000-0000-7000-8000-000000000000";

test("a run of what nobody offers waits, visibly", async () => {
  const { client } = there;
  const handle = await client.invoke("elsewhere", { n: 1 }, { sessionId: "s", userId: "u" });
  const found = await handle.get();
  assert.equal(found.status, "queued");
  assert.equal(found.workflow_id, "elsewhere");
  assert.deepEqual(found.payload, { n: 1 });
  assert.equal(found.session_id, "s");
  assert.match(found.waiting[0]!.message, /no connected host offers/);
});

test("the same idempotency key finds the same run", async () => {
  const { client } = there;
  const first = await client.invoke("elsewhere", 1, { idempotencyKey: "k1" });
  const second = await client.invoke("elsewhere", 1, { idempotencyKey: "k1" });
  assert.equal(first.id, second.id);
  await assert.rejects(client.invoke("elsewhere", 2, { idempotencyKey: "k1" }), ConflictError);
});

test("a cancelled run has ended, and cannot be cancelled again", async () => {
  const { client } = there;
  const handle = await client.invoke("elsewhere");
  assert.equal(await handle.cancel(), true);
  assert.equal(await handle.cancel(), false);
  await assert.rejects(handle.getResult(), { name: "RunCancelledError", runId: handle.id });
});

test("a caller's patience ends before the run, which goes on", async () => {
  const { client } = there;
  const handle = await client.invoke("elsewhere");
  await assert.rejects(handle.getResult(0.05), (error) => {
    assert.ok(error instanceof WorkflowTimeoutError);
    assert.match(error.message, /no connected host offers/);
    return true;
  });
  assert.equal((await handle.get()).status, "queued");
});

test("watch() tells what happens until the end", async () => {
  const { client } = there;
  const handle = await client.invoke("elsewhere");
  const types: string[] = [];
  for await (const event of client.watch(handle.id)) {
    types.push(event.type);
    if (types.length === 1) await handle.cancel();
  }
  assert.equal(types[0], "RUN_STARTED");
  const history = await client.history(handle.id);
  assert.deepEqual(
    history.map((event) => event.type),
    types,
  );
  assert.deepEqual(
    history.map((event) => event.seq),
    types.map((_, at) => at + 1),
  );
});

test("runs are listed by what they are", async () => {
  const { client } = there;
  const ids: string[] = [];
  for (let n = 0; n < 3; n++) ids.push((await client.invoke("listed", n, { userId: "l" })).id);
  const found = await client.listExecutions({ workflowId: "listed" });
  assert.deepEqual(
    found.map((run) => run.id),
    ids.reverse(),
  );
  assert.equal((await client.listExecutions({ workflowId: "listed", limit: 2 })).length, 2);
  assert.equal((await client.listExecutions({ userId: "l", status: "failed" })).length, 0);
  await assert.rejects(client.listExecutions({ limit: 0 }), InvalidArgumentError);
});

test("what is not there is NotFoundError, what is wrong names its field", async () => {
  const { client } = there;
  await assert.rejects(client.getExecution(NOBODY), NotFoundError);
  await assert.rejects(client.getExecution("x"), (error) => {
    assert.ok(error instanceof InvalidArgumentError);
    assert.equal(error.field, "run_id");
    return true;
  });
  await assert.rejects(client.invoke("no spaces"), InvalidArgumentError);
  await assert.rejects(client.retry((await client.invoke("elsewhere")).id), ConflictError);
});

test("a server that is not there is named", async () => {
  const nowhere = new PolosClient({ apiUrl: "http://127.0.0.1:1" });
  await assert.rejects(nowhere.getExecution(NOBODY), (error) => {
    assert.ok(error instanceof UnavailableError);
    assert.match(error.message, /cannot reach polosd at http:\/\/127.0.0.1:1: .*ECONNREFUSED/);
    return true;
  });
  await nowhere.close();
  assert.throws(() => new PolosClient({ apiUrl: "ftp://x" }), InvalidArgumentError);
  assert.throws(() => new PolosClient({ apiUrl: "localhost" }), /names no port/);
});

test("an address may be given by the environment", async () => {
  process.env["POLOS_API_URL"] = there.server.url;
  try {
    const client = PolosClient.fromEnv();
    assert.equal(client.apiUrl, there.server.url);
    assert.deepEqual(await client.listExecutions({ workflowId: "never-started" }), []);
    await client.close();
  } finally {
    delete process.env["POLOS_API_URL"];
  }
});

test("events are published in order and read from a point on", async () => {
  const { client } = there;
  const numbers = await client.events.batchPublish("orders", [
    { eventType: "created", data: { id: 1 } },
    { data: [2] },
  ]);
  assert.deepEqual(numbers, [1, 2]);
  const again = { idempotencyKey: "e1" };
  const third = await client.events.publish("orders", { data: {} }, again);
  assert.equal(await client.events.publish("orders", { data: {} }, again), third);
  const found = [];
  for await (const event of client.events.streamTopic("orders", 0)) {
    found.push([event.sequenceId, event.eventType, event.data]);
    if (event.sequenceId === third) break;
  }
  assert.deepEqual(found, [
    [1, "created", { id: 1 }],
    [2, undefined, { data: [2] }],
    [3, undefined, {}],
  ]);
});

test("schedules are made, paused, triggered and ended", async () => {
  const { client } = there;
  const id = await client.schedules.create("report", "0 9 * * *", "Europe/Berlin", "a");
  assert.equal(id, "report/a");
  const [made] = await client.schedules.list("report");
  assert.equal(made!.timezone, "Europe/Berlin");
  assert.ok(made!.nextTick! > new Date());
  assert.equal((await client.schedules.pause("report", "a", "holidays")).isPaused, true);
  assert.equal((await client.schedules.unpause("report", "a")).isPaused, false);
  const run = await client.getExecution(await client.schedules.trigger("report", "a"));
  assert.equal(run.workflow_id, "report");
  await client.schedules.delete("report", "a");
  assert.deepEqual(await client.schedules.list("report"), []);
  await assert.rejects(client.schedules.create("report", "nonsense"), { field: "cron" });
});

test("queues are put, listed and ended; a run's queue is made where there is none", async () => {
  const { client } = there;
  const made = await client.queues.put(new Queue("mails", { concurrencyLimit: 2, totalLimit: 9 }));
  assert.deepEqual([made.concurrencyLimit, made.totalLimit, made.running], [2, 9, 0]);
  const handle = await client.invoke("elsewhere", null, { queue: "made-by-use" });
  assert.equal((await handle.get()).queue_name, "made-by-use");
  const names = (await client.queues.list()).map((queue) => queue.name);
  assert.ok(names.includes("mails") && names.includes("made-by-use"));
  await client.queues.delete("mails");
  await assert.rejects(client.queues.delete("mails"), NotFoundError);
});

test("a suspension is seen, answered once, and its answer told", async () => {
  const { client } = there;
  const asking = defineWorkflow({ id: "asking" }, async (ctx) => {
    return (await ctx.step.suspend("ask", { data: { question: "why?" } })).data;
  });
  const handle = await asking.invoke(client);
  await untilWaiting(client, handle.id, "suspension");
  const [open] = await client.listSuspensions(handle.id);
  assert.deepEqual([open!.stepKey, open!.data, open!.isOpen], ["ask", { question: "why?" }, true]);
  const answered = await client.resume("asking", handle.id, "ask", { because: 1 }, "me");
  assert.deepEqual(answered, { accepted: true, kept: false, existed: false });
  assert.deepEqual(await handle.getResult(), { because: 1 });
  const over = await client.getSuspension(handle.id, "ask");
  assert.deepEqual([over.isOpen, over.resumedBy, over.answer], [false, "me", { because: 1 }]);
  const again = await client.resume("asking", handle.id, "ask", { because: 2 }, "me");
  assert.equal(again.accepted, false);
});

test("an agent at work is told something, once for a key", async () => {
  const { client } = there;
  const asked = gate();
  const go = gate();
  const wait = defineTool({ id: "wait", description: "" }, async () => {
    asked.open();
    await go.opened;
    return 1;
  });
  const agent = defineAgent({ id: "told", model: "scripted:m", tools: [wait] });
  const calls = [{ name: "wait", arguments: {} }];
  const script = [{ tool_calls: calls }, { text: "heard" }];
  const handle = await client.invoke(agent, "begin", { script } as object);
  await asked.opened;
  const id = await handle.send("and this", "once");
  assert.equal(await client.send(handle.id, "and this", "once"), id);
  go.open();
  await handle.getResult();
  const taken = (await client.history(handle.id)).filter(({ type }) => type === "INPUT_TAKEN");
  assert.equal(taken.length, 1);
  await assert.rejects(handle.send("late"), { name: "ConflictError", reason: "RUN_ENDED" });
});

test("a tree is watched as one stream, with the run of each event", async () => {
  const { client } = there;
  const leaf = defineWorkflow({ id: "leaf" }, async (ctx) => ctx.executionId);
  const root = defineWorkflow({ id: "root" }, (ctx) => ctx.step.invokeAndWait("leaf", leaf));
  const handle = await root.invoke(client);
  const ended: string[] = [];
  for await (const { runId, event } of client.watchTree(handle.id)) {
    if (event.type === "RUN_COMPLETED") ended.push(runId);
  }
  const below = await handle.getResult();
  assert.deepEqual(ended, [below, handle.id]);
  await assert.rejects(client.watchTree(below).next(), { reason: "RUN_NOT_ROOT" });
});

test("definitions and hosts are listed, and forgotten when nobody uses them", async () => {
  const { client } = there;
  const { definitions } = client;
  const tool = defineTool(
    { id: "look", description: "Looks", inputSchema: z.object({ at: z.string() }) },
    async () => 1,
  );
  defineAgent({ id: "seer", model: "scripted:m", tools: [tool] });
  const flow = defineWorkflow({ id: "listed", queue: "mails" }, async () => 1);
  assert.equal(getWorkflow("listed"), flow);
  assert.deepEqual([...getAllWorkflows().keys()], ["listed"]);
  const polos = new Polos({ apiUrl: there.server.url, deploymentId: "blue" });
  await polos.start();
  const [host] = await definitions.listHosts("blue");
  assert.deepEqual(
    [host!.isConnected, host!.workflows, host!.tools, host!.agents],
    [true, ["listed"], ["look"], ["seer"]],
  );
  assert.equal((await definitions.drainHost(host!.id)).isDraining, true);
  const seer = (await definitions.listAgents()).find(({ id }) => id === "seer")!;
  assert.deepEqual([seer.provider, seer.model, seer.tools], ["scripted", "m", ["look"]]);
  const [version] = await definitions.listAgentVersions("seer");
  assert.deepEqual([version!.isNewest, version!.hosts], [true, 1]);
  const found = (await definitions.listWorkflows()).find(({ id }) => id === "listed")!;
  assert.deepEqual([found.queueName, found.deploymentId, found.hosts], ["mails", "blue", 1]);
  const looks = (await definitions.listTools()).find(({ id }) => id === "look")!;
  assert.deepEqual(Object.keys(looks.parameters.properties), ["at"]);
  await assert.rejects(definitions.deleteWorkflow("listed"), { reason: "DEFINITION_IN_USE" });
  await polos.stop();
  await definitions.deleteWorkflow("listed");
  await definitions.deleteTool("look");
  await definitions.deleteAgent("seer");
  await assert.rejects(definitions.deleteAgent("seer"), NotFoundError);
});

test("a client that was closed connects again", async () => {
  const { client } = there;
  await client.close();
  assert.equal((await client.listExecutions({ limit: 1 })).length, 1);
});
