"""Polos: a long-lived host that is a client as well."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import math
import os
import signal
import threading
import time
from typing import Any

from ._checks import refuse
from .client import PolosClient
from .errors import UnavailableError
from .host import Host

log = logging.getLogger("polos")

DRAIN_SECONDS = 25.0
LOOK_AGAIN_SECONDS = 1.0  # between two looks for a server that is not there
REMINDER_SECONDS = 60.0  # between two lines about that


class _Signals:
    """SIGINT and SIGTERM while serve() runs, in the main thread; the third is not ours any more."""

    def __init__(self) -> None:
        self._came = asyncio.Semaphore(0)
        self._before: dict[int, Any] = {}
        self._count = 0

    async def next(self) -> None:
        """Returns when one more has come."""
        await self._came.acquire()

    def __enter__(self) -> _Signals:
        if threading.current_thread() is threading.main_thread():
            loop = asyncio.get_running_loop()
            for number in (signal.SIGINT, signal.SIGTERM):
                with contextlib.suppress(NotImplementedError, ValueError, RuntimeError):
                    before = signal.getsignal(number)
                    loop.add_signal_handler(number, self._on_signal)
                    self._before[number] = before
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._restore()

    def _on_signal(self) -> None:
        self._count += 1
        self._came.release()
        if self._count == 2:
            self._restore()

    def _restore(self) -> None:
        loop = asyncio.get_running_loop()
        for number, before in self._before.items():
            loop.remove_signal_handler(number)
            if before is not None:
                signal.signal(number, before)
        self._before.clear()


class Polos(PolosClient):
    """Everything defined in this process, offered to a server for as long as it lives; and a client
    of that server.

    `async with Polos() as polos:` connects and offers; `await polos.serve()` then blocks until
    SIGINT or SIGTERM, lets tasks at work end (25 s at most) and leaves; a second signal leaves at
    once. A server that is not there yet, or goes away, is dialled again for ever.

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
        try:
            await self.start()
        except UnavailableError as error:  # what needs the server looks for it again; serve() waits
            log.warning("%s", error.message)
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
        """Blocks until SIGINT or SIGTERM, then drains; a second one leaves at once. Waits for a
        server that is not there yet. Raises when the server refuses this host."""
        with _Signals() as signals:
            asked = asyncio.create_task(signals.next())
            serving = asyncio.create_task(self._serve())
            try:
                await asyncio.wait([asked, serving], return_when=asyncio.FIRST_COMPLETED)
                if serving.done():
                    serving.result()
            finally:
                for task in (asked, serving):
                    task.cancel()
                await asyncio.gather(asked, serving, return_exceptions=True)
                await self._leave(signals)

    async def _serve(self) -> None:
        said_at = -math.inf
        while self._host is None:
            try:
                await self.start()
            except UnavailableError as error:
                if time.monotonic() - said_at >= REMINDER_SECONDS:
                    said_at = time.monotonic()
                    log.warning("%s; waiting for it", error.message)
                await asyncio.sleep(LOOK_AGAIN_SECONDS)
        log.info("serving what is defined here at %s", self.api_url)
        await self._host.wait()

    async def _leave(self, signals: _Signals) -> None:
        """Lets tasks at work end, unless a further signal says that there is no time for it."""
        host = self._host
        if host is not None and host.held_count:
            log.warning(
                "leaving: %d tasks are at work, which have %.0f s to end; a further signal leaves "
                "at once",
                host.held_count,
                DRAIN_SECONDS,
            )
        impatient = asyncio.create_task(signals.next())
        if host is not None:
            impatient.add_done_callback(lambda _: host.leave_now())
        try:
            await self.stop(DRAIN_SECONDS)
        finally:
            impatient.cancel()

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
