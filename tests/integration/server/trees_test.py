"""Goal: a tree of runs of any depth and width is cancelled, told and limited a part at a time,
whatever happens to the server, and stops nobody else.
Method: the real polosd with a small stack, and a host written from the protocol."""
import resource
import sys
import time
import unittest

import grpc

from tests.lib import polosd
from tests.lib.polosd import child, common_pb2, runs_pb2, steps_pb2

STACK_BYTES = 1 << 20  # A thread's; what is done by calls that nest would not fit.
DEPTH = 1500
WIDTH = 3000
CANCELLED = common_pb2.RUN_STATUS_CANCELLED


def start_of(name, count=1, wait=True):
    spec = child(name)
    return steps_pb2.StartRuns(wait=wait, runs=[spec] * count)


class Trees(polosd.Hosted):
    @classmethod
    def setUpClass(cls):
        cls.limits = resource.getrlimit(resource.RLIMIT_STACK)
        resource.setrlimit(resource.RLIMIT_STACK, (STACK_BYTES, cls.limits[1]))

    @classmethod
    def tearDownClass(cls):
        resource.setrlimit(resource.RLIMIT_STACK, cls.limits)

    def host(self, *workflows, **fields):
        host = polosd.Host(self.server, workflows=workflows, **fields).start()
        self.hosts.append(host)
        return host

    def restart(self, *options):
        self.server.kill()
        self.server.options = list(self.server.options) + list(options)
        self.server.start()

    def chain(self, depth, last):
        """Runs one above the other; each waits for the one below and is let go of. `last` is called
        with the host and the task of the lowest."""
        below = []

        def work(host, task):
            if task.cancelling:
                host.failed(task, "CANCELLED", "cleaned up")
                return
            below.append(task.run_id)
            if len(below) == depth:
                last(host, task)
            else:
                host.order(task, "below", start_runs=start_of("chain"))
                host.park(task)

        self.host("chain", work=work, slots=10000)
        root = self.server.start_workflow("chain")
        return root, below

    def cancel(self, run_id):
        return self.server.runs.Cancel(
            runs_pb2.RunServiceCancelRequest(run_id=run_id, cause="enough"))

    def statuses(self, run_ids):
        return {self.server.get(run_id).status for run_id in run_ids}

    def until_all(self, run_ids, status, timeout=60):
        end = time.monotonic() + timeout
        for run_id in reversed(run_ids):
            while self.server.get(run_id).status != status:
                self.assertLess(time.monotonic(), end, f"{run_id} is not {status}")
                time.sleep(0.02)

    def test_a_deep_chain_is_cancelled_whole(self):
        self.restart("--tree-depth-max", str(DEPTH))
        root, below = self.chain(DEPTH, lambda host, task: self.tasks.put(task))
        self.task()
        self.cancel(root)
        self.restart()
        self.assertEqual(len(below), DEPTH)
        self.until_all(below, CANCELLED)

    def test_a_deep_chain_is_told_from_below(self):
        self.restart("--tree-depth-max", str(DEPTH))
        lowest = []

        def work(host, task):
            if task.steps:
                host.done(task, 1)
            elif len(lowest) + 1 == DEPTH:
                host.done(task, 1)
            else:
                lowest.append(task.run_id)
                host.order(task, "below", start_runs=start_of("chain"))
                host.park(task)

        self.host("chain", work=work, slots=10000)
        root = self.server.start_workflow("chain")
        run = self.server.wait_ended(root, timeout=120)
        self.assertEqual(run.status, common_pb2.RUN_STATUS_COMPLETED)

    def test_a_tree_may_only_be_so_deep(self):
        self.restart("--tree-depth-max", "3")
        answers = []

        def work(host, task):
            host.order(task, "below", start_runs=start_of("chain"))
            self.tasks.put(task)

        host = self.host("chain", work=work)
        self.server.start_workflow("chain")
        for _ in range(4):
            self.task()
        answers.append(host.outcomes.get(timeout=20))
        self.assertEqual(answers[0].outcome.error.type, "TREE_TOO_DEEP")
        self.assertIn("3 runs below its root", answers[0].outcome.error.message)

    def test_a_tree_may_only_be_so_large(self):
        self.restart("--tree-runs-max", "10")
        host = self.host("wide", work=lambda host, task: self.tasks.put(task))
        root = self.server.start_workflow("wide")
        task = self.task()
        host.order(task, "seven", start_runs=start_of("nobody", 7, wait=False))
        self.assertEqual(host.outcomes.get(timeout=20).outcome.error.type, "")
        host.order(task, "four", start_runs=start_of("nobody", 4, wait=False))
        self.assertEqual(host.outcomes.get(timeout=20).outcome.error.type, "TREE_TOO_LARGE")
        host.order(task, "three", start_runs=start_of("nobody", 3, wait=False))
        self.assertEqual(host.outcomes.get(timeout=20).outcome.error.type, "")
        self.cancel(root)  # Who has ended counts no more.
        host.done(task, 1)
        self.server.wait_ended(root)

    def test_a_wide_tree_is_cancelled_over_a_kill(self):
        host = self.host("wide", work=lambda host, task: self.tasks.put(task))
        root = self.server.start_workflow("wide")
        task = self.task()
        children = []
        for part in range(WIDTH // 1000):
            host.order(task, f"part-{part}", start_runs=start_of("nobody", 1000, wait=False))
            host.outcomes.get(timeout=20)
        page = ""
        while True:
            listed = self.server.list(parent_run_id=root, page_size=500, page_token=page)
            children += [run.id for run in listed.runs]
            page = listed.next_page_token
            if not page:
                break
        self.assertEqual(len(children), WIDTH)
        self.cancel(root)
        self.restart()  # Somewhere in the middle, or at its end.
        self.until_all(children, CANCELLED)

    def test_what_starts_itself_is_stopped_by_one_cancel(self):
        seen = []

        def work(host, task):
            seen.append(task.run_id)
            host.order(task, "again", start_runs=start_of("self", 2, wait=False))
            self.tasks.put(task)

        self.host("self", work=work, slots=10000)
        root = self.server.start_workflow("self")
        for _ in range(50):
            self.task()
        self.cancel(root)
        end = time.monotonic() + 60
        count = -1
        while count != len(seen):  # Nothing came for as long as a child takes to come.
            self.assertLess(time.monotonic(), end, "the tree grows on")
            count = len(seen)
            probe = self.server.start_workflow("self", key=f"probe-{count}")
            while probe not in seen:
                time.sleep(0.01)
            self.cancel(probe)
            seen = [run_id for run_id in seen if run_id != probe]

    def test_runs_below_one_that_has_ended_are_reached(self):
        host = self.host("top", "middle", "low", work=lambda host, task: self.tasks.put(task))
        root = self.server.start_workflow("top")
        top = self.task()
        host.order(top, "middle", start_runs=start_of("middle", wait=False))
        middle = self.task()
        host.order(middle, "low", start_runs=start_of("low", wait=False))
        low = self.task()
        host.done(middle, 1)
        self.server.wait_ended(middle.run_id)
        self.cancel(root)
        self.assertEqual(self.server.wait_ended(low.run_id).status, CANCELLED)

    def test_code_that_cleans_up_starts_nothing(self):
        host = self.host("w", work=lambda host, task: self.tasks.put(task))
        root = self.server.start_workflow("w")
        task = self.task()
        host.step(task, 1, "begun", 1)
        self.until(root, "STEP_SETTLED")
        host.cancelled = lambda cancel: None  # It takes its time.
        self.cancel(root)
        host.order(task, "late", start_runs=start_of("w", wait=False))
        self.assertEqual(host.outcomes.get(timeout=20).outcome.error.type, "CANCELLED")


if __name__ == "__main__":
    sys.exit(unittest.main(verbosity=2))
