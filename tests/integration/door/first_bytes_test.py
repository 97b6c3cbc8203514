"""Goal: whoever connects is told apart by what comes first, and who says nothing goes soon.
Method: sockets by hand against the real polosd."""
import contextlib
import http.client
import unittest

import grpc

from tests.lib import polosd
from tests.lib.http2 import begin, connect, is_cut

CONNECTIONS = 12
PER_ADDRESS = 4
DESCRIPTORS = 400


class FirstBytes(unittest.TestCase):
    def start(self, *options):
        self.server = polosd.Server(options)
        self.addCleanup(self.server.close)
        self.server.start()
        self.port = int(self.server.address.rsplit(":", 1)[1])

    def ask(self, method, path):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        self.addCleanup(connection.close)
        connection.request(method, path)
        answer = connection.getresponse()
        return answer.status, answer.read().decode()

    def serves(self, source=None):
        """Whether a new connection from that address is served."""
        options = [("grpc.use_local_subchannel_pool", 1)]
        if source is None:
            channel = grpc.insecure_channel(self.server.address, options)
            with channel:
                check = channel.unary_unary("/grpc.health.v1.Health/Check")
                return check(b"", timeout=20) == b"\x08\x01"
        with begin(self.port, source) as peer:
            with contextlib.suppress(OSError):
                return len(peer.recv(9)) == 9  # The server's own settings.
        return False


class SpeaksTest(FirstBytes):
    def test_http_1_is_told_what_is_spoken_here(self):
        self.start()
        status, text = self.ask("GET", "/")
        self.assertEqual(status, 404)
        self.assertIn("gRPC", text)
        self.assertEqual(self.ask("GET", "/healthz"), (200, "serving\n"))
        self.assertEqual(self.ask("HEAD", "/healthz"), (200, ""))

    def test_one_byte_at_a_time(self):
        self.start()
        with connect(self.port) as peer:
            for byte in b"GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n":
                peer.sendall(bytes([byte]))
            self.assertTrue(peer.recv(100).startswith(b"HTTP/1.1 200 OK\r\n"))

    def test_garbage_is_cut(self):
        self.start()
        for text in (b"\xff" * 100, b"SSH-2.0-x\r\n", b"PRIX", b"\x16\x03\x01\x02\x00", b"{}"):
            with self.subTest(text), connect(self.port) as peer:
                peer.sendall(text)
                self.assertTrue(is_cut(peer))
        self.assertTrue(self.serves())

    def test_who_says_nothing_is_cut(self):
        """Or half of what there is to say."""
        self.start()
        peers = [connect(self.port) for _ in range(3)]
        peers[1].sendall(b"P")
        peers[2].sendall(b"PRI * HTTP/2.0\r\n\r\nSM")
        for peer in peers:
            with peer:
                self.assertTrue(is_cut(peer))
        self.assertTrue(self.serves())


class CrowdTest(FirstBytes):
    def test_an_address_has_so_many(self):
        self.start("--connections-per-address-max", str(PER_ADDRESS))
        peers = [begin(self.port, "127.0.0.2") for _ in range(PER_ADDRESS)]
        for peer in peers:
            self.assertEqual(len(peer.recv(9)), 9)
        self.assertFalse(self.serves("127.0.0.2"))
        self.assertTrue(self.serves("127.0.0.3"))
        peers[0].close()
        while not self.serves("127.0.0.2"):  # Its place is free once the server has seen it.
            pass
        for peer in peers[1:]:
            peer.close()

    def test_in_all_there_are_so_many(self):
        self.start("--connections-max", str(CONNECTIONS), "--connections-per-address-max",
                   str(PER_ADDRESS))
        peers = [begin(self.port, f"127.0.0.{2 + i // PER_ADDRESS}")
                 for i in range(CONNECTIONS - 1)]
        for peer in peers:  # One is the test's own channel, which called nothing yet.
            self.assertEqual(len(peer.recv(9)), 9)
        self.assertTrue(self.serves("127.0.0.9"))
        last = begin(self.port, "127.0.0.9")
        self.assertEqual(len(last.recv(9)), 9)
        self.assertFalse(self.serves("127.0.0.10"))
        last.close()
        for peer in peers:
            peer.close()
        while not self.serves("127.0.0.10"):
            pass
        self.assertEqual(self.server.stop(), 0)
        self.assertIn("why=FULL", self.server.log())

    def test_without_descriptors_it_goes_on(self):
        """More connections than the process may have descriptors for, and all leave again."""
        self.server = polosd.Server(["--connections-max", "1000",
                                     "--connections-per-address-max", "1000"])
        self.addCleanup(self.server.close)
        self.server.command = ["sh", "-c", f'ulimit -n {DESCRIPTORS}; exec "$0" "$@"',
                               polosd.BINARY]
        self.server.start()
        self.port = int(self.server.address.rsplit(":", 1)[1])
        peers = []
        for _ in range(DESCRIPTORS):
            with contextlib.suppress(OSError):
                peers.append(begin(self.port))
        for peer in peers:
            peer.close()
        served = False
        while not served:  # In the test's own time.
            with contextlib.suppress(grpc.RpcError):
                served = self.serves()


if __name__ == "__main__":
    unittest.main()
