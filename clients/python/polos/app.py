"""Polos: a long-lived host, and a client beside it."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal
from typing import Any

from pydantic import BaseModel

from ._connection import Connection
from ._functions import refuse
from .client import ExecutionHandle, PolosClient
from .host import Host
from .types import BatchWorkflowInput, ResumeResult

log = logging.getLogger("polos")

DRAIN_SECONDS = 30.0


class Polos:
    """Everything defined in this process, offered to a server for as long as it lives.

    `async with Polos() as polos:` connects and offers; `await polos.serve()` then blocks until
    SIGINT or SIGTERM, lets tasks at work end (30 s at most) and leaves. A server that goes away is
    dialled again for ever.

    Args:
        project_id, api_url, api_key, deployment_id: as for PolosClient.
        max_concurrent_workflows: tasks at work at once, 1 to 10000. Default:
            $POLOS_MAX_CONCURRENT_WORKFLOWS, else 100.
        port: accepted and not used: hosts dial out, nothing listens here.

    `channels` and `log_file` belong to features this release does not have and raise
    UnsupportedFeatureError.
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
        refuse("Polos", channels=channels, log_file=log_file)
        self.client = PolosClient(api_url, api_key, project_id, deployment_id)
        if max_concurrent_workflows is not None:
            if not 1 <= max_concurrent_workflows <= 10_000:
                raise ValueError(
                    f"max_concurrent_workflows is {max_concurrent_workflows}: "
                    "it is a number from 1 to 10000"
                )
            self.client.max_concurrent_workflows = max_concurrent_workflows
        self._connection: Connection | None = None
        self._host: Host | None = None

    @property
    def project_id(self) -> str:
        return self.client.project_id

    @property
    def api_url(self) -> str:
        return self.client.api_url

    @property
    def api_key(self) -> str:
        return self.client.api_key

    @property
    def deployment_id(self) -> str:
        return self.client.deployment_id

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
            self._connection = self.client._connection()
            self._host = await self._connection.serve()

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
        self._host = None
        connection, self._connection = self._connection, None
        if connection is not None:
            await connection.close(grace_seconds)
            await self.client.close()

    async def invoke(
        self,
        workflow_id: str,
        payload: Any = None,
        queue_name: str | None = None,
        queue_concurrency_limit: int | None = None,
        concurrency_key: str | None = None,
        session_id: str | None = None,
        user_id: str | None = None,
        initial_state: BaseModel | dict[str, Any] | None = None,
        run_timeout_seconds: float | None = None,
        max_retries: int | None = None,
        priority: int | None = None,
    ) -> ExecutionHandle:
        """As PolosClient.invoke()."""
        return await self.client.invoke(
            workflow_id,
            payload,
            queue_name,
            queue_concurrency_limit,
            concurrency_key,
            session_id,
            user_id,
            initial_state,
            run_timeout_seconds,
            max_retries,
            priority,
        )

    async def batch_invoke(
        self,
        workflows: list[BatchWorkflowInput],
        session_id: str | None = None,
        user_id: str | None = None,
    ) -> list[ExecutionHandle]:
        """As PolosClient.batch_invoke()."""
        return await self.client.batch_invoke(workflows, session_id, user_id)

    async def resume(
        self,
        suspend_workflow_id: str,
        suspend_execution_id: str,
        suspend_step_key: str,
        data: Any = None,
        resumed_by: str | None = None,
    ) -> ResumeResult:
        """As PolosClient.resume()."""
        return await self.client.resume(
            suspend_workflow_id, suspend_execution_id, suspend_step_key, data, resumed_by
        )

    async def get_execution(self, execution_id: str) -> dict[str, Any]:
        """As PolosClient.get_execution()."""
        return await self.client.get_execution(execution_id)

    async def cancel_execution(self, execution_id: str) -> bool:
        """As PolosClient.cancel_execution()."""
        return await self.client.cancel_execution(execution_id)
