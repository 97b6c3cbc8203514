#!/bin/sh
# python_test.sh SCRIPT [ARGUMENTS]: runs a Python test; see python_test in bazel/defs.bzl.
set -eu
python=${POLOS_PYTHON:-}
[ -x "$python" ] || python=/usr/bin/python3
export PYTHONPATH="$PWD" PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1
exec "$python" "$@"
