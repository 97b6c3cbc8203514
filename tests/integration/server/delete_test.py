"""Goal: a run that has ended is deleted with all that is below it, a part at a time, whatever
happens to the server; what is not below it stays, and nothing starts twice for it.
Method: the real polosd, and a host written from the protocol."""
import sys
import time
import unittest

import grpc

from tests.lib import polosd
from tests.lib.polosd import child, common_pb2, runs_pb2, steps_pb2

WIDTH = 3000
LARGE = "x" * 1000000


def start_of(name, count=1, wait=True):
    return steps_pb2.StartRuns(wait=wait, runs=[child(name)] * count)


class Deletions(polosd.Hosted):
    def host(self, *workflows, **fields):
        fields.setdefault("work", lambda host, task: self.tasks.put(task))
        host = polosd.Host(self.server, workflows=workflows, **fields).start()
        self.hosts.append(host)
        return host

    def delete(self, run_id):
        self.server.runs.Delete(runs_pb2.RunServiceDeleteRequest(run_id=run_id))

    def refused(self, code, reason, call, *args, **kwargs):
        with self.assertRaises(grpc.RpcError) as caught:
            call(*args, **kwargs)
        self.assertEqual((caught.exception.code(), polosd.details_of(caught.exception)[0]),
                         (code, reason))
        return polosd.details_of(caught.exception)[2]

    def gone(self, run_id):
        self.refused(grpc.StatusCode.NOT_FOUND, "RUN_NOT_FOUND", self.server.get, run_id)

    def until_gone(self, run_ids, timeout=60):
        end = time.monotonic() + timeout
        for run_id in run_ids:
            while True:
                try:
                    self.server.get(run_id)
                except grpc.RpcError as error:
                    self.assertEqual(error.code(), grpc.StatusCode.NOT_FOUND)
                    break
                self.assertLess(time.monotonic(), end, f"{run_id} is still there")
                time.sleep(0.02)

    def ended(self, name="quick", **fields):
        """The id of a run that has ended."""
        run_id = self.server.start_workflow(name, **fields)
        self.hosts[0].done(self.task(), 1)
        self.server.wait_ended(run_id)
        return run_id

    def children_of(self, root):
        children, page = [], None
        while page != "":
            listed = self.server.list(parent_run_id=root, page_size=500, page_token=page)
            children += [run.id for run in listed.runs]
            page = listed.next_page_token
        return children

    def test_a_run_is_gone_when_the_call_answers(self):
        self.host("quick")
        kept = self.ended()
        run_id = self.ended()
        self.delete(run_id)
        self.gone(run_id)
        self.refused(grpc.StatusCode.NOT_FOUND, "RUN_NOT_FOUND", self.server.history, run_id)
        self.refused(grpc.StatusCode.NOT_FOUND, "RUN_NOT_FOUND", list, self.server.watch(run_id))
        self.refused(grpc.StatusCode.NOT_FOUND, "RUN_NOT_FOUND", self.delete, run_id)
        self.assertEqual([run.id for run in self.server.list().runs], [kept])
        self.assertEqual([run.id for run in self.server.list(name="quick").runs], [kept])
        self.assertTrue(self.server.history(kept))

    def test_a_key_stays_used(self):
        self.host("quick")
        run_id = self.ended(key="once")
        self.assertEqual(self.server.start_workflow("quick", key="once"), run_id)
        self.delete(run_id)
        for _ in range(2):
            self.refused(grpc.StatusCode.FAILED_PRECONDITION, "RUN_DELETED",
                         self.server.start_workflow, "quick", key="once")
            self.server.kill()
            self.server.start()
        self.assertNotEqual(self.server.start_workflow("quick", key="again"), run_id)

    def test_what_has_not_ended_is_not_deleted(self):
        self.host("top", "low")
        root = self.server.start_workflow("top")
        top = self.task()
        self.refused(grpc.StatusCode.FAILED_PRECONDITION, "RUN_NOT_ENDED", self.delete, root)
        self.hosts[0].order(top, "low", start_runs=start_of("low", wait=False))
        low = self.task()
        self.hosts[0].done(top, 1)
        self.server.wait_ended(root)
        message = self.refused(grpc.StatusCode.FAILED_PRECONDITION, "RUN_NOT_ENDED", self.delete,
                               root)
        self.assertIn("1 runs below it", message)
        self.hosts[0].done(low, 1)
        self.server.wait_ended(low.run_id)
        message = self.refused(grpc.StatusCode.FAILED_PRECONDITION, "RUN_NOT_ROOT", self.delete,
                               low.run_id)
        self.assertIn(root, message)
        self.delete(root)
        self.until_gone([root, low.run_id])

    def test_a_wide_tree_is_deleted_over_a_kill(self):
        host = self.host("wide", "quick")
        root = self.server.start_workflow("wide")
        task = self.task()
        for part in range(WIDTH // 1000):
            host.order(task, f"part-{part}", start_runs=start_of("nobody", 1000, wait=False))
            host.outcomes.get(timeout=20)
        children = self.children_of(root)
        self.assertEqual(len(children), WIDTH)
        self.server.runs.Cancel(runs_pb2.RunServiceCancelRequest(run_id=root))
        end = time.monotonic() + 60
        while True:  # Until the last of them has ended.
            try:
                self.delete(root)
                break
            except grpc.RpcError as error:
                self.assertEqual(polosd.details_of(error)[0], "RUN_NOT_ENDED")
                self.assertLess(time.monotonic(), end)
                time.sleep(0.02)
        self.server.kill()  # Somewhere in the middle, or at its end.
        self.server.start()
        self.gone(root)
        self.until_gone(children)
        self.assertEqual(self.children_of(root), [])

    def test_a_long_history_goes_and_its_watchers_are_told(self):
        host = self.host("long")
        run_id = self.server.start_workflow("long")
        task = self.task()
        for number in range(1, 21):
            host.step(task, number, f"k{number}", LARGE)
        host.done(task, 1)
        self.server.wait_ended(run_id, timeout=60)
        watch = self.server.watch(run_id)
        self.assertEqual(polosd.kind_of(next(watch).fact), "RUN_STARTED")  # And then it is slow.
        self.delete(run_id)
        self.gone(run_id)
        try:
            types = [polosd.kind_of(answer.fact) for answer in watch]
            self.fail(f"it was shown to its end: {types}")
        except grpc.RpcError as error:
            self.assertEqual(polosd.details_of(error)[0], "RUN_NOT_FOUND")

    def test_a_retry_is_told_of_a_child_that_was_deleted(self):
        def work(host, task):
            if task.name == "low":
                self.tasks.put(task)
            elif task.steps:
                host.failed(task, "Told", str(task.steps[0]))
            else:
                host.order(task, "below", start_runs=steps_pb2.StartRuns(
                    wait=True, outlive_parent=True, runs=[child("low")]))
                host.failed(task, "Impatient", "it does not wait")

        host = self.host("top", "low", work=work)
        first = self.server.start_workflow("top")
        low = self.task()
        self.assertEqual(self.server.wait_ended(first).status, common_pb2.RUN_STATUS_FAILED)
        second = self.server.runs.Retry(runs_pb2.RunServiceRetryRequest(run_id=first)).run.id
        self.assertEqual(self.server.wait_ended(second).status, common_pb2.RUN_STATUS_FAILED)
        self.refused(grpc.StatusCode.FAILED_PRECONDITION, "RUN_NOT_ENDED", self.delete, first)
        host.done(low, 1)
        self.server.wait_ended(low.run_id)
        self.delete(first)
        self.until_gone([low.run_id])
        third = self.server.runs.Retry(runs_pb2.RunServiceRetryRequest(run_id=second)).run.id
        self.assertEqual(self.server.wait_ended(third).error.message.count("RUN_DELETED"), 1)
        self.delete(second)
        self.gone(second)
        self.assertEqual(self.server.get(third).id, third)


if __name__ == "__main__":
    sys.exit(unittest.main(verbosity=2))
