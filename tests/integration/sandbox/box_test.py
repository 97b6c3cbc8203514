"""Goal: polos-box does the six tools as the documented ones do, and never leaves its workspace.

Method: the program itself in a folder of the test, its frames read. What a command leaves behind is
counted among the processes of the machine, by a word in their environment.
"""
import json
import os
import shutil
import stat
import subprocess
import tempfile
import threading
import unittest
import uuid

from tests.integration.sandbox.box import PROGRAM, Box, Failure, frames, outcome, packed


def marked(word):
    """The processes that have the word in their environment, but for ended ones."""
    found = []
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{pid}/environ", "rb") as file:
                if word.encode() in file.read():
                    found.append(int(pid))
        except OSError:
            continue
    return found


# Exchanges a folder and a link out, again and again.
SWAPPER = """
import ctypes, os, sys
os.chdir(sys.argv[1])
os.symlink("..", "out")
print(flush=True)
renameat2 = ctypes.CDLL(None).renameat2
while renameat2(-100, b"here", -100, b"out", 2) == 0:
    pass
print("it failed", flush=True)
"""


def ordinary(test, box, *program):
    """The same box as a user with no rights; skips the test where there can be none."""
    if os.geteuid() != 0:
        return Box(box.common["workspace"], [*program, PROGRAM])
    user = ["setpriv", "--reuid=61234", "--regid=61234", "--clear-groups", *program]
    if subprocess.run([*user, "true"], stderr=subprocess.DEVNULL, check=False).returncode != 0:
        test.skipTest("no other user can be had here (setpriv)")
    copy = os.path.join(test.outside, "polos-box")
    shutil.copy(PROGRAM, copy)
    os.chmod(test.outside, 0o755)
    os.chown(test.workspace, 61234, 61234)
    return Box(box.common["workspace"], [*user, copy])


