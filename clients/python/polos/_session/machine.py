"""The host protocol without any I/O: numbers, acknowledgements, resume, held tasks.

Envelopes go in, envelopes and events come out; the stream, the clock and the user's code are the
affair of host.py. A task is held from the moment it arrives until its TaskDone is acknowledged
(which means: durable) or its Park is, it is stopped, or the server says it is lost; connections
may come and go meanwhile. The surprising part: a task that comes again with a higher epoch while
its code is still at work is not started twice. The work goes on, and its answers carry the new
epoch. Step requests without a result are said again in every new session: asking twice is asking
once. All that was said when the stream takes more goes out in one envelope.

The code is given what its task has settled in the journal's order. What it told itself is durable
when it is acknowledged, or when a result says that it stands before it. While a result comes in
pieces, an acknowledgement may be of what comes after it, and waits.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

from google.protobuf import duration_pb2

from .._codec.times import length
from ..v1 import definitions_pb2, history_pb2, host_pb2, queues_pb2, steps_pb2

KeptState = tuple[str, str]  # a state's JSON, and what is named beside it
NO_STATE: KeptState = ("", "")  # it is as it was


class ProtocolError(Exception):
    """The peer broke a rule; the stream has to be dialled again."""


@dataclass(frozen=True)
class Offers:
    """What a host tells the server it has."""

    tools: tuple[definitions_pb2.ToolDefinition, ...] = ()
    workflows: tuple[definitions_pb2.WorkflowDefinition, ...] = ()
    agents: tuple[definitions_pb2.AgentDefinition, ...] = ()
    queues: tuple[queues_pb2.QueueDefinition, ...] = ()
    callbacks: tuple[host_pb2.CallbackOffer, ...] = ()


@dataclass(frozen=True)
class Welcomed:
    """The session stands."""

    resumed: bool
    lease_seconds: float
    heartbeat_seconds: float
    server_version: str


@dataclass(frozen=True)
class TaskGiven:
    """Start working on this."""

    task: host_pb2.Task


@dataclass(frozen=True)
class TaskStopped:
    """Stop working on this; no answer is wanted."""

    task_id: str
    cause: str


@dataclass(frozen=True)
class StepDurable:
    """A StepDone, StepTry, CancelShown or Withdraw is on the server's disk."""

    task_id: str
    number: int


@dataclass(frozen=True)
class TaskDurable:
    """A TaskDone is on the server's disk; the task is no longer held."""

    task_id: str


@dataclass(frozen=True)
class StepRefused:
    """The server does not take this step, and will not later."""

    task_id: str
    number: int
    reason: str
    message: str


@dataclass(frozen=True)
class TaskRefused:
    """The server does not take this task's answer; another answer may be given."""

    task_id: str
    reason: str
    message: str


@dataclass(frozen=True)
class OrderSettled:
    """What an order asked for has come about, or will not."""

    task_id: str
    key: str
    outcome: steps_pb2.TaskOutcome


@dataclass(frozen=True)
class OrderRefused:
    """The server does not take this order, and will not later."""

    task_id: str
    key: str
    reason: str
    message: str


@dataclass(frozen=True)
class TaskCancelling:
    """The task's run is being cancelled: let its code see that, and clean up."""

    task_id: str


@dataclass(frozen=True)
class TaskWanted:
    """What the task waits for needs its place: let go of it as soon as its code only waits."""

    task_id: str


@dataclass(frozen=True)
class TaskParked:
    """A Park is dealt with; the task is no longer held."""

    task_id: str


@dataclass(frozen=True)
class ServerDraining:
    """The server is going away; dial again."""

    cause: str


Event = (
    Welcomed
    | TaskGiven
    | TaskStopped
    | StepDurable
    | TaskDurable
    | StepRefused
    | TaskRefused
    | OrderSettled
    | OrderRefused
    | TaskCancelling
    | TaskWanted
    | TaskParked
    | ServerDraining
)

