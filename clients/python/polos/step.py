"""Durable steps: `ctx.step` in workflows and tools."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import inspect
import json
import random
import time
import uuid
from collections.abc import Awaitable, Callable, Hashable, Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any, NoReturn

from pydantic import TypeAdapter

from . import _threads
from ._json import dumps_step, loads_step
from ._outcome import error_outcome, value_outcome
from .errors import ExecutionCancelledError, StepExecutionError, UnsupportedFeatureError
from .v1 import tools_pb2

if TYPE_CHECKING:
    from .context import WorkflowContext

KEY_BYTES_MAX = 512

Settle = Callable[[str, tools_pb2.TaskOutcome], Awaitable[None]]


class Step:
    """Units of work whose outcome is kept: done once, remembered for ever.

    A step is named by its key, unique in its run. When a host dies and the code runs again, a step
    that has settled is answered from the journal; its function is not called. Outcomes include
    failures and falsy values. A key may be used once per execution; in a loop, put the counter
    into it.
    """

    def __init__(
        self, ctx: WorkflowContext, settled: Mapping[str, tools_pb2.TaskOutcome], settle: Settle
    ) -> None:
        self._ctx = ctx
        self._settled = dict(settled)
        self._settle = settle
        self._used: set[str] = set()

    async def run(
        self,
        step_key: str,
        func: Callable[..., Any],
        *args: Any,
        max_retries: int = 2,
        base_delay: float = 1.0,
        max_delay: float = 10.0,
        **kwargs: Any,
    ) -> Any:
        """Calls func(*args, **kwargs) once and keeps what it returns.

        Args:
            step_key: 1 to 512 bytes, unique in the run.
            func: async, or sync (then it runs in a thread).
            max_retries: further tries after a failure, before the failure is kept.
            base_delay: seconds before the first retry; doubled for each further one.
            max_delay: the most seconds between two tries.

        Returns: what func returned, or what it returned in an earlier execution: pydantic models
            as models, otherwise as JSON gives it back, or as func's return annotation says.

        Raises:
            StepExecutionError: func failed for good, now or in an earlier execution.
        """
        settled = self._use(step_key)
        if settled is not None:
            return _value_of(settled, step_key, func)
        try:
            value = await _retried(
                lambda: _call(func, *args, **kwargs), max_retries, base_delay, max_delay
            )
            outcome = value_outcome(dumps_step(value), f"step {step_key!r}")
        except (ExecutionCancelledError, UnsupportedFeatureError):
            raise
        except Exception as error:
            outcome = error_outcome(error, f"step {step_key!r}")
            await self._keep(step_key, outcome)
            raise _failure(outcome, step_key) from error
        await self._keep(step_key, outcome)
        return _value_of(outcome, step_key, func)

    async def uuid(self, step_key: str) -> str:
        """A random UUID that stays the same when the code runs again."""
        return str(await self._recorded(step_key, lambda: str(uuid.uuid4())))

    async def now(self, step_key: str) -> int:
        """The time in Unix milliseconds, the same when the code runs again."""
        return int(await self._recorded(step_key, lambda: time.time_ns() // 1_000_000))

    async def random(self, step_key: str) -> float:
        """A random number in [0, 1), the same when the code runs again."""
        return float(await self._recorded(step_key, random.random))

    # ---- inside ----

    def _use(self, key: str) -> tools_pb2.TaskOutcome | None:
        if not isinstance(key, str) or not 1 <= len(key.encode()) <= KEY_BYTES_MAX:
            raise ValueError(f"a step key is a text of 1 to {KEY_BYTES_MAX} bytes, not {key!r}")
        if key in self._used:
            raise ValueError(
                f"step key {key!r} is used twice in this execution: every step needs a key of its "
                "own (in a loop, put the counter into it)"
            )
        self._used.add(key)
        return self._settled.get(key)

    async def _keep(self, key: str, outcome: tools_pb2.TaskOutcome) -> None:
        await self._settle(key, outcome)
        self._settled[key] = outcome

    async def _recorded(self, key: str, make: Callable[[], Any]) -> Any:
        settled = self._use(key)
        if settled is None:
            settled = value_outcome(json.dumps(make()), f"step {key!r}")
            await self._keep(key, settled)
        return _value_of(settled, key, None)

    # ---- what this release does not have ----

    async def wait_for(
        self,
        step_key: str,
        seconds: float | None = None,
        minutes: float | None = None,
        hours: float | None = None,
        days: float | None = None,
        weeks: float | None = None,
    ) -> None:
        """Not in this release."""
        _unsupported("wait_for", "asyncio.sleep waits, but not durably")

    async def wait_until(self, step_key: str, timestamp: datetime) -> None:
        """Not in this release."""
        _unsupported("wait_until")

    async def wait_for_event(self, step_key: str, topic: str, timeout: int | None = None) -> Any:
        """Not in this release."""
        _unsupported("wait_for_event")

    async def publish_event(
        self, step_key: str, topic: str, data: dict[str, Any], event_type: str | None = None
    ) -> None:
        """Not in this release."""
        _unsupported("publish_event")

    async def publish_workflow_event(
        self, step_key: str, data: dict[str, Any], event_type: str | None = None
    ) -> None:
        """Not in this release."""
        _unsupported("publish_workflow_event")

    async def suspend(self, step_key: str, data: Any, timeout: int | None = None) -> Any:
        """Not in this release."""
        _unsupported("suspend")

    async def resume(
        self,
        step_key: str,
        suspend_step_key: str,
        suspend_execution_id: str,
        suspend_workflow_id: str,
        data: Any,
    ) -> None:
        """Not in this release."""
        _unsupported("resume")

    async def invoke(self, step_key: str, workflow: Any, payload: Any, **options: Any) -> Any:
        """Not in this release."""
        _unsupported("invoke")

    async def invoke_and_wait(
        self, step_key: str, workflow: Any, payload: Any, **options: Any
    ) -> Any:
        """Not in this release."""
        _unsupported("invoke_and_wait")

    async def batch_invoke(self, step_key: str, workflows: list[Any]) -> Any:
        """Not in this release."""
        _unsupported("batch_invoke")

    async def batch_invoke_and_wait(self, step_key: str, workflows: list[Any]) -> Any:
        """Not in this release."""
        _unsupported("batch_invoke_and_wait")

    async def agent_invoke(self, step_key: str, config: Any) -> Any:
        """Not in this release."""
        _unsupported("agent_invoke")

    async def agent_invoke_and_wait(self, step_key: str, config: Any) -> Any:
        """Not in this release."""
        _unsupported("agent_invoke_and_wait")

    async def batch_agent_invoke(self, step_key: str, configs: list[Any]) -> Any:
        """Not in this release."""
        _unsupported("batch_agent_invoke")

    async def batch_agent_invoke_and_wait(self, step_key: str, configs: list[Any]) -> Any:
        """Not in this release."""
        _unsupported("batch_agent_invoke_and_wait")

    def trace(
        self, name: str, attributes: dict[str, Any] | None = None
    ) -> contextlib.AbstractContextManager[None]:
        """Not in this release."""
        _unsupported("trace")


def _unsupported(method: str, instead: str = "") -> NoReturn:
    raise UnsupportedFeatureError(f"ctx.step.{method}", instead)


async def _call(func: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    if inspect.iscoroutinefunction(func):
        return await func(*args, **kwargs)
    value = await _threads.run(func, *args, **kwargs)
    return await value if inspect.isawaitable(value) else value


async def _retried(
    call: Callable[[], Awaitable[Any]], max_retries: int, base_delay: float, max_delay: float
) -> Any:
    """Tries once and max_retries times more; no wait after the last failure."""
    for attempt in range(max_retries + 1):
        try:
            return await call()
        except (ExecutionCancelledError, UnsupportedFeatureError):
            raise
        except Exception:
            if attempt == max_retries:
                raise
            await asyncio.sleep(min(max_delay, base_delay * 2.0**attempt))
    raise ValueError(f"max_retries is {max_retries}: it is 0 or more")


def _failure(outcome: tools_pb2.TaskOutcome, key: str) -> StepExecutionError:
    error = outcome.error
    return StepExecutionError(
        f"step {key!r} failed: {error.type}: {error.message}", error_type=error.type
    )


def _value_of(
    outcome: tools_pb2.TaskOutcome, key: str, func: Callable[..., Any] | None
) -> Any:
    """What the code is given: the same when the step ran and whenever it is replayed."""
    if outcome.WhichOneof("result") == "error":
        raise _failure(outcome, key)
    value = loads_step(outcome.value_json or "null")
    adapter = _adapter(func) if isinstance(func, Hashable) and func is not None else None
    return value if adapter is None else adapter.validate_python(value)


@functools.lru_cache(maxsize=1024)
def _adapter(func: Callable[..., Any]) -> TypeAdapter[Any] | None:
    """How a return annotation restores a value; None where JSON's own form will do."""
    target = inspect.unwrap(func)
    annotation = getattr(target, "__annotations__", {}).get("return")
    if annotation is None or annotation is Any or any(annotation is t for t in _PLAIN):
        return None
    with contextlib.suppress(Exception):
        hints = inspect.get_annotations(target, eval_str=True)
        return TypeAdapter(hints["return"])
    return None


_PLAIN = (str, int, float, bool, dict, list)
