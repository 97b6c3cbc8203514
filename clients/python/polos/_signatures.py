"""What a decorated function takes: its parameters and its input model."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable
from types import FrameType
from typing import Any

from pydantic import BaseModel, TypeAdapter

from ._codec.values import PLAIN, type_adapter


def annotations_of(func: Callable[..., Any]) -> dict[str, Any]:
    """A function's annotations, strings evaluated, also in the scope that decorates it."""
    try:
        return inspect.get_annotations(func, eval_str=True)
    except Exception:
        scope = {**getattr(func, "__globals__", {}), **_names_of_caller()}
        try:
            return inspect.get_annotations(func, eval_str=True, locals=scope)
        except Exception:
            return {}


def _names_of_caller() -> dict[str, Any]:
    """What is defined where this package was called from."""
    frame: FrameType | None = sys._getframe(1)
    while frame is not None and frame.f_globals.get("__name__", "").split(".")[0] == "polos":
        frame = frame.f_back
    return {} if frame is None else {**frame.f_globals, **frame.f_locals}


_POSITIONAL = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)


def _is_never_given(signature: inspect.Signature) -> bool:
    """Whether it has parameters that only stay empty: *args, **kwargs, keyword-only ones."""
    return any(
        each.kind in (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
        or (each.kind is inspect.Parameter.KEYWORD_ONLY and each.default is each.empty)
        for each in signature.parameters.values()
    )


class Parameters:
    """How many arguments a function wants beside the context, and of what type."""

    def __init__(self, func: Callable[..., Any], what: str) -> None:
        signature = inspect.signature(func)
        positional = [each for each in signature.parameters.values() if each.kind in _POSITIONAL]
        required = [p for p in positional if p.default is inspect.Parameter.empty]
        if not positional or len(required) > 2 or _is_never_given(signature):
            name = getattr(func, "__name__", repr(func))
            raise TypeError(
                f"{what} {name!r} takes (ctx) or (ctx, input), for nothing else would be given to "
                f"it; its signature is {signature}"
            )
        self.takes_input = len(positional) >= 2
        self.input_name = positional[1].name if self.takes_input else ""
        self.input_optional = self.takes_input and positional[1] not in required
        annotations = annotations_of(func)
        said = getattr(func, "__annotations__", {}).get("return")
        if isinstance(said, str) and "return" in annotations:
            # Evaluated while the scope is there: results are made again by it.
            func.__annotations__["return"] = annotations["return"]
        self.input_type: Any = annotations.get(self.input_name)
        self.model: type[BaseModel] | None = None
        if isinstance(self.input_type, type) and issubclass(self.input_type, BaseModel):
            self.model = self.input_type
        self.annotated = self.takes_input and (
            positional[1].annotation is not inspect.Parameter.empty
        )
        self.adapter = _adapter_of(self.input_type)


def _adapter_of(input_type: Any) -> TypeAdapter[Any] | None:
    """How an input is made of JSON; None where its own form will do."""
    if input_type is None or input_type is Any or any(input_type is each for each in PLAIN):
        return None
    try:
        return type_adapter(input_type)
    except Exception:  # no type that pydantic knows: the function sees what JSON gives
        return None
