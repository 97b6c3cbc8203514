/** Waits so many milliseconds; not durable: inside a workflow use ctx.step.waitFor. */
export function sleep(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
