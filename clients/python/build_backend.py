"""Builds the package with setuptools; in a checkout it makes polos/v1 from the protos first.

What is built is a copy, so that the checkout stays as it is. The generated code works with the
protobuf of its generator and all later ones: therefore that generator is an old one.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from setuptools import build_meta

HERE = Path(__file__).resolve().parent
PROTOS = HERE.parent.parent / "protos"
GENERATOR = [
    "grpcio-tools==1.68.1; python_version<'3.14'",
    "grpcio-tools>=1.76; python_version>='3.14'",
]
BUILT = ("pyproject.toml", "ABOUT.md", "build_backend.py", "polos")


def _requires() -> list[str]:
    return list(GENERATOR) if PROTOS.is_dir() else []


def get_requires_for_build_wheel(config_settings: Any = None) -> list[str]:
    return _requires()


def get_requires_for_build_sdist(config_settings: Any = None) -> list[str]:
    return _requires()


def get_requires_for_build_editable(config_settings: Any = None) -> list[str]:
    return _requires()


def build_wheel(
    wheel_directory: str, config_settings: Any = None, metadata_directory: str | None = None
) -> str:
    target = os.path.abspath(wheel_directory)
    with _copy():
        return str(build_meta.build_wheel(target, config_settings))


def build_sdist(sdist_directory: str, config_settings: Any = None) -> str:
    target = os.path.abspath(sdist_directory)
    with _copy():
        return str(build_meta.build_sdist(target, config_settings))


def build_editable(
    wheel_directory: str, config_settings: Any = None, metadata_directory: str | None = None
) -> str:
    if PROTOS.is_dir():
        _generate(HERE)
    return str(build_meta.build_editable(wheel_directory, config_settings))


@contextlib.contextmanager
def _copy() -> Iterator[None]:
    """The working directory is a copy of what is built, with the generated code."""
    before = Path.cwd()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for part in BUILT:
            if (HERE / part).is_dir():
                skipped = shutil.ignore_patterns("__pycache__", "*_pb2*" if PROTOS.is_dir() else "")
                shutil.copytree(HERE / part, folder / part, ignore=skipped)
            else:
                shutil.copy(HERE / part, folder / part)
        (folder / "MANIFEST.in").write_text("include build_backend.py\n")
        if PROTOS.is_dir():
            _generate(folder)
        os.chdir(folder)
        try:
            yield
        finally:
            os.chdir(before)


def _generate(folder: Path) -> None:
    out = folder / "polos" / "v1"
    out.mkdir(exist_ok=True)
    (out / "__init__.py").write_text('"""Generated from protos/polos/v1."""\n')
    protos = sorted(str(path) for path in (PROTOS / "polos" / "v1").glob("*.proto"))
    command = [sys.executable, "-m", "grpc_tools.protoc", f"-I{PROTOS}"]
    subprocess.run(
        [*command, f"--python_out={folder}", f"--pyi_out={folder}", *protos], check=True
    )
