"""The host protocol's state machine, message by message, and under a hostile network."""

from __future__ import annotations

import random

import pytest
from google.protobuf import duration_pb2

from polos._session.machine import (
    BYTES_MAX,
    MESSAGES_MAX,
    Offers,
    OrderRefused,
    OrderSettled,
    ProtocolError,
    Session,
    StepDurable,
    StepRefused,
    TaskCancelling,
    TaskDurable,
    TaskGiven,
    TaskParked,
    TaskRefused,
    TaskStopped,
    Welcomed,
)
from polos.v1 import host_pb2, steps_pb2

SLEEP = steps_pb2.STEP_KIND_SLEEP
VALUE = steps_pb2.TaskOutcome(value_json="1")


def new_session() -> Session:
    return Session("host-1", "default", 10, Offers())


def length(seconds: int) -> duration_pb2.Duration:
    return duration_pb2.Duration(seconds=seconds)


def welcome(name: str = "s1", *, resumed: bool = False, ack: int = 0, lost: tuple = ()):
    held = [host_pb2.HeldTask(task_id=task, epoch=epoch) for task, epoch in lost]
    return host_pb2.ToolServiceConnectResponse(
        ack=ack,
        welcome=host_pb2.Welcome(
            host_token=name, resumed=resumed, lease=length(15), heartbeat=length(5), lost=held
        ),
    )


def envelope(seq: int, ack: int = 0, **body):
    """Of one message of the server."""
    message = host_pb2.ServerMessage(**body)
    return host_pb2.ToolServiceConnectResponse(first_seq=seq, ack=ack, messages=[message])


def task(seq: int, task_id: str = "r.1", epoch: int = 1, steps: int = 0, ack: int = 0):
    settled = [steps_pb2.SettledStep(key=f"s{i}", outcome=VALUE) for i in range(steps)]
    body = host_pb2.Task(task_id=task_id, epoch=epoch, name="t", steps=settled)
    return envelope(seq, ack, task=body)


def acked(ack: int) -> host_pb2.ToolServiceConnectResponse:
    return host_pb2.ToolServiceConnectResponse(ack=ack)


def refused(seq: int, refused_seq: int, reason: str, ack: int = 0):
    gone = reason == "STALE_EPOCH"
    body = host_pb2.Refused(
        refused_seq=refused_seq, reason=reason, message="no", task_is_gone=gone
    )
    return envelope(seq, ack, refused=body)


class Said:
    """A message of a host, with its number; 0: an envelope without messages."""

    def __init__(self, seq: int, ack: int, message: host_pb2.HostMessage) -> None:
        self.seq, self.ack, self.message = seq, ack, message

    def __getattr__(self, name: str):
        return getattr(self.message, name)


def said(session: Session) -> list[Said]:
    """All that is to be sent."""
    found: list[Said] = []
    while (sent := session.take()) is not None:
        if not sent.messages:
            found.append(Said(0, sent.ack, host_pb2.HostMessage()))
        found += [Said(n, sent.ack, m) for n, m in enumerate(sent.messages, sent.first_seq)]
    return found


def opened() -> Session:
    session = new_session()
    session.hello()
    session.receive(welcome())
    return session


def test_nothing_is_said_before_welcome():
    session = new_session()
    hello = session.hello()
    session.heartbeat()
    assert hello.hello.host_id == "host-1" and hello.hello.protocol == 1
    assert said(session) == []
    assert session.receive(welcome()) == [Welcomed(False, 15.0, 5.0, "")]


def test_a_message_before_welcome_is_an_error():
    session = new_session()
    session.hello()
    with pytest.raises(ProtocolError):
        session.receive(task(1))


def test_a_task_goes_from_given_to_durable():
    session = opened()
    (given,) = session.receive(task(1))
    assert isinstance(given, TaskGiven) and session.held_count == 1
    assert session.step_done("r.1", "a", VALUE) == 1
    assert session.task_done("r.1", VALUE)
    sent = said(session)
    assert [(m.seq, m.ack, m.WhichOneof("message")) for m in sent] == [
        (1, 1, "step_done"),
        (2, 1, "task_done"),
    ]
    assert session.receive(acked(1)) == [StepDurable("r.1", 1)]
    assert session.receive(acked(2)) == [TaskDurable("r.1")]
    assert session.held_count == 0 and session.unacknowledged_count == 0


