/** What callers give, checked before the server sees it. */
import { problemOfText } from "./codec/json.js";
import { InvalidArgumentError, UnsupportedFeatureError } from "./errors.js";

const ID = /^[A-Za-z0-9_.-]{1,128}$/;
const TOOL_NAME = /^[A-Za-z0-9_-]{1,64}$/;
const SHOWN_CHARACTERS = 60;

/** A name of the caller's as text; undefined: empty. Throws InvalidArgumentError. */
export function checkedText(given: unknown, field: string): string {
  const text = given === undefined || given === null ? "" : String(given);
  const problem = problemOfText(text);
  if (problem) throw new InvalidArgumentError(`${field} ${shown(text)} ${problem}`, { field });
  return text;
}

/** An id as the server takes it. Throws InvalidArgumentError. */
export function checkedId(id: unknown, what: string): string {
  if (typeof id === "string" && ID.test(id)) return id;
  throw new InvalidArgumentError(
    `${what} id ${shown(id)} is no id: 1 to 128 letters, digits, '_', '-' or '.'`,
    { field: "id" },
  );
}

/** A tool's id, which models are told. Throws InvalidArgumentError. */
export function checkedToolName(id: unknown): string {
  if (typeof id === "string" && TOOL_NAME.test(id)) return id;
  throw new InvalidArgumentError(
    `tool id ${shown(id)} is no name that models can be told: 1 to 64 letters, digits, '_' or '-'`,
    { field: "id" },
  );
}

/** Throws for each argument of a feature this release does not have, when it was given. */
export function refuse(what: string, given: object, names: readonly string[]): void {
  for (const name of names) {
    const value = (given as Record<string, unknown>)[name];
    const isEmpty = Array.isArray(value) && value.length === 0;
    if (value !== undefined && value !== null && value !== false && !isEmpty) {
      throw new UnsupportedFeatureError(`${what}({ ${name} })`);
    }
  }
}

/**
 * Throws InvalidArgumentError for what is none of `names`: misspelt options are not passed over.
 */
export function checkNames(what: string, given: object, names: readonly string[]): void {
  for (const name of Object.keys(given)) {
    if (names.includes(name)) continue;
    const meant = nearest(name, names);
    const hint = meant ? `; did you mean ${meant}?` : "";
    throw new InvalidArgumentError(`${what} has no option ${shown(name)}${hint}`, {
      field: name,
    });
  }
}

/** The name that is meant by one that is nearly it; undefined: none. */
export function nearest(name: string, names: readonly string[]): string | undefined {
  return names.find((known) => isNearly(name, known));
}

/** A value in a sentence, cut where it is long. */
export function shown(value: unknown): string {
  const text = typeof value === "string" ? value : String(value);
  return JSON.stringify(
    text.length <= SHOWN_CHARACTERS ? text : text.slice(0, SHOWN_CHARACTERS) + "...",
  );
}

const EDITED_LETTERS_MIN = 6;

/** But for case and underscores, or one letter of six and more. */
function isNearly(name: string, known: string): boolean {
  const [one, other] = [name, known].map((each) => each.replaceAll("_", "").toLowerCase()) as [
    string,
    string,
  ];
  return one === other || (known.length >= EDITED_LETTERS_MIN && isOneEdit(one, other));
}

/** Whether a letter more, less, changed, or two exchanged, make one of the other. */
function isOneEdit(one: string, other: string): boolean {
  if (Math.abs(one.length - other.length) > 1) return false;
  let same = 0;
  while (same < Math.min(one.length, other.length) && one[same] === other[same]) same++;
  const [a, b] = [one.slice(same), other.slice(same)];
  const exchanged = a.length > 1 && a[0] === b[1] && a[1] === b[0] && a.slice(2) === b.slice(2);
  return a.slice(1) === b || a === b.slice(1) || a.slice(1) === b.slice(1) || exchanged;
}
