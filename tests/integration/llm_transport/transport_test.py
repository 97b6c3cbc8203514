"""Goal:   a model call ends well, or with a failure that says why, whatever the network does;
        each is one request.
Method: the real client against a server that cuts, stalls and refuses as each case says.
        Deadlines are configured small; no case waits for anything but an event.
"""
import gzip
import ipaddress
import json
import os
import shutil
import socket
import ssl
import subprocess
import tempfile
import time
import unittest
import zlib

from tests.integration.llm_transport.probe import KEY, ask
from tests.integration.llm_transport.replay import (
    CUT,
    HANG,
    Pause,
    Raw,
    ReplayServer,
    Response,
    chunk,
    split,
    sse,
)

USAGE = {"prompt_tokens": 5, "completion_tokens": 2}
HELLO = sse(
    chunk({"role": "assistant", "content": ""}),
    chunk({"content": "Grüße, "}),
    chunk({"content": "Welt 😀"}),
    chunk({}, "stop"),
    {"id": "r1", "model": "m1", "choices": [], "usage": USAGE},
)
SAID = "Grüße, Welt 😀"
WEATHER_TOOL = {
    "name": "get_weather",
    "description": "Weather of a place",
    "parameters": {"type": "object", "properties": {"place": {"type": "string"}}},
}


def error(**members):
    return json.dumps({"error": members}).encode()


def refusal(status, body=b'{"error":{"message":"no"}}', **headers):
    names = {name.replace("_", "-"): value for name, value in headers.items()}
    return Response(body, status=status, headers=names, content_type="application/json")


def certificate(folder):
    """A TLS context for 127.0.0.1, and the environment of a client that trusts it."""
    path, key = (os.path.join(folder, name) for name in ("c.pem", "k.pem"))
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2",
         "-keyout", key, "-out", path, "-subj", "/CN=127.0.0.1",
         "-addext", "subjectAltName=IP:127.0.0.1"],
        check=True, capture_output=True,
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(path, key)
    return context, {"SSL_CERT_FILE": path}


