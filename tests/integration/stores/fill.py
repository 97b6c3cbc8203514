"""Fills the store of one release with every kind of thing a store can hold, and writes down what
that release says of it.

    fill.py POLOSD RELEASE_FOLDER

writes stopped.tar.xz and killed.tar.xz, the folders of a server that was stopped and of one that
was killed, and a .json beside each; see tests/fixtures/stores/README.md. The server lives in a time
of its own (tests/lib/clock.c), so nothing falls due by being old."""
import collections
from datetime import timedelta
import json
import os
import subprocess
import sys
import tarfile
import tempfile
import time

import grpc

from tests.integration.stores import answers, programs
from tests.integration.stores.programs import TOOL, Code
from tests.lib import polosd
from tests.lib.polosd import (Server, agents_pb2, common_pb2, definitions_pb2, options_of,
                              queues_pb2, runs_pb2, schedules_pb2, suspend_pb2, tools_pb2,
                              topics_pb2, workflows_pb2)

CLOCK = os.path.abspath(os.environ.get("CLOCK_LIBRARY", "tests/lib/libclock.so"))
DUMP = os.path.abspath(os.environ.get("STORE_DUMP", "tests/lib/store_dump"))
MINUTE_MS = 60 * 1000
HOUR_MS = 60 * MINUTE_MS
BEGIN_MS = 1795946820000  # 2026-11-29 10:07:00 UTC.
AGAIN_MS = BEGIN_MS + HOUR_MS  # The server is started again.
OPENED_MS = AGAIN_MS + 5 * MINUTE_MS  # It is opened and asked.
LATER_MS = OPENED_MS + 4 * HOUR_MS  # What waits goes on.
LEASE_MS = 2000
SPACE = ["--free-bytes-soft", "1", "--free-bytes-hard", "1"]  # A full disk is not what is tested.
TOPICS = ["news", "said", "orders", "clicks", "counted", "large"]
# Runs that go on by themselves once they are due: a pause before the next try, the end of a
# clean-up, a model call that died with the server.
MOVING = ["broken", "misfit", "undoing", "slow-model"]
CALL = {"tool_calls": [{"name": "look", "arguments": {}}]}


def clock(at_ms):
    return {"LD_PRELOAD": CLOCK, "CLOCK_START_MS": str(at_ms)}


def call_of(name, **arguments):
    return {"tool_calls": [{"name": name, "arguments": arguments}]}


def queue(name, **limits):
    return queues_pb2.QueueDefinition(name=name, **limits)


TRIGGERS = {
    "each": definitions_pb2.EventTrigger(topic="orders"),
    "threes": definitions_pb2.EventTrigger(topic="clicks", batch_size=3),
    "timed": definitions_pb2.EventTrigger(topic="counted", batch_size=3,
                                         batch_timeout=timedelta(hours=2)),
}


def add_triggers(workflows):
    for workflow in workflows:
        if workflow.id in TRIGGERS:
            workflow.trigger.CopyFrom(TRIGGERS[workflow.id])


