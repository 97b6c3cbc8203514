"""
Goal:   the simulation's laws are checked, not only stated: each deliberate bug is found.
Method: run every mutant over the seeds of the ordinary test; it must fail, and say which law it
        broke. A green simulation proves little until its checkers have been shown to fail. Where a
        list says in SEEN_AT at which seed one was seen last, that seed is tried first: a hint that
        only saves time.
"""
import os
import re
import runpy
import subprocess
import sys

TIMEOUT_S = 120


def run(binary, seeds, seed=1):
    """The law that was broken, or None when the mutant lived."""
    try:
        done = subprocess.run(
            [os.path.abspath(binary), f"--seed={seed}", f"--seeds={seeds}"],
            capture_output=True, text=True, timeout=TIMEOUT_S, check=False)
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
    listed = runpy.run_path(sys.argv[2])
    mutants = listed["MUTANTS"]
    seen_at = listed.get("SEEN_AT", {})
    binaries = sys.argv[3:]
    lived = 0
    for binary in binaries:
        name = os.path.basename(binary).removeprefix("mutant_")
        law = run(binary, 1, seen_at[name]) if name in seen_at else None
        law = law or run(binary, seeds)
        lived += law is None
        print(f"{'LIVED ' if law is None else 'caught'} {name}: {mutants[name][0]}\n"
              f"       by: {law}")
    print(f"{len(binaries) - lived} passed, {lived} failed")
    return 1 if lived else 0


if __name__ == "__main__":
    sys.exit(main())
