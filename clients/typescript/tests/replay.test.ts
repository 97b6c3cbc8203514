/**
 * The machine that decides which fact the code is given next, without code.
 *
 * The model: a journal is made by one life of a simulated code that asks for some keys; at any
 * point the life ends and the next one replays the journal. Whatever the order, each life is given
 * a prefix of the journal.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import { Parking } from "#sdk/execution/parking.js";
import { Replay, type AskKind, type Fact, type FactKind, type Output } from "#sdk/replay/machine.js";

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
const fact = (key: string, kind: FactKind): Fact<string> => ({
  key,
  kind,
  isStep: false,
  outcome: "",
  cancels: false,
});
const SHOWN = fact("", "cancellation shown");
const show = (key?: string) => [{ do: "showCancel", key }];
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

test("the cancellation is a fact before it is shown, once nothing is due and nothing at work", () => {
  const replay = new Replay<string>();
  replay.ask("wait", "suspend");
  replay.cancel();
  assert.deepEqual(replay.idle(true, true), []);
  assert.deepEqual(replay.idle(false, true), [{ do: "sayCancel" }]);
  assert.deepEqual(replay.idle(false, true), []);
  assert.deepEqual(replay.insist(), []);
  replay.settle(SHOWN);
  assert.deepEqual(replay.idle(true, true), show());
  assert.deepEqual(replay.idle(false, true), []);
  replay.withdraw("wait");
  assert.deepEqual(replay.ask("clean-up", "step"), { do: "begin", key: "clean-up" });
});

test("code that never rests is shown it all the same", () => {
  const replay = new Replay<string>([], true);
  replay.ask("work", "step");
  assert.deepEqual(replay.idle(true, true), []);
  assert.deepEqual(replay.insist(), [{ do: "sayCancel" }]);
  replay.settle(SHOWN);
  assert.deepEqual(replay.idle(true, true), show());
});

test("replayed, it is shown where it was, and where it refused a wait", () => {
  const shown = new Replay([step("a"), SHOWN, step("clean-up")], true);
  shown.ask("a", "step");
  assert.deepEqual(shown.idle(false, true), give(0, step("a")));
  assert.deepEqual(shown.idle(false, true), show());
  shown.ask("clean-up", "step");
  assert.deepEqual(shown.idle(false, true), give(2, step("clean-up")));
  const told = new Replay([refused("wait"), SHOWN], true);
  told.ask("wait", "suspend");
  assert.deepEqual(told.idle(false, true), show("wait"));
  assert.equal(told.wantsIdle, true);
  assert.deepEqual(told.idle(false, true), []);
});

test("a key that was given up is neither begun nor given, and holds up what came after it", () => {
  const facts = [step("before"), { ...fact("slow", "given up"), seen: 1 }, step("after")];
  const replay = new Replay(facts);
  assert.equal(replay.ask("before", "step"), undefined);
  assert.deepEqual(replay.idle(false, true), give(0, step("before")));
  assert.equal(replay.isBlocked, true); // nobody has asked for it
  assert.equal(replay.ask("slow", "step"), undefined);
  assert.equal(replay.ask("after", "step"), undefined);
  assert.deepEqual(replay.idle(false, true), []);
  assert.equal(replay.isBlocked, false); // the code gives it up by a timer of its own
  assert.equal(replay.withdraw("slow"), false); // no news
  assert.deepEqual(replay.idle(false, true), give(2, step("after")));
});

test("a key is news when it is given up for the first time", () => {
  const replay = new Replay<string>();
  replay.ask("slow", "step");
  assert.equal(replay.withdraw("slow"), true);
  assert.equal(replay.withdraw("slow"), false);
});

test("what an attempt that failed gave up at its end does not count in the next", () => {
  const facts = [step("a"), { ...fact("slow", "given up"), seen: 1 }];
  const again = new Replay(facts, false, 1);
  again.ask("a", "step");
  assert.deepEqual(again.idle(false, true), give(0, step("a")));
  assert.deepEqual(again.ask("slow", "step"), { do: "begin", key: "slow" });
  const ended = { ...fact("ask", "suspend"), ends: true };
  const waits = new Replay([ended, { ...fact("ask", "given up") }, step("b")], false, 0);
  assert.equal(waits.ask("ask", "suspend"), undefined);
  assert.equal(waits.withdraw("ask"), false);
  assert.equal(waits.ask("b", "step"), undefined);
  assert.deepEqual(waits.idle(false, true), give(2, step("b")));
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

test("code is let go of only when it has been given all that came", async () => {
  const replay = new Replay<string>();
  replay.ask("a", "step");
  replay.ask("b", "step");
  let givenWhenParked: number | undefined;
  let given = 0;
  const alive = setInterval(() => undefined, 1000); // its own timer holds up no process
  await new Promise<void>((parked) => {
    const park = (): void => {
      givenWhenParked = given;
      parked();
    };
    const parking = new Parking(0, () => true, () => !replay.hasMore, park);
    replay.settle(step("a"));
    replay.settle(step("b"));
    parking.touch();
    const giveOne = (): void => {
      given += replay.idle(false, true).length;
      if (given < 2) setTimeout(giveOne, 30); // as on a loop that has much to do
    };
    setTimeout(giveOne, 30);
  });
  clearInterval(alive);
  assert.equal(givenWhenParked, 2);
});
