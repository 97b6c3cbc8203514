"""What callers give, looked at before anything is done with it."""

from __future__ import annotations

import functools
import inspect
import re
from collections.abc import Callable, Iterable
from typing import Any, TypeVar, cast

from .errors import InvalidArgumentError, UnsupportedFeatureError

F = TypeVar("F", bound=Callable[..., Any])

SHOWN_CHARACTERS = 60  # of what is refused
_TOOL_NAME = re.compile(r"[A-Za-z0-9_\-]{1,64}")
_ID = re.compile(r"[A-Za-z0-9_.\-]{1,128}")


def checked_id(name: Any, what: str) -> str:
    """An id as the server takes it, or ValueError."""
    if not isinstance(name, str) or not _ID.fullmatch(name):
        raise ValueError(
            f"{what} id {name!r} is not valid: 1 to 128 letters, digits, '_', '-' or '.'"
        )
    return name


def checked_tool_name(name: Any) -> str:
    """A tool's name as every provider takes it, or ValueError."""
    if not isinstance(name, str) or not _TOOL_NAME.fullmatch(name):
        raise ValueError(
            f"tool id {name!r} is no name that models can be told: 1 to 64 letters, digits, '_' "
            "or '-'"
        )
    return name


def check_option_names(given: Iterable[str], ours: Iterable[str]) -> None:
    """Raises InvalidArgumentError for what is meant to be an option of ours, and misspelt, so that
    it does not travel to the provider unseen."""
    for name in given:
        meant = None if name in _PROVIDER_OPTIONS else _meant(name, ours)
        if meant is not None:
            raise InvalidArgumentError(
                f"there is no option {name!r}; did you mean {meant!r}?", field=name
            )


def spelling_checked(what: str) -> Callable[[F], F]:
    """Of a function whose keywords are all its own: TypeError names the one that was meant."""

    def decorate(func: F) -> F:
        ours = tuple(inspect.signature(func).parameters)

        @functools.wraps(func)
        def checked(*args: Any, **kwargs: Any) -> Any:
            for name in kwargs.keys() - set(ours):
                meant = _meant(name, ours)
                if meant is not None:
                    raise TypeError(
                        f"{what}() has no argument {name!r}; did you mean {meant!r}?"
                    )
            return func(*args, **kwargs)

        return cast(F, checked)

    return decorate


def _meant(name: str, ours: Iterable[str]) -> str | None:
    return next((known for known in ours if _is_nearly(name, known)), None)


_PROVIDER_OPTIONS = frozenset({"user", "seed", "metadata", "top_p", "top_k", "store", "stream"})
_EDITED_LETTERS_MIN = 6


def _is_nearly(name: str, known: str) -> bool:
    """But for case and underscores, or one letter of six and more."""
    one, other = (each.replace("_", "").lower() for each in (name, known))
    return one == other or (len(known) >= _EDITED_LETTERS_MIN and _is_one_edit(one, other))


def _is_one_edit(one: str, other: str) -> bool:
    """Whether a letter more, less, changed, or two exchanged, make one of the other."""
    if abs(len(one) - len(other)) > 1:
        return False
    same = next((i for i, (a, b) in enumerate(zip(one, other)) if a != b), len(one))
    a, b = one[same:], other[same:]
    exchanged = len(a) > 1 and len(b) > 1 and a[0] == b[1] and a[1] == b[0] and a[2:] == b[2:]
    return a[1:] == b or a == b[1:] or a[1:] == b[1:] or exchanged


def checked_text(given: Any, field: str) -> str:
    """A name of the caller's as text; None: empty. Raises InvalidArgumentError for one that holds
    U+0000 or is not valid Unicode."""
    text = "" if given is None else str(given)
    shown = repr(text if len(text) <= SHOWN_CHARACTERS else text[:SHOWN_CHARACTERS] + "...")
    if "\0" in text:
        raise InvalidArgumentError(f"{field} {shown} holds U+0000", field=field)
    try:
        text.encode()
    except UnicodeEncodeError:
        raise InvalidArgumentError(f"{field} {shown} is not valid Unicode", field=field) from None
    return text


def check_client(given: Any, what: str) -> None:
    """Raises TypeError for what is no client."""
    if not hasattr(given, "_connection"):
        raise TypeError(
            f"{what} takes a client first, not {type(given).__name__}: "
            f"{what}(PolosClient(), ...)"
        )


def refuse(what: str, **arguments: Any) -> None:
    """Raises for each argument of a feature this release does not have, when it was given."""
    for name, value in arguments.items():
        if value is not None and value is not False and value != []:
            raise UnsupportedFeatureError(f"{what}({name}=...)")
