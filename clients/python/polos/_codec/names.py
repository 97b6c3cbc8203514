"""Classes by name: what a value of the journal says it is an instance of."""

from __future__ import annotations

import dataclasses
import importlib
import sys
from enum import Enum
from pathlib import Path
from typing import Any

from pydantic import BaseModel

PREFIX = "py:"


class UnknownClassError(LookupError):
    """A kept value names a class that this process does not have, or it does not fit it."""


def class_path(cls: type[Any]) -> str:
    """"module.Class", as results name their schema; builtins without the module."""
    if cls.__module__ == "builtins":
        return cls.__qualname__
    return f"{cls.__module__}.{cls.__qualname__}"


def tag_of(cls: type[Any]) -> str:
    """A class as "py:module:Class", generic models with their arguments; empty: it has no name by
    which it could be found again."""
    arguments = ""
    generic: Any = cls.__pydantic_generic_metadata__ if issubclass(cls, BaseModel) else None
    if generic is not None and generic["origin"] is not None and generic["args"]:
        names = [_argument(each) for each in generic["args"]]
        if not all(names):
            return ""
        arguments = f"[{','.join(names)}]"
        cls = generic["origin"]
    name = f"{PREFIX}{_module_of(cls)}:{cls.__qualname__}"
    try:
        found = _at(name)
    except UnknownClassError:
        return ""
    return name + arguments if found is cls else ""


def class_at(tag: str) -> type[Any]:
    """The class that tag_of() or class_path() named; UnknownClassError when there is none here."""
    name, bracket, rest = tag.partition("[")
    found = _at(name)
    if not bracket:
        return found
    arguments = tuple(_builtins.get(each) or class_at(each) for each in _split(rest[:-1]))
    generic: Any = found
    specific: type[Any] = generic[arguments if len(arguments) > 1 else arguments[0]]
    return specific


_builtins: dict[str, type[Any]] = {
    each.__name__: each for each in (str, int, float, bool, bytes, dict, list)
}


def _argument(given: Any) -> str:
    """A type argument by name; empty: it has none."""
    if not isinstance(given, type):
        return ""
    name = given.__name__
    return name if _builtins.get(name) is given else tag_of(given)


def _split(arguments: str) -> list[str]:
    """At the commas outside of brackets."""
    found, depth = [""], 0
    for letter in arguments:
        depth += (letter == "[") - (letter == "]")
        if letter == "," and depth == 0:
            found.append("")
        else:
            found[-1] += letter
    return found


def _module_of(cls: type[Any]) -> str:
    """Its module; a script's by the name under which others import it."""
    return _script() or "__main__" if cls.__module__ == "__main__" else cls.__module__


def _script() -> str:
    """The name of the file that runs as __main__."""
    file = getattr(sys.modules.get("__main__"), "__file__", None)
    return Path(file).stem if file else ""


def _at(tag: str) -> type[Any]:
    if tag.startswith(PREFIX):
        module_name, _, name = tag.removeprefix(PREFIX).partition(":")
    else:
        module_name, _, name = tag.rpartition(".")
    found: Any = None
    for module in _modules(module_name):
        found = module
        for part in name.split("."):
            found = getattr(found, part, None)
        if found is not None:
            break
    if not isinstance(found, type) or not is_value_class(found):
        raise UnknownClassError(f"this process has no class {name} in module {module_name}")
    return found


def _modules(name: str) -> list[Any]:
    """The module of this name; for the script that runs, first as what it is: __main__."""
    names = ["__main__", name] if name == _script() else [name]
    found = [sys.modules[each] for each in names if each in sys.modules]
    if not found and name:
        try:
            found.append(importlib.import_module(name))
        except ImportError:
            return []
    return found


def is_value_class(cls: type[Any]) -> bool:
    """Whether values of a class may be made again from what was kept of them."""
    return (
        issubclass(cls, (BaseModel, Enum))
        or dataclasses.is_dataclass(cls)
        or is_named_tuple(cls)
    )


def is_named_tuple(cls: type[Any]) -> bool:
    return issubclass(cls, tuple) and hasattr(cls, "_fields")
