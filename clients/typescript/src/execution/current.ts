/** Which task the code that runs now belongs to. */
import { AsyncLocalStorage } from "node:async_hooks";

/** A task at work in this process. */
export interface CurrentTask {
  readonly taskId: string;
  readonly runId: string;
}

export const currentTask = new AsyncLocalStorage<CurrentTask>();

/** Runs started from inside a task would start again when the task is repeated. */
export function refuseInsideTask(what: string): void {
  if (currentTask.getStore() === undefined) return;
  throw new TypeError(
    `${what} cannot be called inside a tool or workflow: the call would be made again whenever ` +
      "the code runs again. Use ctx.step.invokeAndWait or ctx.step.agentInvokeAndWait",
  );
}