class Streams(unittest.TestCase):
    def check_hello(self, outcome):
        self.assertEqual(outcome.last["event"], "done", outcome.events)
        self.assertEqual(outcome.shown(), SAID)
        self.assertEqual(outcome.blocks("text")[0]["text"], SAID)
        self.assertEqual((outcome.last["input"], outcome.last["output"]), (5, 2))

    def test_streams_however_the_bytes_arrive(self):
        for seed in range(5):
            with ReplayServer(Response(*split(HELLO, seed))) as server:
                self.check_hello(ask(server.url))
        with ReplayServer(Response(HELLO)) as server:
            self.check_hello(ask(server.url))

    def test_body_without_length_ends_with_the_connection(self):
        raw = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n" + HELLO
        with ReplayServer(Raw(raw, CUT)) as server:
            self.check_hello(ask(server.url))

    def test_done_counts_although_the_connection_stays_open(self):
        with ReplayServer(Response(HELLO, HANG)) as server:
            self.check_hello(ask(server.url, idle_ms=30000))

    def test_reply_is_whole_when_only_the_end_of_the_body_is_lost(self):
        without_done = HELLO.replace(b"data: [DONE]\n\n", b"")
        with ReplayServer(Response(without_done, CUT)) as server:
            self.check_hello(ask(server.url))
            self.assertEqual(len(server.requests), 1)

    def test_json_body_in_place_of_a_stream(self):
        body = json.dumps(
            {
                "model": "m1",
                "choices": [{"message": {"content": SAID}, "finish_reason": "stop"}],
                "usage": USAGE,
            }
        ).encode()
        with ReplayServer(Response(*split(body, 1), content_type="application/json")) as server:
            self.check_hello(ask(server.url))

    def test_slow_stream_has_no_total_limit(self):
        pieces = []
        for piece in HELLO.splitlines(keepends=True):
            pieces += [piece, Pause(0.1)]
        begun = time.monotonic()
        with ReplayServer(Response(*pieces)) as server:
            self.check_hello(ask(server.url, first_byte_ms=600, idle_ms=600))
        self.assertGreater(time.monotonic() - begun, 0.9)

    def test_comments_keep_a_thinking_stream_alive(self):
        alive = [b": keep-alive\n\n", Pause(0.15)] * 8
        with ReplayServer(Response(*alive, HELLO)) as server:
            self.check_hello(ask(server.url, first_byte_ms=700, idle_ms=700))

    def test_comments_do_not_keep_it_alive_for_ever(self):
        alive = [b": keep-alive\n\n", Pause(0.05)] * 1000
        with ReplayServer(Response(*alive, HELLO)) as server:
            outcome = ask(server.url, quiet_ms=400)
            self.assertEqual(outcome.last["reason"], "IDLE_TIMEOUT")
            self.assertIn("nothing but signs of life", outcome.last["message"])
            self.assertTrue(outcome.last["retryable"])

    def test_connection_is_used_again(self):
        with ReplayServer(Response(HELLO)) as server:
            outcome = ask(server.url, repeat=3)
            self.check_hello(outcome)
            self.assertEqual((len(server.requests), server.connections), (3, 1))

    def test_kept_connection_that_is_dead_costs_nothing(self):
        with ReplayServer(Response(HELLO), Raw(CUT), Response(HELLO)) as server:
            outcome = ask(server.url, repeat=2)
            self.check_hello(outcome)
            self.assertEqual(outcome.shown(call=2), SAID)
            self.assertEqual((len(server.requests), server.connections), (3, 2))

    def test_connection_that_speaks_unasked_is_not_used_again(self):
        forged = sse(chunk({"content": "forged"}), chunk({}, "stop"))
        forged = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n" \
                 b"Content-Length: %d\r\n\r\n%s" % (len(forged), forged)
        for unasked in (forged, b"junk", b"HTTP/1.1 408 Request Timeout\r\n\r\n"):
            for secure in (False, True):
                with self.subTest(unasked=unasked, secure=secure), \
                        tempfile.TemporaryDirectory() as folder:
                    go_file = os.path.join(folder, "go")
                    tls, trust = certificate(folder) if secure else (None, {})
                    first = Response(HELLO, unasked=unasked, go_file=go_file)
                    with ReplayServer(first, Response(HELLO), tls=tls) as server:
                        outcome = ask(server.url, trust, repeat=2, go_file=go_file)
                        self.assertEqual(outcome.last["call"], 2)
                        self.check_hello(outcome)
                        self.assertEqual(outcome.shown(call=2), SAID)
                        self.assertNotIn("model_retry", outcome.log)
                        self.assertEqual((len(server.requests), server.connections), (2, 2))

    def test_empty_answer_is_one_and_is_logged(self):
        with ReplayServer(Response(sse(chunk({"content": ""}), chunk({}, "stop")))) as server:
            outcome = ask(server.url)
            self.assertEqual((outcome.last["event"], outcome.shown()), ("done", ""))
            self.assertIn("model_empty", outcome.log)
            self.assertIn("stop=stop", outcome.log)

    def test_compressed_answers_are_read(self):
        for name, pack in (("gzip", gzip.compress), ("deflate", zlib.compress)):
            with self.subTest(name=name):
                packed = Response(*split(pack(HELLO), 3), headers={"Content-Encoding": name})
                with ReplayServer(packed) as server:
                    self.check_hello(ask(server.url))
                    self.assertNotIn("accept-encoding", server.requests[0].headers)

    def test_calls_beyond_the_limit_wait_their_turn(self):
        with ReplayServer(Response(Pause(0.05), HELLO)) as server:
            outcome = ask(server.url, count=7, calls_max=2)
            ended = [event["call"] for event in outcome.events if event["event"] == "done"]
            self.assertEqual(sorted(ended), list(range(1, 8)))
            self.assertEqual(server.busy_most, 2)


