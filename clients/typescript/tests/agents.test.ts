/** Agents with the server's own loop and its scripted model, and tools of this process. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { anthropic, createAnthropic } from "@ai-sdk/anthropic";
import { createOpenAI, openai } from "@ai-sdk/openai";
import { z } from "zod";
import {
  OutputError,
  RunFailedError,
  UnsupportedFeatureError,
  WorkflowTimeoutError,
  defineAgent,
  defineTool,
  defineWorkflow,
  maxSteps,
  maxTokens,
  type StreamEvent,
} from "@polos/sdk";
import { gate, withServer } from "./support.js";

const there = withServer();
const MODEL = "scripted:m";
const calls = (name: string, args: object = {}) => ({ tool_calls: [{ name, arguments: args }] });

const weatherTool = () =>
  defineTool(
    { id: "weather", description: "The weather", inputSchema: z.object({ city: z.string() }) },
    async (ctx, { city }) => ({ city, celsius: 21, agent: ctx.agentId, session: ctx.sessionId }),
  );

test("an agent calls tools and answers; the result tells all of it", async () => {
  const agent = defineAgent({ id: "a", model: MODEL, tools: [weatherTool()] });
  const script = [calls("weather", { city: "Rome" }), { text: "It is {{tool_result}}." }];
  const found = await agent.run(there.client, "hi", { script, sessionId: "s" });
  const told = { city: "Rome", celsius: 21, agent: "a", session: "s" };
  assert.equal(found.result, `It is ${JSON.stringify(told)}.`);
  assert.deepEqual(
    found.tool_results.map((each) => each.result),
    [told],
  );
  assert.deepEqual([found.total_steps, found.stop_reason, found.steps.length], [2, "end", 2]);
  assert.ok(found.usage.total_tokens > 0);
  assert.equal((await there.client.getExecution(found.agent_run_id)).kind, "agent");
});

test("an input is a text, messages, { input }, or another agent's result", async () => {
  const agent = defineAgent({ id: "inputs", model: MODEL });
  const echo = { script: [{ text: "ok" }] };
  const { client } = there;
  const first = await agent.run(client, { input: "hi" }, echo);
  await agent.run(client, first, echo);
  const messages = [
    { role: "user" as const, content: "a" },
    { role: "assistant" as const, content: [{ type: "text", text: "b" }] },
    {
      role: "user" as const,
      content: ["c", { type: "image", image: new URL("https://x.y/z.png") }],
    },
  ];
  await agent.run(client, messages, echo);
  const bad: [unknown, RegExp][] = [
    [7, /input is a text, or a list/],
    [[{ role: "robot", content: "x" }], /input\[0\]\.role is/],
    [[{ role: "user", content: [{ type: "video" }] }], /input\[0\]\.content\[0\] is a text/],
  ];
  for (const [input, sentence] of bad) {
    await assert.rejects(agent.run(client, input as string, echo), sentence);
  }
});

test("a stream tells text as it is written, and everything that happens", async () => {
  const agent = defineAgent({ id: "streams", model: MODEL, tools: [weatherTool()] });
  const script = [calls("weather", { city: "Oslo" }), { text: "one two three" }];
  const stream = await agent.stream(there.client, "hi", { script, delta_ms: 50 });
  assert.equal(stream.topic, `workflow/streams/${stream.id}`);
  const chunks: string[] = [];
  for await (const chunk of stream.textChunks) chunks.push(chunk);
  assert.equal(chunks.join(""), "one two three");
  assert.ok(chunks.length > 1);
  const events: StreamEvent[] = [];
  for await (const event of stream.events) events.push(event);
  assert.deepEqual(
    events.map((event) => event.eventType).filter((type) => type !== "text_delta"),
    [
      ["agent_start", "step_start", "stream_start", "tool_call", "tool_start", "tool_finish"],
      ["step_finish", "step_start", "stream_start", "step_finish", "agent_finish"],
    ].flat(),
  );
  const call = events.find((event) => event.eventType === "tool_call")!;
  assert.equal(call.data["tool_name"], "weather");
  assert.equal(call.data["tool_call"].function.arguments, '{"city":"Oslo"}');
  assert.equal(events.at(-1)!.data["result"], "one two three");
  assert.equal(events.at(-1)!.data["_metadata"].execution_id, stream.id);
  assert.equal(await stream.text(), "one two three");
  assert.equal((await stream.result()).result, "one two three");
  assert.equal((await stream.get()).status, "completed");
});

test("a stream that is left early leaves nothing behind, and can be cancelled", async () => {
  const agent = defineAgent({ id: "long", model: MODEL });
  const text = "word ".repeat(200);
  const stream = await agent.stream(there.client, "hi", { script: [{ text }], delta_ms: 20 });
  for await (const chunk of stream.textChunks) if (chunk) break;
  assert.equal(await stream.cancel(), true);
  await assert.rejects(stream.result(), { name: "RunCancelledError" });
  const rest = async () => {
    for await (const chunk of stream.textChunks) void chunk;
  };
  await assert.rejects(rest(), { name: "RunCancelledError" });
});

test("an outputSchema makes the result; what does not fit is an error", async () => {
  const person = z.object({ name: z.string(), age: z.coerce.number() });
  const agent = defineAgent({ id: "extracts", model: MODEL, outputSchema: person });
  const good = { script: [{ text: '{"name":"Ada","age":36}' }] };
  assert.deepEqual((await agent.run(there.client, "x", good)).result, { name: "Ada", age: 36 });
  const again = { script: [{ text: '{"name":1}' }, ...good.script] };
  assert.equal((await agent.run(there.client, "x", again)).total_steps, 2);
  const bad = { script: Array(5).fill({ text: '{"name":1}' }) };
  await assert.rejects(agent.run(there.client, "x", bad), (error) => {
    assert.ok(error instanceof OutputError, String(error));
    assert.equal(error.text, '{"name":1}');
    return true;
  });
});

test("what a tool throws is told to the model, and the agent goes on", async () => {
  const tool = defineTool({ id: "breaks", description: "" }, async () => {
    throw new Error("no such city");
  });
  const agent = defineAgent({ id: "copes", model: MODEL, tools: [tool] });
  const script = [calls("breaks"), { text: "{{tool_result}}" }];
  const found = await agent.run(there.client, "hi", { script });
  assert.match(String(found.result), /no such city/);
  assert.equal(found.tool_results[0]!.status, "failed");
  assert.match(found.tool_results[0]!.error!, /no such city/);
});

test("arguments that do not fit are told to the model, and the tool is not called", async () => {
  const agent = defineAgent({ id: "misfits", model: MODEL, tools: [weatherTool()] });
  const script = [calls("weather", { town: "Rome" }), { text: "{{tool_result}}" }];
  const found = await agent.run(there.client, "hi", { script });
  assert.equal(found.tool_results[0]!.status, "failed");
});

test("stop conditions end the loop", async () => {
  const agent = defineAgent({
    id: "stops",
    model: MODEL,
    tools: [weatherTool()],
    stopConditions: [maxSteps({ count: 5 }), maxSteps({ limit: 2 }), maxTokens({ limit: 99_999 })],
  });
  const script = Array(9).fill(calls("weather", { city: "x" }));
  const found = await agent.run(there.client, "hi", { script });
  assert.deepEqual([found.total_steps, found.stop_reason], [2, "max_steps"]);
});

test("a run over its time is WorkflowTimeoutError", async () => {
  const begun = gate();
  const tool = defineTool({ id: "never", description: "" }, async () => {
    begun.open();
    await new Promise(() => undefined);
  });
  const agent = defineAgent({ id: "slow", model: MODEL, tools: [tool] });
  const run = agent.run(there.client, "hi", { script: [calls("never")], timeout: 0.3 });
  await assert.rejects(run, WorkflowTimeoutError);
});

test("a failed model call fails the run with its reason", async () => {
  const agent = defineAgent({ id: "fails", model: MODEL });
  const script = [{ error: { reason: "BROKEN" } }];
  await assert.rejects(agent.run(there.client, "hi", { script }), (error) => {
    assert.ok(error instanceof RunFailedError);
    assert.match(error.message, /the script says so: BROKEN/);
    return true;
  });
  const nobody = defineAgent({ id: "nobody", model: "no_such_provider:m" });
  await assert.rejects(nobody.run(there.client, "hi"), /no_such_provider/);
});

test("workflows run agents: one, many, by a handle", async () => {
  const agent = defineAgent({
    id: "inner",
    model: MODEL,
    outputSchema: z.object({ n: z.number() }),
  });
  const says = (n: number) => agent.withInput("hi", { script: [{ text: `{"n":${n}}` }] });
  const flow = defineWorkflow({ id: "outer" }, async (ctx) => {
    const one = await ctx.step.agentInvokeAndWait("one", says(1));
    const all = await ctx.step.batchAgentInvokeAndWait("all", [says(2), says(3)]);
    const handle = await ctx.step.agentInvoke("handle", says(4));
    return [one.result.n, one.total_steps, all.map((each) => each.result!.result.n), handle.id];
  });
  const [n, steps, others, id] = await flow.run(there.client);
  assert.deepEqual([n, steps, others], [1, 1, [2, 3]]);
  assert.equal((await there.client.getExecution(id as string)).workflow_id, "inner");
});

test("a tool that asks somebody suspends the run until it is answered", async () => {
  const { client } = there;
  const tool = defineTool({ id: "approve", description: "" }, async (ctx) => {
    const { data } = await ctx.step.suspend("ask", { data: { question: "may I?" } });
    return data;
  });
  const agent = defineAgent({ id: "asks", model: MODEL, tools: [tool] });
  const script = [calls("approve"), { text: "{{tool_result}}" }];
  const stream = await agent.stream(client, "hi", { script });
  for await (const event of stream.events) {
    if (event.eventType !== "suspend_ask") continue;
    assert.equal(event.data["question"], "may I?");
    await client.resume("asks", event.data["_execution_id"], "ask", { yes: true });
  }
  assert.equal((await stream.result()).result, '{"yes":true}');
});

test("models of the AI SDK are asked by the server where they say no more than it knows", () => {
  const modelOf = (model: Parameters<typeof defineAgent>[0]["model"]) => {
    const [asked] = defineAgent({ id: "m", model }).definition().models;
    return `${asked?.provider}:${asked?.model}`;
  };
  assert.equal(modelOf(openai("gpt-4o")), "openai:gpt-4o");
  assert.equal(modelOf(openai.chat("gpt-4o")), "openai_chat:gpt-4o");
  assert.equal(modelOf(anthropic("claude-sonnet-4")), "anthropic:claude-sonnet-4");
  assert.equal(modelOf("groq:llama-3:70b"), "groq:llama-3:70b");
  const onHost = [
    createOpenAI({ baseURL: "https://elsewhere.example/v1" })("m"),
    createOpenAI({ fetch: async () => new Response() })("m"),
    createOpenAI({ apiKey: "k", headers: { "x-tenant": "t" } })("m"),
    createAnthropic({ baseURL: "https://elsewhere.example/v1" })("m"),
    { specificationVersion: "v4", provider: "own.models", modelId: "m" },
  ];
  for (const model of onHost) assert.throws(() => modelOf(model), UnsupportedFeatureError);
  assert.throws(() => modelOf("openai/gpt-4o"), /write "provider:model"/);
});

test("options that are misspelt do not travel to the provider unseen", async () => {
  const agent = defineAgent({ id: "options", model: MODEL });
  await assert.rejects(agent.run(there.client, "hi", { timeuot: 5 }), /did you mean timeout\?/);
  await assert.rejects(
    agent.run(there.client, "hi", { initialState: {} }),
    UnsupportedFeatureError,
  );
  const noTool = () => defineAgent({ id: "x", model: MODEL, tools: [{} as never] });
  assert.throws(noTool, /made by defineTool/);
  const tool = weatherTool();
  const twice = () => defineAgent({ id: "x", model: MODEL, tools: [tool, tool] });
  assert.throws(twice, /two tools named weather/);
});
