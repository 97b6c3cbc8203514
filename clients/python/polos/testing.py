"""For tests of your own: a server that is there as long as a test.

    with testing.Server() as server:
        client = PolosClient(server.url)
        answer = agent.run_sync(client, "hi", script=[{"text": "hello"}])
        server.skip(days=14)        # what waits for less is due

An agent with `provider="scripted"` says what its run's `script=` has, without a network. In pytest:

    @pytest.fixture(scope="session")
    def server():
        with testing.Server() as server:
            yield server
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import tempfile
from types import TracebackType

from typing_extensions import Self

from .errors import UnavailableError

__all__ = ["Server"]

STOP_SECONDS = 20
SKIP_SECONDS_MAX = 36600 * 86400.0
_READY = re.compile(r"polosd ready address=(\S+) ")


class Server:
    """A polosd on a free port with a data directory of its own, which is deleted at the end.

    Args:
        program: the binary. Default: $POLOSD, else polosd on the path.
        flags: further ones for its command line.
        environment: variables for it, beside those of this process: providers' keys, addresses.
    """

    def __init__(
        self,
        program: str | None = None,
        *flags: str,
        environment: dict[str, str] | None = None,
    ) -> None:
        self.url = ""
        self._program = program or os.environ.get("POLOSD") or shutil.which("polosd")
        self._flags = flags
        self._environment = dict(environment or {})
        self._address = "127.0.0.1:0"
        self._folder: tempfile.TemporaryDirectory[str] | None = None
        self._process: subprocess.Popen[str] | None = None
        self._ahead_seconds = 0.0

    def __enter__(self) -> Self:
        self._folder = tempfile.TemporaryDirectory(prefix="polosd-")
        try:
            self.start()
        except BaseException:
            self._folder.cleanup()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._end(signal.SIGTERM)
        assert self._folder is not None
        self._folder.cleanup()

    def start(self) -> None:
        """Starts it, also after kill(): at the same address, with the same data.

        Raises UnavailableError when there is no such program, or it does not come up.
        """
        assert self._folder is not None, "with Server() as server: ..."
        if not self._program:
            raise UnavailableError(
                "there is no polosd: set POLOSD to its path, or put it on the PATH",
                reason="NO_SERVER",
            )
        command = [self._program, "--listen", self._address, "--data", f"{self._folder.name}/data"]
        log_path = f"{self._folder.name}/log"
        with open(log_path, "a") as log:
            self._process = subprocess.Popen(
                [*command, *self._flags, f"--clock-ahead-ms={round(self._ahead_seconds * 1000)}"],
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                env={**os.environ, **self._environment},
            )
        assert self._process.stdout is not None
        found = _READY.match(self._process.stdout.readline())
        if found is None:
            self._end(signal.SIGKILL)
            with open(log_path) as log:
                raise UnavailableError(f"polosd did not come up: {log.read()[-2000:]}")
        self._address = found[1]
        self.url = f"http://{self._address}"

    def skip(
        self, seconds: float = 0, minutes: float = 0, hours: float = 0, days: float = 0
    ) -> None:
        """Lets so much time pass at once: what waits for it, or has its time limit in it, is due.

        The server is killed and started anew with its clock ahead; who is connected comes back.
        """
        length = seconds + 60 * minutes + 3600 * hours + 86400 * days
        if not 0 <= length <= SKIP_SECONDS_MAX:
            raise ValueError(f"skip({length} s): it is 0 or more, and at most a hundred years")
        self._ahead_seconds += length
        self.kill()
        self.start()

    def kill(self) -> None:
        """SIGKILL: what it had acknowledged is there when it is started again."""
        self._end(signal.SIGKILL)

    def _end(self, number: signal.Signals) -> None:
        if self._process is None:
            return
        self._process.send_signal(number)
        try:
            self._process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        if self._process.stdout is not None:
            self._process.stdout.close()
        self._process = None
