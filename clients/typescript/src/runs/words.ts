/** What the facts of a history mean, in a line each. */
import type { HistoryEvent } from "./types.js";

const HIDDEN = "(hidden)";

// "api_key", "X-Api-Key", "accessToken", but not "max_tokens"
const SECRET =
  /((api|secret|access|private)[_-]?keys?|authorization|passw(or)?d|passphrase|secrets?|token|credentials?|cookie)$/i;

type Data = Record<string, any>;
type Telling = (event: HistoryEvent) => string;

/** Says what facts mean, one after the other: later ones refer to earlier ones by effect. */
export class Words {
  readonly #most: number;
  readonly #names = new Map<number, string>(); // by effect
  readonly #since = new Map<number, number>(); // by effect: ordered, given or begun last
  #calls = 0;
  #began = 0;
  #firstMs: number | undefined;
  readonly #kinds: Record<string, Telling> = {
    RUN_STARTED: (e) => this.#runStarted(e),
    RUN_COMPLETED: (e) => this.#runCompleted(e),
    RUN_FAILED: (e) => `the run failed${this.#tookAll(e)}: ${this.#why(e)}`,
    RUN_CANCELLED: (e) => `the run was cancelled${this.#tookAll(e)}${this.#cause(e.data)}`,
    CANCEL_REQUESTED: (e) =>
      `the run is being cancelled${this.#cause(e.data)}; its code may clean up`,
    ADMISSION_ASKED: () => "the run asks its queue for leave to work",
    ADMISSION_GIVEN: () => "the run was given leave to work",
    MODEL_REQUESTED: (e) => this.#modelRequested(e),
    MODEL_REPLIED: (e) => this.#modelReplied(e),
    MODEL_FAILED: (e) => `${this.#name(e)} failed${this.#took(e)}: ${this.#why(e)}${again(e)}`,
    INPUT_ACCEPTED: (e) => this.#inputAccepted(e),
    INPUT_TAKEN: (e) => `turn ${e.data["turn"]} has input ${oneLine(e.data["input_id"])}`,
    INPUT_RETURNED: (e) =>
      `the model is not told input ${oneLine(e.data["input_id"])}: the run ends`,
    REPLY_REJECTED: (e) => this.#replyRejected(e),
    REPLY_AMENDED: () => "a guardrail changed the reply",
    REPLY_JUDGED: (e) => this.#replyJudged(e),
    REPLY_PASSED: () => "all guardrails let the reply pass",
    INPUT_AMENDED: (e) =>
      this.#value(e.data["input"], "a hook changed what the model is told of the input: "),
    CALL_AMENDED: (e) =>
      this.#value(e.data["arguments"], "a hook changed what the tool is called with: "),
    RESULT_AMENDED: (e) => this.#value(e.data["result"], "a hook changed what came of it: "),
    TASK_REQUESTED: (e) => this.#taskRequested(e),
    TASK_SETTLED: (e) => `${this.#name(e)} ${this.#ended(e)}`,
    TASK_FAILED: (e) => `${this.#name(e)} ${this.#ended(e)}${again(e)}`,
    TASK_PARKED: (e) => `${this.#name(e)} only waits: its host let go of it`,
    TASK_REQUEUED: (e) =>
      e.attempt
        ? `${this.#name(e)} is to be tried again`
        : `${this.#name(e)} may begin: its hooks have passed`,
    LEASE_GRANTED: (e) => this.#leaseGranted(e),
    LEASE_LOST: (e) => `${this.#name(e)} was taken from its host${this.#cause(e.data)}`,
    STEP_SETTLED: (e) => `step ${quoted(e.data["key"])} ${this.#outcome(e.data)}`,
    STEP_TRIED: (e) =>
      `try ${e.data["try_number"]} of step ${quoted(e.data["key"])} failed: ` +
      `${this.#why(e)}${again(e)}`,
    WAIT_SET: (e) => this.#waitSet(e),
    WAIT_SETTLED: (e) => this.#waitSettled(e),
    CHILD_SETTLED: (e) => this.#childSettled(e),
    ANSWER_KEPT: (e) => this.#answerKept(e),
    CANCEL_SHOWN: (e) => `${this.#name(e)} was shown the cancellation`,
    WITHDRAWN: (e) => `${this.#name(e)} gave up step ${quoted(e.data["key"])}`,
  };

  constructor(most: number) {
    this.#most = most;
  }

  header(): string {
    return `${"seq".padStart(5)}  ${"time (UTC)".padEnd(23)}  ${"after".padStart(10)}  what`;
  }

  line(event: HistoryEvent): string {
    this.#firstMs ??= event.timeMs;
    const after = `+${(Math.max(0, event.timeMs - this.#firstMs) / 1000).toFixed(3)}s`;
    const told = this.#kinds[event.type]?.(event) ?? this.#value(event.data, `${event.type} `);
    return `${String(event.seq).padStart(5)}  ${timeOf(event.timeMs)}  ${after.padStart(10)}  ${told}`;
  }

  // ---- runs ----

  #runStarted({ data, timeMs }: HistoryEvent): string {
    this.#began = timeMs;
    const parts = [`${data["kind"] ?? "run"} ${quoted(data["name"])} was started`];
    if (data["parent_run_id"]) parts.push(`by run ${oneLine(data["parent_run_id"])}`);
    const { queue, concurrency_key: key } = (data["options"] ?? {}) as Data;
    if (queue) parts.push(`in queue ${quoted(queue)}`, ...(key ? [`under key ${quoted(key)}`] : []));
    return this.#value(data["input"], `${parts.join(" ")} with `);
  }

  #runCompleted(event: HistoryEvent): string {
    const reason = event.data["stop_reason"] as string | undefined;
    const note = !reason || reason === "end" ? "" : ` (${oneLine(reason)})`;
    return `the run completed${this.#tookAll(event)}${note}`;
  }

  #inputAccepted({ data }: HistoryEvent): string {
    const parts = (data["message"]?.parts ?? []) as Data[];
    const said = parts.map((part) => String(part["text"] ?? "")).join("");
    return this.#value(said, `input ${oneLine(data["input_id"])} was accepted: `);
  }

  // ---- models ----

  #replyRejected({ data }: HistoryEvent): string {
    const what = data["guardrail"]
      ? `guardrail ${quoted(data["guardrail"])} turned the reply down`
      : "the answer does not fit its schema";
    return this.#value(data["feedback"], `${what}; the model is told: `);
  }

  #replyJudged({ data }: HistoryEvent): string {
    const verdict = data["passed"] ? "passes" : "does not pass";
    return this.#value(data["reason"], `a model judged the reply, which ${verdict}: `);
  }

  #modelRequested(event: HistoryEvent): string {
    this.#since.set(event.effectId, event.timeMs);
    if (!this.#names.has(event.effectId)) {
      this.#names.set(event.effectId, `model call ${++this.#calls}`);
    }
    return `${this.#name(event)} was ordered${attemptOf(event)}`;
  }

  #modelReplied(event: HistoryEvent): string {
    const { message = {}, usage = {}, model: asked } = event.data;
    const parts = (message.parts ?? []) as Data[];
    const said: string[] = [];
    for (const kind of ["text", "refusal"]) {
      const texts = parts.filter((part) => kind in part).map((part) => String(part[kind]));
      if (texts.length > 0) said.push(this.#value(texts.join(""), ""));
    }
    for (const { tool_call: call } of parts) {
      if (call) said.push(this.#value(call.arguments, `calls ${quoted(call.name)} with `));
    }
    const counted = `${usage.input_tokens ?? 0} + ${usage.output_tokens ?? 0} tokens`;
    const model = oneLine(message.origin || asked || "");
    return (
      `${this.#name(event)} was answered by ${model}${this.#took(event)} ` +
      `(${usage.incomplete ? "tokens unknown" : counted}): ${said.join("; ") || "nothing"}`
    );
  }

  // ---- tasks and steps ----

  #taskRequested(event: HistoryEvent): string {
    const { data, effectId } = event;
    const kind = { tool: "tool", callback: "hook" }[String(data["kind"])] ?? "code of";
    this.#names.set(effectId, `${kind} ${quoted(data["name"])}`);
    this.#since.set(effectId, event.timeMs);
    if (kind === "hook") return `${this.#name(event)} was asked`;
    if (kind === "code of") return `${this.#name(event)} was ordered`; // its input is that of the run
    return this.#value(data["input"], `${this.#name(event)} was called with `);
  }

  #leaseGranted(event: HistoryEvent): string {
    this.#since.set(event.effectId, event.timeMs);
    const { host_id: host, deployment } = event.data;
    const version = deployment ? ` (deployment ${oneLine(deployment)})` : "";
    return `${this.#name(event)} went to host ${oneLine(host)}${version}${attemptOf(event)}`;
  }

  // ---- waits ----

  #waitSet(event: HistoryEvent): string {
    const { data, effectId } = event;
    const runs = (data["runs"] ?? []) as Data[];
    const due = data["deadline_ms"] ? ` until ${timeOf(Number(data["deadline_ms"]))}` : "";
    this.#names.set(effectId, `step ${quoted(data["key"])}`);
    this.#since.set(effectId, event.timeMs);
    const name = this.#name(event);
    switch (data["kind"]) {
      case "sleep":
        return `${name} waits${due}`;
      case "suspension":
        return this.#value(
          data["suspension"]?.data,
          `${name} waits for an answer${due} and shows `,
        );
      case "event": {
        const { topic, event_type: type } = (data["event"] ?? {}) as Data;
        const note = type ? ` of type ${quoted(type)}` : "";
        return `${name} waits for an event${note} of topic ${quoted(topic)}${due}`;
      }
      case "children":
        return `${name} waits for ${this.#children(runs)}`;
      default:
        if (runs.length > 0) return `${name} started ${this.#children(runs)}`;
        return `${name} was ordered`;
    }
  }

  #children(runs: Data[]): string {
    const told = runs.map((run) => `${quoted(run["name"])} ${oneLine(run["id"])}`).join(", ");
    return `${runs.length === 1 ? "a run" : `${runs.length} runs`}: ${this.#cut(told)}`;
  }

  #waitSettled(event: HistoryEvent): string {
    const { data } = event;
    const name = this.#names.get(event.effectId) ?? `step ${quoted(data["key"])}`;
    const took = this.#took(event);
    if ("error" in data) return `${name} ${this.#outcome(data, took)}`;
    const by = data["answered_by"] ? ` by ${oneLine(data["answered_by"])}` : "";
    const value: unknown = data["value"];
    switch (data["kind"]) {
      case "suspension": {
        const isObject = typeof value === "object" && value !== null && !Array.isArray(value);
        const answer: unknown = isObject ? (value as Data)["data"] : value;
        return this.#value(answer, `${name} was answered${by}${took}: `);
      }
      case "event":
        return this.#value(value, `${name} got its event${took}: `);
      case "at_once":
        return `${name} was done`;
      case "children":
        return `${name}: all its runs have ended${took}`;
      default:
        return `${name} has waited${took}`;
    }
  }

  #childSettled(event: HistoryEvent): string {
    const run = (event.data["run"] ?? {}) as Data;
    const ended = "error" in run ? { error: run["error"] as unknown } : { value: run["result"] as unknown };
    const named = oneLine(run["id"] || "that did not start");
    return `${this.#name(event)}: run ${named} ${this.#outcome(ended)}`;
  }

  #answerKept({ data }: HistoryEvent): string {
    const answer = (data["answer"] ?? {}) as Data;
    const by = answer["answered_by"] ? ` by ${oneLine(answer["answered_by"])}` : "";
    const told = `an answer to step ${quoted(data["step_key"])} came early${by} and is kept: `;
    return this.#value(answer["data"], told);
  }

  // ---- parts of sentences ----

  #name(event: HistoryEvent): string {
    return this.#names.get(event.effectId) ?? `effect ${event.effectId}`;
  }

  #ended(event: HistoryEvent): string {
    return this.#outcome(event.data, this.#took(event));
  }

  #outcome(data: Data, took = ""): string {
    if (!("error" in data)) return this.#value(data["value"], "gave ") + took;
    const { reason = "", message = "" } = data["error"] as { reason?: string; message?: string };
    const own = `${reason.slice(reason.lastIndexOf(".") + 1)}: `;
    const told = message.startsWith(own) ? message.slice(own.length) : message;
    return `failed${took}: ${this.#cut(oneLine(reason))}: ${this.#cut(oneLine(told))}`;
  }

  #why(event: HistoryEvent): string {
    const { reason = "", message = "" } = (event.data["error"] ?? {}) as Data;
    return `${oneLine(reason)}: ${this.#cut(oneLine(message))}`;
  }

  #cause(data: Data): string {
    return data["cause"] ? `: ${this.#cut(oneLine(data["cause"]))}` : "";
  }

  #took(event: HistoryEvent): string {
    const since = this.#since.get(event.effectId);
    return since === undefined ? "" : ` after ${secondsOf(event.timeMs - since)}`;
  }

  #tookAll(event: HistoryEvent): string {
    return this.#began ? ` after ${secondsOf(event.timeMs - this.#began)}` : "";
  }

  #value(value: unknown, before: string): string {
    return before + this.#cut(oneLine(jsonOf(withoutSecrets(value ?? null))));
  }

  #cut(text: string): string {
    const characters = [...text];
    if (characters.length <= this.#most) return text;
    return characters.slice(0, Math.max(1, this.#most - 3)).join("") + "...";
  }
}

/** A JSON value, with HIDDEN in place of what stands under the name of a secret. */
export function withoutSecrets(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(withoutSecrets);
  if (typeof value !== "object" || value === null) return value;
  const shown = ([key, each]: [string, unknown]): [string, unknown] => [
    key,
    isSecret(key, each) ? HIDDEN : withoutSecrets(each),
  ];
  return Object.fromEntries(Object.entries(value).map(shown));
}

function isSecret(key: string, value: unknown): boolean {
  const isHeld = typeof value === "string" || (typeof value === "object" && value !== null);
  return isHeld && SECRET.test(key);
}

/** A value as JSON, bigints too: on one line, or each member on its own, so far to the right. */
export function jsonOf(value: unknown, indent = 0, before = ""): string {
  if (typeof value === "bigint") return String(value);
  if (typeof value !== "object" || value === null) return JSON.stringify(value) ?? "null";
  const inside = before + " ".repeat(indent);
  const isList = Array.isArray(value);
  const members = isList
    ? value.map((each) => jsonOf(each, indent, inside))
    : Object.entries(value).map(
        ([key, each]) => `${JSON.stringify(key)}: ${jsonOf(each, indent, inside)}`,
      );
  const [open, close] = isList ? "[]" : "{}";
  if (indent === 0 || members.length === 0) return `${open}${members.join(", ")}${close}`;
  return `${open}\n${inside}${members.join(`,\n${inside}`)}\n${before}${close}`;
}

/** A text as part of a line: no line breaks, no escape sequences for a terminal. */
function oneLine(value: unknown): string {
  return printable(String(value).trim().replace(/\s+/g, " "));
}

/** A line with escapes in place of what a terminal would not show, or would heed. */
export function printable(line: string): string {
  return line.replace(/[\p{C}\p{Z}]/gu, (found) => {
    if (found === " ") return found;
    const code = found.codePointAt(0)!;
    if (code < 0x100) return `\\x${code.toString(16).padStart(2, "0")}`;
    return code < 0x10000
      ? `\\u${code.toString(16).padStart(4, "0")}`
      : `\\U${code.toString(16).padStart(8, "0")}`;
  });
}

function quoted(name: unknown): string {
  return `'${oneLine(name || "")}'`;
}

function timeOf(timeMs: number): string {
  return new Date(timeMs).toISOString().slice(0, 23).replace("T", " ");
}

function secondsOf(elapsedMs: number): string {
  return `${(Math.max(0, elapsedMs) / 1000).toFixed(3)} s`;
}

function attemptOf(event: HistoryEvent): string {
  return event.attempt > 1 ? `, attempt ${event.attempt}` : "";
}

function again(event: HistoryEvent): string {
  const at = event.data["retry_at_ms"] as number | undefined;
  return at ? `; again in ${secondsOf(at - event.timeMs)}` : "";
}