PROTOCOL = 1  # Hello.protocol
LANGUAGE = "python"  # whose histories this host can go on with
MESSAGES_MAX = 1000  # in an envelope
BYTES_MAX = 1 << 20  # of an envelope, unless one message is larger

_STOPPED = {
    host_pb2.StopTask.REASON_RUN_ENDED: "its run has ended",
    host_pb2.StopTask.REASON_DEADLINE: "its time is up",
    host_pb2.StopTask.REASON_LEASE_LOST: "the lease was lost",
}


@dataclass
class _Sent:
    seq: int
    message: host_pb2.HostMessage
    void: bool = False  # nobody waits for its acknowledgement


@dataclass
class _Held:
    epoch: int
    steps: int  # said, those that came with the task included
    durable: int  # of these, the number of the last that the code was told is durable
    outcomes: int = 0  # orders known to be settled
    open: dict[str, steps_pb2.StepRequest] = field(default_factory=dict)  # without a result
    given_up: set[str] = field(default_factory=set)  # keys of orders without a result
    seen: int | None = None  # outcomes the code has seen, once its host lets go of it
    parked: bool = False  # its Park was given
    done: bool = False  # its TaskDone was given


@dataclass
class _Partial:
    """A Task or a StepResult whose pieces are on their way."""

    seq: int
    body: host_pb2.Task | steps_pb2.StepResult
    facts: int = 0  # that came
    steps: list[steps_pb2.SettledStep] = field(default_factory=list)
    children: dict[str, dict[int, str]] = field(default_factory=dict)  # by key and place

    def take(self, piece: host_pb2.TaskFacts) -> None:
        """What a piece tells; the value of a wait is made of its children."""
        self.facts += len(piece.facts)
        for fact in piece.facts:
            if fact.is_child:
                places = self.children.setdefault(fact.key, {})
                places[fact.child_index] = fact.outcome.value_json
                continue
            if fact.has_children:
                places = self.children.pop(fact.key, {})
                values = (places[place] for place in sorted(places))
                fact.outcome.value_json = f"[{','.join(values)}]"
            if isinstance(self.body, host_pb2.Task):
                self.body.steps.append(fact)
            else:
                self.steps.append(fact)


