"""Durable steps: `ctx.step` in workflows and tools."""

from __future__ import annotations

import asyncio
import contextlib
import json
import random
import time
import uuid
from collections.abc import Awaitable, Callable, Coroutine, Iterator, Sequence
from datetime import datetime, timezone
from typing import Any, ParamSpec, TypeVar, overload

from google.protobuf import duration_pb2, timestamp_pb2
from pydantic import BaseModel, ValidationError

from . import trace
from ._codec.names import UnknownClassError
from ._codec.outcomes import value_outcome
from ._codec.schema import answer_schema_of
from ._codec.text import dumps_argument, sentences
from ._codec.values import kept, loads_step
from ._execution.children import (
    Child,
    RunIdentity,
    batch_result,
    error_of,
    handle_of,
    order_of,
    value_of,
)
from ._execution.execution import Execution
from ._execution.starts import AgentRunConfig, StartOptions
from ._execution.work import (
    Timeout,
    Tries,
    call,
    check_work,
    error_of_try,
    limited,
    takes,
)
from ._fields import Fields
from ._startable import Target
from .errors import (
    NonRetryableError,
    OutputError,
    StepExecutionError,
    UnsupportedFeatureError,
)
from .event import EventPayload, iso_time
from .handle import ExecutionHandle
from .queue import Queue
from .types import AgentResult, BatchStepResult, BatchWorkflowInput
from .v1 import steps_pb2

State = BaseModel | dict[str, Any] | None
In = TypeVar("In")
Out = TypeVar("Out")
M = TypeVar("M", bound=BaseModel)
P = ParamSpec("P")
R = TypeVar("R")


