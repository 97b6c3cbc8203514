"""Loads for a server that dies: callers and a host that note what they were promised, and the laws
that the histories are held against afterwards. None of it knows how or when the server died."""
import collections
import json
import threading

import grpc

from tests.lib import polosd
from tests.lib.polosd import (child, common_pb2, definitions_pb2, kind_of, queues_pb2, runs_pb2,
                              steps_pb2, suspend_pb2, topics_pb2)


class Violation(Exception):
    """A promise or a law was broken."""


class Load:
    """What every load has: a host, counted acknowledgements, calls of a server that dies."""

    def __init__(self, server, **host):
        self.server = server
        self.acts = 0
        self.acks = 0
        self.acked = threading.Condition()
        self.given_after_done = []
        self.host = polosd.Host(server, work=self.take, **host)

    def define(self):
        """Whatever the server has to know before; again after each start of it."""

    def act(self, number):
        """One call; counts itself with promised() once it is acknowledged."""
        raise NotImplementedError

    def work(self, host, task):
        raise NotImplementedError

    def drive(self, count):
        """Acts until `count` more calls were made or the server is gone."""
        for _ in range(count):
            self.acts += 1
            if not self.reached(lambda: self.act(self.acts)):
                return

    def reached(self, call):
        """False: the server is gone; whether it heard the call is unknown."""
        try:
            call()
        except grpc.RpcError as error:
            if error.code() not in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.CANCELLED):
                raise
            return False
        except ValueError:  # The channel was closed: the server is being started again.
            return False
        return True

    def promised(self):
        with self.acked:
            self.acks += 1
            self.acked.notify_all()

    def wait_for(self, condition, timeout):
        """True once it holds; asked whenever something was promised."""
        with self.acked:
            return self.acked.wait_for(condition, timeout=timeout)

    def take(self, host, task):
        if host.is_done(task.task_id):
            self.given_after_done.append(task.task_id)
        self.work(host, task)

    def ended(self, run_id):
        """The run at its end, which must be a good one, and its history, which obeys the laws."""
        try:
            run = self.server.wait_ended(run_id, timeout=60)
        except grpc.RpcError as error:
            raise Violation("acknowledged run %s: %s" % (run_id, error.details())) from error
        if run.status != common_pb2.RUN_STATUS_COMPLETED:
            raise Violation("run %s: %s" % (run_id, run.error.message))
        events = self.server.history(run_id)
        check_history(run_id, events)
        return run, events

    def check(self):
        """Everything promised is there; raises Violation otherwise. Returns the histories."""
        if self.given_after_done:
            raise Violation("given again after its answer was durable: %s"
                            % self.given_after_done[:3])
        histories = self.judge()
        check_acknowledged(self.host, histories)
        return histories

    def judge(self):
        """The load's own laws; {run id: history}."""
        raise NotImplementedError

    def told(self):
        """A line about how much it was, for the log."""
        return "promises %d, acknowledged host messages %d, refused %d" % (
            self.acks, len(self.host.acknowledged), len(self.host.refused))


def require(holds, text, *values):
    if not holds:
        raise Violation(text % values)


def check_history(run_id, events):
    """One run's journal obeys the laws, whatever happened."""
    require([e.seq for e in events] == list(range(1, len(events) + 1)),
            "run %s: seqs have gaps", run_id)
    for kind in ("MODEL_REPLIED", "TASK_SETTLED", "WAIT_SETTLED"):
        settled = collections.Counter(e.effect_id for e in events if kind_of(e) == kind)
        require(all(n == 1 for n in settled.values()), "run %s: %s twice", run_id, kind)
    ends = [e for e in events if kind_of(e).startswith("RUN_") and not e.HasField("run_started")]
    require([kind_of(e) for e in ends] == ["RUN_COMPLETED"] and ends[0].seq == len(events),
            "run %s: ends with %s", run_id, [kind_of(e) for e in events][-3:])
    epochs = [e.attempt for e in events if e.HasField("lease_granted")]
    require(epochs == sorted(set(epochs)), "run %s: epochs %s", run_id, epochs)


def check_acknowledged(host, histories):
    """What the host was told is durable stands in the history once, as it was sent."""
    for message in host.durable():
        body = message.get("step_done") or message.get("task_done")
        if body is None or body.epoch == 0:
            continue
        run_id, effect = body.task_id.split(".")
        if run_id not in histories:
            continue
        kind = "STEP_SETTLED" if "step_done" in message else "TASK_SETTLED"
        found = [e for e in histories[run_id]
                 if kind_of(e) == kind and e.effect_id == int(effect) and
                 (kind == "TASK_SETTLED" or e.step_settled.number == body.number)]
        require(len(found) == 1, "%s of %s acknowledged, %d times in the history", kind,
                body.task_id, len(found))