def test_steps_count_on_from_those_that_came():
    session = opened()
    session.receive(task(1, steps=3))
    assert session.step_done("r.1", "d", VALUE) == 4


def test_what_is_said_at_once_goes_out_together():
    session = opened()
    session.receive(task(1))
    for key in ("a", "b"):
        session.step_done("r.1", key, VALUE)
    session.heartbeat()
    sent = session.take()
    assert sent.first_seq == 1 and sent.ack == 1
    assert [m.step_done.key for m in sent.messages] == ["a", "b"]
    assert session.take() is None


def test_an_envelope_is_bounded():
    session = opened()
    session.receive(task(1))
    large = steps_pb2.TaskOutcome(value_json="1" * (BYTES_MAX - 100))
    for value in (large, large, VALUE):
        session.step_done("r.1", f"k{session.unacknowledged_count}", value)
    assert [len(sent.messages) for sent in iter(session.take, None)] == [1, 2]
    for number in range(MESSAGES_MAX):
        session.step_done("r.1", f"n{number}", VALUE)
    session.step_done("r.1", "last", VALUE)
    sizes = [(sent.first_seq, len(sent.messages)) for sent in iter(session.take, None)]
    assert sizes == [(4, MESSAGES_MAX), (4 + MESSAGES_MAX, 1)]


def test_an_envelope_of_the_server_is_dealt_with_in_order():
    session = opened()
    session.receive(task(1))
    session.step_done("r.1", "a", VALUE)
    session.order("r.1", order())
    said(session)
    events = session.receive(
        host_pb2.ToolServiceConnectResponse(
            first_seq=1,  # the first comes again
            ack=2,
            messages=[*task(1).messages, *outcome(2).messages, *task(3, "r.2").messages],
        )
    )
    assert [type(event) for event in events] == [StepDurable, OrderSettled, TaskGiven]
    assert session.held_count == 2


def test_repetitions_are_passed_over_and_gaps_are_errors():
    session = opened()
    assert len(session.receive(task(1))) == 1
    assert session.receive(task(1)) == []
    with pytest.raises(ProtocolError):
        session.receive(task(3))


def test_an_acknowledgement_waits_for_a_message_but_not_for_ever():
    session = opened()
    session.receive(task(1))
    assert said(session) == [] and session.acknowledgement_due
    session.acknowledge()
    (alone,) = said(session)
    assert alone.ack == 1 and alone.seq == 0 and alone.WhichOneof("message") is None
    assert not session.acknowledgement_due


def test_acknowledging_what_was_never_sent_is_an_error():
    session = opened()
    with pytest.raises(ProtocolError):
        session.receive(acked(1))


def test_resume_sends_again_what_was_not_acknowledged():
    session = opened()
    session.receive(task(1))
    session.step_done("r.1", "a", VALUE)
    session.step_done("r.1", "b", VALUE)
    said(session)
    hello = session.hello()
    assert hello.ack == 1 and hello.hello.host_token == "s1"
    assert [(h.task_id, h.epoch) for h in hello.hello.held] == [("r.1", 1)]
    events = session.receive(welcome(resumed=True, ack=1))
    assert StepDurable("r.1", 1) in events
    (again,) = said(session)
    assert again.seq == 2 and again.step_done.key == "b"


def test_a_new_session_renumbers_what_was_not_acknowledged():
    session = opened()
    session.receive(task(1))
    session.step_done("r.1", "a", VALUE)
    said(session)
    session.receive(acked(1))
    session.step_done("r.1", "b", VALUE)
    session.task_done("r.1", VALUE)
    session.hello()
    session.receive(welcome("s2"))
    sent = said(session)
    assert [(m.seq, m.WhichOneof("message")) for m in sent] == [(1, "step_done"), (2, "task_done")]
    assert sent[0].step_done.number == 2
    assert len(session.receive(task(1, "r.2"))) == 1  # the server's numbers start again too
    assert session.receive(acked(2)) == [StepDurable("r.1", 2), TaskDurable("r.1")]


