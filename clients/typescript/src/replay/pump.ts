/**
 * When code has nothing left to run: at the next macrotask all that a promise had to set off has
 * run. So each execution is looked at once in a macrotask, and given one fact at most.
 */

/** An execution, as far as the pump needs one. */
export interface Pumped {
  /** Its code has nothing left to run. */
  look(): void;
}

const waiting = new Set<Pumped>();
let isArmed = false;

/** Has an execution looked at when its code has nothing left to run. */
export function pumpSoon(execution: Pumped): void {
  waiting.add(execution);
  if (isArmed) return;
  isArmed = true;
  setImmediate(pump);
}

function pump(): void {
  isArmed = false;
  const due = [...waiting];
  waiting.clear();
  for (const execution of due) execution.look();
}
