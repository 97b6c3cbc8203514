/**
 * A run that asks twice; somebody else follows it and answers.
 *
 * Prints:
 *
 *     asked for name: Who are you?
 *     asked for confirmation: A trip for Ann: shall I book it?
 *     the last one is open: false, answered by the terminal
 *     completed: booked a trip for Ann
 */
import { PolosClient, defineWorkflow } from "@polos/sdk";
import { z } from "zod";

const ANSWERS: Record<string, object> = { name: { name: "Ann" }, confirmation: { yes: true } };

const concierge = defineWorkflow({ id: "concierge" }, async (ctx) => {
  const { name } = await ctx.step.suspend("name", {
    data: { question: "Who are you?" },
    schema: z.object({ name: z.string() }),
  });
  const { yes } = await ctx.step.suspend("confirmation", {
    data: { question: `A trip for ${name}: shall I book it?` },
    schema: z.object({ yes: z.boolean() }),
    timeout: 3600,
  });
  if (!yes) return "nothing was booked";
  return ctx.step.run("book", () => `booked a trip for ${name}`);
});

const client = PolosClient.fromEnv();
const handle = await concierge.invoke(client);
for await (const event of client.events.streamWorkflow("concierge", handle.id)) {
  const key = /^suspend_(.*)/.exec(event.eventType ?? "")?.[1];
  if (!key) continue;
  console.log(`asked for ${key}: ${String(event.data["question"])}`);
  await client.resume("concierge", handle.id, key, ANSWERS[key], "the terminal");
}
const last = await client.getSuspension(handle.id, "confirmation");
console.log(`the last one is open: ${last.isOpen}, answered by ${last.resumedBy}`);
const run = await handle.get();
console.log(`${run.status}: ${run.result}`);