class Step:
    """Units of work whose outcome is kept: done once, remembered for ever.

    A step is named by its key, unique in its run. When the code runs again (its host died, or let
    go of it because it only waited), a step that has settled is answered from the journal; its
    function is not called. Outcomes include failures and falsy values. A key may be used once per
    execution; in a loop, put the counter into it. All steps may be used in parallel
    (asyncio.gather), in workflows and in tools.

    Every step raises StepExecutionError when it failed for good, now or in an earlier execution,
    and ExecutionCancelledError (an asyncio.CancelledError) where the code is told that its run is
    being cancelled.
    """

    def __init__(self, ctx: RunIdentity, execution: Execution) -> None:
        self._ctx = ctx
        self._execution = execution

    # ---- work ----
    #
    # What run() is given fits func; beside options of run() itself it may be anything.

    @overload
    async def run(
        self,
        step_key: str,
        func: Callable[..., Coroutine[Any, Any, R]],
        *args: Any,
        max_retries: int,
        **kwargs: Any,
    ) -> R: ...

    @overload
    async def run(
        self, step_key: str, func: Callable[..., R], *args: Any, max_retries: int, **kwargs: Any
    ) -> R: ...

    @overload
    async def run(
        self,
        step_key: str,
        func: Callable[..., Coroutine[Any, Any, R]],
        *args: Any,
        base_delay: float,
        **kwargs: Any,
    ) -> R: ...

    @overload
    async def run(
        self, step_key: str, func: Callable[..., R], *args: Any, base_delay: float, **kwargs: Any
    ) -> R: ...

    @overload
    async def run(
        self,
        step_key: str,
        func: Callable[..., Coroutine[Any, Any, R]],
        *args: Any,
        max_delay: float,
        **kwargs: Any,
    ) -> R: ...

    @overload
    async def run(
        self, step_key: str, func: Callable[..., R], *args: Any, max_delay: float, **kwargs: Any
    ) -> R: ...

    @overload
    async def run(
        self,
        step_key: str,
        func: Callable[..., Coroutine[Any, Any, R]],
        *args: Any,
        timeout: float,
        **kwargs: Any,
    ) -> R: ...

    @overload
    async def run(
        self, step_key: str, func: Callable[..., R], *args: Any, timeout: float, **kwargs: Any
    ) -> R: ...

    @overload
    async def run(
        self,
        step_key: str,
        func: Callable[P, Coroutine[Any, Any, R]],
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> R: ...

    @overload
    async def run(
        self, step_key: str, func: Callable[P, R], *args: P.args, **kwargs: P.kwargs
    ) -> R: ...

    async def run(  # type: ignore[misc]
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
            timeout: seconds that a try may take; then it has failed (`error_type` "TIMEOUT").
                Of a func that takes a `timeout` itself, func's own.

        Returns: what func returned, or what it returned in an earlier execution: pydantic models
            as models, otherwise as JSON gives it back, or as func's return annotation says.
        """
        check_work(step_key, func, max_retries, base_delay, max_delay)
        is_ours = "timeout" in kwargs and not takes(func, "timeout")
        seconds = kwargs.pop("timeout") if is_ours else None
        tries = Tries(step_key, max_retries, base_delay, max_delay)
        settled = await self._execution.recall(step_key, "step")
        if settled is not None:
            return self._value_of(settled, step_key, func)
        with self._execution.at_work(step_key):
            try:
                value = await self._tried(
                    tries, lambda: limited(call(func, *args, **kwargs), seconds)
                )
                text, value_type, found = kept(value, func)
                outcome = value_outcome(text, f"step {step_key!r}", value_type)
            except UnsupportedFeatureError:
                raise
            except Exception as error:
                tries.warn_of(error, self._ctx.execution_id)
                outcome = error_of_try(error, step_key)
                await self._execution.settle(step_key, outcome)
                raise _failure(outcome, step_key) from error
            await self._execution.settle(step_key, outcome)
        return found

    async def uuid(self, step_key: str) -> str:
        """A random UUID that stays the same when the code runs again."""
        return str(await self._recorded(step_key, lambda: str(uuid.uuid4())))

    async def now(self, step_key: str) -> int:
        """The time in Unix milliseconds, the same when the code runs again."""
        return int(await self._recorded(step_key, lambda: time.time_ns() // 1_000_000))

    async def random(self, step_key: str) -> float:
        """A random number in [0, 1), the same when the code runs again."""
        return float(await self._recorded(step_key, random.random))

    @contextlib.contextmanager
    def trace(self, name: str, attributes: dict[str, Any] | None = None) -> Iterator[trace.Span]:
        """A named stretch of the code: times and attributes, for whoever looks; not durable. With
        OpenTelemetry's API it is one of its spans, within that of the task."""
        with trace.span(name, attributes) as span:
            yield span

    # ---- waits ----

    async def wait_for(
        self,
        step_key: str,
        seconds: float | None = None,
        minutes: float | None = None,
        hours: float | None = None,
        days: float | None = None,
        weeks: float | None = None,
    ) -> None:
        """Waits so long; the wait survives server and host, and costs nothing."""
        given = [(seconds, 1), (minutes, 60), (hours, 3600), (days, 86400), (weeks, 604800)]
        total = sum(amount * unit for amount, unit in given if amount is not None)
        if all(amount is None for amount, _ in given) or not 0 <= total < 1e10:  # nan, too
            raise ValueError(
                f"wait_for({step_key!r}) waits {total} s: give seconds, minutes, hours, days or "
                "weeks, 0 or more"
            )
        await self._sleep(step_key, steps_pb2.Sleep(duration=_length(max(1e-3, total))))

    async def wait_until(self, step_key: str, timestamp: datetime) -> None:
        """Waits for a time; one without a time zone is taken as UTC."""
        if not isinstance(timestamp, datetime):
            raise TypeError(
                f"wait_until({step_key!r}) waits for a datetime, not for {timestamp!r}"
            )
        if timestamp.tzinfo is None:
            timestamp = timestamp.replace(tzinfo=timezone.utc)
        until = timestamp_pb2.Timestamp()
        until.FromMilliseconds(max(1, round(timestamp.timestamp() * 1000)))
        await self._sleep(step_key, steps_pb2.Sleep(until=until))

    async def wait_for_event(
        self,
        step_key: str,
        topic: str,
        timeout: float | None = None,
        event_type: str | None = None,
    ) -> EventPayload:
        """The next event of a topic that is published from now on.

        Args:
            timeout: seconds after which the step fails (`error_type` "TIMEOUT"); None: never.
            event_type: only events of this type.
        """
        length = _timeout(step_key, timeout)

        def order() -> steps_pb2.StepRequest:
            body = steps_pb2.AwaitEvent(topic=topic, event_type=event_type or "", timeout=length)
            return steps_pb2.StepRequest(key=step_key, await_event=body)

        value = await self._ordered(step_key, "event", order)
        return EventPayload.model_validate(value)

    @overload
    async def suspend(
        self, step_key: str, data: Any = None, timeout: float | None = None, *, schema: type[M]
    ) -> M: ...

    @overload
    async def suspend(
        self, step_key: str, data: Any = None, timeout: float | None = None, *, schema: None = None
    ) -> Fields: ...

    async def suspend(
        self,
        step_key: str,
        data: dict[str, Any] | BaseModel | Any = None,
        timeout: float | None = None,
        *,
        schema: type[BaseModel] | None = None,
    ) -> Any:
        """Waits for an answer from outside: `client.resume(...)` of anybody, anywhere.

        Args:
            data: what the suspension shows to whoever looks at it.
            timeout: seconds after which the step fails (`error_type` "TIMEOUT"); None: never.
            schema: what the answer has to fit. One that does not fit its JSON Schema is refused
                where it is given (InvalidArgumentError), and the step goes on waiting; one that
                fits it, and not the model, fails the step (`error_type` "ANSWER_INVALID").

        Returns: an instance of the schema, or without one
            {"data": the answer, "event_type": "resume_<step_key>", "resumed_by": who, ...}.
        """
        text = dumps_argument(data, f"the data of suspend({step_key!r})", "data")
        length = _timeout(step_key, timeout)

        def order() -> steps_pb2.StepRequest:
            judged_by = "" if schema is None else answer_schema_of(schema)
            body = steps_pb2.Suspend(
                data_json=text, answer_schema_json=judged_by, timeout=length
            )
            return steps_pb2.StepRequest(key=step_key, suspend=body)

        answer = self._resumed(step_key, await self._ordered(step_key, "suspend", order))
        return answer if schema is None else _answer_of(schema, answer["data"], step_key)

    def timeout(self, step_key: str, seconds: float) -> Timeout:
        """Limits the time of what stands in an `async with`: after it TimeoutError is raised. The
        time goes on while the code is let go of, and is over at the same place when it runs again.

            async with ctx.step.timeout("patience", 30):
                await ctx.step.suspend("approve", {})
        """
        length = _timeout(step_key, seconds)
        return Timeout(lambda: self._sleep(step_key, steps_pb2.Sleep(duration=length)))

    # ---- events and answers ----

    async def publish_event(
        self, step_key: str, topic: str, data: Any, event_type: str | None = None
    ) -> None:
        """Publishes an event, once, however often the code runs."""
        text = dumps_argument(data, f"the data of publish_event({step_key!r})", "data")

        def order() -> steps_pb2.StepRequest:
            body = steps_pb2.Publish(topic=topic, event_type=event_type or "", data_json=text)
            return steps_pb2.StepRequest(key=step_key, publish=body)

        await self._ordered(step_key, "publish", order)

    async def publish_workflow_event(
        self, step_key: str, data: Any, event_type: str | None = None
    ) -> None:
        """Publishes an event to those who follow the run (`events.stream_workflow`)."""
        await self.publish_event(step_key, self._own_topic(), data, event_type)

    async def resume(
        self,
        step_key: str,
        suspend_step_key: str,
        suspend_execution_id: str,
        suspend_workflow_id: str,
        data: dict[str, Any] | BaseModel | Any,
    ) -> None:
        """Answers another run's suspension, once; nothing happens when it was answered before."""
        text = dumps_argument(data, f"the data of resume({step_key!r})", "data")

        def order() -> steps_pb2.StepRequest:
            body = steps_pb2.Resume(
                run_id=suspend_execution_id,
                step_key=suspend_step_key,
                data_json=text,
                workflow_id=suspend_workflow_id,
            )
            return steps_pb2.StepRequest(key=step_key, resume=body)

        await self._ordered(step_key, "resume", order)

    # ---- child runs ----

    @overload
    async def invoke(
        self,
        step_key: str,
        workflow: Target[None, Any],
        payload: None = None,
        initial_state: State = None,
        queue: str | Queue | None = None,
        concurrency_key: str | None = None,
        run_timeout_seconds: float | None = None,
        max_retries: int | None = None,
        priority: int | None = None,
    ) -> ExecutionHandle: ...

    @overload
    async def invoke(
        self,
        step_key: str,
        workflow: Target[In, Any],
        payload: In | dict[str, Any],
        initial_state: State = None,
        queue: str | Queue | None = None,
        concurrency_key: str | None = None,
        run_timeout_seconds: float | None = None,
        max_retries: int | None = None,
        priority: int | None = None,
    ) -> ExecutionHandle: ...

    @overload
    async def invoke(
        self,
        step_key: str,
        workflow: str,
        payload: Any = None,
        initial_state: State = None,
        queue: str | Queue | None = None,
        concurrency_key: str | None = None,
        run_timeout_seconds: float | None = None,
        max_retries: int | None = None,
        priority: int | None = None,
    ) -> ExecutionHandle: ...

    async def invoke(
        self,
        step_key: str,
        workflow: str | Target[Any, Any],
        payload: Any = None,
        initial_state: State = None,
        queue: str | Queue | None = None,
        concurrency_key: str | None = None,
        run_timeout_seconds: float | None = None,
        max_retries: int | None = None,
        priority: int | None = None,
    ) -> ExecutionHandle:
        """Starts a run of a workflow or tool and goes on; its handle."""
        child = Child.of_workflow(
            workflow,
            payload,
            StartOptions(
                timeout=run_timeout_seconds,
                initial_state=initial_state,
                max_retries=max_retries,
                queue=queue,
                concurrency_key=concurrency_key,
                priority=priority,
            ),
            self._execution.find,
        )
        return (await self._started(step_key, [child]))[0]

    @overload
    async def invoke_and_wait(
        self,
        step_key: str,
        workflow: Target[None, Out],
        payload: None = None,
        initial_state: State = None,
        queue: str | Queue | None = None,
        concurrency_key: str | None = None,
        run_timeout_seconds: float | None = None,
        max_retries: int | None = None,
        priority: int | None = None,
        *,
        outlive_parent: bool = False,
    ) -> Out: ...

    @overload
    async def invoke_and_wait(
        self,
        step_key: str,
        workflow: Target[In, Out],
        payload: In | dict[str, Any],
        initial_state: State = None,
        queue: str | Queue | None = None,
        concurrency_key: str | None = None,
        run_timeout_seconds: float | None = None,
        max_retries: int | None = None,
        priority: int | None = None,
        *,
        outlive_parent: bool = False,
    ) -> Out: ...

    @overload
    async def invoke_and_wait(
        self,
        step_key: str,
        workflow: str,
        payload: Any = None,
        initial_state: State = None,
        queue: str | Queue | None = None,
        concurrency_key: str | None = None,
        run_timeout_seconds: float | None = None,
        max_retries: int | None = None,
        priority: int | None = None,
        *,
        outlive_parent: bool = False,
    ) -> Any: ...

    async def invoke_and_wait(
        self,
        step_key: str,
        workflow: str | Target[Any, Any],
        payload: Any = None,
        initial_state: State = None,
        queue: str | Queue | None = None,
        concurrency_key: str | None = None,
        run_timeout_seconds: float | None = None,
        max_retries: int | None = None,
        priority: int | None = None,
        *,
        outlive_parent: bool = False,
    ) -> Any:
        """Starts a run of a workflow or tool and waits for its result.

        Args:
            outlive_parent: True: when this run fails before it, it goes on; else it is cancelled.

        Raises StepExecutionError when the run failed or was cancelled.
        """
        child = Child.of_workflow(
            workflow,
            payload,
            StartOptions(
                timeout=run_timeout_seconds,
                initial_state=initial_state,
                max_retries=max_retries,
                queue=queue,
                concurrency_key=concurrency_key,
                priority=priority,
            ),
            self._execution.find,
        )
        return await self._result(step_key, child, outlive_parent)

    async def batch_invoke(
        self, step_key: str, workflows: list[BatchWorkflowInput]
    ) -> list[ExecutionHandle]:
        """Starts runs and goes on; their handles, in order."""
        children = [Child.of_batch(each, self._execution.find) for each in workflows]
        return await self._started(step_key, children)

    async def batch_invoke_and_wait(
        self,
        step_key: str,
        workflows: list[BatchWorkflowInput],
        *,
        outlive_parent: bool = False,
    ) -> list[BatchStepResult]:
        """Starts runs and waits for all of them; how each ended, in order. `outlive_parent`: as of
        invoke_and_wait().
        """
        children = [Child.of_batch(each, self._execution.find) for each in workflows]
        return await self._results(step_key, children, outlive_parent)

    async def agent_invoke(self, step_key: str, config: AgentRunConfig[Any]) -> ExecutionHandle:
        """Starts a run of an agent (`agent.with_input(...)`) and goes on; its handle."""
        return (await self._started(step_key, [Child.of_agent(config)]))[0]

    async def agent_invoke_and_wait(
        self, step_key: str, config: AgentRunConfig[R], *, outlive_parent: bool = False
    ) -> AgentResult[R]:
        """Starts a run of an agent (`agent.with_input(...)`) and waits for its AgentResult.
        `outlive_parent`: as of invoke_and_wait().

        Raises StepExecutionError when the run failed or was cancelled.
        """
        child = Child.of_agent(config)
        found: AgentResult[R] = await self._result(step_key, child, outlive_parent)
        return found

    async def batch_agent_invoke(
        self, step_key: str, configs: Sequence[AgentRunConfig[Any]]
    ) -> list[ExecutionHandle]:
        """Starts runs of agents and goes on; their handles, in order."""
        return await self._started(step_key, [Child.of_agent(c) for c in configs])

    async def batch_agent_invoke_and_wait(
        self,
        step_key: str,
        configs: Sequence[AgentRunConfig[Any]],
        *,
        outlive_parent: bool = False,
    ) -> list[BatchStepResult]:
        """Starts runs of agents and waits for all of them; how each ended, in order.
        `outlive_parent`: as of invoke_and_wait().
        """
        children = [Child.of_agent(c) for c in configs]
        return await self._results(step_key, children, outlive_parent)

    # ---- inside ----

    def _value_of(
        self, outcome: steps_pb2.TaskOutcome, key: str, func: Callable[..., Any] | None = None
    ) -> Any:
        """What the code is given: the same when the step ran and whenever it is replayed."""
        if outcome.WhichOneof("result") == "error":
            raise _failure(outcome, key)
        try:
            return loads_step(outcome.value_json or "null", outcome.value_type, func)
        except UnknownClassError as error:
            raise self._stands_still(key, error) from error

    async def _tried(self, tries: Tries, attempt: Callable[[], Awaitable[Any]]) -> Any:
        """Tries until it works, or as often as may be; no wait after the last failure. A failed try
        is a fact, so that no crash grants more of them."""
        tries.failed, pause = self._execution.tried(tries.key)
        while True:
            if pause:
                await asyncio.sleep(pause)
            try:
                with trace.span(f"step {tries.key}", {"polos.step_key": tries.key}):
                    return await attempt()
            except (UnsupportedFeatureError, NonRetryableError):
                raise
            except Exception as error:
                if tries.left == 0:
                    raise
                tries.warn_of(error, self._ctx.execution_id)
                tries.failed += 1
                pause = tries.pause
                why = error_of_try(error, tries.key).error
                await self._execution.keep_try(tries.key, tries.failed, why, pause)

    async def _recorded(self, key: str, make: Callable[[], Any]) -> Any:
        settled = await self._execution.recall(key, "step")
        if settled is None:
            settled = value_outcome(json.dumps(make()), f"step {key!r}")
            with self._execution.working():
                await self._execution.settle(key, settled)
        return self._value_of(settled, key)

    async def _ordered(self, key: str, kind: str, make: Callable[[], steps_pb2.StepRequest]) -> Any:
        """The value of a step that the server does, from the history or from the server."""
        outcome = await self._execution.recall(key, kind)
        if outcome is None:
            outcome = await self._execution.order(make(), kind)
        return self._value_of(outcome, key)

    async def _sleep(self, key: str, sleep: steps_pb2.Sleep) -> None:
        await self._ordered(key, "sleep", lambda: steps_pb2.StepRequest(key=key, sleep=sleep))

    def _own_topic(self) -> str:
        return f"workflow/{self._ctx.root_workflow_id}/{self._ctx.root_execution_id}"

    def _resumed(self, step_key: str, answer: Any) -> Fields:
        told = answer if isinstance(answer, dict) and "data" in answer else {"data": answer}
        resumed_ms = told.get("resumed_at_ms")
        topic = self._own_topic()
        found = {
            "id": f"{self._ctx.execution_id}:{step_key}",
            "sequence_id": told.get("sequence") or 0,
            "topic": topic,
            "event_type": f"resume_{step_key}",
            "data": told["data"],
            "resumed_by": told.get("resumed_by") or None,
            "created_at": iso_time(resumed_ms) if isinstance(resumed_ms, int) else None,
        }
        return Fields(found)

    async def _children_of(
        self, key: str, children: list[Child], wait: bool, outlive_parent: bool = False
    ) -> Any:
        kind = "invoke_and_wait" if wait else "invoke"
        outcome = await self._execution.recall(key, kind)
        if outcome is None:
            targets = {id(c.target): c.target for c in children if c.target}
            queues = {c.options.queue for c in children if c.options.queue}
            await self._execution.prepare(targets.values(), sorted(queues))
            order = order_of(key, children, self._ctx, wait, outlive_parent)
            outcome = await self._execution.order(order, kind)
        found = self._value_of(outcome, key)
        if not isinstance(found, list) or len(found) != len(children):
            raise StepExecutionError(f"step {key!r}: the server told of no {len(children)} runs")
        return found

    async def _started(
        self, key: str, children: list[Child]
    ) -> list[ExecutionHandle]:
        if not children:
            await self._recorded(key, list)
            return []
        found = await self._children_of(key, children, wait=False)
        return [handle_of(key, c, told, self._ctx) for c, told in zip(children, found)]

    async def _result(self, key: str, child: Child, outlive_parent: bool) -> Any:
        (told,) = await self._children_of(key, [child], True, outlive_parent)
        error = error_of(told)
        if error is not None:
            reason, message = error
            raise StepExecutionError(
                f"step {key!r} failed: {child.name}: {message}", error_type=reason
            )
        try:
            return value_of(child, told)
        except UnknownClassError as problem:
            raise self._stands_still(key, problem) from problem
        except OutputError as problem:
            raise StepExecutionError(
                f"step {key!r} failed: {child.name}: {problem.message}", error_type=problem.reason
            ) from problem

    async def _results(
        self, key: str, children: list[Child], outlive_parent: bool
    ) -> list[BatchStepResult]:
        if not children:
            await self._recorded(key, list)
            return []
        found = await self._children_of(key, children, True, outlive_parent)
        try:
            return [batch_result(c, told) for c, told in zip(children, found)]
        except UnknownClassError as problem:
            raise self._stands_still(key, problem) from problem

    def _stands_still(self, key: str, error: UnknownClassError) -> BaseException:
        sentence = f"what is kept of step {key!r} cannot be made again: {error}"
        return self._execution.stand_still(sentence)


def _answer_of(schema: type[BaseModel], answer: Any, key: str) -> BaseModel:
    try:
        text = dumps_argument(answer, "the answer", "data")
        return schema.model_validate_json(text, by_alias=True, by_name=True)
    except ValidationError as error:
        raise StepExecutionError(
            f"the answer to step {key!r} does not fit {schema.__name__}: {sentences(error)}",
            error_type="ANSWER_INVALID",
        ) from error


def _length(seconds: float) -> duration_pb2.Duration:
    """To the millisecond."""
    length = duration_pb2.Duration()
    length.FromMilliseconds(max(1, round(seconds * 1000)))
    return length


def _timeout(key: str, timeout: float | None) -> duration_pb2.Duration | None:
    if timeout is None:
        return None
    if not 0 < timeout < 1e10:
        raise ValueError(f"the timeout of step {key!r} is {timeout}: it is more than 0 seconds")
    return _length(timeout)


def _failure(outcome: steps_pb2.TaskOutcome, key: str) -> StepExecutionError:
    error = outcome.error
    return StepExecutionError(
        f"step {key!r} failed: {error.type}: {error.message}", error_type=error.type
    )
