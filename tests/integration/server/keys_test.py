"""Goal: once there is a key, nobody comes in without one, or does what its roles don't let him; a
key that is revoked or has expired ends what is open under it; no key is written down anywhere.
Method: the real polosd, called through channels that show a key; every method of the protos, with
what its `access` says taken from the descriptors."""
import os
import queue
import signal
import subprocess
import sys
import threading
import unittest

import grpc
from polos.v1 import (access_pb2, admin_pb2, admin_pb2_grpc, agents_pb2, agents_pb2_grpc,
                      definitions_pb2, tools_pb2, tools_pb2_grpc, topics_pb2, topics_pb2_grpc,
                      workflows_pb2, workflows_pb2_grpc)

from tests.lib import polosd

ROLES = {"caller": access_pb2.KEY_ROLE_CALLER, "host": access_pb2.KEY_ROLE_HOST,
         "approver": access_pb2.KEY_ROLE_APPROVER, "reader": access_pb2.KEY_ROLE_READER,
         "admin": access_pb2.KEY_ROLE_ADMIN}
DENIED = (grpc.StatusCode.UNAUTHENTICATED, grpc.StatusCode.PERMISSION_DENIED)
HOUR_MS = 3600 * 1000


def files():
    for name in ("admin", "agents", "queues", "runs", "schedules", "suspend", "tools", "topics",
                 "workflows"):
        yield __import__("polos.v1." + name + "_pb2", fromlist=["DESCRIPTOR"]).DESCRIPTOR


def methods():
    """Path -> the roles that may call it, of every method there is."""
    found = {}
    for file in files():
        for service in file.services_by_name.values():
            for method in service.methods:
                rule = method.GetOptions().Extensions[access_pb2.access]
                found["/%s/%s" % (service.full_name, method.name)] = set(rule.roles)
    return found


def metadata_of(key):
    return [("authorization", "Bearer " + key)] if key else []


def ask(channel, path, key, messages=(b"",), timeout=20):
    """How a call ends: (code, reason, sentence). Bytes both ways, whatever the method's kind."""
    call = channel.stream_stream(path)(iter(messages), metadata=metadata_of(key), timeout=timeout)
    try:
        for _ in call:
            pass
    except grpc.RpcError as error:
        reason, _, sentence = polosd.details_of(error)
        return error.code(), reason, sentence
    return grpc.StatusCode.OK, "", ""


def command(server, *arguments):
    """What `polosd keys` prints; its exit status and complaint."""
    done = subprocess.run([polosd.BINARY, "keys", *arguments, "--data", server.data],
                          capture_output=True, text=True, timeout=60)
    return done.returncode, done.stdout.strip(), done.stderr.strip()


