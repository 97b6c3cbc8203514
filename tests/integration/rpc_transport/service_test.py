"""What the transport serves itself, and how it ends: reflection, health, drain and stop."""
import os
import shutil
import subprocess
import unittest

import grpc

from tests.integration.rpc_transport.harness import (
    Api,
    Server,
    ServerTest,
    details_of,
    fields,
    reflect,
    text_field,
)

SERVING, NOT_SERVING, SERVICE_UNKNOWN = 1, 2, 3
FILES, SERVICES, ERROR = 4, 6, 7  # ServerReflectionResponse.message_response
VERSIONS = ("v1", "v1alpha")
TOOLS = os.path.join(os.environ.get("POLOS_WORKSPACE", "."), ".tools", "bin")
GRPCURL = shutil.which("grpcurl", path=os.pathsep.join((TOOLS, os.environ.get("PATH", ""))))


def file_names(answer):
    return [dict(fields(data))[1].decode() for _, data in fields(answer[FILES])]


class ReflectionTest(ServerTest):
    def test_lists_services(self):
        for version in VERSIONS:
            answer = reflect(self.channel, text_field(7, ""), version)
            names = [dict(fields(data))[1].decode() for _, data in fields(answer[SERVICES])]
            self.assertEqual(
                sorted(names),
                [
                    "grpc.health.v1.Health",
                    "grpc.reflection.v1.ServerReflection",
                    "grpc.reflection.v1alpha.ServerReflection",
                    "polos.v1.RunService",
                    "polos.v1.ToolService",
                ],
            )

    def test_files_by_symbol(self):
        for symbol in (
            "polos.v1.RunService",  # service
            "polos.v1.RunService.Watch",  # method
            "polos.v1.Delta",  # message
            "polos.v1.Delta.text",  # field
            "polos.v1.DeltaKind",  # enum
            "polos.v1.DELTA_KIND_TEXT",  # its value, named beside it
            "polos.v1.RunServiceWatchResponse.event",  # oneof
        ):
            for version in VERSIONS:
                answer = reflect(self.channel, text_field(4, symbol), version)
                names = file_names(answer)
                self.assertEqual(names[0], "polos/v1/runs.proto", symbol)
                self.assertIn("polos/v1/common.proto", names)  # What it imports comes along.

    def test_files_by_symbol_within_a_message(self):
        for symbol in (
            "polos.v1.Waiting.Kind",  # nested enum
            "polos.v1.Waiting.KIND_SLEEP",  # its value, named beside it
        ):
            for version in VERSIONS:
                answer = reflect(self.channel, text_field(4, symbol), version)
                self.assertEqual(file_names(answer)[0], "polos/v1/common.proto", symbol)

    def test_file_by_name(self):
        answer = reflect(self.channel, text_field(3, "google/rpc/status.proto"))
        self.assertEqual(
            file_names(answer), ["google/rpc/status.proto", "google/protobuf/any.proto"]
        )

    def test_what_is_not_there_is_an_error_in_the_answer(self):
        for question in (
            text_field(3, "no/such.proto"),
            text_field(4, "polos.v1.Nope"),
            text_field(4, "polos.v1"),
            text_field(4, ""),
            text_field(5, text_field(1, "polos.v1.Run")),
            text_field(6, "polos.v1.Run"),
        ):
            answer = reflect(self.channel, question)
            self.assertEqual(dict(fields(answer[ERROR]))[1], 5, question)
            self.assertEqual(answer[2], question)  # The question is echoed.
        self.assertEqual(dict(fields(reflect(self.channel, b"")[ERROR]))[1], 3)

    def test_stream_stays_open_after_an_error(self):
        call = self.channel.stream_stream(
            "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo"
        )
        questions = [text_field(4, "polos.v1.Nope"), text_field(7, ""), text_field(7, "")]
        answers = [dict(fields(data)) for data in call(iter(questions), timeout=20)]
        self.assertEqual([ERROR in a for a in answers], [True, False, False])

    @unittest.skipUnless(GRPCURL, "there is no grpcurl (./run setup installs it)")
    def test_grpcurl(self):
        address = f"127.0.0.1:{self.server.port}"
        listed = subprocess.run(
            [GRPCURL, "-plaintext", address, "list"], capture_output=True, text=True, check=True
        )
        self.assertIn("polos.v1.RunService", listed.stdout)
        described = subprocess.run(
            [GRPCURL, "-plaintext", address, "describe", "polos.v1.RunService.Watch"],
            capture_output=True,
            text=True,
            check=True,
        )
        self.assertIn("returns ( stream .polos.v1.RunServiceWatchResponse )", described.stdout)