@dataclass
class Session:
    """One host's side of ToolService.Connect.

    Order: hello(); then receive() each envelope and send what take() gives; after the stream broke,
    hello() again. take() gives nothing before Welcome has been received.
    """

    host_id: str
    deployment: str
    slots: int
    offers: Offers
    user_agent: str = ""
    token: str = ""  # Welcome.host_token
    welcomed: bool = False  # on this stream
    _held: dict[str, _Held] = field(default_factory=dict)
    _sent: int = 0  # number of the last numbered message
    _dealt: int = 0  # number of the last server message dealt with
    _told: int = 0  # the acknowledgement the server has last been sent
    _ahead: list[_Sent] = field(default_factory=list)  # acknowledged, but not its turn
    _partial: _Partial | None = None  # the message whose pieces are on their way
    _unacknowledged: deque[_Sent] = field(default_factory=deque)
    _outgoing: deque[_Sent] = field(default_factory=deque)
    _beat: bool = False  # an envelope is due, with or without messages

    # ---- the stream ----

    def hello(self) -> host_pb2.ToolServiceConnectRequest:
        """The first envelope of a stream, also when the offers have changed."""
        self.welcomed = False
        self._partial = None
        self._beat = False
        self._outgoing.clear()
        return host_pb2.ToolServiceConnectRequest(
            ack=self._dealt if self.token else 0,
            hello=host_pb2.Hello(
                protocol=PROTOCOL,
                host_id=self.host_id,
                host_token=self.token,
                deployment=self.deployment,
                slots=self.slots,
                offers=host_pb2.Offers(
                    tools=self.offers.tools,
                    workflows=self.offers.workflows,
                    agents=self.offers.agents,
                    queues=self.offers.queues,
                    callbacks=self.offers.callbacks,
                ),
                held=[
                    host_pb2.HeldTask(task_id=task_id, epoch=held.epoch)
                    for task_id, held in self._held.items()
                ],
                user_agent=self.user_agent,
                language=LANGUAGE,
            ),
        )

    def receive(self, envelope: host_pb2.ToolServiceConnectResponse) -> list[Event]:
        """Deals with an envelope of the server. Raises ProtocolError when it makes no sense."""
        events: list[Event] = []
        if envelope.HasField("welcome"):
            events += self._receive_welcome(envelope.welcome, envelope.ack)
        elif not self.welcomed:
            raise ProtocolError("something came before Welcome")
        numbered = list(enumerate(envelope.messages, envelope.first_seq))
        for seq, message in numbered:
            # Before the acknowledgement, which counts the refused message as dealt with.
            if message.HasField("refused") and seq > self._dealt:
                events += self._receive_refused(message.refused)
        events += self._acknowledged(envelope.ack)
        for seq, message in numbered:
            if self._is_new(seq):
                events += self._receive_message(seq, message)
        if envelope.HasField("facts"):
            events += self._receive_facts(envelope.facts)
        return events + self._catch_up() if self._ahead else events

    def take(self) -> host_pb2.ToolServiceConnectRequest | None:
        """What is to be sent now; None: nothing. What does not fit is taken next."""
        if not self.welcomed or not (self._outgoing or self._beat):
            return None
        envelope = host_pb2.ToolServiceConnectRequest(ack=self._dealt)
        if self._outgoing:
            envelope.first_seq = self._outgoing[0].seq
        size = 0
        while self._outgoing and len(envelope.messages) < MESSAGES_MAX:
            message = self._outgoing[0].message
            size += message.ByteSize()
            if envelope.messages and size > BYTES_MAX:
                break
            envelope.messages.append(message)
            self._outgoing.popleft()
        self._told = self._dealt
        self._beat = False
        return envelope

    @property
    def acknowledgement_due(self) -> bool:
        """Whether the server has not been told yet what was dealt with."""
        return self.welcomed and self._told < self._dealt

    def acknowledge(self) -> None:
        """Sends an acknowledgement alone, when one is due."""
        self._beat |= self.acknowledgement_due

    # ---- the work ----

    def heartbeat(self) -> None:
        """Renews the leases."""
        self._beat = True

    def drain(self, cause: str, *, release_all: bool = False) -> None:
        """Asks for no more tasks; `release_all`: gives those back that are held."""
        drain = host_pb2.HostDrain(cause=cause, release_all=release_all)
        self._queue(host_pb2.HostMessage(drain=drain))

    def step_done(
        self, task_id: str, key: str, outcome: steps_pb2.TaskOutcome, state: KeptState = NO_STATE
    ) -> int:
        """Reports a settled step; its number, or 0 when the task is no longer at work here."""
        held = self._at_work(task_id)
        if held is None:
            return 0
        held.steps += 1
        done = host_pb2.StepDone(
            task_id=task_id,
            epoch=held.epoch,
            number=held.steps,
            key=key,
            outcome=outcome,
            state_json=state[0],
            state_type=state[1],
        )
        self._queue(host_pb2.HostMessage(step_done=done))
        return held.steps

    def step_try(
        self, task_id: str, key: str, try_number: int, error: steps_pb2.TaskError, pause: float
    ) -> int:
        """Reports that a try of a step failed, and another comes after so many seconds; its number
        among the steps, or 0 when the task is no longer at work here."""
        held = self._at_work(task_id)
        if held is None:
            return 0
        held.steps += 1
        tried = host_pb2.StepTry(
            task_id=task_id,
            epoch=held.epoch,
            number=held.steps,
            key=key,
            try_number=try_number,
            error=error,
            pause=length(pause) if pause > 0 else None,
        )
        self._queue(host_pb2.HostMessage(step_try=tried))
        return held.steps

    def cancel_shown(self, task_id: str) -> int:
        """Reports that the code is to see the cancellation now; its number among the steps, or 0
        when the task is no longer at work here."""
        held = self._at_work(task_id)
        if held is None:
            return 0
        held.steps += 1
        shown = host_pb2.CancelShown(task_id=task_id, epoch=held.epoch, number=held.steps)
        self._queue(host_pb2.HostMessage(cancel_shown=shown))
        return held.steps

    def withdraw(self, task_id: str, key: str, facts_seen: int) -> int:
        """Reports that the code gave up what it asked for under a key, an order or a step, when
        it had been given so many facts; its number among the steps, or 0 when the task is no
        longer at work here."""
        held = self._at_work(task_id)
        if held is None:
            return 0
        held.steps += 1
        if held.open.pop(key, None) is not None:
            held.given_up.add(key)
            self._void_order(task_id, key)
        withdraw = host_pb2.Withdraw(
            task_id=task_id, epoch=held.epoch, number=held.steps, key=key, facts_seen=facts_seen
        )
        self._queue(host_pb2.HostMessage(withdraw=withdraw))
        return held.steps

    def order(self, task_id: str, order: steps_pb2.StepRequest) -> bool:
        """Asks for a step that the server does; False when the task is no longer at work here."""
        held = self._at_work(task_id)
        if held is None:
            return False
        order.task_id, order.epoch = task_id, held.epoch
        held.open[order.key] = order
        self._queue(host_pb2.HostMessage(step_request=order))
        return True

    def let_go(self, task_id: str) -> bool:
        """The code is being stopped because it only waits: outcomes that come from now on are for
        its next life. park() follows. False when the task is no longer at work here."""
        held = self._at_work(task_id)
        if held is None:
            return False
        held.seen = held.outcomes
        return True

    def park(self, task_id: str) -> bool:
        """Gives back a task whose code was stopped after let_go()."""
        held = self._held.get(task_id)
        if held is None or held.seen is None or held.parked:
            return False
        held.parked = True
        park = host_pb2.Park(task_id=task_id, epoch=held.epoch, results_seen=held.seen)
        self._queue(host_pb2.HostMessage(park=park))
        return True

    def task_done(
        self,
        task_id: str,
        outcome: steps_pb2.TaskOutcome | host_pb2.Mismatch | history_pb2.CallbackOutcome,
        state: KeptState = NO_STATE,
        cancelled: bool = False,
        retryable: bool = False,
    ) -> bool:
        """Reports a task's end, or that its code does not fit; False when the task is no longer at
        work here."""
        held = self._at_work(task_id)
        if held is None:
            return False
        held.done = True
        held.open.clear()
        done = host_pb2.TaskDone(
            task_id=task_id,
            epoch=held.epoch,
            state_json=state[0],
            state_type=state[1],
            cancelled=cancelled,
            retryable=retryable,
        )
        if isinstance(outcome, host_pb2.Mismatch):
            done.mismatch.CopyFrom(outcome)
        elif isinstance(outcome, history_pb2.CallbackOutcome):
            done.callback.CopyFrom(outcome)
        else:
            done.outcome.CopyFrom(outcome)
        self._queue(host_pb2.HostMessage(task_done=done))
        return True

    def holds(self, task_id: str) -> bool:
        """Whether the task's answer is still wanted or on its way."""
        return task_id in self._held

    @property
    def held_count(self) -> int:
        """Tasks at work or with an answer that is not durable yet."""
        return len(self._held)

    @property
    def parking_count(self) -> int:
        """Tasks let go of, of which the server does not know yet."""
        return sum(held.seen is not None for held in self._held.values())

    @property
    def unacknowledged_count(self) -> int:
        """Messages the server has not acknowledged."""
        return len(self._unacknowledged)

    # ---- inside ----

    def _at_work(self, task_id: str) -> _Held | None:
        held = self._held.get(task_id)
        return None if held is None or held.done or held.seen is not None else held

    def _queue(self, message: host_pb2.HostMessage) -> None:
        self._sent += 1
        sent = _Sent(self._sent, message)
        self._unacknowledged.append(sent)
        if self.welcomed:
            self._outgoing.append(sent)

    def _is_new(self, seq: int) -> bool:
        if self._partial is not None and seq == self._partial.seq + 1:
            return True  # the rest of the one before does not come
        if seq == self._dealt + 1:
            return True
        if seq <= self._dealt:
            return False
        raise ProtocolError(f"server message {seq} came after {self._dealt}")

    def _receive_welcome(self, welcome: host_pb2.Welcome, ack: int) -> list[Event]:
        if self.welcomed:
            raise ProtocolError("a second Welcome came")
        if welcome.resumed and not self.token:
            raise ProtocolError("the server resumed a session that was not asked for")
        self.welcomed = True
        self.token = welcome.host_token
        events: list[Event] = [
            Welcomed(
                resumed=welcome.resumed,
                lease_seconds=_seconds(welcome.lease),
                heartbeat_seconds=_seconds(welcome.heartbeat),
                server_version=welcome.server_version,
            )
        ]
        if welcome.resumed:
            events += self._acknowledged(ack)
        for lost in welcome.lost:
            events += self._drop(lost.task_id, "lease lost")
        if not welcome.resumed:
            self._renumber()
        self._told = 0
        self._outgoing.extend(self._unacknowledged)
        return events

    def _renumber(self) -> None:
        """A new session: numbers start at 1; what nobody waits for is not said again."""
        kept = [sent for sent in (*self._ahead, *self._unacknowledged) if not sent.void]
        self._ahead.clear()
        again = [
            _Sent(0, host_pb2.HostMessage(step_request=order))
            for task_id in self._held
            for order in self._acknowledged_orders(task_id)
        ]
        self._sent = self._dealt = 0
        self._unacknowledged.clear()
        for sent in again + kept:
            self._sent += 1
            sent.seq = self._sent
            self._unacknowledged.append(sent)

    def _acknowledged_orders(self, task_id: str) -> list[steps_pb2.StepRequest]:
        """Open orders of a task that are not among what will be sent again anyway."""
        held = self._held[task_id]
        if not held.open:
            return []
        waiting = {
            sent.message.step_request.key
            for sent in self._about(task_id)
            if sent.message.HasField("step_request")
        }
        return [order for key, order in held.open.items() if key not in waiting]

    def _acknowledged(self, ack: int) -> list[Event]:
        if ack > self._sent:
            raise ProtocolError(f"message {ack} was acknowledged; the last sent is {self._sent}")
        events: list[Event] = []
        while self._unacknowledged and self._unacknowledged[0].seq <= ack:
            sent = self._unacknowledged.popleft()
            kind = sent.message.WhichOneof("message")
            if sent.void:
                continue
            if kind in _NUMBERED:
                events += self._durable(sent)
            elif kind == "task_done":
                self._held.pop(sent.message.task_done.task_id, None)
                events.append(TaskDurable(sent.message.task_done.task_id))
            elif kind == "park":
                self._held.pop(sent.message.park.task_id, None)
                events.append(TaskParked(sent.message.park.task_id))
        return events

    def _durable(self, sent: _Sent) -> list[Event]:
        """Acknowledged: the code is told, unless a result that stands before it is on its way."""
        said = _numbered(sent.message)
        body = None if self._partial is None else self._partial.body
        if isinstance(body, steps_pb2.StepResult) and body.task_id == said.task_id:
            self._ahead.append(sent)
            return []
        return self._stands(said.task_id, said.number)

    def _catch_up(self) -> list[Event]:
        """What was acknowledged ahead of a result, once that is there."""
        if self._partial is not None:
            return []
        ahead, self._ahead = self._ahead, []
        return [event for sent in ahead for event in self._durable(sent)]

    def _stands(self, task_id: str, number: int) -> list[Event]:
        """All that was told of a task up to this number is durable."""
        held = self._held.get(task_id)
        number = 0 if held is None else min(number, held.steps)
        if held is None or number <= held.durable:
            return []
        first, held.durable = held.durable + 1, number
        return [StepDurable(task_id, each) for each in range(first, number + 1)]

    def _receive_message(self, seq: int, message: host_pb2.ServerMessage) -> list[Event]:
        self._dealt = seq
        self._partial = None
        kind = message.WhichOneof("message")
        if kind == "task":
            if message.task.has_more:
                return self._await_facts(seq, message.task)
            return self._receive_task(message.task)
        if kind == "step_result":
            if message.step_result.has_more:
                return self._await_facts(seq, message.step_result)
            return self._step_result(message.step_result.task_id, message.step_result.step)
        if kind == "cancel_task":
            return self._receive_cancel(message.cancel_task)
        if kind == "stop_task":
            return self._receive_stop(message.stop_task)
        if kind == "yield_task":
            return self._receive_yield(message.yield_task)
        if kind == "drain":
            return [ServerDraining(message.drain.cause)]
        return []

    def _await_facts(self, seq: int, body: host_pb2.Task | steps_pb2.StepResult) -> list[Event]:
        self._dealt = seq - 1  # until its last piece is there
        self._partial = _Partial(seq, body)
        return []

    def _receive_task(self, task: host_pb2.Task) -> list[Event]:
        held = self._held.get(task.task_id)
        if held is not None and held.parked and task.epoch > held.epoch:
            self._drop(task.task_id, "")  # its Park was dealt with
            held = None
        if held is None:
            orders = sum(map(is_order, task.steps))
            count = task.settled_count or len(task.steps) - orders
            self._held[task.task_id] = _Held(task.epoch, count, count, outcomes=orders)
            return [TaskGiven(task)]
        if task.epoch <= held.epoch:
            return []
        held.epoch = task.epoch
        self._send_again_as(task.task_id, task.epoch)
        events: list[Event] = []
        told = 0
        for step in task.steps:
            if is_order(step):
                events += self._stands(task.task_id, told)
                events += self._order_settled(task.task_id, step.key, step.outcome)
            else:
                told += 1
        events += self._stands(task.task_id, told)
        held.outcomes = sum(map(is_order, task.steps))
        if task.cancelling and self._at_work(task.task_id) is not None:
            events.append(TaskCancelling(task.task_id))
        return events

    def _receive_facts(self, piece: host_pb2.TaskFacts) -> list[Event]:
        partial = self._partial
        if partial is None or partial.body.task_id != piece.task_id:
            return []
        if partial.facts != piece.first:
            raise ProtocolError(f"fact {piece.first} came after {partial.facts}")
        partial.take(piece)
        if not piece.is_last:
            return []
        self._dealt, self._partial = partial.seq, None
        if isinstance(partial.body, host_pb2.Task):
            partial.body.state_json, partial.body.state_type = piece.state_json, piece.state_type
            return self._receive_task(partial.body)
        events: list[Event] = []
        for step in partial.steps:
            if is_order(step):
                events += self._step_result(piece.task_id, step)
        return events

    def _step_result(self, task_id: str, step: steps_pb2.SettledStep) -> list[Event]:
        before = self._stands(task_id, step.steps_before)
        return before + self._order_settled(task_id, step.key, step.outcome)

    def _order_settled(
        self, task_id: str, key: str, outcome: steps_pb2.TaskOutcome
    ) -> list[Event]:
        """An outcome counts once, and only while the code is there to see it."""
        held = self._at_work(task_id)
        if held is None:
            return []
        if key in held.given_up:
            held.given_up.remove(key)
        elif held.open.pop(key, None) is None:
            return []  # it was told before
        held.outcomes += 1
        self._void_order(task_id, key)
        return [OrderSettled(task_id, key, outcome)]

    def _void_order(self, task_id: str, key: str) -> None:
        """Nobody waits for what is said of it."""
        for sent in self._about(task_id):
            if sent.message.HasField("step_request") and sent.message.step_request.key == key:
                sent.void = True

    def _send_again_as(self, task_id: str, epoch: int) -> None:
        """What was said under the old epoch will be refused: say it again under the new one."""
        held = self._held[task_id]
        orders = self._acknowledged_orders(task_id)
        for sent in self._about(task_id):
            again = host_pb2.HostMessage()
            again.CopyFrom(sent.message)
            _body(again).epoch = epoch
            sent.void = True
            if again.HasField("step_request"):
                held.open[again.step_request.key] = again.step_request
            self._queue(again)
        for order in orders:
            order.epoch = epoch
            self._queue(host_pb2.HostMessage(step_request=order))

    def _about(self, task_id: str) -> list[_Sent]:
        return [s for s in self._unacknowledged if not s.void and _task_id(s.message) == task_id]

    def _receive_cancel(self, cancel: host_pb2.CancelTask) -> list[Event]:
        held = self._at_work(cancel.task_id)
        if held is None or cancel.epoch < held.epoch:
            return []
        return [TaskCancelling(cancel.task_id)]

    def _receive_yield(self, asked: host_pb2.YieldTask) -> list[Event]:
        held = self._at_work(asked.task_id)
        if held is None or asked.epoch < held.epoch:
            return []
        return [TaskWanted(asked.task_id)]

    def _receive_stop(self, stop: host_pb2.StopTask) -> list[Event]:
        held = self._held.get(stop.task_id)
        if held is None or stop.epoch < held.epoch:
            return []
        return self._drop(stop.task_id, _STOPPED.get(stop.reason, "the server says so"))

    def _receive_refused(self, refused: host_pb2.Refused) -> list[Event]:
        sent = next(
            (s for s in self._unacknowledged if s.seq == refused.refused_seq), None
        )
        if sent is None or sent.void or not _task_id(sent.message):
            return []
        task_id, kind = _task_id(sent.message), sent.message.WhichOneof("message")
        sent.void = True
        held = self._held[task_id]
        if refused.task_is_gone:
            return self._drop(task_id, refused.message)
        if kind in _NUMBERED:
            held.steps -= 1
            number = _numbered(sent.message).number
            return [StepRefused(task_id, number, refused.reason, refused.message)]
        if kind == "step_request":
            key = sent.message.step_request.key
            held.open.pop(key, None)
            return [OrderRefused(task_id, key, refused.reason, refused.message)]
        if kind == "park":
            return self._drop(task_id, refused.message)
        held.done = False
        return [TaskRefused(task_id, refused.reason, refused.message)]

    def _drop(self, task_id: str, cause: str) -> list[Event]:
        for sent in self._about(task_id):
            sent.void = True
        if self._held.pop(task_id, None) is None:
            return []
        return [TaskStopped(task_id, cause)]


