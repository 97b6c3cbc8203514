#!/usr/bin/python3
"""Counts test cases from what a test run left behind.

    test_report.py FOLDER

FOLDER holds, for each suite, NAME.KIND.rc (the exit code of its command) and
    KIND bazel    NAME.bazel.json, Bazel's build events: what ran and where each log is
    KIND pytest   NAME.pytest.xml, the JUnit file
    KIND node     NAME.node.xml, the JUnit file of Node's test runner
    KIND command  nothing more: one test case
A Bazel target counts as the cases its log tells of (cmocka, unittest, pytest, or a last line
`N passed, N failed, N skipped`), or else as one. Whatever failed without telling of a case,
did not build or left no results counts as one failure. The last line printed is
`N passed, N failed, N skipped`; the exit code is 1 if anything failed or nothing ran.
"""
import json
import pathlib
import re
import sys
import urllib.parse
import xml.etree.ElementTree

SUMMARY = re.compile(r"^(\d+) passed, (\d+) failed, (\d+) skipped$")
CMOCKA = re.compile(r"^\[  (PASSED|FAILED|SKIPPED)\s*\] (?:\S+: )?(\d+) test\(s\)", re.M)
UNITTEST = re.compile(r"^Ran (\d+) tests? in .*\n\n?(OK|FAILED)(?: \((.*)\))?$", re.M)
PYTEST = re.compile(r"^=* ?((?:\d+ [a-z]+(?:, )?)+) in [\d.:]+m?s", re.M)


class Row:
    """One line of the report: a target or a suite."""

    def __init__(self, name, passed=0, failed=0, skipped=0, note=""):
        self.name, self.note = name, note
        self.passed, self.failed, self.skipped = passed, failed, skipped


def count_unittest(log):
    passed = failed = skipped = 0
    for total, _, details in UNITTEST.findall(log):
        found = {k: int(v) for k, v in re.findall(r"([a-z ]+)=(\d+)", details.replace(", ", ","))}
        bad = sum(found.get(k, 0) for k in ("failures", "errors", "unexpected successes"))
        failed += bad
        skipped += found.get("skipped", 0)
        passed += int(total) - bad - found.get("skipped", 0)
    return passed, failed, skipped


def count_pytest(log):
    passed = failed = skipped = 0
    for line in PYTEST.findall(log):
        for number, word in re.findall(r"(\d+) ([a-z]+)", line):
            passed += int(number) * (word == "passed")
            failed += int(number) * (word in ("failed", "error", "errors"))
            skipped += int(number) * (word in ("skipped", "xfailed", "deselected"))
    return passed, failed, skipped


def count_cases(log):
    """(passed, failed, skipped) as the log of a test tells them; (0, 0, 0) if it does not."""
    lines = log.rstrip().splitlines()
    summary = SUMMARY.match(lines[-1]) if lines else None
    if summary:
        return tuple(int(n) for n in summary.groups())
    counts = {"PASSED": 0, "FAILED": 0, "SKIPPED": 0}
    for kind, number in CMOCKA.findall(log):
        counts[kind] += int(number)
    if any(counts.values()):
        return counts["PASSED"], counts["FAILED"], counts["SKIPPED"]
    unittest = count_unittest(log)
    return unittest if any(unittest) else count_pytest(log)


def target_row(name, status, log_path):
    log = ""
    if log_path and log_path.exists():
        log = log_path.read_text(errors="replace")
    passed, failed, skipped = count_cases(log)
    good = status in ("PASSED", "FLAKY")
    if good and passed + failed + skipped == 0:
        passed = 1
    if not good and failed == 0:
        failed = 1
    return Row(name, passed, failed, skipped, "" if good else f"{status}, see {log_path}")


def read_events(path):
    for line in path.read_text().splitlines() if path.exists() else []:
        yield json.loads(line)


def file_of(uri):
    return pathlib.Path(urllib.parse.unquote(urllib.parse.urlparse(uri).path))


def bazel_rows(suite, events, exit_code):
    logs, statuses, broken = {}, {}, []
    for event in events:
        kind = event["id"]
        if "testResult" in kind and "testResult" in event:
            label = kind["testResult"]["label"]
            for output in event["testResult"].get("testActionOutput", []):
                if output["name"] == "test.log":
                    logs[label] = file_of(output["uri"])
        elif "testSummary" in kind:
            status = event.get("testSummary", {}).get("overallStatus", "NO_STATUS")
            statuses[kind["testSummary"]["label"]] = status
        elif "targetCompleted" in kind and not event.get("completed", {}).get("success"):
            broken.append(kind["targetCompleted"]["label"])
        elif "pattern" in kind and "aborted" in event:
            broken.append(" ".join(kind["pattern"]["pattern"]))
    rows = [target_row(label, statuses[label], logs.get(label)) for label in sorted(statuses)]
    rows += [
        Row(label, failed=1, note="did not build") for label in sorted(set(broken) - set(statuses))
    ]
    # 3: tests failed, and they have told. 4: there were none. 1: something did not build.
    explained = exit_code in (0, 3) or broken or "FAILED_TO_BUILD" in statuses.values()
    if not explained:
        note = "there are no tests" if exit_code == 4 else f"Bazel's exit code is {exit_code}"
        rows.append(Row("build", failed=1, note=note))
    for row in rows:
        row.name = f"{suite} {row.name}"
    return rows


def junit_rows(suite, path, exit_code, runner):
    rows = {}
    cases = xml.etree.ElementTree.parse(path).iter("testcase") if path.exists() else []
    for case in cases:
        name = f"{suite} {case.get('classname') or case.get('name')}"
        row = rows.setdefault(name, Row(name))
        kinds = {child.tag for child in case}
        if kinds & {"failure", "error"}:
            row.failed += 1
            row.note = f"{row.note} {case.get('name')}".strip()
        elif "skipped" in kinds:
            row.skipped += 1
        else:
            row.passed += 1
    if exit_code != 0 and not any(row.failed for row in rows.values()):
        name = f"{suite} {runner}"
        is_empty = exit_code == 5 and runner == "pytest"
        note = "there are no tests" if is_empty else f"exit code {exit_code}"
        rows[name] = Row(name, failed=1, note=note)
    return list(rows.values())


def suite_rows(path):
    """path: FOLDER/NAME.KIND.rc"""
    exit_code = int(path.read_text())
    suite, kind = path.stem.rsplit(".", 1)
    if kind == "bazel":
        return bazel_rows(suite, read_events(path.with_suffix(".json")), exit_code)
    if kind in ("pytest", "node"):
        return junit_rows(suite, path.with_suffix(".xml"), exit_code, kind)
    note = "" if exit_code == 0 else f"exit code {exit_code}"
    return [Row(suite, int(exit_code == 0), int(exit_code != 0), 0, note)]


def main():
    rows = []
    for path in sorted(pathlib.Path(sys.argv[1]).glob("*.rc"), key=lambda p: p.stat().st_mtime):
        rows += suite_rows(path)
    width = max([len(row.name) for row in rows], default=0)
    print(f"\n{'':{width}}  passed  failed  skipped")
    for row in rows:
        counts = f"{row.passed:6}  {row.failed:6}  {row.skipped:7}"
        print(f"{row.name:{width}}  {counts}  {row.note}".rstrip())
    passed, failed, skipped = (
        sum(getattr(row, kind) for row in rows) for kind in ("passed", "failed", "skipped")
    )
    print(f"\n{passed} passed, {failed} failed, {skipped} skipped")
    return 0 if passed > 0 and failed == 0 else 1


if __name__ == "__main__":
    sys.exit(main())
