"""The real polosd under a test: started on a free port and a folder of its own, ended by its pid.

Needs the stubs that ./run makes from protos/ (package polos.v1) and grpcio.
"""
import json
import os
import queue
import shutil
import signal
import subprocess
import tempfile
import threading
import time
import unittest

import grpc
from google.protobuf import duration_pb2, timestamp_pb2
from google.rpc import error_details_pb2, status_pb2
from polos.v1 import (agents_pb2, agents_pb2_grpc, common_pb2, definitions_pb2, history_pb2,
                      host_pb2, messages_pb2, queues_pb2, queues_pb2_grpc, runs_pb2, runs_pb2_grpc,
                      schedules_pb2, schedules_pb2_grpc, start_pb2, steps_pb2, suspend_pb2,
                      suspend_pb2_grpc, tools_pb2, tools_pb2_grpc, topics_pb2, topics_pb2_grpc,
                      workflows_pb2, workflows_pb2_grpc)

BINARY = os.environ.get("POLOSD_UNDER_TEST", "service/polosd")
READY_S = 20
PARTS = (agents_pb2, agents_pb2_grpc, common_pb2, definitions_pb2, history_pb2, host_pb2,
         messages_pb2, queues_pb2, runs_pb2, schedules_pb2, start_pb2, steps_pb2, suspend_pb2,
         tools_pb2, topics_pb2, workflows_pb2)


def model_of(provider="scripted", model="test", **fields):
    return definitions_pb2.ModelSpec(provider=provider, model=model, **fields)


class Server:
    """One polosd. `data` is kept over restarts and removed by close()."""

    def __init__(self, options=(), env=None):
        self.root = tempfile.mkdtemp(prefix="polosd-")
        self.data = os.path.join(self.root, "data")
        self.options = list(options)
        self.command = [BINARY]
        self.env = dict(env or {})
        self.process = None
        self.address = "127.0.0.1:0"
        self.channel = None

    def start(self, env=None):
        """Starts it on the port it had before, if any, and waits for its ready line."""
        if not self.try_start(env):
            raise AssertionError("polosd did not start: " + self.log())
        return self

    def try_start(self, env=None):
        errors = open(os.path.join(self.root, "stderr"), "ab")
        self.process = subprocess.Popen(
            self.command + ["--listen", self.address, "--data", self.data] + self.options,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=errors,
            env=dict(os.environ, **self.env, **(env or {})))
        errors.close()
        line = self.process.stdout.readline().decode()
        if not line.startswith("polosd ready "):
            self.process.stdout.close()
            self.process.wait(READY_S)
            return False
        self.address = line.split("address=")[1].split()[0]
        self.connect()
        return True

    def connect(self):
        old = self.channel
        # A subchannel that backs off would add seconds to a restart.
        options = [("grpc.initial_reconnect_backoff_ms", 50), ("grpc.max_reconnect_backoff_ms", 50),
                   ("grpc.use_local_subchannel_pool", 1)]
        self.channel = grpc.insecure_channel(self.address, options)
        self.agents = agents_pb2_grpc.AgentServiceStub(self.channel)
        self.workflows = workflows_pb2_grpc.WorkflowServiceStub(self.channel)
        self.runs = runs_pb2_grpc.RunServiceStub(self.channel)
        self.tools = tools_pb2_grpc.ToolServiceStub(self.channel)
        self.topics = topics_pb2_grpc.TopicServiceStub(self.channel)
        self.queues = queues_pb2_grpc.QueueServiceStub(self.channel)
        self.schedules = schedules_pb2_grpc.ScheduleServiceStub(self.channel)
        self.suspend = suspend_pb2_grpc.SuspendServiceStub(self.channel)
        if old is not None:
            old.close()

    def kill(self):
        self.process.send_signal(signal.SIGKILL)
        self.wait()

    def stop(self):
        """SIGTERM; the exit status."""
        self.process.send_signal(signal.SIGTERM)
        return self.wait()

    def wait(self):
        status = self.process.wait(READY_S)
        self.process.stdout.close()
        return status

    def memory_mib(self):
        with open("/proc/%d/status" % self.process.pid, encoding="utf-8") as f:
            resident = [line for line in f if line.startswith("VmRSS:")]
        return int(resident[0].split()[1]) // 1024

    def log(self):
        with open(os.path.join(self.root, "stderr"), encoding="utf-8", errors="replace") as f:
            return f.read()

    def close(self):
        if self.channel is not None:
            self.channel.close()
        if self.process is not None and self.process.poll() is None:
            self.kill()
        shutil.rmtree(self.root, ignore_errors=True)

    # ---- calls ----

    def agent(self, agent_id, script, tools=(), **fields):
        """Registers an agent of the scripted provider that says `script`, turn by turn."""
        options = {"script": script}
        options.update(fields.pop("options", {}))
        definition = definitions_pb2.AgentDefinition(
            id=agent_id, tools=tools, models=[model_of(
                options_json=json.dumps(options), **fields.pop("model", {}))], **fields)
        self.agents.Register(agents_pb2.AgentServiceRegisterRequest(agent=definition))

    def start_agent(self, agent_id, text="hello", key="", timeout_ms=None):
        return self.agents.Start(agents_pb2.AgentServiceStartRequest(
            agent_id=agent_id, input=text, options=options_of(key, timeout_ms))).run_id

    def start_workflow(self, workflow_id, value=None, key="", timeout_ms=None):
        return self.workflows.Start(workflows_pb2.WorkflowServiceStartRequest(
            workflow_id=workflow_id, input_json=json.dumps(value),
            options=options_of(key, timeout_ms))).run_id

    def get(self, run_id):
        return self.runs.Get(runs_pb2.RunServiceGetRequest(run_id=run_id)).run

    def list(self, page_size=0, page_token="", **fields):
        """A page of the runs that a filter of these fields lets through."""
        return self.runs.List(runs_pb2.RunServiceListRequest(
            page_size=page_size, page_token=page_token, filter=runs_pb2.RunFilter(**fields)))

    def history(self, run_id):
        events, token = [], None
        while token != "":
            page = self.runs.History(runs_pb2.RunServiceHistoryRequest(
                run_id=run_id, page_token=token, page_size=500))
            events.extend(page.events)
            token = page.next_page_token
        return events

    def watch(self, run_id, position="", deltas=True, timeout=30):
        return self.runs.Watch(runs_pb2.RunServiceWatchRequest(
            run_id=run_id, position=position, deltas=deltas), timeout=timeout)

    def wait_ended(self, run_id, timeout=30):
        """The run as its watch ended, taken up again as often as the server goes away."""
        deadline = time.monotonic() + timeout
        while time.monotonic() < deadline:
            try:
                for answer in self.watch(run_id, deltas=False, timeout=timeout):
                    if answer.HasField("ended"):
                        return answer.ended
            except grpc.RpcError as error:
                if error.code() != grpc.StatusCode.UNAVAILABLE:
                    raise
        raise AssertionError("run %s did not end" % run_id)


