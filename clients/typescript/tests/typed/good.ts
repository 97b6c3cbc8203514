/** Programs whose types are right: the compiler finds nothing in them. */
import {
  PolosClient,
  defineAgent,
  defineTool,
  defineWorkflow,
  type Agent,
  type AgentResult,
  type BatchStepResult,
  type ExecutionHandle,
  type Tool,
  type Workflow,
} from "@polos/sdk";
import { openai } from "@ai-sdk/openai";
import { z } from "zod";
import { z as z3 } from "zod3";

type Same<A, B> =
  (<T>() => T extends A ? 1 : 2) extends <T>() => T extends B ? 1 : 2 ? true : false;
function same<A, B>(_: Same<A, B>): void {}

const city = z.object({ name: z.string(), days: z.number().default(1) });
type CityGiven = { name: string; days?: number | undefined };
type City = { name: string; days: number };

export const look = defineTool(
  { id: "look", description: "The weather", inputSchema: city },
  async (ctx, input) => {
    same<typeof input, City>(true);
    same<string | undefined, typeof ctx.sessionId>(true);
    return { celsius: input.days };
  },
);
same<typeof look, Tool<CityGiven, { celsius: number }>>(true);

export const three = defineTool(
  { id: "three", description: "", inputSchema: z3.object({ a: z3.number() }) },
  (_ctx, input) => input.a,
);
same<typeof three, Tool<{ a: number }, number>>(true);

const state = z.object({ count: z.number().default(0) });

export const flow = defineWorkflow(
  { id: "flow", payloadSchema: city, stateSchema: state },
  async (ctx, payload) => {
    ctx.state.count += payload.days;
    const text = await ctx.step.run("text", async (n: number) => `${n}`, 1);
    same<typeof text, string>(true);
    const number = await ctx.step.run("number", () => 1, { maxRetries: 1 });
    same<typeof number, number>(true);
    const weather = await ctx.step.invokeAndWait("weather", look, { name: text });
    same<typeof weather, { celsius: number }>(true);
    const handle = await ctx.step.invoke("handle", look, { name: "x", days: 2 });
    same<typeof handle, ExecutionHandle<{ celsius: number }>>(true);
    const answer = await ctx.step.suspend("ask", { schema: z.object({ ok: z.boolean() }) });
    same<typeof answer, { ok: boolean }>(true);
    const event = await ctx.step.suspend("any", { data: { question: 1 } });
    same<typeof event.data, any>(true);
    const said = await ctx.step.agentInvokeAndWait("agent", extractor.withInput("x"));
    same<typeof said, AgentResult<{ age: number }>>(true);
    const all = await ctx.step.batchInvokeAndWait<number>("all", [{ workflow: look, payload: {} }]);
    same<typeof all, BatchStepResult<number>[]>(true);
    const unknown = await ctx.step.invokeAndWait<{ a: 1 }, { b: 2 }>("id", "elsewhere", { a: 1 });
    same<typeof unknown, { b: 2 }>(true);
    return [text, number] as const;
  },
);
same<typeof flow, Workflow<CityGiven, { count: number }, readonly [string, number]>>(true);

export const explicit = defineWorkflow<{ id: string }, { n: number }, boolean>(
  { id: "explicit" },
  async (ctx, payload) => ctx.state.n > payload.id.length,
);
same<typeof explicit, Workflow<{ id: string }, { n: number }, boolean>>(true);

/** As the documentation has it: an agent's result where its answer is declared. */
export const documented = defineWorkflow<{ q: string }, void, string>(
  { id: "documented" },
  async (ctx, input) => ctx.step.agentInvokeAndWait("a", talker.withInput(input.q)),
);

export const bare = defineWorkflow({ id: "bare" }, async () => 1);
export const untyped = defineWorkflow({ id: "untyped" }, async (_ctx, payload) => payload.anything);

export const talker = defineAgent({ id: "talker", model: openai("gpt-4o"), tools: [look] });
same<typeof talker, Agent<string>>(true);
export const extractor = defineAgent({
  id: "extractor",
  model: "openai:gpt-4o",
  outputSchema: z.object({ age: z.number() }),
});
same<typeof extractor, Agent<{ age: number }>>(true);

export async function main(client: PolosClient): Promise<void> {
  const pair = await flow.run(client, { name: "Rome" }, { timeout: 5, idempotencyKey: "k" });
  same<typeof pair, readonly [string, number]>(true);
  same<number, Awaited<ReturnType<typeof bare.run>>>(true);
  await bare.run(client);
  await bare.run(client, undefined, { sessionId: "s" });
  const said = await talker.run(client, "hi", { reasoning: { effort: "medium" } });
  same<typeof said.result, string>(true);
  const { result } = await extractor.run(client, [{ role: "user", content: "hi" }]);
  same<typeof result, { age: number }>(true);
  const stream = await extractor.stream(client, { input: "hi" });
  for await (const chunk of stream.textChunks) same<typeof chunk, string>(true);
  same<number, Awaited<ReturnType<typeof stream.result>>["result"]["age"]>(true);
  const started = await client.invoke(flow, { name: "x" });
  same<typeof started, ExecutionHandle<readonly [string, number]>>(true);
  const found = await client.getExecution(started.id);
  if (found.status === "completed") console.log(found.result.anything);
}
