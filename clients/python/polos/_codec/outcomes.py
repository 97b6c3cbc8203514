"""How a step or a task ended, between Python and the wire."""

from __future__ import annotations

import traceback
from pathlib import Path

from ..v1 import tools_pb2
from .names import class_path
from .text import NotJsonError

STACK_BYTES_MAX = 16 * 1024
# What fits into one message of the server with room for its envelope.
VALUE_BYTES_MAX = 3 * 1024 * 1024
MESSAGE_CHARACTERS_MAX = 8 * 1024


class OutcomeTooLargeError(ValueError):
    """A step or a tool gave back more than one message holds."""


def value_outcome(text: str, what: str) -> tools_pb2.TaskOutcome:
    """An outcome with a value; `what` names the step or tool for the error when it is too large."""
    size = len(text.encode())
    if size > VALUE_BYTES_MAX:
        raise OutcomeTooLargeError(
            f"{what} gave back {size:,} bytes of JSON; at most {VALUE_BYTES_MAX:,} can be kept: "
            "store the data elsewhere and give back where it is"
        )
    return tools_pb2.TaskOutcome(value_json=text)


def error_outcome(
    error: BaseException,
    what: str,
    *,
    type: str = "",
    retryable: bool = False,
    with_place: bool = False,
) -> tools_pb2.TaskOutcome:
    """An outcome with an error: its class (or `type`), its text, its stack; of a group those of the
    first in it. `with_place`: the text says of what class it is, and where it was raised."""
    first, *others = parts_of(error)
    message = _placed(first) if with_place else text_of(first)
    if isinstance(first, NotJsonError):
        message = f"{what} gave back a value that has no JSON form: {message}"
    if others:
        message += f" (and {len(others)} more)"
    stack = stack_of(error)
    return tools_pb2.TaskOutcome(
        error=tools_pb2.TaskError(
            type=type or _name_of(first.__class__),
            message=_clean(message)[:MESSAGE_CHARACTERS_MAX],
            stack=_tail(_clean(stack), STACK_BYTES_MAX),
            retryable=retryable,
        )
    )


def parts_of(error: BaseException) -> list[BaseException]:
    """An exception, or those in a group of them, however deep."""
    inside = getattr(error, "exceptions", None)
    if not isinstance(inside, tuple) or not inside:
        return [error]
    return [part for each in inside for part in parts_of(each)]


def text_of(error: BaseException) -> str:
    """What an exception says, or its class, also of one that cannot say it."""
    try:
        return str(error) or error.__class__.__name__
    except Exception:
        return f"<unprintable {error.__class__.__name__}>"


def _placed(error: BaseException) -> str:
    """ "KeyError: 'x' (orders.py:12, in charge)"; of our own what they say, which is whole."""
    if error.__class__.__module__.startswith("polos."):
        return text_of(error)
    said = f"{error.__class__.__name__}: {text_of(error)}"
    frames = traceback.extract_tb(error.__traceback__)
    if not frames:
        return said
    last = frames[-1]
    return f"{said} ({Path(last.filename).name}:{last.lineno}, in {last.name})"


def stack_of(error: BaseException) -> str:
    """Its traceback, with its notes."""
    try:
        return "".join(traceback.format_exception(error.__class__, error, error.__traceback__))
    except Exception:
        return "".join(traceback.format_tb(error.__traceback__))


def _name_of(cls: type[BaseException]) -> str:
    """Of our own only the name: where they are defined is nobody's affair."""
    return cls.__name__ if cls.__module__.startswith("polos.") else class_path(cls)


def _clean(text: str) -> str:
    return text.encode("utf-8", "replace").decode()


def _tail(text: str, most: int) -> str:
    return text.encode()[-most:].decode("utf-8", "ignore")