class Keys(unittest.TestCase):
    def setUp(self):
        self.server = polosd.Server()
        self.addCleanup(self.server.close)
        self.shown = []

    def start(self, *options):
        self.server.options = list(options)
        self.server.start()
        self.admin = admin_pb2_grpc.AdminServiceStub(self.server.channel)

    def make_root(self):
        self.root = self.create(None, "admin")

    def create(self, by, *roles, **fields):
        fields.setdefault("name", "+".join(roles))
        made = self.admin.CreateKey(
            admin_pb2.AdminServiceCreateKeyRequest(roles=[ROLES[r] for r in roles], **fields),
            metadata=metadata_of(by))
        self.shown.append(made.secret)
        return made.secret

    def revoke(self, key, by=None):
        return self.admin.RevokeKey(
            admin_pb2.AdminServiceRevokeKeyRequest(key_id=key[:14]),
            metadata=metadata_of(by or self.root)).key

    # ---- Who comes in. ----

    def test_every_method_denies_every_key_that_is_no_good(self):
        self.start()
        self.make_root()
        expired = self.create(self.root, "admin", lifetime=polosd.length(HOUR_MS))
        revoked = self.create(self.root, "admin")
        self.revoke(revoked)
        self.server.stop()
        self.start("--clock-ahead-ms", str(2 * HOUR_MS))
        wrong = self.root[:-1] + ("A" if self.root[-1] != "A" else "B")
        keys = {None: "KEY_MISSING", wrong: "KEY_UNKNOWN", revoked: "KEY_REVOKED",
                expired: "KEY_EXPIRED", "polos_00000000" + self.root[14:]: "KEY_UNKNOWN",
                "secret": "KEY_MALFORMED", self.root + "x": "KEY_MALFORMED"}
        paths = list(methods()) + ["/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo"]
        self.assertGreater(len(paths), 50)
        for path in paths:
            for key, reason in keys.items():
                with self.subTest(path=path, reason=reason):
                    code, said, sentence = ask(self.server.channel, path, key)
                    self.assertEqual((code, said), (DENIED[0], reason))
                    self.assertNotIn(self.root[15:], sentence)
                    self.assertNotIn(key[15:] if key and len(key) > 15 else "\0", sentence)

    def test_every_method_denies_every_role_that_it_does_not_name(self):
        self.start()
        self.make_root()
        keys = {role: self.create(self.root, role) for role in ROLES}
        checked = 0
        for path, allowed in methods().items():
            self.assertTrue(allowed)
            for role, number in ROLES.items():
                with self.subTest(path=path, role=role):
                    code, reason, sentence = ask(self.server.channel, path, keys[role])
                    if number in allowed or role == "admin":
                        self.assertNotIn(code, DENIED)
                        continue
                    self.assertEqual((code, reason), (DENIED[1], "PERMISSION_DENIED"))
                    self.assertIn(role.upper(), sentence)
                    self.assertIn("ADMIN", sentence)
                    checked += 1
        self.assertGreater(checked, 100)

    def test_a_server_without_keys_is_open_and_says_so_and_the_first_key_closes_it(self):
        self.start()
        self.assertIn("no_keys", self.server.log())
        path = "/polos.v1.RunService/List"
        self.assertEqual(ask(self.server.channel, path, None)[0], grpc.StatusCode.OK)
        with self.assertRaises(grpc.RpcError) as raised:
            self.create(None, "reader")
        self.assertEqual(polosd.details_of(raised.exception)[0], "KEY_NOT_ADMIN")
        following = self.follow(None, "before")
        self.make_root()
        self.assertEqual(following.get(timeout=20), (DENIED[0], "KEY_MISSING"))
        self.assertEqual(ask(self.server.channel, path, None)[:2], (DENIED[0], "KEY_MISSING"))
        self.assertEqual(ask(self.server.channel, path, self.root)[0], grpc.StatusCode.OK)
        health = ask(self.server.channel, "/grpc.health.v1.Health/Check", None)
        self.assertEqual(health[0], grpc.StatusCode.OK)
        self.server.kill()
        self.start()
        self.assertEqual(ask(self.server.channel, path, None)[:2], (DENIED[0], "KEY_MISSING"))
        self.assertEqual(ask(self.server.channel, path, self.root)[0], grpc.StatusCode.OK)

    def test_two_keys_live_at_once_and_the_last_one_does_not_open_the_server(self):
        self.start()
        self.make_root()
        other = self.create(self.root, "admin")
        revoked = self.revoke(self.root, by=other)
        self.assertTrue(revoked.HasField("revoked_at"))
        self.assertEqual(self.revoke(self.root, by=other), revoked)  # Again: the same.
        self.assertEqual(self.revoke(other, by=other).id, other[:14])  # Its own: it is answered.
        path = "/polos.v1.RunService/List"
        for key, reason in ((self.root, "KEY_REVOKED"), (other, "KEY_REVOKED"),
                            (None, "KEY_MISSING")):
            self.assertEqual(ask(self.server.channel, path, key)[:2], (DENIED[0], reason))

    def test_what_is_asked_of_keys_is_checked(self):
        self.start()
        self.make_root()
        for fields, field in (
                (dict(name=""), "name"), (dict(name="a\nb"), "name"),
                (dict(name="x" * 201), "name"),
                (dict(project_id="other"), "project_id"), (dict(offers=["x"]), "offers"),
                (dict(lifetime=polosd.length(1)), "lifetime")):
            with self.subTest(fields=fields), self.assertRaises(grpc.RpcError) as raised:
                self.create(self.root, "reader", **fields)
            self.assertEqual(polosd.details_of(raised.exception)[:2], ("INVALID_FIELD", field))
        for roles in ([], [0], [17]):
            with self.subTest(roles=roles), self.assertRaises(grpc.RpcError) as raised:
                self.admin.CreateKey(admin_pb2.AdminServiceCreateKeyRequest(
                    name="x", roles=roles), metadata=metadata_of(self.root))
            self.assertIn("roles", polosd.details_of(raised.exception)[1])
        with self.assertRaises(grpc.RpcError) as raised:
            self.revoke("polos_00000001")
        self.assertEqual(polosd.details_of(raised.exception)[:2], ("KEY_NOT_FOUND", "key_id"))

    def test_keys_are_listed_by_name_in_pages(self):
        self.start()
        self.make_root()
        for name in ("c", "a", "b"):
            self.create(self.root, "host", "caller", name=name, offers=[name + "*"])
        names, token = [], None
        while token != "":
            page = self.admin.ListKeys(admin_pb2.AdminServiceListKeysRequest(
                page_size=3, page_token=token), metadata=metadata_of(self.root))
            names += [key.name for key in page.keys]
            token = page.next_page_token
        self.assertEqual(names, ["a", "admin", "b", "c"])
        key = page.keys[0]
        self.assertEqual((key.project_id, list(key.roles), list(key.offers)),
                         ("default", [access_pb2.KEY_ROLE_CALLER, access_pb2.KEY_ROLE_HOST],
                          ["c*"]))
        self.assertRegex(key.id, r"^polos_[0-9a-f]{8}$")

    # ---- Who has to go. ----

    def follow(self, key, topic):
        """A queue that gets how the stream ended; it is open when this returns."""
        ended = queue.Queue()
        stub = topics_pb2_grpc.TopicServiceStub(self.server.channel)
        call = stub.Subscribe(topics_pb2.TopicServiceSubscribeRequest(topic=topic, follow=True),
                              metadata=metadata_of(key))
        call.initial_metadata()

        def read():
            try:
                for _ in call:
                    pass
                ended.put(None)
            except grpc.RpcError as error:
                ended.put((error.code(), polosd.details_of(error)[0]))
        threading.Thread(target=read, daemon=True).start()
        return ended

    def test_a_revoked_key_ends_its_streams_and_no_other_and_before_it_is_answered(self):
        self.start()
        self.make_root()
        key, other = self.create(self.root, "reader"), self.create(self.root, "reader")
        mine = [self.follow(key, "t%d" % i) for i in range(100)]
        theirs = self.follow(other, "t")
        self.revoke(key)
        for ended in mine:
            self.assertEqual(ended.get(timeout=20), (DENIED[0], "KEY_REVOKED"))
        self.assertTrue(theirs.empty())
        self.revoke(other)
        self.assertEqual(theirs.get(timeout=20), (DENIED[0], "KEY_REVOKED"))

    def test_a_key_that_expires_ends_its_streams(self):
        self.start()
        self.make_root()
        key = self.create(self.root, "reader", lifetime=polosd.length(1000))
        ended = self.follow(key, "t")
        self.assertEqual(ended.get(timeout=20), (DENIED[0], "KEY_EXPIRED"))

    def dial(self, key, host_id, offers):
        """A host's stream, as two queues: what it says, what it hears; its end is heard last."""
        say, hear = queue.Queue(), queue.Queue()
        stub = tools_pb2_grpc.ToolServiceStub(self.server.channel)
        call = stub.Connect(iter(say.get, None), metadata=metadata_of(key))
        say.put(polosd.hello_of(host_id=host_id, slots=1, **offers))

        def read():
            try:
                for envelope in call:
                    hear.put(envelope)
                hear.put(None)
            except grpc.RpcError as error:
                hear.put((error.code(),) + polosd.details_of(error)[:2])
        threading.Thread(target=read, daemon=True).start()
        self.addCleanup(call.cancel)
        return hear

    def task_of(self, hear):
        while True:
            heard = hear.get(timeout=20)
            self.assertNotIsInstance(heard, tuple)
            for message in heard.messages:
                if message.HasField("task"):
                    return message.task

    def test_a_host_whose_key_is_revoked_loses_what_it_holds_at_once(self):
        self.start("--lease-ms", str(HOUR_MS), "--redial-ms", str(HOUR_MS))
        self.make_root()
        first, second = self.create(self.root, "host"), self.create(self.root, "host")
        flow = {"workflows": [definitions_pb2.WorkflowDefinition(id="flow")]}
        lost = self.dial(first, "one", flow)
        run = workflows_pb2_grpc.WorkflowServiceStub(self.server.channel).Start(
            workflows_pb2.WorkflowServiceStartRequest(workflow_id="flow", input_json="1"),
            metadata=metadata_of(self.root))
        self.assertEqual(self.task_of(lost).run_id, run.run_id)
        heir = self.dial(second, "two", flow)
        self.revoke(first)
        self.assertEqual(self.task_of(heir).run_id, run.run_id)
        heard = lost.get(timeout=20)
        while not isinstance(heard, tuple):
            heard = lost.get(timeout=20)
        self.assertEqual(heard[:2], (DENIED[0], "KEY_REVOKED"))

    # ---- What a host may offer. ----

    def test_a_hello_with_a_name_that_is_not_the_keys_is_refused_whole(self):
        self.start()
        self.make_root()
        key = self.create(self.root, "host", offers=["bill*", "*-tool", "only"])
        tool, flow, agent = (definitions_pb2.ToolDefinition, definitions_pb2.WorkflowDefinition,
                             definitions_pb2.AgentDefinition)
        models = [polosd.model_of()]
        for offers in ({"tools": [tool(id="a-tool"), tool(id="other")]},
                       {"workflows": [flow(id="billing"), flow(id="rebilling")]},
                       {"agents": [agent(id="only-one", models=models)]}):
            with self.subTest(offers=offers):
                hear = self.dial(key, "host", offers)
                self.assertEqual(hear.get(timeout=20),
                                 (DENIED[1], "PERMISSION_DENIED", "hello.offers"))
        found = tools_pb2_grpc.ToolServiceStub(self.server.channel).List(
            tools_pb2.ToolServiceListRequest(), metadata=metadata_of(self.root))
        self.assertEqual(list(found.tools), [])
        hear = self.dial(key, "host", {
            "tools": [tool(id="a-tool")], "workflows": [flow(id="billing")],
            "agents": [agent(id="only", models=models)]})
        self.assertTrue(hear.get(timeout=20).HasField("welcome"))

    def test_an_agent_whose_name_is_not_the_keys_is_not_registered(self):
        self.start()
        self.make_root()
        key = self.create(self.root, "host", offers=["bill*"])
        stub = agents_pb2_grpc.AgentServiceStub(self.server.channel)
        for name, code in (("billing", None), ("other", DENIED[1])):
            agent = definitions_pb2.AgentDefinition(id=name, models=[polosd.model_of()])
            request = agents_pb2.AgentServiceRegisterRequest(agent=agent)
            if code is None:
                stub.Register(request, metadata=metadata_of(key))
                continue
            with self.assertRaises(grpc.RpcError) as raised:
                stub.Register(request, metadata=metadata_of(key))
            self.assertEqual(raised.exception.code(), code)
            self.assertEqual(polosd.details_of(raised.exception)[1], "agent.id")

    # ---- The command. ----

    def test_the_command_makes_the_first_key_and_lists_and_revokes(self):
        status, _, complaint = command(self.server, "create", "--name", "x", "--roles", "reader")
        self.assertEqual(status, 1)
        self.assertIn("ADMIN", complaint)
        status, self.root, _ = command(self.server, "create", "--name", "me", "--roles", "admin")
        self.assertEqual(status, 0)
        self.assertRegex(self.root, r"^polos_[0-9a-f]{8}_[A-Za-z0-9_-]{43}$")
        _, host, _ = command(self.server, "create", "--name=w", "--roles=host,caller",
                               "--offers=a*,b", "--lifetime-s=60")
        status, listed, _ = command(self.server, "list")
        self.assertEqual([line.split() for line in listed.splitlines()],
                         [[self.root[:14], "good", "ADMIN", "me"],
                          [host[:14], "good", "CALLER,", "HOST", "w"]])
        self.assertEqual(command(self.server, "revoke", host[:14])[0], 0)
        self.start()
        path = "/polos.v1.AdminService/ListKeys"
        self.assertEqual(ask(self.server.channel, path, self.root)[0], grpc.StatusCode.OK)
        self.assertEqual(ask(self.server.channel, path, host)[1], "KEY_REVOKED")
        status, _, complaint = command(self.server, "list")
        self.assertEqual(status, 1)
        self.assertIn("polosd", complaint)
        for wrong in (["revoke"], ["create", "--roles", "king"], ["list", "--name", "x"], []):
            with self.subTest(wrong=wrong):
                status, _, complaint = command(self.server, *wrong)
                self.assertEqual(status, 2)
                self.assertIn("polosd keys create", complaint)

    # ---- What is written down. ----

    def test_no_key_is_written_anywhere(self):
        self.start("--log-level", "debug")
        self.make_root()
        caller = self.create(self.root, "caller", "host")
        channel = grpc.intercept_channel(self.server.channel)
        for path in methods():
            for key in (self.root, caller, "x" + caller):
                ask(channel, path, key)
        self.revoke(caller)
        ask(channel, "/polos.v1.RunService/List", caller)
        self.server.stop()
        secrets = [key[15:].encode() for key in self.shown]
        self.assertEqual(len(secrets), 2)
        for folder, _, names in os.walk(self.server.root):
            for name in names:
                with open(os.path.join(folder, name), "rb") as file:
                    held = file.read()
                for secret in secrets:
                    self.assertNotIn(secret, held, name)

    def leaves_core(self, command, is_ready):
        """Whether the system keeps the memory of a process that a bad access ends."""
        shell = ["/bin/sh", "-c", 'ulimit -S -c "$(ulimit -H -c)"; exec "$@"', "sh"]
        process = subprocess.Popen(shell + command, cwd=self.server.root, stdout=subprocess.PIPE,
                                   stderr=subprocess.DEVNULL)
        with process.stdout:
            self.assertTrue(is_ready(process.stdout.readline()))
            process.send_signal(signal.SIGSEGV)
            _, status = os.waitpid(process.pid, 0)
            process.returncode = -signal.SIGSEGV
        self.assertEqual(os.WTERMSIG(status), signal.SIGSEGV)
        return os.WCOREDUMP(status)

    def test_no_memory_is_left_behind_where_it_fails(self):
        other = ["/bin/sh", "-c", "echo; exec sleep 60"]
        if not self.leaves_core(other, lambda line: line == b"\n"):
            self.skipTest("this system keeps the memory of no process")
        server = [os.path.abspath(polosd.BINARY), "--listen", "127.0.0.1:0",
                  "--data", self.server.data]
        self.assertFalse(self.leaves_core(server, lambda line: line.startswith(b"polosd ready")))


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1])
