/**
 * An agent that is made to think in steps: its answer has a place for them, and is streamed.
 *
 * Prints, without a key:
 *
 *     No OPENAI_API_KEY is set: the model is the built-in scripted one.
 *     {"steps":["The bat is 1.00 more.","So the ball is 0.05."],"answer":"0.05","certainty":0.98}
 *     1. The bat is 1.00 more.
 *     2. So the ball is 0.05.
 *     0.05 (certain: 0.98)
 */
import { PolosClient, defineAgent } from "@polos/sdk";
import { z } from "zod";
import { MODEL, sayWhich, script } from "../models.js";

const Thought = z.object({
  steps: z.array(z.string()).describe("One thought after the other, before the answer"),
  answer: z.string(),
  certainty: z.number().describe("0 to 1"),
});

const thinker = defineAgent({
  id: "thinker",
  model: MODEL,
  systemPrompt: "Think in small steps, check each, then answer.",
  outputSchema: Thought,
});

const QUESTION = "A bat and a ball cost 1.10. The bat costs 1.00 more than the ball. And the ball?";
const ANSWER: z.infer<typeof Thought> = {
  steps: ["The bat is 1.00 more.", "So the ball is 0.05."],
  answer: "0.05",
  certainty: 0.98,
};

const client = PolosClient.fromEnv();
sayWhich();
const stream = await thinker.stream(client, QUESTION, script({ text: JSON.stringify(ANSWER) }));
for await (const chunk of stream.textChunks) process.stdout.write(chunk);
process.stdout.write("\n");
const { result: thought } = await stream.result();
thought.steps.forEach((step, at) => console.log(`${at + 1}. ${step}`));
console.log(`${thought.answer} (certain: ${thought.certainty})`);