class HealthTest(ServerTest):
    def test_check(self):
        self.assertEqual(self.api.health(), SERVING)
        self.assertEqual(self.api.health("polos.v1.RunService"), SERVING)
        self.assertEqual(self.api.health("grpc.health.v1.Health"), SERVING)
        error = self.failure(lambda: self.api.health("polos.v1.Nope"))
        self.assertEqual(error.code(), grpc.StatusCode.NOT_FOUND)
        self.assertEqual(details_of(error)["ErrorInfo"].reason, "SERVICE_NOT_FOUND")

    def test_watch_hears_the_drain(self):
        calls = [self.api.health_watch(name) for name in ("", "polos.v1.ToolService", "no.such")]
        self.assertEqual(
            [next(call).status for call in calls], [SERVING, SERVING, SERVICE_UNKNOWN]
        )
        self.server.tell("drain")
        self.assertEqual([next(call).status for call in calls[:2]], [NOT_SERVING] * 2)
        self.stop()
        for call in calls:  # The end, and no status twice.
            error = self.failure(lambda: next(call))
            self.assertEqual(error.code(), grpc.StatusCode.UNAVAILABLE)


class EndTest(ServerTest):
    def hold(self, count):
        while self.server.stats()["held"] < count:
            pass

    def test_drain_refuses_new_connections(self):
        self.server.tell("drain")
        other = grpc.insecure_channel(
            f"127.0.0.1:{self.server.port}", options=[("grpc.use_local_subchannel_pool", 1)]
        )
        error = self.failure(lambda: Api(other))
        self.assertEqual(error.code(), grpc.StatusCode.UNAVAILABLE)
        other.close()

    def test_drain_lets_a_call_in_flight_finish(self):
        later = self.api.get_later("hold")
        self.hold(1)
        self.assertEqual(self.server.tell("drain"), "draining")
        self.assertFalse(later.done())
        self.server.tell("release")
        self.assertEqual(later.result().run.id, "released")

    def test_drain_lets_a_stream_go_on(self):
        call = self.api.watch("hold")
        self.hold(1)
        self.server.tell("drain")
        self.assertEqual(self.server.tell("publish 3 5"), "published 1")
        self.assertEqual([next(call).position for _ in range(3)], [f"yyyyy/{i}" for i in range(3)])
        self.stop()

    def test_stop_ends_streams_with_a_sentence(self):
        counting = self.api.watch("count 1000000 1000")
        held = self.api.watch("hold")
        first = next(counting)
        self.assertEqual(first.position[-2:], "/0")
        self.hold(1)
        self.server.begin_stop(grace_ms=5000)
        for call in (counting, held):
            error = self.failure(lambda: list(call))
            self.assertEqual(error.code(), grpc.StatusCode.UNAVAILABLE)
            self.assertEqual(error.details(), "server is shutting down; reconnect")
            self.assertEqual(details_of(error)["ErrorInfo"].reason, "SERVER_SHUTTING_DOWN")
        last = self.stop()
        self.assertEqual(last["started"], last["released"], last)
        self.assertEqual(last["closed"], 2)  # Both handlers heard of it.

    def test_stop_cancels_after_the_grace(self):
        unread = self.api.watch("count 1000000 1000")  # Its end waits behind what nobody reads.
        unread.initial_metadata()
        last = self.stop(grace_ms=200)
        self.assertEqual((last["started"], last["closed"], last["released"]), (1, 1, 1))
        error = self.failure(lambda: list(unread))
        self.assertEqual(error.code(), grpc.StatusCode.UNAVAILABLE)

    def test_stop_without_any_call(self):
        last = self.stop(grace_ms=0)
        self.assertEqual(last["started"], 0)

    def test_start_and_stop_many_times(self):
        for _ in range(5):
            server = Server()
            server.stop(grace_ms=0)


if __name__ == "__main__":
    unittest.main()
