"""The transport's test server as a process, and clients for it without generated code.

Message classes come from the server's own reflection, so each test that makes a call also tests
that a client can learn the API that way.
"""
import os
import subprocess
import sys
import threading
import unittest

try:
    import grpc
    from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
    from google.rpc import error_details_pb2, status_pb2  # noqa: F401
except ImportError as missing:
    print(f"skipped: {missing} (./run setup installs it)")
    print("0 passed, 0 failed, 1 skipped")
    sys.exit(0)

REFLECTION = "/grpc.reflection.{}.ServerReflection/ServerReflectionInfo"
SERVED = (
    "polos.v1.RunService",
    "polos.v1.ToolService",
    "grpc.health.v1.Health",
    "grpc.reflection.v1.ServerReflection",
)


def varint(value):
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def text_field(number, value):
    data = value if isinstance(value, bytes) else value.encode()
    return varint(number << 3 | 2) + varint(len(data)) + data


def fields(data):
    """(number, value) of a message; enough for reflection before its own classes are known."""
    at = 0

    def read():
        nonlocal at
        value = shift = 0
        while True:
            byte = data[at]
            at += 1
            value |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                return value

    while at < len(data):
        tag = read()
        value = read()
        if tag & 7 == 2:
            yield tag >> 3, data[at : at + value]
            at += value
        else:
            yield tag >> 3, value


def reflect(channel, question, version="v1"):
    """The answer's fields, as {number: value}."""
    call = channel.stream_stream(REFLECTION.format(version))
    answers = list(call(iter([question]), timeout=20))
    assert len(answers) == 1, answers
    return dict(fields(answers[0]))


class Api:
    """Calls by path, with messages as the server describes them."""

    def __init__(self, channel):
        self.channel = channel
        self.pool = descriptor_pool.DescriptorPool()
        self.methods = {}
        known = {}
        for service in SERVED:
            answer = reflect(channel, text_field(4, service))
            for _, data in fields(answer[4]):
                file = descriptor_pb2.FileDescriptorProto.FromString(data)
                known[file.name] = file
        added = set()

        def add(name):
            if name not in added:
                added.add(name)
                for dependency in known[name].dependency:
                    add(dependency)
                self.pool.Add(known[name])

        for name in list(known):
            add(name)
        for service in SERVED:
            for method in self.pool.FindServiceByName(service).methods:
                self.methods[f"/{service}/{method.name}"] = method

    def message(self, name):
        return message_factory.GetMessageClass(self.pool.FindMessageTypeByName(name))

    def request(self, path, **values):
        return message_factory.GetMessageClass(self.methods[path].input_type)(**values)

    def stub(self, path):
        method = self.methods[path]
        kind = {
            (False, False): self.channel.unary_unary,
            (False, True): self.channel.unary_stream,
            (True, True): self.channel.stream_stream,
        }[method.client_streaming, method.server_streaming]
        return kind(
            path,
            request_serializer=lambda message: message.SerializeToString(),
            response_deserializer=message_factory.GetMessageClass(method.output_type).FromString,
        )

    def get(self, run_id, timeout=20, metadata=None):
        request = self.request("/polos.v1.RunService/Get", run_id=run_id)
        return self.stub("/polos.v1.RunService/Get")(request, timeout=timeout, metadata=metadata)

    def get_later(self, run_id, timeout=20):
        request = self.request("/polos.v1.RunService/Get", run_id=run_id)
        return self.stub("/polos.v1.RunService/Get").future(request, timeout=timeout)

    def watch(self, run_id, timeout=60):
        request = self.request("/polos.v1.RunService/Watch", run_id=run_id)
        return self.stub("/polos.v1.RunService/Watch")(request, timeout=timeout)

    def connect(self, messages, timeout=20):
        return self.stub("/polos.v1.ToolService/Connect")(messages, timeout=timeout)

    def health(self, service=""):
        request = self.request("/grpc.health.v1.Health/Check", service=service)
        return self.stub("/grpc.health.v1.Health/Check")(request, timeout=20).status

    def health_watch(self, service=""):
        request = self.request("/grpc.health.v1.Health/Watch", service=service)
        return self.stub("/grpc.health.v1.Health/Watch")(request, timeout=60)


class Server:
    """The test server; see tests/lib/rpc_test_server.c for what it can be told."""

    def __init__(self, address="127.0.0.1:0"):
        binary = os.environ.get("RPC_TEST_SERVER", "tests/lib/rpc_test_server")
        self.process = subprocess.Popen(
            [binary, address],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self.first_line = self.process.stdout.readline().strip()
        self.errors = []
        self.stopping = False
        self.reader = threading.Thread(target=self._read_errors, daemon=True)
        self.reader.start()
        self.port = 0
        if self.first_line[:1].isdigit():
            port, start_us = self.first_line.split()
            self.port, self.start_us = int(port), int(start_us)

    def _read_errors(self):
        for line in self.process.stderr:
            self.errors.append(line)

    def tell(self, command):
        self.process.stdin.write(command + "\n")
        self.process.stdin.flush()
        return self.process.stdout.readline().strip()

    def stats(self):
        pairs = (pair.split("=") for pair in self.tell("stats").split())
        return {key: int(value) for key, value in pairs}

    def begin_stop(self, grace_ms):
        if not self.stopping:
            self.stopping = True
            self.process.stdin.write(f"stop {grace_ms}\n")
            self.process.stdin.close()

    def stop(self, grace_ms=2000):
        """The last counters. Leaks and errors of a sanitizer make the exit code differ from 0."""
        self.begin_stop(grace_ms)
        out = self.process.stdout.read().strip()
        self.process.stdout.close()
        self.process.wait(timeout=60)
        self.reader.join(timeout=10)
        self.process.stderr.close()
        assert self.process.returncode == 0, (self.process.returncode, "".join(self.errors))
        return {key: int(value) for key, value in (pair.split("=") for pair in out.split())}


class ServerTest(unittest.TestCase):
    """One server and one channel for each test."""

    def setUp(self):
        self.server = Server()
        self.channel = grpc.insecure_channel(f"127.0.0.1:{self.server.port}")
        self.api = Api(self.channel)
        self.stopped = False

    def stop(self, grace_ms=2000):
        self.stopped = True
        return self.server.stop(grace_ms)

    def tearDown(self):
        self.channel.close()
        if not self.stopped:
            last = self.stop()
            self.assertEqual(last["started"], last["released"], last)

    def failure(self, call):
        """The grpc.RpcError of a call that must fail."""
        with self.assertRaises(grpc.RpcError) as caught:
            call()
        return caught.exception


def details_of(error):
    """{type name: message} of an error's google.rpc.Status."""
    trailers = dict(error.trailing_metadata())
    status = status_pb2.Status.FromString(trailers["grpc-status-details-bin"])
    found = {"Status": status}
    for packed in status.details:
        kind = getattr(error_details_pb2, packed.type_url.rsplit(".", 1)[1])
        message = kind()
        assert packed.Unpack(message), packed.type_url
        found[kind.DESCRIPTOR.name] = message
    return found