class BoxTest(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.outside = folder.name
        self.workspace = os.path.join(folder.name, "workspace")
        os.mkdir(self.workspace)
        self.box = Box(self.workspace)

    def path(self, *names):
        return os.path.join(self.workspace, *names)

    def put(self, name, content=""):
        os.makedirs(os.path.dirname(self.path(name)), exist_ok=True)
        data = content if isinstance(content, bytes) else content.encode()
        with open(self.path(name), "wb") as file:
            file.write(data)

    def content(self, *names):
        with open(self.path(*names), encoding="utf-8") as file:
            return file.read()

    def refused(self, reason, tool, **arguments):
        with self.assertRaises(Failure) as caught:
            getattr(self.box, tool)(**arguments)
        self.assertEqual(caught.exception.reason, reason, caught.exception.message)
        return caught.exception.message


class ExecTest(BoxTest):
    def test_a_command_tells_how_it_went(self):
        done = self.box.exec(command="echo out; echo err >&2; exit 3")
        self.assertGreaterEqual(done.pop("duration_ms"), 0)
        self.assertEqual(done, {
            "exit_code": 3, "stdout": "out\n", "stderr": "err\n", "truncated": False,
        })

    def test_it_begins_in_the_workspace_or_where_it_is_told(self):
        os.mkdir(self.path("below"))
        self.assertEqual(self.box.exec(command="pwd")["stdout"], self.workspace + "\n")
        self.assertEqual(self.box.exec(command="pwd", cwd="below")["stdout"],
                         self.path("below") + "\n")
        self.assertIn("no such folder", self.refused("NOT_FOUND", "exec", command="pwd",
                                                     cwd="nowhere"))

    def test_environment_and_input(self):
        done = self.box.exec(command='echo "$WORD"; cat', env={"WORD": "a b"}, stdin="typed")
        self.assertEqual(done["stdout"], "a b\ntyped")
        self.assertEqual(self.box.exec(command="cat")["stdout"], "")

    def test_words_need_no_shell(self):
        answer = self.box.answer("exec", {"command": "ignored"}, words=["echo", "a  b;", "$HOME"])
        self.assertEqual(outcome(answer)["stdout"], "a  b; $HOME\n")
        with self.assertRaises(Failure) as caught:
            outcome(self.box.answer("exec", {"command": "x"}, words=["no-such-command"]))
        self.assertEqual(caught.exception.message, "no-such-command: command not found")

    def test_a_signal_is_a_code(self):
        self.assertEqual(self.box.exec(command="kill -TERM $$")["exit_code"], 143)

    def test_long_output_keeps_head_and_tail(self):
        answer = self.box.answer("exec", {"command": "seq 1 100000"}, max_output_chars=1000)
        done = outcome(answer)
        whole = "".join(f"{i}\n" for i in range(1, 100001))
        self.assertTrue(done["truncated"])
        self.assertEqual(done["stdout"], f"{whole[:200]}\n\n--- truncated {len(whole) - 1000} "
                                         f"characters ---\n\n{whole[-800:]}")

    def test_characters_are_never_cut_and_colours_go(self):
        command = r"printf '\033[1;31m\303'; printf '\244\033[0m\377'"
        self.assertEqual(self.box.exec(command=command)["stdout"], "\u00e4\ufffd")

    def test_output_is_shown_while_it_comes(self):
        os.mkfifo(self.path("fifo"))
        process = self.box.start("exec", {"command": "echo first; read x < fifo; echo last"},
                                 progress=True)
        with process:
            self.assertEqual(process.stdout.read(11), b"o\x06\0\0\0first\n")
            # Only now may the command go on.
            with open(self.path("fifo"), "w", encoding="utf-8") as fifo:
                fifo.write("x\n")
            rest = process.stdout.read()
        self.assertEqual(frames(rest)[0], ("o", b"last\n"))
        self.assertEqual(outcome(rest)["stdout"], "first\nlast\n")

    def test_a_timeout_ends_everything(self):
        word = uuid.uuid4().hex
        command = "setsid sleep 1000 & (sleep 1000 &) ; echo begun; sleep 1000"
        done = self.box.exec(command=command, env={"WORD": word}, timeout=1)
        self.assertEqual(done["exit_code"], 137)
        self.assertEqual(done["stdout"], "begun\n")
        self.assertTrue(done["stderr"].endswith("\n[Process killed: timeout exceeded]"))
        self.assertEqual(marked(word), [])

    def test_nothing_outlives_its_call(self):
        word = uuid.uuid4().hex
        command = "setsid setsid sleep 1000 & nohup sh -c 'sleep 1000 & sleep 1000' & echo done"
        done = self.box.exec(command=command, env={"WORD": word})
        self.assertEqual((done["exit_code"], done["stdout"]), (0, "done\n"))
        self.assertEqual(marked(word), [])

    def test_what_forks_as_fast_as_it_is_killed_ends(self):
        """As a user of its own: a limit of processes has no hold on root."""
        word = uuid.uuid4().hex
        box = ordinary(self, self.box, "prlimit", "--nproc=200")
        done = box.exec(command="b() { b | b & }; b; sleep 1000", env={"WORD": word}, timeout=2)
        self.assertEqual(done["exit_code"], 137)
        self.assertEqual(marked(word), [])

    def test_what_runs_from_its_own_number_ends(self):
        word = uuid.uuid4().hex
        hop = "import os\nwhile True:\n if os.fork(): os._exit(0)"
        command = f"for i in 1 2 3; do python3 -c '{hop}' & done; sleep 1000"
        done = self.box.exec(command=command, env={"WORD": word}, timeout=2)
        self.assertEqual(done["exit_code"], 137)
        self.assertEqual(marked(word), [])

    def test_it_ends_when_nobody_waits(self):
        word = uuid.uuid4().hex
        process = self.box.start("exec", {"command": "echo x; setsid sleep 1000 & sleep 1000",
                                          "env": {"WORD": word}}, progress=True)
        with process:
            process.stdout.read(7)
            process.stdin.close()
            self.assertEqual(frames(process.stdout.read())[-1][0], "f")
        self.assertEqual(marked(word), [])

    def test_who_does_not_read_holds_nothing_up(self):
        process = self.box.start("exec", {"command": "seq 1 3000000; touch done"}, progress=True)
        with process:
            # Nothing is read until the command is over, and it printed more than pipes hold.
            timer = threading.Timer(60, process.kill)
            timer.start()
            while not os.path.exists(self.path("done")) and process.poll() is None:
                pass
            timer.cancel()
            self.assertTrue(outcome(process.stdout.read())["truncated"])


class ReadTest(BoxTest):
    def test_lines_by_offset_and_limit(self):
        self.put("a.txt", "one\ntwo\nthree\n")
        whole = self.box.read(path="a.txt")
        self.assertEqual((whole["content"], whole["path"]), ("one\ntwo\nthree\n", "a.txt"))
        self.assertEqual((whole["first_line"], whole["total_lines"]), (1, 4))
        self.assertEqual(self.box.read(path="a.txt", offset=1, limit=1)["content"], "two")
        self.assertEqual(self.box.read(path=self.path("a.txt"), offset=2)["content"], "three\n")
        self.assertEqual(self.box.read(path="a.txt", offset=9)["content"], "")
        self.assertEqual(self.box.read(path="a.txt", limit=2, line_numbers=True)["content"],
                         "     1\tone\n     2\ttwo")

    def test_what_is_no_text_is_told_apart(self):
        self.put("binary", b"abc\0def")
        self.put("latin", b"caf\xe9")
        self.assertEqual(self.refused("FAILED_PRECONDITION", "read", path="binary"),
                         "Cannot read binary file: binary")
        read = self.box.read(path="latin")
        self.assertEqual(read["content"], "caf\ufffd")
        self.assertIn("Not UTF-8", read["encoding"])

    def test_a_large_file_is_read_in_parts(self):
        lines = [f"line {i}" for i in range(60000)]
        self.put("large", "\n".join(lines))
        got, offset = [], 0
        while True:
            part = self.box.read(path="large", offset=offset)
            read = part["content"].split("\n")
            if not part.get("truncated"):
                got += read
                break
            got += read[:-1]
            offset += len(read) - 1
            self.assertIn(f"offset {offset}.", part["note"])
        self.assertEqual(got, lines)

    def test_what_is_not_there_or_no_file(self):
        os.mkdir(self.path("folder"))
        os.mkfifo(self.path("fifo"))
        self.assertIn("No such file", self.refused("NOT_FOUND", "read", path="nothing"))
        self.assertIn("directory", self.refused("FAILED_PRECONDITION", "read", path="folder"))
        self.assertIn("regular", self.refused("FAILED_PRECONDITION", "read", path="fifo"))


class WriteTest(BoxTest):
    def test_a_file_and_its_folders(self):
        self.assertEqual(self.box.write(path="a/b/c.txt", content="\u00fc\n"),
                         {"success": True, "path": "a/b/c.txt"})
        self.assertEqual(self.content("a/b/c.txt"), "\u00fc\n")
        self.box.write(path=self.path("a/b/c.txt"), content="")
        self.assertEqual(self.content("a/b/c.txt"), "")
        self.assertEqual(os.listdir(self.path("a/b")), ["c.txt"])

    def test_the_mode_stays(self):
        self.put("run.sh", "old")
        os.chmod(self.path("run.sh"), 0o755)
        self.box.write(path="run.sh", content="new")
        self.assertEqual(stat.S_IMODE(os.stat(self.path("run.sh")).st_mode), 0o755)

    def test_links_folders_and_names_that_are_none(self):
        self.put("real", "old")
        os.symlink("real", self.path("link"))
        self.assertIn("leads to: real", self.refused("FAILED_PRECONDITION", "write", path="link",
                                                     content="new"))
        self.assertEqual(self.content("real"), "old")
        os.mkdir(self.path("folder"))
        self.refused("FAILED_PRECONDITION", "write", path="folder", content="")
        for path in ("", "folder/", "folder/.", ".."):
            self.refused("INVALID_ARGUMENT", "write", path=path, content="")

    def test_an_edit_is_exact_and_unique(self):
        self.put("a.py", "x = 1\ny = 1\n")
        self.assertEqual(self.box.edit(path="a.py", old_text="x = 1", new_text="x = 2"),
                         {"success": True, "path": "a.py"})
        self.assertEqual(self.content("a.py"), "x = 2\ny = 1\n")
        said = self.refused("INVALID_ARGUMENT", "edit", path="a.py", old_text="z", new_text="")
        self.assertEqual(said, "old_text not found in a.py. Make sure the text matches exactly, "
                               "including whitespace and indentation.")
        said = self.refused("INVALID_ARGUMENT", "edit", path="a.py", old_text=" = ", new_text="")
        self.assertIn("stands 2 times in a.py", said)
        self.assertEqual(self.content("a.py"), "x = 2\ny = 1\n")


class SearchTest(BoxTest):
    def tree(self):
        for name in ("a.ts", "src/b.ts", "src/deep/c.ts", "src/deep/d.js", "build/e.ts",
                     "node_modules/f.ts", ".git/g.ts", "keep.log", "other.log"):
            self.put(name, f"hello from {name}\nneedle(1)\n")
        self.put(".gitignore", "build/\nnode_modules\n*.log\n!keep.log\n")
        self.put("src/.gitignore", "/deep/d.js\n")

    def found(self, **arguments):
        return [os.path.relpath(f, self.workspace) for f in self.box.glob(**arguments)["files"]]

    def test_files_by_pattern(self):
        self.tree()
        self.assertEqual(self.found(pattern="*.ts"), ["a.ts", "src/b.ts", "src/deep/c.ts"])
        self.assertEqual(self.found(pattern="src/**/*.ts"), ["src/b.ts", "src/deep/c.ts"])
        self.assertEqual(self.found(pattern="src/*.ts"), ["src/b.ts"])
        self.assertEqual(self.found(pattern="*.{js,log}"), ["keep.log"])
        self.assertEqual(self.found(pattern=self.path("src", "*.ts")), ["src/b.ts"])
        self.assertEqual(self.found(pattern="*.ts", cwd="src"), ["src/b.ts", "src/deep/c.ts"])
        self.assertEqual(self.found(pattern="*.ts", ignore=["deep"]), ["a.ts", "src/b.ts"])
        self.assertEqual(self.found(pattern="*.ts", ignore=["src/**"]), ["a.ts"])
        self.assertEqual(self.found(pattern="'; touch stolen; '"), [])
        self.assertFalse(os.path.exists(self.path("stolen")))

    def test_there_may_be_more_files_than_are_shown(self):
        for i in range(1100):
            self.put(f"f{i:04}.c")
        found = self.box.glob(pattern="*.c")
        self.assertEqual(len(found["files"]), 1000)
        self.assertEqual(found["files"], sorted(found["files"]))
        self.assertTrue(found["truncated"])
        self.assertIn("more files", found["note"])
        self.assertNotIn("truncated", self.box.glob(pattern="f000*.c"))

    def test_lines_by_pattern(self):
        self.tree()
        matches = self.box.grep(pattern=r"hello.*ts$")["matches"]
        self.assertEqual([os.path.relpath(m["path"], self.workspace) for m in matches],
                         ["a.ts", "src/b.ts", "src/deep/c.ts"])
        self.assertEqual(matches[0], {"path": self.path("a.ts"), "line": 1,
                                      "text": "hello from a.ts", "context": None})
        match, = self.box.grep(pattern="needle", include=["a.*"], context_lines=1)["matches"]
        self.assertEqual((match["line"], match["context"]),
                         (2, "hello from a.ts\nneedle(1)"))
        match, = self.box.grep(pattern="needle", cwd="a.ts")["matches"]
        self.assertEqual(match["path"], self.path("a.ts"))

    def test_what_is_no_expression_is_looked_for_as_it_stands(self):
        self.tree()
        found = self.box.grep(pattern="needle(", include=["a.ts"])
        self.assertEqual(len(found["matches"]), 1)
        self.assertIn("no regular expression", found["pattern_note"])

    def test_there_may_be_more_lines_than_are_shown(self):
        self.put("many", "x\n" * 200)
        found = self.box.grep(pattern="x")
        self.assertEqual(len(found["matches"]), 100)
        self.assertTrue(found["truncated"])
        self.assertEqual(len(self.box.grep(pattern="x", max_results=150)["matches"]), 150)
        self.assertNotIn("truncated", self.box.grep(pattern="x", max_results=200))

    def test_binary_files_and_long_lines(self):
        self.put("binary", b"needle\0needle")
        self.put("long", "needle" + "\u00e4" * 5000)
        match, = self.box.grep(pattern="needle")["matches"]
        self.assertEqual(match["path"], self.path("long"))
        self.assertLess(len(match["text"]), 1100)
        self.assertTrue(match["text"].endswith("\u00e4 [cut]"))


class EscapeTest(BoxTest):
    """What lies outside stays unread and unchanged. The control: the same names, inside."""

    def setUp(self):
        super().setUp()
        with open(os.path.join(self.outside, "secret"), "w", encoding="utf-8") as file:
            file.write("secret\n")
        os.mkdir(self.workspace + "2")
        with open(os.path.join(self.workspace + "2", "secret"), "w", encoding="utf-8") as file:
            file.write("secret\n")

    def assert_untouched(self):
        for folder in (self.outside, self.workspace + "2"):
            with open(os.path.join(folder, "secret"), encoding="utf-8") as file:
                self.assertEqual(file.read(), "secret\n")
        self.assertEqual(sorted(os.listdir(self.outside)), ["secret", "workspace", "workspace2"])

    def paths_outside(self):
        os.symlink("../secret", self.path("link"))
        os.symlink(os.path.join(self.outside, "secret"), self.path("absolute"))
        os.symlink("..", self.path("up"))
        os.symlink("/proc/self/root", self.path("magic"))
        yield "../secret"
        yield os.path.join(self.outside, "secret")
        yield os.path.join(self.workspace, "..", "secret")
        yield self.workspace + "2/secret"
        yield "link"
        yield "absolute"
        yield "up/secret"
        yield "magic" + self.outside + "/secret"
        yield "/proc/self/root" + self.outside + "/secret"
        yield "./././../secret"
        yield "nowhere/../../secret"

    def test_no_path_leads_out(self):
        for path in self.paths_outside():
            with self.subTest(path=path):
                for tool, arguments in (("read", {}), ("write", {"content": "x"}),
                                        ("edit", {"old_text": "secret", "new_text": "x"})):
                    with self.assertRaises(Failure):
                        getattr(self.box, tool)(path=path, **arguments)
        self.assert_untouched()

    def test_the_control_reads_them(self):
        box = Box(self.workspace, root="/")
        self.assertEqual(box.read(path=os.path.join(self.outside, "secret"))["content"],
                         "secret\n")
        self.assertEqual(box.read(path="../secret")["content"], "secret\n")

    def test_no_search_leads_out(self):
        for folder in ("..", self.outside, "up", self.workspace + "2"):
            if folder == "up":
                os.symlink("..", self.path("up"))
            with self.subTest(folder=folder):
                for tool in ("glob", "grep"):
                    with self.assertRaises(Failure) as caught:
                        getattr(self.box, tool)(pattern="secret", cwd=folder)
                    self.assertEqual(caught.exception.reason, "PERMISSION_DENIED")
        self.assertEqual(self.box.grep(pattern="secret")["matches"], [])
        self.assertEqual(self.box.glob(pattern="**")["files"], [])
        self.assertEqual(self.box.glob(pattern="../*")["files"], [])

    def race(self, calls):
        """So many times; meanwhile one name is a folder here now, and then a link out."""
        self.put("here/secret", "inside\n")
        swapper = subprocess.Popen(
            ["/usr/bin/python3", "-c", SWAPPER, self.workspace], stdout=subprocess.PIPE)
        try:
            swapper.stdout.readline()
            for _ in range(calls):
                yield self.box
        finally:
            swapper.kill()
            swapper.wait()
            swapper.stdout.close()

    def test_a_race_never_reads_outside(self):
        inside = 0
        for box in self.race(400):
            try:
                self.assertEqual(box.read(path="here/secret")["content"], "inside\n")
                inside += 1
            except Failure:
                continue
        self.assertGreater(inside, 0)
        self.assert_untouched()

    def test_a_race_never_writes_outside(self):
        inside = 0
        for box in self.race(400):
            for call in (lambda: box.write(path="here/secret", content="inside\n"),
                         lambda: box.write(path="here/new/file", content="inside\n"),
                         lambda: box.edit(path="here/secret", old_text="in", new_text="in")):
                try:
                    call()
                    inside += 1
                except Failure:
                    continue
        self.assertGreater(inside, 0)
        self.assert_untouched()

    def test_a_command_cannot_forge_its_answer(self):
        box = ordinary(self, self.box)
        done = box.exec(command="echo forged > /proc/$PPID/fd/1")
        self.assertNotEqual(done["exit_code"], 0)
        # The control: what is not protected so can be written to.
        done = box.exec(command="sh -c 'echo said > /proc/$PPID/fd/1; true'; true")
        self.assertEqual(done["stdout"], "said\n")


class RequestTest(BoxTest):
    def raw(self, data):
        done = subprocess.run([PROGRAM], input=data, stdout=subprocess.PIPE, check=False)
        return outcome(done.stdout)

    def test_what_is_no_request_is_refused_with_a_sentence(self):
        for data in (b"", b"\1", packed("{"), packed("[]"), packed("{}"), b"\xff\xff\xff\xff",
                     packed(json.dumps({"tool": "fly"})), packed(json.dumps({"tool": "read"})),
                     packed(json.dumps({"tool": "read", "workspace": "here"}))):
            with self.subTest(data=data):
                with self.assertRaises(Failure) as caught:
                    self.raw(data)
                self.assertEqual(caught.exception.reason, "INVALID_ARGUMENT")

    def test_arguments_are_checked(self):
        self.assertEqual(self.refused("INVALID_ARGUMENT", "read"),
                         'read needs "path", a string without U+0000.')
        self.refused("INVALID_ARGUMENT", "read", path="a\0b")
        self.refused("INVALID_ARGUMENT", "read", path="a", offset=-1)
        self.refused("INVALID_ARGUMENT", "exec", command="x", env={"A=B": "c"})
        self.put("a", "one\ntwo")
        self.assertEqual(self.box.read(path="a", offset="1", limit=None)["content"], "two")

    def test_a_workspace_that_is_not_there(self):
        with self.assertRaises(Failure) as caught:
            Box(self.path("nowhere")).read(path="a")
        self.assertEqual(caught.exception.reason, "NOT_FOUND")


if __name__ == "__main__":
    unittest.main()
