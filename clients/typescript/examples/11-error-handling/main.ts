/**
 * Retries, fallbacks, compensation, runs that fail and runs that are tried again.
 *
 * Prints:
 *
 *     fallback: from the cache, as ConnectionError came 2 times
 *     compensated: flight,hotel then undone hotel,flight
 *     failed: WORKFLOW_FAILED
 *     tried again: ok after 1 failure, paid once
 */
import { PolosClient, RunFailedError, StepExecutionError, defineWorkflow } from "@polos/sdk";

class ConnectionError extends Error {
  override name = "ConnectionError";
}

const calls: Record<string, number> = {};
const count = (name: string) => (calls[name] = (calls[name] ?? 0) + 1);

function primary(): string {
  count("primary");
  throw new ConnectionError("the primary is down");
}

function book(what: string): string {
  if (what === "car") throw new Error("no cars left");
  return what;
}

const withFallback = defineWorkflow({ id: "with-fallback" }, async (ctx) => {
  try {
    return await ctx.step.run("primary", primary, { maxRetries: 1, baseDelay: 50 });
  } catch (error) {
    if (!(error instanceof StepExecutionError)) throw error;
    const told = `as ${error.errorType} came ${calls["primary"]} times`;
    return ctx.step.run("fallback", () => `from the cache, ${told}`);
  }
});

const withCompensation = defineWorkflow({ id: "with-compensation" }, async (ctx) => {
  const booked: string[] = [];
  try {
    for (const what of ["flight", "hotel", "car"]) {
      booked.push(await ctx.step.run(`book-${what}`, () => book(what), { maxRetries: 0 }));
    }
    return "all booked";
  } catch (error) {
    if (!(error instanceof StepExecutionError)) throw error;
    const undone: string[] = [];
    for (const what of [...booked].reverse()) {
      undone.push(await ctx.step.run(`undo-${what}`, () => what));
    }
    return `${booked.join()} then undone ${undone.join()}`;
  }
});

const fails = defineWorkflow({ id: "fails" }, async (ctx) => {
  await ctx.step.run("impossible", () => book("car"), { maxRetries: 0 });
});

const shakyCode = defineWorkflow({ id: "shaky-code" }, async (ctx) => {
  await ctx.step.run("pay", () => count("paid"));
  if (ctx.retryCount === 0) throw new Error("the code itself fails; its steps stay settled");
  return `ok after ${ctx.retryCount} failure, paid ${calls["paid"] === 1 ? "once" : "twice"}`;
});

const client = PolosClient.fromEnv();
console.log("fallback:", await withFallback.run(client));
console.log("compensated:", await withCompensation.run(client));
try {
  await fails.run(client);
} catch (error) {
  if (!(error instanceof RunFailedError)) throw error;
  console.log("failed:", error.reason);
}
console.log("tried again:", await shakyCode.run(client, undefined, { maxRetries: 3 }));
