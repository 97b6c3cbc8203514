"""Python values as JSON text, and what is refused with a sentence."""

from __future__ import annotations

import json
from typing import Any

from pydantic import ValidationError

from ..errors import InvalidArgumentError
from .names import class_path
from .plain import NotJsonError, plain_of, shown_of

__all__ = ["NotJsonError", "dumps", "dumps_argument", "dumps_plain", "dumps_shown", "sentences"]

_ENCODER = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":"))


def dumps(value: Any) -> str:
    """The JSON text of a value: what JSON knows, pydantic models, dataclasses, dates, UUIDs, sets,
    bytes as base64.

    Raises NotJsonError for anything else, for NaN and infinities, and for broken Unicode.
    """
    return dumps_plain(plain_of(value)[0], value)


def dumps_shown(value: Any) -> str:
    """As dumps(), for a model to read: without excluded fields, and with asterisks in place of
    secrets."""
    return dumps_plain(shown_of(value), value)


def dumps_plain(plain: Any, value: Any) -> str:
    """The text of what plain_of() made of a value."""
    try:
        return _ENCODER.encode(plain)
    except (ValueError, RecursionError) as error:
        raise NotJsonError(f"{class_path(type(value))}: {error}") from error


def dumps_argument(value: Any, what: str, field: str) -> str:
    """As dumps(), of what a caller gave; raises InvalidArgumentError, which begins with `what`."""
    try:
        return dumps(value)
    except NotJsonError as error:
        raise InvalidArgumentError(f"{what} has no JSON form: {error}", field=field) from error


def sentences(error: ValidationError) -> str:
    """Pydantic's findings in one line: "city: Field required; days: Input should be ..."."""
    return "; ".join(
        f"{'.'.join(map(str, item['loc'])) or 'the value'}: {item['msg']}"
        for item in error.errors(include_url=False, include_input=False)
    )
