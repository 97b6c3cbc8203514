"""Heartbeats from a thread of their own: a host keeps its leases while its code holds up the loop.

Threading: begin() and stop() on the host's loop; the rest runs on the thread.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable

import grpc

from .._wire.endpoint import Endpoint
from .._wire.methods import HEARTBEAT
from ..v1 import tools_pb2

STOP_SECONDS = 0.5  # what the end of the thread may take
_CLOCK = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)  # goes on while a machine sleeps


class Beat:
    """One host's heartbeats. `lost` is called on the thread when the server does not know the
    session any more."""

    def __init__(
        self, endpoint: Endpoint, metadata: tuple[tuple[str, str], ...], lost: Callable[[], None]
    ) -> None:
        self._endpoint = endpoint
        self._metadata = metadata
        self._lost = lost
        self._token = ""
        self._seconds = 0.0
        self._lived_at = 0.0  # when the server was last told, and knew, that the session lives
        self._stopped = threading.Event()
        self._thread: threading.Thread | None = None
        self._channel: grpc.Channel | None = None

    def begin(self, token: str, seconds: float) -> None:
        """Says every so often that the session of this token lives, from now on."""
        self._token, self._seconds = token, seconds
        self._lived_at = time.clock_gettime(_CLOCK)
        if self._thread is None and not self._stopped.is_set():
            self._channel = self._endpoint.open_for_threads()
            self._thread = threading.Thread(target=self._run, name="polos-beat", daemon=True)
            self._thread.start()

    def silence_seconds(self) -> float:
        """For how long the server may have heard nothing of the session."""
        return time.clock_gettime(_CLOCK) - self._lived_at

    def stop(self) -> None:
        """No more of them; a host beats again with another Beat."""
        self._stopped.set()
        if self._thread is not None and self._channel is not None:
            self._channel.close()  # which ends the call that is out
            self._thread.join(STOP_SECONDS)

    def _run(self) -> None:
        assert self._channel is not None
        call = self._channel.unary_unary(
            HEARTBEAT.path,
            request_serializer=HEARTBEAT.encode,
            response_deserializer=HEARTBEAT.decode,
        )
        while not self._stopped.wait(self._seconds):
            with contextlib.suppress(ValueError):  # the channel was closed meanwhile
                self._once(call)

    def _once(
        self,
        call: grpc.UnaryUnaryMultiCallable[
            tools_pb2.ToolServiceHeartbeatRequest, tools_pb2.ToolServiceHeartbeatResponse
        ],
    ) -> None:
        token, now = self._token, time.clock_gettime(_CLOCK)
        request = tools_pb2.ToolServiceHeartbeatRequest(host_token=token)
        try:
            call(request, timeout=self._seconds, metadata=self._metadata)
            if token == self._token:
                self._lived_at = max(self._lived_at, now)
        except grpc.RpcError as error:
            if error.code() is grpc.StatusCode.NOT_FOUND and token == self._token:
                self._lost()
