"""Goal: what waits for the engine has a bound: callers beyond it are told to come back, hosts are
read from more slowly, and neither costs more memory or loses anything.
Method: the real polosd with room for little; callers and a host that say much at once."""
import json
import sys
import unittest

import grpc

from tests.lib import polosd
from tests.lib.polosd import workflows_pb2

MIB = 1 << 20


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

    def test_callers_are_told_to_come_back(self):
        """However much they ask for at once, and no memory is taken for what is refused."""
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
        for run_id in ids:
            self.assertEqual(len(server.history(run_id)), 2)
        with open("/proc/%d/status" % server.process.pid, encoding="utf-8") as status:
            peak = next(int(line.split()[1]) for line in status if line.startswith("VmHWM"))
        self.assertLess(peak * 1024, 300 * MIB)


if __name__ == "__main__":
    sys.exit(unittest.main())