class Requests(unittest.TestCase):
    def sent(self, **members):
        with ReplayServer(Response(HELLO)) as server:
            ask(server.url, **members)
            return server.requests[0]

    def test_request_is_what_the_dialect_wants(self):
        schema = '{"type":"object","properties":{"n":{"const":9007199254740993}}}'
        request = self.sent(
            system="Be brief.",
            tools=[WEATHER_TOOL],
            output_schema=json.loads(schema),
            options={"seed": 7, "stream_options": {"include_usage": False}},
        )
        self.assertEqual(request.line, "POST /v1/chat/completions HTTP/1.1")
        self.assertEqual(request.headers["authorization"], f"Bearer {KEY}")
        self.assertEqual(request.headers["content-type"], "application/json")
        self.assertNotIn("expect", request.headers)
        self.assertNotIn("accept-encoding", request.headers)
        body = request.json
        self.assertEqual(body["model"], "m1")
        self.assertEqual(
            body["messages"],
            [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "hello"}],
        )
        self.assertEqual(body["tools"], [{"type": "function", "function": WEATHER_TOOL}])
        self.assertIs(body["stream"], True)
        self.assertEqual(body["stream_options"], {"include_usage": False})
        self.assertEqual(body["seed"], 7)
        self.assertIn(b"9007199254740993", request.body)

    def test_each_dialect_has_its_path_and_headers(self):
        with ReplayServer(Response(HELLO)) as server:
            ask(server.url, {"ANTHROPIC_API_KEY": "k"}, provider="anthropic")
            request = server.requests[0]
        self.assertEqual(request.line, "POST /v1/messages HTTP/1.1")
        self.assertEqual(request.headers["x-api-key"], "k")
        self.assertEqual(request.headers["anthropic-version"], "2023-06-01")
        self.assertNotIn("authorization", request.headers)

        with ReplayServer(Response(HELLO)) as server:
            ask(server.url + "/?a=b", {"GEMINI_API_KEY": "k"}, provider="gemini", model="m/1 ?")
            request = server.requests[0]
        self.assertEqual(request.line,
                         "POST /v1/models/m%2F1%20%3F:streamGenerateContent?alt=sse&a=b HTTP/1.1")
        self.assertEqual(request.headers["x-goog-api-key"], "k")

    def test_large_request_is_sent_at_once(self):
        text = "é" * 2_000_000
        request = self.sent(messages=[{"role": "user", "text": text}])
        self.assertNotIn("expect", request.headers)
        self.assertEqual(request.json["messages"][0]["content"], text)

    def test_tool_loop_goes_back_in_order(self):
        call = {"id": "call_1", "name": "get_weather", "arguments": '{"place": "Rome"}'}
        request = self.sent(
            messages=[
                {"role": "user", "text": "weather?"},
                {"role": "assistant", "origin": "openai/m1", "calls": [call]},
                {"role": "tool", "result": {"id": "call_1", "name": "get_weather", "text": "22"}},
            ]
        )
        function = {"name": "get_weather", "arguments": '{"place": "Rome"}'}
        self.assertEqual(
            request.json["messages"][1:],
            [
                {
                    "role": "assistant",
                    "content": None,
                    "tool_calls": [{"id": "call_1", "type": "function", "function": function}],
                },
                {"role": "tool", "tool_call_id": "call_1", "content": "22"},
            ],
        )


