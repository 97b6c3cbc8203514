"""Values of steps: JSON, and beside it the class of a model where there is one."""

from __future__ import annotations

import json
from typing import Any

from pydantic import BaseModel

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
