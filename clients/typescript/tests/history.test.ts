/** What histories say of facts: the same as in other languages. */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { History, type HistoryEvent } from "@polos/sdk";

const HERE = dirname(fileURLToPath(import.meta.url));
const FOLDER = join(HERE, "..", "..", "..", "..", "tests", "conformance", "words");

interface Fact {
  seq: number;
  time_ms: number;
  type: string;
  effect_id: number;
  attempt: number;
  data: Record<string, unknown>;
}

function historyOf(...events: HistoryEvent[]): History {
  const history = new History();
  history.push(...events);
  return history;
}

function fact(data: Record<string, unknown>): HistoryEvent {
  return { seq: 1, timeMs: 1000, type: "TASK_SETTLED", effectId: 1, attempt: 1, data };
}

test("facts of every kind are said as in other languages", () => {
  const facts = JSON.parse(readFileSync(join(FOLDER, "facts.json"), "utf8")) as Fact[];
  const history = historyOf(
    ...facts.map(({ time_ms: timeMs, effect_id: effectId, ...rest }) => ({
      ...rest,
      timeMs,
      effectId,
    })),
  );
  const said = `${history.text()}\n\n${history.text(24)}\n\n${history.stack()}\n`;
  assert.equal(said, readFileSync(join(FOLDER, "said.txt"), "utf8"));
});

test("secrets are hidden wherever they stand, and kept in the events", () => {
  const history = historyOf(fact({ value: [{ accessToken: "hush", token_count: 8 }] }));
  for (const shown of [history.text(), history.json()]) {
    assert.ok(!shown.includes("hush") && shown.includes("(hidden)"), shown);
    assert.match(shown, /"token_count": 8/);
  }
  assert.deepEqual(history[0]?.data["value"], [{ accessToken: "hush", token_count: 8 }]);
});

test("json is JSON, long integers too, and what is made of a history is an array", () => {
  const history = historyOf(fact({ value: { n: 12345678901234567890n, none: [], text: "ü" } }));
  assert.match(history.json(), /\n {8}"n": 12345678901234567890,\n {8}"none": \[\]/);
  assert.deepEqual((JSON.parse(history.json(0)) as Fact[])[0]?.data["value"], {
    n: 12345678901234567000,
    none: [],
    text: "ü",
  });
  const numbers = history.map((event) => event.seq);
  assert.ok(Array.isArray(numbers) && !(numbers instanceof History));
  assert.equal(new History().json(), "[]");
  assert.throws(() => history.text(0), /payloadCharacters is 0/);
});
