"""Polos: a long-lived host that is a client as well."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
from typing import Any

from ._checks import refuse
from .client import PolosClient
from .host import Host

log = logging.getLogger("polos")

DRAIN_SECONDS = 30.0


class Polos(PolosClient):
    """Everything defined in this process, offered to a server for as long as it lives; and a client
    of that server.

    `async with Polos() as polos:` connects and offers; `await polos.serve()` then blocks until
    SIGINT or SIGTERM, lets tasks at work end (30 s at most) and leaves. A server that goes away is
    dialled again for ever.

    Args:
        project_id, api_url, api_key, deployment_id: as for PolosClient.
        max_concurrent_workflows: tasks at work at once, 1 to 10000. Default:
            $POLOS_MAX_CONCURRENT_WORKFLOWS, else 100.
        port: accepted and not used: hosts dial out, nothing listens here.

        log_file: what this package logs is appended to this file, INFO and above.

    `channels` belongs to a feature this release does not have and raises UnsupportedFeatureError.
    """

    def __init__(
        self,
        project_id: str | None = None,
        api_url: str | None = None,
        api_key: str | None = None,
        deployment_id: str | None = None,
        port: int = 8000,
        max_concurrent_workflows: int | None = None,
        channels: list[Any] | None = None,
        log_file: str | None = None,
    ) -> None:
        refuse("Polos", channels=channels)
        if log_file is not None:
            _log_to(log_file)
        super().__init__(api_url, api_key, project_id, deployment_id)
        if max_concurrent_workflows is not None:
            if not 1 <= max_concurrent_workflows <= 10_000:
                raise ValueError(
                    f"max_concurrent_workflows is {max_concurrent_workflows}: "
                    "it is a number from 1 to 10000"
                )
            self.max_concurrent_workflows = max_concurrent_workflows
        self._host: Host | None = None

    @property
    def client(self) -> PolosClient:
        """This object: it is a client itself."""
        return self

    async def __aenter__(self) -> Polos:
        await self.start()
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        await self.stop()

    async def start(self) -> None:
        """Connects and offers everything defined so far.

        Raises UnavailableError when the server is not there, InvalidArgumentError when it refuses
        a definition; the message names it.
        """
        if self._host is None:
            self._host = await self._connection().serve()

    async def serve(self) -> None:
        """Blocks until SIGINT or SIGTERM, then drains. Raises when the server refuses this host."""
        await self.start()
        assert self._host is not None
        loop = asyncio.get_running_loop()
        asked = asyncio.Event()
        signals = (signal.SIGINT, signal.SIGTERM)
        for number in signals:
            with contextlib.suppress(NotImplementedError, ValueError, RuntimeError):
                loop.add_signal_handler(number, asked.set)
        ends = [asyncio.create_task(asked.wait()), asyncio.create_task(self._host.wait())]
        try:
            done, _ = await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
            if ends[1] in done:
                ends[1].result()
        finally:
            for number in signals:
                with contextlib.suppress(NotImplementedError, ValueError, RuntimeError):
                    loop.remove_signal_handler(number)
            for end in ends:
                end.cancel()
            await asyncio.gather(*ends, return_exceptions=True)
            await self.stop(DRAIN_SECONDS)

    async def stop(self, grace_seconds: float = 0.0) -> None:
        """Lets tasks at work end for so long, then leaves."""
        await self.close(grace_seconds)

    async def close(self, grace_seconds: float = 0.0) -> None:
        """The same as stop()."""
        self._host = None
        await super().close(grace_seconds)


def _log_to(path: str) -> None:
    """Once for each file, however many clients name it."""
    wanted = os.path.abspath(path)
    for handler in log.handlers:
        if isinstance(handler, logging.FileHandler) and handler.baseFilename == wanted:
            return
    handler = logging.FileHandler(wanted)
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    log.addHandler(handler)
    if log.getEffectiveLevel() > logging.INFO:
        log.setLevel(logging.INFO)
