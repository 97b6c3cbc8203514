"""How a step or a task ended, between Python and the wire."""

from __future__ import annotations

import builtins
import os
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ..v1 import steps_pb2
from .names import class_path
from .text import NotJsonError

STACK_BYTES_MAX = 16 * 1024
# What fits into one message of the server with room for its envelope.
VALUE_BYTES_MAX = 3 * 1024 * 1024
MESSAGE_CHARACTERS_MAX = 8 * 1024
PARTS_MAX = 1000  # of a group of exceptions
PACKAGE = str(Path(__file__).resolve().parents[1]) + os.sep

Says = Callable[[BaseException], str]


class OutcomeTooLargeError(ValueError):
    """A step or a tool gave back more than one message holds."""


def value_outcome(text: str, what: str, value_type: str = "") -> steps_pb2.TaskOutcome:
    """An outcome with a value, and what is named beside it; `what` names the step or tool for the
    error when it is too large."""
    size = len(text.encode())
    if size > VALUE_BYTES_MAX:
        raise OutcomeTooLargeError(
            f"{what} gave back {size:,} bytes of JSON; at most {VALUE_BYTES_MAX:,} can be kept: "
            "store the data elsewhere and give back where it is"
        )
    return steps_pb2.TaskOutcome(value_json=text, value_type=value_type)


def error_outcome(
    error: BaseException,
    what: str,
    *,
    type: str = "",
    says: Says | None = None,
) -> steps_pb2.TaskOutcome:
    """An outcome with an error: its class (or `type`), its text, its stack; of a group those of the
    first in it. `says` makes the text, text_of() if None. Whatever is given, there is an outcome.
    """
    try:
        told = _task_error(error, what, says or text_of)
    except BaseException as why:
        name = builtins.type(error).__name__
        told = steps_pb2.TaskError(
            type=name, message=f"{name}, of which {builtins.type(why).__name__} came when asked"
        )
    told.type = type or told.type
    return steps_pb2.TaskOutcome(error=told)


def _task_error(error: BaseException, what: str, says: Says) -> steps_pb2.TaskError:
    first, *others = parts_of(error)
    message = says(first)
    if isinstance(first, NotJsonError):
        message = f"{what} gave back a value that has no JSON form: {message}"
    if others:
        message += f" (and {len(others)} more)"
    return steps_pb2.TaskError(
        type=_name_of(builtins.type(first)),
        message=_clean(message)[:MESSAGE_CHARACTERS_MAX],
        stack=_tail(_clean(stack_of(error)), STACK_BYTES_MAX),
    )


def parts_of(error: BaseException) -> list[BaseException]:
    """An exception, or those in a group of them, however deep; the first ones of very many."""
    found: list[BaseException] = []
    waiting = [error]
    while waiting and len(found) < PARTS_MAX:
        each = waiting.pop()
        try:
            inside = getattr(each, "exceptions", None)
        except BaseException:
            inside = None
        if isinstance(inside, tuple) and inside and all(_is_raised(part) for part in inside):
            waiting.extend(reversed(inside))
        else:
            found.append(each)
    return found


def _is_raised(part: Any) -> bool:
    return issubclass(builtins.type(part), BaseException)


def text_of(error: BaseException) -> str:
    """What an exception says, or its class, also of one that cannot say it."""
    name = builtins.type(error).__name__
    try:
        return str(error) or name
    except BaseException:
        return f"<unprintable {name}>"


def text_and_place_of(error: BaseException) -> str:
    """ "no such order (orders.py:12, in charge)"; of our own what they say, which is whole."""
    return text_of(error) + _place_of(error)


def whole_text_of(error: BaseException) -> str:
    """ "KeyError: 'x' (orders.py:12, in charge)"; of our own what they say, which is whole."""
    if _is_ours(error):
        return text_of(error)
    return f"{builtins.type(error).__name__}: {text_of(error)}{_place_of(error)}"


def _is_ours(error: BaseException) -> bool:
    return str(builtins.type(error).__module__).startswith("polos.")


def _place_of(error: BaseException) -> str:
    """ " (orders.py:12, in charge)", where it was raised; empty: that is nobody's affair."""
    frames = [] if _is_ours(error) else traceback.extract_tb(error.__traceback__)
    if not frames:
        return ""
    last = frames[-1]
    return f" ({Path(last.filename).name}:{last.lineno}, in {last.name})"


def stack_of(error: BaseException) -> str:
    """Its traceback, with its notes, from where the code of others begins."""
    try:
        told = traceback.TracebackException(type(error), error, error.__traceback__)
        _leave_out_ours(told)
        return "".join(told.format())
    except BaseException:
        return "".join(traceback.format_tb(error.__traceback__))


def _leave_out_ours(told: traceback.TracebackException) -> None:
    waiting: list[Any] = [told]
    while waiting:
        each = waiting.pop()
        if each is None:
            continue
        theirs = [frame for frame in each.stack if not frame.filename.startswith(PACKAGE)]
        if theirs:
            each.stack = traceback.StackSummary.from_list(theirs)
        waiting += [each.__cause__, each.__context__, *(getattr(each, "exceptions", None) or ())]


def _name_of(cls: type[BaseException]) -> str:
    """Of our own only the name: where they are defined is nobody's affair."""
    return cls.__name__ if str(cls.__module__).startswith("polos.") else class_path(cls)


def _clean(text: str) -> str:
    return text.replace("\0", "\ufffd").encode("utf-8", "replace").decode()


def _tail(text: str, most: int) -> str:
    return text.encode()[-most:].decode("utf-8", "ignore")
