"""Tools: functions a model may call. They run in this process."""

from __future__ import annotations

import json
from collections.abc import Callable, Coroutine
from typing import Any, Protocol, overload

from . import _registry
from ._checks import checked_tool_name, refuse, spelling_checked
from ._codec import times
from ._codec.schema import schema_of
from .v1 import common_pb2, definitions_pb2
from .workflow import Function, In, Out, Workflow


class Tool(Workflow[In, Out]):
    """A function a model may call: `fn(ctx)` or `fn(ctx, input: SomeModel)`, async or sync.

    What it returns (a pydantic model, or anything with a JSON form) goes to the model; what it
    raises goes to the model too, as an error, and the agent goes on. A finished call is never made
    again; a call whose host died is, with the same `ctx.task_id`.

    Attributes:
        parameters: JSON Schema of the input.
        timeout: seconds a call may take; None: until its run's deadline.
        at_most_once: a call whose host died is not made again, it fails with "outcome unknown".
    """

    kind = "tool"

    @spelling_checked("Tool")
    def __init__(
        self,
        id: str,
        description: str | None = None,
        parameters: dict[str, Any] | None = None,
        func: Function | None = None,
        queue: Any = None,
        on_start: Any = None,
        on_end: Any = None,
        approval: Any = None,
        *,
        timeout: float | None = None,
        at_most_once: bool = False,
        **kwargs: Any,
    ) -> None:
        refuse("tool", queue=queue, approval=approval, **kwargs)
        if func is None:
            raise TypeError(f"tool {id!r} needs a function: Tool(id, func=...) or @tool")
        checked_tool_name(id)
        if timeout is not None and timeout <= 0:
            raise ValueError(f"the timeout of tool {id!r} is {timeout}: it is more than 0 seconds")
        super().__init__(id, func, description, on_start=on_start, on_end=on_end)
        wants = self.parameters_of
        if wants.annotated and wants.model is None and wants.input_type not in (dict, Any):
            if parameters is None:
                raise TypeError(
                    f"the parameter {wants.input_name!r} of tool {self.id!r} must be a pydantic "
                    "BaseModel (or a dict, with parameters= giving its JSON Schema)"
                )
        self.parameters: dict[str, Any] = parameters or (
            schema_of(wants.model)
            if wants.model is not None
            else {"type": "object", "properties": {}}
        )
        self.timeout = timeout
        self.at_most_once = at_most_once
        self._definition = self._define()
        self._register()

    def _register(self) -> None:
        _registry.tools[self.id] = self

    def definition(self) -> definitions_pb2.ToolDefinition:
        """As the server and the model see it."""
        return self._definition

    def _define(self) -> definitions_pb2.ToolDefinition:
        return definitions_pb2.ToolDefinition(
            id=self.id,
            description=self.description,
            parameters_json=json.dumps(self.parameters, ensure_ascii=False),
            timeout=times.length(self.timeout),
            on_lost=(
                common_pb2.LOST_CALL_UNKNOWN if self.at_most_once else common_pb2.LOST_CALL_REPEAT
            ),
        )

    def to_llm_tool_definition(self) -> dict[str, Any]:
        """The function definition in the form most providers take."""
        return {
            "type": "function",
            "function": {
                "name": self.id,
                "description": self.description,
                "parameters": self.parameters,
            },
        }


class Decorator(Protocol):
    """What makes a Tool of a function, with the types of what that takes and gives."""

    @overload
    def __call__(
        self, func: Callable[[Any, In], Coroutine[Any, Any, Out]], /
    ) -> Tool[In, Out]: ...

    @overload
    def __call__(self, func: Callable[[Any], Coroutine[Any, Any, Out]], /) -> Tool[None, Out]: ...

    @overload
    def __call__(self, func: Callable[[Any, In], Out], /) -> Tool[In, Out]: ...

    @overload
    def __call__(self, func: Callable[[Any], Out], /) -> Tool[None, Out]: ...


@overload
def tool(id: Callable[[Any, In], Coroutine[Any, Any, Out]], /) -> Tool[In, Out]: ...


@overload
def tool(id: Callable[[Any], Coroutine[Any, Any, Out]], /) -> Tool[None, Out]: ...


@overload
def tool(id: Callable[[Any, In], Out], /) -> Tool[In, Out]: ...


@overload
def tool(id: Callable[[Any], Out], /) -> Tool[None, Out]: ...


@overload
def tool(
    id: str | None = None,
    description: str | None = None,
    parameters: dict[str, Any] | None = None,
    queue: Any = None,
    on_start: Any = None,
    on_end: Any = None,
    approval: Any = None,
    *,
    timeout: float | None = None,
    at_most_once: bool = False,
    **kwargs: Any,
) -> Decorator: ...


@spelling_checked("tool")
def tool(
    id: str | Function | None = None,
    description: str | None = None,
    parameters: dict[str, Any] | None = None,
    queue: Any = None,
    on_start: Any = None,
    on_end: Any = None,
    approval: Any = None,
    *,
    timeout: float | None = None,
    at_most_once: bool = False,
    **kwargs: Any,
) -> Any:
    """Makes a function a Tool: `@tool` or `@tool(description="...")`.

    Args:
        id: its name for the model; default: the function's.
        description: what the model reads; default: the docstring.
        parameters: JSON Schema of the input, instead of the one of the input's model.
        timeout: seconds a call may take from the moment it is sent here.
        at_most_once: never repeat a call whose host died.
        on_start, on_end: functions of (ctx, hook_ctx), or lists of them, asked before the function
            runs and when it has given its result: each a durable step; see @hook.

    All other arguments belong to features this release does not have and raise
    UnsupportedFeatureError.
    """
    if isinstance(id, Workflow):
        raise TypeError(f"{id.kind} {id.id!r} is decorated twice")
    if callable(id):
        return Tool(id.__name__, func=id)
    name = id
    refuse("tool", queue=queue, approval=approval, **kwargs)

    def decorate(func: Function) -> Tool:
        return Tool(
            name or func.__name__,
            description,
            parameters,
            func,
            on_start=on_start,
            on_end=on_end,
            timeout=timeout,
            at_most_once=at_most_once,
        )

    return decorate
