"""What mypy --strict says of users' programs."""

from __future__ import annotations

import importlib.util
import re
import subprocess
import sys

import pytest
from conftest import HERE

pytestmark = pytest.mark.skipif(
    importlib.util.find_spec("mypy") is None, reason="mypy is not installed"
)


def found_in(name: str, folder: object) -> list[int]:
    """The lines of a program in which mypy finds a mistake."""
    program = str(HERE / "typed" / name)
    told = subprocess.run(
        [sys.executable, "-m", "mypy", "--strict", f"--cache-dir={folder}", program],
        cwd=HERE.parent,
        capture_output=True,
        text=True,
        timeout=240,
    )
    lines = re.findall(rf"{name}:(\d+): error: (.*)", told.stdout)
    assert lines or "Success" in told.stdout, told.stdout + told.stderr
    return sorted({int(number) for number, _ in lines})


def test_mistakes_are_found_and_nothing_else(tmp_path):
    assert found_in("good.py", tmp_path) == []
    lines = (HERE / "typed/bad.py").read_text().splitlines()
    wrong = [number for number, line in enumerate(lines, 1) if line.endswith("# wrong")]
    assert found_in("bad.py", tmp_path) == wrong
