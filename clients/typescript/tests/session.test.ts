/** The host protocol's state machine, message by message, and under a hostile network. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { create, type MessageInitShape } from "@bufbuild/protobuf";
import {
  OffersSchema,
  StopTask_Reason,
  TaskSchema,
  ToolServiceConnectResponseSchema,
  type ServerMessageSchema,
} from "#sdk/gen/polos/v1/host_pb.js";
import {
  SettledStepSchema,
  StepKind,
  StepRequestSchema,
  TaskOutcomeSchema,
} from "#sdk/gen/polos/v1/steps_pb.js";
import { ProtocolError, Session, type SessionEvent } from "#sdk/session/machine.js";

type ServerBody = NonNullable<MessageInitShape<typeof ServerMessageSchema>["message"]>;

const outcome = (value: string) =>
  create(TaskOutcomeSchema, { result: { case: "valueJson", value } });
const VALUE = outcome("1");

function newSession(): Session {
  const offers = create(OffersSchema);
  return new Session({ hostId: "h", deployment: "d", slots: 1, offers, userAgent: "" });
}

function welcome(token = "s1", about: { resumed?: boolean; ack?: number; lost?: string[] } = {}) {
  return create(ToolServiceConnectResponseSchema, {
    ack: BigInt(about.ack ?? 0),
    welcome: {
      hostToken: token,
      resumed: about.resumed ?? false,
      lost: (about.lost ?? []).map((taskId) => ({ taskId, epoch: 1 })),
    },
  });
}

/** An envelope of one message of the server. */
function told(seq: number, message: ServerBody, ack = 0) {
  return create(ToolServiceConnectResponseSchema, {
    firstSeq: BigInt(seq),
    ack: BigInt(ack),
    messages: [{ message }],
  });
}

function task(seq: number, about: { taskId?: string; epoch?: number; steps?: number } = {}) {
  const { taskId = "r.1", epoch = 1, steps = 0 } = about;
  const settled = Array.from({ length: steps }, (_, n) => ({ key: `s${n}`, outcome: VALUE }));
  return told(seq, { case: "task", value: { taskId, epoch, name: "t", steps: settled } });
}

const acked = (ack: number) => create(ToolServiceConnectResponseSchema, { ack: BigInt(ack) });

function refused(seq: number, refusedSeq: number, reason: string, taskIsGone = false) {
  const value = { refusedSeq: BigInt(refusedSeq), reason, message: "no", taskIsGone };
  return told(seq, { case: "refused", value });
}

/** All that is to be sent: number, kind and epoch of each message. */
function said(session: Session): [seq: number, kind: string, epoch: number][] {
  const found: [number, string, number][] = [];
  for (let sent = session.take(); sent; sent = session.take()) {
    sent.messages.forEach(({ message }, at) => {
      const epoch = message.value && "epoch" in message.value ? message.value.epoch : 0;
      found.push([Number(sent.firstSeq) + at, message.case ?? "", epoch]);
    });
  }
  return found;
}

function opened(): Session {
  const session = newSession();
  session.hello();
  session.receive(welcome());
  return session;
}

const kinds = (events: SessionEvent[]) => events.map((event) => event.is);
const sleep = (key: string) =>
  create(StepRequestSchema, { key, request: { case: "sleep", value: {} } });

test("nothing is said before Welcome, and nothing may come before it", () => {
  const session = newSession();
  assert.equal(session.hello().hello?.protocol, 1);
  session.heartbeat();
  assert.equal(session.take(), undefined);
  assert.throws(() => session.receive(task(1)), ProtocolError);
});

test("a task goes from given to durable", () => {
  const session = opened();
  assert.deepEqual(kinds(session.receive(task(1, { steps: 2 }))), ["given"]);
  assert.equal(session.stepDone("r.1", "k", VALUE), 3);
  assert.equal(session.taskDone("r.1", { outcome: VALUE }), true);
  assert.equal(session.stepDone("r.1", "late", VALUE), 0);
  assert.deepEqual(said(session), [
    [1, "stepDone", 1],
    [2, "taskDone", 1],
  ]);
  assert.deepEqual(session.receive(acked(1)), [{ is: "stepDurable", taskId: "r.1", number: 3 }]);
  assert.deepEqual(kinds(session.receive(acked(2))), ["taskDurable"]);
  assert.equal(session.heldCount, 0);
});

