/** Keys of steps, and those that this package uses beside them. */
import { createHash } from "node:crypto";

export const KEY_BYTES_MAX = 512;
/** How the keys begin that this package uses itself. */
export const OWN_PREFIX = "polos.";
/** Of the fact that keeps what the state began with. */
export const INITIAL_STATE = "polos.initial_state";

/** Of the fact that a try of a step failed, from 1. */
export function keyOfTry(key: string, number: number): string {
  return short(`polos.try.${number}.${key}`);
}

/** A key of its own for each; what would be too long ends with a hash of the whole. */
function short(key: string): string {
  const bytes = Buffer.from(key);
  if (bytes.length <= KEY_BYTES_MAX) return key;
  const mark = createHash("sha256").update(bytes).digest("hex").slice(0, 32);
  const head = bytes
    .subarray(0, KEY_BYTES_MAX - mark.length - 1)
    .toString()
    .replace(/\ufffd+$/, "");
  return `${head}.${mark}`;
}
