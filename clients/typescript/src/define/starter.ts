/** A client, as far as definitions need one to start runs. */
import type { AgentDefinitionLike, Target } from "../execution/startable.js";
import type { AgentRunConfig, StartOptions } from "../execution/starts.js";
import type { ExecutionHandle, RunReader } from "../runs/handle.js";
import type { AgentResult } from "../runs/types.js";
import type { StreamResult } from "./stream.js";

/** PolosClient and Polos are ones. */
export interface Starter extends RunReader {
  /** @internal */
  startTarget(target: Target, payload: unknown, options: StartOptions): Promise<ExecutionHandle>;
  /** @internal */
  startAgent(config: AgentRunConfig<any>): Promise<ExecutionHandle>;
  /** @internal */
  agentResult(
    agent: AgentDefinitionLike,
    runId: string,
    timeoutSeconds: number | undefined,
  ): Promise<AgentResult<any>>;
  /** @internal */
  streamOf(agent: AgentDefinitionLike, handle: ExecutionHandle): StreamResult<any>;
  /** @internal */
  resultIn(runId: string, timeoutSeconds: number | undefined): Promise<unknown>;
}

/** Throws TypeError for what is no client. */
export function checkClient(given: unknown, what: string): void {
  if (typeof (given as Partial<Starter> | null | undefined)?.startTarget === "function") return;
  throw new TypeError(`${what} takes a client first: ${what}(PolosClient.fromEnv(), ...)`);
}