test("numbers dealt with are passed over, gaps and unsent acknowledgements are errors", () => {
  const session = opened();
  session.receive(task(1));
  assert.deepEqual(session.receive(task(1)), []);
  assert.throws(() => session.receive(task(3)), ProtocolError);
  assert.throws(() => session.receive(acked(1)), ProtocolError);
});

test("a resumed stream says again what was not acknowledged, under the same numbers", () => {
  const session = opened();
  session.receive(task(1));
  session.stepDone("r.1", "a", VALUE);
  session.stepDone("r.1", "b", VALUE);
  said(session);
  const hello = session.hello();
  assert.deepEqual([hello.hello?.hostToken, hello.ack, hello.hello?.held.length], ["s1", 1n, 1]);
  const events = session.receive(welcome("s1", { resumed: true, ack: 1 }));
  assert.deepEqual(kinds(events), ["welcomed", "stepDurable"]);
  assert.deepEqual(said(session), [[2, "stepDone", 1]]);
});

test("a new session begins at 1, and asks again for what has no result", () => {
  const session = opened();
  session.receive(task(1));
  session.order("r.1", sleep("w"));
  session.stepDone("r.1", "a", VALUE);
  said(session);
  session.receive(acked(1));
  session.hello();
  session.receive(welcome("s2"));
  assert.deepEqual(said(session), [
    [1, "stepRequest", 1],
    [2, "stepDone", 1],
  ]);
  const result = { taskId: "r.1", step: { key: "w", kind: StepKind.SLEEP, outcome: VALUE } };
  assert.deepEqual(kinds(session.receive(told(1, { case: "stepResult", value: result }))), [
    "orderSettled",
  ]);
});

test("what is lost is stopped, and nothing of it is said again", () => {
  const session = opened();
  session.receive(task(1));
  session.stepDone("r.1", "a", VALUE);
  session.hello();
  assert.deepEqual(kinds(session.receive(welcome("s2", { lost: ["r.1"] }))), [
    "welcomed",
    "stopped",
  ]);
  assert.deepEqual(said(session), []);
  assert.equal(session.stepDone("r.1", "b", VALUE), 0);
});

test("a higher epoch of a task at work goes on, and answers under the new one", () => {
  const session = opened();
  session.receive(task(1));
  session.stepDone("r.1", "a", VALUE);
  session.order("r.1", sleep("w"));
  said(session);
  assert.deepEqual(session.receive(task(2, { epoch: 2 })), []);
  assert.deepEqual(said(session), [
    [3, "stepDone", 2],
    [4, "stepRequest", 2],
  ]);
  assert.deepEqual(session.receive(acked(2)), []);
  assert.deepEqual(kinds(session.receive(acked(4))), ["stepDurable"]);
});

test("a task that is let go of takes no outcomes, and comes again after its Park", () => {
  const session = opened();
  session.receive(task(1));
  session.order("r.1", sleep("w"));
  assert.equal(session.letGo("r.1"), true);
  const result = { taskId: "r.1", step: { key: "w", kind: StepKind.SLEEP, outcome: VALUE } };
  assert.deepEqual(session.receive(told(2, { case: "stepResult", value: result })), []);
  assert.equal(session.park("r.1"), true);
  assert.equal(session.park("r.1"), false);
  assert.deepEqual(
    said(session).map(([, kind]) => kind),
    ["stepRequest", "park"],
  );
  assert.deepEqual(kinds(session.receive(task(3, { epoch: 2 }))), ["given"]);
});

