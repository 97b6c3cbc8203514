/** Parts of code that are given up as a whole: their time is over, or a signal says so. */
import { AsyncLocalStorage } from "node:async_hooks";

/** A part of an execution's code. */
export class Part {
  /** Why it was given up; undefined: it was not. */
  error: Error | undefined;
  /** What it stands in. */
  readonly above = running.getStore();

  /** Runs code as this part. */
  run<T>(work: () => T): T {
    return running.run(this, work);
  }
}

const running = new AsyncLocalStorage<Part>();

/** The part that the code which runs now stands in; undefined: in none. */
export function currentPart(): Part | undefined {
  return running.getStore();
}

/** Whether a part is this one, or stands in it. */
export function isWithin(part: Part | undefined, outer: Part): boolean {
  return part !== undefined && (part === outer || isWithin(part.above, outer));
}

/** Why a part, or one it stands in, was given up; undefined: it was not. */
export function whyGivenUp(part: Part | undefined): Error | undefined {
  return part && (part.error ?? whyGivenUp(part.above));
}
