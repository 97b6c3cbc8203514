"""Goal: the server can be driven without proto files.
Method: the real grpcurl (a Go program) or, where Go is not there, buf curl, against reflection v1
and v1alpha, and the health service."""
import json
import os
import shutil
import subprocess
import sys
import unittest

from tests.lib import polosd


def tools_folder(*parts):
    return os.path.join(os.environ.get("POLOS_WORKSPACE", "."), *parts)


def find(name, *folders):
    for folder in folders:
        path = os.path.join(folder, name)
        if os.access(path, os.X_OK):
            return path
    return shutil.which(name)


GRPCURL = find("grpcurl", tools_folder(".tools", "bin"))
BUF = find("buf", tools_folder("tests", "node_modules", ".bin"))
REFLECTION = ["grpc-v1", "grpc-v1alpha"]


class Surface(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.server = polosd.Server().start()
        cls.server.agent("echo", [{"text": "you said {{input}}"}])

    @classmethod
    def tearDownClass(cls):
        cls.server.close()

    def run_tool(self, command):
        # Where the machine's Node is too old or missing, ./run puts one into the environment.
        path = tools_folder(".venv", "bin") + os.pathsep + os.environ.get("PATH", "")
        done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, timeout=30,
                              check=False, env=dict(os.environ, PATH=path))
        self.assertEqual(done.returncode, 0, done.stderr.decode())
        return done.stdout.decode()

    def grpcurl(self, *arguments, data=None):
        command = [GRPCURL, "-plaintext"] + (["-d", json.dumps(data)] if data is not None else [])
        return self.run_tool(command + [self.server.address] + list(arguments))

    def buf(self, protocol, *arguments, data=None):
        command = [BUF, "curl", "--protocol", "grpc", "--http2-prior-knowledge",
                   "--reflect-protocol", protocol]
        command += ["-d", json.dumps(data)] if data is not None else []
        return self.run_tool(command + list(arguments))

    @unittest.skipUnless(GRPCURL, "grpcurl is not there: it needs Go to be built")
    def test_grpcurl_lists_describes_and_calls(self):
        services = self.grpcurl("list").split()
        for name in ["polos.v1.AgentService", "polos.v1.WorkflowService", "polos.v1.ToolService",
                     "polos.v1.SuspendService", "polos.v1.RunService",
                     "polos.v1.TopicService", "polos.v1.QueueService",
                     "polos.v1.ScheduleService", "grpc.health.v1.Health",
                     "grpc.reflection.v1.ServerReflection",
                     "grpc.reflection.v1alpha.ServerReflection"]:
            self.assertIn(name, services)
        self.assertIn("rpc Watch", self.grpcurl("describe", "polos.v1.RunService"))
        self.assertIn("idempotency_key", self.grpcurl("describe", "polos.v1.StartOptions"))
        run = json.loads(self.grpcurl("polos.v1.AgentService/Run",
                                      data={"agent_id": "echo", "input": "hi"}))["run"]
        self.assertEqual(json.loads(run["resultJson"]), "you said hi")
        got = json.loads(self.grpcurl("polos.v1.RunService/Get", data={"run_id": run["id"]}))
        self.assertEqual(got["run"]["status"], "RUN_STATUS_COMPLETED")
        history = json.loads(self.grpcurl("polos.v1.RunService/History",
                                          data={"run_id": run["id"]}))
        kinds = ["runStarted", "modelRequested", "modelReplied", "runCompleted"]
        for event, kind in zip(history["events"], kinds, strict=True):
            self.assertIn(kind, event)
        self.assertEqual(history["events"][0]["runStarted"]["inputJson"], '"hi"')
        watched = self.grpcurl("polos.v1.RunService/Watch", data={"run_id": run["id"]})
        self.assertIn('"ended"', watched)
        self.assertIn("SERVING", self.grpcurl("grpc.health.v1.Health/Check"))

    @unittest.skipUnless(BUF, "buf is not there: ./run test installs it from npm")
    def test_buf_curl_speaks_both_reflections(self):
        url = "http://" + self.server.address
        for protocol in REFLECTION:
            with self.subTest(protocol=protocol):
                methods = self.buf(protocol, "--list-methods", url)
                self.assertIn("polos.v1.RunService/Watch", methods)
                run = json.loads(self.buf(protocol, url + "/polos.v1.AgentService/Run",
                                          data={"agentId": "echo", "input": "hi"}))["run"]
                self.assertEqual(json.loads(run["resultJson"]), "you said hi")


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1], verbosity=2)
