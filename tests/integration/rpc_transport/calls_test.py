"""Calls of every kind through real clients: what arrives, and how calls fail."""
import contextlib
import socket
import threading
import unittest

import grpc

from tests.integration.rpc_transport.harness import Server, ServerTest, details_of


class UnaryTest(ServerTest):
    def test_request_and_response_arrive(self):
        run = self.api.get("echo caf\u00e9").run
        self.assertEqual(run.id, "echo caf\u00e9")

    def test_handlers_see_headers(self):
        self.assertEqual(self.api.get("echo", metadata=[("x-test", "ahoy")]).run.name, "ahoy")

    def test_large_response(self):
        self.assertEqual(len(self.api.get("big 3000000").run.name), 3000000)

    def test_answer_from_another_thread(self):
        later = self.api.get_later("hold")
        self.until(lambda: self.server.stats()["held"] == 1)
        self.assertEqual(self.server.tell("release"), "released 1")
        self.assertEqual(later.result().run.id, "released")

    def test_failure_carries_details(self):
        error = self.failure(lambda: self.api.get("fail 3"))
        self.assertEqual(error.code(), grpc.StatusCode.INVALID_ARGUMENT)
        self.assertEqual(error.details(), "say something else, caf\u00e9 or ?")
        details = details_of(error)
        self.assertEqual(details["Status"].code, 3)
        self.assertEqual(details["ErrorInfo"].reason, "RUN_NOT_FAILED")
        self.assertEqual(details["ErrorInfo"].domain, "polos")
        violation = details["BadRequest"].field_violations[0]
        self.assertEqual(violation.field, "run_id")
        self.assertEqual(violation.description, error.details())
        self.assertEqual(details["RetryInfo"].retry_delay.seconds, 1)
        self.assertEqual(details["RetryInfo"].retry_delay.nanos, 500000000)

    def test_every_code_arrives(self):
        for code in grpc.StatusCode:
            number = code.value[0]
            if number != 0:
                error = self.failure(lambda: self.api.get(f"fail {number}"))
                self.assertEqual(error.code(), code)

    def test_deadline(self):
        error = self.failure(lambda: self.api.get("hold", timeout=0.2))
        self.assertEqual(error.code(), grpc.StatusCode.DEADLINE_EXCEEDED)
        self.server.tell("release")  # Nobody waits any more; must harm nobody.
        self.assertEqual(self.api.get("echo").run.id, "echo")

    def test_cancel(self):
        later = self.api.get_later("hold")
        self.until(lambda: self.server.stats()["held"] == 1)
        later.cancel()
        self.server.tell("release")
        self.until(lambda: self.server.stats()["released"] == 1)

    def until(self, fact):
        while not fact():
            pass


