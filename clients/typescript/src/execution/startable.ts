/** What can be started, as far as those need to know it who start it or read its result. */
import type { StandardSchema } from "../codec/schema.js";
import type { AgentDefinition } from "../gen/polos/v1/definitions_pb.js";

/** A workflow or a tool; `In` is what it takes, `Out` what it gives. */
export interface Target<In = any, Out = any> {
  readonly id: string;
  readonly kind: "workflow" | "tool" | "agent";
  /** What its result is fitted to by whoever waits for it; undefined: nothing. */
  readonly outputSchema?: StandardSchema | undefined;
  /** For the types alone. */
  readonly takes?: (payload: In) => void;
  readonly gives?: () => Out;
}

/** An agent that this process defines. */
export interface AgentDefinitionLike extends Target {
  readonly kind: "agent";
  /** As the server stores it. */
  definition(): AgentDefinition;
}
