"""
Goal:   the simulation's laws are checked, not only stated: each deliberate bug is found.
Method: run every mutant over the seeds of the ordinary test; it must fail, and say which law it
        broke. A green simulation proves little until its checkers have been shown to fail.
"""
import os
import re
import subprocess
import sys

TIMEOUT_S = 120


def sentence(binary):
    name = os.path.basename(binary)[len("mutant_"):]
    folder = os.path.join(os.path.dirname(os.path.abspath(__file__)), "mutants")
    with open(os.path.join(folder, name + ".patch"), encoding="utf-8") as patch:
        return name, patch.readline().strip()


def run(binary, seeds):
    """The law that was broken, or None when the mutant lived."""
    try:
        done = subprocess.run(
            [os.path.abspath(binary), f"--seeds={seeds}"], capture_output=True, text=True,
            timeout=TIMEOUT_S, check=False)
    except subprocess.TimeoutExpired:
        return None
    if done.returncode == 0:
        return None
    found = re.search(r"^FAILED seed=(\d+) law=(\S+)", done.stdout, re.M)
    if found is None:
        return None  # It broke down by itself: no checker saw anything.
    asserted = re.search(r"(\w+): Assertion `(.*)' failed", done.stderr)
    law = found[2] if asserted is None else f"assertion in {asserted[1]}(): {asserted[2]}"
    return f"seed {found[1]}, {law}"


def main():
    seeds = int(sys.argv[1].removeprefix("--seeds="))
    lived = 0
    for binary in sys.argv[2:]:
        name, what = sentence(binary)
        law = run(binary, seeds)
        lived += law is None
        print(f"{'LIVED ' if law is None else 'caught'} {name}: {what}\n       by: {law}")
    print(f"{len(sys.argv) - 2 - lived} passed, {lived} failed")
    return 1 if lived else 0


if __name__ == "__main__":
    sys.exit(main())