class BadRequestTest(ServerTest):
    def call_raw(self, path, data, timeout=20):
        return self.failure(lambda: self.channel.unary_unary(path)(data, timeout=timeout))

    def test_undecodable(self):
        error = self.call_raw("/polos.v1.RunService/Get", b"\xff\xff\xff")
        self.assertEqual(error.code(), grpc.StatusCode.INVALID_ARGUMENT)
        self.assertEqual(
            error.details(), "request is not a valid polos.v1.RunServiceGetRequest message"
        )
        self.assertEqual(details_of(error)["ErrorInfo"].reason, "INVALID_REQUEST")

    def test_text_that_is_not_utf8(self):
        error = self.call_raw("/polos.v1.RunService/Get", b"\x0a\x02\xc3\x28")
        self.assertEqual(error.code(), grpc.StatusCode.INVALID_ARGUMENT)
        self.assertEqual(error.details(), "run_id must be UTF-8 text")
        self.assertEqual(details_of(error)["BadRequest"].field_violations[0].field, "run_id")

    def test_oversize(self):
        data = b"\x0a" + b"\x80\x80\xc0\x02" + b"x" * (5 << 20)
        error = self.call_raw("/polos.v1.RunService/Get", data)
        self.assertEqual(error.code(), grpc.StatusCode.RESOURCE_EXHAUSTED)
        self.assertIn("larger than max (5242885 vs. 4194304)", error.details())
        self.assertEqual(self.api.get("echo").run.id, "echo")

    def test_small_on_the_wire_and_huge_in_memory(self):
        # A Hello with two million empty tools: four bytes each here, a struct each there.
        def field(tag, value):
            size = len(value)
            return tag + bytes([size & 0x7F | 0x80, size >> 7 & 0x7F | 0x80,
                                size >> 14 & 0x7F | 0x80, size >> 21]) + value

        data = field(b"\x0a", field(b"\x32", b"\x0a\x00" * 1900000))  # hello { offers { tools
        stub = self.channel.stream_stream("/polos.v1.ToolService/Connect")
        error = self.failure(lambda: list(stub(iter([data]), timeout=20)))
        self.assertEqual(error.code(), grpc.StatusCode.RESOURCE_EXHAUSTED)
        self.assertEqual(details_of(error)["ErrorInfo"].reason, "REQUEST_TOO_LARGE")
        self.assertEqual(self.api.get("echo").run.id, "echo")

    def test_no_message(self):
        stub = self.channel.stream_unary("/polos.v1.RunService/Get")
        error = self.failure(lambda: stub(iter([]), timeout=20))
        self.assertEqual(error.code(), grpc.StatusCode.INVALID_ARGUMENT)
        self.assertEqual(error.details(), "the call has no request message")

    def test_unknown_method(self):
        for path in ("/polos.v1.RunService/Nope", "/no.such.Service/Get", "/"):
            error = self.call_raw(path, b"", timeout=20)
            self.assertEqual(error.code(), grpc.StatusCode.UNIMPLEMENTED, path)
            self.assertIn(f"no method {path};", error.details())

    def test_unknown_method_of_a_stream(self):
        stub = self.channel.stream_stream("/polos.v1.RunService/Nope")
        error = self.failure(lambda: list(stub(iter([b""] * 3), timeout=20)))
        self.assertEqual(error.code(), grpc.StatusCode.UNIMPLEMENTED)

    def test_compressed_request_is_refused(self):
        stub = self.channel.unary_unary("/polos.v1.RunService/Get")
        error = self.failure(
            lambda: stub(text_of(100000), timeout=20, compression=grpc.Compression.Gzip)
        )
        self.assertEqual(error.code(), grpc.StatusCode.UNIMPLEMENTED)

    def test_large_headers(self):
        self.assertEqual(self.api.get("echo", metadata=[("x-pad", "p" * 12000)]).run.id, "echo")
        error = self.failure(lambda: self.api.get("echo", metadata=[("x-pad", "p" * 40000)]))
        self.assertEqual(error.code(), grpc.StatusCode.RESOURCE_EXHAUSTED)

    def test_garbage_on_the_port(self):
        for data in (
            b"",
            b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
            b"\x16\x03\x01\x02\x00\x01\x00" + b"\x00" * 200,
            b"\xff" * 4096,
            b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\xff" * 4096,
            b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00" + b"\x7f" * 999,
        ):
            with socket.create_connection(("127.0.0.1", self.server.port), timeout=20) as peer:
                peer.sendall(data)
                with contextlib.suppress(OSError):  # It may have been cut already.
                    peer.shutdown(socket.SHUT_WR)
                while peer_sends(peer):
                    pass
        self.assertEqual(self.api.get("echo").run.id, "echo")


def peer_sends(peer):
    try:
        return bool(peer.recv(4096))
    except ConnectionError:
        return False


def text_of(length):
    return b"\x0a" + bytes([length & 0x7F | 0x80, length >> 7 & 0x7F | 0x80, length >> 14]) + (
        b"z" * length
    )


