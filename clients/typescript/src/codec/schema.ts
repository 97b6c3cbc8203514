/**
 * Schemas of zod 3 and 4 and of all that follow Standard Schema (valibot, arktype): values fitted
 * to them, and their JSON Schema for models.
 */
import { createRequire } from "node:module";
import { join } from "node:path";
import { InvalidArgumentError } from "../errors.js";

/** What a schema says of a value. */
export type SchemaResult<Out> =
  | { readonly value: Out; readonly issues?: undefined }
  | { readonly issues: readonly SchemaIssue[] };

/** What is wrong with a value, and where in it. */
export interface SchemaIssue {
  readonly message: string;
  readonly path?: readonly (PropertyKey | { readonly key: PropertyKey })[] | undefined;
}

/** A schema, by what is common to the libraries (https://standardschema.dev). */
export interface StandardSchema<In = any, Out = any> {
  readonly "~standard": {
    readonly version: 1;
    readonly vendor: string;
    readonly validate: (value: unknown) => SchemaResult<Out> | Promise<SchemaResult<Out>>;
    readonly types?: { readonly input: In; readonly output: Out } | undefined;
  };
}

/** What a schema takes. */
export type InputOf<S extends StandardSchema> = NonNullable<S["~standard"]["types"]>["input"];

/** What a schema gives. */
export type OutputOf<S extends StandardSchema> = NonNullable<S["~standard"]["types"]>["output"];

/** A JSON Schema. */
export type JsonSchema = Record<string, unknown>;

/** Whether a value is a schema. */
export function isSchema(value: unknown): value is StandardSchema {
  const standard = (value as { "~standard"?: { validate?: unknown } } | null | undefined)?.[
    "~standard"
  ];
  return typeof standard?.validate === "function";
}

/** Throws InvalidArgumentError, which begins with `what`, for what is no schema. */
export function checkSchema(value: unknown, what: string): void {
  if (value === undefined || isSchema(value)) return;
  throw new InvalidArgumentError(
    `${what} is no schema: a zod schema (3.25 or later), or one of another library that follows ` +
      "Standard Schema",
    { field: "schema" },
  );
}

/** A value fitted to a schema, or in one sentence why it does not fit. */
export async function fit<S extends StandardSchema>(
  schema: S,
  value: unknown,
): Promise<{ value: OutputOf<S>; problem?: undefined } | { problem: string }> {
  const found = await schema["~standard"].validate(value);
  return found.issues ? { problem: sentenceOf(found.issues) } : { value: found.value };
}

/** "city: Required; days: Expected number, received string". */
function sentenceOf(issues: readonly SchemaIssue[]): string {
  return issues.map((issue) => `${placeOf(issue)}: ${issue.message}`).join("; ");
}

function placeOf(issue: SchemaIssue): string {
  const keys = (issue.path ?? []).map((part) => (typeof part === "object" ? part.key : part));
  return keys.map(String).join(".") || "the value";
}

/**
 * The JSON Schema of what a schema takes, with objects closed.
 *
 * @param isStrict every property is required, as structured output wants it.
 * Throws InvalidArgumentError, which begins with `what`, where there is none.
 */
export function jsonSchemaOf(schema: StandardSchema, what: string, isStrict = false): JsonSchema {
  let found: JsonSchema | undefined;
  let why = "its library does not tell it";
  try {
    found = madeOf(schema);
  } catch (error) {
    why = error instanceof Error ? error.message : String(error);
  }
  if (!found) {
    throw new InvalidArgumentError(`${what} has no JSON Schema: ${why}`, { field: "schema" });
  }
  const plain = JSON.parse(JSON.stringify(found)) as JsonSchema;
  delete plain["$schema"];
  close(plain, isStrict);
  return plain;
}

