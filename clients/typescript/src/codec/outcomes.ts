/** How a step or a task ended, between JavaScript and the wire. */
import { create } from "@bufbuild/protobuf";
import { PolosError, NotJsonError } from "../errors.js";
import { TaskOutcomeSchema, type TaskOutcome } from "../gen/polos/v1/steps_pb.js";

const STACK_BYTES_MAX = 16 * 1024;
const MESSAGE_CHARACTERS_MAX = 8 * 1024;
const VALUE_BYTES_MAX = 3 * 1024 * 1024; // with room for its envelope in a message of 4 MiB

/** A step or a tool gave back more than one message holds. */
export class OutcomeTooLargeError extends PolosError {}

/** An outcome with a value; `what` names the step or task for the error when it is too large. */
export function valueOutcome(text: string, what: string): TaskOutcome {
  const size = Buffer.byteLength(text);
  if (size > VALUE_BYTES_MAX) {
    throw new OutcomeTooLargeError(
      `${what} gave back ${size.toLocaleString("en")} bytes of JSON; at most ` +
        `${VALUE_BYTES_MAX.toLocaleString("en")} can be kept: store the data elsewhere and give ` +
        "back where it is",
      { reason: "OUTCOME_TOO_LARGE" },
    );
  }
  return create(TaskOutcomeSchema, { result: { case: "valueJson", value: text } });
}

/**
 * An outcome with an error: its class (or `type`), its text, its stack; of an AggregateError those
 * of the first in it. Whatever is given, there is an outcome.
 */
export function errorOutcome(
  thrown: unknown,
  what: string,
  { type = "", says = textOf } = {},
): TaskOutcome {
  const parts = partsOf(thrown);
  const first = parts[0];
  const others = parts.length - 1;
  let message = says(first);
  if (first instanceof NotJsonError) {
    message = `${what} gave back a value that has no JSON form: ${message}`;
  }
  if (others > 0) message += ` (and ${others} more)`;
  const value = {
    type: type || nameOf(first),
    message: clean(message).slice(0, MESSAGE_CHARACTERS_MAX),
    stack: tail(clean(stackOf(thrown)), STACK_BYTES_MAX),
  };
  return create(TaskOutcomeSchema, { result: { case: "error", value } });
}

/** An error, or those in an AggregateError, however deep. */
export function partsOf(thrown: unknown): unknown[] {
  if (!(thrown instanceof AggregateError) || thrown.errors.length === 0) return [thrown];
  return thrown.errors.flatMap(partsOf);
}

/** The class of what was thrown. */
export function nameOf(thrown: unknown): string {
  if (typeof thrown === "object" && thrown !== null) {
    const name = (thrown as { name?: unknown }).name;
    if (typeof name === "string" && name) return name.slice(0, 200);
    return thrown.constructor?.name || "Object";
  }
  return typeof thrown;
}

/** What was thrown says, also of what cannot say it. */
export function textOf(thrown: unknown): string {
  try {
    const message = thrown instanceof Error ? thrown.message : thrown;
    return String(message) || nameOf(thrown);
  } catch {
    return `<unprintable ${nameOf(thrown)}>`;
  }
}

/** "TypeError: x is undefined"; of our own what they say, which is whole. */
export function wholeTextOf(thrown: unknown): string {
  return thrown instanceof PolosError ? textOf(thrown) : `${nameOf(thrown)}: ${textOf(thrown)}`;
}

/** Its stack with those of its causes; empty: it has none. */
export function stackOf(thrown: unknown): string {
  const found: string[] = [];
  let error = thrown;
  for (let depth = 0; error instanceof Error && depth < 10; depth++) {
    try {
      found.push(String(error.stack ?? ""));
    } catch {
      found.push(textOf(error)); // it cannot say it
    }
    error = error.cause;
  }
  return found.filter(Boolean).join("\nCaused by: ");
}

function clean(text: string): string {
  return Buffer.from(text.replaceAll("\u0000", "\ufffd")).toString(); // lone surrogates, too
}

function tail(text: string, most: number): string {
  const bytes = Buffer.from(text);
  return bytes.length <= most ? text : bytes.subarray(bytes.length - most).toString();
}
