"""Values and schemas: what goes over the wire, and what is refused with a sentence."""

from __future__ import annotations

import collections
import dataclasses
import datetime
import decimal
import enum
import json
import pathlib
import sys
import types
import uuid
from typing import Generic, NamedTuple, TypeVar

import pydantic.dataclasses
import pytest
from pydantic import (
    BaseModel,
    Field,
    RootModel,
    SecretBytes,
    SecretStr,
    computed_field,
    field_serializer,
)

from polos._codec.schema import schema_of
from polos._codec.text import NotJsonError, dumps, dumps_shown
from polos._codec.names import UnknownClassError, tag_of
from polos._codec.values import kept, loads_step
from polos._fields import Fields


T = TypeVar("T")


class Colour(enum.Enum):
    RED = "red"


class Inner(BaseModel):
    name: str = Field(description="A name")
    colour: Colour = Colour.RED


class Outer(BaseModel):
    first: Inner
    others: list[Inner] = []
    maybe: Inner | None = None
    table: dict[str, Inner] = {}


class Tree(BaseModel):
    value: int
    children: list["Tree"] = []


class Open(BaseModel, extra="allow"):
    name: str


def refs(node) -> list[str]:
    if isinstance(node, dict):
        found = [node["$ref"]] if isinstance(node.get("$ref"), str) else []
        return found + [ref for value in node.values() for ref in refs(value)]
    if isinstance(node, list):
        return [ref for item in node for ref in refs(item)]
    return []


def test_references_are_inlined_and_objects_closed():
    schema = schema_of(Outer)
    assert refs(schema) == [] and "$defs" not in schema
    assert schema["additionalProperties"] is False
    inner = schema["properties"]["first"]
    assert inner["properties"]["name"]["description"] == "A name"
    assert inner["additionalProperties"] is False
    assert schema["properties"]["others"]["items"]["additionalProperties"] is False
    assert schema["properties"]["table"]["additionalProperties"]["additionalProperties"] is False
    assert schema["required"] == ["first"]


def test_structured_output_wants_every_property():
    schema = schema_of(Outer, closed=True)
    assert schema["required"] == ["first", "others", "maybe", "table"]
    assert schema["properties"]["first"]["required"] == ["name", "colour"]


def test_a_recursive_model_keeps_its_definitions():
    schema = schema_of(Tree)
    assert refs(schema) and "Tree" in schema["$defs"]
    assert schema["$defs"]["Tree"]["additionalProperties"] is False


def test_a_model_that_takes_more_stays_open():
    assert schema_of(Open)["additionalProperties"] is True


@dataclasses.dataclass
class Point:
    x: int


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "null"),
        (0, "0"),
        (False, "false"),
        ("", '""'),
        ("é\u2028", '"é\u2028"'),
        ([], "[]"),
        ((1, 2), "[1,2]"),
        ({1: "a"}, '{"1":"a"}'),
        (Point(1), '{"x":1}'),
        (Inner(name="a"), '{"name":"a","colour":"red"}'),
        ([Inner(name="a")], '[{"name":"a","colour":"red"}]'),
        (datetime.date(2026, 1, 2), '"2026-01-02"'),
        (uuid.UUID(int=1), '"00000000-0000-0000-0000-000000000001"'),
    ],
)
def test_what_has_a_json_form(value, text):
    assert dumps(value) == text


class Opaque:
    pass


@pytest.mark.parametrize(
    ("value", "sentence"),
    [
        (Opaque(), "^test_values.Opaque: has no JSON form"),
        ({"a": [{"b": Opaque()}]}, r"^a\[0\].b: test_values.Opaque: has no JSON form"),
        ({"file": open}, "^file: builtin_function_or_method: has no JSON form"),
        (float("nan"), "^float: nan is no JSON number"),
        ({"a": [float("inf")]}, r"^a\[0\]: float: inf is no JSON number"),
        ("\ud800", "^a text is not valid Unicode"),
        ({"\ud800": 1}, "^a text is not valid Unicode"),
        ({"a": ["b", "c\0d"]}, r"^a\[1\]: a text holds U\+0000"),
        ({"a": {"b\0": 1}}, r"^a: a text holds U\+0000"),
        ({"a": {1: "x", "1": "y"}}, "^a: dict: two keys are '1' as text"),
        ({(1, 2): 3}, "^tuple: a key of an object is"),
        ((n for n in "ab"), "^generator: has no JSON form; make it a list"),
    ],
)
def test_what_has_none_is_named(value, sentence):
    with pytest.raises(NotJsonError, match=sentence):
        dumps(value)


def test_a_cycle_is_an_error_not_a_crash():
    cycle: list = []
    cycle.append(cycle)
    with pytest.raises(NotJsonError):
        dumps(cycle)


class Named(BaseModel):
    user_name: str = Field(alias="userName")


class Counted(BaseModel, extra="forbid"):
    n: int

    @computed_field
    def twice(self) -> int:
        return 2 * self.n


class Login(BaseModel):
    user: str
    password: SecretStr
    token: str = Field(exclude=True)


class Base(BaseModel):
    a: int


class Derived(Base):
    b: int


class Holder(BaseModel):
    one: Base
    more: list[Base] = []
    when: datetime.datetime | None = None
    data: bytes = b""


class Box(BaseModel, Generic[T]):
    content: T


class Text(BaseModel):
    moment: datetime.datetime

    @field_serializer("moment")
    def _short(self, moment: datetime.datetime) -> str:
        return moment.isoformat()


class Many(RootModel[set[int]]):
    pass


class Pair(NamedTuple):
    left: int
    right: datetime.date


@dataclasses.dataclass
class Line:
    start: Point
    seen: Base


