"""Goal: no peer without a key takes the server's memory, or its time from others.
Method: each row is a way of asking for too much, sent as fast as the socket takes it until the
server cuts it. Then the log has its reason, the server's memory is what it was, and a call that
was made meanwhile was answered."""
import contextlib
import struct
import threading
import unittest

import grpc

from tests.lib import polosd
from tests.lib.http2 import (CONTINUATION, DATA, END_HEADERS, END_STREAM, HEADERS, PING, PRIORITY,
                             RESET, SETTINGS, WINDOW, begin, frame, headers)

BYTES_MAX = 512 << 20  # Sent by one attacker, who should be cut long before.
GROWTH_MIB = 64


def streams(number):
    """A hundred streams, none of which anybody used."""
    return range(1 + 200 * number, 1 + 200 * (number + 1), 2)


def half_open(number):
    return b"".join(frame(HEADERS, END_HEADERS, stream, headers()) for stream in streams(number))


def rapid_reset(number):
    return b"".join(frame(HEADERS, END_HEADERS | END_STREAM, stream, headers())
                    + frame(RESET, 0, stream, struct.pack(">I", 8)) for stream in streams(number))


OPEN = frame(HEADERS, END_HEADERS, 1, headers())
# Reason: (sent first, what is sent then for ever).
FLOODS = {
    "LARGE_HEADERS": (frame(HEADERS, 0, 1, headers()),
                      lambda number: frame(CONTINUATION, 0, 1, b"\0\x01a\x7f" + b"x" * 16000)),
    "SMALL_FRAMES of headers": (frame(HEADERS, 0, 1, headers()),
                                lambda number: frame(CONTINUATION, 0, 1) * 1000),
    "BROKEN_HEADERS": (frame(HEADERS, 0, 1, headers()), lambda number: frame(PING, 0, 0, bytes(8))),
    "LARGE_FRAME": (OPEN, lambda number: b"\xff\xff\xff\0\0\0\0\0\1" + bytes(16000)),
    "SMALL_FRAMES of a byte": (OPEN, lambda number: frame(DATA, 0, 1, b"x") * 1000),
    "SMALL_FRAMES of padding": (OPEN, lambda number: frame(DATA, 8, 1, b"\x10" + bytes(16)) * 500),
    "SMALL_FRAMES unknown": (b"", lambda number: frame(99, 0, 0) * 1000),
    "SMALL_FRAMES of settings": (b"", lambda number: frame(SETTINGS, 0, 0) * 1000),
    "SMALL_FRAMES of priority": (b"", lambda number: frame(PRIORITY, 0, 1, bytes(5)) * 1000),
    "PINGS": (b"", lambda number: frame(PING, 1, 0, bytes(8)) * 1000),  # As if acknowledged.
    "WINDOWS": (b"", lambda number: frame(WINDOW, 0, 0, struct.pack(">I", 1)) * 1000),
    "RESETS": (b"", rapid_reset),
    "OPEN_CALLS": (b"", half_open),
}


class Bystander:
    """Somebody who calls, one call after the other; each has to be answered."""

    def __init__(self, address):
        self.channel = grpc.insecure_channel(address)
        self.check = self.channel.unary_unary("/grpc.health.v1.Health/Check")
        self.calls = 0
        self.error = None
        self.ended = threading.Event()
        self.check(b"", timeout=20)
        self.thread = threading.Thread(target=self.run)
        self.thread.start()

    def run(self):
        try:
            while not self.ended.is_set():
                self.check(b"", timeout=20)
                self.calls += 1
        except grpc.RpcError as error:
            self.error = error

    def close(self):
        self.ended.set()
        self.thread.join()
        self.channel.close()


def flood(peer, pieces, bytes_max=BYTES_MAX):
    """Sends until it is cut; what was sent."""
    sent = number = 0
    with contextlib.suppress(OSError):
        while sent < bytes_max:
            piece = pieces(number)
            peer.sendall(piece)
            sent += len(piece)
            number += 1
    return sent


class FloodsTest(unittest.TestCase):
    def setUp(self):
        self.server = polosd.Server()
        self.addCleanup(self.server.close)
        self.server.start()
        self.port = int(self.server.address.rsplit(":", 1)[1])

    def test_each_is_cut_and_costs_nobody_else(self):
        for name, (first, pieces) in FLOODS.items():
            with self.subTest(name):
                before = self.server.memory_mib()
                bystander = Bystander(self.server.address)
                with begin(self.port) as peer:
                    with contextlib.suppress(OSError):
                        peer.sendall(first)
                    sent = flood(peer, pieces)
                grown = self.server.memory_mib() - before
                bystander.close()
                self.assertLess(sent, BYTES_MAX)
                self.assertIsNone(bystander.error)
                self.assertLess(grown, GROWTH_MIB)
        self.assertEqual(self.server.stop(), 0)
        for name in FLOODS:  # Counted, and told at the end.
            self.assertIn("connections_refused why=" + name.split(" ", maxsplit=1)[0] + " ",
                          self.server.log())

    def test_many_at_once(self):
        """Four connections of resets, again and again: each is cut, others are served."""
        bystander = Bystander(self.server.address)

        def attack():
            for _ in range(20):
                with begin(self.port) as peer:
                    flood(peer, rapid_reset)

        attackers = [threading.Thread(target=attack) for _ in range(4)]
        for attacker in attackers:
            attacker.start()
        for attacker in attackers:
            attacker.join()
        bystander.close()
        self.assertIsNone(bystander.error)
        self.assertGreater(bystander.calls, 0)
        self.assertLess(self.server.memory_mib(), 200)


if __name__ == "__main__":
    unittest.main()
