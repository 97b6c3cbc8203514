"""Goal:   a mutant is planted where its text stands, or a sentence says why not.
Method: small files and lists of mutants in a temporary folder, and the program itself over them.
"""
import os
import pathlib
import subprocess
import sys
import tempfile
import unittest

PLANT = os.path.join("bazel", "tools", "plant.py")

ROOM = """\
/* a < b; is what the queue says */
static bool has_room(const struct queue *queue)
{
    return queue->limit == 0 || /* none */
           queue->running <
               queue->limit;
}
"""
OTHER = """\
int twice(int a)
{
    if (a > 1) {
        a++;
    }
    if (a > 1) {
        a--;
    }
    return a;
}
"""


class PlantTest(unittest.TestCase):
    def setUp(self):
        self._folder = tempfile.TemporaryDirectory()
        self.addCleanup(self._folder.cleanup)
        self.folder = pathlib.Path(self._folder.name)
        (self.folder / "room.c").write_text(ROOM)
        (self.folder / "other.c").write_text(OTHER)

    def run_over(self, mutants):
        (self.folder / "mutants.bzl").write_text(f'"""Some."""\n\nMUTANTS = {mutants!r}\n')
        return subprocess.run(
            [sys.executable, PLANT, "--to", str(self.folder), str(self.folder / "mutants.bzl"),
             str(self.folder / "room.c"), str(self.folder / "other.c")],
            capture_output=True, text=True, check=False)

    def planted(self, edits):
        done = self.run_over({"bug": ("A bug.", edits)})
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        return (self.folder / "mutant_bug.c").read_text()

    def assert_refused(self, edits, *parts):
        done = self.run_over({"bug": ("A bug.", edits)})
        self.assertEqual(done.returncode, 1)
        self.assertFalse((self.folder / "mutant_bug.c").exists())
        for part in ("the mutant bug ", *parts):
            self.assertIn(part, done.stderr)

    def test_a_text_over_lines(self):
        self.assertEqual(
            self.planted({"queue->running < queue->limit": "true"}),
            ROOM.replace("queue->running <\n               queue->limit", "true"))

    def test_a_text_with_blanks_and_comments_of_its_own(self):
        self.assertEqual(
            self.planted({"queue->limit==0  ||\n queue /* it */ ->running": "queue->running"}),
            ROOM.replace("queue->limit == 0 || /* none */\n           queue", "queue"))

    def test_several_edits_and_a_removal(self):
        self.assertEqual(
            self.planted({"a--;": "", "int twice": "int thrice"}),
            OTHER.replace("a--;", "").replace("twice", "thrice"))

    def test_a_comment_is_no_place(self):
        self.assert_refused({"a < b": "a > b"}, "stands nowhere in 2 files: a < b")

    def test_tokens_are_whole(self):
        self.assert_refused({"queue->lim": "queue->run"}, "stands nowhere")
        self.assert_refused({"a + +": "a - -"}, "stands nowhere")

    def test_an_ambiguous_text(self):
        self.assert_refused({"if (a > 1)": "if (true)"}, "stands 2 times", "other.c:3",
                            "other.c:6")

    def test_an_ambiguous_text_over_files(self):
        self.assert_refused({"return": ""}, "stands 2 times", "room.c:4", "other.c:9")

    def test_edits_in_two_files(self):
        self.assert_refused({"queue->running": "0", "a--;": ""}, "must lie in one file")

    def test_edits_that_overlap(self):
        self.assert_refused({"a--; }": "}", "{ a--;": "{"}, "overlap")

    def test_an_edit_of_nothing(self):
        self.assert_refused({"a--;": "a --;"}, "changes nothing")
        self.assert_refused({"/* a */": "a++;"}, "empty text")

    def test_all_that_are_misplaced_are_named(self):
        done = self.run_over({
            "one": ("A bug.", {"unknown": ""}),
            "two": ("A bug.", {"a--;": ""}),
            "three": ("A bug.", {"unheard": ""}),
        })
        self.assertEqual(done.returncode, 1)
        self.assertIn("the mutant one ", done.stderr)
        self.assertNotIn("the mutant two ", done.stderr)
        self.assertIn("the mutant three ", done.stderr)


if __name__ == "__main__":
    unittest.main()
