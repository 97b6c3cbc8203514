/**
 * Workflows that events start, singly and in batches, and one that waits for an event.
 *
 * Prints:
 *
 *     payment for A1 was waited for: 20
 *     shipped A1
 *     counted 3 clicks, 6 points
 */
import { randomUUID } from "node:crypto";
import {
  Polos,
  defineWorkflow,
  sleep,
  type BatchEventPayload,
  type EventPayload,
} from "@polos/sdk";

// Topics of this run of the program, so that it may be run again.
const RUN = randomUUID().slice(0, 8);
const [ORDERS, PAYMENTS, CLICKS, RESULTS] = [
  `orders-${RUN}`,
  `pay-${RUN}`,
  `clicks-${RUN}`,
  `results-${RUN}`,
];

const onOrder = defineWorkflow(
  { id: `on-order-${RUN}`, triggerOnEvent: ORDERS },
  async (ctx, event: EventPayload<{ order: string }>) => {
    const { order } = event.data;
    const tell = (key: string, type: string, data: object) =>
      ctx.step.publishEvent(key, { topic: RESULTS, type, data });
    await tell("ask", "asked", { order });
    const payment = await ctx.step.waitForEvent("payment", { topic: PAYMENTS, timeout: 60 });
    await tell("paid", "paid", {
      text: `payment for ${order} was waited for: ${payment.data.amount}`,
    });
    await tell("shipped", "shipped", { text: `shipped ${order}` });
  },
);

defineWorkflow(
  { id: `on-clicks-${RUN}`, triggerOnEvent: CLICKS, batchSize: 3, batchTimeoutSeconds: 30 },
  async (ctx, { events }: BatchEventPayload<{ points: number }>) => {
    const points = events.reduce((sum, event) => sum + event.data.points, 0);
    const text = `counted ${events.length} clicks, ${points} points`;
    await ctx.step.publishEvent("counted", { topic: RESULTS, data: { text } });
  },
);

const polos = new Polos();

/** Pays once the workflow listens: only what is published after that is heard. */
async function pay(): Promise<void> {
  for (;;) {
    for (const { id } of await polos.listExecutions({ workflowId: onOrder.id })) {
      const { waiting } = await polos.getExecution(id);
      if (!waiting.some((wait) => wait.kind === "event")) continue;
      await polos.events.publish(PAYMENTS, { data: { amount: 20 } });
      return;
    }
    await sleep(50);
  }
}

await polos.start();
await polos.events.publish(ORDERS, { data: { order: "A1" } });
let told = 0;
for await (const event of polos.events.streamTopic(RESULTS, 0)) {
  if (event.eventType === "asked") {
    await pay();
    continue;
  }
  console.log(event.data["text"]);
  told++;
  // A batch is started when it is full.
  const clicks = [1, 2, 3].map((points) => ({ data: { points } }));
  if (told === 2) await polos.events.batchPublish(CLICKS, clicks);
  if (told === 3) break;
}
await polos.stop();