DAY = datetime.date(2026, 1, 2)
NOON = datetime.datetime(2026, 1, 2, 12, tzinfo=datetime.timezone.utc)
VALUES = [
    None, True, 0, 10**40, -1.5, "", "a\x01b", [], [1, [2]], {"a": {"b": 1}},
    (1, (2,)), {3, 1}, frozenset({"x"}), collections.deque([1]), b"\xff\x00", bytearray(b"x"),
    decimal.Decimal("1.20"), uuid.UUID(int=7), pathlib.Path("/tmp/x"), DAY, NOON, NOON.timetz(),
    datetime.timedelta(days=3, seconds=2), Colour.RED, [Colour.RED], SecretStr("s"),
    {1: "a", 2: "b"}, {uuid.UUID(int=1): 1}, {DAY: NOON}, {Colour.RED: 1}, {"a/b": (1,), "~": {1}},
    {"$model": 1, "$value": 2}, Named(userName="ann"), Counted(n=2),
    Login(user="u", password="p", token="t"), Holder(one=Base(a=1)),
    Holder(one=Derived(a=1, b=2), more=[Base(a=1), Derived(a=1, b=2)], when=NOON, data=b"\xff"),
    [Derived(a=1, b=2), Base(a=1)], Box[int](content=1), Box[Box[Derived]](
        content=Box[Derived](content=Derived(a=1, b=2))
    ), Text(moment=NOON), Many({1, 2}), Point(1), Pair(1, DAY), Line(Point(1), Derived(a=1, b=2)),
    Open(name="x", more=1), Tree(value=1, children=[Tree(value=2)]),
]  # fmt: skip


@pytest.mark.parametrize("value", VALUES, ids=lambda value: f"{type(value).__name__} {value}")
def test_what_goes_in_comes_out(value):
    text, names, found = kept(value)
    for each in (found, loads_step(text, names)):
        assert type(each) is type(value) and each == value
    assert json.loads(text) == json.loads(dumps(value))  # plain, for every reader


def holder() -> Holder:
    raise AssertionError


def local_class() -> type[BaseModel]:
    class Local(BaseModel):
        x: int

    return Local


def test_an_annotation_that_tells_it_leaves_the_json_plain():
    plain = Holder(one=Base(a=1), when=NOON, data=b"text")
    text, names, _ = kept(plain, holder)
    assert names == "" and loads_step(text, names, holder) == plain
    text, names, _ = kept(Holder(one=Derived(a=1, b=2)), holder)
    assert loads_step(text, names, holder).one == Derived(a=1, b=2)
    assert json.loads(names)["/one"] == "py:test_values:Derived"
    text, names, _ = kept(3, holder)
    assert loads_step(text, names, holder) == 3  # whatever it says


def test_a_class_without_a_name_needs_an_annotation():
    Local = local_class()
    with pytest.raises(NotJsonError, match="at the top of a module, or annotate the function"):
        kept(Local(x=1))

    def make():
        raise AssertionError

    make.__annotations__["return"] = Local
    assert loads_step(*kept(Local(x=1), make)[:2], make) == Local(x=1)


def test_a_class_that_is_gone_is_an_error_that_names_it():
    text, names, _ = kept(Base(a=1))
    assert names == "py:test_values:Base"
    with pytest.raises(UnknownClassError, match="no class Gone in module test_values"):
        loads_step(text, names.replace("Base", "Gone"))
    with pytest.raises(UnknownClassError, match="does not fit test_values.Derived: b: Field req"):
        loads_step(text, names.replace("Base", "Derived"))


def test_nothing_but_classes_of_values_is_made():
    for name in ("os.system", "py:os:system", "py:test_values:Opaque", "py:pathlib:Path"):
        with pytest.raises(UnknownClassError):
            loads_step('"x"', name)
        with pytest.raises(UnknownClassError):
            loads_step('["x"]', json.dumps({"/0": name}))


@pytest.mark.parametrize("names", ["{", "[]", '{"/7": "set"}', '{"/a": "set"}', '{"": 3}', "py:"])
def test_names_that_make_no_sense_are_an_error(names):
    with pytest.raises(UnknownClassError):
        loads_step("[1]", names)


def test_a_script_is_found_by_its_name_too(monkeypatch):
    script = types.ModuleType("__main__")
    script.__file__ = "/somewhere/shop.py"
    script.Ticket = type("Ticket", (BaseModel,), {"__module__": "__main__"})
    monkeypatch.setitem(sys.modules, "__main__", script)
    assert tag_of(script.Ticket) == "py:shop:Ticket"
    text, names, _ = kept(script.Ticket())
    monkeypatch.setitem(sys.modules, "__main__", types.ModuleType("__main__"))
    monkeypatch.setitem(sys.modules, "shop", script)
    assert type(loads_step(text, names)) is script.Ticket


def test_values_written_by_older_releases_are_read():
    old = '{"$model":"test_values.Inner","$value":{"name":"a"}}'
    assert loads_step(old) == Inner(name="a")


@pydantic.dataclasses.dataclass
class Pin:
    owner: str
    digits: str = Field(default="", exclude=True)


def test_what_a_model_reads_has_neither_secrets_nor_what_is_excluded():
    login = Login(user="u", password="hunter2", token="t")
    assert json.loads(dumps_shown({"a": [login, SecretBytes(b"x")]})) == {
        "a": [{"user": "u", "password": "**********"}, "**********"]
    }
    assert json.loads(dumps_shown(login)) == json.loads(login.model_dump_json())
    assert json.loads(dumps_shown(Pin("u", "1234"))) == {"owner": "u"}
    assert "hunter2" in dumps(login) and "hunter2" in kept(login)[0]


def test_an_object_without_an_attribute_says_which_it_has():
    with pytest.raises(AttributeError, match="there is no 'x'; there are: 1, a"):
        _ = Fields({1: 2, "a": 3}).x
