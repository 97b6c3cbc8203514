"""Values of steps: JSON, and beside it the class of a model where there is one."""

from __future__ import annotations

import contextlib
import functools
import inspect
import json
from collections.abc import Callable, Hashable
from typing import Any

from pydantic import BaseModel, TypeAdapter

from .names import class_at, class_path
from .text import dumps

MODEL_KEY = "$model"
VALUE_KEY = "$value"


def dumps_step(value: Any) -> str:
    """As dumps(), but a pydantic model leaves its class behind for loads_step()."""
    path = class_path(type(value))
    if isinstance(value, BaseModel) and class_at(path) is type(value):
        return f'{{"{MODEL_KEY}":{json.dumps(path)},"{VALUE_KEY}":{dumps(value)}}}'
    return dumps(value)


def loads_step(text: str) -> Any:
    """The value of dumps_step(): models come back as models, the rest as plain JSON values."""
    value = json.loads(text)
    if isinstance(value, dict) and value.keys() == {MODEL_KEY, VALUE_KEY}:
        model = class_at(str(value[MODEL_KEY]))
        return value[VALUE_KEY] if model is None else model.model_validate(value[VALUE_KEY])
    return value


def restored(func: Any, value: Any) -> Any:
    """A value of JSON as the return annotation of the function that made it says; None: as is."""
    adapter = _adapter(func) if func is not None and isinstance(func, Hashable) else None
    return value if adapter is None else adapter.validate_python(value)


_PLAIN = (str, int, float, bool, dict, list)


@functools.lru_cache(maxsize=1024)
def _adapter(func: Callable[..., Any]) -> TypeAdapter[Any] | None:
    """How a return annotation restores a value; None where JSON's own form will do."""
    target = inspect.unwrap(func)
    annotation = getattr(target, "__annotations__", {}).get("return")
    if annotation is None or annotation is Any or any(annotation is t for t in _PLAIN):
        return None
    with contextlib.suppress(Exception):
        hints = inspect.get_annotations(target, eval_str=True)
        return TypeAdapter(hints["return"])
    return None
