"""What callers give, looked at before anything is done with it."""

from __future__ import annotations

import re
from typing import Any

from .errors import UnsupportedFeatureError

_ID = re.compile(r"[A-Za-z0-9_.\-]{1,128}")


def checked_id(name: Any, what: str) -> str:
    """An id as the server takes it, or ValueError."""
    if not isinstance(name, str) or not _ID.fullmatch(name):
        raise ValueError(
            f"{what} id {name!r} is not valid: 1 to 128 letters, digits, '_', '-' or '.'"
        )
    return name


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
