/**
 * Which provider of the server's is meant by a model: "provider:model", or a model object of the AI
 * SDK, where that says all that the server needs. What only the object itself can do (a `fetch` or
 * headers of its own, another address) would run on the host, which this release does not have.
 */
import { InvalidArgumentError, UnsupportedFeatureError } from "../errors.js";

/** A model object of the AI SDK, as far as it is looked at. */
export interface LanguageModelObject {
  readonly specificationVersion: string;
  readonly provider: string;
  readonly modelId: string;
}

/** A model as the server is told of it. */
export interface ServerModel {
  provider: string;
  model: string;
}

interface Row {
  provider: string;
  /** What the object's address begins as; undefined: it is not compared. */
  base: string;
}

// By the word of the AI SDK: the row of the server's table, and where that row is asked.
const ROWS: Record<string, Row> = {
  "openai.responses": { provider: "openai", base: "https://api.openai.com/v1" },
  "openai.chat": { provider: "openai_chat", base: "https://api.openai.com/v1" },
  "anthropic.messages": { provider: "anthropic", base: "https://api.anthropic.com/v1" },
  "google.generative-ai": {
    provider: "gemini",
    base: "https://generativelanguage.googleapis.com/v1beta",
  },
  "groq.chat": { provider: "groq", base: "https://api.groq.com/openai/v1" },
  "xai.chat": { provider: "xai", base: "https://api.x.ai/v1" },
  "mistral.chat": { provider: "mistral", base: "https://api.mistral.ai/v1" },
  "deepseek.chat": { provider: "deepseek", base: "https://api.deepseek.com" },
  "togetherai.chat": { provider: "together", base: "https://api.together.xyz/v1" },
  "fireworks.chat": { provider: "fireworks", base: "https://api.fireworks.ai/inference/v1" },
  perplexity: { provider: "perplexity", base: "https://api.perplexity.ai" },
};

const VERSIONS = ["v2", "v3", "v4"];
const USUAL_HEADERS = [
  "authorization",
  "x-api-key",
  "x-goog-api-key",
  "api-key",
  "anthropic-version",
  "user-agent",
];

/**
 * A model as the server is told of it.
 *
 * @param provider the row of the server's table, where `model` is its name alone.
 * Throws InvalidArgumentError for what names none, UnsupportedFeatureError for an object that would
 * have to run on the host.
 */
export function serverModelOf(
  model: string | LanguageModelObject,
  provider: string | undefined,
  agentId: string,
): ServerModel {
  if (typeof model !== "string") return modelOfObject(model, agentId);
  if (provider !== undefined) return { provider, model };
  const at = model.indexOf(":");
  if (at > 0) return { provider: model.slice(0, at), model: model.slice(at + 1) };
  throw new InvalidArgumentError(
    `the model of agent ${agentId} is ${JSON.stringify(model)}: write "provider:model", as in ` +
      '"openai:gpt-4o"; "provider/model" is the form of the AI Gateway, which is not asked',
    { field: "model" },
  );
}

function modelOfObject(model: LanguageModelObject, agentId: string): ServerModel {
  if (typeof model?.provider !== "string" || typeof model.modelId !== "string") {
    throw new InvalidArgumentError(
      `the model of agent ${agentId} is "provider:model", or a model of the AI SDK`,
      { field: "model" },
    );
  }
  const why = whyNotServed(model);
  const row = ROWS[model.provider];
  if (row !== undefined && why === undefined)
    return { provider: row.provider, model: model.modelId };
  throw new UnsupportedFeatureError(
    `a model that runs on the host (agent ${agentId}: ${why})`,
    'name one that the server asks: model: "provider:model"',
  );
}

/**
 * Why the server cannot ask the model itself; undefined: it can. `config` is private to the SDK.
 */
function whyNotServed(model: LanguageModelObject): string | undefined {
  const row = ROWS[model.provider];
  if (row === undefined) return `${model.provider} is no provider of the server's`;
  if (!VERSIONS.includes(model.specificationVersion)) {
    return `it speaks ${model.specificationVersion} of the AI SDK`;
  }
  const config = (model as { config?: ModelConfig }).config;
  if (config === undefined) return "it does not say how it is asked";
  if (config.fetch !== undefined) return "it has a fetch of its own";
  if (baseOf(config, model.modelId) !== row.base) return "it has an address of its own";
  const extra = headerNamesOf(config).find((name) => !USUAL_HEADERS.includes(name));
  return extra === undefined ? undefined : `it has a header ${extra} of its own`;
}

interface ModelConfig {
  fetch?: unknown;
  baseURL?: unknown;
  url?: (options: { path: string; modelId: string }) => string;
  headers?: () => Record<string, string | undefined>;
}

function baseOf(config: ModelConfig, modelId: string): string {
  try {
    const base = config.baseURL ?? config.url?.({ path: "", modelId });
    return String(base).replace(/\/+$/, "");
  } catch {
    return "";
  }
}

/** In small letters. Without a key here, headers are not made: then the server has it. */
function headerNamesOf(config: ModelConfig): string[] {
  let found: Record<string, string | undefined>;
  try {
    found = config.headers?.() ?? {};
  } catch (error) {
    const isKeyMissing = error instanceof Error && error.name === "AI_LoadAPIKeyError";
    return isKeyMissing ? [] : ["that cannot be read"];
  }
  const given = Object.entries(found).filter(([, value]) => value !== undefined);
  return given.map(([name]) => name.toLowerCase());
}
