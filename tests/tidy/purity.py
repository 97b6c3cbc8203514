#!/usr/bin/python3
"""engine_purity_test: what the linker says the engine needs from outside.

    purity.py FILE...               the archive of the engine's library among the files
    purity.py --must-fail FILE...   a planted library, to know that this test can fail

The engine may need nothing but bytes, assertions, and the functions of base named
below. No clock, no allocation, no thread, no file can hide from this.
"""
import re
import subprocess
import sys

ALLOWED = {"memcpy", "memset", "memmove", "memcmp", "strlen", "__assert_fail"}
# Functions of base that only look at their arguments.
ALLOWED_OF_BASE = {
    "str_hash", "code_version_in_any_language", "code_version_make", "code_version_newest_alike",
}
# What the compiler itself puts in: stack protector, fortified copies, sanitizers.
ALLOWED_PATTERN = re.compile(
    r"_GLOBAL_OFFSET_TABLE_|__stack_chk_fail|__(memcpy|memset|memmove)_chk"
    r"|__(asan|ubsan|tsan|gcov|sanitizer)_\w+"
)


def symbols(archive, *options):
    done = subprocess.run(
        ["/usr/bin/nm", *options, archive], stdout=subprocess.PIPE, check=True, text=True
    )
    return {line.split()[-1] for line in done.stdout.splitlines() if len(line.split()) >= 2}


def impurities(engine):
    needed = symbols(engine, "-u") - symbols(engine, "--defined-only")
    needed -= ALLOWED | ALLOWED_OF_BASE
    return sorted(symbol for symbol in needed if not ALLOWED_PATTERN.fullmatch(symbol))


def main():
    must_fail = "--must-fail" in sys.argv
    archives = [path for path in sys.argv[1:] if path.endswith((".a", ".lo"))]
    if not archives:
        sys.exit(f"no archive among {sys.argv[1:]}")
    found = impurities(archives[0])
    for symbol in found:
        print(f"{archives[0]} needs {symbol}")
    sys.exit(0 if bool(found) == must_fail else 1)


main()