test("refusals are told by what they are about", () => {
  const session = opened();
  session.receive(task(1));
  session.stepDone("r.1", "a", VALUE);
  session.order("r.1", sleep("w"));
  session.taskDone("r.1", { outcome: VALUE });
  said(session);
  assert.deepEqual(kinds(session.receive(refused(2, 1, "STEP_GAP"))), ["stepRefused"]);
  assert.deepEqual(kinds(session.receive(refused(3, 2, "INVALID_FIELD"))), ["orderRefused"]);
  assert.deepEqual(kinds(session.receive(refused(4, 3, "INVALID_FIELD"))), ["taskRefused"]);
  assert.equal(session.taskDone("r.1", { outcome: VALUE }), true);
  said(session);
  assert.deepEqual(kinds(session.receive(refused(5, 4, "STALE_EPOCH", true))), ["stopped"]);
  assert.equal(session.heldCount, 0);
});

test("stops, cancellations and yields of older epochs are passed over", () => {
  const session = opened();
  session.receive(task(1, { epoch: 2 }));
  const about = (epoch: number) => ({ taskId: "r.1", epoch });
  assert.deepEqual(session.receive(told(2, { case: "cancelTask", value: about(1) })), []);
  const cancel = told(3, { case: "cancelTask", value: about(2) });
  assert.deepEqual(kinds(session.receive(cancel)), ["cancelling"]);
  const wanted = told(4, { case: "yieldTask", value: about(2) });
  assert.deepEqual(kinds(session.receive(wanted)), ["wanted"]);
  const stop = { ...about(2), reason: StopTask_Reason.DEADLINE };
  assert.deepEqual(session.receive(told(5, { case: "stopTask", value: stop })), [
    { is: "stopped", taskId: "r.1", cause: "its time is up" },
  ]);
});

/** A piece of a task's facts: a step, or a child's end. */
function piece(first: number, facts: object[], isLast: boolean) {
  return create(ToolServiceConnectResponseSchema, {
    facts: {
      taskId: "r.1",
      epoch: 1,
      first,
      facts: facts.map((fact) => create(SettledStepSchema, fact)),
      isLast,
      stateJson: isLast ? '{"n":1}' : "",
    },
  });
}

test("a task in pieces is dealt with when the last one is there", () => {
  const session = opened();
  const value = create(TaskSchema, { taskId: "r.1", epoch: 1, hasMore: true, settledCount: 1 });
  assert.deepEqual(session.receive(told(1, { case: "task", value })), []);
  assert.equal(session.isAcknowledgementDue, false);
  const child = (childIndex: number, text: string) => ({
    key: "all",
    isChild: true,
    childIndex,
    outcome: outcome(text),
  });
  session.receive(piece(0, [{ key: "a", outcome: VALUE }, child(1, '"two"')], false));
  const wait = { key: "all", kind: StepKind.CHILDREN, hasChildren: true, outcome: outcome("") };
  const [given] = session.receive(piece(2, [child(0, '"one"'), wait], true));
  assert.ok(given?.is === "given");
  assert.deepEqual(
    given.task.steps.map((each) => each.key),
    ["a", "all"],
  );
  assert.equal(given.task.steps[1]!.outcome?.result.value, '["one","two"]');
  assert.equal(given.task.stateJson, '{"n":1}');
  assert.equal(session.isAcknowledgementDue, true);
  assert.equal(session.stepDone("r.1", "b", VALUE), 2);
});

test("pieces that are cut come again as a whole; other messages end them", () => {
  const session = opened();
  const value = create(TaskSchema, { taskId: "r.1", epoch: 1, hasMore: true });
  session.receive(told(1, { case: "task", value }));
  session.receive(piece(0, [{ key: "a", outcome: VALUE }], false));
  assert.throws(() => session.receive(piece(0, [], true)), ProtocolError);
  assert.equal(session.hello().ack, 0n);
  session.receive(welcome("s1", { resumed: true }));
  const again = create(TaskSchema, { taskId: "r.1", epoch: 1, hasMore: true });
  session.receive(told(1, { case: "task", value: again }));
  assert.deepEqual(kinds(session.receive(task(2, { taskId: "r.2" }))), ["given"]);
  assert.deepEqual(session.receive(piece(0, [], true)), []);
});