class Fill:
    def __init__(self, server, end):
        self.server = server
        self.end = end
        self.runs = {}  # label -> run id
        self.hosts = []

    # ---- calls ----

    def host(self, host_id, workflows, tools=(), deployment="one", **hello):
        host = Code(self.server, holds=True, host_id=host_id, tools=tools, deployment=deployment)
        host.hello.update(hello, workflows=workflows)
        self.hosts.append(host)
        host.start()
        assert host.welcome.wait(20)
        return host

    def leave(self, host):
        self.hosts.remove(host)
        host.close()

    def start(self, label, name="", value=None, **options):
        self.runs[label] = self.server.workflows.Start(workflows_pb2.WorkflowServiceStartRequest(
            workflow_id=name or label, input_json=json.dumps(value),
            options=options_of(label, **options))).run_id
        return self.runs[label]

    def start_tool(self, label, name="", value=None):
        self.runs[label] = self.server.tools.Start(tools_pb2.ToolServiceStartRequest(
            tool_id=name or label, input_json=json.dumps(value), options=options_of(label))).run_id
        return self.runs[label]

    def talk(self, label, name="", text="hello", options="", **start):
        self.runs[label] = self.server.agents.Start(agents_pb2.AgentServiceStartRequest(
            agent_id=name or label, input=text,
            options=options_of(label, provider_options_json=options, **start))).run_id
        return self.runs[label]

    def publish(self, topic, *values, key="", event_type=""):
        return self.server.topics.Publish(topics_pb2.TopicServicePublishRequest(
            topic=topic, idempotency_key=key, events=[topics_pb2.NewEvent(
                event_type=event_type, data_json=json.dumps(value)) for value in values]))

    def resume(self, label, data, by="", key="ask"):
        return self.server.suspend.Resume(suspend_pb2.SuspendServiceResumeRequest(
            run_id=self.runs[label], step_key=key, data_json=json.dumps(data), answered_by=by))

    def cancel(self, label, cause):
        self.server.runs.Cancel(
            runs_pb2.RunServiceCancelRequest(run_id=self.runs[label], cause=cause))

    def fork(self, label, of, after_seq):
        self.runs[label] = self.server.runs.Fork(runs_pb2.RunServiceForkRequest(
            run_id=self.runs[of], after_seq=after_seq)).run.id

    def retry(self, label, of):
        self.runs[label] = self.server.runs.Retry(
            runs_pb2.RunServiceRetryRequest(run_id=self.runs[of])).run.id

    def schedule(self, workflow, cron, key="", value=None, zone=""):
        spec = schedules_pb2.ScheduleSpec(cron=cron, key=key, timezone=zone)
        self.server.schedules.Put(schedules_pb2.ScheduleServicePutRequest(
            name=workflow, spec=spec, input_json="" if value is None else json.dumps(value)))

    def until(self, label, event_type, count=1):
        for answer in self.server.watch(self.runs[label], deltas=False):
            count -= polosd.kind_of(answer.fact) == event_type
            if count == 0:
                return
        raise AssertionError("%s ended before %s: %s" % (
            label, event_type, [polosd.kind_of(e) for e in self.server.history(self.runs[label])]))

    def ended(self, label, status="COMPLETED"):
        run = self.server.wait_ended(self.runs[label])
        found = common_pb2.RunStatus.Name(run.status)
        assert found == "RUN_STATUS_" + status, (label, found, run.error)
        return run

    # ---- what is put in ----

    def fill(self):
        self.define()
        main = self.main_host()
        self.agents()
        self.workflows()
        self.families()
        self.losses()
        self.forks()
        self.begin_what_lasts()
        self.leave(main)
        assert self.server.stop() == 0
        self.server.start(clock(AGAIN_MS))
        self.main_host("main-again")
        self.second_life()
        self.queues()
        self.under_way()
        if self.end == "killed":
            self.server.kill()
        else:
            assert self.server.stop() == 0
        for host in list(self.hosts):
            self.leave(host)

    def main_host(self, host_id="main"):
        of = {name: definitions_pb2.WorkflowDefinition(id=name) for name in programs.WORKFLOWS
              if name != "mortal"}
        add_triggers(of.values())
        of["hourly"].schedule.CopyFrom(schedules_pb2.ScheduleSpec(cron="30 * * * *"))
        of["kid"].queue = "kids"
        return self.host(
            host_id, list(of.values()), list(programs.TOOLS),
            queues=[queue("narrow", concurrency_limit=1), queue("kids", concurrency_limit=50)],
            agents=[definitions_pb2.AgentDefinition(
                id="offered", description="by a host", models=[polosd.model_of(
                    options_json=json.dumps({"script": [{"text": "I was offered"}]}))])])

    def define(self):
        put = queues_pb2.QueueServicePutRequest
        for each in (queue("idle", per_key_limit=2), queue("keyed", per_key_limit=1),
                     queue("models", concurrency_limit=1), queue("dropped", concurrency_limit=3),
                     queue("rated", rate_limit=1, rate_period=timedelta(hours=3))):
            self.server.queues.Put(put(queue=each))
        self.server.queues.Delete(queues_pb2.QueueServiceDeleteRequest(name="dropped"))
        self.schedule("told", "30 9 * * MON-FRI", "berlin", zone="Europe/Berlin")
        self.schedule("told", "0 0 1 1 *", "input", value={"a": [1, 2]})
        self.schedule("gone", "@hourly")
        self.server.schedules.Delete(
            schedules_pb2.ScheduleServiceDeleteRequest(schedule_id="gone/global"))
        self.publish("news", "old", event_type="go")
        self.publish("news", "keyed 1", "keyed 2", key="a key")
        self.publish("large", programs.LARGE)

    def agents(self):
        agent = self.server.agent
        agent("talker", [{"text": "hello from the first"}])
        self.talk("talker", session_id="a session", user_id="a user", conversation_id="a talk")
        self.ended("talker")
        agent("talker", [{"text": "hello from the second"}], description="told to talk",
              system_prompt="Talk.", model=dict(temperature=0.5, max_output_tokens=100))
        self.talk("talker-again", "talker")
        self.talk("talker-overridden", "talker",
                  options=json.dumps({"script": [{"text": "as the start said"}]}))
        agent("adder", [call_of("add", a=1, b=2), call_of("bad_tool"), call_of("nobody"),
                        {"text": "{{tool_result}}"}], tools=[TOOL["add"], TOOL["bad_tool"]])
        self.talk("adder")
        agent("thinker", [{"reasoning": "let me think", "text": "thought", "tool_calls": [
            {"name": "look", "arguments": "no JSON"}]}, {"reasoning": "again", "text": "done"}],
              tools=[TOOL["look"]])
        self.talk("thinker")
        agent("shaped", [{"text": '{"n":1}'}],
              output_schema_json='{"type":"object","properties":{"n":{"type":"integer"}}}')
        self.talk("shaped")
        agent("failing", [{"error": {"reason": "REFUSED_BY_TEST", "retryable": False}}])
        self.talk("failing")
        agent("trying", [{"text": "at last", "error": {
            "reason": "BUSY", "retryable": True, "attempts": 1}}])
        self.talk("trying")
        agent("short", [CALL] * 3, tools=[TOOL["look"]], max_turns=2)
        self.talk("short")
        agent("frugal", [CALL] * 9, tools=[TOOL["look"]],
              stop_conditions=[definitions_pb2.StopCondition(max_tokens=5)])
        self.talk("frugal")
        agent("busy", [CALL] * 20 + [call_of("later"), {"text": "a long day"}],
              tools=[TOOL["look"], TOOL["later"]], max_turns=100)
        self.talk("busy", text=programs.LARGE)
        agent("waiter", [call_of("later"), {"text": "served: {{tool_result}}"}],
              tools=[TOOL["later"]])
        self.talk("waiter")
        self.talk("sent-away", "waiter")
        self.until("sent-away", "TASK_REQUESTED")
        self.cancel("sent-away", "no longer wanted")
        self.talk("offered")
        for label in ("talker-again", "talker-overridden", "adder", "thinker", "shaped", "trying",
                      "offered"):
            self.ended(label)
        for label in ("short", "frugal"):
            self.server.wait_ended(self.runs[label])
        self.ended("failing", "FAILED")
        self.ended("sent-away", "CANCELLED")
        self.until("busy", "TASK_REQUESTED", 21)
        self.until("waiter", "TASK_REQUESTED")

    def workflows(self):
        self.start("steps", value={"n": 1}, initial_state_json='{"done":0}', session_id="s")
        self.start("fails", max_retries=0)
        self.start("flaky")
        self.start("lapsed")
        self.start_tool("tool-alone", "add", {"a": 20, "b": 22})
        self.start_tool("tool-failed", "bad_tool")
        self.start("speaker")
        self.start("answered", "asker", 1)
        self.until("answered", "TASK_PARKED")
        self.resume("answered", {"yes": True}, by="ann")
        self.start("helped", "asker", 2)
        self.until("helped", "TASK_PARKED")
        self.start("helper", value=self.runs["helped"])
        self.start("heard", "listener")
        self.until("heard", "TASK_PARKED")
        self.publish("news", "now", event_type="go")
        self.start("never-begun", "nobody-offers-it")
        self.cancel("never-begun", "a mistake")
        self.start("undone", "undoer")
        self.until("undone", "TASK_PARKED")
        self.cancel("undone", "changed our mind")
        for label in ("steps", "flaky", "lapsed", "tool-alone", "speaker", "answered", "helped",
                      "helper", "heard"):
            self.ended(label)
        for label in ("fails", "tool-failed"):
            self.ended(label, "FAILED")
        for label in ("never-begun", "undone"):
            self.ended(label, "CANCELLED")
        self.publish("orders", {"order": 1}, {"order": 2})
        self.publish("clicks", *range(5))
        self.publish("counted", 1)

    def families(self):
        self.start("family")
        self.start("starter")
        self.ended("family")
        self.ended("starter")
        self.start("parent")
        self.until("parent", "TASK_PARKED")
        programs.FAILING.add("begetter")
        self.start("begetter", max_retries=0)
        self.ended("begetter", "FAILED")
        programs.FAILING.clear()
        self.retry("heir", "begetter")
        self.until("heir", "LEASE_GRANTED")

    def losses(self):
        """A host that dies with a task; another one goes on."""
        self.server.agent("payer", [call_of("pay"), {"text": "{{tool_result}}"}], tools=[
            definitions_pb2.ToolDefinition(id="pay", parameters_json='{"type":"object"}',
                                      on_lost=common_pb2.LOST_CALL_UNKNOWN)])
        dying = polosd.Host(self.server, workflows=["mortal"], tools=["pay"], host_id="dying",
                            deployment="two", work=lambda host, task: host.step(
                                task, 1, "first", 1) if task.name == "mortal" else None)
        self.hosts.append(dying.start())
        assert dying.welcome.wait(20)
        self.start("mortal")
        self.talk("payer")
        self.until("mortal", "STEP_SETTLED")
        self.until("payer", "LEASE_GRANTED")
        self.leave(dying)
        other = self.host("other", [definitions_pb2.WorkflowDefinition(id="mortal")],
                          deployment="two")
        self.ended("mortal")
        self.ended("payer")
        self.leave(other)

    def forks(self):
        settled = [e.seq for e in self.server.history(self.runs["steps"])
                   if e.HasField("step_settled")]
        self.fork("fork", "steps", settled[1])
        self.ended("fork")
        self.retry("retried", "fails")
        self.ended("retried", "FAILED")
        self.fork("agent-fork", "adder", len(self.server.history(self.runs["adder"])) - 2)
        self.ended("agent-fork")

    def begin_what_lasts(self):
        """What goes on beyond a start of the server."""
        self.start("long")
        self.until("long", "TASK_PARKED")
        self.start("napper")
        self.until("napper", "TASK_PARKED")
        self.start("sleeper")
        self.until("sleeper", "TASK_PARKED")
        self.start("asking", "asker", "before the stop")
        self.until("asking", "TASK_PARKED")

    def second_life(self):
        self.ended("napper")
        while not self.find("hourly"):
            time.sleep(0.05)
        self.runs["ticked"] = self.find("hourly")[0].id
        self.ended("ticked")

    def find(self, name):
        return self.server.list(name=name).runs

    def queues(self):
        for label, options in (
                ("narrow-1", {"queue": "narrow"}),
                ("narrow-2", {"queue": "narrow", "concurrency_key": "a"}),
                ("narrow-3", {"queue": "narrow", "concurrency_key": "b", "priority": -1}),
                ("narrow-4", {"queue": "narrow", "concurrency_key": "b", "priority": 5}),
                ("keyed-1", {"queue": "keyed", "concurrency_key": "a"}),
                ("keyed-2", {"queue": "keyed", "concurrency_key": "a"}),
                ("keyed-3", {"queue": "keyed", "concurrency_key": "b"}),
                ("rated-1", {"queue": "rated"}), ("rated-2", {"queue": "rated"})):
            self.start(label, "worker", **options)
        for label in ("narrow-1", "keyed-1", "keyed-3", "rated-1"):
            self.until(label, "LEASE_GRANTED")
        agent = self.server.agent
        agent("caller", [call_of("ask_user"), {"text": "{{tool_result}}"}],
              tools=[TOOL["ask_user"]], queue="models")
        self.talk("caller")  # Gives its turn back while it waits ...
        self.until("caller", "TASK_PARKED")
        agent("holder", [call_of("slow_tool"), {"text": "{{tool_result}}"}],
              tools=[TOOL["slow_tool"]], queue="models")
        self.talk("holder")  # ... and another one takes it.
        self.until("holder", "LEASE_GRANTED")
        self.talk("queued-agent", "holder", concurrency_key="k")
        self.talk("asking-again", "caller", queue="")
        self.resume("caller", "go on", by="ann")  # It asks for its turn again.
        self.until("caller", "ADMISSION_ASKED")

    def under_way(self):
        self.start("held", "held_asker")
        self.until("held", "WAIT_SET")
        self.start("dozer")
        self.until("dozer", "WAIT_SET")
        self.start("late")
        self.until("late", "TASK_PARKED")
        self.start("early")
        self.until("early", "STEP_SETTLED")
        assert self.resume("early", "kept", by="ann").outcome == suspend_pb2.RESUME_OUTCOME_KEPT
        self.start("listening", "listener")
        self.until("listening", "TASK_PARKED")
        self.start("nobody", "offered_later")
        self.start("mortal-again", "mortal")  # Nobody offers it any more.
        self.start("undoing", "undoer", "stay")
        self.until("undoing", "TASK_PARKED")
        self.cancel("undoing", "half-way")
        self.until("undoing", "STEP_SETTLED", 2)
        self.start("broken", max_retries=100)
        self.until("broken", "TASK_FAILED", 2)
        self.start("misfit")
        self.until("misfit", "TASK_FAILED")
        self.server.agent("slow-model", [{"text": "slowly " * 5}], options={"delta_ms": 1000})
        self.talk("slow-model")
        self.until("slow-model", "MODEL_REQUESTED")
        self.fork("waiting-fork", "long", len(self.server.history(self.runs["long"])))