class Work(Load):
    """Agents that call a tool, and workflows of four steps."""

    STEPS = 4
    TOOL = definitions_pb2.ToolDefinition(id="add", parameters_json='{"type":"object"}')
    SCRIPT = [{"tool_calls": [{"name": "add", "arguments": {"a": 1}}]},
              {"text": "{{tool_result}}"}]

    def __init__(self, server):
        super().__init__(server, tools=["add"], workflows=["steps"])
        self.starts = {}  # key -> run id, once acknowledged

    def define(self):
        self.reached(lambda: self.server.agent("adder", self.SCRIPT, tools=[self.TOOL]))

    def act(self, number):
        key = "key-%d" % number
        start = self.server.start_agent if number % 2 == 0 else self.server.start_workflow
        self.starts[key] = start("adder" if number % 2 == 0 else "steps", "go", key=key)
        self.promised()

    def work(self, host, task):
        if task.name == "steps":
            for number in range(len(task.steps) + 1, self.STEPS + 1):
                host.step(task, number, "step-%d" % number, number)
        host.done(task, len(task.steps))

    def judge(self):
        return {run_id: self.ended(run_id)[1] for run_id in self.starts.values()}


class Lives(Load):
    """Workflows that wait: for an answer, for two children in a queue, for the clock, for the place
    of an event they publish. Every other one is let go of while it waits. Callers start them,
    answer early and late, and publish events that start workflows one by one and in threes."""

    ROOM = 2
    NAP_MS = 100
    TOPIC = "news"
    SAID = "said"
    KEYS = ["ask", "kids", "nap", "say"]

    def __init__(self, server):
        # Half of the lives hold a slot while they wait for kids that need one.
        super().__init__(server, workflows=["life"], slots=10000)
        self.host.hello["queues"] = [
            queues_pb2.QueueDefinition(name="narrow", concurrency_limit=self.ROOM)]
        self.host.hello["workflows"] += [
            definitions_pb2.WorkflowDefinition(id="kid", queue="narrow"),
            definitions_pb2.WorkflowDefinition(
                id="each", trigger=definitions_pb2.EventTrigger(topic=self.TOPIC)),
            definitions_pb2.WorkflowDefinition(id="threes", trigger=definitions_pb2.EventTrigger(
                topic=self.TOPIC, batch_size=3, batch_timeout=polosd.length(300)))]
        self.host.on_outcome = self.outcome
        self.lives = {}  # run id -> its number
        self.answers = {}  # run id -> what was tried, in order
        self.accepted = {}  # run id -> the answer that was acknowledged as the one
        self.published = {}  # number -> sequence, once acknowledged
        self.tried = set()  # numbers
        self.open = {}  # task id -> (task, outcomes by key), of lives that are held
        self.triggered = {"each": set(), "threes": set()}  # sequences the host has seen

    def define(self):
        while not self.host.welcome.wait(0.1) and self.server.process.poll() is None:
            pass  # Events count from when the workflows are known.

    def act(self, number):
        if number % 3 == 0:
            run_id = self.server.start_workflow("life", number, key="life-%d" % number)
            self.lives[run_id] = number
        elif number % 3 == 1:
            self.tried.add(number)
            self.published[number] = self.server.topics.Publish(
                topics_pb2.TopicServicePublishRequest(
                    topic=self.TOPIC,
                    events=[topics_pb2.NewEvent(data_json=str(number))])).sequences[0]
        else:
            unanswered = [run_id for run_id in self.lives if run_id not in self.accepted]
            if unanswered:
                self.answer(unanswered[0], number)
        self.promised()

    def answer(self, run_id, number):
        self.answers.setdefault(run_id, []).append(number)
        told = self.server.suspend.Resume(suspend_pb2.SuspendServiceResumeRequest(
            run_id=run_id, step_key="ask", data_json=str(number)))
        if told.outcome != suspend_pb2.RESUME_OUTCOME_ALREADY_ANSWERED:
            self.accepted[run_id] = number
        else:  # One of those whose fate is unknown was the one.
            self.accepted[run_id] = None

    # ---- the host's code ----

    def work(self, host, task):
        if task.name == "kid":
            host.step(task, 1, "only", 1)
            host.done(task, json.loads(task.input_json))
        elif task.name in self.triggered:
            given = json.loads(task.input_json)
            events = given["events"] if task.name == "threes" else [given]
            self.triggered[task.name].update(e["sequence"] for e in events)
            host.done(task, len(events))
            self.promised()
        else:
            settled = {s.key: s.outcome for s in task.steps}
            if "begin" not in settled:
                host.step(task, 1, "begin", 0)
            self.open[task.task_id] = (task, settled)
            self.go_on(host, task, settled, len(task.steps))

    def outcome(self, host, outcome):
        task, settled = self.open.get(outcome.task_id, (None, None))
        if task is not None and outcome.key not in settled and outcome.task_id in host.held:
            settled[outcome.key] = outcome.outcome
            self.go_on(host, task, settled, None)

    def go_on(self, host, task, settled, seen):
        """seen: the outcomes that came with the task; None: it is held while it waits."""
        number = json.loads(task.input_json)
        key = next((k for k in self.KEYS if k not in settled), None)
        if key is None:
            del self.open[task.task_id]
            host.done(task, {k: json.loads(settled[k].value_json) for k in self.KEYS})
            return
        host.order(task, key, **self.order_of(key, number, task))
        if seen is not None and number % 2 == 0:
            del self.open[task.task_id]
            host.park(task, seen=sum(1 for s in task.steps if polosd.is_order(s)))

    def order_of(self, key, number, task):
        kids = [child("kid", 2 * number + i) for i in range(2)]
        return {
            "ask": {"suspend": steps_pb2.Suspend()},
            "kids": {"start_runs": steps_pb2.StartRuns(runs=kids, wait=True)},
            "nap": {"sleep": steps_pb2.Sleep(duration=polosd.length(self.NAP_MS))},
            "say": {"publish": steps_pb2.Publish(topic=self.SAID, data_json=str(number))},
        }[key]

    # ---- the laws ----

    def judge(self):
        for run_id, number in self.lives.items():
            if run_id not in self.accepted:
                self.answer(run_id, number)
        histories, kids = {}, []
        for run_id, number in self.lives.items():
            run, histories[run_id] = self.ended(run_id)
            self.judge_life(run, number, histories[run_id])
            kids += self.judge_kids(run_id, histories)
        self.judge_queue([histories[kid] for kid in kids])
        self.judge_said()
        self.judge_triggers()
        return histories

    def judge_life(self, run, number, events):
        keys = {e.effect_id: e.wait_set.key for e in events if e.HasField("wait_set")}
        settled = {keys[e.effect_id]: e for e in events if e.HasField("wait_settled")}
        require([*settled] == self.KEYS == [*keys.values()], "run %s: waits %s, settled %s", run.id,
                [*keys.values()], [*settled])
        result = json.loads(run.result_json)
        answered = self.accepted[run.id]
        fits = [answered] if answered is not None else self.answers[run.id][:-1]
        require(result["ask"]["data"] in fits, "run %s: answered %s, not %s", run.id,
                result["ask"], fits)
        require([kid["result"] for kid in result["kids"]] == [2 * number, 2 * number + 1],
                "run %s: its children gave %s", run.id, result["kids"])
        woken_ms = settled["nap"].time.ToMilliseconds() - run.created_at.ToMilliseconds()
        require(woken_ms >= self.NAP_MS, "run %s: woken early", run.id)

    def judge_kids(self, run_id, histories):
        kids = self.server.list(parent_run_id=run_id, page_size=10).runs
        require(len(kids) == 2, "run %s: %d children", run_id, len(kids))
        for kid in kids:
            histories[kid.id] = self.ended(kid.id)[1]
        return [kid.id for kid in kids]

    def judge_queue(self, histories):
        """At no time more of them were held than the queue has room for."""
        changes = []
        for events in histories:
            for event in events:
                if event.HasField("lease_granted"):
                    changes.append((event.time.ToMilliseconds(), 1))
                elif event.WhichOneof("event") in ("lease_lost", "task_settled"):
                    changes.append((event.time.ToMilliseconds(), -1))
        held = 0
        for _, change in sorted(changes):  # Of one millisecond, those that end come first.
            held += change
            require(held <= self.ROOM, "%d at once in a queue for %d", held, self.ROOM)

    def judge_said(self):
        heard = [json.loads(h.event.data_json) for h in self.server.topics.Subscribe(
            topics_pb2.TopicServiceSubscribeRequest(topic=self.SAID)) if h.HasField("event")]
        require(sorted(heard) == sorted(self.lives.values()), "said %s, by %s", sorted(heard),
                sorted(self.lives.values()))

    def judge_triggers(self):
        events = [h.event for h in self.server.topics.Subscribe(
            topics_pb2.TopicServiceSubscribeRequest(topic=self.TOPIC)) if h.HasField("event")]
        sequences = {int(e.data_json): e.sequence for e in events}
        require(len(sequences) == len(events) and set(sequences) <= self.tried,
                "events nobody published, or twice: %s", sequences)
        for number, sequence in self.published.items():
            require(sequences.get(number) == sequence, "event %s was acknowledged as %s, is %s",
                    number, sequence, sequences.get(number))
        for name, width in (("each", 1), ("threes", 3)):
            wanted = set(sequences.values())
            require(self.wait_for(lambda n=name, w=wanted: self.triggered[n] >= w, 30),
                    "%s: not started for %s", name, wanted - self.triggered[name])
            self.judge_started(name, width, sorted(wanted))

    def judge_started(self, name, width, wanted):
        """Each event began one run, in its place."""
        batches = []
        for run in self.runs_of(name):
            _, events = self.ended(run.id)
            given = json.loads(events[0].run_started.input_json)
            batch = [e["sequence"] for e in (given["events"] if width > 1 else [given])]
            require(len(batch) <= width, "%s: a batch of %d", name, len(batch))
            batches.append(batch)
        found = [sequence for batch in sorted(batches) for sequence in batch]
        require(found == wanted, "%s: started for %s, not %s", name, found, wanted)

    def runs_of(self, name):
        runs, token = [], ""
        while True:
            page = self.server.list(name=name, page_size=500, page_token=token)
            runs += page.runs
            token = page.next_page_token
            if not token:
                return runs
