"""The server's errors as exceptions, and how long to wait before the next try."""

from __future__ import annotations

import random
import re

import grpc
import grpc.aio
from google.rpc import error_details_pb2, status_pb2

from ..errors import (
    ConflictError,
    InvalidArgumentError,
    NotFoundError,
    PermissionDeniedError,
    PolosError,
    ResourceExhaustedError,
    ServerError,
    UnavailableError,
)

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
    if "CERTIFICATE_VERIFY_FAILED" in why:
        why += "; POLOS_CA_FILE names the file of an authority of your own"
    elif "andshake" in why and url.startswith("https:"):
        why += "; a polosd without --tls-certificates speaks http"
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