_NUMBERED = ("step_done", "step_try", "cancel_shown", "withdraw")  # among the steps of their task
_Numbered = host_pb2.StepDone | host_pb2.StepTry | host_pb2.CancelShown | host_pb2.Withdraw
_Body = _Numbered | host_pb2.TaskDone | steps_pb2.StepRequest | host_pb2.Park


def _numbered(message: host_pb2.HostMessage) -> _Numbered:
    kind = message.WhichOneof("message")
    if kind == "step_done":
        return message.step_done
    if kind == "step_try":
        return message.step_try
    return message.cancel_shown if kind == "cancel_shown" else message.withdraw


def _body(message: host_pb2.HostMessage) -> _Body:
    kind = message.WhichOneof("message")
    if kind in _NUMBERED:
        return _numbered(message)
    if kind == "step_request":
        return message.step_request
    return message.park if kind == "park" else message.task_done


def _task_id(message: host_pb2.HostMessage) -> str:
    """The task a numbered message is about; empty for the others."""
    kind = message.WhichOneof("message")
    return "" if kind == "drain" else _body(message).task_id


def _seconds(length: duration_pb2.Duration) -> float:
    return length.seconds + length.nanos / 1e9


def is_order(step: steps_pb2.SettledStep) -> bool:
    """Whether the server did it, rather than the code."""
    return step.kind in _ORDERS


_ORDERS = frozenset(
    {
        steps_pb2.STEP_KIND_SLEEP,
        steps_pb2.STEP_KIND_SUSPENSION,
        steps_pb2.STEP_KIND_EVENT,
        steps_pb2.STEP_KIND_CHILDREN,
        steps_pb2.STEP_KIND_AT_ONCE,
    }
)
