"""Goal: polos-sandbox gives agents of a real polosd a sandbox each, asks who is to be asked, and
leaves nothing behind, whoever dies.

Method: scripted models that call the tools as real ones would; what happened is read from what they
were told, from histories, and from what there is of folders and processes afterwards.
"""
import json
import os
import shutil
import signal
import subprocess
import tempfile
import time
import unittest

from tests.lib import polosd
from tests.lib.polosd import common_pb2, runs_pb2, suspend_pb2, tools_pb2

PROGRAM = os.path.abspath(os.environ.get("POLOS_SANDBOX_UNDER_TEST", ""))
BOX = os.path.abspath(os.environ.get("POLOS_BOX_UNDER_TEST", ""))
TOOLS = ("exec", "read", "write", "edit", "glob", "grep")
PATIENCE_S = 60


def call(tool, **arguments):
    return {"tool_calls": [{"name": tool, "arguments": arguments}]}


SAY = {"text": "{{tool_result}}"}


class Sandbox:
    """One polos-sandbox."""

    def __init__(self, test, *options):
        self.command = [PROGRAM, "--server", test.server.address, "--box", test.box,
                        "--workspaces", test.workspaces, *options]
        self.test = test
        self.process = None

    def start(self):
        self.process = subprocess.Popen(self.command, stdout=subprocess.PIPE)
        line = self.process.stdout.readline()
        self.test.assertIn(b"polos-sandbox ready", line)
        return self

    def end(self, number=signal.SIGTERM):
        if self.process is not None:
            self.process.send_signal(number)
            code = self.process.wait(PATIENCE_S)
            self.process.stdout.close()
            self.process = None
            return code
        return None


class HostTest(unittest.TestCase):
    LEASE_MS = 15000

    @classmethod
    def setUpClass(cls):
        if not shutil.which("bwrap"):
            raise unittest.SkipTest("bubblewrap is not installed (apt-get install bubblewrap)")
        done = subprocess.run(["bwrap", "--unshare-all", "--unshare-user", "--ro-bind", "/", "/",
                               "--proc", "/proc", "true"], stderr=subprocess.PIPE, check=False)
        if done.returncode != 0:
            raise unittest.SkipTest(f"no sandbox can be made here: {done.stderr.decode()}")

    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        os.chmod(folder.name, 0o755)
        self.workspaces = os.path.join(folder.name, "workspaces")
        self.box = os.path.join(folder.name, "polos-box")
        shutil.copy(BOX, self.box)
        self.server = polosd.Server(["--lease-ms", str(self.LEASE_MS)]).start()
        self.addCleanup(self.server.close)

    def sandbox(self, *options):
        sandbox = Sandbox(self, *options).start()
        self.addCleanup(sandbox.end)
        return sandbox

    def agent(self, *turns, name="coder"):
        """A run of an agent whose model says these."""
        asked = (tools_pb2.ToolServiceGetRequest(tool_id=tool) for tool in TOOLS)
        tools = [self.server.tools.Get(request).tool.definition for request in asked]
        self.server.agent(name, list(turns), tools=tools)
        return self.server.start_agent(name)

    def results(self, run_id):
        """What the model was told, call by call."""
        run = self.server.wait_ended(run_id)
        self.assertEqual(run.status, common_pb2.RUN_STATUS_COMPLETED, run)
        return self.told(run_id)

    def told(self, run_id):
        results = [r for turn in self.server.get(run_id).turns for r in turn.tool_results]
        return [r.error if r.HasField("error") else json.loads(r.result_json) for r in results]

    def until(self, fact, what):
        """For what other processes do by themselves, which nobody is told of."""
        deadline = time.monotonic() + PATIENCE_S
        while not fact():
            self.assertLess(time.monotonic(), deadline, what)
            time.sleep(0.01)

    def assert_nothing_left(self):
        self.until(lambda: not self.processes(), "processes were left")
        self.until(lambda: not os.listdir(self.workspaces), "folders were left")

    def processes(self):
        found = []
        for pid in filter(str.isdigit, os.listdir("/proc")):
            try:
                with open(f"/proc/{pid}/cmdline", "rb") as file:
                    words = file.read().split(b"\0")
                if words[0] == b"bwrap" and self.box.encode() in words:
                    found.append(int(pid))
            except OSError:
                continue
        return found

    def suspension(self, run_id):
        found = []

        def is_asked():
            found[:] = self.server.suspend.List(suspend_pb2.SuspendServiceListRequest(
                run_id=run_id)).suspensions
            return bool(found)

        self.until(is_asked, "nobody was asked")
        return found[0]

    def answer(self, suspension, **answer):
        self.server.suspend.Resume(suspend_pb2.SuspendServiceResumeRequest(
            suspension_id=suspension.id, data_json=json.dumps(answer)))


