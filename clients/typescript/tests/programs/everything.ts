/**
 * A client and a host, in whatever runs JavaScript: an agent with a tool, streamed; a workflow that
 * steps, waits, asks, gives up; a loop that is blocked for longer than a lease.
 */
import { Polos, TimeoutError, defineAgent, defineTool, defineWorkflow } from "@polos/sdk";

const polos = new Polos({ apiUrl: process.argv[2] });

const add = defineTool({ id: "add", description: "Adds" }, async () => 7);
const agent = defineAgent({ id: "adder", model: "scripted:m", tools: [add] });

const flow = defineWorkflow({ id: "everything" }, async (ctx, n: number) => {
  const more = await ctx.step.run("more", () => n + 1);
  await ctx.step.waitFor("nap", { seconds: 0.05 });
  const late = await ctx.step
    .timeout("patience", 0.05, () => ctx.step.suspend("ask"))
    .catch((error: unknown) => error instanceof TimeoutError);
  return [more, late];
});

const blocked = defineWorkflow({ id: "blocked" }, async (ctx) => {
  await ctx.step.run("spin", () => {
    const until = performance.now() + 3000;
    while (performance.now() < until);
  });
  return ctx.attempt;
});

await polos.start();
console.log(JSON.stringify(await flow.run(polos, 1)));
const script = [{ tool_calls: [{ name: "add", arguments: {} }] }, { text: "that is seven" }];
const stream = await agent.stream(polos, "Add!", { script });
let text = "";
for await (const chunk of stream.textChunks) text += chunk;
console.log(text, (await stream.result()).total_steps);
console.log("attempts:", await blocked.run(polos));
await polos.stop();
