"""Classes by name: what a value of the journal says it is an instance of."""

from __future__ import annotations

import importlib
import sys
from typing import Any

from pydantic import BaseModel


def class_path(cls: type[Any]) -> str:
    """"module.Class", as results name their schema; builtins without the module."""
    if cls.__module__ == "builtins":
        return cls.__qualname__
    return f"{cls.__module__}.{cls.__qualname__}"


def class_at(path: str) -> type[BaseModel] | None:
    """The pydantic model a class path names, or None where this process has none."""
    module_name, _, name = path.rpartition(".")
    if not module_name or "<locals>" in path:
        return None
    module = sys.modules.get(module_name)
    if module is None:
        try:
            module = importlib.import_module(module_name)
        except ImportError:
            return None
    found = getattr(module, name, None)
    return found if isinstance(found, type) and issubclass(found, BaseModel) else None
