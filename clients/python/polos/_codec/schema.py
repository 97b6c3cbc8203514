"""Python types as JSON Schema."""

from __future__ import annotations

import json
import re
from typing import Any

from pydantic import BaseModel
from pydantic.errors import PydanticInvalidForJsonSchema

PLAIN_PATTERN = re.compile(r"(?:[^\\(]|\((?!\?)|\(\?:|\\[^A-Za-z1-9]|\\[dDwWsSbBtnrfvcxu])*")


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


def answer_schema_of(model: type[BaseModel]) -> str:
    """The JSON Schema by which the server judges answers that are to be of this model, as JSON;
    empty: the model has none. What the server does not know of patterns is left to the model.
    """
    try:
        return json.dumps(_plain(model.model_json_schema(by_alias=True)), ensure_ascii=False)
    except PydanticInvalidForJsonSchema:
        return ""


def _plain(node: Any) -> Any:
    if isinstance(node, list):
        return [_plain(item) for item in node]
    if not isinstance(node, dict):
        return node
    lost: set[str] = set()
    if not _is_plain(node.get("pattern")):
        lost.add("pattern")
    names = node.get("patternProperties")
    if isinstance(names, dict) and not all(map(_is_plain, names)):
        lost |= {"patternProperties", "additionalProperties"}
    values = ("const", "enum", "default", "examples")
    return {
        key: value if key in values else _plain(value)
        for key, value in node.items()
        if key not in lost
    }


def _is_plain(pattern: Any) -> bool:
    return not isinstance(pattern, str) or PLAIN_PATTERN.fullmatch(pattern) is not None


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
