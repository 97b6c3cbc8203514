"""When an agent's loop ends before the model is done."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from pydantic import AliasChoices, BaseModel, ConfigDict, Field

from .errors import UnsupportedFeatureError


class MaxStepsConfig(BaseModel):
    """`count` (or `limit`): model calls a run may make, 1 to 1000."""

    model_config = ConfigDict(extra="forbid")

    count: int = Field(default=20, ge=1, le=1000, validation_alias=AliasChoices("count", "limit"))

    @property
    def limit(self) -> int:
        """The same as `count`."""
        return self.count


class MaxTokensConfig(BaseModel):
    """`limit`: total tokens after which no further model call is made."""

    model_config = ConfigDict(extra="forbid")

    limit: int = Field(ge=1)


@dataclass(frozen=True)
class StopCondition:
    """A condition the server checks after every turn; 0: not limited by this one."""

    max_steps: int = 0
    max_total_tokens: int = 0


def max_steps(
    config: MaxStepsConfig | dict[str, Any] | None = None, **kwargs: Any
) -> StopCondition:
    """Ends the run after so many model calls: `max_steps(MaxStepsConfig(count=5))`."""
    return StopCondition(max_steps=MaxStepsConfig.model_validate(_merged(config, kwargs)).count)


def max_tokens(
    config: MaxTokensConfig | dict[str, Any] | None = None, **kwargs: Any
) -> StopCondition:
    """Ends the run once it used so many tokens: `max_tokens(MaxTokensConfig(limit=50000))`."""
    found = MaxTokensConfig.model_validate(_merged(config, kwargs))
    return StopCondition(max_total_tokens=found.limit)


def _merged(config: BaseModel | dict[str, Any] | None, kwargs: dict[str, Any]) -> Any:
    if isinstance(config, BaseModel):
        return config.model_dump()
    if config is not None and not isinstance(config, dict):
        raise TypeError(f"a limit is named: max_steps(count={config!r}), max_tokens(limit=...)")
    return {**(config or {}), **kwargs}


def combined(conditions: list[Any]) -> StopCondition:
    """The strictest of all; raises UnsupportedFeatureError for conditions of other kinds."""
    steps: list[int] = []
    tokens: list[int] = []
    for condition in conditions:
        found = condition() if condition in (max_steps, max_tokens) else condition
        if not isinstance(found, StopCondition):
            name = getattr(condition, "__name__", repr(condition))
            raise UnsupportedFeatureError(
                f"Agent(stop_conditions=[{name}])", "max_steps and max_tokens are"
            )
        steps += [found.max_steps] if found.max_steps else []
        tokens += [found.max_total_tokens] if found.max_total_tokens else []
    return StopCondition(
        max_steps=min(steps, default=0), max_total_tokens=min(tokens, default=0)
    )
