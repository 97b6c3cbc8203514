/**
 * A router that hands a question to the agent for it, and a coordinator that has several at work.
 *
 * Prints, without a key:
 *
 *     No OPENAI_API_KEY is set: the model is the built-in scripted one.
 *     "The server does not start." goes to technical
 *     technical: Look at its log, then free the port.
 *     "I was charged twice." goes to billing
 *     billing: The second charge is given back.
 *     report: pros: it survives / cons: it is new
 *     filed as report-2-opinions
 */
import { PolosClient, defineAgent, defineWorkflow } from "@polos/sdk";
import { MODEL, sayWhich, script } from "../models.js";

const agentOf = (id: string, systemPrompt: string) =>
  defineAgent({ id, model: MODEL, systemPrompt });

const router = agentOf("router", "Answer with one word: billing, or technical.");
const specialists = {
  billing: agentOf("billing", "You answer billing questions in a sentence."),
  technical: agentOf("technical", "You answer technical questions in a sentence."),
};
const critic = agentOf("critic", "You name one point, in three words.");
const editor = agentOf("editor", "You join points with ' / ', and add nothing.");

// What the scripted model says: where each question goes, and the answer there.
const ANSWERS: Record<string, [where: string, answer: string]> = {
  "The server does not start.": ["technical", "Look at its log, then free the port."],
  "I was charged twice.": ["billing", "The second charge is given back."],
};

/** One agent decides which other one answers; each is a run of its own, started once. */
const route = defineWorkflow({ id: "route" }, async (ctx, question: string) => {
  const [where, answer] = ANSWERS[question]!;
  const asked = router.withInput(question, script({ text: where }));
  const decision = await ctx.step.agentInvokeAndWait("decide", asked);
  const chosen = decision.result.toLowerCase().includes("billing") ? "billing" : "technical";
  const told = specialists[chosen].withInput(question, script({ text: answer }));
  const found = await ctx.step.agentInvokeAndWait("answer", told);
  return { by: chosen, answer: found.result };
});

const fileReport = defineWorkflow({ id: "file-report" }, (ctx, count: number) =>
  ctx.step.run("file", () => `report-${count}-opinions`),
);

/** Several agents at once, one that joins what they said, and a workflow that files it. */
const coordinate = defineWorkflow({ id: "coordinate" }, async (ctx, subject: string) => {
  const said = await ctx.step.batchAgentInvokeAndWait("opinions", [
    critic.withInput(`Speak for ${subject}.`, script({ text: "pros: it survives" })),
    critic.withInput(`Speak against ${subject}.`, script({ text: "cons: it is new" })),
  ]);
  const points = said.flatMap((each) => (each.result ? [String(each.result.result)] : []));
  const told = editor.withInput(points.join("\n"), script({ text: points.join(" / ") }));
  const joined = await ctx.step.agentInvokeAndWait("join", told);
  const filed = await ctx.step.invokeAndWait("file", fileReport, points.length);
  return { report: joined.result, filed };
});

const client = PolosClient.fromEnv();
sayWhich();
for (const question of Object.keys(ANSWERS)) {
  const found = await route.run(client, question);
  console.log(`"${question}" goes to ${found.by}`);
  console.log(`${found.by}: ${found.answer}`);
}
const found = await coordinate.run(client, "durable agents");
console.log("report:", found.report);
console.log("filed as", found.filed);
