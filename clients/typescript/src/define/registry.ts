/** Everything defined in this process, by id; what a host offers unless told otherwise. */
import type { Queue } from "./queue.js";
import type { Agent } from "./agent.js";
import type { Tool } from "./tool.js";
import type { Workflow } from "./workflow.js";

export const agents = new Map<string, Agent<any>>();
export const tools = new Map<string, Tool<any, any>>();
export const workflows = new Map<string, Workflow<any, any, any>>();
export const queues = new Map<string, Queue>();

/** The workflow, tool or agent of this name; undefined: this process defines none. */
export function find(
  name: string,
): Workflow<any, any, any> | Tool<any, any> | Agent<any> | undefined {
  return workflows.get(name) ?? tools.get(name) ?? agents.get(name);
}

/** Forgets everything; for tests. */
export function clear(): void {
  agents.clear();
  tools.clear();
  workflows.clear();
  queues.clear();
}