def length(ms):
    """None: not said."""
    return None if ms is None else duration_pb2.Duration(
        seconds=ms // 1000, nanos=ms % 1000 * 1000000)


def options_of(idempotency_key="", timeout_ms=None, max_retries=None, **fields):
    retry = None if max_retries is None else start_pb2.RetryPolicy(max_retries=max_retries)
    return start_pb2.StartOptions(idempotency_key=idempotency_key,
                                  run_timeout=length(timeout_ms), retry=retry, **fields)


def child(name, value=None, kind=common_pb2.RUN_KIND_WORKFLOW, **options):
    """A run for StartRuns; to an agent the value is said."""
    said = {"input": value} if kind == common_pb2.RUN_KIND_AGENT else {
        "input_json": json.dumps(value)}
    return start_pb2.RunSpec(kind=kind, name=name, options=options_of(**options), **said)


def waiting_of(run):
    """What it waits for: (the kind's word, name or step)."""
    return [(common_pb2.Waiting.Kind.Name(w.kind)[len("KIND_"):], w.name or w.step_key)
            for w in run.waiting]


def details_of(error):
    """(reason, field, message) of a failed call."""
    status = status_pb2.Status()
    for key, value in error.trailing_metadata() or ():
        if key == "grpc-status-details-bin":
            status.ParseFromString(value)
    reason, field = "", ""
    for detail in status.details:
        info, request = error_details_pb2.ErrorInfo(), error_details_pb2.BadRequest()
        if detail.Unpack(info):
            reason = info.reason
        elif detail.Unpack(request):
            field = request.field_violations[0].field
    return reason, field, error.details()


def instant_of(ms):
    """A Timestamp."""
    return timestamp_pb2.Timestamp(seconds=ms // 1000, nanos=ms % 1000 * 1000000)


def hello_of(tools=(), workflows=(), agents=(), queues=(), **fields):
    """The first envelope of a stream."""
    offers = host_pb2.Offers(tools=tools, workflows=workflows, agents=agents, queues=queues)
    fields.setdefault("protocol", 1)
    return host_pb2.ToolServiceConnectRequest(hello=host_pb2.Hello(offers=offers, **fields))


def envelope_of(seq=0, ack=0, **body):
    """An envelope of one message of a host, or of none."""
    messages = [host_pb2.HostMessage(**body)] if body else []
    return host_pb2.ToolServiceConnectRequest(first_seq=seq, ack=ack, messages=messages)


def is_order(step):
    """Whether the server did it."""
    return step.kind != steps_pb2.STEP_KIND_CODE


class Outcome:
    """How a step of a task ended that the server did."""

    def __init__(self, task_id, step):
        self.task_id, self.key, self.outcome = task_id, step.key, step.outcome


class Host:
    """A host written against the protocol alone: it runs `work(host, task)` for each task, on one
    thread, and keeps what was not acknowledged for the next session."""

    def __init__(self, server, tools=(), workflows=(), work=None, slots=100, host_id="host-1",
                 deployment="", language=""):
        self.server = server
        self.hello = dict(
            host_id=host_id, slots=slots, deployment=deployment, language=language,
            tools=[definitions_pb2.ToolDefinition(id=n) for n in tools],
            workflows=[definitions_pb2.WorkflowDefinition(id=n) for n in workflows])
        self.work = work
        self.session = ""
        self.seq = 0
        self.unacknowledged = []  # (seq, message), in order
        self.held = {}  # task id -> epoch
        self.acknowledged = []  # messages, in order, refused ones too
        self.sent = {}  # seq -> message, of this session
        self.refused_ids = set()  # id() of messages that are in `acknowledged`
        self.done_messages = {}  # task id -> its TaskDone, once acknowledged
        self.tasks = []  # every task received, whole
        self.partial = None  # (seq, Task or StepResult) whose pieces are on their way.
        self.children = {}  # key -> {index: text}, of the pieces
        self.pieces = 0  # TaskFacts received
        self.largest = 0  # Bytes of the largest message received
        self.refused = []
        self.outcomes = queue.Queue()
        self.yields = queue.Queue()  # YieldTask
        self.on_outcome = lambda host, outcome: host.outcomes.put(outcome)
        self.out = None
        self.thread = None
        self.welcome = threading.Event()
        self.ended = threading.Event()  # Of the stream: the heartbeat's end.
        self.lock = threading.Lock()
        self.closed = False

    def start(self):
        self.closed = False
        self.thread = threading.Thread(target=self.run, daemon=True)
        self.thread.start()
        return self

    def run(self):
        while not self.closed:
            try:
                self.serve()
            except (grpc.RpcError, ValueError):  # ValueError: the channel was closed meanwhile.
                time.sleep(0.02)  # The server is away: this paces dialling, nothing waits for it.

    def close(self):
        self.closed = True
        if self.out is not None:
            self.out.put(None)
        if self.thread is not None:
            self.thread.join(10)

    def serve(self):
        self.out = queue.Queue()
        held = [host_pb2.HeldTask(task_id=t, epoch=e) for t, e in self.held.items()]
        self.out.put(hello_of(host_token=self.session, held=held, **self.hello))
        self.ended = threading.Event()
        try:
            for envelope in self.server.tools.Connect(iter(self.out.get, None)):
                self.receive(envelope)
        finally:
            self.ended.set()
            self.out.put(None)

    def beat(self, out, ended, every_s):
        while not ended.wait(every_s):
            out.put(envelope_of())

    def whole(self, seq, message):
        """The message, or None while more of it is to come."""
        kind = message.WhichOneof("message")
        if kind in ("task", "step_result") and getattr(message, kind).has_more:
            self.partial, self.children = (seq, getattr(message, kind)), {}
            return None
        return message

    def take_facts(self, facts):
        if self.partial is None:
            return
        self.pieces += 1
        seq, body = self.partial
        assert body.task_id == facts.task_id
        for fact in facts.facts:
            self.take_fact(body, fact)
        if facts.is_last:
            self.partial = None
            if isinstance(body, host_pb2.Task):
                body.state_json = facts.state_json
                body.state_type = facts.state_type
                self.deal(seq, host_pb2.ServerMessage(task=body))
            else:
                self.out.put(envelope_of(ack=seq))

    def take_fact(self, body, fact):
        if fact.is_child:
            self.children.setdefault(fact.key, {})[fact.child_index] = fact.outcome.value_json
            return
        if fact.has_children:
            parts = self.children.pop(fact.key, {})
            fact.outcome.value_json = "[%s]" % ",".join(parts[i] for i in sorted(parts))
        if isinstance(body, host_pb2.Task):
            body.steps.append(fact)
        elif is_order(fact):
            self.on_outcome(self, Outcome(body.task_id, fact))

    def receive(self, envelope):
        self.largest = max(self.largest, envelope.ByteSize())
        if envelope.HasField("welcome"):
            self.partial = None
            self.welcomed(envelope.welcome)
        numbered = list(enumerate(envelope.messages, envelope.first_seq))
        for _, message in numbered:  # Before the acknowledgement, which counts the refused one.
            if message.HasField("refused"):
                self.refused.append(message.refused)
                self.refused_ids.add(id(self.sent.get(message.refused.refused_seq)))
        self.hear_ack(envelope.ack)
        for seq, message in numbered:
            if self.whole(seq, message) is not None:
                self.deal(seq, message)
        if envelope.HasField("facts"):
            self.take_facts(envelope.facts)

    def hear_ack(self, ack):
        with self.lock:
            while self.unacknowledged and self.unacknowledged[0][0] <= ack:
                body = self.unacknowledged.pop(0)[1]
                self.acknowledged.append(body)
                if "task_done" in body:
                    self.held.pop(body["task_done"].task_id, None)
                    self.done_messages[body["task_done"].task_id] = body

    def deal(self, seq, message):
        kind = message.WhichOneof("message")
        self.out.put(envelope_of(ack=seq))
        if kind == "task":
            self.tasks.append(message.task)
            self.held[message.task.task_id] = message.task.epoch
            self.work(self, message.task)
        elif kind == "cancel_task":
            self.cancelled(message.cancel_task)
        elif kind == "yield_task":
            self.yields.put(message.yield_task)
        elif kind == "stop_task":
            self.held.pop(message.stop_task.task_id, None)
        elif kind == "step_result":
            self.on_outcome(self, Outcome(message.step_result.task_id, message.step_result.step))

    def cancelled(self, cancel):
        """Cleans up at once."""
        if self.held.pop(cancel.task_id, None) is not None:
            self.send(task_done=host_pb2.TaskDone(
                task_id=cancel.task_id, epoch=cancel.epoch, cancelled=True,
                outcome=steps_pb2.TaskOutcome(
                    error=steps_pb2.TaskError(type="CANCELLED", message="cleaned up"))))

    def welcomed(self, welcome):
        with self.lock:
            for lost in welcome.lost:
                self.held.pop(lost.task_id, None)
            if not welcome.resumed:
                self.seq = 0
                self.sent = {}
                messages = [m for _, m in self.unacknowledged]
                self.unacknowledged = []
                for body in messages:
                    self.number(body)
            self.session = welcome.host_token
            beat = (self.out, self.ended, welcome.heartbeat.ToMilliseconds() / 1000)
            threading.Thread(target=self.beat, args=beat, daemon=True).start()
            for seq, body in self.unacknowledged:
                self.out.put(envelope_of(seq, **body))
        self.welcome.set()

    def number(self, body):
        self.seq += 1
        self.unacknowledged.append((self.seq, body))
        self.sent[self.seq] = body
        return self.seq

    def send(self, **body):
        with self.lock:
            seq = self.number(body)
            self.out.put(envelope_of(seq, **body))

    def durable(self):
        """What was acknowledged and not refused."""
        return [m for m in self.acknowledged if id(m) not in self.refused_ids]

    def is_done(self, task_id):
        """Its answer was acknowledged and not refused."""
        message = self.done_messages.get(task_id)
        return message is not None and id(message) not in self.refused_ids

    def step(self, task, number, key, value):
        outcome = steps_pb2.TaskOutcome(value_json=json.dumps(value))
        self.send(step_done=host_pb2.StepDone(task_id=task.task_id, epoch=task.epoch,
                                               number=number, key=key, outcome=outcome))

    def done(self, task, value):
        outcome = steps_pb2.TaskOutcome(value_json=json.dumps(value))
        self.send(task_done=host_pb2.TaskDone(task_id=task.task_id, epoch=task.epoch,
                                               outcome=outcome))

    def order(self, task, key, **order):
        self.send(step_request=steps_pb2.StepRequest(
            task_id=task.task_id, epoch=task.epoch, key=key, **order))

    def park(self, task, seen=0):
        self.held.pop(task.task_id, None)
        self.send(park=host_pb2.Park(task_id=task.task_id, epoch=task.epoch, results_seen=seen))

    def failed(self, task, kind, text, retryable=False):
        error = steps_pb2.TaskError(type=kind, message=text)
        self.send(task_done=host_pb2.TaskDone(task_id=task.task_id, epoch=task.epoch,
                                              retryable=retryable,
                                              outcome=steps_pb2.TaskOutcome(error=error)))


def kind_of(event):
    """"STEP_SETTLED", of a fact; "" of none."""
    return (event.WhichOneof("event") or "").upper()


class Hosted(unittest.TestCase):
    """A server, hosts that end with it, and a queue for the tasks they are given."""
    LEASE_MS = 900

    def setUp(self):
        self.server = Server(["--lease-ms", str(self.LEASE_MS)]).start()
        self.addCleanup(self.server.close)
        self.hosts = []
        self.addCleanup(lambda: [host.close() for host in self.hosts])
        self.tasks = queue.Queue()

    def task(self):
        return self.tasks.get(timeout=20)

    def until(self, run_id, event_type, count=1):
        """The fact, when it has come `count` times."""
        for answer in self.server.watch(run_id):
            count -= kind_of(answer.fact) == event_type
            if count == 0:
                return answer.fact
        raise AssertionError("the run ended before " + event_type)