class StreamTest(ServerTest):
    def test_ten_thousand_messages_in_order(self):
        got = [message.position for message in self.api.watch("count 10000 20")]
        self.assertEqual(got, ["y" * 20 + f"/{i}" for i in range(10000)])

    def test_no_message_at_all(self):
        self.assertEqual(list(self.api.watch("count 0 0")), [])

    def test_headers_come_before_the_first_message(self):
        call = self.api.watch("hold")
        call.initial_metadata()  # Blocks until the server has sent them.
        call.cancel()
        self.closed(1)
        self.server.tell("release")

    def test_slow_reader_bounds_the_queue(self):
        call = self.api.watch("count 10000 1000")
        first = next(call)
        self.assertEqual(first.position, "y" * 1000 + "/0")
        self.assertEqual(self.api.get("echo").run.id, "echo")  # Others are not held up.
        self.assertEqual(sum(1 for _ in call), 9999)
        self.assertLess(self.server.stats()["queued_max"], 300 * 1024)

    def test_reader_that_stalls_at_exactly_the_limit_is_woken(self):
        # A message of 955 bytes costs 1,024 in the queue: it stops at 256 KiB to the byte.
        call = self.api.watch("same 10000 955", timeout=20)
        next(call)
        self.assertEqual(self.api.get("echo").run.id, "echo")
        self.assertEqual(sum(1 for _ in call), 9999)
        self.assertEqual(self.server.stats()["queued_max"], 256 * 1024)

    def test_many_slow_readers_have_a_limit_together(self):
        # The test server's is 1 MiB; thirty of them would queue 7 MiB.
        calls = [self.api.watch("count 1000 10000", timeout=60) for _ in range(30)]
        for call in calls:
            next(call)
        self.assertEqual(self.api.get("echo").run.id, "echo")
        self.assertEqual([sum(1 for _ in call) for call in calls], [999] * len(calls))
        self.assertLess(self.server.stats()["streams_max"], (1 << 20) + 30 * 11000)

    def test_peer_that_never_reads_is_given_up(self):
        call = self.api.watch("flood 20000")
        error = self.failure(lambda: [None for _ in call])
        self.assertEqual(error.code(), grpc.StatusCode.RESOURCE_EXHAUSTED)
        self.assertIn("not read fast enough", error.details())
        self.closed(1)
        stats = self.server.stats()
        self.assertLess(stats["queued_max"], 9 << 20)

    def test_cancel_reaches_the_handler(self):
        call = self.api.watch("count 1000000 1000")
        next(call)
        call.cancel()
        self.closed(1)

    def test_deadline_reaches_the_handler(self):
        error = self.failure(lambda: list(self.api.watch("hold", timeout=0.3)))
        self.assertEqual(error.code(), grpc.StatusCode.DEADLINE_EXCEEDED)
        self.closed(1)
        self.server.tell("release")

    def test_broken_connection_reaches_the_handler(self):
        channel = grpc.insecure_channel(
            f"127.0.0.1:{self.server.port}", options=[("grpc.use_local_subchannel_pool", 1)]
        )
        stub = channel.unary_stream("/polos.v1.RunService/Watch")
        calls = [stub(b"\x0a\x04hold", timeout=60) for _ in range(3)]
        for call in calls:
            call.initial_metadata()
        channel.close()
        self.closed(3)
        self.server.tell("release")

    def closed(self, count):
        while self.server.stats()["closed"] < count:
            pass


class BidiTest(ServerTest):
    def host_message(self, **values):
        return self.api.request("/polos.v1.ToolService/Connect", **values)

    def test_echo_in_order_and_half_close(self):
        messages = (self.host_message(first_seq=i) for i in range(1, 2001))
        self.assertEqual([m.ack for m in self.api.connect(messages)], list(range(1, 2001)))

    def test_full_duplex(self):
        go = threading.Semaphore(1)
        done = threading.Event()

        def messages():
            seq = 0
            while True:
                go.acquire()
                if done.is_set():
                    return
                seq += 1
                yield self.host_message(first_seq=seq, hello={"host_id": f"host-{seq}"})

        got = []
        for answer in self.api.connect(messages()):
            got.append((answer.ack, answer.welcome.host_token))
            if len(got) == 5:
                done.set()
            go.release()
        self.assertEqual(got, [(i, f"host-{i}") for i in range(1, 6)])

    def test_sender_that_does_not_read_is_held_up_not_buffered(self):
        hello = self.host_message(first_seq=1, hello={"host_id": "h" * 1000})
        call = self.api.connect(iter([hello] * 5000))
        self.assertEqual(sum(1 for _ in call), 5000)
        self.assertLess(self.server.stats()["queued_max"], 300 * 1024)

    def test_garbage_in_the_middle(self):
        stub = self.channel.stream_stream("/polos.v1.ToolService/Connect")
        call = stub(iter([b"\x10\x01", b"\xff\xff"]), timeout=20)
        got = []
        error = self.failure(lambda: got.extend(call))
        self.assertEqual(error.code(), grpc.StatusCode.INVALID_ARGUMENT)
        self.assertEqual(error.details(),
                         "request is not a valid polos.v1.ToolServiceConnectRequest message")
        while self.server.stats()["closed"] < 1:
            pass


class AddressTest(unittest.TestCase):
    def test_taken(self):
        first = Server()
        second = Server(f"127.0.0.1:{first.port}")
        self.assertEqual(
            second.first_line,
            f"FAILED_PRECONDITION: cannot listen on 127.0.0.1:{first.port}: "
            "another process does, perhaps another polosd; end it, or choose a free port with "
            "--listen",
        )
        self.assertEqual(second.process.wait(timeout=20), 1)
        second.process.communicate()
        first.stop()

    def test_nonsense(self):
        for address in ("8080", "127.0.0.1:", "127.0.0.1:99999", "::1:80", "127.0.0.1:http"):
            server = Server(address)
            self.assertIn("is not an address", server.first_line)
            self.assertEqual(server.process.wait(timeout=20), 1)
            server.process.communicate()

    def test_not_this_machines(self):
        server = Server("192.0.2.1:8080")
        self.assertIn("Cannot assign requested address", server.first_line)
        self.assertEqual(server.process.wait(timeout=20), 1)
        server.process.communicate()


if __name__ == "__main__":
    unittest.main()