class Failures(unittest.TestCase):
    """Each call is one request; what is told says whether another one makes sense."""

    def check_failed(self, response, **members):
        with ReplayServer(response) as server:
            outcome = ask(server.url, **members)
            self.assertEqual(outcome.last["event"], "failed", outcome.events)
            self.assertEqual(len(server.requests), 1)
            return outcome

    def check_worth_another(self, response, **members):
        failed = self.check_failed(response, **members)
        self.assertTrue(failed.last["retryable"], failed.last)
        self.assertFalse(failed.last["partial"])
        return failed

    def test_busy_servers_may_be_asked_again(self):
        for status in (408, 409, 429, 498, 500, 502, 503, 504, 529):
            with self.subTest(status=status):
                failed = self.check_worth_another(refusal(status, retry_after_ms="1"))
                self.assertEqual(failed.last["retry_after_ms"], 1)

    def test_last_attempt_is_not_worth_another(self):
        busy = refusal(503)
        self.check_worth_another(busy, attempt=3)
        failed = self.check_failed(busy, attempt=4)
        self.assertFalse(failed.last["retryable"])
        self.assertIn("given up after 4 tries", failed.last["message"])
        self.check_worth_another(busy, attempt=4, attempts_max=5)

    def test_hint_has_a_ceiling(self):
        for hint in ({"retry_after": "3600"}, {"x_ratelimit_remaining_requests": "0",
                                               "x_ratelimit_reset_requests": "1h0m0s"}):
            failed = self.check_failed(refusal(429, **hint))
            self.assertEqual(failed.last["retry_after_ms"], 3600000)
            self.assertEqual(failed.last["reason"], "RATE_LIMITED")
            self.assertFalse(failed.last["retryable"])
            self.assertIn("3600 s", failed.last["message"])
            self.assertIn("--model-retry-after-max-ms", failed.last["message"])
            self.check_worth_another(refusal(429, **hint), retry_after_max_ms=3600000)

    def test_some_failures_are_for_ever(self):
        cases = [
            (429, error(message="x", code="insufficient_quota"), "QUOTA"),
            (402, b"{}", "QUOTA"),
            (400, error(message="x", code="context_length_exceeded"), "CONTEXT_TOO_LONG"),
            (400, b"plain words", "MODEL_REFUSED_REQUEST"),
            (401, b'{"detail":"Invalid API Key"}', "KEY_REFUSED"),
            (403, b"<html>no</html>", "FORBIDDEN"),
            (404, error(message="x", code="model_not_found"), "MODEL_NOT_FOUND"),
            (413, b"", "REQUEST_TOO_LARGE"),
            (422, b'{"detail":[{"msg":"Field required"}]}', "MODEL_REFUSED_REQUEST"),
            (302, b"", "REDIRECTED"),
        ]
        for status, body, reason in cases:
            with self.subTest(status=status):
                failed = self.check_failed(refusal(status, body))
                self.assertEqual(failed.last["reason"], reason)
                self.assertEqual(failed.last["http"], status)
                self.assertFalse(failed.last["retryable"])
                self.assertFalse(failed.last["partial"])
                self.assertNotEqual(failed.last["message"], "")

    def test_server_may_forbid_a_retry(self):
        self.check_failed(refusal(500, x_should_retry="false"))

    def test_key_is_never_repeated(self):
        failed = self.check_failed(refusal(401, error(message=f"bad key {KEY}!")))
        self.assertEqual(failed.last["message"], "bad key " + "*" * len(KEY) + "!")
        self.assertNotIn(KEY, failed.log)

    def test_loss_before_content(self):
        head = sse(chunk({"role": "assistant", "content": ""}), done=False)
        cases = [Raw(CUT), Raw(b"HTTP/1.1 200 OK\r\nContent-", CUT), Response(CUT)]
        cases += [Response(head, CUT), Response(head), Response()]
        for number, lost in enumerate(cases):
            with self.subTest(number=number):
                self.check_worth_another(lost)

    def test_loss_after_content_is_told(self):
        shown = sse(chunk({"content": "Grü"}), done=False)
        for number, lost in enumerate([Response(shown, CUT), Response(shown)]):
            with self.subTest(number=number):
                failed = self.check_failed(lost)
                self.assertTrue(failed.last["partial"])
                self.assertTrue(failed.last["retryable"])
                self.assertEqual(failed.shown(), "Grü")

    def test_every_cut_gives_a_whole_reply_or_a_failure(self):
        end = HELLO.index(b'"finish_reason": "stop"')

        def choose(number, _):
            return Response(HELLO[: number * 13], CUT)

        rounds = len(HELLO) // 13
        with ReplayServer(choose=choose) as server:
            outcome = ask(server.url, repeat=rounds)
        ends = {e["call"]: e for e in outcome.events if e["event"] in ("done", "failed")}
        self.assertEqual(len(ends), rounds)
        for number in range(rounds):
            whole = ends[number + 1]["event"] == "done"
            self.assertEqual(whole and number * 13 < end, False, number)
            self.assertTrue(whole or number * 13 < end + 40, number)

    def test_errors_in_the_stream(self):
        busy = {"error": {"message": "busy", "code": "server_is_overloaded"}}
        self.check_worth_another(Response(sse(busy, done=False)))
        shown = chunk({"content": "Grü"})
        failed = self.check_failed(Response(sse(shown, busy, done=False)))
        self.assertEqual(failed.last["reason"], "MODEL_OVERLOADED")
        self.assertTrue(failed.last["partial"])
        filtered = error(message="filtered", code="content_filter", status=400)
        failed = self.check_failed(Response(filtered, content_type="application/json"))
        self.assertEqual(failed.last["reason"], "CONTENT_FILTERED")

    def test_garbage_is_named(self):
        failed = self.check_failed(
            Response(b"<html>Sign in</html>", content_type="text/html")
        )
        self.assertEqual(failed.last["reason"], "NOT_A_MODEL")
        failed = self.check_failed(Response(b"data: {{{\n\n"))
        self.assertEqual(failed.last["reason"], "MODEL_GARBLED")

    def test_what_is_no_http_is_named_with_its_url(self):
        frames = b"\x00\x00\x06\x04\x00\x00\x00\x00\x00\x00\x05\x00\x00\x40\x00"
        for number, raw in enumerate((b"SSH-2.0-OpenSSH_9.2\r\n", frames)):
            with self.subTest(number=number), ReplayServer(Raw(raw, CUT)) as server:
                failed = ask(server.url)
                self.assertEqual(failed.last["reason"], "NOT_A_MODEL")
                self.assertFalse(failed.last["retryable"])
                for words in (server.url + "/chat/completions", "no HTTP", "check host and port"):
                    self.assertIn(words, failed.last["message"])

    def test_other_answers_are_named_with_their_url(self):
        cases = [
            (Response(b"<html>Log in</html>", content_type="text/html"), "NOT_A_MODEL", "web page"),
            (refusal(404, b"404 page not found"), "NOT_A_MODEL", "check the base URL"),
            (refusal(302, b"", Location="http://elsewhere.example/v1"), "REDIRECTED",
             "http://elsewhere.example/v1"),
            (Response(HELLO, headers={"Content-Encoding": "zstd1"}), "TRANSPORT_FAILED",
             "compressed"),
            (Response(HELLO, headers={"X-Long": "x" * 70000}), "TRANSPORT_FAILED", "64 KiB"),
        ]
        for response, reason, words in cases:
            with self.subTest(words=words), ReplayServer(response) as server:
                failed = ask(server.url + "?secret=1")
                self.assertEqual(failed.last["reason"], reason)
                self.assertIn(words, failed.last["message"])
                self.assertIn(server.url + "/chat/completions", failed.last["message"])
                self.assertNotIn("secret", failed.last["message"])
                self.assertFalse(failed.last["retryable"])

    def test_nobody_listens(self):
        with ReplayServer(Response()) as server:
            url = server.url
        failed = ask(url)
        self.assertEqual(failed.last["reason"], "CONNECT_FAILED")
        self.assertTrue(failed.last["retryable"])
        for words in ("openai", url, "is the server running?"):
            self.assertIn(words, failed.last["message"])
        failed = ask(provider="ollama", environment={"OLLAMA_BASE_URL": url})
        self.assertIn("OLLAMA_BASE_URL", failed.last["message"])