def test_what_is_settled_while_away_is_said_later():
    session = opened()
    session.receive(task(1))
    session.hello()
    assert session.task_done("r.1", VALUE) and said(session) == []
    session.receive(welcome(resumed=True))
    assert [m.WhichOneof("message") for m in said(session)] == ["task_done"]


def test_lost_tasks_are_stopped_and_not_spoken_of_again():
    session = opened()
    session.receive(task(1))
    session.step_done("r.1", "a", VALUE)
    session.hello()
    events = session.receive(welcome("s2", lost=(("r.1", 1),)))
    assert TaskStopped("r.1", "lease lost") in events
    assert said(session) == []
    assert session.step_done("r.1", "b", VALUE) == 0
    assert not session.task_done("r.1", VALUE)


def test_a_cancelled_task_is_stopped_once():
    session = opened()
    session.receive(task(1, epoch=2))
    assert session.receive(stop(2, epoch=1)) == []
    assert session.receive(stop(3, epoch=2)) == [TaskStopped("r.1", "the lease was lost")]
    assert session.receive(stop(4, epoch=2)) == []


def test_a_higher_epoch_takes_over_the_work_that_is_under_way():
    session = opened()
    session.receive(task(1))
    session.step_done("r.1", "a", VALUE)
    said(session)
    assert session.receive(task(2, epoch=2)) == []  # not started a second time
    (again,) = said(session)
    assert again.seq == 2 and again.step_done.epoch == 2 and again.step_done.number == 1
    assert session.receive(acked(1)) == []  # the old one was dropped by the server
    assert session.receive(acked(2)) == [StepDurable("r.1", 1)]
    session.task_done("r.1", VALUE)
    assert said(session)[0].task_done.epoch == 2


def test_a_refused_step_fails_and_its_number_is_free_again():
    session = opened()
    session.receive(task(1))
    session.step_done("r.1", "a", VALUE)
    said(session)
    events = session.receive(refused(2, 1, "INVALID_FIELD", ack=1))
    assert events == [StepRefused("r.1", 1, "INVALID_FIELD", "no")]
    assert session.step_done("r.1", "b", VALUE) == 1


def test_a_refused_answer_may_be_given_again():
    session = opened()
    session.receive(task(1))
    session.task_done("r.1", VALUE)
    said(session)
    assert session.receive(refused(2, 1, "INVALID_FIELD", ack=1)) == [
        TaskRefused("r.1", "INVALID_FIELD", "no")
    ]
    assert session.task_done("r.1", VALUE)


def test_a_stale_answer_ends_the_task():
    session = opened()
    session.receive(task(1))
    session.task_done("r.1", VALUE)
    said(session)
    assert session.receive(refused(2, 1, "STALE_EPOCH", ack=1)) == [TaskStopped("r.1", "no")]
    assert session.held_count == 0


# ---- orders ----


def order(key: str = "w") -> steps_pb2.StepRequest:
    return steps_pb2.StepRequest(key=key, sleep=steps_pb2.Sleep(duration=length(1)))


def outcome(seq: int, key: str = "w", task_id: str = "r.1", ack: int = 0):
    step = steps_pb2.SettledStep(key=key, kind=SLEEP, outcome=VALUE)
    return envelope(seq, ack, step_result=steps_pb2.StepResult(task_id=task_id, step=step))


def cancel(seq: int, epoch: int = 1):
    return envelope(seq, cancel_task=host_pb2.CancelTask(task_id="r.1", epoch=epoch))


def stop(seq: int, epoch: int = 1):
    reason = host_pb2.StopTask.REASON_LEASE_LOST
    return envelope(seq, stop_task=host_pb2.StopTask(task_id="r.1", epoch=epoch, reason=reason))


def kinds(messages) -> list[tuple[int, str]]:
    return [(m.seq, m.WhichOneof("message")) for m in messages]


def at_work(**fields) -> Session:
    session = opened()
    session.receive(task(1, **fields))
    return session


