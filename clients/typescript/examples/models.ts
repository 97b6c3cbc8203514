/**
 * The model of the examples: OpenAI's where OPENAI_API_KEY is set, else the built-in scripted one.
 *
 * The key is needed in the server's environment too: it is the server that asks the model.
 */
export const IS_REAL = Boolean(process.env["OPENAI_API_KEY"]);
const name = IS_REAL ? (process.env["POLOS_EXAMPLE_MODEL"] ?? "gpt-4o-mini") : "scripted";

export const MODEL = `${IS_REAL ? "openai" : "scripted"}:${name}`;

export function sayWhich(): void {
  const scripted = "No OPENAI_API_KEY is set: the model is the built-in scripted one.";
  console.log(IS_REAL ? `The model is ${name} of OpenAI.` : scripted);
}

/** What goes along with a run: for the scripted model, what it says; for a real one nothing. */
export function script(...turns: object[]): { script?: object[] } {
  return IS_REAL ? {} : { script: turns };
}

/** A turn of the script that calls a tool. */
export function calls(tool: string, given: object): object {
  return { tool_calls: [{ name: tool, arguments: given }] };
}
