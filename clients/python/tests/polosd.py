"""Starts, kills and stops the real polosd for tests."""

from __future__ import annotations

import os
import queue
import re
import signal
import subprocess
import threading
from pathlib import Path

import pytest

WORKSPACE = Path(__file__).resolve().parents[3]
READY = re.compile(r"polosd ready address=(\S+) ")
START_SECONDS = 20


def binary() -> Path:
    """The program to test: $POLOSD, else the build's. Skips, or fails where it must be there."""
    path = Path(os.environ.get("POLOSD") or WORKSPACE / "out/bin/service/polosd")
    if path.exists():
        return path
    why = f"no server at {path}: build it (bazel build //service:polosd) or set POLOSD"
    if os.environ.get("POLOS_REQUIRE_SERVER") == "1":
        pytest.fail(why)
    pytest.skip(why)


class Polosd:
    """One data directory and the server on it; start() again after kill() keeps the port."""

    def __init__(self, program: Path, data: Path, environment: dict[str, str] | None = None):
        self.program = program
        self.data = data
        self.environment = dict(environment or {})
        self.address = "127.0.0.1:0"
        self.process: subprocess.Popen[str] | None = None
        self.log = data.with_name(data.name + ".log")

    @property
    def url(self) -> str:
        return f"http://{self.address}"

    def start(self) -> None:
        environment = {
            key: value for key, value in os.environ.items() if not key.startswith("OPENAI_")
        }
        with self.log.open("a") as log:
            self.process = subprocess.Popen(
                [str(self.program), "--listen", self.address, "--data", str(self.data)],
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                env={**environment, **self.environment},
            )
        found = READY.match(self._first_line())
        assert found, f"polosd did not say that it is ready; its log: {self.log.read_text()}"
        self.address = found[1]

    def _first_line(self) -> str:
        lines: queue.Queue[str] = queue.Queue()
        assert self.process is not None and self.process.stdout is not None
        stdout = self.process.stdout
        threading.Thread(target=lambda: lines.put(stdout.readline()), daemon=True).start()
        try:
            return lines.get(timeout=START_SECONDS)
        except queue.Empty:
            self.kill()
            return ""

    def kill(self) -> None:
        """SIGKILL: as a power cut would, but for the disk."""
        assert self.process is not None
        self.process.kill()
        self._reap()

    def stop(self) -> int:
        """SIGTERM and the exit code; kills what does not end."""
        if self.process is None:
            return 0
        self.process.send_signal(signal.SIGTERM)
        try:
            code = self.process.wait(timeout=20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            code = self.process.wait()
        self._reap()
        return code

    def _reap(self) -> None:
        assert self.process is not None
        self.process.wait()
        if self.process.stdout is not None:
            self.process.stdout.close()
        self.process = None
