"""Processes that were forked from one that had used gRPC, where nothing of it works."""

from __future__ import annotations

import os

from ..errors import PolosError

_state = {"used": False, "forked": False}


def note_use() -> None:
    """This process has used gRPC, or is about to. Raises PolosError where it cannot be used."""
    check()
    _state["used"] = True


def check() -> None:
    """Raises PolosError in a process that was forked from one that had used gRPC."""
    if _state["forked"]:
        raise PolosError(
            "this process was forked after gRPC was in use: start it with spawn, or fork before "
            "the first use",
            reason="FORKED",
        )


def _in_child() -> None:
    _state["forked"] = _state["forked"] or _state["used"]


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_in_child)
