"""Values of steps: JSON, and beside it the classes that neither JSON nor an annotation tells.

What is beside the JSON is empty, the name of the whole value's class, or a map, as JSON text, from
JSON pointers to names. The journals of older releases have {"$model": names, "$value": JSON} in
place of the two.
"""

from __future__ import annotations

import base64
import contextlib
import dataclasses
import functools
import inspect
import json
from collections import deque
from collections.abc import Callable, Hashable
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum
from pathlib import Path
from typing import Any, NamedTuple
from uuid import UUID

from pydantic import BaseModel, ConfigDict, SecretBytes, SecretStr, TypeAdapter, ValidationError

from .._fields import with_fields
from ..errors import InvalidArgumentError, OutputError
from .names import UnknownClassError, class_at, class_path
from .plain import NamelessClassError, NotJsonError, Tags, escaped, plain_of, wire_name
from .text import dumps_plain, sentences

MODEL_KEY = "$model"
VALUE_KEY = "$value"
TAGS_BYTES_MAX = 4096


class Given(NamedTuple):
    """A value that is given to code: its JSON text, and what is named beside it."""

    json: str
    type: str = ""


def given(
    value: Any,
    what: str,
    field: str,
    adapter: TypeAdapter[Any] | None = None,
    *,
    known: bool = True,
) -> Given:
    """What goes to code that takes it as `adapter` makes it of JSON; None: as JSON gives it.

    `known`: False: the code is of another process, which need not have the classes of this one:
    only what all have is named.

    Raises InvalidArgumentError, which begins with `what`.
    """
    try:
        plain, tags = plain_of(value)
        text = dumps_plain(plain, value)
        if not tags or (adapter is not None and not _loses(value, text, adapter)):
            return Given(text)
        return Given(text, _kept_with_tags(value, plain, text, tags)[1] if known else _common(tags))
    except NotJsonError as error:
        raise InvalidArgumentError(f"{what} has no JSON form: {error}", field=field) from error


def taken(text: str, value_type: str, adapter: TypeAdapter[Any] | None) -> Any:
    """The value of given(), for code that takes it as `adapter` makes it.

    Raises ValidationError for what does not fit it, UnknownClassError for a class that is not here.
    """
    if adapter is None:
        return _loads_named(text, value_type) if value_type else json.loads(text)
    if value_type:
        found = _loads_named(text, value_type)
        with contextlib.suppress(ValidationError):
            if _same(found, adapter.validate_python(found, by_alias=True, by_name=True)):
                return found
    return adapter.validate_json(text, by_alias=True, by_name=True)


def result_of(text: str, value_type: str, func: Any) -> Any:
    """A run's result: as what is named beside it says, else as restored(). Raises OutputError."""
    try:
        return _result(text, value_type, func)
    except UnknownClassError as error:
        raise OutputError(f"the result cannot be made again: {error}", text=text) from error


def child_result_of(value: Any, value_type: str, func: Any) -> Any:
    """As result_of(), of JSON that was read. Raises UnknownClassError, too."""
    return _result(json.dumps(value), value_type, func) if value_type else restored(func, value)


def kept(value: Any, func: Any = None) -> tuple[str, str, Any]:
    """The JSON text that is kept of a value, the classes named beside it, and what loads_step()
    makes of the two: as the return annotation of func says, else by the classes.

    Raises NotJsonError where neither would give back what was given.
    """
    plain, tags = plain_of(value)
    text = dumps_plain(plain, value)
    if not _is_of_old(plain):
        adapter = adapter_of(func)
        if adapter is None and not tags:
            return text, "", plain
        found = None if adapter is None else _fitted(adapter, text)
        if found is not None and (not tags or _same(value, found[0])):
            return text, "", found[0]
    return _kept_with_tags(value, plain, text, tags)


def loads_step(text: str, value_type: str = "", func: Any = None) -> Any:
    """The value of kept(). Raises UnknownClassError for one of a class that is not here, or that it
    does not fit."""
    if value_type:
        return _loads_named(text, value_type)
    value = json.loads(text)
    if _is_of_old(value):
        named = value[MODEL_KEY]
        if isinstance(named, str):
            return _made_whole(named, json.dumps(value[VALUE_KEY]))
        return _tagged(value[VALUE_KEY], named)
    adapter = adapter_of(func)
    if adapter is None:
        return value
    found = _fitted(adapter, text)
    if found is None:
        raise UnknownClassError(f"it does not fit the return annotation of {_name_of(func)}")
    return found[0]


