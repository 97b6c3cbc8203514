"""Where the server is, and a channel to it."""

from __future__ import annotations

import ipaddress
import os
from typing import Any
from urllib.parse import urlsplit

import grpc
import grpc.aio

from ..errors import InvalidArgumentError

MESSAGE_BYTES_MAX = 64 * 1024 * 1024

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
        if self.secure:
            credentials = _credentials()
            return grpc.aio.secure_channel(self.target, credentials, self._options())
        return grpc.aio.insecure_channel(self.target, self._options())

    def open_for_threads(self) -> grpc.Channel:
        """A channel of no loop; connects when it is first used."""
        if self.secure:
            credentials = _credentials()
            return grpc.secure_channel(self.target, credentials, self._options())
        return grpc.insecure_channel(self.target, self._options())

    def _options(self) -> list[tuple[str, Any]]:
        return [*_CHANNEL_OPTIONS, *([("grpc.enable_http_proxy", 0)] if self.local else [])]


def _credentials() -> grpc.ChannelCredentials:
    """With the authorities of $POLOS_CA_FILE, else gRPC's own."""
    path = os.environ.get("POLOS_CA_FILE")
    if not path:
        return grpc.ssl_channel_credentials()
    try:
        with open(path, "rb") as file:
            return grpc.ssl_channel_credentials(file.read())
    except OSError as error:
        raise InvalidArgumentError(
            f"POLOS_CA_FILE names {path!r}, which cannot be read: {error.strerror}",
            field="POLOS_CA_FILE",
        ) from None


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
