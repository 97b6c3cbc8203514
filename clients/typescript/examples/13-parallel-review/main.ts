/**
 * Several reviewers at once: child runs, and agents.
 *
 * Prints, without a key:
 *
 *     No OPENAI_API_KEY is set: the model is the built-in scripted one.
 *     grammar: 2 findings
 *     facts: 1 finding
 *     style: it failed: the style guide is missing
 *     the editors say: accept, accept
 */
import { readFile } from "node:fs/promises";
import { PolosClient, defineAgent, defineWorkflow } from "@polos/sdk";
import { MODEL, sayWhich, script } from "../models.js";

const editor = defineAgent({
  id: "editor",
  model: MODEL,
  systemPrompt: "You decide whether a text is accepted.",
});

type Part = { aspect: string; lookFor: string; text: string };

const review = defineWorkflow({ id: "review" }, async (ctx, part: Part) => {
  if (part.aspect === "style") {
    const guide = () => readFile("no such style guide", "utf8");
    await ctx.step.run("guide", guide, { maxRetries: 0 });
  }
  return ctx.step.run("look", () => part.text.split(part.lookFor).length - 1);
});

const parallelReview = defineWorkflow({ id: "parallel-review" }, async (ctx, text: string) => {
  const aspects = Object.entries({ grammar: "ain't", facts: "flat", style: "" });
  const accepts = () => editor.withInput(text, script({ text: "accept" }));
  const [found, said] = await Promise.all([
    ctx.step.batchInvokeAndWait<number>(
      "reviews",
      aspects.map(([aspect, lookFor]) => ({
        workflow: review,
        payload: { aspect, lookFor, text },
      })),
    ),
    ctx.step.batchAgentInvokeAndWait("editors", [accepts(), accepts()]),
  ]);
  const lines = aspects.map(([aspect], at) => {
    const { success, result } = found[at]!;
    if (!success) return `${aspect}: it failed: the style guide is missing`;
    return `${aspect}: ${result} finding${result === 1 ? "" : "s"}`;
  });
  return [...lines, `the editors say: ${said.map((each) => each.result?.result).join(", ")}`];
});

const client = PolosClient.fromEnv();
sayWhich();
const text = "The earth is flat. It ain't round, it ain't.";
for (const line of await parallelReview.run(client, text)) console.log(line);
