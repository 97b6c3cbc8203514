"""The parts of a message to an agent: texts, and what is shown beside them.

Programs bring them in the forms of the providers' own SDKs; the server knows one.
"""

from __future__ import annotations

import base64
import binascii
from typing import Any

from .._checks import checked_text
from ..errors import InvalidArgumentError
from ..v1 import messages_pb2

_FORMS = (
    'a text, {"type": "text", "text": ...}, {"type": "image_url", "image_url": {"url": ...}}, '
    '{"type": "file", "file": {"filename": ..., "file_data": ...}} or '
    '{"type": "media", "media_type": ..., "data": bytes or "url": ...}'
)


def message_part(given: Any, path: str) -> messages_pb2.Part:
    """A part as the API takes it, or InvalidArgumentError.

    Args:
        given: a text, or a dict in one of the forms of OpenAI's Chat Completions and Responses, of
            Anthropic's Messages, or of our own: {"type": "media", "media_type": "image/png",
            "data": bytes or their base64, or "url": ..., "filename": ...}.
        path: what it is called in errors.
    """
    if isinstance(given, str):
        return messages_pb2.Part(text=checked_text(given, path))
    kind = given.get("type") if isinstance(given, dict) else None
    if kind in ("text", "input_text") and isinstance(given.get("text"), str):
        return messages_pb2.Part(text=checked_text(given["text"], path))
    read = _READERS.get(kind) if isinstance(kind, str) else None
    members = read(given) if read else None
    if members is None or not any(members.get(name) for name in ("data", "url")):
        raise InvalidArgumentError(f"{path} must be {_FORMS}", field="input")
    return messages_pb2.Part(media=_media(members, path))


def _media(members: dict[str, Any], path: str) -> messages_pb2.Media:
    media = messages_pb2.Media()
    for name in ("media_type", "filename"):
        if members.get(name):
            setattr(media, name, checked_text(members[name], f"{path}.{name}"))
    if members.get("data"):
        media.data = _bytes(members["data"], path)
    elif members["url"].startswith("data:"):
        head, _, data = members["url"][5:].partition(",")
        media.data, media.media_type = _bytes(data, path), head.partition(";")[0]
    else:
        media.url = checked_text(members["url"], f"{path}.url")
    return media


def _bytes(data: Any, path: str) -> bytes:
    if isinstance(data, (bytes, bytearray)):
        return bytes(data)
    try:
        return base64.b64decode(data, validate=True)
    except (binascii.Error, TypeError, ValueError):
        raise InvalidArgumentError(
            f"{path}.data must be bytes, or a text of them in base64", field="input"
        ) from None


def _of_ours(part: dict[str, Any]) -> dict[str, Any]:
    return part


def _of_image_url(part: dict[str, Any]) -> dict[str, Any] | None:
    """Chat Completions' and Responses' way."""
    url = part.get("image_url")
    url = url.get("url") if isinstance(url, dict) else url
    return {"url": url} if isinstance(url, str) else None


def _of_file(part: dict[str, Any]) -> dict[str, Any] | None:
    """The same two's."""
    file = part.get("file", part)
    if not isinstance(file, dict):
        return None
    url = file.get("file_data") or file.get("file_url")
    if not isinstance(url, str):
        return None
    kind = None if url.startswith("data:") else "application/pdf"
    return {"url": url, "filename": file.get("filename"), "media_type": kind}


def _of_source(part: dict[str, Any]) -> dict[str, Any] | None:
    """Anthropic's way."""
    source = part.get("source")
    if not isinstance(source, dict):
        return None
    data = source.get("data")
    if source.get("type") == "text" and isinstance(data, str):
        data = data.encode()
    usual = "application/pdf" if part["type"] == "document" else None
    return {
        "media_type": source.get("media_type") or usual,
        "data": data,
        "url": source.get("url"),
        "filename": part.get("title"),
    }


_READERS = {
    "media": _of_ours,
    "image_url": _of_image_url,
    "input_image": _of_image_url,
    "file": _of_file,
    "input_file": _of_file,
    "image": _of_source,
    "document": _of_source,
}
