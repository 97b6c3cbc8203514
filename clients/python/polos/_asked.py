"""What hooks and guardrails share: functions of the user that are asked about a run, and decide."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, ClassVar, Generic, TypeVar

from pydantic import BaseModel, ConfigDict
from typing_extensions import Self

from ._execution.work import call
from .context import WorkflowContext
from .types import AgentConfig, Step

_NAME = re.compile(r"[^A-Za-z0-9_\-]")
_NAME_CHARACTERS_MAX = 80


class AskedAbout(BaseModel):
    """What any of them may look at."""

    workflow_id: str
    session_id: str | None = None
    user_id: str | None = None
    agent_config: AgentConfig | None = None
    steps: list[Step] = []

    def to_dict(self) -> dict[str, Any]:
        """As JSON has it."""
        return self.model_dump(mode="json")

    @classmethod
    def from_dict(cls, data: Any) -> Self:
        """What to_dict() gave."""
        return data if isinstance(data, cls) else cls.model_validate(data)


class Decision(BaseModel):
    """What any of them gives. `action` is of an enum with "continue" and "fail"."""

    model_config = ConfigDict(use_enum_values=True)

    action: Any = None

    @property
    def has_failed(self) -> bool:
        """Whether it is a fail()."""
        return bool(getattr(self.action, "value", self.action) == "fail")

    def to_dict(self) -> dict[str, Any]:
        """As JSON has it."""
        return self.model_dump(mode="json")

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> Self:
        """What to_dict() gave."""
        return cls.model_validate(data)


Decided = TypeVar("Decided", bound=Decision)


class AskedFunction(Generic[Decided]):
    """A function of (ctx, what it is asked about) that gives a decision; plain or async."""

    word: ClassVar[str]  # "hook"
    gives: ClassVar[type[Decision]]

    def __init__(self, func: Callable[..., Any]) -> None:
        if not callable(func):
            raise TypeError(
                f"a {self.word} is a function of (ctx, {self.word}_ctx), not {func!r}"
            )
        self.func = func
        self.__name__ = getattr(func, "__name__", type(func).__name__)
        self.__doc__ = getattr(func, "__doc__", None)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self.func(*args, **kwargs)

    def callback_name(self, place: str, index: int) -> str:
        """What hosts offer it as: "on_start.NAME.0"."""
        return f"{place}.{_NAME.sub('_', self.__name__)[:_NAME_CHARACTERS_MAX]}.{index}"

    async def ask(self, ctx: WorkflowContext, about: AskedAbout) -> Decided:
        """What the function decides; TypeError when that is none."""
        said: Any = await call(self.func, ctx, about)
        if said is None:
            said = self.gives()
        if not isinstance(said, self.gives):
            gives = self.gives.__name__
            raise TypeError(
                f"{self.word} {self.__name__!r} gave a {type(said).__name__}: it gives "
                f"{gives}.continue_with(...) or {gives}.fail(...)"
            )
        return said  # type: ignore[return-value]
