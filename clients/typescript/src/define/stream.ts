/** Following an agent run as it happens. */
import type { AgentDefinitionLike } from "../execution/startable.js";
import type { ExecutionHandle } from "../runs/handle.js";
import type { AgentResult, Execution, StreamEvent } from "../runs/types.js";
import type { Starter } from "./starter.js";

/** What a stream is made from. */
export interface StreamSource {
  events(): AsyncGenerator<StreamEvent, void>;
  /** The answer as it is written; throws how the run ended when it did not complete. */
  chunks(): AsyncGenerator<TextChunk, void>;
  /** The text of all turns, once the run has ended. */
  text(): Promise<string>;
}

/** A piece of the answer, with where it belongs. */
export interface TextChunk {
  content: string;
  /** The turn it belongs to, from 1. */
  step: number;
  /**
   * True where the server had to call the model again and the model now says something else: what
   * was shown of this turn is void and the turn begins anew with this chunk.
   */
  restarted: boolean;
}

/**
 * A run that was started; follow it, or just wait for its result. `T` is the agent's answer.
 *
 * Every iteration of `textChunks` or `events` follows the run from its start, also when it has
 * ended meanwhile, and survives the server being away.
 */
export class StreamResult<T = unknown> {
  /** The run: a UUID. */
  readonly id: string;
  readonly workflowId: string;
  /** ISO 8601. */
  readonly createdAt: string | undefined;
  readonly rootWorkflowId: string;
  readonly rootExecutionId: string;
  readonly sessionId: string | undefined;
  readonly userId: string | undefined;
  /** The same as `id`. */
  readonly agentRunId: string;
  /** What client.events.streamTopic() follows of it. */
  readonly topic: string;
  readonly #agent: AgentDefinitionLike;
  readonly #client: Starter;
  readonly #source: StreamSource;

  constructor(
    agent: AgentDefinitionLike,
    handle: ExecutionHandle,
    client: Starter,
    source: StreamSource,
  ) {
    this.id = handle.id;
    this.workflowId = handle.workflowId;
    this.createdAt = handle.createdAt;
    this.rootWorkflowId = handle.rootWorkflowId;
    this.rootExecutionId = handle.rootExecutionId;
    this.sessionId = handle.sessionId;
    this.userId = handle.userId;
    this.agentRunId = handle.id;
    this.topic = `workflow/${handle.rootWorkflowId}/${handle.rootExecutionId}`;
    this.#agent = agent;
    this.#client = client;
    this.#source = source;
  }

  /**
   * Everything that happens; the last one is `agent_finish`, or `error` or `agent_cancel` with the
   * `reason` and the sentence (`error`). docs/typescript.md lists the types.
   */
  get events(): AsyncIterable<StreamEvent> {
    return iterable(() => this.#source.events());
  }

  /**
   * The answer as it is written. Where a repeated model call says something else, the piece that
   * begins anew starts with a line break. Throws RunFailedError, RunCancelledError or
   * WorkflowTimeoutError when the run ends badly.
   */
  get textChunks(): AsyncIterable<string> {
    const source = this.#source;
    return iterable(async function* () {
      for await (const { content, restarted } of source.chunks()) {
        yield restarted ? `\n${content}` : content;
      }
    });
  }

  /** As textChunks, with the turn each belongs to. */
  get chunks(): AsyncIterable<TextChunk> {
    return iterable(() => this.#source.chunks());
  }

  [Symbol.asyncIterator](): AsyncIterator<StreamEvent> {
    return this.#source.events();
  }

  /** The whole text of all turns, once the run has ended; errors as textChunks. */
  text(): Promise<string> {
    return this.#source.text();
  }

  /** The result, once the run has ended; errors as agent.run(). */
  result(): Promise<AgentResult<T>> {
    return this.#client.agentResult(this.#agent, this.id, undefined);
  }

  /** The run as it stands. */
  get(): Promise<Execution> {
    return this.#client.getExecution(this.id);
  }

  /** Cancels the run; false when it had ended. */
  cancel(): Promise<boolean> {
    return this.#client.cancelExecution(this.id);
  }
}

function iterable<T>(make: () => AsyncGenerator<T, void>): AsyncIterable<T> {
  return { [Symbol.asyncIterator]: make };
}