# ---- what is written down ----

def later_host(server):
    """Offers everything, and brings everything to its end."""
    workflows = [*programs.WORKFLOWS, *programs.LATE_WORKFLOWS]
    host = Code(server, holds=False, workflows=workflows, host_id="later", deployment="one",
                tools=[*programs.TOOLS, *programs.LATE_TOOLS])
    add_triggers(host.hello["workflows"])
    return host


def go_on(server, runs):
    """Four hours later: a host is there, callers answer, events come, new runs are made of old
    ones. {label: how it ended}"""
    calls = Fill(server, "")
    calls.runs = dict(runs)
    host = later_host(server).start()
    try:
        calls.publish("news", "later", event_type="go")
        calls.publish("clicks", 5)
        for label in ("asking", "held", "long", "waiting-fork", "asking-again"):
            told = calls.resume(label, "answer to " + label, by="bob").outcome
            assert told != suspend_pb2.RESUME_OUTCOME_ALREADY_ANSWERED, label
        begin_anew(calls)
        ends = {label: end_of(server, label, run_id)
                for label, run_id in sorted(calls.runs.items())}
        for name in ("each", "threes", "timed", "hourly"):
            ends["runs of " + name] = started(server, name)
        return ends
    finally:
        host.close()


def begin_anew(calls):
    """With what the store holds: definitions, histories, keys."""
    calls.talk("talker-anew", "talker")
    calls.fork("fork-anew", "steps", 5)
    calls.retry("retried-anew", "fails")
    calls.retry("begetter-anew", "begetter")
    found = calls.runs["steps"]
    assert calls.start("steps", value={"n": 1}, initial_state_json='{"done":0}',
                       session_id="s") == found
    assert calls.publish("news", "keyed 1", "keyed 2", key="a key").existed


