/**
 * State that is kept with the steps that change it.
 *
 * Prints:
 *
 *     result: 3 items, 17
 *     state: {"items":["gift","tea","cup"],"total":17,"phase":"paid"}
 */
import { PolosClient, defineWorkflow } from "@polos/sdk";
import { z } from "zod";

const CartState = z.object({
  items: z.array(z.string()).default([]),
  total: z.number().default(0),
  phase: z.string().default("open"),
});

const cart = defineWorkflow(
  {
    id: "cart",
    payloadSchema: z.object({ items: z.record(z.string(), z.number()) }),
    stateSchema: CartState,
  },
  async (ctx, payload) => {
    for (const [item, price] of Object.entries(payload.items)) {
      ctx.state.items.push(item);
      ctx.state.total += await ctx.step.run(`price-${item}`, () => price);
    }
    ctx.state.phase = "waiting";
    await ctx.step.waitFor("for the bank", { seconds: 0.2 });
    ctx.state.phase = "paid";
    return `${ctx.state.items.length} items, ${ctx.state.total}`;
  },
);

const client = PolosClient.fromEnv();
const initialState = { items: ["gift"] };
const handle = await cart.invoke(client, { items: { tea: 5, cup: 12 } }, { initialState });
console.log("result:", await handle.getResult());
console.log("state:", JSON.stringify((await handle.get()).state));
