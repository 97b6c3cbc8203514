/** What runs give back. Names are those of the documentation: results have snake_case. */

/** Tokens as the provider counted them, summed over the model calls of a run or turn. */
export type LLMUsage = {
  input_tokens: number;
  output_tokens: number;
  total_tokens: number;
  cache_read_input_tokens?: number;
  cache_creation_input_tokens?: number;
};

/** A tool call the model asked for; `arguments` is the raw text it sent. */
export type LLMToolCall = {
  id: string;
  type: "function";
  call_id: string;
  function: { name: string; arguments: string };
};

/** What came of a tool call; `error` is the sentence the model was shown when it failed. */
export type ToolResultInfo = {
  tool_name: string;
  status: "completed" | "failed";
  result: unknown;
  result_schema: string | null;
  error: string | null;
  tool_call_id: string;
  tool_call_call_id: string;
};

/** One turn of an agent, from 1: a model call and the tools it asked for. */
export type StepInfo = {
  step: number;
  content: string | null;
  tool_calls: LLMToolCall[];
  tool_results: ToolResultInfo[];
  usage: LLMUsage | null;
  raw_output: unknown;
};

/** How an agent run ended. */
export type AgentResult<T = string> = {
  /** The run. */
  agent_run_id: string;
  /** The answer: text, or what the agent's outputSchema makes of it. */
  result: T;
  result_schema: string | null;
  /** Every tool call of the run, in order. */
  tool_results: ToolResultInfo[];
  /** Model calls that gave an answer. */
  total_steps: number;
  usage: LLMUsage;
  /** The turns. */
  steps: StepInfo[];
  /** "end", "max_steps", "max_tokens", "length", "content_filter", "refusal" or "hook". */
  stop_reason: string;
};

/** The same as AgentResult. */
export type AgentStreamResult<T = unknown> = AgentResult<T>;

/** Where a run stands; "queued": it has not begun, for want of a host or of its turn. */
export type ExecutionStatus =
  | "queued"
  | "running"
  | "waiting"
  | "completed"
  | "failed"
  | "cancelled"
  | "unreadable"
  | "unknown";

/** A run as it stands. */
export type Execution = {
  id: string;
  execution_id: string;
  workflow_id: string;
  kind: "workflow" | "agent" | "tool" | "";
  status: ExecutionStatus;
  payload: any;
  result: any;
  error: string | null;
  error_reason: string | null;
  created_at: string | null;
  started_at: string | null;
  completed_at: string | null;
  cancelled_at: string | null;
  cancelling: boolean;
  retry_count: number;
  deployment_id: string | null;
  queue_name: string | null;
  concurrency_key: string | null;
  run_timeout_seconds: number | null;
  state: any;
  parent_execution_id: string | null;
  root_execution_id: string;
  origin_execution_id: string | null;
  session_id: string | null;
  user_id: string | null;
  conversation_id: string | null;
  stop_reason: string | null;
  steps: StepInfo[];
  total_steps: number;
  usage: LLMUsage;
  /** What it waits for, each with a sentence. */
  waiting: { kind: string; name: string; since_ms: number | null; message: string }[];
};

/** One event of a stream. */
export interface StreamEvent {
  /** The position in the stream: opaque, unique, in order. */
  id: string;
  sequenceId: number;
  topic: string;
  eventType?: string | undefined;
  data: Record<string, any>;
  /** ISO 8601. */
  createdAt?: string | undefined;
}

/** One event of a run's journal. */
export interface HistoryEvent {
  /** From 1, without gaps. */
  seq: number;
  /** When it was decided. */
  timeMs: number;
  /** "RUN_STARTED", "MODEL_REQUESTED", ... */
  type: string;
  /** The effect (model call, task) it is about; 0: none. */
  effectId: number;
  /** Which attempt of it, from 1; 0: none. */
  attempt: number;
  /** The rest, under the names that the API gives it. */
  data: Record<string, any>;
}

/** What became of an answer to a suspension. */
export interface ResumeResult {
  /** False: the suspension was over; this answer changed nothing. */
  accepted: boolean;
  /** The run is not suspended there yet; the answer is kept until it is. */
  kept: boolean;
  /** Not accepted, but this very answer, by the same hand, had been. */
  existed: boolean;
}

/** A run's wait for an answer from outside. */
export interface Suspension {
  /** Names this question and no other. */
  id: string;
  runId: string;
  rootRunId: string;
  stepKey: string;
  /** The run's workflow, agent or tool. */
  name: string;
  /** What the run shows. */
  data: any;
  /** JSON Schema of the answer; undefined: any will do. */
  answerSchema?: Record<string, any> | undefined;
  since: Date;
  /** When it times out; undefined: never. */
  deadline?: Date | undefined;
  /** False: it was answered, timed out, or is no longer asked. */
  isOpen: boolean;
  resumedBy?: string | undefined;
  answer?: any;
  resumedAt?: Date | undefined;
}

/** How one run of a batch ended: `result`, or `error` when it failed or was cancelled. */
export interface BatchStepResult<T = unknown> {
  workflowId: string;
  success: boolean;
  result: T | null;
  error: string | null;
}

/** An event to be published: `data` is anything with a JSON form. */
export interface EventData {
  eventType?: string | undefined;
  data?: unknown;
}

/** An event of a topic. */
export interface EventPayload<T = any> {
  /** Unique: the topic and the number. */
  id: string;
  /** From 1 in its topic, without gaps. */
  sequenceId: number;
  topic: string;
  eventType?: string | undefined;
  data: T;
  /** When it was published, ISO 8601. */
  createdAt: string;
}

/** One event of a batch. */
export type EventItem<T = any> = EventPayload<T>;

/** What a workflow with `batchSize` gets. */
export interface BatchEventPayload<T = any> {
  events: EventItem<T>[];
}

/** What a run that the clock started is told; times are ISO 8601 in UTC. */
export interface SchedulePayload {
  /** The tick it was started for; after downtime it lies in the past. */
  timestamp: string;
  /** The tick of the run before; null: there was none. */
  lastTimestamp: string | null;
  timezone: string;
  /** "<workflow>/<key>". */
  scheduleId: string;
  key: string;
  /** The tick after this one. */
  upcoming: string;
}
