"""The state of a run: a value its code changes, kept with the steps that changed it."""

from __future__ import annotations

import json
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from .._codec.names import class_path
from .._codec.outcomes import OutcomeTooLargeError
from .._codec.text import dumps_argument
from ..errors import InvalidArgumentError

STATE_BYTES_MAX = 1024 * 1024


class WorkflowState(BaseModel):
    """Base of the models that `@workflow(state_schema=...)` takes; every field has a default."""

    model_config = ConfigDict(validate_assignment=True, extra="forbid")


class State:
    """What `ctx.state` gives: an instance of the schema, or a dict.

    A replay begins with the initial state and lets the code change it again; at the last settled
    step it is set to what that step left behind.
    """

    def __init__(self, sent: str) -> None:
        self.sent = sent  # JSON text, as the server has it; empty: none
        self.value: Any = {}
        self._kept = sent
        self._before = ""  # what begin() made of it

    def begin(self, schema: type[BaseModel] | None, initial: str) -> None:
        """Raises InvalidArgumentError when the initial state does not fit the schema."""
        text = initial or "{}"
        self.value = json.loads(text) if schema is None else _fitted(schema, text)
        self._before = self._text()

    def restore(self) -> None:
        """Sets it, in place, to what the last settled step left behind."""
        if not self._kept or self._text() == self._kept:
            return
        if isinstance(self.value, BaseModel):
            fitted = _fitted(type(self.value), self._kept)
            for name in type(self.value).model_fields:
                setattr(self.value, name, getattr(fitted, name))
            return
        kept = json.loads(self._kept)
        if isinstance(self.value, dict) and isinstance(kept, dict):
            self.value.clear()
            self.value.update(kept)
        else:
            self.value = kept

    def changed(self) -> str:
        """Its JSON text when the server has another one; empty: it is as it was."""
        text = self._text()
        if text == (self.sent or self._before):
            return ""
        size = len(text.encode())
        if size > STATE_BYTES_MAX:
            raise OutcomeTooLargeError(
                f"the state has {size:,} bytes of JSON; at most {STATE_BYTES_MAX:,} can be kept: "
                "store the data elsewhere and keep where it is"
            )
        return text

    def replace(self, value: Any) -> None:
        """`ctx.state = value`."""
        if isinstance(self.value, BaseModel) and not isinstance(value, type(self.value)):
            value = _fitted(type(self.value), dumps_argument(value, "the state", "state"))
        self.value = value

    def _text(self) -> str:
        return dumps_argument(self.value, "the state", "state")


def _fitted(schema: type[BaseModel], text: str) -> BaseModel:
    try:
        return schema.model_validate_json(text, by_alias=True, by_name=True)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(map(str, first["loc"])) or "the value"
        raise InvalidArgumentError(
            f"the state does not fit {class_path(schema)}: {where}: {first['msg']}", field="state"
        ) from error


def state_json(value: Any) -> str:
    """An initial state as the API takes it; None: none."""
    if value is None:
        return ""
    text = dumps_argument(value, "initial_state", "initial_state")
    if not text.startswith("{"):
        raise InvalidArgumentError(
            f"initial_state is a model or a dict, not {type(value).__name__}", field="initial_state"
        )
    return text
