#!/usr/bin/env python3
"""Makes polos/v1/*_pb2.py, *_pb2.pyi and *_pb2_grpc.py from protos/polos/v1/*.proto.

Does nothing when they are as new as the protos; `--force` makes them anyway. Needs
grpcio-tools (requirements-dev.txt).
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import importlib.resources
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
PROTOS = HERE.parent.parent / "protos"
OUT = HERE / "polos" / "v1"


def fingerprint(protos: list[Path]) -> str:
    """What the generated code depends on: every proto's bytes and the generator's version."""
    digest = hashlib.sha256(importlib.metadata.version("grpcio-tools").encode())
    for path in protos:
        digest.update(path.name.encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()


def main() -> int:
    protos = sorted((PROTOS / "polos" / "v1").glob("*.proto"))
    if not protos:
        print(f"generate.py: no protos in {PROTOS / 'polos' / 'v1'}", file=sys.stderr)
        return 1
    stamp = OUT / ".stamp"
    wanted = fingerprint(protos)
    if "--force" not in sys.argv and stamp.exists() and stamp.read_text() == wanted:
        return 0

    from grpc_tools import protoc

    OUT.mkdir(parents=True, exist_ok=True)
    for old in OUT.glob("*_pb2*"):
        old.unlink()
    code: int = protoc.main(
        [
            "protoc",
            f"-I{PROTOS}",
            f"-I{importlib.resources.files('grpc_tools') / '_proto'}",
            f"--python_out={HERE}",
            f"--pyi_out={HERE}",
            f"--grpc_python_out={HERE}",
            *(str(path) for path in protos),
        ]
    )
    if code == 0:
        (OUT / "__init__.py").write_text('"""Generated from protos/polos/v1 by generate.py."""\n')
        stamp.write_text(wanted)
    return code


if __name__ == "__main__":
    sys.exit(main())