def test_an_order_is_settled_once_and_not_a_step():
    session = at_work()
    assert session.order("r.1", order())
    (sent,) = said(session)
    request = sent.step_request
    assert (sent.seq, request.task_id, request.epoch, request.key) == (1, "r.1", 1, "w")
    assert session.receive(acked(1)) == []
    assert session.receive(outcome(2)) == [OrderSettled("r.1", "w", VALUE)]
    assert session.receive(outcome(3)) == []  # again
    assert session.receive(outcome(4, "other")) == []  # never asked for
    assert session.step_done("r.1", "a", VALUE) == 1


def test_orders_that_came_settled_do_not_count_as_steps():
    session = opened()
    steps = [
        steps_pb2.SettledStep(key="a", outcome=VALUE),
        steps_pb2.SettledStep(key="w", outcome=VALUE, kind=SLEEP),
    ]
    body = host_pb2.Task(task_id="r.1", epoch=3, name="t", steps=steps, settled_count=1)
    session.receive(envelope(1, task=body))
    assert session.step_done("r.1", "b", VALUE) == 2
    session.order("r.1", order("v"))
    session.let_go("r.1")
    session.park("r.1")
    assert said(session)[-1].park.results_seen == 1


def test_resume_sends_unacknowledged_orders_again_and_no_others():
    session = at_work()
    session.order("r.1", order("v"))
    session.order("r.1", order("w"))
    said(session)
    session.hello()
    session.receive(welcome(resumed=True, ack=1))
    assert [m.step_request.key for m in said(session)] == ["w"]


def test_a_new_session_asks_again_for_everything_that_is_open():
    session = at_work()
    for key in ("u", "v", "w"):
        session.order("r.1", order(key))
    said(session)
    session.receive(acked(3))
    session.receive(outcome(2, "v"))
    session.step_done("r.1", "a", VALUE)
    session.order("r.1", order("x"))
    session.hello()
    session.receive(welcome("s2"))
    sent = said(session)
    asked = "step_request"
    assert kinds(sent) == [(1, asked), (2, asked), (3, "step_done"), (4, asked)]
    assert [m.step_request.key for m in sent if m.HasField("step_request")] == ["u", "w", "x"]
    assert session.receive(outcome(1, "u")) == [OrderSettled("r.1", "u", VALUE)]


def test_an_order_settled_before_it_was_acknowledged_is_not_asked_for_again():
    session = at_work()
    session.order("r.1", order())
    said(session)
    session.receive(outcome(2))
    session.hello()
    session.receive(welcome("s2"))
    assert said(session) == []


def test_a_higher_epoch_moves_open_orders_and_brings_outcomes():
    session = at_work()
    for key in ("u", "v"):
        session.order("r.1", order(key))
    said(session)
    session.receive(acked(2))
    session.order("r.1", order("w"))
    said(session)
    steps = [steps_pb2.SettledStep(key="u", outcome=VALUE, kind=SLEEP)]
    body = host_pb2.Task(task_id="r.1", epoch=2, name="t", steps=steps, cancelling=True)
    events = session.receive(envelope(2, task=body))
    assert events == [OrderSettled("r.1", "u", VALUE), TaskCancelling("r.1")]
    sent = said(session)
    assert {m.step_request.key for m in sent} >= {"v", "w"}
    assert {m.step_request.epoch for m in sent} == {2}


def test_a_refused_order_is_told():
    session = at_work()
    session.order("r.1", order())
    said(session)
    events = session.receive(refused(2, 1, "INVALID_FIELD", ack=1))
    assert events == [OrderRefused("r.1", "w", "INVALID_FIELD", "no")]
    session.hello()
    session.receive(welcome("s2"))
    assert said(session) == []


def test_a_parked_task_is_held_until_the_server_knows():
    session = at_work()
    session.order("r.1", order())
    assert session.let_go("r.1") and not session.let_go("r.1")
    assert session.receive(outcome(2)) == []  # for the next execution
    assert session.step_done("r.1", "a", VALUE) == 0 and not session.order("r.1", order("x"))
    assert session.park("r.1") and not session.park("r.1")
    sent = said(session)
    assert kinds(sent) == [(1, "step_request"), (2, "park")] and sent[1].park.results_seen == 0
    assert session.holds("r.1") and [h.task_id for h in session.hello().hello.held] == ["r.1"]
    session.receive(welcome("s2"))
    assert kinds(said(session)) == [(1, "step_request"), (2, "park")]
    assert session.receive(acked(2)) == [TaskParked("r.1")]
    assert session.held_count == 0


