/**
 * Values as JSON text, and what is refused with a sentence.
 *
 * Integers over 2^53 are read as bigint, and a bigint is written as its digits. Dates are written
 * as ISO 8601, byte arrays as base64, sets as arrays, maps as objects.
 */
import { InvalidArgumentError, NotJsonError } from "../errors.js";

const MARK = "\u0000big:"; // begins no text of a value: U+0000 is refused
const BIG_TEXT = /"\\u0000big:(-?\d+)"/g;
const LONG_INTEGER = /"(?:[^"\\]|\\.)*"|(?<![\d.eE+-])-?\d{16,}(?![\d.eE])/g;
const HAS_LONG_INTEGER = /\d{16}/;

/** The JSON text of a value. Throws NotJsonError, which says where, for what has no JSON form. */
export function stringify(value: unknown): string {
  const plain = plainOf(value, [], new Set());
  const text = JSON.stringify(plain) as string | undefined;
  return text === undefined ? "null" : text.replace(BIG_TEXT, "$1");
}

/** As stringify(), of what a caller gave; throws InvalidArgumentError, which begins with `what`. */
export function stringifyArgument(value: unknown, what: string, field: string): string {
  try {
    return stringify(value);
  } catch (error) {
    if (!(error instanceof NotJsonError)) throw error;
    throw new InvalidArgumentError(`${what} has no JSON form: ${error.message}`, { field });
  }
}

/** The value of a JSON text. Throws SyntaxError for what is none. */
export function parse(text: string): unknown {
  if (!HAS_LONG_INTEGER.test(text)) return JSON.parse(text);
  const marked = text.replace(LONG_INTEGER, (token) =>
    token.startsWith('"') || Number.isSafeInteger(Number(token)) ? token : `"\\u0000big:${token}"`,
  );
  return JSON.parse(marked, (_key, value: unknown) =>
    typeof value === "string" && value.startsWith(MARK) ? BigInt(value.slice(MARK.length)) : value,
  );
}

/** A value kept as JSON text; null for none. What is no JSON stays the text it is. */
export function parsed(text: string): unknown {
  if (!text) return null;
  try {
    return parse(text);
  } catch {
    return text;
  }
}

/** What a text has that no JSON text may hold; empty: nothing. */
export function problemOfText(text: string): string {
  if (text.includes("\u0000")) return "holds U+0000";
  return isWellFormed(text) ? "" : "is not valid Unicode";
}

function isWellFormed(text: string): boolean {
  for (let at = 0; at < text.length; at++) {
    const code = text.charCodeAt(at);
    if (code < 0xd800 || code > 0xdfff) continue;
    const next = text.charCodeAt(at + 1);
    if (code > 0xdbff || !(next >= 0xdc00 && next <= 0xdfff)) return false;
    at++;
  }
  return true;
}

type Path = (string | number)[];

/** What JSON.stringify takes, without anything it would leave out or change in silence. */
function plainOf(value: unknown, path: Path, above: Set<object>): unknown {
  switch (typeof value) {
    case "string":
      return checkedText(value, path);
    case "number":
      return Number.isFinite(value) ? value : refuse(path, `${value} is no number of JSON`);
    case "bigint":
      return MARK + String(value);
    case "boolean":
    case "undefined":
      return value;
    case "object":
      return value === null ? null : plainOfObject(value, path, above);
    default:
      return refuse(path, `a ${typeof value} has no JSON form`);
  }
}

function plainOfObject(value: object, path: Path, above: Set<object>): unknown {
  if (above.has(value)) return refuse(path, "it holds itself");
  above.add(value);
  try {
    return plainOfKind(value, path, above);
  } finally {
    above.delete(value);
  }
}

function plainOfKind(value: object, path: Path, above: Set<object>): unknown {
  if (Array.isArray(value)) return plainOfArray(value, path, above);
  if (value instanceof Uint8Array) return Buffer.from(value).toString("base64");
  if (value instanceof Set) return plainOfArray([...value], path, above);
  if (value instanceof Map) return plainOfMap(value, path, above);
  if (value instanceof Promise) return refuse(path, "a promise has no JSON form: await it");
  const toJson = (value as { toJSON?: unknown }).toJSON;
  if (typeof toJson === "function") {
    return plainOf((toJson as (key: string) => unknown).call(value, ""), path, above);
  }
  if (value instanceof Error || value instanceof WeakMap || value instanceof RegExp) {
    return refuse(path, `a ${value.constructor.name} has no JSON form`);
  }
  return plainOfEntries(Object.entries(value), path, above);
}

function plainOfArray(values: unknown[], path: Path, above: Set<object>): unknown[] {
  return values.map((each, at) => plainOf(each, [...path, at], above) ?? null);
}

function plainOfMap(value: Map<unknown, unknown>, path: Path, above: Set<object>): unknown {
  const entries: [string, unknown][] = [];
  for (const [key, each] of value) {
    if (typeof key !== "string" && typeof key !== "number") {
      return refuse(path, "a Map whose keys are no texts has no JSON form");
    }
    entries.push([String(key), each]);
  }
  if (new Set(entries.map(([key]) => key)).size !== entries.length) {
    return refuse(path, "two keys of a Map have one text");
  }
  return plainOfEntries(entries, path, above);
}

function plainOfEntries(entries: [string, unknown][], path: Path, above: Set<object>): unknown {
  const found: Record<string, unknown> = {};
  for (const [key, each] of entries) {
    checkedText(key, path);
    const plain = plainOf(each, [...path, key], above);
    if (plain === undefined) continue;
    Object.defineProperty(found, key, {
      value: plain,
      enumerable: true,
      configurable: true,
      writable: true,
    });
  }
  return found;
}

function checkedText(text: string, path: Path): string {
  const problem = problemOfText(text);
  return problem ? refuse(path, `a text ${problem}`) : text;
}

function refuse(path: Path, why: string): never {
  const where = path.map((part) => (typeof part === "number" ? `[${part}]` : `.${part}`)).join("");
  throw new NotJsonError(where ? `${where.replace(/^\./, "")}: ${why}` : why);
}
