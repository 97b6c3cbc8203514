/**
 * Steps, retries, a wait and a child. Kill the server meanwhile: no step is done twice.
 *
 * Prints:
 *
 *     try 1 of the gateway
 *     try 2 of the gateway
 *     receipt-42 parcel-42 Thank you for 42!
 */
import { PolosClient, defineWorkflow } from "@polos/sdk";
import { z } from "zod";

let tries = 0;

async function charge(order: string): Promise<string> {
  console.log(`try ${++tries} of the gateway`);
  if (tries === 1) throw new Error("the gateway is busy");
  return `receipt-${order}`;
}

const thank = defineWorkflow({ id: "thank" }, async (ctx, order: string) =>
  ctx.step.run("mail", () => `Thank you for ${order}!`),
);

const fulfilOrder = defineWorkflow(
  { id: "fulfil-order", payloadSchema: z.object({ order: z.string() }) },
  async (ctx, { order }) => {
    const receipt = await ctx.step.run("charge", () => charge(order), { baseDelay: 100 });
    await ctx.step.waitFor("packing", { seconds: 0.5 });
    const parcel = await ctx.step.run("ship", () => `parcel-${order}`);
    const thanked = await ctx.step.invokeAndWait("thank", thank, order);
    return { receipt, parcel, thanked };
  },
);

const { receipt, parcel, thanked } = await fulfilOrder.run(PolosClient.fromEnv(), { order: "42" });
console.log(receipt, parcel, thanked);
