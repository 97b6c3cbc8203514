"""Goal: what grows has a bound and a word for it: what waits for the engine, a run's history, what
a fork copies in a round, who watches. Callers beyond it are told, hosts are read from more slowly,
and neither costs more memory or loses anything.
Method: the real polosd with room for little; callers and a host that say much at once."""
import json
import sys
import time
import unittest

import grpc

from tests.lib import polosd
from tests.lib.polosd import common_pb2, runs_pb2, workflows_pb2

MIB = 1 << 20
MEMORY_MIB = 130  # Of which the store takes most.


class Bounds(unittest.TestCase):
    def serve(self, *options):
        server = polosd.Server(["--inbox-bytes-max=%d" % MIB, *options]).start()
        self.addCleanup(server.close)
        return server

    def host(self, server, work):
        host = polosd.Host(server, workflows=["w"], work=work)
        host.streams, serve = 0, host.serve

        def count():
            host.streams += 1
            serve()

        host.serve = count
        self.addCleanup(host.close)
        return host.start()

    def test_a_host_that_says_much_is_held_back(self):
        """All that it says counts, over one stream."""
        steps = 3000

        def work(host, task):
            for i in range(task.settled_count, steps):
                host.step(task, i + 1, "s%d" % i, "x" * 4000)
            host.done(task, "ok")

        server = self.serve("--inbox-max=16", "--batch-max=2")
        host = self.host(server, work)
        run_id = server.start_workflow("w")
        self.assertEqual(server.wait_ended(run_id, 60).result_json, '"ok"')
        self.assertEqual(host.streams, 1)
        self.assertEqual(len(server.history(run_id)), steps + 5)

    def test_a_history_has_a_limit(self):
        """Over it the run fails, with a reason, and the next one is none the worse."""
        limit, size = 100000, 4000

        def work(host, task):
            for i in range(task.settled_count, 15 if task.input_json == "1" else 1000):
                host.step(task, i + 1, "s%d" % i, "x" * size)
            host.done(task, "ok")

        server = self.serve("--history-bytes-max=%d" % limit)
        self.host(server, work)
        fits = server.wait_ended(server.start_workflow("w", 1), 30)
        self.assertEqual(fits.result_json, '"ok"')
        self.assertTrue(15 * size < fits.history_bytes < limit, fits.history_bytes)
        run_id = server.start_workflow("w", 2)
        server.wait_ended(run_id, 30)
        server.kill()
        server.start()
        run = server.get(run_id)
        self.assertEqual((run.status, run.error.reason),
                         (common_pb2.RUN_STATUS_FAILED, "HISTORY_TOO_LARGE"))
        self.assertIn("--history-bytes-max", run.error.message)
        self.assertGreater(run.history_bytes, limit)
        self.assertEqual(len(server.history(run_id)), run.last_seq)
        self.assertRegex(server.log(), "history_large run=%s" % run_id)

    def test_a_fork_goes_on_in_pieces(self):
        """A history of 40 MB is copied over kills, and is whole before anything is done for it."""
        steps, size = 400, 100000

        def work(host, task):
            for i in range(task.settled_count, steps):
                host.step(task, i + 1, "s%d" % i, "x" * size)
            host.done(task, "ok")

        server = self.serve()
        host = self.host(server, work)
        run_id = server.start_workflow("w")
        last = server.wait_ended(run_id, 60).last_seq
        host.close()
        fork = runs_pb2.RunServiceForkRequest(
            run_id=run_id, after_seq=last - 2, idempotency_key="once")
        copy = server.runs.Fork(fork).run
        self.assertEqual((copy.status, [each.kind for each in copy.waiting]),
                         (common_pb2.RUN_STATUS_WAITING, [common_pb2.Waiting.KIND_COPY]))
        self.assertRegex(copy.waiting[0].message, r"is being copied .* \d+ events are there")
        server.kill()
        server.start()
        again = server.runs.Fork(fork)
        self.assertEqual((again.existed, again.run.id), (True, copy.id))
        self.assertLess(again.run.last_seq, last - 2)
        with self.assertRaises(grpc.RpcError) as refused:
            server.runs.Delete(runs_pb2.RunServiceDeleteRequest(run_id=copy.id))
        self.assertEqual(polosd.details_of(refused.exception)[0], "RUN_NOT_ENDED")
        # It waits for the copy.
        server.runs.Delete(runs_pb2.RunServiceDeleteRequest(run_id=run_id))
        whole = server.get(copy.id)
        self.assertGreaterEqual(whole.last_seq, last - 2)
        self.assertNotIn(common_pb2.Waiting.KIND_COPY, [each.kind for each in whole.waiting])
        self.host(server, work)
        forked = server.wait_ended(copy.id, 60)
        self.assertEqual((forked.result_json, forked.step_count), ('"ok"', steps))

    def test_a_fork_is_cancelled_in_the_middle(self):
        """It ends with what it has, and may be deleted; what it was made from is as it was."""
        def work(host, task):
            for i in range(task.settled_count, 400):
                host.step(task, i + 1, "s%d" % i, "x" * 100000)
            host.done(task, "ok")

        server = self.serve()
        self.host(server, work)
        run_id = server.start_workflow("w")
        last = server.wait_ended(run_id, 60).last_seq
        copy = server.runs.Fork(
            runs_pb2.RunServiceForkRequest(run_id=run_id, after_seq=last - 2)).run
        server.runs.Cancel(runs_pb2.RunServiceCancelRequest(run_id=copy.id, cause="enough"))
        ended = server.wait_ended(copy.id, 60)
        self.assertEqual(ended.status, common_pb2.RUN_STATUS_CANCELLED)
        self.assertLess(ended.step_count, 400)
        self.assertEqual(len(server.history(copy.id)), ended.last_seq)
        server.runs.Delete(runs_pb2.RunServiceDeleteRequest(run_id=copy.id))
        self.assertEqual(server.get(run_id).last_seq, last)

    def test_watchers_have_a_limit_in_all(self):
        """Each of another run; one that leaves makes room."""
        server = self.serve("--watchers-in-all-max=2")
        ids = [server.start_workflow("w", i) for i in range(3)]
        first, second = server.watch(ids[0]), server.watch(ids[1])
        self.assertEqual((next(first).fact.seq, next(second).fact.seq), (1, 1))
        with self.assertRaises(grpc.RpcError) as refused:
            next(server.watch(ids[2]))
        self.assertEqual(
            (refused.exception.code().name, polosd.details_of(refused.exception)[0]),
            ("RESOURCE_EXHAUSTED", "TOO_MANY_WATCHERS"))
        first.cancel()
        for _ in range(1000):  # Until the server has heard of it.
            try:
                self.assertEqual(next(server.watch(ids[2])).fact.seq, 1)
                break
            except grpc.RpcError as error:
                self.assertEqual(error.code().name, "RESOURCE_EXHAUSTED")
        else:
            self.fail("there is no room again")

    def test_memory_for_what_came_at_once_is_given_back(self):
        """Callers that send much, again and again, leave nothing of it behind."""
        server = self.serve()
        request = workflows_pb2.WorkflowServiceStartRequest(
            workflow_id="w", input_json=json.dumps("x" * 900000))
        most = 0
        for _ in range(2):
            calls = [server.workflows.Start.future(request) for _ in range(300)]
            for call in calls:
                call.exception(60)
                most = max(most, server.memory_mib())
        self.assertGreater(most, MEMORY_MIB, "there was nothing to give back")
        end = time.monotonic() + 30
        while server.memory_mib() > MEMORY_MIB:
            self.assertLess(time.monotonic(), end, "%d MiB at most" % most)
            time.sleep(0.05)  # Nobody tells when it was given back.

    def test_callers_are_told_to_come_back(self):
        """However much they ask for at once; what was taken is there, what was refused is not."""
        server = self.serve()
        request = workflows_pb2.WorkflowServiceStartRequest(
            workflow_id="w", input_json=json.dumps("x" * 900000))
        calls = [server.workflows.Start.future(request) for _ in range(300)]
        ids, refused = set(), 0
        for call in calls:
            try:
                ids.add(call.result(30).run_id)
            except grpc.RpcError as error:
                self.assertEqual((error.code().name, polosd.details_of(error)[0]),
                                 ("RESOURCE_EXHAUSTED", "SERVER_BUSY"))
                refused += 1
        self.assertEqual(len(ids) + refused, len(calls))
        self.assertGreater(len(ids), 0)
        self.assertGreater(refused, 0)
        for run_id in ids:
            self.assertEqual(len(server.history(run_id)), 2)


if __name__ == "__main__":
    sys.exit(unittest.main())
