/**
 * A run's journal, as text for people and as JSON.
 *
 *     const history = await client.history(runId);
 *     console.log(history.text());
 *
 * Invariant: one line a fact, whatever the fact holds: payloads are shortened, control characters
 * are escaped, and values under names of secrets are not shown.
 */
import { InvalidArgumentError } from "../errors.js";
import { Words, jsonOf, printable, withoutSecrets } from "./words.js";
import type { HistoryEvent } from "./types.js";

const PAYLOAD_CHARACTERS = 120; // of one value in a line of text, unless told otherwise

/**
 * The facts of a run, oldest first.
 *
 * What stands under a name such as "api_key", "authorization", "password", "secret", "token" or
 * "credentials" is left out of text() and json(). It is still in the journal and in `event.data`:
 * keep secrets out of payloads.
 */
export class History extends Array<HistoryEvent> {
  static override get [Symbol.species](): ArrayConstructor {
    return Array; // what map() and filter() give is no history
  }

  /**
   * A table for people: number, time (UTC), seconds since the run's start, what happened. The
   * number is what client.fork() takes.
   *
   * @param payloadCharacters how many of each value are shown, 1 or more; what was cut ends with
   *   "...".
   */
  text(payloadCharacters = PAYLOAD_CHARACTERS): string {
    if (!(payloadCharacters >= 1)) {
      throw new InvalidArgumentError(
        `payloadCharacters is ${payloadCharacters}: it is 1 or more`,
        { field: "payloadCharacters" },
      );
    }
    const words = new Words(payloadCharacters);
    return [words.header(), ...this.map((event) => words.line(event))].join("\n");
  }

  /** Where in the code the last failure that says so was thrown; empty: none does. */
  stack(): string {
    for (const { data } of [...this].reverse()) {
      const error = (data["error"] ?? data["run"]?.error) as { stack?: string } | undefined;
      if (!error?.stack) continue;
      return error.stack.replaceAll("\t", "    ").split("\n").map(printable).join("\n");
    }
    return "";
  }

  /** All of it: an array of objects with the attributes of HistoryEvent. */
  json(indent = 2): string {
    return jsonOf(withoutSecrets([...this]), indent);
  }
}
