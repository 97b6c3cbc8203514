"""One channel: a call that waits for the server to come back, lists in pages, streams."""

from __future__ import annotations

import asyncio
import contextlib
import time
import weakref
from collections.abc import Callable, Iterable
from typing import Any, TypeVar

import grpc
import grpc.aio

from ..errors import InvalidArgumentError, ResourceExhaustedError, UnavailableError
from . import forks
from .endpoint import Endpoint
from .errors import backoff, error_from
from .methods import Method, Request, Response

Row = TypeVar("Row")

PAGE_ROWS_MAX = 500
ATTEMPT_SECONDS = 30.0  # one try of a short call
END_SECONDS = 1.0  # what the end of a call may take
FIRST_CONTACT_SECONDS = 3.0  # how long the very first call looks for the server


class Wire:
    """A channel with the client's headers; retries what is safe to retry.

    Everything here is bound to the event loop it was made on.
    """

    def __init__(self, endpoint: Endpoint, metadata: list[tuple[str, str]]) -> None:
        self.endpoint = endpoint
        self.metadata = tuple(metadata)
        self.contacted = False  # the server answered at least once
        forks.note_use()
        self._channel = endpoint.open()
        self._calls: weakref.WeakSet[Any] = weakref.WeakSet()

    async def close(self) -> None:
        """Ends what is still called, waits until gRPC has seen that, and closes the channel."""
        calls = [call for call in self._calls if not call.done()]
        for call in calls:
            call.cancel()
        for call in calls:
            with contextlib.suppress(Exception, asyncio.CancelledError):
                await asyncio.wait_for(call.code(), END_SECONDS)
        with contextlib.suppress(Exception, asyncio.CancelledError):
            await asyncio.wait_for(self._until_told(), END_SECONDS)
        await self._channel.close()

    async def _until_told(self) -> None:
        """Returns when gRPC has told this loop of all that is over: a cancelled call says that it
        is at once, what it was at comes back later, by the same way as the answers here."""
        for _ in range(2):
            await self._channel.wait_for_state_change(grpc.ChannelConnectivity.SHUTDOWN)

    async def call(
        self,
        method: Method[Request, Response],
        request: Request,
        *,
        give_up_at: float | None = None,
        repeat: bool = True,
    ) -> Response:
        """A unary call. `repeat`: it may be made again: reads, and starts with an idempotency key.

        An unreachable server is tried again until `give_up_at` (time.monotonic(); None: for
        ever), but only FIRST_CONTACT_SECONDS when it has never been reached.
        """
        if not self.contacted:
            first = time.monotonic() + FIRST_CONTACT_SECONDS
            give_up_at = first if give_up_at is None else min(first, give_up_at)
        forks.check()
        failures = 0
        while True:
            try:
                response = await self._once(method, request, give_up_at)
                self.contacted = True
                return response
            except grpc.aio.AioRpcError as error:
                if not repeat:
                    raise error_from(error, self.endpoint.url) from None
                failures += 1
                await self._pause_or_raise(error, failures, give_up_at)

    async def rows(
        self,
        method: Method[Any, Response],
        request: Any,
        rows_of: Callable[[Response], Iterable[Row]],
        limit: int | None = None,
    ) -> list[Row]:
        """The rows of a list that comes in pages, `limit` at most; None: all. `request` is used up.
        """
        found: list[Row] = []
        if limit is not None and not (isinstance(limit, int) and limit > 0):
            raise InvalidArgumentError(f"limit is {limit!r}: it is 1 or more", field="limit")
        while limit is None or len(found) < limit:
            if limit is not None:
                request.page_size = min(PAGE_ROWS_MAX, limit - len(found))
            page: Any = await self.call(method, request)
            found += rows_of(page)
            request.page_token = page.next_page_token
            if not request.page_token:
                break
        return found

    async def _once(
        self, method: Method[Request, Response], request: Request, give_up_at: float | None
    ) -> Response:
        left = ATTEMPT_SECONDS
        if give_up_at is not None:
            left = max(0.05, min(left, give_up_at - time.monotonic()))
        rpc = self._channel.unary_unary(
            method.path, request_serializer=method.encode, response_deserializer=method.decode
        )
        call = rpc(request, timeout=left, metadata=self.metadata)
        self._calls.add(call)
        response: Response = await call
        return response

    async def _pause_or_raise(
        self, error: grpc.aio.AioRpcError, failures: int, give_up_at: float | None
    ) -> None:
        told = error_from(error, self.endpoint.url)
        wait = backoff(failures)
        if isinstance(told, ResourceExhaustedError):
            if told.retry_after is None or failures > 5:
                raise told from None
            wait = max(wait, told.retry_after)
        elif not isinstance(told, UnavailableError):
            self.contacted = True
            raise told from None
        if give_up_at is not None and time.monotonic() + wait > give_up_at:
            raise told from None
        await asyncio.sleep(wait)

    def server_stream(
        self, method: Method[Request, Response], request: Request
    ) -> grpc.aio.UnaryStreamCall[Request, Response]:
        """Opens a server stream; not retried here."""
        rpc = self._channel.unary_stream(
            method.path, request_serializer=method.encode, response_deserializer=method.decode
        )
        forks.check()
        call = rpc(request, metadata=self.metadata)
        self._calls.add(call)
        return call

    def bidi(
        self, method: Method[Request, Response]
    ) -> grpc.aio.StreamStreamCall[Request, Response]:
        """Opens a stream in both directions; not retried here."""
        rpc = self._channel.stream_stream(
            method.path, request_serializer=method.encode, response_deserializer=method.decode
        )
        call = rpc(metadata=self.metadata)
        self._calls.add(call)
        return call