class Deadlines(unittest.TestCase):
    def test_silence_before_the_first_byte(self):
        for response in (Raw(HANG), Response(HANG)):
            with ReplayServer(response) as server:
                outcome = ask(server.url, first_byte_ms=150)
                self.assertEqual(outcome.last["reason"], "FIRST_BYTE_TIMEOUT")
                self.assertEqual(outcome.last["code"], "DEADLINE_EXCEEDED")
                self.assertFalse(outcome.last["partial"])
                self.assertTrue(server.hung_up.wait(10))

    def test_silence_in_the_middle(self):
        shown = sse(chunk({"content": "Grü"}), done=False)
        with ReplayServer(Response(shown, HANG)) as server:
            outcome = ask(server.url, first_byte_ms=30000, idle_ms=150)
            self.assertEqual(outcome.last["reason"], "IDLE_TIMEOUT")
            self.assertTrue(outcome.last["partial"])
            self.assertEqual(len(server.requests), 1)

    def test_another_attempt_has_a_connection_of_its_own(self):
        with ReplayServer(Response(HELLO)) as server:
            self.assertEqual(ask(server.url, attempt=2, repeat=2).last["event"], "done")
            self.assertEqual(server.connections, 2)

    def test_cancel_ends_the_connection_and_nothing_follows(self):
        shown = sse(chunk({"content": "Grü"}), done=False)
        with ReplayServer(Response(shown, HANG)) as server:
            outcome = ask(server.url, cancel_after=1)
            self.assertEqual([event["event"] for event in outcome.events], ["cancelled"])
            self.assertTrue(server.hung_up.wait(10))


@unittest.skipIf(shutil.which("openssl") is None, "no openssl command")
class Tls(unittest.TestCase):
    def test_only_certificates_we_trust(self):
        with tempfile.TemporaryDirectory() as folder:
            context, trust = certificate(folder)
            with ReplayServer(Response(*split(HELLO, 3)), tls=context) as server:
                refused = ask(server.url)
                self.assertEqual(refused.last["reason"], "CERTIFICATE_REFUSED")
                self.assertEqual(server.requests, [])
                trusted = ask(server.url, environment=trust)
                self.assertEqual(trusted.last["event"], "done", trusted.events)
                self.assertEqual(trusted.shown(), SAID)


