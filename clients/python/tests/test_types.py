"""What mypy --strict and pyright say of users' programs."""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import polosd
import pytest
from conftest import HERE

PYRIGHT = shutil.which(
    "pyright",
    path=f"{polosd.WORKSPACE / 'tests/node_modules/.bin'}{os.pathsep}{os.environ.get('PATH', '')}",
)


def told_by_mypy(program: Path, folder: Path) -> str:
    if importlib.util.find_spec("mypy") is None:
        pytest.skip("mypy is not installed")
    return told_by([sys.executable, "-m", "mypy", "--strict", f"--cache-dir={folder}"], program)


def told_by_pyright(program: Path, folder: Path) -> str:
    if PYRIGHT is None:
        pytest.skip("pyright is not installed: ./run setup")
    return told_by([PYRIGHT, "--pythonpath", sys.executable], program)


def told_by(command: list[str], program: Path) -> str:
    done = subprocess.run(
        [*command, str(program)], cwd=HERE.parent, capture_output=True, text=True, timeout=240
    )
    assert done.returncode in (0, 1), done.stdout + done.stderr
    return done.stdout


@pytest.mark.parametrize("told", [told_by_mypy, told_by_pyright], ids=["mypy", "pyright"])
def test_mistakes_are_found_and_nothing_else(told, tmp_path):
    for name in ("good.py", "bad.py"):
        program = HERE / "typed" / name
        lines = program.read_text().splitlines()
        wrong = {number for number, line in enumerate(lines, 1) if line.endswith("# wrong")}
        assert bool(wrong) == (name == "bad.py")
        said = told(program, tmp_path)
        found = {int(line) for line in re.findall(rf"{name}:(\d+)\S* (?:- )?error: ", said)}
        assert found == wrong, said
