"""Goal: a run of any size can be read at a client that takes 4 MiB, before and after a restart, and
reading it ends nothing.
Method: the real polosd; a workflow of many steps of 1 MB, and one whose result and input fill more
than one answer. The clients here have gRPC's own limits."""
import json
import sys
import time
import unittest

from tests.lib import polosd
from tests.lib.polosd import child, common_pb2, runs_pb2, steps_pb2, workflows_pb2

MIB = 1 << 20
STEPS = 40


class Sizes(polosd.Hosted):
    LEASE_MS = 5000  # Python reads 273 MB of JSON without letting a heartbeat out.
    def host(self, **fields):
        host = polosd.Host(self.server, **fields).start()
        self.hosts.append(host)
        return host

    def check_history(self, run_id):
        """All of it, each answer of a size that was taken."""
        events = self.server.history(run_id)
        self.assertEqual([event.seq for event in events], list(range(1, len(events) + 1)))
        steps = [event.step_settled for event in events if event.HasField("step_settled")]
        self.assertEqual([step.number for step in steps], list(range(1, STEPS + 1)))
        self.assertTrue(all(len(json.loads(step.step.outcome.value_json)) == 1000000
                            for step in steps))

    def test_many_large_steps(self):
        def work(host, task):
            for i in range(STEPS):
                host.step(task, i + 1, "s%d" % i, "x" * 1000000)
            host.done(task, "ok")

        self.host(workflows=["w"], work=work)
        run_id = self.server.start_workflow("w")
        self.assertEqual(self.server.wait_ended(run_id).result_json, '"ok"')
        self.check_history(run_id)
        self.server.kill()
        self.server.start()
        run = self.server.get(run_id)
        self.assertEqual((run.status, run.step_count), (common_pb2.RUN_STATUS_COMPLETED, STEPS))
        self.check_history(run_id)

    def test_what_has_no_room_is_named(self):
        value, text = "r" * 3900000, "i" * 1000000
        self.host(workflows=["w"], work=lambda h, t: h.done(t, value))
        run = self.server.workflows.Run(workflows_pb2.WorkflowServiceRunRequest(
            workflow_id="w", input_json=json.dumps(text))).run
        for seen in run, self.server.get(run.id), self.server.wait_ended(run.id):
            self.assertEqual(json.loads(seen.result_json), value)
            self.assertEqual((seen.input_json, list(seen.omitted_fields)), ("", ["input_json"]))
            self.assertLess(seen.ByteSize(), 4 * MIB)
        page = self.server.runs.History(runs_pb2.RunServiceHistoryRequest(run_id=run.id))
        self.assertEqual(json.loads(page.events[0].run_started.input_json), text)
        self.assertEqual(len(self.server.history(run.id)), page.events[0].seq + 4)

    def test_a_large_history_is_given_to_another_host(self):
        """120 MB of steps: the host dies, the server is killed, another host goes on; no message is
        over 4 MiB."""
        count = 120

        def begin(host, task):
            for i in range(len(task.steps), count):
                host.step(task, i + 1, "s%d" % i, str(i) * 400000)

        def end(host, task):
            host.done(task, [[s.key, s.outcome.value_json[1:2]] for s in task.steps])

        first = self.host(workflows=["w"], work=begin)
        run_id = self.server.start_workflow("w")
        self.until(run_id, "STEP_SETTLED", count)
        first.close()
        self.server.kill()
        self.server.start()
        second = self.host(workflows=["w"], work=end, host_id="host-2")
        ended = self.server.wait_ended(run_id)
        self.assertEqual(json.loads(ended.result_json),
                         [["s%d" % i, str(i)[0]] for i in range(count)])
        self.assertEqual(second.tasks[-1].settled_count, count)
        self.assertGreater(second.pieces, 1)
        self.assertLess(second.largest, 4 * MIB)

    def test_large_results_of_children_are_told(self):
        """70 children of 3.9 MB each, awaited by one order, live and again after a restart."""
        value = "x" * 3900000

        def work(host, task):
            if task.name == "child":
                host.done(task, value)
            elif task.steps:
                host.done(task, len(json.loads(task.steps[0].outcome.value_json)))
            else:
                spec = child("child")
                host.order(task, "c", start_runs=steps_pb2.StartRuns(wait=True, runs=[spec] * 70))

        host = self.host(workflows=["parent", "child"], work=work, slots=8)
        run_id = self.server.start_workflow("parent")
        outcome = host.outcomes.get(timeout=120)
        children = json.loads(outcome.outcome.value_json)
        self.assertEqual([len(c["result"]) for c in children], [3900000] * 70)
        self.assertLess(host.largest, 4 * MIB)
        host.close()
        self.server.kill()
        self.server.start()
        self.host(workflows=["parent", "child"], work=work, host_id="host-2")
        self.assertEqual(self.server.wait_ended(run_id).result_json, "70")

    def test_a_slow_host_is_given_what_it_is_owed(self):
        """40 MB of tasks for a host that takes twenty messages a second: each comes once, over one
        stream."""
        value = "x" * 1000000
        ids = [self.server.start_workflow("w", value) for _ in range(40)]

        def work(host, task):
            time.sleep(0.05)  # It reads the next message only then.
            host.done(task, len(task.input_json))

        host = polosd.Host(self.server, workflows=["w"], work=work)
        streams = []
        serve = host.serve
        host.serve = lambda: (streams.append(1), serve())
        self.hosts.append(host.start())
        for run_id in ids:
            self.assertEqual(self.server.wait_ended(run_id).result_json, "1000002")
        self.assertEqual(len(streams), 1)
        self.assertEqual(sorted(t.run_id for t in host.tasks), sorted(ids))


if __name__ == "__main__":
    sys.exit(unittest.main())