def test_a_parked_task_comes_again_with_a_new_epoch():
    session = at_work()
    session.order("r.1", order())
    session.let_go("r.1")
    session.park("r.1")
    said(session)
    (given,) = session.receive(task(2, epoch=2))  # before the Park was acknowledged
    assert isinstance(given, TaskGiven) and session.order("r.1", order())
    assert said(session)[-1].step_request.epoch == 2
    assert session.receive(acked(2)) == []
    assert session.holds("r.1")


def test_a_cancellation_is_shown_and_a_stop_stops():
    session = at_work()
    assert session.receive(cancel(2)) == [TaskCancelling("r.1")]
    assert session.holds("r.1") and session.step_done("r.1", "refund", VALUE) == 1
    assert session.task_done("r.1", VALUE, ('{"n":1}', "t"), cancelled=True)
    done = said(session)[-1].task_done
    assert done.cancelled and (done.state_json, done.state_type) == ('{"n":1}', "t")
    other = at_work()
    assert other.receive(stop(2)) == [TaskStopped("r.1", "the lease was lost")]


def test_a_cancellation_of_code_that_is_let_go_of_waits_for_its_next_execution():
    session = at_work()
    session.order("r.1", order())
    session.let_go("r.1")
    assert session.receive(cancel(2)) == [] and session.park("r.1")


class Peer:
    """A model of the server, for the test below: deals once per number and once per step."""

    def __init__(self) -> None:
        self.name = ""
        self.session_count = 0
        self.settled: dict[str, list[str]] = {}
        self.ordered: dict[str, set[str]] = {}
        self.answered: set[tuple[str, str]] = set()
        self.ended: dict[str, int] = {}
        self.forget_session()

    def forget_session(self) -> None:
        self.name = ""
        self.dealt = 0
        self.news: list[host_pb2.ToolServiceConnectResponse] = []  # not delivered yet
        self.outbox: list[host_pb2.ToolServiceConnectResponse] = []
        self.sent = 0

    def hello(
        self, message: host_pb2.ToolServiceConnectRequest
    ) -> list[host_pb2.ToolServiceConnectResponse]:
        resumed = bool(self.name) and message.hello.host_token == self.name
        if not resumed:
            self.forget_session()
            self.session_count += 1
            self.name = f"s{self.session_count}"
        self.outbox = [m for m in self.outbox if m.first_seq > message.ack]
        self.news = []
        return [welcome(self.name, resumed=resumed, ack=self.dealt), *self.outbox]

    def give(self, task_id: str) -> host_pb2.ToolServiceConnectResponse:
        self.sent += 1
        message = task(self.sent, task_id)
        self.outbox.append(message)
        return message

    def answer(self, task_id: str, key: str) -> host_pb2.ToolServiceConnectResponse:
        self.answered.add((task_id, key))
        self.sent += 1
        message = outcome(self.sent, key, task_id)
        self.outbox.append(message)
        self.news.append(message)
        return message

    def receive(self, message: Said) -> None:
        if message.seq and message.seq <= self.dealt:
            return
        self.outbox = [m for m in self.outbox if m.first_seq > message.ack]
        if not message.seq:
            return
        assert message.seq == self.dealt + 1, "gap"
        self.dealt = message.seq
        kind = message.WhichOneof("message")
        if kind == "step_done":
            keys = self.settled.setdefault(message.step_done.task_id, [])
            number = message.step_done.number
            if number == len(keys) + 1:
                keys.append(message.step_done.key)
            else:
                assert number <= len(keys), "step gap"
                assert keys[number - 1] == message.step_done.key, "another step under a number"
        elif kind == "step_request":
            task_id, key = message.step_request.task_id, message.step_request.key
            self.ordered.setdefault(task_id, set()).add(key)
            if (task_id, key) in self.answered:
                self.answer(task_id, key)  # asked again: told again
        elif kind == "task_done":
            task_id = message.task_done.task_id
            self.ended[task_id] = self.ended.get(task_id, 0) + 1


