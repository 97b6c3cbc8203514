"""Between a host and its server: hands on the messages of gRPC, and breaks off where it is told to.

Messages of `ToolService.Connect` are counted, from 1, in each direction, over all its streams:
"up" to the server, "down" to the host.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import Any

import grpc

CONNECT = "/polos.v1.ToolService/Connect"
HOLD_SECONDS = 0.5
DELAY_SECONDS = 0.1
GOAWAY_SECONDS = 0.3
LARGEST = 64 * 1024 * 1024
OPTIONS = [
    ("grpc.max_receive_message_length", LARGEST),
    ("grpc.max_send_message_length", LARGEST),
    ("grpc.min_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 100),
    ("grpc.initial_reconnect_backoff_ms", 20),
]


@dataclass(frozen=True)
class Fault:
    """What happens at one message.

    cut, cut after    the stream breaks off: it is lost, or it is the last
    hold              it and all after it are lost, and the other direction goes on (half-open);
                      after a while the stream breaks off
    delay             it comes late, and all after it
    twice             it comes twice
    goaway            the connection takes no new calls, and ends after a while
    call              Proxy.call, before it is handed on
    """

    direction: str
    number: int
    what: str

    @property
    def at(self) -> tuple[str, int]:
        return self.direction, self.number

    def __str__(self) -> str:
        return f"{self.what} {self.direction} {self.number}"


class Cut(Exception):
    """The stream breaks off here."""


class Proxy:
    """Listens until close(); `address` is where."""

    def __init__(self, target: str) -> None:
        self._target = target
        self._counts = {"up": 0, "down": 0}
        self._fault: Fault | None = None
        self.call: Callable[[], None] = lambda: None
        self.address = ""
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self._do(self._start())

    def begin(self, fault: Fault | None) -> None:
        """Counts from 1 again."""
        self._counts = {"up": 0, "down": 0}
        self._fault = fault

    @property
    def counts(self) -> dict[str, int]:
        return dict(self._counts)

    @property
    def has_struck(self) -> bool:
        return self._fault is None

    def close(self) -> None:
        self._do(self._server.stop(None))
        self._do(self._channel.close())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()

    # ---- inside ----

    def _do(self, work: Any) -> Any:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(30)

    async def _start(self) -> None:
        self._channel = grpc.aio.insecure_channel(self._target, options=OPTIONS)
        self._server = await self._listen("127.0.0.1:0")

    async def _listen(self, address: str) -> Any:
        server = grpc.aio.server(options=OPTIONS)
        server.add_generic_rpc_handlers((_Handler(self),))
        self.address = f"127.0.0.1:{server.add_insecure_port(address)}"
        await server.start()
        return server

    async def _go_away(self) -> None:
        """Who is connected is told to connect anew."""
        before, self._server = self._server, await self._listen(self.address)
        self._leaving = asyncio.ensure_future(before.stop(GOAWAY_SECONDS))

    async def handed_on(
        self, method: str, given: AsyncIterator[bytes], context: Any
    ) -> AsyncIterator[bytes]:
        """One call, of whatever kind: on the wire they are alike."""
        cut = asyncio.Event()

        async def up() -> AsyncIterator[bytes]:
            is_greeting = True  # which is never told twice
            async for message in given:
                messages, is_last = await self._met(method, "up", message)
                for each in messages[:1] if is_greeting else messages:
                    yield each
                is_greeting = False
                if is_last:
                    cut.set()
                    return

        kept = [(k, v) for k, v in context.invocation_metadata() if not k.startswith("grpc-")]
        metadata = [(k, v) for k, v in kept if k not in ("user-agent", "te", "content-type")]
        call = self._channel.stream_stream(method)(up(), metadata=metadata)
        watch = asyncio.ensure_future(cut.wait())
        is_welcome = True  # neither is this
        try:
            while True:
                read = asyncio.ensure_future(call.read())
                await asyncio.wait([read, watch], return_when=asyncio.FIRST_COMPLETED)
                if watch.done():
                    read.cancel()
                    raise Cut
                message = read.result()
                if message is grpc.aio.EOF:
                    break
                messages, is_last = await self._met(method, "down", message)
                for each in messages[:1] if is_welcome else messages:
                    yield each
                is_welcome = False
                if is_last:
                    raise Cut
        except Cut:
            call.cancel()
            await context.abort(grpc.StatusCode.UNAVAILABLE, "cut")
        except grpc.aio.AioRpcError:
            pass  # as the end of the call says
        finally:
            watch.cancel()
            if not call.done():
                call.cancel()
        trailing = tuple((k, v) for k, v in await call.trailing_metadata() or ())
        context.set_trailing_metadata(trailing)
        if await call.code() != grpc.StatusCode.OK:
            await context.abort(await call.code(), await call.details() or "", trailing)

    async def _met(
        self, method: str, direction: str, message: bytes
    ) -> tuple[list[bytes], bool]:
        """What is handed on for a message, and whether the stream breaks off then."""
        if method != CONNECT:
            return [message], False
        self._counts[direction] += 1
        fault = self._fault
        if fault is None or fault.at != (direction, self._counts[direction]):
            return [message], False
        self._fault = None
        if fault.what == "call":
            await asyncio.to_thread(self.call)
        elif fault.what == "goaway":
            await self._go_away()
        elif fault.what in ("hold", "delay"):
            await asyncio.sleep(HOLD_SECONDS if fault.what == "hold" else DELAY_SECONDS)
        given = {"cut": 0, "hold": 0, "twice": 2}.get(fault.what, 1)
        return [message] * given, fault.what.startswith("cut") or fault.what == "hold"


class _Handler(grpc.GenericRpcHandler):
    def __init__(self, proxy: Proxy) -> None:
        self._proxy = proxy

    def service(self, about: Any) -> Any:
        async def handle(given: AsyncIterator[bytes], context: Any) -> AsyncIterator[bytes]:
            async for message in self._proxy.handed_on(about.method, given, context):
                yield message

        return grpc.stream_stream_rpc_method_handler(handle)