class Refusals(unittest.TestCase):
    def check_refused(self, code, words, **members):
        outcome = ask(**members)
        self.assertEqual(outcome.last["event"], "refused", outcome.events)
        self.assertEqual(outcome.last["code"], code)
        for word in words:
            self.assertIn(word, outcome.last["message"])

    def test_what_could_never_work_is_refused(self):
        self.check_refused(
            "INVALID_ARGUMENT", ['"opanai"', "openai", "scripted"], provider="opanai"
        )
        self.check_refused("FAILED_PRECONDITION", ["GROQ_API_KEY"], provider="groq")
        self.check_refused(
            "FAILED_PRECONDITION", ["OPENAI_COMPATIBLE_BASE_URL"], provider="openai_compatible"
        )
        self.check_refused("INVALID_ARGUMENT", ["https://"], base_url="ftp://x")
        for url in ("http://x y/", "http://", "http:///v1", "http://x:99999/v1", "http://x:0",
                    "http://x/v1#a", "http://%6c/v1", "http://a@", "https://[::1/v1"):
            self.check_refused("INVALID_ARGUMENT", ["base_url"], base_url=url)
        self.check_refused("INVALID_ARGUMENT", ["options"], options=[1])
        self.check_refused("INVALID_ARGUMENT", ["model"], model="")
        self.check_refused(
            "INVALID_ARGUMENT", ["get_weather"], tools=[dict(WEATHER_TOOL, parameters=[1])]
        )
        self.check_refused(
            "INVALID_ARGUMENT", ["script[1]"], provider="scripted",
            options={"script": [{"text": "a"}, {"txt": "b"}]},
        )


class Addresses(unittest.TestCase):
    """A stranger's base URL leads to public addresses, and to what was named."""

    NOBODY = {"POLOSD_KEY_HOSTS": ""}
    for name in ("http_proxy", "https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"):
        NOBODY[name] = ""

    def outcome(self, server, host="127.0.0.1", environment=None, **members):
        """Of a call whose agent names the server by that host."""
        url = server.url.replace("127.0.0.1", host)
        return ask(url, dict(self.NOBODY, **(environment or {})),
                   provider="openai_compatible", **members).last

    def test_who_names_what(self):
        with ReplayServer(Response(HELLO)) as server:
            port = server.url.split(":")[2].split("/")[0]
            here = {"POLOSD_KEY_HOSTS": "127.0.0.1"}
            url = {"OPENAI_COMPATIBLE_BASE_URL": server.url}
            for environment, members in (
                ({}, {"model_hosts": "local"}),
                ({}, {"model_hosts": "local", "listen": "127.0.0.1:1"}),
                ({}, {"model_hosts": "local", "listen": "localhost:0"}),
                ({}, {"model_hosts": "none, 127.0.0.1", "listen": "0.0.0.0:1"}),
                ({}, {"model_hosts": "127.0.0.1:" + port, "listen": "0.0.0.0:1"}),
                (here, {"model_hosts": "none"}),
                (url, {"model_hosts": "none"}),
            ):
                with self.subTest(environment=environment, members=members):
                    last = self.outcome(server, environment=environment, **members)
                    self.assertEqual(last["event"], "done", last)
            asked = len(server.requests)
            for members in (
                {"model_hosts": "none"},
                {"model_hosts": "private"},
                {"model_hosts": "local", "listen": "0.0.0.0:1"},
                {"model_hosts": "local", "listen": "[::]:1"},
                {"model_hosts": "local", "listen": "10.0.0.1:1"},
                {"model_hosts": "127.0.0.1:1, other.example"},
            ):
                for host in ("127.0.0.1", "localhost", "127.1", "2130706433", "[::1]", "0.0.0.0",
                             "[::ffff:127.0.0.1]"):
                    with self.subTest(members=members, host=host):
                        last = self.outcome(server, host, **members)
                        self.assertEqual(last["event"], "refused", last)
                        self.assertEqual(last["code"], "INVALID_ARGUMENT")
                        for words in ("--model-hosts", "OPENAI_COMPATIBLE_BASE_URL", host):
                            self.assertIn(words, last["message"])
            self.assertEqual(len(server.requests), asked)

    def test_special_addresses_are_refused(self):
        for host in ("169.254.169.254", "[fe80::1]", "[::ffff:169.254.169.254]", "10.0.0.1"):
            last = ask(f"http://{host}/v1", self.NOBODY, provider="openai_compatible").last
            self.assertEqual((last["event"], last["code"]), ("refused", "INVALID_ARGUMENT"), last)

    @unittest.skipIf(socket.gethostname() in ("localhost", ""), "this machine has no name")
    def test_names_are_judged_by_where_they_lead(self):
        name = socket.gethostname()
        try:
            addresses = {entry[4][0] for entry in socket.getaddrinfo(name, 1)}
        except OSError:
            self.skipTest("the name of this machine leads nowhere")
        if any(ipaddress.ip_address(address).is_global for address in addresses):
            self.skipTest("the name of this machine leads outside")
        with ReplayServer(Response(HELLO)) as server:
            last = self.outcome(server, name, model_hosts="none")
            self.assertEqual((last["event"], last["reason"]), ("failed", "ADDRESS_REFUSED"), last)
            self.assertIn("--model-hosts", last["message"])
            self.assertFalse(last["retryable"])
            self.assertEqual(server.connections, 0)

    def test_polosd_itself_is_no_model(self):
        with ReplayServer(Response(HELLO)) as server:
            port = server.url.split(":")[2].split("/")[0]
            for listen in ("127.0.0.1:", "localhost:", "0.0.0.0:", "[::]:"):
                with self.subTest(listen=listen):
                    last = ask(provider="llamacpp", listen=listen + port,
                               environment={"LLAMACPP_BASE_URL": server.url}).last
                    self.assertEqual(last["event"], "refused", last)
                    for words in ("polosd itself", "LLAMACPP_BASE_URL", "--listen"):
                        self.assertIn(words, last["message"])
            self.assertEqual(server.requests, [])


