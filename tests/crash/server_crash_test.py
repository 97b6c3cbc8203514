"""Goal: what the server acknowledged outlives it: killed at any instant, or with the power cut.
Method: the real polosd under load from callers and a host; it dies at a point drawn from a seed, is
started again, and so on; at the end the histories are held against what was acknowledged. A control
with a disk that lies about its syncs must be caught, or the test proves nothing."""
import collections
import json
import os
import random
import sys
import threading
import unittest

import grpc

from tests.lib import polosd
from tests.lib.polosd import agents_pb2, common_pb2

STEPS = 4
TOOL = agents_pb2.ToolDefinition(name="add", parameters_json='{"type":"object"}')
SCRIPT = [{"tool_calls": [{"name": "add", "arguments": {"a": 1}}]}, {"text": "{{tool_result}}"}]
KILLS = int(os.environ.get("POLOS_CRASH_KILLS", "12"))
LOSSES = int(os.environ.get("POLOS_CRASH_LOSSES", "12"))
CONTROLS = 4
SHIM = os.path.abspath(os.environ.get("POWERLOSS_LIBRARY", "tests/crash/libpowerloss.so"))


class Violation(Exception):
    pass


class Load:
    """Callers and a host, and what they were promised."""

    def __init__(self, server):
        self.server = server
        self.starts = {}  # key -> run id, once acknowledged
        self.next_key = 0
        self.acks = 0
        self.acked = threading.Condition()
        self.given_after_done = []
        self.done = set()
        self.host = polosd.Host(server, tools=["add"], workflows=["steps"], work=self.work)

    def promised(self):
        with self.acked:
            self.acks += 1
            self.acked.notify_all()

    def work(self, host, task):
        for message in host.durable():
            if "task_done" in message:
                self.done.add(message["task_done"].task_id)
        if task.task_id in self.done:
            self.given_after_done.append(task.task_id)
        if task.name == "steps":
            for number in range(len(task.steps) + 1, STEPS + 1):
                host.step(task, number, "step-%d" % number, number)
        host.done(task, len(task.steps))

    def start_runs(self, count):
        """Starts until `count` more are acknowledged or the server is gone."""
        for _ in range(count):
            key = "key-%d" % self.next_key
            self.next_key += 1
            try:
                self.start_one(key)
            except grpc.RpcError as error:
                if error.code() not in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.CANCELLED):
                    raise
                return

    def start_one(self, key):
        is_agent = self.next_key % 2 == 0
        start = self.server.start_agent if is_agent else self.server.start_workflow
        try:
            run_id = start("adder" if is_agent else "steps", "go", key=key)
        except ValueError:  # The channel was closed: the server is being started again.
            return
        self.starts[key] = run_id
        self.promised()

    def define(self):
        try:
            self.server.agent("adder", SCRIPT, tools=[TOOL])
        except grpc.RpcError as error:
            if error.code() != grpc.StatusCode.UNAVAILABLE:
                raise


def check_history(run_id, events):
    """One run's journal obeys the laws, whatever happened."""
    if [e.seq for e in events] != list(range(1, len(events) + 1)):
        raise Violation("run %s: seqs have gaps" % run_id)
    replied = collections.Counter(e.effect_id for e in events if e.type == "MODEL_REPLIED")
    settled = collections.Counter(e.effect_id for e in events if e.type == "TASK_SETTLED")
    if any(n > 1 for n in (replied + settled).values()):
        raise Violation("run %s: an effect was settled twice" % run_id)
    ends = [e for e in events if e.type.startswith("RUN_") and e.type != "RUN_STARTED"]
    if len(ends) != 1 or ends[0].seq != len(events) or ends[0].type != "RUN_COMPLETED":
        raise Violation("run %s: ends with %s" % (run_id, [e.type for e in events][-3:]))
    epochs = [e.attempt for e in events if e.type == "LEASE_GRANTED"]
    if epochs != sorted(set(epochs)):
        raise Violation("run %s: epochs %s" % (run_id, epochs))


