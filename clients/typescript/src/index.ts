/** Durable agents, tools and workflows: the TypeScript client of polosd. */
export { configureLogging } from "./log.js";
export type { Logger, LoggingOptions as ConfigureLoggingOptions, LogLevel } from "./log.js";

export {
  ConflictError,
  ExecutionCancelledError,
  InputError,
  InvalidArgumentError,
  NonDeterminismError,
  NonRetryableError,
  NotFoundError,
  NotJsonError,
  OutputError,
  PermissionDeniedError,
  PolosError,
  ResourceExhaustedError,
  RunCancelledError,
  RunFailedError,
  ServerError,
  StepExecutionError,
  TimeoutError,
  UnavailableError,
  UnsupportedFeatureError,
  WorkflowTimeoutError,
} from "./errors.js";

export type { InputOf, JsonSchema, OutputOf, StandardSchema } from "./codec/schema.js";
export type * from "./runs/types.js";
export { History } from "./runs/history.js";
export { ExecutionHandle } from "./runs/handle.js";
export type { ExecutionHandleFields, WorkflowHandle } from "./runs/handle.js";

export { AgentRunConfig } from "./execution/starts.js";
export type {
  AgentInput,
  AgentMessage,
  AgentRunOptions,
  StartOptions,
} from "./execution/starts.js";
export type { AgentPart } from "./execution/parts.js";
export type { BatchWorkflowInput } from "./execution/children.js";
export type { AgentContext, WorkflowContext } from "./execution/context.js";
export type { Span } from "./execution/trace.js";
export type { StepOptions } from "./execution/work.js";
export type { Target } from "./execution/startable.js";
export type {
  InvokeOptions,
  OutliveOptions,
  WaitOptions,
  PublishEventOptions,
  ResumeEvent,
  ResumeOptions,
  StepHelper,
  SuspendOptions,
  WaitForEventOptions,
  WaitForOptions,
} from "./execution/step.js";

export { Agent, defineAgent, isAgentWorkflow, isToolWorkflow } from "./define/agent.js";
export type { AgentWorkflow, DefineAgentConfig } from "./define/agent.js";
export { maxSteps, maxTokens } from "./define/conditions.js";
export type { StopCondition } from "./define/conditions.js";
export type { LanguageModelObject } from "./define/models.js";
export type { ScheduleConfig } from "./define/offers.js";
export { Queue } from "./define/queue.js";
export type { QueueConfig, QueueOptions } from "./define/queue.js";
export { StreamResult } from "./define/stream.js";
export type { TextChunk } from "./define/stream.js";
export { Tool, defineTool } from "./define/tool.js";
export type { DefineToolConfig, ToolWorkflow } from "./define/tool.js";
export { Workflow, defineWorkflow, getAllWorkflows, getWorkflow } from "./define/workflow.js";
export type { DefineOptions, WorkflowConfig, WorkflowHandler } from "./define/workflow.js";

export { Polos } from "./client/app.js";
export type { PolosConfig } from "./client/app.js";
export { PolosClient, batchAgentInvoke, batchInvoke } from "./client/client.js";
export type { ClientInvokeOptions, PolosClientConfig } from "./client/client.js";
export type {
  AgentInfo,
  Definitions as DefinitionsApi,
  HostInfo,
  ToolInfo,
  WorkflowInfo,
} from "./client/definitions.js";
export type { Events as EventsApi, PublishOptions } from "./client/events.js";
export type { Queues as QueuesApi, QueueInfo } from "./client/queues.js";
export type { ListOptions } from "./client/runs.js";
export type { ScheduleInfo, Schedules as SchedulesApi } from "./client/schedules.js";
export * from "./later.js";
export { sleep } from "./sleep.js";