class Keys(unittest.TestCase):
    """A key goes only where the people who run the server have said."""

    def sent_key(self, path="", **environment):
        """The Authorization header the server gets from an agent that names its URL."""
        with ReplayServer(Response(HELLO)) as server:
            values = {name: value.replace("URL", server.url).replace(
                "HOST", server.url.split("/")[2]) for name, value in environment.items()}
            provider = values.pop("provider", "openai_chat")
            variables = dict({"POLOSD_KEY_HOSTS": ""}, **values)
            outcome = ask(server.url + path, variables, provider=provider)
            if outcome.last["event"] == "done":
                return server.requests[0].headers.get("authorization", "none")
            self.assertEqual(server.requests, [])
            self.assertEqual(outcome.last["event"], "refused", outcome.events)
            self.assertEqual(outcome.last["code"], "FAILED_PRECONDITION")
            self.assertNotIn(KEY, outcome.last["message"])
            for word in ("POLOSD_KEY_HOSTS", "OPENAI_BASE_URL", "OPENAI_API_KEY", "127.0.0.1:"):
                self.assertIn(word, outcome.last["message"])
            return "refused"

    def test_key_goes_where_it_may(self):
        bearer = f"Bearer {KEY}"
        self.assertEqual(self.sent_key(OPENAI_BASE_URL="URL"), bearer)
        self.assertEqual(self.sent_key("/", OPENAI_BASE_URL="URL"), bearer)
        self.assertEqual(self.sent_key(POLOSD_KEY_HOSTS="a.example, HOST"), bearer)
        self.assertEqual(self.sent_key(POLOSD_KEY_HOSTS="127.0.0.1"), bearer)

    def test_key_goes_nowhere_else(self):
        self.assertEqual(self.sent_key(), "refused")
        self.assertEqual(self.sent_key("/more", OPENAI_BASE_URL="URL"), "refused")
        self.assertEqual(self.sent_key(POLOSD_KEY_HOSTS="127.0.0.1:1,localhost"), "refused")
        self.assertEqual(self.sent_key(OPENAI_BASE_URL="http://127.0.0.1:1/v1"), "refused")
        self.assertEqual(self.sent_key(OLLAMA_BASE_URL="URL"), "refused")

    def test_servers_without_keys_are_asked_without_one(self):
        for provider in ("ollama", "openai_compatible"):
            variable = provider.upper() + "_API_KEY"
            self.assertEqual(self.sent_key(provider=provider), "none")
            self.assertEqual(self.sent_key(provider=provider, **{variable: "k"}), "none")
            self.assertEqual(
                self.sent_key(provider=provider, POLOSD_KEY_HOSTS="HOST", **{variable: "k"}),
                "Bearer k",
            )


if __name__ == "__main__":
    unittest.main()