@pytest.mark.parametrize("seed", range(60))
def test_every_step_counts_once_under_any_losses(seed):
    """Messages are lost from any point of a stream on, streams break, the server forgets."""
    chance = random.Random(seed)
    session, peer = new_session(), Peer()
    wanted = {f"r{i}.1": chance.randint(0, 4) for i in range(6)}
    to_give = list(wanted)
    done_steps: dict[str, int] = {}
    durable: set[tuple[str, int]] = set()
    finished: set[str] = set()

    def hear(messages):
        for message in messages:
            for event in session.receive(message):
                if isinstance(event, TaskGiven):
                    assert event.task.task_id not in done_steps, "started twice"
                    done_steps[event.task.task_id] = 0
                elif isinstance(event, StepDurable):
                    assert (event.task_id, event.number) not in durable
                    durable.add((event.task_id, event.number))
                elif isinstance(event, TaskDurable):
                    assert event.task_id not in finished
                    finished.add(event.task_id)

    connected = False
    for _ in range(3000):
        if len(finished) == len(wanted):
            break
        if not connected:
            replies = peer.hello(session.hello())
            if chance.random() < 0.3:
                continue  # the stream broke before Welcome arrived
            hear(replies)
            connected = True
            continue
        for message in said(session):
            if chance.random() < 0.05:
                connected = False  # this one and all after it are lost
                break
            peer.receive(message)
        if not connected:
            continue
        if chance.random() < 0.05:
            connected = False
            if chance.random() < 0.4:
                peer.forget_session()
            continue
        if chance.random() < 0.7:
            hear([acked(peer.dealt)])
        if to_give and chance.random() < 0.3:
            hear([peer.give(to_give.pop())])
        at_work = [t for t in done_steps if session.holds(t)]
        if at_work:
            chosen = chance.choice(at_work)
            if done_steps[chosen] < wanted[chosen]:
                if session.step_done(chosen, f"k{done_steps[chosen]}", VALUE):
                    done_steps[chosen] += 1
            else:
                session.task_done(chosen, VALUE)
        if chance.random() < 0.3:
            session.acknowledge()
    assert finished == set(wanted)
    for task_id, count in wanted.items():
        assert peer.settled.get(task_id, []) == [f"k{i}" for i in range(count)]


class Orderer:
    """A host whose tasks settle orders and steps in turn, three of each."""

    def __init__(self, session, chance):
        self.session = session
        self.chance = chance
        self.progress: dict[str, int] = {}  # even: an order is next, odd: a step is
        self.open_orders: set[str] = set()
        self.finished: set[str] = set()
        self.settled: list[tuple[str, str]] = []

    def hear(self, messages):
        for message in messages:
            for event in self.session.receive(message):
                if isinstance(event, TaskGiven):
                    assert event.task.task_id not in self.progress, "started twice"
                    self.progress[event.task.task_id] = 0
                elif isinstance(event, OrderSettled):
                    self.settled.append((event.task_id, event.key))
                    self.open_orders.discard(event.task_id)
                    self.progress[event.task_id] += 1
                elif isinstance(event, TaskDurable):
                    self.finished.add(event.task_id)

    def act(self):
        session, progress = self.session, self.progress
        free = [t for t in progress if session.holds(t) and t not in self.open_orders]
        if not free:
            return
        chosen = self.chance.choice(free)
        at = progress[chosen]
        if at == 6:
            session.task_done(chosen, VALUE)
        elif at % 2 == 0:
            session.order(chosen, order(f"o{at}"))
            self.open_orders.add(chosen)
        elif session.step_done(chosen, f"s{at}", VALUE):
            progress[chosen] += 1


