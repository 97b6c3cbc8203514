/** Tools: functions a model may call. They run in this process. */
import { create } from "@bufbuild/protobuf";
import { checkNames, checkedToolName, refuse } from "../checks.js";
import { jsonSchemaOf, type JsonSchema, type StandardSchema } from "../codec/schema.js";
import { durationOf } from "../codec/times.js";
import { InvalidArgumentError } from "../errors.js";
import { LostCall } from "../gen/polos/v1/common_pb.js";
import { ToolDefinitionSchema, type ToolDefinition } from "../gen/polos/v1/definitions_pb.js";
import * as registry from "./registry.js";
import { Workflow, checkHandler, type DefineOptions, type WorkflowHandler } from "./workflow.js";

/**
 * What a tool is defined by. `Given` is what the model passes, `In` what the schema makes of it.
 */
export interface DefineToolConfig<In = any, Out = any, State = any, Given = In> {
  /** Its name for the model: 1 to 64 letters, digits, '_' or '-'. */
  id: string;
  /** What the model reads. */
  description: string;
  /** What the input has to fit; the model sees its JSON Schema. */
  inputSchema?: StandardSchema<Given, In> | undefined;
  /** JSON Schema of the input, instead of the one of inputSchema. */
  parameters?: JsonSchema | undefined;
  /** What the result has to fit. */
  outputSchema?: StandardSchema<any, Out> | undefined;
  /** What `ctx.state` is. */
  stateSchema?: StandardSchema<any, State> | undefined;
  /** Seconds a call may take from the moment it is sent here. Default: until its run's deadline. */
  timeout?: number | undefined;
  /** Never repeat a call whose host died; it fails with "outcome unknown". Default: false. */
  atMostOnce?: boolean | undefined;
  /** Whether hosts of this process offer it to every agent. Default: true. */
  autoRegister?: boolean | undefined;
  /** "none", or a feature of a later release. */
  approval?: "always" | "none" | undefined;
  /** Features of later releases; given, they are refused. */
  queue?: unknown;
  onStart?: unknown;
  onEnd?: unknown;
  channels?: unknown;
}

const CONFIG_NAMES = [
  "id",
  "description",
  "inputSchema",
  "parameters",
  "outputSchema",
  "stateSchema",
  "timeout",
  "atMostOnce",
  "autoRegister",
  "approval",
  "queue",
  "onStart",
  "onEnd",
  "channels",
];

/**
 * A function a model may call. What it returns goes to the model; what it throws goes to the model
 * too, as an error, and the agent goes on. A finished call is never made again; a call whose host
 * died is, with the same `ctx.taskId`.
 */
export class Tool<In = any, Out = any> extends Workflow<In, any, Out> {
  override readonly kind = "tool";
  /** JSON Schema of the input. */
  readonly parameters: JsonSchema;
  readonly #definition: ToolDefinition;

  constructor(
    config: DefineToolConfig<any, Out, any, In>,
    handler: WorkflowHandler<any, any, Out>,
  ) {
    checkedToolName(config.id);
    super(
      {
        id: config.id,
        description: config.description,
        payloadSchema: config.inputSchema,
        outputSchema: config.outputSchema,
        stateSchema: config.stateSchema,
      },
      handler,
    );
    this.parameters = config.parameters ?? parametersOf(config.id, config.inputSchema);
    this.#definition = create(ToolDefinitionSchema, {
      id: config.id,
      description: config.description,
      parametersJson: JSON.stringify(this.parameters),
      timeout: durationOf(config.timeout),
      onLost: config.atMostOnce ? LostCall.UNKNOWN : LostCall.REPEAT,
    });
  }

  /** What the input has to fit. */
  get inputSchema(): StandardSchema | undefined {
    return this.payloadSchema;
  }

  /** As the server and the model see it. */
  definition(): ToolDefinition {
    return this.#definition;
  }

  protected override queueOf(): string {
    return "";
  }
}

/** The documented name of a tool. */
export type ToolWorkflow<In = any, _State = any, Out = any> = Tool<In, Out>;

function parametersOf(id: string, schema: StandardSchema | undefined): JsonSchema {
  if (schema === undefined) return { type: "object", properties: {} };
  const found = jsonSchemaOf(schema, `the inputSchema of tool ${id}`);
  if (found["type"] === "object") return found;
  throw new InvalidArgumentError(
    `the inputSchema of tool ${id} is no object: models give objects`,
    {
      field: "inputSchema",
    },
  );
}

/**
 * Makes a function a Tool.
 *
 * Throws InvalidArgumentError for a config that is none, UnsupportedFeatureError for one of a
 * feature this release does not have.
 */
export function defineTool<In = any, Out = any, State = Record<string, any>, Given = In>(
  config: DefineToolConfig<In, Out, State, Given>,
  handler: WorkflowHandler<In, State, Out>,
  options: DefineOptions = {},
): Tool<Given, Out> {
  checkHandler(handler, `tool ${config.id}`);
  checkNames("defineTool", config, CONFIG_NAMES);
  refuse("defineTool", config, ["queue", "onStart", "onEnd", "channels"]);
  refuse("defineTool", { approval: config.approval === "always" || undefined }, ["approval"]);
  if (config.timeout !== undefined && !(config.timeout > 0)) {
    throw new InvalidArgumentError(`the timeout of tool ${config.id} is more than 0 seconds`, {
      field: "timeout",
    });
  }
  const made = new Tool<Given, Out>(config as DefineToolConfig<any, Out, any, Given>, handler);
  const isOffered = (options.autoRegister ?? config.autoRegister) !== false;
  if (isOffered) registry.tools.set(made.id, made);
  return made;
}
