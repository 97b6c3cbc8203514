"""Python values as what JSON knows, and beside that what their classes were."""

from __future__ import annotations

import base64
import dataclasses
import math
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum
from pathlib import PurePath
from typing import Any
from uuid import UUID

from pydantic import (
    AliasChoices,
    BaseModel,
    PlainSerializer,
    Secret,
    SecretBytes,
    SecretStr,
    TypeAdapter,
    WrapSerializer,
)
from pydantic.fields import FieldInfo

from .names import class_path, is_named_tuple, tag_of

Tags = dict[str, str]  # by JSON pointer

_DURATION = TypeAdapter(timedelta)


class NotJsonError(TypeError):
    """A value has no JSON form; the message names its type and what is in the way."""


class NamelessClassError(NotJsonError):
    """A value's class cannot be found again by a name."""


def plain_of(value: Any) -> tuple[Any, Tags]:
    """A value as JSON knows it, and the tags of all that JSON would give back as something else.

    A tag that is empty: the class has no name by which it could be found again.

    Raises NotJsonError, which says where in the value the trouble is.
    """
    return _walked(_Walk(), value)


def shown_of(value: Any) -> Any:
    """A value as JSON knows it, for a reader who is not this program: as pydantic shows models,
    without excluded fields, and with asterisks in place of secrets.

    Raises NotJsonError as plain_of() does.
    """
    return _walked(_Walk(is_shown=True), value)[0]


def _walked(walk: _Walk, value: Any) -> tuple[Any, Tags]:
    try:
        return walk.plain(value), walk.tags
    except RecursionError:
        raise NotJsonError(f"{class_path(type(value))}: is nested too deeply") from None


