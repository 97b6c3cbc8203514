/**
 * Spans: named stretches of a workflow's code.
 *
 * They are logged, and where OpenTelemetry's API is loaded they are its spans as well: those of one
 * tree of runs make one trace, whatever processes they ran in, for its id is the root's. Without it
 * there is nothing but the log. The API is found where it registers itself, so that nobody needs to
 * have it.
 */
import { wholeTextOf } from "../codec/outcomes.js";
import { log } from "../log.js";
import { ExecutionCancelledError } from "../errors.js";

export type Attributes = Record<string, unknown>;

const API = Symbol.for("opentelemetry.js.api.1");
const SPAN_KEY = Symbol.for("OpenTelemetry Context Key SPAN");
const SAMPLED = 1;
const FAILED = 2; // SpanStatusCode.ERROR

/** OpenTelemetry's own, as far as it is used here. */
interface OtherSpan {
  spanContext(): { traceId: string; spanId: string; traceFlags: number };
  setAttributes(attributes: object): void;
  addEvent(name: string, attributes: object): void;
  recordException(error: Error): void;
  setStatus(status: unknown): void;
  end(): void;
}

interface Tracer {
  startActiveSpan<T>(...given: [...unknown[], (span: OtherSpan) => T]): T;
}

/** What `ctx.step.trace` gives; logged at its end, at "debug". */
export class Span {
  readonly name: string;
  readonly attributes: Attributes;
  readonly events: [name: string, attributes: Attributes][] = [];
  /** What was thrown inside; empty: nothing. */
  error = "";
  /** As W3C Trace Context writes it; undefined without OpenTelemetry. */
  readonly traceparent: string | undefined;
  readonly spanId: string | undefined;
  readonly #other: OtherSpan | undefined;
  readonly #startedAt = performance.now();

  /** @internal */
  constructor(name: string, attributes: Attributes, other: OtherSpan | undefined) {
    this.name = name;
    this.attributes = { ...attributes };
    this.#other = other;
    const told = other?.spanContext();
    this.spanId = told?.spanId;
    const flags = (told?.traceFlags ?? 0).toString(16).padStart(2, "0");
    this.traceparent = told && `00-${told.traceId}-${told.spanId}-${flags}`;
  }

  setAttribute(key: string, value: unknown): this {
    return this.setAttributes({ [key]: value });
  }

  setAttributes(attributes: Attributes): this {
    Object.assign(this.attributes, attributes);
    this.#other?.setAttributes(plain(attributes));
    return this;
  }

  addEvent(name: string, attributes: Attributes = {}): this {
    this.events.push([name, { ...attributes }]);
    this.#other?.addEvent(name, plain(attributes));
    return this;
  }

  recordException(thrown: unknown): void {
    this.error = wholeTextOf(thrown);
    this.#other?.recordException(new Error(this.error));
    this.#other?.setStatus({ code: FAILED, message: this.error });
  }

  /** For code written for other tracers; here the status follows from `error`. */
  setStatus(status: unknown): this {
    this.#other?.setStatus(status);
    return this;
  }

  /** @internal */
  end(): void {
    const tookMs = (performance.now() - this.#startedAt).toFixed(1);
    const about = Object.entries(plain(this.attributes)).map(([key, value]) => `${key}=${value}`);
    log.debug([`${this.name}: ${tookMs} ms`, ...about, this.error].join(" ").trimEnd());
    this.#other?.end();
  }
}

/**
 * Runs a stretch of code; those within it are its parts.
 *
 * @param rootId it belongs to the trace of this run, and to no other span.
 */
export async function spanned<T>(
  name: string,
  attributes: Attributes,
  work: (span: Span) => T | Promise<T>,
  rootId = "",
): Promise<T> {
  const run = async (other?: OtherSpan): Promise<T> => {
    const span = new Span(name, attributes, other);
    try {
      return await work(span);
    } catch (error) {
      if (error instanceof ExecutionCancelledError) span.error = error.name; // no failure
      else span.recordException(error);
      throw error;
    } finally {
      span.end();
    }
  };
  const tracer = tracerIfThere();
  if (!tracer) return run();
  const options = { attributes: plain(attributes) };
  const root = traceOf(rootId);
  return root
    ? tracer.startActiveSpan(name, options, root, run)
    : tracer.startActiveSpan(name, options, run);
}

function tracerIfThere(): Tracer | undefined {
  const api = (globalThis as { [API]?: { trace?: { getTracer(name: string): Tracer } } })[API];
  return api?.trace?.getTracer("polos");
}

/** The context of the trace whose id is a run's; undefined: the id is no UUID. */
function traceOf(rootId: string): object | undefined {
  const traceId = rootId.replaceAll("-", "");
  if (!/^[0-9a-f]{32}$/.test(traceId)) return undefined;
  const told = { traceId, spanId: traceId.slice(16), traceFlags: SAMPLED, isRemote: true };
  return contextOf(new Map<symbol, unknown>([[SPAN_KEY, { spanContext: () => told }]]));
}

function contextOf(values: Map<symbol, unknown>): object {
  const without = (key: symbol) => new Map([...values].filter(([each]) => each !== key));
  return {
    getValue: (key: symbol) => values.get(key),
    setValue: (key: symbol, value: unknown) => contextOf(new Map(values).set(key, value)),
    deleteValue: (key: symbol) => contextOf(without(key)),
  };
}

/** Attributes as OpenTelemetry takes them. */
function plain(attributes: Attributes): Record<string, string | number | boolean> {
  const isPlain = (value: unknown) => ["string", "number", "boolean"].includes(typeof value);
  const found = Object.entries(attributes).map(([key, value]) => [
    key,
    isPlain(value) ? value : String(value),
  ]);
  return Object.fromEntries(found) as Record<string, string | number | boolean>;
}
