/**
 * An order that an agent looks at and a person approves, from another process.
 *
 * Prints, without a key:
 *
 *     No OPENAI_API_KEY is set: the model is the built-in scripted one.
 *     the agent says: order A7 looks unusual
 *     asked for an approval of 950
 *     (another process) approved
 *     shipped A7, approved by the manager
 */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";
import { PolosClient, defineAgent, defineTool, defineWorkflow } from "@polos/sdk";
import { z } from "zod";
import { MODEL, calls, sayWhich, script } from "../models.js";

const lookUp = defineTool(
  {
    id: "look_up",
    description: "Look up an order",
    inputSchema: z.object({ order: z.string() }),
  },
  async (_ctx, { order }) => ({ order, usual: false }),
);

const analyst = defineAgent({
  id: "order-analyst",
  model: MODEL,
  systemPrompt: "You judge orders.",
  tools: [lookUp],
});

const orderProcessing = defineWorkflow(
  {
    id: "order-processing",
    payloadSchema: z.object({ order: z.string(), amount: z.number() }),
  },
  async (ctx, { order, amount }) => {
    const says = script(calls("look_up", { order }), { text: `order ${order} looks unusual` });
    const asked = analyst.withInput(`Is ${order} usual?`, says);
    const opinion = await ctx.step.agentInvokeAndWait("judge", asked);
    const data = { text: opinion.result };
    await ctx.step.publishWorkflowEvent("opinion", { data, type: "opinion" });
    const answer = await ctx.step.suspend("approve", { data: { order, amount }, timeout: 86400 });
    if (!answer.data.approved) return `cancelled ${order}`;
    return ctx.step.run("ship", () => `shipped ${order}, approved by ${answer.resumedBy}`);
  },
);

const client = PolosClient.fromEnv();

/** What the other process does; it knows only where the server is. */
async function approve(run: string): Promise<void> {
  const answer = { approved: true };
  const told = await client.resume("order-processing", run, "approve", answer, "the manager");
  console.log("(another process)", told.accepted ? "approved" : "was approved before");
}

async function order(): Promise<void> {
  sayWhich();
  const handle = await orderProcessing.invoke(client, { order: "A7", amount: 950 });
  for await (const event of client.events.streamWorkflow("order-processing", handle.id)) {
    if (event.eventType === "opinion") console.log("the agent says:", event.data["text"]);
    if (event.eventType !== "suspend_approve") continue;
    console.log("asked for an approval of", event.data["amount"]);
    const words = [fileURLToPath(import.meta.url), "approve", handle.id];
    const other = spawn(process.execPath, words, { stdio: ["ignore", "inherit", "inherit"] });
    await once(other, "exit");
  }
  console.log(await handle.getResult());
}

const [command, run] = process.argv.slice(2);
await (command === "approve" ? approve(run!) : order());
