"""Keys of steps, and those that this package uses beside them."""

from __future__ import annotations

import hashlib
import re

KEY_BYTES_MAX = 512
OWN_PREFIX = "polos."
INITIAL_STATE = "polos.initial_state"
_TRY = re.compile(r"polos\.try\.(\d+)\.(.*)", re.DOTALL)


def of_try(key: str, number: int) -> str:
    """Of the fact that a try of a step failed, from 1."""
    return _short(f"polos.try.{number}.{key}")


def read_try(key: str) -> tuple[int, str] | None:
    """The number and the step of of_try(); None: it is none of those."""
    found = _TRY.fullmatch(key)
    return None if found is None else (int(found[1]), found[2])


def _short(key: str) -> str:
    """A key of its own for each; what would be too long ends with a hash of the whole."""
    if len(key.encode()) <= KEY_BYTES_MAX:
        return key
    mark = hashlib.sha256(key.encode()).hexdigest()[:32]
    head = key.encode()[: KEY_BYTES_MAX - len(mark) - 1].decode("utf-8", "ignore")
    return f"{head}.{mark}"
