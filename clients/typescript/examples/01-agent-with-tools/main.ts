/**
 * An agent with two tools, and a limit for its steps.
 *
 * Prints, without a key:
 *
 *     No OPENAI_API_KEY is set: the model is the built-in scripted one.
 *     Rome has 21 degrees; that is 70 Fahrenheit.
 *     2 tool calls in 3 steps: get_weather, to_fahrenheit
 *     it went on for 2 steps and was stopped: max_steps
 */
import { PolosClient, defineAgent, defineTool, maxSteps } from "@polos/sdk";
import { z } from "zod";
import { MODEL, calls, sayWhich, script } from "../models.js";

const getWeather = defineTool(
  {
    id: "get_weather",
    description: "Get the current weather in a city",
    inputSchema: z.object({ city: z.string().describe("The city's name") }),
  },
  async (_ctx, { city }) => ({ city, celsius: 21, sky: "clear" }),
);

const toFahrenheit = defineTool(
  {
    id: "to_fahrenheit",
    description: "Convert degrees Celsius to Fahrenheit",
    inputSchema: z.object({ celsius: z.number() }),
  },
  (_ctx, { celsius }) => Math.round((celsius * 9) / 5 + 32),
);

const weatherAgent = defineAgent({
  id: "weather-agent",
  model: MODEL,
  systemPrompt: "You are a helpful weather assistant. Answer in one sentence.",
  tools: [getWeather, toFahrenheit],
  stopConditions: [maxSteps({ count: 5 })],
});

const curiousAgent = defineAgent({
  id: "curious-agent",
  model: MODEL,
  systemPrompt: "Look at the weather of every city you can think of, one after the other.",
  tools: [getWeather],
  stopConditions: [maxSteps({ count: 2 })],
});

const client = PolosClient.fromEnv();
sayWhich();
const response = await weatherAgent.run(
  client,
  "How warm is it in Rome, in Celsius and in Fahrenheit?",
  script(calls("get_weather", { city: "Rome" }), calls("to_fahrenheit", { celsius: 21 }), {
    text: "Rome has 21 degrees; that is {{tool_result}} Fahrenheit.",
  }),
);
console.log(response.result);
const names = response.tool_results.map((result) => result.tool_name).join(", ");
console.log(
  `${response.tool_results.length} tool calls in ${response.total_steps} steps: ${names}`,
);

const oslo = Array.from({ length: 9 }, () => calls("get_weather", { city: "Oslo" }));
const endless = await curiousAgent.run(client, "Go!", script(...oslo));
console.log(`it went on for ${endless.total_steps} steps and was stopped: ${endless.stop_reason}`);
