/** When an agent's loop ends before the model is done. */
import { InvalidArgumentError, UnsupportedFeatureError } from "../errors.js";

/** A condition the server checks after every turn; 0: not limited by this one. */
export interface StopCondition {
  readonly maxSteps: number;
  readonly maxTotalTokens: number;
}

const STEPS = 20;
const STEPS_MAX = 1000;

/**
 * Ends the run after so many model calls: `maxSteps({ count: 5 })`.
 *
 * @param config `count`, or `limit`, the same: 1 to 1000. Default: 20.
 */
export function maxSteps(config: { count?: number; limit?: number } = {}): StopCondition {
  const count = config.count ?? config.limit ?? STEPS;
  if (Number.isInteger(count) && count >= 1 && count <= STEPS_MAX) {
    return { maxSteps: count, maxTotalTokens: 0 };
  }
  throw new InvalidArgumentError(`maxSteps is ${count}: it is 1 to ${STEPS_MAX}`, {
    field: "count",
  });
}

/** Ends the run once it used so many tokens: `maxTokens({ limit: 50000 })`. */
export function maxTokens(config: { limit: number }): StopCondition {
  if (Number.isInteger(config.limit) && config.limit >= 1) {
    return { maxSteps: 0, maxTotalTokens: config.limit };
  }
  throw new InvalidArgumentError(`maxTokens is ${config.limit}: it is 1 or more`, {
    field: "limit",
  });
}

/** The strictest of all. Throws UnsupportedFeatureError for conditions of other kinds. */
export function combined(conditions: readonly unknown[]): StopCondition {
  const found = conditions.map((each) => (each === maxSteps ? maxSteps() : each));
  for (const each of found) {
    if (isCondition(each)) continue;
    const name = typeof each === "function" ? each.name : String(each);
    throw new UnsupportedFeatureError(
      `defineAgent({ stopConditions: [${name}] })`,
      "maxSteps and maxTokens are",
    );
  }
  const all = found as StopCondition[];
  return {
    maxSteps: least(all.map((each) => each.maxSteps)),
    maxTotalTokens: least(all.map((each) => each.maxTotalTokens)),
  };
}

function isCondition(value: unknown): value is StopCondition {
  return typeof value === "object" && value !== null && "maxSteps" in value;
}

/** The least that is not 0; 0: there is none. */
function least(limits: number[]): number {
  const given = limits.filter((limit) => limit > 0);
  return given.length ? Math.min(...given) : 0;
}
