"""Goal: the bench runs from end to end and gives every figure it has a row for.

Method: run.py --quick against the built programs; its JSON is read. No figure is judged: this
runs beside other tests. What needs Python packages that are not here is passed over.
"""
import json
import math
import os
import subprocess
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

import run  # noqa: E402


def main():
    folder = os.environ["TEST_TMPDIR"]
    path = os.path.join(folder, "figures.json")
    program = os.path.join(os.path.dirname(os.path.abspath(__file__)), "run.py")
    command = [sys.executable, program, "--quick", "--folder", folder, "--json", path]
    subprocess.run(command + sys.argv[1:], check=True)
    with open(path, encoding="utf-8") as file:
        report = json.load(file)
    figures = {figure["name"]: figure for figure in report["figures"]}
    wanted = [row for row in run.ROWS if row not in run.ONLY_FULL]
    if report["skipped"]:
        print("skipped:", report["skipped"])
        wanted = [row for row in wanted if not row.startswith("python_")]
    failed = 0
    for row in wanted:
        value = figures.get(row, {}).get("value")
        if value is None or not math.isfinite(value) or value < 0:
            print(f"{row}: {value}")
            failed += 1
    print(f"{len(wanted) - failed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
