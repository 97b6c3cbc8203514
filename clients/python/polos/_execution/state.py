"""The state of a run: a value its code changes, kept with the steps that changed it."""

from __future__ import annotations

import functools
from typing import Any

from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError

from .._codec.names import UnknownClassError, class_path
from .._codec.outcomes import OutcomeTooLargeError
from .._codec.text import dumps_argument
from .._codec.values import Given, given, taken, type_adapter
from ..errors import InvalidArgumentError, NonDeterminismError

STATE_BYTES_MAX = 1024 * 1024
_NOTHING = Given("{}")


class WorkflowState(BaseModel):
    """Base of the models that `@workflow(state_schema=...)` takes; every field has a default."""

    model_config = ConfigDict(validate_assignment=True, extra="forbid")


class State:
    """What `ctx.state` gives: an instance of the schema, or a dict.

    A replay begins with the initial state and lets the code change it again; at the last settled
    step it is set to what that step left behind.
    """

    def __init__(self, sent: Given) -> None:
        self.sent = sent  # as the server has it; no JSON: none
        self.value: Any = {}
        self._schema: type[BaseModel] | None = None
        self._kept = sent
        self._before = sent  # what begin() made of it

    def begin(self, schema: type[BaseModel] | None, initial: Given) -> None:
        """Raises InvalidArgumentError when the initial state does not fit the schema,
        NonDeterminismError when it names a class that is not here."""
        self._schema = schema
        try:
            self.value = self._made(initial if initial.json else Given("{}"))
        except UnknownClassError as error:
            raise NonDeterminismError(f"the initial state cannot be made again: {error}") from error
        self._before = self._given()

    def restore(self) -> None:
        """Sets it, in place, to what the last settled step left behind. Raises UnknownClassError
        for a class that is not here."""
        if not self._kept.json or self._given() == self._kept:
            return
        kept = self._made(self._kept)
        if isinstance(self.value, BaseModel):
            for name in type(self.value).model_fields:
                setattr(self.value, name, getattr(kept, name))
        elif isinstance(self.value, dict) and isinstance(kept, dict):
            self.value.clear()
            self.value.update(kept)
        else:
            self.value = kept

    def changed(self) -> Given:
        """It, when the server has another one; without JSON: it is as it was."""
        found = self._given()
        if found == (self.sent if self.sent.json else self._before):
            return Given("")
        size = len(found.json.encode())
        if size > STATE_BYTES_MAX:
            raise OutcomeTooLargeError(
                f"the state has {size:,} bytes of JSON; at most {STATE_BYTES_MAX:,} can be kept: "
                "store the data elsewhere and keep where it is"
            )
        return found

    def replace(self, value: Any) -> None:
        """`ctx.state = value`."""
        if isinstance(self.value, BaseModel) and not isinstance(value, type(self.value)):
            value = _fitted(type(self.value), dumps_argument(value, "the state", "state"))
        self.value = value

    def _given(self) -> Given:
        if type(self.value) is dict and not self.value:
            return _NOTHING
        return given(self.value, "the state", "state", self._adapter())

    def _made(self, found: Given) -> Any:
        try:
            return taken(found.json, found.type, self._adapter())
        except ValidationError as error:
            assert self._schema is not None
            raise _misfit(self._schema, error) from error

    def _adapter(self) -> TypeAdapter[Any] | None:
        return None if self._schema is None else _adapter_of(self._schema)


@functools.lru_cache(maxsize=1024)
def _adapter_of(schema: type[BaseModel]) -> TypeAdapter[Any]:
    return type_adapter(schema)


def _fitted(schema: type[BaseModel], text: str) -> BaseModel:
    try:
        return schema.model_validate_json(text, by_alias=True, by_name=True)
    except ValidationError as error:
        raise _misfit(schema, error) from error


def _misfit(schema: type[BaseModel], error: ValidationError) -> InvalidArgumentError:
    first = error.errors(include_url=False, include_input=False)[0]
    where = ".".join(map(str, first["loc"])) or "the value"
    return InvalidArgumentError(
        f"the state does not fit {class_path(schema)}: {where}: {first['msg']}", field="state"
    )


def state_given(value: Any) -> Given:
    """An initial state as the API takes it; None: none. Of classes only those that every process
    has are named."""
    if value is None:
        return Given("")
    found = given(value, "initial_state", "initial_state", known=False)
    if not found.json.startswith("{"):
        raise InvalidArgumentError(
            f"initial_state is a model or a dict, not {type(value).__name__}", field="initial_state"
        )
    return found
