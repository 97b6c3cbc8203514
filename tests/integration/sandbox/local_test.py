"""Goal: from a sandbox of bubblewrap nothing leads out, and what it may do it can do.

Method: a corpus of ways out, each a command that succeeds if it got there. Every one is tried in
the sandbox, where none may succeed, and outside of it (the control), where those must that this
machine and user could do at all; how many that were is told.
"""
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import unittest
import uuid

from tests.integration.sandbox.box import PROGRAM, Box, Failure, frames, outcome

PROBE = os.environ.get("LOCAL_PROBE", "")
PYTHON = "/usr/bin/python3"
USER = 64999  # Whom a workspace belongs to when the tests are root's.
CONTROLS_MIN = 10  # Of root's; an ordinary user can do less anyway.


def python(*lines):
    program = "\n".join(lines).replace("'", "'\\''")
    return f"{PYTHON} -c '{program}'"


def syscall(number, *arguments):
    return python("import ctypes", "libc = ctypes.CDLL(None)",
                  f"exit(0 if libc.syscall({number}, {', '.join(arguments)}) >= 0 else 1)")


def corpus(at):
    """(what, command); `at` says where things of the test lie outside."""
    buffer = "ctypes.create_string_buffer(bytes(128))"
    array = "ctypes.create_string_buffer(bytes([2,0,0,0, 4,0,0,0, 4,0,0,0, 1,0,0,0]) + bytes(112))"
    connect = "socket.create_connection"
    return [
        ("passwords", "cat /etc/shadow"),
        ("somebody's home", f"cat {at['home']}/.ssh/key"),
        ("the database", f"ls {at['data']}/CURRENT"),
        ("host processes", 'test "$(ls -d /proc/[0-9]* | wc -l)" -gt 12'),
        ("system programs", "touch /usr/lib/polos-escape && rm /usr/lib/polos-escape"),
        ("loopback", python("import socket", f"{connect}(('127.0.0.1', {at['port']}), 5)")),
        ("other addresses", python("import socket", "s = socket.socket(2, 2)",
                                   "s.connect(('192.0.2.1', 53))")),
        ("user namespaces", "unshare -U true"),
        ("mounts", "unshare -m mount -t tmpfs x /mnt || mount -t tmpfs x /tmp"),
        ("tracing", python("import ctypes", "exit(ctypes.CDLL(None).ptrace(0, 0, 0, 0) != 0)")),
        ("signals", f"kill -0 {at['pid']}"),
        ("raw disks", "for d in /dev/vda /dev/sda /dev/nvme0n1; do "
                      "head -c1 $d >/dev/null 2>&1 && exit 0; done; exit 1"),
        ("sysrq", ": >> /proc/sysrq-trigger"),
        ("core_pattern", ": >> /proc/sys/kernel/core_pattern"),
        ("bpf", syscall(321, "0", array, "72")),
        ("io_uring", syscall(425, "4", buffer)),
        ("the engine's socket", python("import socket", "s = socket.socket(1)",
                                       f"s.connect('{at['socket']}')")),
        ("abstract sockets", python("import socket", "s = socket.socket(1)",
                                    f"s.connect(chr(0) + '{at['abstract']}')")),
        ("keys in the environment", 'test -n "$SECRET_API_KEY"'),
        ("a large file", "dd if=/dev/zero of=large bs=1M count=100 && rm large"),
        ("su", "su -c id </dev/null"),
        # Beyond the 21: what a review of others found.
        ("vsock", python("import socket", "socket.socket(40, 1)")),
        ("key rings", syscall(250, "0", "-3", "0")),
    ]


class LocalTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        if not shutil.which("bwrap"):
            raise unittest.SkipTest("bubblewrap is not installed (apt-get install bubblewrap)")
        with tempfile.TemporaryDirectory() as folder:
            done = subprocess.run([PROBE, os.path.abspath(PROGRAM), folder], input=b"",
                                  stdout=subprocess.PIPE, stderr=subprocess.PIPE, check=False)
        if not done.stdout:
            raise unittest.SkipTest(f"no sandbox can be made here: {done.stderr.decode()}")

    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.outside = folder.name
        os.chmod(self.outside, 0o755)
        self.host = os.path.join(self.outside, "workspace")
        os.mkdir(self.host)
        self.program = os.path.join(self.outside, "polos-box")
        shutil.copy(PROGRAM, self.program)
        if os.geteuid() == 0:
            os.chown(self.host, USER, USER)
        environment = dict(os.environ, SECRET_API_KEY="secret")
        self.box = Box("/workspace", [PROBE, self.program, self.host], environment)

    def things_outside(self):
        """What ways out lead to."""
        at = {name: os.path.join(self.outside, name) for name in ("home", "data", "socket")}
        os.makedirs(os.path.join(at["home"], ".ssh"))
        os.mkdir(at["data"])
        for path in (os.path.join(at["home"], ".ssh", "key"), os.path.join(at["data"], "CURRENT")):
            with open(path, "w", encoding="utf-8") as file:
                file.write("x")
        at["abstract"] = uuid.uuid4().hex
        for family, address in ((socket.AF_INET, ("127.0.0.1", 0)),
                                (socket.AF_UNIX, at["socket"]),
                                (socket.AF_UNIX, "\0" + at["abstract"])):
            listener = socket.socket(family)
            self.addCleanup(listener.close)
            listener.bind(address)
            listener.listen(100)
            if family == socket.AF_INET:
                at["port"] = listener.getsockname()[1]
        process = subprocess.Popen(["sleep", "1000"])
        self.addCleanup(process.wait)
        self.addCleanup(process.kill)
        at["pid"] = process.pid
        return at

    def works(self, box, command, **common):
        done = outcome(box.answer("exec", {"command": command, "timeout": 20}, **common))
        return done["exit_code"] == 0

    def test_no_way_leads_out(self):
        at = self.things_outside()
        control = Box(self.outside, [self.program], self.box.environment)
        ways = corpus(at)
        done = []
        for what, command in ways:
            with self.subTest(way=what):
                self.assertFalse(self.works(self.box, command, max_file_bytes=64 << 20), what)
                if self.works(control, command):
                    done.append(what)
        left = [what for what, _ in ways if what not in done]
        print(f"outside {len(done)} of {len(ways)} ways were open; not here: {', '.join(left)}")
        if os.geteuid() == 0:
            self.assertGreaterEqual(len(done), CONTROLS_MIN, left)

    def test_a_command_cannot_forge_its_answer(self):
        """The control: box_test.py, of what is not protected so."""
        self.assertFalse(self.works(self.box, "echo forged > /proc/$PPID/fd/1"))

    def test_the_files_stay(self):
        self.box.write(path="a/b.txt", content="hello")
        done = self.box.exec(command="cat a/b.txt && echo more >> a/b.txt && id -un && echo $TOLD")
        self.assertEqual(done["stdout"], "helloagent\nyes\n")
        with open(os.path.join(self.host, "a", "b.txt"), encoding="utf-8") as file:
            self.assertEqual(file.read(), "hellomore\n")
        self.assertEqual(self.box.glob(pattern="*.txt")["files"], ["/workspace/a/b.txt"])
        self.assertEqual(self.box.exec(command="pwd")["stdout"], "/workspace\n")

    def test_links_of_the_sandbox_lead_nowhere_outside(self):
        with open(os.path.join(self.outside, "secret"), "w", encoding="utf-8") as file:
            file.write("secret")
        self.box.exec(command=f"ln -s {self.outside}/secret link; ln -s ../secret up")
        for path in ("link", "up", f"{self.outside}/secret"):
            with self.assertRaises(Failure):
                self.box.read(path=path)

    def test_programs_work(self):
        done = self.box.exec(command="python3 -c 'import json, ssl; print(json.dumps([1]))'; "
                                     "echo x > /tmp/a && cat /tmp/a && echo y > /dev/shm/b")
        self.assertEqual((done["exit_code"], done["stdout"]), (0, "[1]\nx\n"), done)

    def test_only_the_workspace_can_be_written(self):
        done = self.box.exec(command="for d in / /usr /etc /dev /proc /run /var /bin; do "
                                     "touch $d/x 2>/dev/null && echo $d; done; true")
        self.assertEqual(done["stdout"], "")

    def test_processes_have_a_limit(self):
        if os.geteuid() == 0 and os.stat(self.host).st_uid == 0:
            self.skipTest("the kernel sets root no limit of processes")
        answer = self.box.answer("exec", {"command": "b() { b | b & }; b; sleep 1000",
                                          "timeout": 2}, max_processes=64)
        self.assertEqual(outcome(answer)["exit_code"], 137)
        self.assertEqual(self.left(), [])

    def left(self):
        """The processes of this sandbox that there still are."""
        found = []
        for pid in filter(str.isdigit, os.listdir("/proc")):
            try:
                with open(f"/proc/{pid}/cmdline", "rb") as file:
                    if self.program.encode() in file.read():
                        found.append(int(pid))
            except OSError:
                continue
        return found

    def test_who_kills_everything_ends_its_own_call_only(self):
        other = self.box.start("exec", {"command": "echo begun; read x < fifo; echo done"},
                               progress=True)
        os.mkfifo(os.path.join(self.host, "fifo"))
        if os.geteuid() == 0:
            os.chown(os.path.join(self.host, "fifo"), USER, USER)
        with other:
            other.stdout.read(11)
            answer = self.box.answer("exec", {"command": "kill -9 -1; kill -9 $PPID"})
            self.assertTrue(not answer or frames(answer)[-1][0] == "r", answer)
            with open(os.path.join(self.host, "fifo"), "w", encoding="utf-8") as fifo:
                fifo.write("x\n")
            self.assertEqual(outcome(other.stdout.read())["stdout"], "begun\ndone\n")

    def test_nothing_is_left_when_the_host_is_killed(self):
        process = self.box.start("exec", {"command": "setsid sleep 1000 & echo x; sleep 1000"},
                                 progress=True)
        with process:
            process.stdout.read(7)
            self.assertNotEqual(self.left(), [])
            process.send_signal(signal.SIGKILL)
        while self.left():  # The kernel ends them; whoever hangs here has found one it does not.
            pass

    def test_what_is_missing_is_said(self):
        done = subprocess.run([PROBE, self.program, self.host], env={"PATH": self.outside},
                              stderr=subprocess.PIPE, text=True, check=False)
        self.assertIn("apt-get install bubblewrap", done.stderr)
        done = subprocess.run([PROBE, self.program, "/nowhere"], stderr=subprocess.PIPE, text=True,
                              check=False)
        self.assertIn("The workspace /nowhere is no folder", done.stderr)


if __name__ == "__main__":
    unittest.main()
