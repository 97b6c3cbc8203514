/**
 * An answer that fits a schema, with lists, enums and other objects in it.
 *
 * Prints, without a key:
 *
 *     No OPENAI_API_KEY is set: the model is the built-in scripted one.
 *     Dolomites in 3 days, moderate
 *     - Seceda: 12.5 km
 *     - Tre Cime: 9.5 km
 *     22 km in all
 *     the answer does not fit the output schema: answer.days: is missing;
 *     answer.difficulty: is missing; answer.hikes: is missing
 *     (asked twice)
 */
import { OutputError, PolosClient, defineAgent } from "@polos/sdk";
import { z } from "zod";
import { IS_REAL, MODEL, sayWhich, script } from "../models.js";

const Trip = z.object({
  place: z.string(),
  days: z.number().int(),
  difficulty: z.enum(["easy", "moderate", "hard"]),
  hikes: z.array(z.object({ name: z.string(), kilometres: z.number() })),
});

const planner = defineAgent({
  id: "trip-planner",
  model: MODEL,
  systemPrompt: "You plan hiking trips with two hikes.",
  outputSchema: Trip,
});

const ANSWER: z.infer<typeof Trip> = {
  place: "Dolomites",
  days: 3,
  difficulty: "moderate",
  hikes: [
    { name: "Seceda", kilometres: 12.5 },
    { name: "Tre Cime", kilometres: 9.5 },
  ],
};

const client = PolosClient.fromEnv();
sayWhich();
const said = script({ text: JSON.stringify(ANSWER) });
const { result: trip } = await planner.run(client, "Three days in the Dolomites, please.", said);
console.log(`${trip.place} in ${trip.days} days, ${trip.difficulty}`);
for (const hike of trip.hikes) console.log(`- ${hike.name}: ${hike.kilometres} km`);
console.log(`${trip.hikes.reduce((sum, hike) => sum + hike.kilometres, 0)} km in all`);

// A real model keeps to the schema.
if (!IS_REAL) {
  try {
    const short = { text: '{"place": "Alps"}' };
    await planner.run(client, "And another?", script(short, short));
  } catch (error) {
    if (!(error instanceof OutputError)) throw error;
    // The server asked again, and told the model why.
    console.log(error.message.replace("days: is missing; ", "days: is missing;\n"));
    const run = await client.getExecution(error.runId);
    console.log(run.total_steps === 2 ? "(asked twice)" : run);
  }
}
