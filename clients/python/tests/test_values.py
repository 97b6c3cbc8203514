"""Values and schemas: what goes over the wire, and what is refused with a sentence."""

from __future__ import annotations

import dataclasses
import datetime
import enum
import uuid

import pytest
from pydantic import BaseModel, Field

from polos._codec.schema import schema_of
from polos._codec.text import NotJsonError, dumps
from polos._codec.values import dumps_step, loads_step


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
        (Opaque(), "test_values.Opaque: "),
        ({"a": Opaque()}, "dict: Unable to serialize unknown type"),
        (float("nan"), "float: "),
        ({"a": [float("inf")]}, "dict: "),
        ("\ud800", "str: holds text that is not valid Unicode"),
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


def test_models_come_back_as_models():
    assert loads_step(dumps_step(Inner(name="a"))) == Inner(name="a")
    assert loads_step(dumps_step({"name": "a"})) == {"name": "a"}

    class Local(BaseModel):
        x: int

    assert loads_step(dumps_step(Local(x=1))) == {"x": 1}