@pytest.mark.parametrize("seed", range(60))
def test_every_order_is_answered_once_under_any_losses(seed):
    """As above: each task settles orders and steps in turn; outcomes are lost with sessions."""
    chance = random.Random(seed)
    session, peer = new_session(), Peer()
    host = Orderer(session, chance)
    tasks = [f"r{i}.1" for i in range(5)]
    to_give = list(tasks)
    connected = False
    for _ in range(5000):
        if len(host.finished) == len(tasks):
            break
        if not connected:
            replies = peer.hello(session.hello())
            if chance.random() < 0.3:
                continue
            host.hear(replies)
            connected = True
            continue
        for message in said(session):
            if chance.random() < 0.05:
                connected = False
                break
            peer.receive(message)
        if not connected:
            continue
        if chance.random() < 0.05:
            connected = False
            if chance.random() < 0.5:
                peer.forget_session()
            continue
        if chance.random() < 0.7:
            host.hear([acked(peer.dealt)])
        if to_give and chance.random() < 0.3:
            host.hear([*peer.news, peer.give(to_give.pop())])
            peer.news = []
        asked = [(t, k) for t in tasks for k in peer.ordered.get(t, ())]
        due = [each for each in asked if each not in peer.answered]
        if due and chance.random() < 0.4:
            peer.answer(*chance.choice(sorted(due)))
        if peer.news and chance.random() < 0.6:
            news, peer.news = peer.news, []
            host.hear(news)
        host.act()
        if chance.random() < 0.3:
            session.acknowledge()
    assert host.finished == set(tasks)
    assert sorted(host.settled) == sorted((t, f"o{n}") for t in tasks for n in (0, 2, 4))
    assert all(peer.settled[t] == ["s1", "s3", "s5"] for t in tasks)


def child(key: str, index: int, value: str) -> steps_pb2.SettledStep:
    outcome = steps_pb2.TaskOutcome(value_json=value)
    return steps_pb2.SettledStep(key=key, outcome=outcome, is_child=True, child_index=index)


def piece(first: int, *facts: steps_pb2.SettledStep, last: bool = False):
    body = host_pb2.TaskFacts(
        task_id="r.1", epoch=1, first=first, facts=facts, is_last=last
    )
    body.state_json, body.state_type = "{}", "t"
    return host_pb2.ToolServiceConnectResponse(facts=body)


JOINED = steps_pb2.SettledStep(key="c", kind=steps_pb2.STEP_KIND_CHILDREN, has_children=True)


def test_a_task_in_pieces_is_given_whole():
    session = opened()
    message = task(1)
    message.messages[0].task.has_more = True
    assert session.receive(message) == []
    step = steps_pb2.SettledStep(key="s", outcome=VALUE)
    assert session.receive(piece(0, child("c", 1, "11"), step)) == []
    assert not session.acknowledgement_due
    (given,) = session.receive(piece(2, child("c", 0, "10"), JOINED, last=True))
    assert [s.key for s in given.task.steps] == ["s", "c"]
    assert given.task.steps[1].outcome.value_json == "[10,11]"
    assert (given.task.state_json, given.task.state_type) == ("{}", "t")
    assert session.acknowledgement_due
    assert session.receive(task(2, "r.2")) == [TaskGiven(task(2, "r.2").messages[0].task)]


def test_pieces_that_do_not_come_are_not_waited_for():
    session = opened()
    message = task(1)
    message.messages[0].task.has_more = True
    session.receive(message)
    session.receive(piece(0, child("c", 0, "1")))
    assert session.receive(task(2, "r.2")) == [TaskGiven(task(2, "r.2").messages[0].task)]
    assert session.receive(piece(1, JOINED, last=True)) == []
    assert not session.holds("r.1")


def test_a_gap_between_pieces_is_an_error():
    session = opened()
    message = task(1)
    message.messages[0].task.has_more = True
    session.receive(message)
    with pytest.raises(ProtocolError):
        session.receive(piece(1, JOINED))


def test_outcomes_in_pieces_settle_their_orders():
    session = opened()
    session.receive(task(1))
    session.order("r.1", steps_pb2.StepRequest(key="c", start_runs=steps_pb2.StartRuns(wait=True)))
    more = steps_pb2.StepResult(task_id="r.1", has_more=True)
    assert session.receive(envelope(2, step_result=more)) == []
    session.receive(piece(0, child("c", 0, "1")))
    (settled,) = session.receive(piece(1, JOINED, last=True))
    assert (settled.key, settled.outcome.value_json) == ("c", "[1]")
