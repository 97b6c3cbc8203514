"""What a task has settled is told in the journal's order, whatever becomes of streams."""

from __future__ import annotations

import random

from polos._session.machine import OrderSettled, Session, StepDurable
from polos.v1 import host_pb2, steps_pb2

from test_session import VALUE, acked, envelope, new_session, order, task, welcome

WAITS = 6
STEPS = 6


class Server:
    """One task's journal, and the streams on which it is told."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.session: Session = new_session()
        self.journal: list[str] = []
        self.told: list[str] = []
        self.asked: set[str] = set()
        self.outbox: list[tuple[int, int, host_pb2.ServerMessage]] = []
        self.way: list[host_pb2.ToolServiceConnectResponse] = []
        self.sent = self.handled = self.steps = 0
        self.session.hello()
        self.hear(welcome())
        self.hear(task(1))
        self.sent = 1

    def hear(self, message: host_pb2.ToolServiceConnectResponse) -> None:
        for event in self.session.receive(message):
            if isinstance(event, StepDurable):
                self.told.append(f"s{event.number}")
            elif isinstance(event, OrderSettled):
                self.told.append(event.key)
        assert self.told == self.journal[: len(self.told)]

    def take(self) -> None:
        """What the host says arrives."""
        while (said := self.session.take()) is not None:
            for seq, message in enumerate(said.messages, said.first_seq):
                if seq <= self.handled:
                    continue
                self.handled = seq
                if message.HasField("step_done") and message.step_done.number > self.steps:
                    self.steps += 1
                    self.journal.append(f"s{self.steps}")
                elif message.HasField("step_request"):
                    self.asked.add(message.step_request.key)
        if self.random.random() < 0.5:
            self.way.append(acked(self.handled))

    def result(self, key: str) -> host_pb2.ServerMessage:
        before = [fact for fact in self.journal[: self.journal.index(key)] if fact[0] == "s"]
        step = steps_pb2.SettledStep(
            key=key, kind=steps_pb2.STEP_KIND_SLEEP, outcome=VALUE, steps_before=len(before)
        )
        return host_pb2.ServerMessage(step_result={"task_id": "r.1", "step": step})

    def send(self, message: host_pb2.ServerMessage) -> None:
        self.sent += 1
        self.outbox.append((self.sent, self.handled, message))
        self.way.append(self.wire(*self.outbox[-1]))

    def wire(self, seq: int, ack: int, message: host_pb2.ServerMessage):
        kind = message.WhichOneof("message")
        return envelope(seq, ack, **{kind: getattr(message, kind)})

    def settle(self) -> None:
        """A wait that is open ends."""
        if waiting := sorted(self.asked.difference(self.journal)):
            self.journal.append(self.random.choice(waiting))
            self.send(self.result(self.journal[-1]))

    def cut(self) -> None:
        self.way.clear()
        hello = self.session.hello()
        if self.random.random() < 0.5:
            self.outbox = [item for item in self.outbox if item[0] > hello.ack]
            ack = self.outbox[0][1] if self.outbox else self.handled
            self.hear(welcome(resumed=True, ack=ack))
            self.way = [self.wire(*item) for item in self.outbox]
            return
        self.sent = self.handled = 0  # it was restarted
        self.outbox.clear()
        self.hear(welcome("s2"))
        for key in [fact for fact in self.journal if fact[0] == "w"]:
            self.send(self.result(key))

    def run(self) -> None:
        host = [lambda n=n: self.session.order("r.1", order(f"w{n}")) for n in range(WAITS)]
        host += [lambda n=n: self.session.step_done("r.1", f"k{n}", VALUE) for n in range(STEPS)]
        self.random.shuffle(host)
        for _ in range(80):
            what = self.random.random()
            if what < 0.25 and host:
                host.pop()()
            elif what < 0.45:
                self.take()
            elif what < 0.6:
                self.settle()
            elif what < 0.9 and self.way:
                self.hear(self.way.pop(0))
            elif what > 0.94:
                self.cut()
        while len(self.told) < WAITS + STEPS:
            for each in host:
                each()
            host.clear()
            self.take()
            self.settle()
            self.way.append(acked(self.handled))
            while self.way:
                self.hear(self.way.pop(0))


def test_facts_are_told_in_their_order_over_streams_that_break():
    for seed in range(200):
        server = Server(seed)
        server.run()
        assert server.told == server.journal and len(server.told) == WAITS + STEPS


def test_what_stands_after_a_result_in_pieces_waits_for_it():
    session = new_session()
    session.hello()
    session.receive(welcome())
    session.receive(task(1))
    session.order("r.1", order("w"))
    session.step_done("r.1", "k", VALUE)
    result = steps_pb2.StepResult(task_id="r.1", has_more=True)
    assert session.receive(envelope(2, step_result=result)) == []
    assert session.receive(acked(2)) == []
    facts = [steps_pb2.SettledStep(key="w", kind=steps_pb2.STEP_KIND_SLEEP, outcome=VALUE)]
    piece = host_pb2.TaskFacts(task_id="r.1", epoch=1, facts=facts, is_last=True)
    told = session.receive(host_pb2.ToolServiceConnectResponse(ack=2, facts=piece))
    assert [type(event) for event in told] == [OrderSettled, StepDurable]
