/** Spans: in the log, and in OpenTelemetry where it is there. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { context, trace } from "@opentelemetry/api";
import { AsyncLocalStorageContextManager } from "@opentelemetry/context-async-hooks";
import {
  BasicTracerProvider,
  InMemorySpanExporter,
  SimpleSpanProcessor,
  type ReadableSpan,
} from "@opentelemetry/sdk-trace-base";
import { defineWorkflow } from "@polos/sdk";
import { lines, withServer } from "./support.js";

const there = withServer();

test("a stretch of code is logged with its time, its attributes and what it threw", async () => {
  const flow = defineWorkflow({ id: "logged" }, async (ctx) => {
    const found = await ctx.step.trace("look", (span) => {
      span.setAttribute("rows", 3).addEvent("half");
      return 7;
    });
    const broken = () => Promise.reject(new TypeError("no"));
    await ctx.step.trace("break", broken, { part: 2 }).catch(() => undefined);
    return [found, ctx.otelTraceparent ?? "none"];
  });
  assert.deepEqual(await flow.run(there.client), [7, "none"]);
  assert.ok(lines.some((line) => /^look: \d+\.\d ms rows=3$/.test(line)), lines.join("\n"));
  assert.ok(lines.some((line) => /^break: \S+ ms part=2 TypeError: no$/.test(line)));
});

test("with OpenTelemetry the spans of a tree are one trace, with the root's id", async () => {
  const kept = new InMemorySpanExporter();
  const provider = new BasicTracerProvider({ spanProcessors: [new SimpleSpanProcessor(kept)] });
  trace.setGlobalTracerProvider(provider);
  context.setGlobalContextManager(new AsyncLocalStorageContextManager().enable());
  try {
    const child = defineWorkflow({ id: "traced-child" }, (ctx) => ctx.step.run("leaf", () => 1));
    const flow = defineWorkflow({ id: "traced" }, async (ctx) => {
      await ctx.step.trace("part", () => ctx.step.run("work", () => 1), { n: 1 });
      await ctx.step.invokeAndWait("child", child);
      return [ctx.executionId, ctx.otelTraceparent, ctx.otelSpanId];
    });
    const [run, parent, spanId] = await flow.run(there.client);
    const traceId = run!.replaceAll("-", "");
    assert.equal(parent, `00-${traceId}-${spanId}-01`);
    const spans = new Map(kept.getFinishedSpans().map((span) => [span.name, span]));
    for (const span of spans.values()) assert.equal(span.spanContext().traceId, traceId, span.name);
    const above = (name: string) => (spans.get(name) as ReadableSpan).parentSpanContext?.spanId;
    assert.equal(above("step work"), spans.get("part")!.spanContext().spanId);
    assert.equal(above("part"), spanId);
    assert.deepEqual(spans.get("part")!.attributes, { n: 1 });
    assert.equal(spans.get("step work")!.attributes["polos.step_key"], "work");
    assert.ok(spans.has("workflow traced-child") && spans.has("step leaf"));
  } finally {
    trace.disable();
    context.disable();
  }
});
