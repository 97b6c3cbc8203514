/** Child runs: what a step asks the server to start, and how it hears of their ends. */
import { create } from "@bufbuild/protobuf";
import { checkedId, shown } from "../checks.js";
import { stringifyArgument } from "../codec/json.js";
import { fit } from "../codec/schema.js";
import { InvalidArgumentError, StepExecutionError } from "../errors.js";
import { RunKind } from "../gen/polos/v1/common_pb.js";
import {
  RunSpecSchema,
  type RunSpec,
  type StartOptions as WireOptions,
} from "../gen/polos/v1/start_pb.js";
import { StepRequestSchema, type StepRequest } from "../gen/polos/v1/steps_pb.js";
import { ExecutionHandle, type RunReader } from "../runs/handle.js";
import { objectOf, toolCallOf } from "../runs/models.js";
import type { AgentResult, BatchStepResult, StepInfo, ToolResultInfo } from "../runs/types.js";
import {
  AgentRunConfig,
  providerJson,
  wireInput,
  wireOptions,
  type StartOptions,
  type WireInput,
} from "./starts.js";
import type { AgentDefinitionLike, Target } from "./startable.js";

/** What a child inherits of the run that starts it. */
export interface RunIdentity {
  readonly executionId: string;
  readonly rootExecutionId: string;
  readonly rootWorkflowId: string;
  readonly sessionId: string | undefined;
  readonly userId: string | undefined;
}

/** A run to be started; `target` is what it runs, where this process defines it. */
export interface Child {
  name: string;
  kind: RunKind;
  options: WireOptions;
  inputJson: string;
  said: WireInput;
  target: Target | undefined;
}

type Find = (name: string) => Target | undefined;

/** One of a batch. */
export interface BatchWorkflowInput extends StartOptions {
  /** The workflow, or its id. */
  workflow?: string | Target;
  /** The workflow's id, instead. */
  id?: string;
  payload?: unknown;
}

/** A workflow, tool or agent, itself or its id; ids nobody here knows are workflows elsewhere. */
export function childOf(
  workflow: string | Target,
  payload: unknown,
  options: StartOptions,
  find: Find,
): Child {
  const target = typeof workflow === "string" ? find(workflow) : workflow;
  const name = typeof workflow === "string" ? workflow : workflow?.id;
  if (typeof workflow !== "string" && target?.kind === undefined) {
    throw new InvalidArgumentError(
      "what is invoked is a workflow, a tool or an id: make one with defineWorkflow()",
      { field: "workflow" },
    );
  }
  checkedId(name, "workflow");
  if (target?.kind === "agent") {
    return childOfAgent(
      new AgentRunConfig({
        ...options,
        agent: target as AgentDefinitionLike,
        input: payload as string,
      }),
    );
  }
  return {
    name,
    kind: target?.kind === "tool" ? RunKind.TOOL : RunKind.WORKFLOW,
    options: wireOptions(options),
    inputJson: stringifyArgument(payload ?? null, `the payload of ${name}`, "payload"),
    said: {},
    target,
  };
}

/** An agent with what it is run with. */
export function childOfAgent(config: AgentRunConfig<any>): Child {
  if (!(config instanceof AgentRunConfig)) {
    throw new InvalidArgumentError("an agent is invoked with agent.withInput(...)", {
      field: "config",
    });
  }
  const options = wireOptions(config.options);
  options.providerOptionsJson = providerJson(config.kwargs);
  return {
    name: config.agent.id,
    kind: RunKind.AGENT,
    options,
    inputJson: "",
    said: wireInput(config.input),
    target: config.agent,
  };
}

/** One of a batch, as a child. */
export function childOfBatch(item: BatchWorkflowInput, find: Find): Child {
  const { workflow, id, payload, ...options } = item;
  const named = workflow ?? id;
  if (named !== undefined) return childOf(named, payload, options, find);
  throw new InvalidArgumentError("a batch is of { workflow, payload }: one has no workflow", {
    field: "workflow",
  });
}

/** The request for a step's children; session and user are inherited where not given. */
export function requestFor(
  key: string,
  children: Child[],
  ctx: RunIdentity,
  how: { wait: boolean; outliveParent: boolean },
): StepRequest {
  const runs = children.map((child) => specOf(child, ctx));
  return create(StepRequestSchema, {
    key,
    request: { case: "startRuns", value: { runs, ...how } },
  });
}

function specOf(child: Child, ctx: RunIdentity): RunSpec {
  const { kind, name, inputJson, said, options } = child;
  const inherited = {
    sessionId: options.sessionId || ctx.sessionId || "",
    userId: options.userId || ctx.userId || "",
  };
  return create(RunSpecSchema, {
    kind,
    name,
    inputJson,
    ...said,
    options: { ...options, ...inherited },
  });
}

