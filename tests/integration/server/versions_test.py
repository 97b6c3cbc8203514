"""Goal: a run stays with the code that made its history, and code that does not fit ends no run.
Method: the real polosd and hosts of several deployments, written from the protocol; they go and
come back, busy or at rest, before and after the server is killed; the journal says who had what."""
import json
import sys
import time
import unittest

from tests.lib import polosd
from tests.lib.polosd import common_pb2, definitions_pb2, host_pb2, runs_pb2, steps_pb2, suspend_pb2

MISFIT = "the code does not ask for the steps its history has:\n  history (expected)  code (actual)"


class Versions(polosd.Hosted):
    """`tasks` has (host, task)."""
    LEASE_MS = 1500

    def host(self, deployment, host_id="", slots=100, **fields):
        fields.setdefault("workflows", ["w"])
        host = polosd.Host(self.server, deployment=deployment, slots=slots,
                           host_id=host_id or "host-" + deployment,
                           work=lambda host, task: self.tasks.put((host, task)), **fields)
        self.hosts.append(host)
        host.start()
        self.assertTrue(host.welcome.wait(10))
        return host

    def task_of(self, host):
        found, task = self.task()
        self.assertIs(found, host)
        return task

    def resume(self, run_id, key):
        self.server.suspend.Resume(suspend_pb2.SuspendServiceResumeRequest(
            run_id=run_id, step_key=key, data_json="1"))

    def leases(self, run_id):
        return [event.lease_granted.deployment
                for event in self.server.history(run_id) if event.HasField("lease_granted")]

    def ends(self, run_id, value):
        run = self.server.wait_ended(run_id)
        self.assertEqual(run.status, common_pb2.RUN_STATUS_COMPLETED)
        self.assertEqual(json.loads(run.result_json), value)
        return run

    def begin(self, host):
        """A run that has settled a step on this host and waits, without it, for an answer."""
        run_id = self.server.start_workflow("w")
        task = self.task_of(host)
        host.step(task, 1, "before", 5)
        host.order(task, "ask", suspend=steps_pb2.Suspend())
        host.park(task)
        self.until(run_id, "TASK_PARKED")
        return run_id

    def test_a_new_run_goes_to_the_newest_deployment(self):
        old = self.host("v1")
        first = self.server.start_workflow("w")
        held = self.task_of(old)
        new = self.host("v2", slots=1)
        second = self.server.start_workflow("w")  # The old one has far more room.
        task = self.task_of(new)
        third = self.server.start_workflow("w")
        waiting = self.server.get(third).waiting[0]
        self.assertEqual(waiting.message, "the hosts of the newest deployment that offers workflow "
                         "w are busy or have just gone; others that offer it have older code")
        self.assertTrue(self.tasks.empty())
        new.done(task, 2)
        self.ends(second, 2)
        task = self.task_of(new)
        self.assertEqual(task.run_id, third)
        new.done(task, 3)
        self.ends(third, 3)
        new.send(drain=host_pb2.HostDrain(cause="taken back"))
        new.close()
        fourth = self.server.start_workflow("w")
        old.done(self.task_of(old), 4)
        self.ends(fourth, 4)
        old.done(held, 1)
        self.ends(first, 1)
        self.assertEqual([self.leases(run_id) for run_id in (first, second, third, fourth)],
                         [["v1"], ["v2"], ["v2"], ["v1"]])
        self.assertEqual(self.listed("v1"), [fourth, first])
        self.assertEqual(self.listed("v2"), [third, second])
        self.assertEqual(self.listed("v3"), [])

    def listed(self, deployment, **fields):
        return [run.id for run in self.server.list(deployment=deployment, **fields).runs]

    def test_a_run_is_listed_under_the_deployment_it_went_over_to(self):
        old = self.host("v1")
        run_id = self.begin(old)
        waiting = common_pb2.RUN_STATUS_WAITING
        self.assertEqual(self.listed("v1", statuses=[waiting]), [run_id])
        old.send(drain=host_pb2.HostDrain(cause="old"))
        old.close()
        new = self.host("v2")
        self.resume(run_id, "ask")
        task = self.task_of(new)
        self.assertEqual(self.listed("v1"), [run_id])  # It has added nothing yet.
        new.step(task, 2, "after", 6)
        self.until(run_id, "STEP_SETTLED", 2)
        self.assertEqual((self.listed("v1"), self.listed("v2")), ([], [run_id]))
        new.welcome.clear()
        self.server.kill()
        self.server.start()
        self.assertTrue(new.welcome.wait(10))
        self.assertEqual((self.listed("v1"), self.listed("v2")), ([], [run_id]))

    def test_a_run_stays_with_its_deployment_while_it_is_there(self):
        old = self.host("v1", slots=1)
        run_id = self.begin(old)
        self.assertEqual(self.server.get(run_id).deployment, "v1")
        other = self.server.start_workflow("w")
        busy = self.task_of(old)
        self.host("v2")
        self.resume(run_id, "ask")
        [waiting] = self.server.get(run_id).waiting
        self.assertEqual(waiting.kind, common_pb2.Waiting.KIND_HOST)
        self.assertIn("others that offer workflow w have other code", waiting.message)
        old.done(busy, 1)
        old.done(self.task_of(old), 2)
        self.ends(other, 1)
        self.assertEqual(self.ends(run_id, 2).deployment, "v1")
        self.assertEqual(self.leases(run_id), ["v1", "v1"])

    def test_one_that_waits_for_its_deployment_holds_up_nobody(self):
        old = self.host("v1", slots=1)
        run_id = self.begin(old)
        blocker = self.server.start_workflow("w")
        busy = self.task_of(old)
        new = self.host("v2")
        self.resume(run_id, "ask")
        fresh = self.server.start_workflow("w")
        new.done(self.task_of(new), "fresh")
        self.ends(fresh, "fresh")
        old.done(busy, 1)
        self.ends(blocker, 1)
        old.done(self.task_of(old), 2)
        self.ends(run_id, 2)

    def test_without_its_deployment_it_goes_to_that_which_dialled_in_last(self):
        old = self.host("v1")
        run_id = self.begin(old)
        self.host("v2")
        third = self.host("v3")
        old.close()
        self.resume(run_id, "ask")  # v1 is away, but may come back within its lease.
        task = self.task_of(third)
        self.assertEqual([step.key for step in task.steps], ["before", "ask"])
        self.assertEqual(self.server.get(run_id).deployment, "v1")
        third.step(task, 2, "after", 6)
        third.order(task, "again", suspend=steps_pb2.Suspend())
        third.park(task)
        self.until(run_id, "TASK_PARKED", 2)
        self.assertEqual(self.server.get(run_id).deployment, "v3")
        self.host("v1", "host-v1-again")
        self.resume(run_id, "again")  # From now on it is a run of v3.
        third.done(self.task_of(third), 3)
        self.ends(run_id, 3)
        self.assertEqual(self.leases(run_id), ["v1", "v3", "v3"])

    def test_a_host_that_drains_is_not_waited_for(self):
        old = self.host("v1")
        run_id = self.begin(old)
        new = self.host("v2")
        time.sleep(self.LEASE_MS / 1000)  # Since the server's start: only then runs may move.
        old.send(drain=host_pb2.HostDrain())
        while old.unacknowledged:
            time.sleep(0.01)
        begun = time.monotonic()
        self.resume(run_id, "ask")
        new.done(self.task_of(new), 1)
        self.assertLess(time.monotonic() - begun, self.LEASE_MS / 2000)
        self.ends(run_id, 1)

    def test_after_a_restart_the_first_to_dial_in_does_not_get_it(self):
        old = self.host("v1")
        run_id = self.begin(old)
        old.close()
        new = self.host("v2")
        self.server.kill()
        new.welcome.clear()
        self.server.start()
        self.assertTrue(new.welcome.wait(10))
        self.resume(run_id, "ask")
        [waiting] = self.server.get(run_id).waiting
        self.assertIn("have just gone", waiting.message)
        again = self.host("v1", "host-v1-again")
        again.done(self.task_of(again), 1)
        self.ends(run_id, 1)

    def test_code_that_does_not_fit_stops_the_run_until_its_own_comes_back(self):
        old = self.host("v1")
        run_id = self.begin(old)
        old.close()
        bad = self.host("v2")
        self.resume(run_id, "ask")
        bad.failed(self.task_of(bad), "NON_DETERMINISM", MISFIT)
        self.until(run_id, "TASK_FAILED")
        run = self.server.get(run_id)
        self.assertEqual(run.status, common_pb2.RUN_STATUS_WAITING)
        self.assertEqual((run.deployment, run.retry_count), ("v1", 0))
        [waiting] = run.waiting
        self.assertEqual((waiting.kind, waiting.name),
                         (common_pb2.Waiting.KIND_CODE, "w"))
        self.assertIn("does not fit its history", waiting.message)
        self.assertIn(MISFIT, waiting.message)
        good = self.host("v1", "host-v1-again")
        task = self.task_of(good)
        self.assertEqual([step.key for step in task.steps], ["before", "ask"])
        good.done(task, "good")
        self.assertEqual(self.ends(run_id, "good").retry_count, 0)

    def test_a_new_process_is_not_waited_for_until_the_time_comes(self):
        bad = self.host("v1")
        run_id = self.begin(bad)
        self.resume(run_id, "ask")
        for count in range(1, 5):
            bad.failed(self.task_of(bad), "NON_DETERMINISM", MISFIT)
            failed = self.until(run_id, "TASK_FAILED", count)
        retry_at_ms = failed.task_failed.retry_at.ToMilliseconds()
        self.assertEqual(retry_at_ms - failed.time.ToMilliseconds(), 8000)
        good = self.host("v2")  # Its own code does not fit: the newest is tried.
        good.done(self.task_of(good), "good")
        self.ends(run_id, "good")
        requeued = [e for e in self.server.history(run_id) if e.HasField("task_requeued")]
        self.assertLess(requeued[-1].time.ToMilliseconds(), retry_at_ms)
        self.assertEqual(self.leases(run_id), ["v1"] * 5 + ["v2"])

    def test_what_it_waits_for_is_kept_while_it_is_stopped(self):
        old = self.host("v1")
        run_id = self.server.start_workflow("w")
        task = self.task_of(old)
        old.order(task, "a", suspend=steps_pb2.Suspend())
        old.order(task, "b", suspend=steps_pb2.Suspend())
        old.park(task)
        self.until(run_id, "TASK_PARKED")
        old.close()
        bad = self.host("v2")
        self.resume(run_id, "a")
        bad.failed(self.task_of(bad), "NON_DETERMINISM", MISFIT)
        self.until(run_id, "TASK_FAILED")
        kinds = sorted(waiting.kind for waiting in self.server.get(run_id).waiting)
        self.assertEqual(kinds, [common_pb2.Waiting.KIND_CODE, common_pb2.Waiting.KIND_SUSPENSION])
        self.server.kill()  # Nor does a kill lose anything.
        bad.close()
        self.server.start()
        self.resume(run_id, "b")
        good = self.host("v1", "host-v1-again")
        task = self.task_of(good)
        self.assertEqual([step.key for step in task.steps], ["a", "b"])
        good.done(task, 1)
        self.ends(run_id, 1)

    def test_a_tool_call_is_stopped_like_a_workflow(self):
        tool = definitions_pb2.ToolDefinition(id="t")
        self.server.agent("talker", [{"tool_calls": [{"name": "t", "arguments": {}}]},
                                     {"text": "done"}], [tool])
        old = self.host("v1", workflows=[], tools=["t"])
        run_id = self.server.start_agent("talker")
        task = self.task_of(old)
        old.step(task, 1, "before", 5)
        old.failed(task, "NON_DETERMINISM", MISFIT)
        self.until(run_id, "TASK_FAILED")
        [waiting] = self.server.get(run_id).waiting
        self.assertEqual((waiting.kind, waiting.name),
                         (common_pb2.Waiting.KIND_CODE, "t"))
        self.assertIn(MISFIT, waiting.message)
        new = self.host("v2", workflows=[], tools=["t"])
        new.done(self.task_of(new), 7)
        run = self.server.wait_ended(run_id)
        self.assertEqual(run.status, common_pb2.RUN_STATUS_COMPLETED)
        self.assertEqual(run.deployment, "v1")  # Where it began.

    def test_a_history_waits_for_its_language(self):
        old = self.host("v1", language="python")
        run_id = self.begin(old)
        old.send(drain=host_pb2.HostDrain())
        old.close()
        other = self.host("v2", language="c")
        self.resume(run_id, "ask")
        waiting = self.server.get(run_id).waiting[0]
        self.assertEqual(waiting.message, "the hosts that offer workflow w have code of another "
                         "language than that which began it; start one of its language")
        fresh = self.server.start_workflow("w")
        self.assertEqual(self.task_of(other).run_id, fresh)
        new = self.host("v3", language="python")
        task = self.task_of(new)
        self.assertEqual(task.run_id, run_id)
        new.done(task, 1)
        self.ends(run_id, 1)
        spoken = [event.lease_granted.language
                  for event in self.server.history(run_id) if event.HasField("lease_granted")]
        self.assertEqual(spoken, ["python", "python"])
        [listed] = self.server.runs.List(runs_pb2.RunServiceListRequest(
            filter=runs_pb2.RunFilter(deployment="v3"))).runs
        self.assertEqual(listed.id, run_id)

    def test_code_of_another_language_is_not_tried_where_code_does_not_fit(self):
        old = self.host("v1", language="python")
        run_id = self.begin(old)
        self.resume(run_id, "ask")
        old.failed(self.task_of(old), "NON_DETERMINISM", MISFIT)
        self.until(run_id, "TASK_FAILED")
        other = self.host("v2", language="c")
        fresh = self.server.start_workflow("w")
        self.assertEqual(self.task_of(other).run_id, fresh)
        [waiting] = self.server.get(run_id).waiting
        self.assertEqual(waiting.kind, common_pb2.Waiting.KIND_CODE)
        new = self.host("v3", language="python")
        new.done(self.task_of(new), 2)
        self.ends(run_id, 2)

    def test_an_agents_tools_may_be_in_several_languages(self):
        tools = [definitions_pb2.ToolDefinition(id=name) for name in ("one", "two")]
        calls = [{"tool_calls": [{"name": name, "arguments": {}}]} for name in ("one", "two")]
        self.server.agent("talker", [*calls, {"text": "done"}], tools)
        one = self.host("v1", host_id="one", workflows=[], tools=["one"], language="python")
        two = self.host("v1", host_id="two", workflows=[], tools=["two"], language="typescript")
        run_id = self.server.start_agent("talker")
        for host in (one, two):
            host.done(self.task_of(host), 1)
        self.assertEqual(self.server.wait_ended(run_id).status, common_pb2.RUN_STATUS_COMPLETED)

    def test_a_run_that_is_stopped_can_be_cancelled(self):
        old = self.host("v1")
        run_id = self.begin(old)
        self.resume(run_id, "ask")
        old.failed(self.task_of(old), "NON_DETERMINISM", MISFIT)
        self.until(run_id, "TASK_FAILED")
        self.server.runs.Cancel(polosd.runs_pb2.RunServiceCancelRequest(run_id=run_id))
        task = self.task_of(old)  # To clean up; that does not fit either.
        self.assertTrue(task.cancelling)
        old.failed(task, "NON_DETERMINISM", MISFIT)
        self.assertEqual(self.server.wait_ended(run_id).status,
                         common_pb2.RUN_STATUS_CANCELLED)


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1], verbosity=2)