def restored(func: Any, value: Any) -> Any:
    """A value of JSON as the return annotation of the function that made it says; where that says
    nothing, objects are Fields.

    Raises OutputError for one that does not fit it.
    """
    adapter = adapter_of(func)
    if adapter is None:
        return with_fields(value)
    text = dumps_plain(value, value)
    try:
        return adapter.validate_json(text, by_alias=True, by_name=True)
    except ValidationError as error:
        raise OutputError(
            f"the result does not fit the return annotation of {_name_of(func)}: "
            f"{sentences(error)}",
            text=text,
        ) from error


def adapter_of(func: Any) -> TypeAdapter[Any] | None:
    """How a function's return annotation restores a value; None where JSON's own form will do."""
    return _adapter(func) if func is not None and isinstance(func, Hashable) else None


PLAIN = (str, int, float, bool, dict, list)
_CONFIG = ConfigDict(val_json_bytes="base64")


@functools.lru_cache(maxsize=1024)
def _adapter(func: Callable[..., Any]) -> TypeAdapter[Any] | None:
    annotation = return_annotation(func)
    if annotation is None or annotation is Any or any(annotation is t for t in PLAIN):
        return None
    with contextlib.suppress(Exception):
        return type_adapter(annotation)
    return None


def return_annotation(func: Any) -> Any:
    """What a function says it returns; None: nothing, or what cannot be made out."""
    if func is None:
        return None
    target = inspect.unwrap(func)
    if getattr(target, "__annotations__", {}).get("return") is None:
        return None
    with contextlib.suppress(Exception):
        return inspect.get_annotations(target, eval_str=True)["return"]
    return None


def type_adapter(annotation: Any) -> TypeAdapter[Any]:
    """Of any type; bytes are base64, but in models that say otherwise."""
    try:
        return TypeAdapter(annotation, config=_CONFIG)
    except Exception:  # models and dataclasses have a configuration of their own
        return TypeAdapter(annotation)


# ---- inside ----


def _is_of_old(value: Any) -> bool:
    return isinstance(value, dict) and value.keys() == {MODEL_KEY, VALUE_KEY}


def _loads_named(text: str, value_type: str) -> Any:
    if not value_type.startswith("{"):
        return _made_whole(value_type, text)
    try:
        names: Tags = json.loads(value_type)
        return _tagged(json.loads(text), names)
    except (ValueError, LookupError, TypeError, AttributeError) as error:
        if isinstance(error, UnknownClassError):
            raise
        raise UnknownClassError(f"what is named beside it does not fit it: {error}") from error


def _kept_with_tags(value: Any, plain: Any, text: str, tags: Tags) -> tuple[str, str, Any]:
    whole = tags.get("")
    if whole and not whole.startswith("keys "):
        with contextlib.suppress(UnknownClassError):
            found = _made_whole(whole, text)
            if len(tags) == 1 or _same(value, found):
                return text, whole, found
            tags = _needed(value, found, tags)
    nameless = next((pointer for pointer, tag in tags.items() if not tag), None)
    if nameless is not None:
        raise NamelessClassError(
            f"{nameless}{': ' if nameless else ''}{class_path(type(value))}: its class is not "
            "found again by its name; define it at the top of a module, or annotate the function"
        )
    names = json.dumps(tags, separators=(",", ":"))
    if len(names) > TAGS_BYTES_MAX:
        raise NotJsonError(
            f"{class_path(type(value))}: holds too many values of other classes to name them all; "
            "annotate the function"
        )
    try:
        return text, names, _tagged(plain, tags)
    except UnknownClassError as error:
        raise NotJsonError(f"{class_path(type(value))}: {error}") from error


def _result(text: str, value_type: str, func: Any) -> Any:
    return _loads_named(text, value_type) if value_type else restored(func, json.loads(text))


def _loses(value: Any, text: str, adapter: TypeAdapter[Any]) -> bool:
    """Whether code that would take the value as it is gets another one from the JSON."""
    found = _fitted(adapter, text)
    if found is not None and _same(value, found[0]):
        return False
    with contextlib.suppress(ValidationError):
        return _same(value, adapter.validate_python(value, by_alias=True, by_name=True))
    return False


def _common(tags: Tags) -> str:
    """The names that every process has, as far as there is room for them."""
    found = {pointer: tag for pointer, tag in tags.items() if tag in _MAKERS}
    names = json.dumps(found, separators=(",", ":")) if found else ""
    return names if len(names) <= TAGS_BYTES_MAX else ""


