/**
 * Workflows that the clock starts, schedules per user, and a run by hand.
 *
 * Prints:
 *
 *     alice: 0 9 * * * in Asia/Tokyo, comes due at 00:00 UTC
 *     bob: 0 9 * * * in Asia/Kolkata, comes due at 03:30 UTC
 *     cleaned up for 2026-11-22
 *     left: 0
 */
import { randomUUID } from "node:crypto";
import { Polos, defineWorkflow, type SchedulePayload } from "@polos/sdk";

// Names of this run of the program, so that it may be run again.
const RUN = randomUUID().slice(0, 8);

const cleanup = defineWorkflow(
  { id: `cleanup-${RUN}`, schedule: { cron: "0 3 * * *", timezone: "UTC", key: "nightly" } },
  async (ctx, tick: Pick<SchedulePayload, "timestamp" | "key">) => {
    await ctx.step.run("clean", () => undefined);
    return `cleaned up for ${tick.timestamp.slice(0, 10)}`;
  },
);

const digest = defineWorkflow(
  { id: `digest-${RUN}`, schedule: true },
  async (_ctx, tick: SchedulePayload) => `good morning, ${tick.key}`,
);

const polos = new Polos();
await polos.start();
await polos.schedules.create(digest, "0 9 * * *", "Asia/Tokyo", "alice");
await polos.schedules.create(digest, "0 9 * * *", "Asia/Kolkata", "bob");
for (const found of await polos.schedules.list(digest)) {
  const due = found.nextTick!.toISOString().slice(11, 16);
  console.log(`${found.key}: ${found.cron} in ${found.timezone}, comes due at ${due} UTC`);
}
console.log(await cleanup.run(polos, { timestamp: "2026-11-22T03:00:00Z", key: "nightly" }));
await polos.schedules.delete(digest, "alice");
await polos.schedules.delete(digest, "bob");
await polos.schedules.delete(cleanup, "nightly");
console.log("left:", (await polos.schedules.list(digest)).length);
await polos.stop();