def check(load):
    """Everything promised is there; raises Violation otherwise."""
    if load.given_after_done:
        raise Violation("given again after its answer was durable: %s" % load.given_after_done[:3])
    histories = {}
    for key, run_id in load.starts.items():
        try:
            run = load.server.wait_ended(run_id, timeout=60)
        except grpc.RpcError as error:
            raise Violation("acknowledged start %s: %s" % (key, error.details())) from error
        if run.status != common_pb2.RUN_STATUS_COMPLETED:
            raise Violation("run %s: %s" % (run_id, run.error.message))
        histories[run_id] = load.server.history(run_id)
        check_history(run_id, histories[run_id])
    check_steps(load, histories)
    return histories


def check_steps(load, histories):
    """What the host was told is durable stands in the history once, as it was sent."""
    for message in load.host.durable():
        body = message.get("step_done") or message["task_done"]
        run_id, effect = body.task_id.split(".")
        if run_id not in histories or body.epoch == 0:
            continue
        kind = "STEP_SETTLED" if "step_done" in message else "TASK_SETTLED"
        found = [e for e in histories[run_id]
                 if e.type == kind and e.effect_id == int(effect) and
                 (kind == "TASK_SETTLED" or json.loads(e.data_json)["number"] == body.number)]
        if len(found) != 1:
            raise Violation("%s of %s acknowledged, %d times in the history"
                            % (kind, body.task_id, len(found)))


class Kill(unittest.TestCase):
    def setUp(self):
        self.server = polosd.Server(["--lease-ms", "3000"])
        self.addCleanup(self.server.close)

    def test_killed_at_random_points(self):
        draw = random.Random(7)
        load = Load(self.server)
        self.server.start()
        load.define()
        load.host.start()
        self.addCleanup(load.host.close)
        for _ in range(KILLS):
            target = load.acks + draw.randint(1, 30)
            starter = threading.Thread(target=load.start_runs, args=(60,))
            starter.start()
            with load.acked:
                load.acked.wait_for(lambda t=target: load.acks >= t, timeout=20)
            self.server.kill()
            starter.join(30)
            self.server.start()
        histories = check(load)
        self.assertGreater(len(histories), KILLS)
        print("kills %d, acknowledged starts %d, acknowledged host messages %d, refused %d"
              % (KILLS, len(load.starts), len(load.host.acknowledged), len(load.host.refused)))


class PowerLoss(unittest.TestCase):
    def lose(self, seed, lies):
        """True when the power went while promises were out; raises Violation when one is broken."""
        draw = random.Random(seed)
        server = polosd.Server(["--lease-ms", "3000"])
        load = Load(server)
        env = {"LD_PRELOAD": SHIM, "POWERLOSS_DIR": server.data, "POWERLOSS_SEED": str(seed),
               "POWERLOSS_AT": str(draw.randint(300, 1200))}
        env.update({"POWERLOSS_LIES": "1"} if lies else {})
        try:
            if not server.try_start(env):
                return False
            load.define()
            load.host.start()
            load.start_runs(100000)
            self.assertEqual(server.process.wait(30), 137, server.log())
            server.process.stdout.close()
            if not server.try_start():
                raise Violation("it does not start again: " + server.log()[-300:])
            load.define()
            check(load)
            return len(load.starts) > 0
        finally:
            load.host.close()
            server.close()

    def test_what_was_acknowledged_survives(self):
        struck = sum(self.lose(seed, lies=False) for seed in range(1, LOSSES + 1))
        print("power losses with promises out: %d of %d" % (struck, LOSSES))
        self.assertGreater(struck, LOSSES // 2)

    def test_control_a_disk_that_lies_is_caught(self):
        caught = 0
        for seed in range(101, 101 + CONTROLS):
            try:
                self.lose(seed, lies=True)
            except Violation as violation:
                print("caught:", str(violation)[:160])
                caught += 1
        self.assertGreater(caught, 0)


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1], verbosity=2)
