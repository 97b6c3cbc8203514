"""Goal: runs are found by their tree, as roots and by their schedule; they say what they come from
and when their work began; who waits for one may be told before its end.
Method: the real polosd and a host written from the protocol."""
import sys
import time
import unittest

import grpc

from tests.lib import polosd
from tests.lib.polosd import (child, common_pb2, history_pb2, host_pb2, runs_pb2, schedules_pb2,
                              steps_pb2)


class Runs(polosd.Hosted):
    def host(self, *workflows, **fields):
        fields.setdefault("work", lambda host, task: self.tasks.put(task))
        host = polosd.Host(self.server, workflows=workflows, **fields).start()
        self.hosts.append(host)
        return host

    def ids(self, page_size=0, **fields):
        """Of all pages."""
        found, token = [], None
        while token != "":
            page = self.server.list(page_size=page_size, page_token=token, **fields)
            found += [run.id for run in page.runs]
            token = page.next_page_token
        return found

    def cause(self, run_id):
        started = self.server.history(run_id)[0].run_started
        return history_pb2.RunStarted.Cause.Name(started.cause), started.started_by

    def wait(self, run_id, **fields):
        """The run, and how long it took."""
        began = time.monotonic()
        run = self.server.runs.Wait(runs_pb2.RunServiceWaitRequest(run_id=run_id, **fields)).run
        return run, time.monotonic() - began

    def in_background(self, run_id, **fields):
        """A wait that stands before anything else is asked; its run, when it is called for."""
        future = self.server.runs.Wait.future(
            runs_pb2.RunServiceWaitRequest(run_id=run_id, **fields))
        self.wait(run_id, timeout=polosd.length(1))
        return lambda: future.result(timeout=20).run

    def tree(self, host):
        """A root, its two children, and one below the first of them."""
        root = self.server.start_workflow("top")
        task = self.task()
        host.order(task, "two", start_runs=steps_pb2.StartRuns(wait=True, runs=[child("mid")] * 2))
        below = [self.task(), self.task()]
        host.order(below[0], "one",
                   start_runs=steps_pb2.StartRuns(wait=True, runs=[child("low")]))
        low = self.task()
        return root, [each.run_id for each in below] + [low.run_id], low

    def test_a_tree_and_roots_are_listed(self):
        host = self.host("top", "mid", "low")
        alone = self.server.start_workflow("top")
        self.task()
        root, below, _ = self.tree(host)
        whole = sorted([root] + below, reverse=True)
        for size in (0, 1, 2):
            self.assertEqual(self.ids(size, root_run_id=root), whole)
        self.assertEqual(self.ids(root_run_id=root, name="mid"), sorted(below[:2], reverse=True))
        self.assertEqual(self.ids(root_run_id=root, parent_run_id=below[0]), [below[2]])
        self.assertEqual(self.ids(root_run_id=root, only_roots=True), [root])
        self.assertEqual(self.ids(root_run_id=alone), [alone])
        self.assertEqual(self.ids(1, only_roots=True), [root, alone])
        self.assertEqual(self.ids(only_roots=True, name="mid"), [])
        self.assertEqual(self.ids(root_run_id=below[0]), [])  # It is no root.
        self.server.kill()
        self.server.start()
        self.assertEqual(self.ids(root_run_id=root), whole)

    def test_what_a_schedule_started_is_listed(self):
        host = self.host("tick", work=lambda host, task: host.done(task, 1))
        for key in ("one", "other"):
            spec = schedules_pb2.ScheduleSpec(cron="0 3 * * *", key=key)
            self.server.schedules.Put(
                schedules_pb2.ScheduleServicePutRequest(name="tick", spec=spec))
        run_ids = [self.server.schedules.Trigger(schedules_pb2.ScheduleServiceTriggerRequest(
            schedule_id=f"tick/{key}")).run_id for key in ("one", "other")]
        by_hand = self.server.start_workflow("tick")
        self.server.wait_ended(run_ids[0])
        self.assertEqual(self.ids(schedule_id="tick/one"), [run_ids[0]])
        self.assertEqual(self.ids(schedule_id="tick/other"), [run_ids[1]])
        self.assertEqual(self.cause(run_ids[0]), ("CAUSE_SCHEDULE", "tick/one"))
        self.assertEqual(self.cause(by_hand), ("CAUSE_CALLER", ""))
        fork = self.server.runs.Fork(
            runs_pb2.RunServiceForkRequest(run_id=run_ids[0], after_seq=2)).run
        self.assertEqual(self.ids(schedule_id="tick/one"), [run_ids[0]])
        self.assertEqual(self.cause(fork.id), ("CAUSE_FORK", ""))
        self.assertTrue(host.welcome.is_set())

    def test_a_run_says_where_it_comes_from_and_when_it_began(self):
        run_id = self.server.start_workflow("top")
        self.assertFalse(self.server.get(run_id).HasField("started_at"))
        self.assertFalse(self.server.list().runs[0].HasField("started_at"))
        host = self.host("top")
        task = self.task()
        host.failed(task, "ValueError", "broken")
        run = self.server.wait_ended(run_id)
        self.assertEqual(run.origin_run_id, "")
        granted = [e.time for e in self.server.history(run_id) if e.HasField("lease_granted")]
        self.assertEqual(run.started_at, granted[0])
        self.assertEqual(self.server.list().runs[0].started_at, granted[0])
        self.server.kill()
        self.server.start()
        self.assertEqual(self.server.get(run_id).started_at, granted[0])
        copy = self.server.runs.Retry(runs_pb2.RunServiceRetryRequest(run_id=run_id)).run
        self.assertEqual(copy.origin_run_id, run_id)
        self.assertEqual(self.cause(copy.id), ("CAUSE_RETRY", ""))
        self.assertEqual(self.server.history(copy.id)[0].run_started.origin_run_id, run_id)
        copy = self.server.get(copy.id)
        self.assertGreaterEqual(copy.started_at.ToNanoseconds(), copy.created_at.ToNanoseconds())

    def test_an_agents_work_begins_with_its_first_model_call(self):
        self.server.agent("echo", [{"text": "hi"}])
        run = self.server.wait_ended(self.server.start_agent("echo"))
        asked = [e.time for e in self.server.history(run.id) if e.HasField("model_requested")]
        self.assertEqual(run.started_at, asked[0])

    def test_a_wait_ends_with_a_newer_fact(self):
        host = self.host("top")
        run_id = self.server.start_workflow("top")
        task = self.task()
        seq = self.server.history(run_id)[-1].seq
        run, _ = self.wait(run_id, or_after_seq=seq - 1)
        self.assertGreaterEqual(run.last_seq, seq)
        told = self.in_background(run_id, or_after_seq=seq)
        end = self.in_background(run_id)
        host.step(task, 1, "a", 1)
        self.assertEqual(told().last_seq, seq + 1)
        host.done(task, 1)
        self.assertTrue(end().HasField("ended_at"))

    def test_a_wait_ends_when_somebody_is_asked(self):
        host = self.host("top", "mid", "low")
        root, below, low = self.tree(host)
        waits = [self.in_background(each, or_suspended=True) for each in (root, below[2])]
        host.order(low, "ask", suspend=steps_pb2.Suspend())
        self.assertEqual([told().id for told in waits], [root, below[2]])
        for each in (root, below[2]):  # At once, too.
            self.assertFalse(self.wait(each, or_suspended=True)[0].HasField("ended_at"))
        short = {"or_suspended": True, "timeout": polosd.length(300)}
        _, took = self.wait(below[0], **short)  # Between the two: its own alone count.
        self.assertGreaterEqual(took, 0.3)
        self.server.kill()
        self.server.start()
        self.assertFalse(self.wait(root, or_suspended=True)[0].HasField("ended_at"))

    def tried(self, host, task, number, key, try_number, text):
        host.send(step_try=host_pb2.StepTry(
            task_id=task.task_id, epoch=task.epoch, number=number, key=key, try_number=try_number,
            error=steps_pb2.TaskError(type="ValueError", message=text),
            pause=polosd.length(60000)))

    def pauses(self, run_id, count):
        """The steps between their tries, when there are so many of them."""
        end = time.monotonic() + 20
        while True:
            found = [each for each in self.server.get(run_id).waiting
                     if each.kind == common_pb2.Waiting.KIND_RETRY]
            if len(found) == count or time.monotonic() > end:
                self.assertEqual(len(found), count)
                return {each.step_key: each.message for each in found}

    def test_steps_between_their_tries_are_told(self):
        host = self.host("top")
        run_id = self.server.start_workflow("top")
        task = self.task()
        self.tried(host, task, 1, "charge", 1, "no card")
        self.tried(host, task, 2, "mail", 1, "no host")
        self.tried(host, task, 3, "charge", 2, "still no card")
        self.until(run_id, "STEP_TRIED", 3)
        due = self.server.history(run_id)[-1].step_tried.retry_at
        told = self.pauses(run_id, 2)
        self.assertIn("try 2 of the step failed with: still no card", told["charge"])
        self.assertIn(due.ToDatetime().strftime("%Y-%m-%dT%H:%M:%S"), told["charge"])
        self.assertIn("try 1 of the step failed with: no host", told["mail"])
        host.step(task, 4, "charge", 1)
        self.assertEqual(list(self.pauses(run_id, 1)), ["mail"])
        host.failed(task, "ValueError", "broken", retryable=True)  # What is tried then is new.
        self.task()
        self.assertEqual(self.pauses(run_id, 0), {})

    def test_mistakes_are_named(self):
        for fields, field in (({"root_run_id": "x"}, "filter.root_run_id"),
                              ({"schedule_id": "x" * 300}, "filter.schedule_id")):
            with self.assertRaises(grpc.RpcError) as caught:
                self.server.list(**fields)
            self.assertEqual(polosd.details_of(caught.exception)[1], field)


if __name__ == "__main__":
    sys.exit(unittest.main(verbosity=2))
