"""Python values to JSON text and back, and Python types to JSON Schema."""

from __future__ import annotations

import importlib
import json
import sys
from typing import Any

from pydantic import BaseModel, ValidationError
from pydantic_core import to_jsonable_python

from .errors import InvalidArgumentError

MODEL_KEY = "$model"
VALUE_KEY = "$value"


class NotJsonError(TypeError):
    """A value has no JSON form; the message names its type and what is in the way."""


def dumps(value: Any) -> str:
    """The JSON text of a value: what JSON knows, pydantic models, dataclasses, dates, UUIDs, sets.

    Raises NotJsonError for anything else, for NaN and infinities, and for broken Unicode.
    """
    try:
        plain = to_jsonable_python(value, by_alias=True)
        text = json.dumps(plain, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
        text.encode()
    except (TypeError, ValueError, RecursionError) as error:
        raise NotJsonError(f"{class_path(type(value))}: {_why(error)}") from error
    return text


def dumps_argument(value: Any, what: str, field: str) -> str:
    """As dumps(), of what a caller gave; raises InvalidArgumentError, which begins with `what`."""
    try:
        return dumps(value)
    except NotJsonError as error:
        raise InvalidArgumentError(f"{what} has no JSON form: {error}", field=field) from error


def sentences(error: ValidationError) -> str:
    """Pydantic's findings in one line: "city: Field required; days: Input should be ..."."""
    return "; ".join(
        f"{'.'.join(map(str, item['loc'])) or 'the value'}: {item['msg']}"
        for item in error.errors(include_url=False, include_input=False)
    )


def _why(error: Exception) -> str:
    if "'coroutine'" in str(error):
        return f"{error}; is an await missing?"
    if isinstance(error, UnicodeEncodeError):
        return "holds text that is not valid Unicode"
    if isinstance(error, RecursionError):
        return "is nested too deeply"
    return str(error)


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


def schema_of(model: type[BaseModel], *, closed: bool = False) -> dict[str, Any]:
    """The JSON Schema of a model, with every $ref inlined and objects closed.

    `closed`: every property is required, as structured output wants it. A model that contains
    itself cannot be inlined; its `$defs` stay.
    """
    schema = model.model_json_schema(by_alias=True)
    definitions = schema.pop("$defs", {})
    inlined = _inline(schema, definitions, ())
    if definitions and _has_ref(inlined):
        inlined["$defs"] = {key: _inline(value, {}, ()) for key, value in definitions.items()}
    _close(inlined, closed)
    return dict(inlined)


def _inline(node: Any, definitions: dict[str, Any], inside: tuple[str, ...]) -> Any:
    if isinstance(node, list):
        return [_inline(item, definitions, inside) for item in node]
    if not isinstance(node, dict):
        return node
    reference = node.get("$ref")
    name = reference.removeprefix("#/$defs/") if isinstance(reference, str) else None
    if name is None or name not in definitions or name in inside:
        return {key: _inline(value, definitions, inside) for key, value in node.items()}
    target = _inline(definitions[name], definitions, (*inside, name))
    rest = {key: value for key, value in node.items() if key != "$ref"}
    return {**target, **rest}


def _has_ref(node: Any) -> bool:
    if isinstance(node, list):
        return any(_has_ref(item) for item in node)
    if isinstance(node, dict):
        return isinstance(node.get("$ref"), str) or any(_has_ref(item) for item in node.values())
    return False


def _close(node: Any, closed: bool) -> None:
    if isinstance(node, list):
        for item in node:
            _close(item, closed)
        return
    if not isinstance(node, dict):
        return
    properties = node.get("properties")
    if node.get("type") == "object" and isinstance(properties, dict):
        node.setdefault("additionalProperties", False)
        if closed:
            node["required"] = list(properties)
        for item in properties.values():
            _close(item, closed)
    for key in ("items", "prefixItems", "anyOf", "oneOf", "allOf"):
        if key in node:
            _close(node[key], closed)
    for definition in node.get("$defs", {}).values():
        _close(definition, closed)
    if isinstance(node.get("additionalProperties"), dict):
        _close(node["additionalProperties"], closed)