def _needed(value: Any, found: Any, tags: Tags) -> Tags:
    """Without those below fields which the value's own class makes right."""
    if not isinstance(value, BaseModel):
        return tags
    right = tuple(
        f"/{escaped(wire_name(name, field))}"
        for name, field in type(value).model_fields.items()
        if _same(value.__dict__.get(name), found.__dict__.get(name))
    )
    return {
        pointer: tag
        for pointer, tag in tags.items()
        if not any(pointer == place or pointer.startswith(place + "/") for place in right)
    }


def _fitted(adapter: TypeAdapter[Any], text: str) -> tuple[Any] | None:
    try:
        return (adapter.validate_json(text, by_alias=True, by_name=True),)
    except ValidationError:
        return None


def _name_of(func: Any) -> str:
    return str(getattr(func, "__qualname__", None) or func)


def _same(one: Any, other: Any) -> bool:
    """Whether they are of the same classes, all the way down."""
    if type(one) is not type(other):
        return False
    if isinstance(one, BaseModel):
        return _same(_parts(one), _parts(other))
    if dataclasses.is_dataclass(one):
        return _same(vars(one), vars(other)) if hasattr(one, "__dict__") else one == other
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(_same(one[key], other[key]) for key in one)
    if isinstance(one, (list, tuple, deque)):
        return len(one) == len(other) and all(map(_same, one, other))
    return bool(one == other)


def _parts(value: BaseModel) -> dict[str, Any]:
    own = {name: value.__dict__.get(name) for name in type(value).model_fields}
    return {**own, **(value.__pydantic_extra__ or {})}


def _tagged(plain: Any, tags: Tags) -> Any:
    """What was tagged is made again, the innermost first."""
    holder = [plain]
    for pointer in sorted(tags, key=lambda each: -each.count("/")):
        place: Any = holder
        key: Any = 0
        for part in pointer.split("/")[1:]:
            place, key = place[key], part.replace("~1", "/").replace("~0", "~")
            key = int(key) if isinstance(place, list) else key
        place[key] = _made(tags[pointer], place[key])
    return holder[0]


def _made(tag: str, plain: Any) -> Any:
    if tag.startswith("keys "):
        make = _maker(tag[5:])
        return {make(key): item for key, item in plain.items()}
    return _maker(tag)(plain)


def _made_whole(tag: str, text: str) -> Any:
    """A value of which nothing but its own class is named."""
    make = _MAKERS.get(tag)
    if make is not None:
        return _maker(tag)(json.loads(text))
    cls = class_at(tag)
    adapter = _class_adapter(cls)
    return _checked(
        cls, lambda given: adapter.validate_json(given, by_alias=True, by_name=True), text
    )


def _maker(tag: str) -> Callable[[Any], Any]:
    """Makes what a tag names of what JSON knows."""
    make = _MAKERS.get(tag)
    if make is not None:
        found = make
        return lambda plain: _checked(None, found, plain)
    cls = class_at(tag)
    if issubclass(cls, Enum):
        return lambda plain: _checked(cls, cls, plain)
    adapter = _class_adapter(cls)
    return lambda plain: _checked(
        cls, lambda given: adapter.validate_python(given, by_alias=True, by_name=True), plain
    )


def _checked(cls: type[Any] | None, make: Callable[[Any], Any], plain: Any) -> Any:
    try:
        return make(plain)
    except (ValueError, TypeError, ArithmeticError) as error:  # pydantic's is a ValueError
        why = sentences(error) if isinstance(error, ValidationError) else str(error)
        name = class_path(cls) if cls is not None else "its class"
        raise UnknownClassError(f"it does not fit {name}: {why}") from error


_of_classes: dict[type[Any], TypeAdapter[Any]] = {}


def _class_adapter(cls: type[Any]) -> TypeAdapter[Any]:
    found = _of_classes.get(cls)
    if found is None:
        found = _of_classes[cls] = TypeAdapter(cls)
    return found


_DURATION = TypeAdapter(timedelta)

_MAKERS: dict[str, Callable[[Any], Any]] = {
    "int": int,
    "datetime": datetime.fromisoformat,
    "date": date.fromisoformat,
    "time": time.fromisoformat,
    "timedelta": _DURATION.validate_python,
    "decimal": Decimal,
    "uuid": UUID,
    "path": Path,
    "bytes": base64.b64decode,
    "bytearray": lambda text: bytearray(base64.b64decode(text)),
    "secret": SecretStr,
    "secret bytes": lambda text: SecretBytes(base64.b64decode(text)),
    "tuple": tuple,
    "set": set,
    "frozenset": frozenset,
    "deque": deque,
}