test("an envelope holds 1000 messages and about 1 MiB, one large message alone", () => {
  const session = opened();
  session.receive(task(1));
  for (let n = 0; n < 1001; n++) session.stepDone("r.1", `k${n}`, VALUE);
  assert.equal(session.take()?.messages.length, 1000);
  assert.equal(session.take()?.messages.length, 1);
  const large = outcome(`"${"x".repeat(3 << 20)}"`);
  for (const key of ["a", "b"]) session.stepDone("r.1", key, large);
  assert.equal(session.take()?.messages.length, 1);
  assert.equal(session.take()?.messages.length, 1);
});

test("under cuts at every message a task's steps are told once each, in order", () => {
  for (let seed = 1; seed <= 300; seed++) {
    let state = seed;
    const random = (most: number) => {
      state = (state * 48271) % 2147483647;
      return state % most;
    };
    const session = opened();
    session.receive(task(1));
    const durable: number[] = [];
    let heardSeq = 0; // the server's side: what it has dealt with
    const heard: string[] = [];
    const listen = (isWhole: boolean) => {
      for (let sent = session.take(); sent; sent = session.take()) {
        sent.messages.forEach(({ message }, at) => {
          const seq = Number(sent.firstSeq) + at;
          if (!isWhole && random(2)) return;
          if (seq !== heardSeq + 1 || message.case !== "stepDone") return;
          heardSeq = seq;
          heard.push(message.value.key);
        });
      }
    };
    const note = (events: SessionEvent[]) => {
      for (const event of events) if (event.is === "stepDurable") durable.push(event.number);
    };
    for (let n = 0; n < 10; n++) {
      session.stepDone("r.1", `k${n}`, VALUE);
      listen(random(2) === 0);
      if (random(2)) note(session.receive(acked(heardSeq)));
      if (random(3)) continue;
      session.hello();
      note(session.receive(welcome("s1", { resumed: true, ack: heardSeq })));
    }
    session.hello();
    note(session.receive(welcome("s1", { resumed: true, ack: heardSeq })));
    listen(true);
    note(session.receive(acked(heardSeq)));
    assert.deepEqual(
      heard,
      Array.from({ length: 10 }, (_, n) => `k${n}`),
      `seed ${seed}`,
    );
    assert.deepEqual(
      durable,
      Array.from({ length: 10 }, (_, n) => n + 1),
      `seed ${seed}`,
    );
  }
});

/** A task at work that has asked for "w" and told its first step. */
function atWork(): Session {
  const session = newSession();
  session.hello();
  session.receive(welcome());
  session.receive(task(1));
  session.order("r.1", create(StepRequestSchema, { key: "w", request: { case: "sleep", value: {} } }));
  session.stepDone("r.1", "k", VALUE);
  said(session);
  return session;
}

const resultOf = (stepsBefore: number) =>
  create(SettledStepSchema, { key: "w", kind: StepKind.SLEEP, outcome: VALUE, stepsBefore });

test("a step that stands before a result is told before it, acknowledged or not", () => {
  for (const [stepsBefore, kinds_] of [
    [1, ["welcomed", "stepDurable", "orderSettled"]],
    [0, ["welcomed", "orderSettled", "stepDurable"]],
  ] as const) {
    const session = atWork();
    session.hello();
    const events = session.receive(welcome("s2")); // the server was restarted
    const result = { taskId: "r.1", step: resultOf(stepsBefore) };
    events.push(...session.receive(told(1, { case: "stepResult", value: result })));
    events.push(...session.receive(acked(2)));
    assert.deepEqual(kinds(events), kinds_);
  }
});

test("what stands after a result in pieces waits for it", () => {
  const session = atWork();
  const result = { taskId: "r.1", hasMore: true };
  assert.deepEqual(session.receive(told(2, { case: "stepResult", value: result })), []);
  assert.deepEqual(session.receive(acked(2)), []);
  const facts = { taskId: "r.1", epoch: 1, facts: [resultOf(0)], isLast: true };
  const piece = create(ToolServiceConnectResponseSchema, { ack: 2n, facts });
  assert.deepEqual(kinds(session.receive(piece)), ["orderSettled", "stepDurable"]);
});
