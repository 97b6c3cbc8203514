"""Many calls and many watchers: what they share, what they cost, and that nothing stays behind."""
import random
import threading
import unittest

import grpc

from tests.integration.rpc_transport.harness import ServerTest
from tests.lib.unended import Unended

WATCHERS = 1000
CALLS = 5000
CHURNERS = 8
CHURN = 150


class ReceiveTest(ServerTest):
    """Requests of 4 MiB that never end: 600 MiB of them are offered, 256 may be taken in."""
    CALLS = 150

    def setUp(self):
        super().setUp()
        path = "/polos.v1.RunService/Get"
        self.peer = Unended(self.server.port, path, self.CALLS, (4 << 20) - 16)
        self.addCleanup(self.peer.close)

    def test_what_is_taken_in_is_bounded_by_bytes(self):
        self.assertLess(self.peer.send_all(), 256 << 20)

    def test_those_who_come_slowly_make_room(self):
        self.peer.send_some()
        self.peer.read_until_ended(1)
        self.assertIn(b"too slowly", b"".join(self.peer.said.values()))
        self.assertEqual(self.api.get("echo").run.id, "echo")

    def test_a_stream_has_a_place_until_it_was_heard(self):
        for connection in range(2):
            peer = Unended(self.server.port, "/polos.v1.ToolService/Connect", self.CALLS,
                           (4 << 20) - 16)
            self.addCleanup(peer.close)
            self.assertLess(peer.send_all(), 256 << 20, connection)

    def test_only_so_many_wait(self):
        for _ in range(3):  # One connection may not have as many calls.
            peer = Unended(self.server.port, "/polos.v1.RunService/Get", 3000, 1 << 20)
            self.addCleanup(peer.close)
        peer.read_until_ended(1)
        self.assertIn(b"as many requests at once as it may", b"".join(peer.said.values()))


class LoadTest(ServerTest):
    def test_a_payload_is_shared_by_a_thousand_streams(self):
        calls = [self.api.watch("hold") for _ in range(WATCHERS)]
        while self.server.stats()["held"] < WATCHERS:
            pass
        before_kib = self.server.stats()["rss_kib"]
        # 20 messages of 50 KB: 1 MB if shared, 1 GB if each stream had its own copy.
        self.assertEqual(self.server.tell("publish 20 50000"), f"published {WATCHERS}")
        first = [next(call).position[-3:] for call in calls]  # All has been queued by now.
        grown_kib = self.server.stats()["rss_kib"] - before_kib
        self.assertLess(grown_kib, 50 * 1024)
        self.assertEqual(first, ["y/0"] * WATCHERS)
        for call in calls:
            numbers = [int(next(call).position.rsplit("/", 1)[1]) for _ in range(19)]
            self.assertEqual(numbers, list(range(1, 20)))
        self.server.tell("release")
        for call in calls:
            self.assertEqual(list(call), [])

    def test_calls_leave_nothing_behind(self):
        def round_trip(count):
            for i in range(count):
                self.assertEqual(self.api.get(f"echo {i}").run.id, f"echo {i}")
            return self.server.stats()["rss_kib"]

        warm_kib = round_trip(1000)
        end_kib = round_trip(CALLS)
        stats = self.server.stats()
        self.assertEqual(stats["started"], CALLS + 1000)
        self.assertGreaterEqual(stats["released"], CALLS + 1000 - 1)
        self.assertLess(end_kib - warm_kib, 2048)

    def churn(self, seed):
        """One client's life: calls of every kind, ended in every way, at every moment."""
        dice = random.Random(seed)
        for _ in range(CHURN):
            kind = dice.randrange(6)
            try:
                if kind == 0:
                    self.api.get("echo")
                elif kind == 1:
                    self.api.get("hold", timeout=dice.uniform(0.0, 0.02))
                elif kind == 2:
                    self.api.get_later("hold").cancel()
                elif kind == 3:
                    call = self.api.watch("hold", timeout=dice.uniform(0.0, 0.05))
                    for _ in zip(call, range(dice.randrange(3))):
                        pass
                    call.cancel()
                elif kind == 4:
                    call = self.api.watch(f"count 50 {dice.randrange(2000)}")
                    for _ in zip(call, range(dice.randrange(60))):
                        pass
                    call.cancel()
                else:
                    path = "/polos.v1.ToolService/Connect"
                    messages = [self.api.request(path, first_seq=i)
                                for i in range(dice.randrange(5))]
                    call = self.api.connect(iter(messages))
                    for _ in zip(call, range(dice.randrange(6))):
                        pass
                    call.cancel()
            except grpc.RpcError as error:
                self.codes.add(error.code())

    def test_churn(self):
        """Calls end on one thread while another sends: nothing is lost, freed twice or kept."""
        self.codes = set()
        churners = [threading.Thread(target=self.churn, args=(i,)) for i in range(CHURNERS)]
        for churner in churners:
            churner.start()
        while any(churner.is_alive() for churner in churners):
            self.server.tell("publish 3 700")
            self.server.tell("release")
        self.assertLessEqual(
            self.codes, {grpc.StatusCode.DEADLINE_EXCEEDED, grpc.StatusCode.CANCELLED}
        )
        last = self.stop()
        self.assertGreater(last["started"], CHURNERS * CHURN // 4)
        self.assertEqual(last["started"], last["released"], last)

    def test_start_is_quick_and_small(self):
        # Generous: a loaded machine, and builds with sanitizers.
        self.assertLess(self.server.start_us, 500000)


if __name__ == "__main__":
    unittest.main()
