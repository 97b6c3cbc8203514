"""The generated stubs alone, without the SDK: the program of docs/stubs.md."""

from __future__ import annotations

import importlib.util
import os
import re
import subprocess
import sys
from pathlib import Path

import polosd

from polos import testing

STUBS = polosd.WORKSPACE / "clients" / "stubs" / "python"
PAGE = polosd.WORKSPACE / "docs" / "stubs.md"


def test_the_page_runs_with_nothing_else(tmp_path: Path) -> None:
    spec = importlib.util.spec_from_file_location("stubs_backend", STUBS / "build_backend.py")
    assert spec is not None and spec.loader is not None
    backend = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(backend)
    backend.generate(tmp_path)
    program = re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)[0]
    (tmp_path / "greet.py").write_text(program + "import polos\nassert not polos.__file__\n")
    with testing.Server() as server:
        found = subprocess.run(
            [sys.executable, "greet.py"],
            cwd=tmp_path,
            env={**os.environ, "PYTHONPATH": str(tmp_path), "POLOS_API_URL": server.url},
            capture_output=True,
            text=True,
            timeout=60,
        )
    assert found.stdout == "hello\n", found.stderr


def test_they_have_the_servers_version() -> None:
    version = (polosd.WORKSPACE / "VERSION").read_text().strip()
    assert f'version = "{version}"' in (STUBS / "pyproject.toml").read_text()
