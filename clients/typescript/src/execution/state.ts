/** The state of a run: a value its code changes, kept with the steps that changed it. */
import { parse, stringifyArgument } from "../codec/json.js";
import { OutcomeTooLargeError } from "../codec/outcomes.js";
import { fit, type StandardSchema } from "../codec/schema.js";
import { InvalidArgumentError } from "../errors.js";

const STATE_BYTES_MAX = 1024 * 1024;

/**
 * What `ctx.state` gives: what the schema makes of it, or an object.
 *
 * A replay begins with the initial state and lets the code change it again; at the last settled
 * step it is set to what that step left behind.
 */
export class State {
  value: any = {};
  /** JSON text, as the server has it; empty: none. */
  sent: string;
  private kept: unknown; // what the last settled step left behind; undefined: nothing
  private readonly keptText: string;
  private before = ""; // what begin() made of it

  constructor(sent: string) {
    this.sent = sent;
    this.keptText = sent;
  }

  /** Throws InvalidArgumentError when the initial state does not fit the schema. */
  async begin(schema: StandardSchema | undefined, initial: string): Promise<void> {
    this.value = await fittedState(schema, initial || "{}");
    if (this.keptText) this.kept = await fittedState(schema, this.keptText);
    this.before = this.text();
  }

  /** Sets it, in place, to what the last settled step left behind. */
  restore(): void {
    if (this.kept === undefined || this.text() === this.keptText) return;
    const isObject = typeof this.value === "object" && this.value !== null;
    if (!isObject || Array.isArray(this.value)) {
      this.value = this.kept;
      return;
    }
    for (const key of Object.keys(this.value)) delete this.value[key];
    Object.assign(this.value, this.kept);
  }

  /** Its JSON text when the server has another one; empty: it is as it was. */
  changed(): string {
    const text = this.text();
    if (text === (this.sent || this.before)) return "";
    const size = Buffer.byteLength(text);
    if (size > STATE_BYTES_MAX) {
      throw new OutcomeTooLargeError(
        `the state has ${size} bytes of JSON; at most ${STATE_BYTES_MAX} can be kept: store the ` +
          "data elsewhere and keep where it is",
        { reason: "STATE_TOO_LARGE" },
      );
    }
    return text;
  }

  private text(): string {
    return stringifyArgument(this.value, "the state", "state");
  }
}

async function fittedState(schema: StandardSchema | undefined, text: string): Promise<unknown> {
  const value = parse(text);
  if (schema === undefined) return value;
  const found = await fit(schema, value);
  if (found.problem === undefined) return found.value;
  throw new InvalidArgumentError(`the state does not fit its schema: ${found.problem}`, {
    field: "state",
  });
}
