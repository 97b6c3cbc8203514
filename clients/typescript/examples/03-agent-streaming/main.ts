/**
 * An agent's answer as it is written, and all that happens, as events.
 *
 * Prints, without a key:
 *
 *     No OPENAI_API_KEY is set: the model is the built-in scripted one.
 *     Once upon a time a robot learned to paint.
 *     agent_start, step_start, stream_start, text_delta, step_finish, agent_finish
 *     the whole text again: Once upon a time a robot learned to paint.
 */
import { PolosClient, defineAgent } from "@polos/sdk";
import { MODEL, sayWhich, script } from "../models.js";

const storyteller = defineAgent({
  id: "storyteller",
  model: MODEL,
  systemPrompt: "You tell stories of one sentence.",
});

const client = PolosClient.fromEnv();
sayWhich();
const text = "Once upon a time a robot learned to paint.";
const stream = await storyteller.stream(client, "A robot learns to paint", script({ text }));
for await (const chunk of stream.textChunks) process.stdout.write(chunk);
process.stdout.write("\n");

const types = new Set<string | undefined>();
for await (const event of stream.events) types.add(event.eventType);
console.log([...types].join(", "));
console.log(`the whole text again: ${await stream.text()}`);
