/**
 * One queue for two workflows: at most two calls of a service at once for each customer.
 *
 * Prints:
 *
 *     30 calls made
 *     acme: never more than 2 at once
 *     bolt: never more than 2 at once
 *     the urgent one was the next to go
 */
import { Polos, Queue, defineWorkflow, sleep } from "@polos/sdk";

const service = new Queue("service", { concurrencyLimit: 2 }); // for each concurrency key
const single = new Queue("single", { totalLimit: 1 });

const atOnce: Record<string, number> = {};
const most: Record<string, number> = {};
const order: string[] = [];

/** What a service that minds how often it is called would be asked. */
async function call(customer: string): Promise<void> {
  const now = (atOnce[customer] = (atOnce[customer] ?? 0) + 1);
  most[customer] = Math.max(most[customer] ?? 0, now);
  await sleep(10);
  atOnce[customer]!--;
}

type Payload = { customer: string };
const lookup = defineWorkflow({ id: "lookup", queue: service }, (_ctx, { customer }: Payload) =>
  call(customer),
);
const update = defineWorkflow({ id: "update", queue: service }, (_ctx, { customer }: Payload) =>
  call(customer),
);

/** Starts its children into the queue, one key for each customer, and waits for all. */
const nightly = defineWorkflow({ id: "nightly" }, async (ctx, customers: string[]) => {
  const calls: Promise<void>[] = [];
  for (const customer of customers) {
    for (let number = 0; number < 5; number++) {
      for (const flow of [lookup, update]) {
        const key = `${flow.id}-${customer}-${number}`;
        const options = { concurrencyKey: customer };
        calls.push(ctx.step.invokeAndWait(key, flow, { customer }, options));
      }
    }
  }
  return (await Promise.all(calls)).length;
});

const printJob = defineWorkflow({ id: "print-job" }, async (_ctx, name: string) => {
  order.push(name);
  await sleep(name === "first" ? 200 : 0);
});

const polos = new Polos();
await polos.start();
const calls = await nightly.run(polos, ["acme", "bolt"]);
const handles = [];
for (let number = 0; number < 10; number++) {
  handles.push(await lookup.invoke(polos, { customer: "acme" }, { concurrencyKey: "acme" }));
}
for (const handle of handles) await handle.getResult();
console.log(`${calls + handles.length} calls made`);
for (const customer of ["acme", "bolt"]) {
  console.log(`${customer}: never more than ${most[customer]} at once`);
}

const jobs = [await printJob.invoke(polos, "first", { queue: single })];
jobs.push(await printJob.invoke(polos, "second", { queue: single }));
jobs.push(await printJob.invoke(polos, "urgent", { queue: single, priority: 10 }));
for (const job of jobs) await job.getResult();
if (order.join() === "first,urgent,second") console.log("the urgent one was the next to go");
await polos.stop();