def started(server, name):
    """Results of the runs of a workflow that events or the clock start, once none is missing."""
    for run_id in answers.listed(server, name=name):
        server.wait_ended(run_id)
    return [answers.shortened(server.get(run_id).result_json)
            for run_id in reversed(answers.listed(server, name=name))]


def end_of(server, label, run_id):
    try:
        run = server.wait_ended(run_id, timeout=60)
    except grpc.RpcError as error:
        raise AssertionError("%s did not end: %s" % (label, server.get(run_id))) from error
    return {"status": common_pb2.RunStatus.Name(run.status),
            "result": answers.shortened(run.result_json), "reason": run.error.reason}


def unpack(archive, server):
    with tarfile.open(archive) as tar:
        tar.extractall(server.data)


def pack(folder, archive):
    """Without the library's own log, which names folders of this machine."""
    subprocess.run(["tar", "--sort=name", "--owner=0", "--group=0", "--numeric-owner",
                    "--mtime=2026-11-29", "--exclude=LOG*", "-cJf",
                    os.path.abspath(archive), "."],
                   cwd=folder, check=True, env=dict(os.environ, XZ_OPT="-9e"))


def rows(archive):
    """{table: how many} of a store that no server has opened since; each row is decoded."""
    with tempfile.TemporaryDirectory() as folder:
        with tarfile.open(archive) as tar:
            tar.extractall(folder)
        text = subprocess.run([DUMP, folder], check=True, stdout=subprocess.PIPE).stdout.decode()
    return dict(collections.Counter(line.split()[0] for line in text.splitlines()))


