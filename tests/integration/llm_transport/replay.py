"""A server that plays responses as it is told: where the bytes are cut, how long it waits,
where the connection breaks.

It speaks HTTP/1.1 by hand, because a library would not send what is wrong.
"""
import json
import os
import select
import socket
import threading

HANG = object()  # No more bytes until the client goes away.
CUT = object()  # The connection ends here, without an end of the body.
END = b"0\r\n\r\n"


class Pause:
    """So many seconds without a byte; ends early when the server is closed."""

    def __init__(self, seconds):
        self.seconds = seconds


class Response:
    """pieces: bytes (one write each), HANG, CUT, Pause. Sent with chunked encoding.

    unasked: bytes behind it, sent between two rounds of llm_probe, which go_file keeps apart."""

    def __init__(self, *pieces, status=200, headers=None, content_type="text/event-stream",
                 unasked=b"", go_file=None):
        self.pieces = pieces
        self.unasked = unasked
        self.go_file = go_file
        self.status = status
        self.headers = dict(headers or {})
        if content_type:
            self.headers.setdefault("Content-Type", content_type)


class Raw:
    """Bytes in place of a whole response, then CUT or HANG."""

    def __init__(self, *pieces):
        self.pieces = pieces


def sse(*events, done=True):
    data = [event if isinstance(event, str) else json.dumps(event) for event in events]
    return "".join(f"data: {text}\n\n" for text in data + ["[DONE]"] * done).encode()


def chunk(delta=None, finish=None, **members):
    choice = {"index": 0, "delta": delta or {}, "finish_reason": finish}
    return {"id": "r1", "model": "m1", "choices": [choice], **members}


def split(data, seed):
    """Cuts data into pieces of 1 to 40 bytes, always the same for a seed."""
    pieces = []
    state = seed
    while data:
        state = (state * 6364136223846793005 + 1442695040888963407) % 2**64
        size = 1 + (state >> 33) % 40
        pieces.append(data[:size])
        data = data[size:]
    return pieces


class Request:
    def __init__(self, head, body):
        lines = head.decode("latin-1").split("\r\n")
        self.line = lines[0]
        self.headers = {}
        for line in lines[1:]:
            name, _, value = line.partition(":")
            self.headers[name.lower()] = value.strip()
        self.body = body

    @property
    def json(self):
        return json.loads(self.body)


class ReplayServer:
    """Plays `responses` in turn, the last one for ever; or asks a function for each request."""

    def __init__(self, *responses, choose=None, tls=None):
        self.tls = tls
        self.responses = list(responses)
        self.choose = choose
        self.requests = []
        self.connections = 0
        self.hung_up = threading.Event()  # A client left while we were hanging.
        self.busy = 0
        self.busy_most = 0
        self.lock = threading.Lock()
        self.closing = threading.Event()
        self.listener = socket.create_server(("127.0.0.1", 0))
        address = f"127.0.0.1:{self.listener.getsockname()[1]}/v1"
        self.url = ("https://" if tls else "http://") + address
        self.open = []
        threading.Thread(target=self._accept, daemon=True).start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.closing.set()
        # Closing alone would leave it listening while the other thread is in accept().
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        with self.lock:
            for connection in self.open:
                connection.close()

    def _accept(self):
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            with self.lock:
                self.connections += 1
                self.open.append(connection)
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection):
        try:
            if self.tls:
                connection = self.tls.wrap_socket(connection, server_side=True)
            reader = connection.makefile("rb")
            while True:
                request = self._read(reader)
                if request is None or not self._answer(connection, request):
                    break
        except (OSError, ValueError):
            pass
        finally:
            connection.close()

    def _read(self, reader):
        head = b""
        while not head.endswith(b"\r\n\r\n"):
            line = reader.readline()
            if not line:
                return None
            head += line
        request = Request(head[:-4], b"")
        request.body = reader.read(int(request.headers.get("content-length", 0)))
        return request

    def _answer(self, connection, request):
        with self.lock:
            number = len(self.requests)
            self.requests.append(request)
            self.busy += 1
            self.busy_most = max(self.busy_most, self.busy)
        try:
            if self.choose:
                response = self.choose(number, request)
            else:
                response = self.responses[min(number, len(self.responses) - 1)]
            return self._play(connection, response)
        finally:
            with self.lock:
                self.busy -= 1

    def _play(self, connection, response):
        framed = isinstance(response, Response)
        if framed:
            head = f"HTTP/1.1 {response.status} Whatever\r\nTransfer-Encoding: chunked\r\n"
            for name, value in response.headers.items():
                head += f"{name}: {value}\r\n"
            connection.sendall(head.encode() + b"\r\n")
        last = len(response.pieces) - 1
        for at, piece in enumerate(response.pieces):
            if piece is CUT:
                return False
            if piece is HANG:
                self._wait_for_hang_up(connection)
                return False
            if isinstance(piece, Pause):
                if self.closing.wait(piece.seconds):
                    return False
                continue
            if framed:
                piece = b"%x\r\n%s\r\n" % (len(piece), piece)
                # In one go with the end, or the next call may come before the connection is free.
                piece += END if at == last else b""
            connection.sendall(piece)
        if framed and (last < 0 or isinstance(response.pieces[last], Pause)):
            connection.sendall(END)
        if framed and response.unasked:
            self._speak_unasked(connection, response)
        return framed

    def _speak_unasked(self, connection, response):
        while not os.path.exists(response.go_file + ".ready"):
            if self.closing.wait(0.002):
                return
        connection.sendall(response.unasked)
        open(response.go_file, "wb").close()

    def _wait_for_hang_up(self, connection):
        while not self.closing.is_set():
            readable, _, _ = select.select([connection], [], [], 0.1)
            if readable and not connection.recv(1):
                self.hung_up.set()
                return
