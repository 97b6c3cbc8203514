/**
 * The machine that decides which fact the code is given next, without code.
 *
 * The model: a journal is made by one life of a simulated code that asks for some keys; at any
 * point the life ends and the next one replays the journal. Whatever the order, each life is given
 * a prefix of the journal.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import { Replay, type AskKind, type Fact, type Output } from "#sdk/replay/machine.js";

const step = (key: string): Fact<string> => ({
  key,
  kind: "step",
  isStep: true,
  outcome: key,
  cancels: false,
});
const refused = (key: string): Fact<string> => ({
  key,
  kind: "suspend",
  isStep: false,
  outcome: "cancelled",
  cancels: true,
});
const give = (number: number, fact: Fact<string>) => [{ do: "give", number, fact }];

test("a new key is begun at once, and given when it has settled, one at an idle", () => {
  const replay = new Replay<string>();
  assert.deepEqual(replay.ask("a", "step"), { do: "begin", key: "a" });
  assert.deepEqual(replay.ask("b", "step"), { do: "begin", key: "b" });
  replay.settle(step("b"));
  replay.settle(step("a"));
  assert.deepEqual(replay.idle(false, true), give(0, step("b")));
  assert.deepEqual(replay.idle(false, true), give(1, step("a")));
  assert.equal(replay.wantsIdle, false);
});

test("facts are given in the journal's order, not in the order of the asks", () => {
  const replay = new Replay([step("b"), step("a")]);
  assert.equal(replay.ask("a", "step"), undefined);
  assert.deepEqual(replay.idle(false, true), []);
  assert.equal(replay.ask("b", "step"), undefined);
  assert.deepEqual(replay.idle(false, true), give(0, step("b")));
  assert.deepEqual(replay.idle(false, true), give(1, step("a")));
});

test("new keys are held until all facts were asked for, and begun after they were given", () => {
  const replay = new Replay([step("a")]);
  assert.equal(replay.ask("new", "step"), undefined);
  assert.equal(replay.isHeld("new"), true);
  assert.deepEqual(replay.idle(false, true), []);
  replay.ask("a", "step");
  assert.deepEqual(replay.idle(false, true), give(0, step("a")));
  assert.deepEqual(replay.idle(false, true), [{ do: "begin", key: "new" }]);
});

test("another kind under a key, and facts that nobody asks for, are a difference", () => {
  const other = new Replay([step("a")]).ask("a", "sleep");
  assert.ok(other?.do === "diverged" && /"a" \(sleep\) {3}<- differs/.test(other.message));
  const ended = new Replay([step("a")]).end();
  assert.match(ended!.message, /"a" \(step\) +the end of the code/);
  assert.match(new Replay([step("a")]).divergedAtNext().message, /nothing {3}<- differs/);
});

test("the cancellation is shown once nothing is due and nothing is at work", () => {
  const replay = new Replay<string>();
  replay.ask("wait", "suspend");
  replay.cancel();
  assert.deepEqual(replay.idle(true, true), []);
  assert.deepEqual(replay.idle(false, true), [{ do: "showCancel", key: undefined }]);
  replay.withdraw("wait");
  assert.deepEqual(replay.ask("clean-up", "step"), { do: "begin", key: "clean-up" });
});

test("replayed, it is shown before the clean-up's facts, and where it refused a wait", () => {
  const shown = new Replay([step("a"), step("clean-up")], true);
  shown.ask("a", "step");
  assert.deepEqual(shown.idle(false, true), give(0, step("a")));
  shown.ask("wait", "suspend");
  assert.deepEqual(shown.idle(false, true), [{ do: "showCancel", key: undefined }]);
  const told = new Replay([refused("wait"), step("clean-up")], true);
  told.ask("wait", "suspend");
  assert.deepEqual(told.idle(false, true), [{ do: "showCancel", key: "wait" }]);
  told.ask("clean-up", "step");
  assert.deepEqual(told.idle(false, true), give(1, step("clean-up")));
});

test("a fact of a key that was given up is passed over", () => {
  const replay = new Replay([step("a"), step("b")]);
  replay.ask("a", "step");
  replay.ask("b", "step");
  replay.withdraw("a");
  assert.deepEqual(replay.idle(false, true), give(1, step("b")));
});

/** A random number that is the same for a seed. */
function randomOf(seed: number): (most: number) => number {
  let state = seed * 2654435761 + 1;
  return (most) => {
    state = (state * 1103515245 + 12345) % 2 ** 31;
    return Math.floor((state / 2 ** 31) * most);
  };
}

/** One life: asks in some order, settles what was begun in some order; what it was given. */
function live(journal: Fact<string>[], keys: string[], random: (most: number) => number): string[] {
  const replay = new Replay(journal);
  const begun: string[] = [];
  const given: string[] = [];
  const unasked = [...keys];
  const take = (outputs: (Output<string> | undefined)[]) => {
    for (const output of outputs) {
      if (output?.do === "begin") begun.push(output.key);
      else if (output?.do === "give") given.push(output.fact.key);
      else assert.equal(output, undefined);
    }
  };
  for (let moves = 0; moves < 40; moves++) {
    const move = random(3);
    if (move === 0 && unasked.length) {
      take([replay.ask(unasked.splice(random(unasked.length), 1)[0]!, "step" as AskKind)]);
    } else if (move === 1 && begun.length) {
      const fact = step(begun.splice(random(begun.length), 1)[0]!);
      assert.ok(!journal.some((each) => each.key === fact.key), "begun, and it was a fact");
      journal.push(fact);
      replay.settle(fact);
    } else if (replay.wantsIdle) {
      const before = given.length;
      take(replay.idle(false, true));
      assert.ok(given.length <= before + 1);
    }
  }
  return given;
}

test("each life is given a prefix of the journal, whatever the order", () => {
  for (let seed = 1; seed <= 2000; seed++) {
    const random = randomOf(seed);
    const journal: Fact<string>[] = [];
    for (let life = 0; life < 3; life++) {
      const given = live(journal, ["a", "b", "c", "d"], random);
      assert.deepEqual(
        given,
        journal.slice(0, given.length).map((fact) => fact.key),
        `seed ${seed}`,
      );
    }
  }
});