class _Walk:
    def __init__(self, *, is_shown: bool = False) -> None:
        self.tags: Tags = {}
        self._is_shown = is_shown
        self._path: list[str | int] = []

    def plain(self, value: Any) -> Any:
        kind = type(value)
        if value is None or kind is bool or kind is int:
            return value
        if kind is str:
            return self._text(value)
        if kind is float:
            return self._number(value)
        if kind is list:
            return self._items(value)
        if kind is dict:
            return self._object(value)
        if isinstance(value, BaseModel):
            self._tag(kind)
            return self._model(value)
        return self._other(kind, value)

    # ---- what JSON knows ----

    def _text(self, value: str) -> str:
        if problem := _problem_of_text(value):
            raise NotJsonError(f"{self._place()}a text {problem}")
        return value

    def _number(self, value: float) -> float:
        if not math.isfinite(value):
            raise self._refused(value, f"{value} is no JSON number")
        return value

    def _items(self, value: Iterable[Any]) -> list[Any]:
        found = []
        self._path.append(0)
        for number, item in enumerate(value):
            self._path[-1] = number
            found.append(self.plain(item))
        self._path.pop()
        return found

    def _object(self, value: Mapping[Any, Any]) -> dict[str, Any]:
        found: dict[str, Any] = {}
        kinds = set()
        self._path.append("")
        for key, item in value.items():
            text = key if type(key) is str else self._key(key)
            if text in found:
                raise self._refused(value, f"two keys are {text!r} as text", up=1)
            self._check_key(text)
            self._path[-1] = text
            kinds.add(type(key))
            found[text] = self.plain(item)
        self._path.pop()
        if kinds - {str}:
            self._tag_keys(kinds)
        return found

    def _key(self, key: Any) -> str:
        if isinstance(key, Enum):
            key = key.value
        if isinstance(key, str):
            return str(key)
        if isinstance(key, bool) or not isinstance(key, (int, UUID, date, Decimal)):
            why = "a key of an object is a text, a number, a UUID or a date"
            raise self._refused(key, why, up=1)
        return key.isoformat() if isinstance(key, date) else str(key)

    def _check_key(self, text: str) -> None:
        if problem := _problem_of_text(text):
            raise NotJsonError(f"{self._place(up=1)}a text {problem}")

    def _tag_keys(self, kinds: set[type[Any]]) -> None:
        """Keys of one class can be made again."""
        (kind, *more) = kinds
        name = next((word for cls, word in KEYS if kind is cls), "")
        name = name or (tag_of(kind) if issubclass(kind, Enum) else "")
        self.tags[self._pointer()] = f"keys {name}" if name and not more else ""

    # ---- what it does not know ----

    def _other(self, kind: type[Any], value: Any) -> Any:
        if isinstance(value, Enum):
            self._tag(kind)
            return self._below(value.value)
        if dataclasses.is_dataclass(kind):
            self._tag(kind)
            return self._dataclass(value)
        if is_named_tuple(kind):
            self._tag(kind)
            return self._items(value)
        if isinstance(value, (str, int, float)):
            return self.plain(_base(value))
        if self._is_shown and isinstance(value, SECRETS):
            return HIDDEN if value.get_secret_value() else ""
        for cls, word, plain in SCALARS:
            if isinstance(value, cls):
                self.tags[self._pointer()] = word
                return self.plain(plain(value))
        for cls, word in ARRAYS:
            if isinstance(value, cls):
                self.tags[self._pointer()] = word
                ordered = _ordered(value) if word in ("set", "frozenset") else value
                return self._items(ordered)
        if isinstance(value, list):
            return self._items(value)
        if isinstance(value, Mapping):
            return self._object(value)
        raise self._refused(value, _why_not(value))

    def _below(self, value: Any) -> Any:
        """Of a part whose own class says how its parts are made again."""
        tags, self.tags = self.tags, {}
        try:
            return self.plain(value)
        finally:
            self.tags = tags

    def _model(self, value: BaseModel) -> Any:
        cls = type(value)
        decorators = cls.__pydantic_decorators__
        if decorators.model_serializers:
            return self._below(self._dumped(value, by_alias=True))
        if cls.__pydantic_root_model__:
            return self._below(value.__dict__["root"])
        found: dict[str, Any] = {}
        own = _serialized_apart(cls)
        dumped = self._dumped(value, include=own) if own else {}
        self._path.append("")
        for name, field in cls.model_fields.items():
            if name not in value.__dict__ or self._leaves_out(field, value.__dict__[name]):
                continue
            key = self._path[-1] = wire_name(name, field)
            if name in dumped:
                found[key] = self._below(dumped[name])
            else:
                found[key] = self._field(cls, value.__dict__[name])
        for name, item in (value.__pydantic_extra__ or {}).items():
            self._path[-1] = name
            found[name] = self.plain(item)
        self._path.pop()
        return found

    def _dumped(self, value: BaseModel, **how: Any) -> dict[str, Any]:
        """As its own serializers say."""
        try:
            return value.model_dump(mode="json", round_trip=True, **how)
        except Exception as error:
            raise self._refused(value, str(error)) from error

    def _field(self, cls: type[BaseModel], value: Any) -> Any:
        """Bytes in models are text where the model says nothing else."""
        if type(value) is bytes and cls.model_config.get("val_json_bytes", "utf8") == "utf8":
            try:
                return value.decode()
            except UnicodeDecodeError:
                pass
        return self.plain(value)

    def _dataclass(self, value: Any) -> dict[str, Any]:
        infos = getattr(type(value), "__pydantic_fields__", {})
        found: dict[str, Any] = {}
        self._path.append("")
        for field in dataclasses.fields(value):
            if not field.init:
                continue
            info = infos.get(field.name)
            if info is not None and self._leaves_out(info, getattr(value, field.name)):
                continue
            key = self._path[-1] = wire_name(field.name, info) if info else field.name
            found[key] = self.plain(getattr(value, field.name))
        self._path.pop()
        return found

    # ---- inside ----

    def _leaves_out(self, field: FieldInfo, value: Any) -> bool:
        if not self._is_shown:
            return False
        decides = getattr(field, "exclude_if", None)  # pydantic 2.12
        return field.exclude is True or (decides is not None and bool(decides(value)))

    def _tag(self, kind: type[Any]) -> None:
        self.tags[self._pointer()] = tag_of(kind)

    def _pointer(self) -> str:
        return "".join(f"/{escaped(str(part))}" for part in self._path)

    def _refused(self, value: Any, why: str, *, up: int = 0) -> NotJsonError:
        return NotJsonError(f"{self._place(up=up)}{class_path(type(value))}: {why}")

    def _place(self, *, up: int = 0) -> str:
        """ "items[3].file: "; `up`: without so many of its last parts."""
        path = self._path[: len(self._path) - up]
        place = "".join(f"[{p}]" if isinstance(p, int) else f".{p}" for p in path).lstrip(".")
        return f"{place}: " if place else ""


