"""Goal: with certificates the port speaks TLS 1.2 and 1.3, gRPC over it and pages, and new
certificates are taken without a restart.
Method: authorities made for the test by openssl; gRPC's, Python's and OpenSSL's own clients."""
import contextlib
import os
import signal
import socket
import ssl
import subprocess
import tempfile
import unittest

import grpc

from tests.lib import polosd
from tests.lib.http2 import begin, is_cut


class Authority:
    """Signs certificates; in files of a folder."""

    def __init__(self, folder, name):
        self.folder, self.name = folder, name
        self.file = self.path("ca.pem")
        openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1",
                "-nodes", "-days", "2", "-subj", f"/CN={name}", "-keyout", self.path("ca.key"),
                "-out", self.file)

    def path(self, name):
        return os.path.join(self.folder, f"{self.name}-{name}")

    def sign(self, name):
        """(certificate, key) for `localhost`."""
        key, request, certificate = (self.path(f"{name}.{end}") for end in ("key", "csr", "pem"))
        openssl("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
                "-subj", f"/CN={name}", "-addext", "subjectAltName=DNS:localhost", "-keyout", key,
                "-out", request)
        openssl("x509", "-req", "-in", request, "-CA", self.file, "-CAkey", self.path("ca.key"),
                "-days", "2", "-copy_extensions", "copy", "-out", certificate)
        return certificate, key


def openssl(*arguments, **options):
    return subprocess.run(["openssl", *arguments], check=True, capture_output=True, timeout=60,
                          **options).stdout.decode()


def read(path):
    with open(path, "rb") as file:
        return file.read()


class TlsTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.TemporaryDirectory()
        cls.addClassCleanup(cls.folder.cleanup)
        cls.authority = Authority(cls.folder.name, "one")
        cls.other = Authority(cls.folder.name, "two")
        cls.certificate, cls.key = cls.authority.sign("server")

    def start(self, *options, certificate=None, key=None):
        self.server = polosd.Server(["--tls-certificates", certificate or self.certificate,
                                     "--tls-key", key or self.key, *options])
        self.addCleanup(self.server.close)
        self.server.start()
        self.port = int(self.server.address.rsplit(":", 1)[1])

    def check(self, credentials=None):
        """Health, by a new connection of gRPC's own client."""
        credentials = credentials or grpc.ssl_channel_credentials(read(self.authority.file))
        with grpc.secure_channel(f"localhost:{self.port}", credentials,
                                 [("grpc.use_local_subchannel_pool", 1)]) as channel:
            call = channel.unary_unary("/grpc.health.v1.Health/Check")
            return call(b"", timeout=20) == b"\x08\x01"

    def connect(self, alpn=("h2",), version=None, **about):
        context = ssl.create_default_context(cafile=about.get("cafile", self.authority.file))
        context.set_alpn_protocols(alpn)
        if version:
            context.minimum_version = context.maximum_version = version
        peer = socket.create_connection(("127.0.0.1", self.port), timeout=20)
        self.addCleanup(peer.close)
        return context.wrap_socket(peer, server_hostname="localhost")

    # ---- what is spoken ----

    def test_grpc_over_tls(self):
        self.start()
        self.assertTrue(self.check())

    def test_large_messages_both_ways(self):
        """Through the records of TLS: a payload of a megabyte comes back whole."""
        self.start()
        self.server.channel.close()
        credentials = grpc.ssl_channel_credentials(read(self.authority.file))
        channel = grpc.secure_channel(f"localhost:{self.port}", credentials)
        self.addCleanup(channel.close)
        self.server.workflows = polosd.workflows_pb2_grpc.WorkflowServiceStub(channel)
        self.server.runs = polosd.runs_pb2_grpc.RunServiceStub(channel)
        text = "x" * 1_000_000
        ids = [self.server.start_workflow("w", text) for _ in range(8)]
        for run_id in ids:
            self.assertEqual(len(self.server.get(run_id).input_json), len(text) + 2)

    def test_versions(self):
        self.start()
        for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
            with self.connect(version=version) as peer:
                self.assertEqual(peer.selected_alpn_protocol(), "h2")
        old = subprocess.run(
            ["openssl", "s_client", "-connect", f"127.0.0.1:{self.port}", "-tls1_1", "-cipher",
             "ALL:@SECLEVEL=0"],
            stdin=subprocess.DEVNULL, capture_output=True, timeout=60, check=False)
        self.assertNotEqual(old.returncode, 0)
        self.assertIn(b"alert protocol version", old.stderr)

    def test_who_offers_http_1_gets_pages(self):
        """Browsers and HTTP libraries offer both; the core would take their requests for gRPC."""
        self.start()
        with self.connect(alpn=("h2", "http/1.1")) as peer:
            self.assertEqual(peer.selected_alpn_protocol(), "http/1.1")
            peer.sendall(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
            self.assertIn(b"gRPC", peer.recv(4096))

    def test_who_does_not_keep_to_what_was_agreed_is_cut(self):
        self.start()
        with self.connect(alpn=("h2",)) as peer:
            peer.sendall(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
            self.assertTrue(is_cut(peer))

    def test_without_tls_nobody_is_served(self):
        self.start()
        with begin(self.port) as peer:
            self.assertTrue(is_cut(peer))

    def test_both_are_served_when_asked_for(self):
        self.start("--tls-only", "0")
        self.assertTrue(self.check())
        self.server.start_workflow("w")  # Its own channel is plain.

    def test_tls_where_none_is_served(self):
        server = polosd.Server()
        self.addCleanup(server.close)
        server.start()
        self.port = int(server.address.rsplit(":", 1)[1])
        with self.assertRaisesRegex(ssl.SSLError, "(?i)handshake.failure"):
            self.connect()

    # ---- who clients are ----

    def test_clients_show_certificates(self):
        self.start("--tls-client-ca", self.authority.file)
        ca = read(self.authority.file)
        for signer, is_welcome in ((self.authority, True), (self.other, False)):
            certificate, key = signer.sign("client")
            mine = grpc.ssl_channel_credentials(ca, read(key), read(certificate))
            if is_welcome:
                self.assertTrue(self.check(mine))
            else:
                with self.assertRaises(grpc.RpcError):
                    self.check(mine)
        with self.assertRaises(grpc.RpcError):  # Without one.
            self.check()

    # ---- certificates change ----

    def test_new_certificates_by_a_signal(self):
        here = {name: os.path.join(self.folder.name, "live-" + name) for name in ("pem", "key")}

        def put(certificate, key):
            for source, name in ((certificate, "pem"), (key, "key")):
                with open(here[name], "wb") as file:
                    file.write(read(source))

        put(self.certificate, self.key)
        self.start(certificate=here["pem"], key=here["key"])
        self.assertTrue(self.check())
        put(*self.other.sign("server"))
        self.hup("certificates_read")
        self.assertTrue(self.check(grpc.ssl_channel_credentials(read(self.other.file))))
        put(self.certificate, self.certificate)  # No key is in there.
        self.hup("certificates_kept")
        self.assertTrue(self.check(grpc.ssl_channel_credentials(read(self.other.file))))

    def hup(self, what):
        self.server.process.send_signal(signal.SIGHUP)
        while what not in self.server.log():
            pass

    def test_a_hangup_without_certificates_ends_the_server(self):
        server = polosd.Server()
        self.addCleanup(server.close)
        server.start()
        server.process.send_signal(signal.SIGHUP)
        self.assertEqual(server.wait(), -signal.SIGHUP)

    # ---- mistakes ----

    def refusal(self, *options):
        server = polosd.Server(options)
        self.addCleanup(server.close)
        self.assertFalse(server.try_start())
        return server.log().splitlines()[-1]

    def test_files_that_are_wrong_are_named(self):
        said = self.refusal("--tls-certificates", "/nowhere.pem", "--tls-key", self.key)
        self.assertIn("--tls-certificates /nowhere.pem: No such file or directory", said)
        said = self.refusal("--tls-certificates", self.certificate, "--tls-key", self.certificate)
        self.assertIn("--tls-key " + self.certificate, said)
        said = self.refusal("--tls-certificates", self.certificate, "--tls-key",
                            self.other.sign("server")[1])
        self.assertIn("key values mismatch", said)
        said = self.refusal("--tls-certificates", self.certificate)
        self.assertIn("tls-certificates and tls-key come together", said)
        said = self.refusal("--tls-client-ca", self.authority.file)
        self.assertIn("tls-client-ca needs tls-certificates", said)

    # ---- peers that want too much ----

    def test_handshakes_that_go_no_further(self):
        """Many that begin and say no more are cut; others come in meanwhile."""
        self.start()
        hello = b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"
        peers = []
        for _ in range(200):
            peer = socket.create_connection(("127.0.0.1", self.port), timeout=20)
            peer.sendall(hello)
            peers.append(peer)
        self.assertTrue(self.check())
        for peer in peers:
            with peer:
                self.assertTrue(is_cut(peer))

    def test_renegotiation_is_refused(self):
        self.start()
        with contextlib.suppress(subprocess.TimeoutExpired):
            done = subprocess.run(["openssl", "s_client", "-connect", f"127.0.0.1:{self.port}",
                                   "-tls1_2", "-alpn", "h2"], input=b"R\n", capture_output=True,
                                  timeout=60, check=False)
            self.assertIn(b"no renegotiation", done.stderr + done.stdout)
        self.assertTrue(self.check())


if __name__ == "__main__":
    unittest.main()
