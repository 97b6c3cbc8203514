/** Programs whose types are wrong: each mistake is one the compiler finds. */
import { PolosClient, defineAgent, defineTool, defineWorkflow } from "@polos/sdk";
import { z } from "zod";

const client = new PolosClient();
const city = z.object({ name: z.string() });
const look = defineTool({ id: "look", description: "", inputSchema: city }, async (_ctx, input) => {
  // @ts-expect-error: the schema has no such field
  void input.nmae;
  return { celsius: 1 };
});

export const flow = defineWorkflow({ id: "flow", payloadSchema: city }, async (ctx, payload) => {
  // @ts-expect-error: the schema has no such field
  void payload.town;
  // @ts-expect-error: a wrong payload
  await ctx.step.invokeAndWait("a", look, { name: 1 });
  // @ts-expect-error: a misspelt field
  await ctx.step.invokeAndWait("b", look, { nmae: "x" });
  // @ts-expect-error: a payload is needed
  await ctx.step.invokeAndWait("c", look);
  // @ts-expect-error: the result has no such field
  void (await ctx.step.invokeAndWait("d", look, { name: "x" })).fahrenheit;
  // @ts-expect-error: the function takes a number
  await ctx.step.run("e", (n: number) => n, "text");
  // @ts-expect-error: no such option
  await ctx.step.waitFor("f", { second: 1 });
  // @ts-expect-error: the answer has no such field
  void (await ctx.step.suspend("g", { schema: city })).town;
  // @ts-expect-error: the runs of agents are made by withInput()
  await ctx.step.agentInvokeAndWait("h", extractor);
  return payload.name;
});

const stateful = defineWorkflow(
  { id: "state", stateSchema: z.object({ n: z.number() }) },
  async (ctx) => {
    // @ts-expect-error: the state has no such field
    ctx.state.m = 1;
    return ctx.state.n;
  },
);

// @ts-expect-error: no such option
defineWorkflow({ id: "x", payloadShema: city }, async () => 1);
// @ts-expect-error: the result is declared a string
defineWorkflow<{ a: number }, void, string>({ id: "x" }, async () => 1);
// @ts-expect-error: a tool needs a description
defineTool({ id: "x" }, async () => 1);
// @ts-expect-error: an agent needs a model
defineAgent({ id: "x" });
// @ts-expect-error: a workflow is no tool
defineAgent({ id: "x", model: "openai:m", tools: [flow] });

const extractor = defineAgent({ id: "e", model: "openai:m", outputSchema: city });

export async function main(): Promise<void> {
  // @ts-expect-error: a wrong payload
  await flow.run(client, { name: 1 });
  // @ts-expect-error: a payload is needed
  await flow.run(client);
  // @ts-expect-error: no such option
  await flow.run(client, { name: "x" }, { timeuot: 1 });
  // @ts-expect-error: the result is a number
  const text: string = await stateful.run(client);
  // @ts-expect-error: the answer has no such field
  void (await extractor.run(client, "x")).result.town;
  // @ts-expect-error: an agent is told a text or messages
  await extractor.run(client, 7);
  // @ts-expect-error: no such status
  await client.listExecutions({ status: "done" });
  void text;
}