/** What the server tells of a child. */
type Told = Record<string, any>;

export function handleOf(
  key: string,
  child: Child,
  told: Told,
  ctx: RunIdentity,
  client: RunReader | undefined,
): ExecutionHandle<any> {
  const fields = {
    id: String(told["run_id"]),
    workflowId: child.name,
    parentExecutionId: ctx.executionId,
    rootWorkflowId: ctx.rootWorkflowId,
    rootExecutionId: ctx.rootExecutionId,
    sessionId: child.options.sessionId || ctx.sessionId,
    userId: child.options.userId || ctx.userId,
    stepKey: key,
  };
  return new ExecutionHandle(fields, client);
}

/** A completed child's result, of an agent an AgentResult. Throws StepExecutionError. */
export async function resultOf(key: string, child: Child, told: Told): Promise<any> {
  const error = errorIn(told);
  if (error) {
    const message = `step ${shown(key)} failed: ${child.name}: ${error.message}`;
    throw new StepExecutionError(message, error.reason);
  }
  const value: unknown = told["result"] ?? null;
  const fitted = await fittedResult(key, child, value);
  return child.kind === RunKind.AGENT ? agentResultOf(told, fitted) : fitted;
}

async function fittedResult(key: string, child: Child, value: unknown): Promise<unknown> {
  const schema = child.target?.outputSchema;
  if (schema === undefined) return value;
  const isText = child.kind === RunKind.AGENT && typeof value === "string";
  const found = await fit(schema, isText ? parsedAnswer(value) : value);
  if (found.problem === undefined) return found.value;
  throw new StepExecutionError(
    `step ${shown(key)} failed: ${child.name}: the answer does not fit: ${found.problem}`,
    "OUTPUT_INVALID",
  );
}

function parsedAnswer(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}

/** Reason and sentence of a child that did not complete; undefined: it did. */
function errorIn(told: Told): { reason: string; message: string } | undefined {
  const status = String(told["status"] ?? "")
    .toLowerCase()
    .replace("run_status_", "");
  const error: unknown = told["error"];
  if (["completed", ""].includes(status) && !error) return undefined;
  const about = objectOf(error);
  const isObject = Object.keys(about).length > 0;
  const sentence: unknown = isObject ? about["message"] : error;
  return {
    reason: String(about["reason"] || about["type"] || status.toUpperCase()),
    message: String(sentence || `the run was ${status}`),
  };
}

function agentResultOf(told: Told, answer: unknown): AgentResult<any> {
  const steps = ((told["steps"] ?? []) as Told[]).map(stepOf);
  const usage = objectOf(told["usage"]);
  return {
    agent_run_id: String(told["run_id"] ?? ""),
    result: answer,
    result_schema: null,
    tool_results: steps.flatMap((step) => step.tool_results),
    total_steps: Number(told["total_steps"] ?? 0),
    usage: { input_tokens: 0, output_tokens: 0, total_tokens: 0, ...usage },
    steps,
    stop_reason: String(told["stop_reason"] ?? ""),
  };
}

function stepOf(told: Told): StepInfo {
  const calls = (told["tool_calls"] ?? []) as Told[];
  const results = (told["tool_results"] ?? []) as Told[];
  return {
    step: Number(told["step"]),
    content: (told["content"] ?? null) as string | null,
    tool_calls: calls.map((c) =>
      toolCallOf(String(c["call_id"]), String(c["name"]), String(c["arguments_json"])),
    ),
    tool_results: results.map(toolResultOf),
    usage: (told["usage"] ?? null) as StepInfo["usage"],
    raw_output: null,
  };
}

function toolResultOf(told: Told): ToolResultInfo {
  const error = told["error"] ? objectOf(told["error"]) : undefined;
  return {
    tool_name: String(told["tool_name"]),
    status: error ? "failed" : "completed",
    result: error ? null : ((told["result"] ?? null) as unknown),
    result_schema: null,
    error: error ? String(error["message"]) : null,
    tool_call_id: String(told["call_id"]),
    tool_call_call_id: String(told["call_id"]),
  };
}

/** How one of a batch ended. */
export async function batchResultOf(
  key: string,
  child: Child,
  told: Told,
): Promise<BatchStepResult<any>> {
  const error = errorIn(told);
  const failed = (message: string) => ({
    workflowId: child.name,
    success: false,
    result: null,
    error: message,
  });
  if (error) return failed(error.message);
  try {
    const result: unknown = await resultOf(key, child, told);
    return { workflowId: child.name, success: true, result, error: null };
  } catch (problem) {
    if (problem instanceof StepExecutionError) return failed(problem.message);
    throw problem;
  }
}
