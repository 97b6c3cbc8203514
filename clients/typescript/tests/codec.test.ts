/** Values as JSON and back, what is refused, schemas, and the outcome of what was thrown. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { z } from "zod";
import { z as z3 } from "zod3";
import { NotJsonError } from "@polos/sdk";
import { parse, stringify } from "#sdk/codec/json.js";
import { errorOutcome } from "#sdk/codec/outcomes.js";
import { answerSchemaOf, fit, jsonSchemaOf } from "#sdk/codec/schema.js";

test("what JSON knows comes back as it was", () => {
  const text = 'a "quoted" \\ 1234567890123456789 \u{1F600}';
  for (const value of [null, true, 0, -1.5, 1e300, "", text, [], [1, [2]], {}, { a: { b: [] } }]) {
    assert.deepEqual(parse(stringify(value)), value);
  }
});

test("integers over 2^53 are bigints, in full digits", () => {
  const big = 123456789012345678901234567890n;
  assert.equal(stringify({ n: [big, -big] }), `{"n":[${big},-${big}]}`);
  assert.deepEqual(parse(`{"n":[${big},-${big},9007199254740991]}`), {
    n: [big, -big, 9007199254740991],
  });
  assert.equal(parse("0.12345678901234567890123"), 0.12345678901234568);
  assert.equal(parse("1.5e10"), 1.5e10);
  assert.deepEqual(parse('{"1234567890123456789": "1234567890123456789"}'), {
    "1234567890123456789": "1234567890123456789",
  });
});

test("dates, bytes, sets, maps and what has toJSON are written", () => {
  const value = {
    at: new Date(0),
    bytes: new Uint8Array([1, 2]),
    set: new Set([1]),
    map: new Map([["k", 1]]),
    own: { toJSON: () => "x" },
    gone: undefined,
    hole: [undefined],
  };
  assert.deepEqual(parse(stringify(value)), {
    at: "1970-01-01T00:00:00.000Z",
    bytes: "AQI=",
    set: [1],
    map: { k: 1 },
    own: "x",
    hole: [null],
  });
  const odd = JSON.parse('{"__proto__": {"a": 1}}') as object;
  assert.equal(stringify(odd), '{"__proto__":{"a":1}}');
});

test("what has no JSON form is refused, with its place", () => {
  const circle: Record<string, unknown> = {};
  circle["self"] = [circle];
  const refused: [unknown, RegExp][] = [
    [NaN, /NaN is no number of JSON/],
    [{ a: [1, Infinity] }, /a\[1\]: Infinity is no number/],
    [circle, /self\[0\]: it holds itself/],
    [{ f: () => 1 }, /f: a function has no JSON form/],
    [Promise.resolve(1), /await it/],
    [new Error("x"), /a Error has no JSON form/],
    ["\ud800", /not valid Unicode/],
    ["a\u0000", /holds U\+0000/],
    [{ "\udc00": 1 }, /not valid Unicode/],
    [new Map([[1, 0] as const, ["1", 0] as const] as [unknown, number][]), /have one text/],
  ];
  for (const [value, sentence] of refused) {
    assert.throws(
      () => stringify(value),
      (error) => {
        assert.ok(error instanceof NotJsonError);
        assert.match(error.message, sentence);
        return true;
      },
    );
  }
});

test("schemas of zod 4 and 3 fit values and tell their JSON Schema, closed", async () => {
  const four = z.object({ city: z.string(), days: z.number().int().default(1) });
  const three = z3.object({ city: z3.string(), days: z3.number().int().default(1) });
  for (const schema of [four, three]) {
    assert.deepEqual(await fit(schema, { city: "a" }), { value: { city: "a", days: 1 } });
    const misfit = await fit(schema, { days: "x" });
    assert.match(misfit.problem ?? "", /city: .*; days: /);
    const made = jsonSchemaOf(schema, "x") as any;
    assert.equal(made.type, "object");
    assert.deepEqual(made.required, ["city"]);
    assert.equal(made.additionalProperties, false);
    assert.equal(made.properties.city.type, "string");
    assert.deepEqual((jsonSchemaOf(schema, "x", true) as any).required, ["city", "days"]);
  }
});

test("answers are judged by what the server knows of a schema", () => {
  const four = z.object({ name: z.string().regex(/^a+$/), odd: z.string().regex(/^(?=a)/) });
  const three = z3.object({ name: z3.string().regex(/^a+$/), odd: z3.string().regex(/^(?=a)/) });
  for (const open of [four, three]) {
    const made = JSON.parse(answerSchemaOf(open)) as any;
    assert.deepEqual(made.required, ["name", "odd"]);
    assert.notEqual(made.additionalProperties, false);
    assert.equal(made.properties.name.pattern, "^a+$");
    assert.equal(made.properties.odd.pattern, undefined);
    assert.equal(made.$schema, undefined);
  }
  assert.equal(answerSchemaOf(z.object({ at: z.date() })), "");
});

test("whatever was thrown has an outcome", () => {
  const unprintable = {
    get name() {
      return "";
    },
    toString() {
      throw new Error("no");
    },
  };
  class Silent extends Error {
    override get message(): string {
      throw new Error("no");
    }
  }
  const silent = errorOutcome(new Silent(), "x").result;
  assert.ok(silent.case === "error");
  assert.equal(silent.value.message, "<unprintable Error>");
  for (const thrown of [
    undefined,
    null,
    1,
    "text",
    Symbol("s"),
    {},
    unprintable,
    new Error("\ud800"),
  ]) {
    const { result } = errorOutcome(thrown, "the step");
    assert.equal(result.case, "error");
  }
  const both = errorOutcome(new AggregateError([new TypeError("a"), new Error("b")]), "x").result;
  assert.ok(both.case === "error");
  assert.deepEqual([both.value.type, both.value.message], ["TypeError", "a (and 1 more)"]);
  assert.match(both.value.stack, /AggregateError/);
});
