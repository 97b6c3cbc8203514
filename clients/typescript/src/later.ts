/**
 * Documented names of features that this release does not have: they are there, so that programs
 * load, and say so where they are used.
 */
import { UnsupportedFeatureError } from "./errors.js";

type Later = (...given: any[]) => any;

function later(name: string, instead = ""): Later {
  return () => {
    throw new UnsupportedFeatureError(name, instead);
  };
}

/** Results of hooks and guardrails, which nothing asks for yet. */
class LaterResult {
  static continue(..._given: any[]): any {
    throw new UnsupportedFeatureError(`${this.name}.continue`);
  }

  static continueWith(..._given: any[]): any {
    throw new UnsupportedFeatureError(`${this.name}.continueWith`);
  }

  static fail(..._given: any[]): any {
    throw new UnsupportedFeatureError(`${this.name}.fail`);
  }
}

const CONDITIONS = "maxSteps and maxTokens are";

export const defineHook = later("defineHook");
export const defineGuardrail = later("defineGuardrail");
export const sandboxTools = later("sandboxTools");
export const createAskUserTool = later("createAskUserTool", "a tool may call ctx.step.suspend");
export const createWebSearchTool = later("createWebSearchTool");
export const stopCondition = later("stopCondition", CONDITIONS);
export const executedTool = later("executedTool", CONDITIONS);
export const hasText = later("hasText", CONDITIONS);
export class HookResult extends LaterResult {}
export class GuardrailResult extends LaterResult {}
export class MiddlewareGuardrailResult extends LaterResult {}

/** A channel of a later release. */
export class SlackChannel {
  constructor(_config?: object) {
    throw new UnsupportedFeatureError("SlackChannel");
  }
}

/** Of hosts of other releases: `await new Polos().serve()` is a long-lived host. */
export class Worker {
  constructor(_config?: object) {
    throw new UnsupportedFeatureError("Worker", "await new Polos().serve() is a long-lived host");
  }
}
