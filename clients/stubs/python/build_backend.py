"""Builds the package with setuptools from the protos; what is built is a folder of its own.

The generated code works with the protobuf and gRPC of its generator and all later ones: therefore
that generator is an old one.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from setuptools import build_meta

HERE = Path(__file__).resolve().parent
PROTOS = HERE.parents[2] / "protos"
GENERATOR = [
    "grpcio-tools==1.68.1; python_version<'3.14'",
    "grpcio-tools>=1.76; python_version>='3.14'",
]


def get_requires_for_build_wheel(config_settings: Any = None) -> list[str]:
    return list(GENERATOR)


def build_wheel(
    wheel_directory: str, config_settings: Any = None, metadata_directory: str | None = None
) -> str:
    target, before = os.path.abspath(wheel_directory), Path.cwd()
    with tempfile.TemporaryDirectory() as name:
        shutil.copy(HERE / "pyproject.toml", name)
        generate(Path(name))
        os.chdir(name)
        try:
            return str(build_meta.build_wheel(target, config_settings))
        finally:
            os.chdir(before)


def generate(folder: Path) -> None:
    """polos/v1 in a folder, with messages, types and services."""
    out = folder / "polos" / "v1"
    out.mkdir(parents=True)
    (out / "__init__.py").write_text('"""Generated from protos/polos/v1."""\n')
    (out / "py.typed").touch()
    protos = sorted(str(path) for path in (PROTOS / "polos" / "v1").glob("*.proto"))
    outs = [f"--{kind}={folder}" for kind in ("python_out", "pyi_out", "grpc_python_out")]
    command = [sys.executable, "-m", "grpc_tools.protoc", f"-I{PROTOS}"]
    subprocess.run([*command, *outs, *protos], check=True)
