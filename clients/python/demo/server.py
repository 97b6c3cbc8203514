"""The demo's server: started, killed with SIGKILL, started again on the same data."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import time
from pathlib import Path

START_SECONDS = 30.0
STOP_SECONDS = 10.0


class ServerError(Exception):
    """The server did not start; the message is for the user."""


class Server:
    """polosd on one data directory. The port is the system's choice at first, then kept."""

    def __init__(self, program: Path, data: Path) -> None:
        self.program = program
        self.data = data
        self.log = data.with_name(data.name + ".log")
        self.address = "127.0.0.1:0"
        self.pid = 0
        self._process: asyncio.subprocess.Process | None = None

    @property
    def url(self) -> str:
        return f"http://{self.address}"

    async def start(self) -> float:
        """Returns the milliseconds until it was ready."""
        began = time.monotonic()
        with self.log.open("ab") as log:
            try:
                self._process = await asyncio.create_subprocess_exec(
                    str(self.program),
                    *("--listen", self.address, "--data", str(self.data)),
                    stdout=asyncio.subprocess.PIPE,
                    stderr=log,
                    start_new_session=True,  # Ctrl-C is this program's affair
                )
            except OSError as error:
                raise ServerError(f"{self.program} cannot be run: {error}") from error
        assert self._process.stdout is not None
        try:
            line = await asyncio.wait_for(self._process.stdout.readline(), START_SECONDS)
        except asyncio.TimeoutError:
            line = b""
        words = dict(word.split("=", 1) for word in line.decode().split() if "=" in word)
        if not line.startswith(b"polosd ready") or "address" not in words:
            raise ServerError(f"polosd did not start. Its log ends with:\n{self.log_tail()}")
        self.address, self.pid = words["address"], self._process.pid
        return (time.monotonic() - began) * 1000

    async def kill(self) -> None:
        """SIGKILL: no warning, no last words."""
        assert self._process is not None
        self._process.kill()
        await self._process.wait()

    async def stop(self) -> None:
        """SIGTERM, then SIGKILL when that does not help."""
        process, self._process = self._process, None
        if process is None or process.returncode is not None:
            return
        with contextlib.suppress(ProcessLookupError):
            process.send_signal(signal.SIGTERM)
        try:
            await asyncio.wait_for(process.wait(), STOP_SECONDS)
        except asyncio.TimeoutError:
            process.kill()
            await process.wait()

    def log_tail(self) -> str:
        with contextlib.suppress(OSError):
            lines = self.log.read_text(errors="replace").splitlines()[-10:]
            return "\n".join(f"    {line}" for line in lines) or "    (it is empty)"
        return "    (there is none)"


def program_path(arguments: list[str]) -> Path:
    """The server to show: the first argument, else $POLOSD, else the build's."""
    workspace = Path(__file__).resolve().parents[3]
    built = workspace / "out" / "bin" / "service" / "polosd"
    path = Path(arguments[0] if arguments else os.environ.get("POLOSD") or built)
    if not path.is_file():
        raise ServerError(f"There is no server at {path}. Build it with ./run, or set POLOSD.")
    return path
