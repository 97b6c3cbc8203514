"""A peer that begins calls and never ends their requests. It sends whatever the server lets it."""
import struct

from tests.lib.http2 import (ACK, DATA, END_HEADERS, END_STREAM, GOAWAY, HEADERS, PING, RESET,
                             SETTINGS, WINDOW, begin, frame, headers)

INITIAL_WINDOW = 4  # A setting.
FIRST_WINDOW = 65535
CHUNK = bytes(16384)
ROUNDS_OF_NOTHING = 5


class Unended:
    """`calls` calls, each with a request of message_bytes whose last byte never comes."""

    def __init__(self, port, path, calls, message_bytes):
        self.socket = begin(port, timeout=60)
        self.window, self.first_window = FIRST_WINDOW, FIRST_WINDOW
        self.acks = 0
        self.ended = set()  # Streams that the server has ended.
        self.said = {}  # Stream -> what it was ended with.
        self._agree()
        prefix = struct.pack(">BI", 0, message_bytes)
        self.windows, self.left, self.begun = {}, {}, {}
        for stream in range(1, 2 * calls, 2):
            self.socket.sendall(frame(HEADERS, END_HEADERS, stream, headers(path)))
            self.windows[stream] = self.first_window
            self.left[stream] = len(prefix) + message_bytes - 1
            self.begun[stream] = prefix
        self.sent = 0

    def close(self):
        self.socket.close()

    def send_all(self):
        """Until the server takes no more; how many bytes it has taken in all."""
        nothing = 0
        while nothing < ROUNDS_OF_NOTHING:
            nothing = 0 if self.send_some() else nothing + 1
        return self.sent

    def send_some(self):
        """What the server takes now; how many bytes that was."""
        before = self.sent
        for stream in [each for each in self.left if each not in self.ended]:
            self._send(stream)
        self._agree()
        return self.sent - before

    def read_until_ended(self, count):
        while len(self.ended) < count:
            self._read()

    def _send(self, stream):
        while True:
            room = min(self.window, self.windows[stream], self.left[stream], len(CHUNK))
            if room <= 0:
                return
            begun = self.begun.pop(stream, b"")
            payload = (begun + CHUNK)[:room]
            self.socket.sendall(frame(DATA, 0, stream, payload))
            self.window -= room
            self.windows[stream] -= room
            self.left[stream] -= room
            self.sent += room

    def _agree(self):
        """The server has seen all that was sent, and we what it said to that."""
        acks = self.acks
        self.socket.sendall(frame(SETTINGS, 0, 0))
        while self.acks == acks:
            self._read()

    def _read(self):
        head = self._exactly(9)
        length = int.from_bytes(head[:3], "big")
        kind, flags, stream = head[3], head[4], int.from_bytes(head[5:], "big")
        payload = self._exactly(length)
        if kind == SETTINGS and flags & ACK:
            self.acks += 1
        elif kind == SETTINGS:
            self._take_settings(payload)
        elif kind == PING and not flags & ACK:
            self.socket.sendall(frame(PING, ACK, 0, payload))
        elif kind == WINDOW and stream == 0:
            self.window += int.from_bytes(payload, "big")
        elif kind == WINDOW:
            self.windows[stream] += int.from_bytes(payload, "big")
        elif kind == RESET or (kind == HEADERS and flags & END_STREAM):
            self.ended.add(stream)
            self.said[stream] = self.said.get(stream, b"") + payload
        assert kind != GOAWAY, payload

    def _take_settings(self, payload):
        for key, value in struct.iter_unpack(">HI", payload):
            if key == INITIAL_WINDOW:
                for stream in getattr(self, "windows", {}):
                    self.windows[stream] += value - self.first_window
                self.first_window = value
        self.socket.sendall(frame(SETTINGS, ACK, 0))

    def _exactly(self, count):
        data = b""
        while len(data) < count:
            more = self.socket.recv(count - len(data))
            assert more, "the server has closed the connection"
            data += more
        return data
