"""What is built, as a wheel and as a source distribution, has the generated code in it."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path
from typing import Any

import pytest
from conftest import HERE

PACKAGE = HERE.parent
PROTOS = ["agents", "common", "runs", "suspend", "tools", "workflows"]


def backend() -> Any:
    spec = importlib.util.spec_from_file_location("build_backend", PACKAGE / "build_backend.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def build(how: str, folder: Path) -> Path:
    """With the generator that is installed here, in a process of its own."""
    program = f"import build_backend; print(build_backend.build_{how}({str(folder)!r}))"
    told = subprocess.run(
        [sys.executable, "-c", program], cwd=PACKAGE, capture_output=True, text=True, timeout=120
    )
    assert told.returncode == 0, told.stderr
    return folder / told.stdout.split()[-1]


@pytest.mark.skipif(
    any(importlib.util.find_spec(name) is None for name in ("setuptools", "grpc_tools")),
    reason="setuptools or grpcio-tools are not installed",
)
def test_a_wheel_and_a_source_distribution_can_be_used_without_the_protos(tmp_path):
    before = sorted(PACKAGE.iterdir())
    wheel = set(zipfile.ZipFile(build("wheel", tmp_path)).namelist())
    with tarfile.open(build("sdist", tmp_path)) as archive:
        source = {name.partition("/")[2] for name in archive.getnames()}
    for name in PROTOS:
        assert {f"polos/v1/{name}_pb2.py", f"polos/v1/{name}_pb2.pyi"} <= wheel & source
    assert "polos/py.typed" in wheel & source and "build_backend.py" in source
    assert not any("tests/" in name for name in wheel | source)
    assert sorted(PACKAGE.iterdir()) == before


def test_only_a_checkout_needs_the_generator(monkeypatch):
    module = backend()
    assert any("grpcio-tools" in each for each in module.get_requires_for_build_wheel())
    monkeypatch.setattr(module, "PROTOS", PACKAGE / "nothing")
    assert module.get_requires_for_build_wheel() == module.get_requires_for_build_sdist() == []
