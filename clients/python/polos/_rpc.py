"""The wire: one channel, the methods by name, and the server's errors as exceptions."""

from __future__ import annotations

import asyncio
import ipaddress
import random
import re
import time
from collections.abc import Callable, Iterable
from typing import Any, Generic, TypeVar
from urllib.parse import urlsplit

import grpc
import grpc.aio
from google.protobuf.message import Message
from google.rpc import error_details_pb2, status_pb2

from .errors import (
    ConflictError,
    InvalidArgumentError,
    NotFoundError,
    PermissionDeniedError,
    PolosError,
    ResourceExhaustedError,
    ServerError,
    UnavailableError,
)

try:
    from .v1 import agents_pb2, runs_pb2, suspend_pb2, tools_pb2, workflows_pb2
except ImportError as error:  # a checkout where the protos were not compiled yet
    raise ImportError(
        "polos.v1 is missing: run clients/python/generate.py (./run does), "
        "which needs the packages of requirements-dev.txt"
    ) from error

Request = TypeVar("Request", bound=Message)
Response = TypeVar("Response", bound=Message)
Row = TypeVar("Row")

MESSAGE_BYTES_MAX = 64 * 1024 * 1024
PAGE_ROWS_MAX = 500
ATTEMPT_SECONDS = 30.0  # one try of a short call
FIRST_CONTACT_SECONDS = 3.0  # how long the very first call looks for the server

_CHANNEL_OPTIONS: list[tuple[str, Any]] = [
    ("grpc.max_receive_message_length", MESSAGE_BYTES_MAX),
    ("grpc.max_send_message_length", MESSAGE_BYTES_MAX),
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.min_reconnect_backoff_ms", 1000),
    ("grpc.max_reconnect_backoff_ms", 1000),
    ("grpc.keepalive_time_ms", 30000),
    ("grpc.keepalive_timeout_ms", 15000),
]