def opened(archive, at_ms, lease_ms):
    server = polosd.Server(["--lease-ms", str(lease_ms)] + SPACE)
    unpack(archive, server)
    return server.start(clock(at_ms))


def write(folder, end):
    server = polosd.Server(["--lease-ms", str(LEASE_MS), "--waiting-runs-max", "1", "--drain-ms",
                            "200"] + SPACE)
    archive = os.path.join(folder, end + ".tar.xz")
    try:
        server.start(clock(BEGIN_MS))
        fill = Fill(server, end)
        fill.fill()
        pack(server.data, archive)
    finally:
        server.close()
    expected = {"runs": fill.runs, "moving": MOVING, "topics": TOPICS, "rows": rows(archive)}
    server = opened(archive, OPENED_MS, HOUR_MS)
    try:
        expected["answers"] = answers.ask(server, TOPICS)
    finally:
        server.close()
    for label in MOVING:
        events = expected["answers"]["histories"][fill.runs[label]]
        events[:] = [event for event in events if event["time_ms"] < OPENED_MS]
    server = opened(archive, LATER_MS, LEASE_MS)
    try:
        expected["ends"] = go_on(server, fill.runs)
    finally:
        server.close()
    with open(os.path.join(folder, end + ".json"), "w", encoding="utf-8") as out:
        out.write(in_lines(expected) + "\n")


def in_lines(value, depth=4):
    """JSON with a line for each run and each fact."""
    if depth == 0 or not value or not isinstance(value, (dict, list)):
        return json.dumps(value, sort_keys=True, separators=(",", ":"))
    if isinstance(value, list):
        return "[\n%s]" % ",\n".join(in_lines(each, depth - 1) for each in value)
    return "{\n%s}" % ",\n".join("%s:%s" % (json.dumps(key), in_lines(value[key], depth - 1))
                                 for key in sorted(value))


def main(binary, folder):
    polosd.BINARY = binary
    os.makedirs(folder)
    for end in ("stopped", "killed"):
        write(folder, end)


if __name__ == "__main__":
    main(*sys.argv[1:])