def wire_name(name: str, field: FieldInfo) -> str:
    """The key of a field, by which it is validated again."""
    alias = field.validation_alias or field.alias
    if isinstance(alias, AliasChoices):
        alias = next((each for each in alias.choices if isinstance(each, str)), None)
    return alias if isinstance(alias, str) else name


def _serialized_apart(cls: type[BaseModel]) -> set[str]:
    """Fields with a serializer of their own."""
    decorators = cls.__pydantic_decorators__.field_serializers.values()
    found = {name for decorator in decorators for name in decorator.info.fields}
    if "*" in found:
        return set(cls.model_fields)
    marks = (PlainSerializer, WrapSerializer)
    for name, field in cls.model_fields.items():
        if any(isinstance(mark, marks) for mark in field.metadata):
            found.add(name)
    return found


def _problem_of_text(text: str) -> str:
    """What a text has that no JSON text may hold; empty: nothing."""
    if "\0" in text:
        return "holds U+0000"
    try:
        text.encode()
    except UnicodeEncodeError:
        return "is not valid Unicode"
    return ""


def _base(value: Any) -> Any:
    """An instance of a subclass as the text or number it is."""
    if isinstance(value, str):
        return str.__str__(value)
    return int(value) if isinstance(value, int) else float(value)


def _ordered(value: Iterable[Any]) -> list[Any]:
    found = list(value)
    try:
        return sorted(found)
    except TypeError:
        return sorted(found, key=repr)


def escaped(part: str) -> str:
    return part.replace("~", "~0").replace("/", "~1")


def _why_not(value: Any) -> str:
    if hasattr(value, "__await__"):
        return "has no JSON form; is an await missing?"
    if isinstance(value, Iterable):
        return "has no JSON form; make it a list"
    return "has no JSON form; give a dict, a dataclass or a pydantic model"


def _encoded(value: Any) -> str:
    return base64.b64encode(bytes(value)).decode()


# Class, tag, and how it is written; datetime before date, whose subclass it is.
SCALARS: tuple[tuple[type[Any], str, Callable[[Any], Any]], ...] = (
    (datetime, "datetime", datetime.isoformat),
    (date, "date", date.isoformat),
    (time, "time", time.isoformat),
    (timedelta, "timedelta", lambda value: _DURATION.dump_python(value, mode="json")),
    (Decimal, "decimal", str),
    (UUID, "uuid", str),
    (PurePath, "path", str),
    (bytes, "bytes", _encoded),
    (bytearray, "bytearray", _encoded),
    (SecretStr, "secret", SecretStr.get_secret_value),
    (SecretBytes, "secret bytes", lambda value: _encoded(value.get_secret_value())),
    (Secret, "", Secret.get_secret_value),
)
SECRETS = (SecretStr, SecretBytes, Secret)
HIDDEN = "**********"  # pydantic's own
ARRAYS: tuple[tuple[type[Any], str], ...] = (
    (tuple, "tuple"),
    (set, "set"),
    (frozenset, "frozenset"),
    (deque, "deque"),
)
KEYS: tuple[tuple[type[Any], str], ...] = (
    (int, "int"),
    (UUID, "uuid"),
    (date, "date"),
    (datetime, "datetime"),
    (Decimal, "decimal"),
)