class ToolsTest(HostTest):
    def test_a_coding_agent_works(self):
        self.sandbox("--exec-security", "allow-always")
        run_id = self.agent(
            call("write", path="add.py", content="def add(a, b):\n    return a - b\n"),
            call("write", path="test_add.py",
                 content="from add import add\nassert add(1, 2) == 3, add(1, 2)\nprint('ok')\n"),
            call("exec", command="python3 -B test_add.py"),
            call("grep", pattern="return a - b"),
            call("edit", path="add.py", old_text="a - b", new_text="a + b"),
            call("exec", command="python3 -B test_add.py"),
            call("glob", pattern="*.py"),
            call("read", path="add.py"),
            {"text": "done"})
        told = self.results(run_id)
        self.assertEqual(told[2]["exit_code"], 1)
        self.assertIn("AssertionError: -1", told[2]["stderr"])
        self.assertEqual(told[3]["matches"][0]["path"], "/workspace/add.py")
        self.assertEqual((told[5]["exit_code"], told[5]["stdout"]), (0, "ok\n"))
        self.assertEqual(told[6]["files"], ["/workspace/add.py", "/workspace/test_add.py"])
        self.assertEqual(told[7]["content"], "def add(a, b):\n    return a + b\n")
        self.assert_nothing_left()

    def test_each_tree_has_a_sandbox_of_its_own(self):
        self.sandbox("--exec-security", "allow-always")
        first = self.results(self.agent(call("write", path="mine", content="x"),
                                        call("exec", command="ls"), {"text": "done"}))
        second = self.results(self.agent(call("exec", command="ls"), {"text": "done"}, name="b"))
        self.assertEqual((first[1]["stdout"], second[0]["stdout"]), ("mine\n", ""))
        self.assert_nothing_left()

    def test_a_workspace_of_the_users_stays(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        if os.geteuid() == 0:
            os.chown(folder.name, 64999, 64999)
        self.sandbox("--exec-security", "allow-always", "--workspace", folder.name,
                     "--env", "GREETING=hello")
        told = self.results(self.agent(call("exec", command="echo $GREETING > here"),
                                       {"text": "done"}))
        self.assertEqual(told[0]["exit_code"], 0, told)
        with open(os.path.join(folder.name, "here"), encoding="utf-8") as file:
            self.assertEqual(file.read(), "hello\n")

    def test_a_failure_of_a_tool_is_told(self):
        self.sandbox()
        told = self.results(self.agent(call("read", path="../../etc/passwd"),
                                       call("read", path="nothing"), {"text": "done"}))
        self.assertEqual(told[0].reason, "PERMISSION_DENIED")
        self.assertIn("No such file", told[1].message)

    def test_where_it_is_forbidden_nothing_runs(self):
        """A bubblewrap that says what the real one says in a container."""
        program = os.path.join(os.path.dirname(self.workspaces), "bwrap")
        with open(program, "w", encoding="utf-8") as file:
            file.write("#!/bin/sh\necho 'bwrap: Creating new namespace failed: Operation not "
                       "permitted' >&2\nexit 1\n")
        os.chmod(program, 0o755)
        path = os.environ["PATH"]
        self.addCleanup(os.environ.__setitem__, "PATH", path)
        os.environ["PATH"] = os.path.dirname(program) + ":" + path
        self.sandbox("--exec-security", "allow-always")
        told = self.results(self.agent(call("exec", command="true"), {"text": "done"}))
        self.assertEqual(told[0].reason, "FAILED_PRECONDITION")
        self.assertIn("--security-opt seccomp=unconfined", told[0].message)

    def test_what_a_command_prints_is_shown_while_it_runs(self):
        self.sandbox("--exec-security", "allow-always")
        run_id = self.agent(call("exec", command="mkfifo f; read x < f; echo begun; read x < f"),
                            {"text": "done"})
        fifo = os.path.join(self.workspaces, run_id, "f")
        shown = ""
        for answer in self.server.watch(run_id):
            if not shown:
                # Somebody watches: now it may print.
                self.until(lambda: os.path.exists(fifo), "the command never began")
                shown = "watching: "
                with open(fifo, "w", encoding="utf-8") as file:
                    file.write("x\n")
            if answer.HasField("delta") and answer.delta.kind == runs_pb2.DELTA_KIND_PROGRESS:
                shown += answer.delta.text
                break
        self.assertEqual(shown, "watching: begun\n")
        self.server.runs.Cancel(runs_pb2.RunServiceCancelRequest(run_id=run_id))
        self.server.wait_ended(run_id)
        self.assert_nothing_left()


class ApprovalTest(HostTest):
    def test_a_command_asks_and_runs_as_it_was_shown(self):
        self.sandbox()
        command = "echo 'a  b' > f; cat f"
        run_id = self.agent(call("exec", command=command), {"text": "done"})
        suspension = self.suspension(run_id)
        shown = json.loads(suspension.data_json)
        self.assertEqual(shown["_form"]["context"]["command"], command)
        self.assertEqual((shown["_source"], shown["_tool"]), ("exec_security", "exec"))
        self.answer(suspension, approved=True)
        self.assertEqual(self.results(run_id)[0]["stdout"], "a  b\n")
        self.assert_nothing_left()

    def test_a_no_is_told_with_its_reason(self):
        self.sandbox()
        run_id = self.agent(call("exec", command="rm -rf ."), {"text": "done"})
        self.answer(self.suspension(run_id), approved=False, feedback="use git clean")
        self.assertEqual(self.results(run_id)[0], {
            "exit_code": -1, "stdout": "", "duration_ms": 0, "truncated": False,
            "stderr": "Command rejected by user: rm -rf .\nUser feedback: use git clean"})

    def test_always_is_remembered_in_the_sandbox(self):
        self.sandbox()
        run_id = self.agent(call("exec", command="echo x"), call("exec", command="echo x"),
                            call("exec", command="echo y"), {"text": "done"})
        self.answer(self.suspension(run_id), approved=True, allow_always=True)
        self.until(lambda: len(self.told(run_id)) == 2, "the second command asked")
        suspension = self.suspension(run_id)
        self.assertIn("echo y", suspension.data_json)
        self.answer(suspension, approved=True)
        self.assertEqual([r["stdout"] for r in self.results(run_id)], ["x\n", "x\n", "y\n"])

    def test_an_allowlist_asks_about_the_others(self):
        self.sandbox("--exec-security", "allowlist", "--allow", "echo *", "--allow", "ls")
        run_id = self.agent(call("exec", command="echo 'a;  b'"),
                            call("exec", command="echo a; touch stolen"), {"text": "done"})
        suspension = self.suspension(run_id)
        context = json.loads(suspension.data_json)["_form"]["context"]
        self.assertEqual(context["command"], "echo a; touch stolen")
        self.assertIn("which means something to a shell", context["reason"])
        self.answer(suspension, approved=False)
        told = self.results(run_id)
        self.assertEqual((told[0]["stdout"], told[1]["exit_code"]), ("a;  b\n", -1))

    def test_files_ask_where_it_is_wanted(self):
        self.sandbox("--file-approval")
        run_id = self.agent(call("write", path="a", content="x"), call("glob", pattern="*"),
                            {"text": "done"})
        suspension = self.suspension(run_id)
        self.assertEqual(json.loads(suspension.data_json)["_form"]["context"],
                         {"path": "a", "content": "x"})
        self.answer(suspension, approved=False, feedback="not there")
        told = self.results(run_id)
        self.assertEqual(told[0].message,
                         "The change was rejected by user. User feedback: not there")
        self.assertEqual(told[1]["files"], [])

    def test_a_question_outlives_its_host_and_the_server(self):
        first = self.sandbox()
        run_id = self.agent(call("write", path="a", content="kept"),
                            call("exec", command="cat a"), {"text": "done"})
        suspension = self.suspension(run_id)
        first.end(signal.SIGKILL)
        self.server.kill()
        self.server.start()
        self.sandbox()
        self.answer(suspension, approved=True)
        self.assertEqual(self.results(run_id)[1]["stdout"], "kept")
        self.assert_nothing_left()


class ServerDeathTest(HostTest):
    def test_a_call_outlives_the_server(self):
        self.sandbox("--exec-security", "allow-always")
        run_id = self.agent(call("exec", command="echo once >> times; mkfifo f; echo begun; "
                                                 "read x < f; cat times"), {"text": "done"})
        fifo = os.path.join(self.workspaces, run_id, "f")
        self.until(lambda: os.path.exists(fifo), "the command never began")
        self.server.kill()
        self.server.start()
        with open(fifo, "w", encoding="utf-8") as file:
            file.write("x\n")
        told = self.results(run_id)
        self.assertEqual(told[0]["stdout"], "begun\nonce\n", told)
        self.assert_nothing_left()


class DeathTest(HostTest):
    LEASE_MS = 600
    LONG = "touch begun; setsid sleep 1000 & sleep 1000"

    def begun(self, run_id):
        """Waits until its command is at work."""
        begun = os.path.join(self.workspaces, run_id, "begun")
        self.until(lambda: os.path.exists(begun), "the command never began")

    def test_a_cancelled_run_leaves_nothing(self):
        self.sandbox("--exec-security", "allow-always")
        run_id = self.agent(call("exec", command=self.LONG), {"text": "done"})
        self.begun(run_id)
        self.server.runs.Cancel(runs_pb2.RunServiceCancelRequest(run_id=run_id))
        run = self.server.wait_ended(run_id)
        self.assertEqual(run.status, common_pb2.RUN_STATUS_CANCELLED)
        self.assert_nothing_left()

    def test_a_killed_host_leaves_nothing_and_repeats_nothing(self):
        first = self.sandbox("--exec-security", "allow-always")
        run_id = self.agent(call("exec", command="echo once >> times; " + self.LONG),
                            call("exec", command="cat times"), {"text": "done"})
        self.begun(run_id)
        first.end(signal.SIGKILL)
        self.until(lambda: not self.processes(), "processes were left")
        self.sandbox("--exec-security", "allow-always")
        told = self.results(run_id)
        self.assertEqual(told[-1]["stdout"], "once\n")
        self.assert_nothing_left()

    def test_what_a_killed_host_left_is_found(self):
        first = self.sandbox("--exec-security", "allow-always")
        run_id = self.agent(call("exec", command="mkdir -p a/b/c && chmod 0 a/b && " + self.LONG),
                            {"text": "done"})
        self.begun(run_id)
        first.end(signal.SIGKILL)
        self.server.runs.Cancel(runs_pb2.RunServiceCancelRequest(run_id=run_id))
        self.server.wait_ended(run_id)
        self.assertEqual(os.listdir(self.workspaces), [run_id])
        self.sandbox()
        self.assert_nothing_left()

    def test_a_host_that_leaves_ends_its_calls(self):
        sandbox = self.sandbox("--exec-security", "allow-always")
        run_id = self.agent(call("exec", command=self.LONG), {"text": "done"})
        self.begun(run_id)
        self.assertEqual(sandbox.end(), 0)
        self.assertEqual(self.processes(), [])

    def test_a_server_that_is_not_there_is_waited_for_aloud(self):
        command = [PROGRAM, "--workspaces", self.workspaces, "--box", self.box,
                   "--server", "127.0.0.1:1"]
        with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
            try:
                said = process.stderr.readline()
            finally:
                process.terminate()
        self.assertIn("waits for a server at 127.0.0.1:1; is polosd running there?", said)

    def test_wrong_options_are_refused(self):
        for options, said in ((["--fly", "1"], "There is no option --fly"),
                              (["--exec-security", "never"], "allow-always, not never"),
                              (["--calls-max", "0"], "a number from 1 to 1000"),
                              (["--tools", "fly"], "There is no tool fly"),
                              (["--box", "/nowhere"], "There is no program /nowhere: say")):
            with self.subTest(options=options):
                command = [PROGRAM, "--workspaces", self.workspaces, "--box", self.box, *options]
                done = subprocess.run(command, stderr=subprocess.PIPE, text=True, check=False)
                self.assertEqual(done.returncode, 2)
                self.assertIn(said, done.stderr)


if __name__ == "__main__":
    unittest.main()
