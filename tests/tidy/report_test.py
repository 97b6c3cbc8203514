"""Goal:   the last line of a test run counts what really happened.
Method: logs as cmocka, unittest, pytest and Node write them, and small runs in a temporary folder.
"""
import importlib.util
import json
import os
import pathlib
import subprocess
import sys
import tempfile
import unittest

REPORT = os.path.join("bazel", "tools", "test_report.py")
spec = importlib.util.spec_from_file_location("test_report", REPORT)
test_report = importlib.util.module_from_spec(spec)
spec.loader.exec_module(test_report)

CMOCKA = """\
[==========] Running 4 test(s).
[ RUN      ] one
[       OK ] one
[==========] 4 test(s) run.
[  PASSED  ] 2 test(s).
[  SKIPPED ] 1 test(s), listed below:
[  SKIPPED ] three

 1 SKIPPED TEST(S)
[  FAILED  ] 1 test(s), listed below:
[  FAILED  ] four

 1 FAILED TEST(S)
"""


class CasesTest(unittest.TestCase):
    def test_cmocka(self):
        self.assertEqual((2, 1, 1), test_report.count_cases(CMOCKA))

    def test_cmocka_groups_add_up(self):
        self.assertEqual((4, 2, 2), test_report.count_cases(CMOCKA + CMOCKA))

    def test_unittest(self):
        log = "Ran 5 tests in 0.1s\n\nFAILED (failures=1, errors=1, skipped=1)\n"
        self.assertEqual((2, 2, 1), test_report.count_cases(log))
        self.assertEqual((5, 0, 0), test_report.count_cases("Ran 5 tests in 0.1s\n\nOK\n"))

    def test_pytest(self):
        log = "==== 1 failed, 3 passed, 2 skipped in 0.12s ====\n"
        self.assertEqual((3, 1, 2), test_report.count_cases(log))

    def test_own_last_line_wins(self):
        log = CMOCKA + "500 passed, 0 failed, 3 skipped\n"
        self.assertEqual((500, 0, 3), test_report.count_cases(log))

    def test_a_log_that_says_nothing(self):
        self.assertEqual((0, 0, 0), test_report.count_cases("replayed 7 inputs\n"))
        self.assertEqual((0, 0, 0), test_report.count_cases(""))


class RunTest(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)

    def bazel(self, exit_code, *targets):
        """targets: (label, status, log); status None: not a test, and it did not build."""
        events = []
        for number, (label, status, log) in enumerate(targets):
            if status is None:
                events.append({"id": {"targetCompleted": {"label": label}}, "completed": {}})
                continue
            path = self.folder / f"{number}.log"
            path.write_text(log)
            output = {"name": "test.log", "uri": path.as_uri()}
            result = {"testActionOutput": [output]}
            summary = {"overallStatus": status}
            events.append({"id": {"testResult": {"label": label}}, "testResult": result})
            events.append({"id": {"testSummary": {"label": label}}, "testSummary": summary})
        (self.folder / "opt.bazel.json").write_text("\n".join(map(json.dumps, events)))
        (self.folder / "opt.bazel.rc").write_text(f"{exit_code}\n")

    def report(self):
        done = subprocess.run(
            [sys.executable, REPORT, str(self.folder)], stdout=subprocess.PIPE, text=True
        )
        return done.returncode, done.stdout.splitlines()[-1]

    def test_all_is_well(self):
        self.bazel(0, ("//a:t", "PASSED", "[  PASSED  ] 7 test(s).\n"), ("//a:f", "PASSED", ""))
        self.assertEqual((0, "8 passed, 0 failed, 0 skipped"), self.report())

    def test_a_crash_after_good_cases(self):
        self.bazel(3, ("//a:t", "FAILED", "[  PASSED  ] 7 test(s).\nleak\n"))
        self.assertEqual((1, "7 passed, 1 failed, 0 skipped"), self.report())

    def test_a_pass_that_tells_of_failures(self):
        self.bazel(0, ("//a:t", "PASSED", CMOCKA))
        self.assertEqual((1, "2 passed, 1 failed, 1 skipped"), self.report())

    def test_what_did_not_build(self):
        good = ("//a:t", "PASSED", "[  PASSED  ] 7 test(s).\n")
        self.bazel(1, good, ("//a:u", "FAILED_TO_BUILD", ""), ("//b:lib", None, ""))
        self.assertEqual((1, "7 passed, 2 failed, 0 skipped"), self.report())

    def test_a_package_that_cannot_be_read(self):
        self.bazel(1, ("//a:t", "PASSED", "[  PASSED  ] 7 test(s).\n"))
        self.assertEqual((1, "7 passed, 1 failed, 0 skipped"), self.report())

    def test_nothing_ran(self):
        self.assertEqual((1, "0 passed, 0 failed, 0 skipped"), self.report())

    def test_pytest(self):
        xml = (
            '<testsuites><testsuite><testcase classname="a" name="x"/>'
            '<testcase classname="a" name="y"><failure/></testcase>'
            '<testcase classname="b" name="z"><skipped/></testcase></testsuite></testsuites>'
        )
        (self.folder / "python.pytest.xml").write_text(xml)
        (self.folder / "python.pytest.rc").write_text("1\n")
        self.assertEqual((1, "1 passed, 1 failed, 1 skipped"), self.report())

    def test_pytest_that_did_not_start(self):
        (self.folder / "python.pytest.rc").write_text("4\n")
        self.assertEqual((1, "0 passed, 1 failed, 0 skipped"), self.report())

    def test_node(self):
        xml = (
            '<testsuites><testcase name="a" classname="test"/><testcase name="b" failure="x">'
            '<failure/></testcase><testsuite name="d"><testcase name="c" classname="test">'
            "<skipped/></testcase></testsuite></testsuites>"
        )
        (self.folder / "typescript.node.xml").write_text(xml)
        (self.folder / "typescript.node.rc").write_text("1\n")
        self.assertEqual((1, "1 passed, 1 failed, 1 skipped"), self.report())

    def test_node_whose_tests_did_not_compile(self):
        (self.folder / "typescript.node.rc").write_text("1\n")
        self.assertEqual((1, "0 passed, 1 failed, 0 skipped"), self.report())

    def test_a_suite_that_lost_its_tests(self):
        (self.folder / "python.pytest.xml").write_text("<testsuites/>")
        (self.folder / "python.pytest.rc").write_text("5\n")
        self.bazel(4)
        self.assertEqual((1, "0 passed, 2 failed, 0 skipped"), self.report())

    def test_a_command(self):
        (self.folder / "buf-lint.command.rc").write_text("0\n")
        self.assertEqual((0, "1 passed, 0 failed, 0 skipped"), self.report())


if __name__ == "__main__":
    unittest.main()