class Endpoint:
    """Where the server is: "http://host:port", "https://host:port" or "host:port"."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url if "://" in url else f"http://{url}")
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise InvalidArgumentError(
                f"{url!r} is no server address: write http://HOST:PORT or https://HOST:PORT",
                field="api_url",
            )
        if "://" not in url and ":" not in parts.netloc.rpartition("]")[2]:
            raise InvalidArgumentError(
                f"{url!r} names no port: write {parts.hostname}:8080", field="api_url"
            )
        try:
            port = parts.port or (443 if parts.scheme == "https" else 80)
        except ValueError:
            raise InvalidArgumentError(f"{url!r} has no valid port", field="api_url") from None
        host = parts.hostname
        self.url = url
        self.secure = parts.scheme == "https"
        self.target = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        self.local = host == "localhost" or _is_loopback(host)

    def open(self) -> grpc.aio.Channel:
        """A channel on the running loop; connects when it is first used."""
        options = list(_CHANNEL_OPTIONS)
        if self.local:
            options.append(("grpc.enable_http_proxy", 0))
        if self.secure:
            return grpc.aio.secure_channel(self.target, grpc.ssl_channel_credentials(), options)
        return grpc.aio.insecure_channel(self.target, options)


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


class Method(Generic[Request, Response]):
    """One method of the API: its path and its two message types."""

    def __init__(self, service: str, name: str, request: type[Request], response: type[Response]):
        self.path = f"/polos.v1.{service}/{name}"
        self.encode: Callable[[Request], bytes] = request.SerializeToString
        self.decode: Callable[[bytes], Response] = response.FromString


REGISTER = Method(
    "AgentService",
    "Register",
    agents_pb2.AgentServiceRegisterRequest,
    agents_pb2.AgentServiceRegisterResponse,
)
AGENT_START = Method(
    "AgentService",
    "Start",
    agents_pb2.AgentServiceStartRequest,
    agents_pb2.AgentServiceStartResponse,
)
WORKFLOW_START = Method(
    "WorkflowService",
    "Start",
    workflows_pb2.WorkflowServiceStartRequest,
    workflows_pb2.WorkflowServiceStartResponse,
)
RUN_GET = Method(
    "RunService", "Get", runs_pb2.RunServiceGetRequest, runs_pb2.RunServiceGetResponse
)
RUN_LIST = Method(
    "RunService", "List", runs_pb2.RunServiceListRequest, runs_pb2.RunServiceListResponse
)
RUN_HISTORY = Method(
    "RunService",
    "History",
    runs_pb2.RunServiceHistoryRequest,
    runs_pb2.RunServiceHistoryResponse,
)
RUN_FORK = Method(
    "RunService", "Fork", runs_pb2.RunServiceForkRequest, runs_pb2.RunServiceForkResponse
)
RUN_RETRY = Method(
    "RunService", "Retry", runs_pb2.RunServiceRetryRequest, runs_pb2.RunServiceRetryResponse
)
RUN_CANCEL = Method(
    "RunService", "Cancel", runs_pb2.RunServiceCancelRequest, runs_pb2.RunServiceCancelResponse
)
RUN_WATCH = Method(
    "RunService", "Watch", runs_pb2.RunServiceWatchRequest, runs_pb2.RunServiceWatchResponse
)
PUBLISH = Method(
    "WorkflowService",
    "Publish",
    workflows_pb2.WorkflowServicePublishRequest,
    workflows_pb2.WorkflowServicePublishResponse,
)
SUBSCRIBE = Method(
    "WorkflowService",
    "Subscribe",
    workflows_pb2.WorkflowServiceSubscribeRequest,
    workflows_pb2.WorkflowServiceSubscribeResponse,
)
QUEUE_PUT = Method(
    "WorkflowService",
    "PutQueue",
    workflows_pb2.WorkflowServicePutQueueRequest,
    workflows_pb2.WorkflowServicePutQueueResponse,
)
QUEUE_DELETE = Method(
    "WorkflowService",
    "DeleteQueue",
    workflows_pb2.WorkflowServiceDeleteQueueRequest,
    workflows_pb2.WorkflowServiceDeleteQueueResponse,
)
QUEUE_LIST = Method(
    "WorkflowService",
    "ListQueues",
    workflows_pb2.WorkflowServiceListQueuesRequest,
    workflows_pb2.WorkflowServiceListQueuesResponse,
)
SCHEDULE_PUT = Method(
    "WorkflowService",
    "PutSchedule",
    workflows_pb2.WorkflowServicePutScheduleRequest,
    workflows_pb2.WorkflowServicePutScheduleResponse,
)
SCHEDULE_LIST = Method(
    "WorkflowService",
    "ListSchedules",
    workflows_pb2.WorkflowServiceListSchedulesRequest,
    workflows_pb2.WorkflowServiceListSchedulesResponse,
)
SCHEDULE_DELETE = Method(
    "WorkflowService",
    "DeleteSchedule",
    workflows_pb2.WorkflowServiceDeleteScheduleRequest,
    workflows_pb2.WorkflowServiceDeleteScheduleResponse,
)
SUSPENSION_LIST = Method(
    "SuspendService",
    "List",
    suspend_pb2.SuspendServiceListRequest,
    suspend_pb2.SuspendServiceListResponse,
)
SUSPENSION_GET = Method(
    "SuspendService",
    "Get",
    suspend_pb2.SuspendServiceGetRequest,
    suspend_pb2.SuspendServiceGetResponse,
)
RESUME = Method(
    "SuspendService",
    "Resume",
    suspend_pb2.SuspendServiceResumeRequest,
    suspend_pb2.SuspendServiceResumeResponse,
)
TOOL_CONNECT = Method("ToolService", "Connect", tools_pb2.HostMessage, tools_pb2.ServerMessage)

# What a broken connection looks like; grpc.aio says INTERNAL when it breaks while it writes.
_BROKEN = frozenset(
    {
        grpc.StatusCode.UNAVAILABLE,
        grpc.StatusCode.DEADLINE_EXCEEDED,
        grpc.StatusCode.INTERNAL,
        grpc.StatusCode.UNKNOWN,
        grpc.StatusCode.CANCELLED,
    }
)
_ERROR_CLASSES: dict[grpc.StatusCode, type[PolosError]] = {
    grpc.StatusCode.UNAVAILABLE: UnavailableError,
    grpc.StatusCode.DEADLINE_EXCEEDED: UnavailableError,
    grpc.StatusCode.INVALID_ARGUMENT: InvalidArgumentError,
    grpc.StatusCode.OUT_OF_RANGE: InvalidArgumentError,
    grpc.StatusCode.NOT_FOUND: NotFoundError,
    grpc.StatusCode.ALREADY_EXISTS: ConflictError,
    grpc.StatusCode.FAILED_PRECONDITION: ConflictError,
    grpc.StatusCode.ABORTED: ConflictError,
    grpc.StatusCode.UNAUTHENTICATED: PermissionDeniedError,
    grpc.StatusCode.PERMISSION_DENIED: PermissionDeniedError,
}


def error_from(error: grpc.aio.AioRpcError, url: str) -> PolosError:
    """The exception for a failed call, with the reason and field of its google.rpc.Status."""
    reason, field, retry_after = _details(error)
    message = error.details() or error.code().name
    if error.code() is grpc.StatusCode.RESOURCE_EXHAUSTED and not reason:
        if "larger than max" in message:  # the transport's word for it
            return InvalidArgumentError(
                f"the request is too large for the server: {message}; send less, or store the "
                "data elsewhere and send where it is",
                reason="MESSAGE_TOO_LARGE",
            )
    if error.code() is grpc.StatusCode.RESOURCE_EXHAUSTED:
        return ResourceExhaustedError(
            message, reason=reason, field=field, retry_after=retry_after
        )
    if error.code() in _BROKEN and not reason:  # the transport's word, not the server's
        return unreachable(url, message)
    known = _ERROR_CLASSES.get(error.code(), ServerError)
    return known(message, reason=reason or error.code().name, field=field)


def unreachable(url: str, why: str) -> UnavailableError:
    """Says where the server was looked for and how to start one."""
    why = re.sub(r"^failed to connect to all addresses; last error: (UNKNOWN: )?", "", why)
    if "handshake failed" in why and url.startswith("https:"):
        why += "; polosd itself speaks http, and https needs a proxy in front of it"
    return UnavailableError(
        f"cannot reach polosd at {url}: {why}. Start it with ./run serve, "
        "or set POLOS_API_URL to where it is",
        reason="UNREACHABLE",
    )


def _details(error: grpc.aio.AioRpcError) -> tuple[str, str, float | None]:
    reason, field, retry_after = "", "", None
    for key, value in error.trailing_metadata() or ():
        if key != "grpc-status-details-bin":
            continue
        status = status_pb2.Status()
        try:
            status.ParseFromString(value if isinstance(value, bytes) else value.encode("latin-1"))
        except Exception:  # not the server's own details: the code and text must do
            continue
        for detail in status.details:
            info = error_details_pb2.ErrorInfo()
            request = error_details_pb2.BadRequest()
            retry = error_details_pb2.RetryInfo()
            if detail.Unpack(info):
                reason = info.reason
            elif detail.Unpack(request) and request.field_violations:
                field = request.field_violations[0].field
            elif detail.Unpack(retry):
                retry_after = retry.retry_delay.ToTimedelta().total_seconds()
    return reason, field, retry_after


def backoff(failures: int, base: float = 0.1, most: float = 2.0) -> float:
    """Seconds to wait after so many failures in a row: doubled each time, a quarter random."""
    full = min(most, base * 2.0 ** min(failures - 1, 16))
    return full * random.uniform(0.75, 1.0)


class Wire:
    """A channel with the client's headers; retries what is safe to retry.

    Everything here is bound to the event loop it was made on.
    """

    def __init__(self, endpoint: Endpoint, metadata: list[tuple[str, str]]) -> None:
        self.endpoint = endpoint
        self.metadata = tuple(metadata)
        self.contacted = False  # the server answered at least once
        self._channel = endpoint.open()

    async def close(self) -> None:
        await self._channel.close()

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
        response: Response = await rpc(request, timeout=left, metadata=self.metadata)
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
        return rpc(request, metadata=self.metadata)

    def bidi(
        self, method: Method[Request, Response]
    ) -> grpc.aio.StreamStreamCall[Request, Response]:
        """Opens a stream in both directions; not retried here."""
        rpc = self._channel.stream_stream(
            method.path, request_serializer=method.encode, response_deserializer=method.decode
        )
        return rpc(metadata=self.metadata)
