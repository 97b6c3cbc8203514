"""Python values as JSON text, and what is refused with a sentence."""

from __future__ import annotations

import json
from typing import Any

from pydantic import ValidationError
from pydantic_core import to_jsonable_python

from ..errors import InvalidArgumentError
from .names import class_path


class NotJsonError(TypeError):
    """A value has no JSON form; the message names its type and what is in the way."""


def dumps(value: Any) -> str:
    """The JSON text of a value: what JSON knows, pydantic models, dataclasses, dates, UUIDs, sets.

    Raises NotJsonError for anything else, for NaN and infinities, and for broken Unicode.
    """
    try:
        plain = to_jsonable_python(value, by_alias=True)
        text = json.dumps(plain, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
        text.encode()
    except (TypeError, ValueError, RecursionError) as error:
        raise NotJsonError(f"{class_path(type(value))}: {_why(error)}") from error
    return text


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


def _why(error: Exception) -> str:
    if "'coroutine'" in str(error):
        return f"{error}; is an await missing?"
    if isinstance(error, UnicodeEncodeError):
        return "holds text that is not valid Unicode"
    if isinstance(error, RecursionError):
        return "is nested too deeply"
    return str(error)