const PLAIN_PATTERN =
  /^(?:[^\\(]|\((?!\?)|\(\?:|\\[^A-Za-z1-9]|\\[dDwWsSbBtnrfvcxu])*$/;

/**
 * The JSON Schema by which the server judges answers that are to fit a schema, as JSON; empty:
 * there is none. What the server does not know of patterns is left to the schema itself.
 */
export function answerSchemaOf(schema: StandardSchema): string {
  try {
    const found = madeOf(schema, "strict");
    if (!found) return "";
    const { $schema: _, ...plain } = found;
    return JSON.stringify(withPlainPatterns(plain));
  } catch {
    return ""; // it holds what has no JSON Schema
  }
}

const VALUES = ["const", "enum", "default", "examples"];

function withPlainPatterns(node: unknown): unknown {
  if (Array.isArray(node)) return node.map(withPlainPatterns);
  if (typeof node !== "object" || node === null) return node;
  const schema = node as JsonSchema;
  const lost = isPlain(schema["pattern"]) ? [] : ["pattern"];
  const names = schema["patternProperties"];
  if (typeof names === "object" && !Object.keys(names ?? {}).every(isPlain)) {
    lost.push("patternProperties", "additionalProperties");
  }
  const kept = Object.entries(schema).filter(([key]) => !lost.includes(key));
  const plain = ([key, value]: [string, unknown]) =>
    VALUES.includes(key) ? [key, value] : [key, withPlainPatterns(value)];
  return Object.fromEntries(kept.map(plain));
}

function isPlain(pattern: unknown): boolean {
  return typeof pattern !== "string" || PLAIN_PATTERN.test(pattern);
}

/** `closes`: which objects zod 3 closes; by default also those that drop what they do not know. */
function madeOf(schema: StandardSchema, closes = "passthrough"): JsonSchema | undefined {
  const own = schema as unknown as OwnJsonSchema;
  const standard = own["~standard"].jsonSchema;
  if (standard) return standard.input({ target: "draft-2020-12" });
  if (own.toJSONSchema) return own.toJSONSchema({ io: "input" });
  if (own.toJsonSchema) return own.toJsonSchema();
  if (own._zod) return required("zod").toJSONSchema(schema, { io: "input" });
  if (own._def?.typeName) {
    const convert = required("zod-to-json-schema").zodToJsonSchema;
    return convert(schema, { $refStrategy: "none", removeAdditionalStrategy: closes });
  }
  return undefined;
}

/** The ways in which libraries tell the JSON Schema of a schema of theirs. */
interface OwnJsonSchema {
  "~standard": { jsonSchema?: { input: (options: { target: string }) => JsonSchema } };
  toJSONSchema?: (options: { io: string }) => JsonSchema; // zod 4.2
  toJsonSchema?: () => JsonSchema; // arktype
  _zod?: unknown; // zod 4
  _def?: { typeName?: string }; // zod 3
}

/** A package beside this one, or beside the program. */
function required(name: string): any {
  const places = [process.argv[1] ?? "", join(process.cwd(), "index.js")];
  for (const place of places.filter(Boolean)) {
    try {
      return createRequire(place)(name);
    } catch {
      continue;
    }
  }
  throw new Error(`install ${name}, which makes it`);
}

function close(node: unknown, isStrict: boolean): void {
  if (Array.isArray(node)) {
    for (const each of node) close(each, isStrict);
    return;
  }
  if (typeof node !== "object" || node === null) return;
  const schema = node as JsonSchema;
  const properties = schema["properties"];
  if (schema["type"] === "object" && typeof properties === "object" && properties !== null) {
    schema["additionalProperties"] ??= false;
    if (isStrict) schema["required"] = Object.keys(properties);
    close(Object.values(properties), isStrict);
  }
  for (const key of ["items", "prefixItems", "anyOf", "oneOf", "allOf", "additionalProperties"]) {
    close(schema[key], isStrict);
  }
  close(Object.values((schema["$defs"] ?? {}) as JsonSchema), isStrict);
}
