"""The Python driver: offers one workflow and one tool, `conform`, whose payload is its program, and
does what the runner says, one line of JSON at a time.

    driver.py SERVER_URL EFFECTS_URL

Written against the public API alone. An operation is an object with one of these names; "as" names
what it gives, {"$": name} stands for that, "{name}" within texts; "input" is what it is given.

    step (an effect, or value, raise, odd; retries, timeout), uuid, now, random
    sleep, until, suspend, event, publish, resume               waits, events and answers
    invoke, invoke_wait, batch, agent, depth                    children
    all, race, settled, in_order, group, timeout, patience      several at once, what is given up
    try (catch, cancelled, finally), raise, return, repeat, let, same
    set, get                                                    the state
    plain, until_cancelling, spin                               what is no step
    version                                                     as $CONFORM_VERSION says
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import sys
import time
import urllib.parse
from collections.abc import Awaitable, Callable
from datetime import datetime, timezone
from typing import Any

from pydantic import BaseModel

from polos import (
    Agent,
    BatchWorkflowInput,
    EventData,
    ExecutionHandle,
    NonRetryableError,
    Polos,
    Queue,
    RunFailedError,
    StepExecutionError,
    WorkflowContext,
    events,
    tool,
    workflow,
)
from polos.errors import PolosError

EFFECTS = ""  # where effects are done
READ_LIMIT = 16 * 1024 * 1024


class Boom(Exception):
    """What programs raise."""


class Unprintable(Exception):
    """Of which no text can be had."""

    def __str__(self) -> str:
        raise RuntimeError("no text")


class Answer(BaseModel):
    """What a typed agent answers."""

    city: str
    degrees: int


class Approval(BaseModel):
    """What suspensions with a schema are answered with."""

    yes: bool
    note: str = "none"


SCHEMAS: dict[str, type[BaseModel]] = {"approval": Approval}


# ---- effects ----


async def effect(ctx: WorkflowContext, key: str) -> Any:
    """Has the runner do it: it counts, may hold it up, and says how it ends."""
    told = await _posted({"run": ctx.execution_id, "key": key})
    if "raise" in told:
        raise _error_of(told)
    return told.get("value")


async def _posted(body: dict[str, Any]) -> dict[str, Any]:
    where = urllib.parse.urlsplit(EFFECTS)
    reader, writer = await asyncio.open_connection(where.hostname, where.port, limit=READ_LIMIT)
    try:
        data = json.dumps(body).encode()
        head = f"POST / HTTP/1.0\r\nContent-Length: {len(data)}\r\n\r\n"
        writer.write(head.encode() + data)
        answer = await reader.read()
    finally:
        writer.close()
    found: dict[str, Any] = json.loads(answer.partition(b"\r\n\r\n")[2])
    return found


def _error_of(told: dict[str, Any]) -> BaseException:
    message = told.get("message", "")
    kinds: dict[str, Callable[[], BaseException]] = {
        "boom": lambda: Boom(message),
        "nul": lambda: Boom("a\0b"),
        "nonretryable": lambda: NonRetryableError(message),
        "group": lambda: ExceptionGroup("several", [Boom(message), Boom("another")]),
        "unprintable": lambda: Unprintable(),
    }
    return kinds[told["raise"]]()


# ---- programs ----


class Returned(Exception):
    """A program has its result."""

    def __init__(self, value: Any) -> None:
        self.value = value


class Program:
    """One execution of one program."""

    def __init__(self, ctx: WorkflowContext, payload: dict[str, Any]) -> None:
        self.ctx = ctx
        self.programs = payload["programs"]
        self.ops = self.programs[payload["program"]]
        self.names: dict[str, Any] = {"input": payload.get("input")}
        self.losers: list[asyncio.Task[Any]] = []  # of races

    async def run(self) -> Any:
        try:
            await self.all_of(self.ops)
        except Returned as returned:
            return returned.value
        return None

    async def all_of(self, ops: list[dict[str, Any]]) -> None:
        for op in ops:
            name = next(name for name in op if name in OPS)
            given = op[name] if name in WITH_OPS else self.filled(op[name])
            value = await OPS[name](self, op, given)
            if "as" in op:
                self.names[op["as"]] = value

    def filled(self, value: Any) -> Any:
        """With what names stand for: {"$": name}, and "{name}" in texts."""
        if isinstance(value, dict):
            if set(value) == {"$"}:
                return self.names[value["$"]]
            return {key: self.filled(each) for key, each in value.items()}
        if isinstance(value, list):
            return [self.filled(each) for each in value]
        if isinstance(value, str) and "{" in value:
            for name, each in self.names.items():
                value = value.replace("{" + name + "}", str(each))
        return value

    def payload(self, op: dict[str, Any]) -> dict[str, Any]:
        return {
            "program": op["program"],
            "programs": self.programs,
            "input": self.filled(op.get("input")),
        }

    async def branch(self, ops: list[dict[str, Any]]) -> Any:
        try:
            await self.all_of(ops)
        except Returned as returned:
            return returned.value
        return None


async def _step(program: Program, op: dict[str, Any], key: str) -> Any:
    options: dict[str, Any] = {"max_retries": op.get("retries", 0), "base_delay": 0.001}
    if "timeout" in op:
        options["timeout"] = op["timeout"]
    value = program.filled(op.get("value"))
    repeated = op.get("times", 1)

    async def work() -> Any:
        if "raise" in op:
            raise _error_of(op)
        if "value" in op:
            return value * repeated if repeated > 1 else value
        if "odd" in op:
            return ODD[op["odd"]]()
        return await effect(program.ctx, op.get("effect", key))

    return await program.ctx.step.run(key, work, **options)


async def _sleep(program: Program, op: dict[str, Any], key: str) -> Any:
    await program.ctx.step.wait_for(key, seconds=op["seconds"])


async def _until(program: Program, op: dict[str, Any], key: str) -> Any:
    await program.ctx.step.wait_until(key, datetime(2020, 1, 1, tzinfo=timezone.utc))


async def _suspend(program: Program, op: dict[str, Any], key: str) -> Any:
    suspend = program.ctx.step.suspend
    data, timeout = program.filled(op.get("data")), op.get("timeout")
    if "schema" in op:
        return (await suspend(key, data, timeout, schema=SCHEMAS[op["schema"]])).model_dump()
    return (await suspend(key, data, timeout))["data"]


async def _event(program: Program, op: dict[str, Any], key: str) -> Any:
    topic = program.filled(op["topic"])
    found = await program.ctx.step.wait_for_event(key, topic, op.get("timeout"), op.get("type"))
    return {"type": found.event_type, "data": found.data}


async def _publish(program: Program, op: dict[str, Any], key: str) -> Any:
    data = program.filled(op["data"])
    await program.ctx.step.publish_event(key, program.filled(op["topic"]), data, op.get("type"))


async def _resume(program: Program, op: dict[str, Any], key: str) -> Any:
    run = program.filled(op["run"])
    await program.ctx.step.resume(key, op["suspension"], run, "conform", program.filled(op["data"]))


async def _invoke(program: Program, op: dict[str, Any], key: str) -> Any:
    child = op.get("workflow", "conform")
    handle: ExecutionHandle = await program.ctx.step.invoke(key, child, program.payload(op))
    return handle.id


async def _invoke_wait(program: Program, op: dict[str, Any], key: str) -> Any:
    invoke, child = program.ctx.step.invoke_and_wait, op.get("workflow", "conform")
    return await invoke(key, child, program.payload(op), **_child_options(op))


def _child_options(op: dict[str, Any]) -> dict[str, Any]:
    return {} if "retries" not in op else {"max_retries": op["retries"]}


async def _batch(program: Program, op: dict[str, Any], key: str) -> Any:
    runs = [BatchWorkflowInput(id="conform", payload=program.payload(each)) for each in op["of"]]
    found = await program.ctx.step.batch_invoke_and_wait(key, runs)
    return [{"success": f.success, "result": f.result, "error": f.error} for f in found]


async def _agent(program: Program, op: dict[str, Any], key: str) -> Any:
    agent = AGENTS[op.get("kind", "plain")]
    config = agent.with_input(program.filled(op["input"]), script=op["script"])
    found = await program.ctx.step.agent_invoke_and_wait(key, config)
    answer = found.result
    return answer.model_dump() if isinstance(answer, BaseModel) else answer


async def _race(program: Program, op: dict[str, Any], branches: Any) -> Any:
    tasks = [asyncio.create_task(program.branch(ops)) for ops in op["race"]]
    program.losers += tasks
    await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    first = next(task for task in tasks if task.done())
    return [tasks.index(first), first.result()]


async def _all(program: Program, op: dict[str, Any], branches: Any) -> Any:
    return list(await asyncio.gather(*(program.branch(ops) for ops in op["all"])))


async def _settled(program: Program, op: dict[str, Any], branches: Any) -> Any:
    """As `all`, but waits for all of them, and of those that raise gives what they raise."""
    branches = [program.branch(ops) for ops in op["settled"]]
    found = await asyncio.gather(*branches, return_exceptions=True)
    return [caught(each) if isinstance(each, BaseException) else each for each in found]


async def _in_order(program: Program, op: dict[str, Any], branches: Any) -> Any:
    """What the branches give, in the order in which they end."""
    found: list[Any] = []

    async def one(ops: list[dict[str, Any]]) -> None:
        found.append(await program.branch(ops))

    await asyncio.gather(*(one(ops) for ops in op["in_order"]))
    return found


async def _group(program: Program, op: dict[str, Any], branches: Any) -> Any:
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(program.branch(ops)) for ops in op["group"]]
    return [task.result() for task in tasks]


async def _timeout(program: Program, op: dict[str, Any], key: str) -> Any:
    async with program.ctx.step.timeout(key, op["seconds"]):
        await program.all_of(op["do"])


async def _patience(program: Program, op: dict[str, Any], seconds: float) -> Any:
    """A timeout of the language's own, not durable."""
    async with asyncio.timeout(seconds):
        await program.all_of(op["do"])


async def _try(program: Program, op: dict[str, Any], ops: Any) -> Any:
    try:
        await program.all_of(op["try"])
    except Returned:
        raise
    except asyncio.CancelledError:
        await program.all_of(op.get("cancelled", []))
        raise
    except Exception as error:
        if "catch" not in op:
            raise
        program.names["error"] = caught(error)
        await program.all_of(op["catch"])
    finally:
        await program.all_of(op.get("finally", []))


def caught(error: BaseException) -> dict[str, Any]:
    """What code sees of what it caught."""
    if isinstance(error, StepExecutionError):
        return {"class": "StepExecutionError", "type": error.error_type, "message": str(error)}
    if isinstance(error, ExceptionGroup):
        return {"class": "group", "of": [caught(each) for each in error.exceptions]}
    if isinstance(error, (ValueError, TypeError)):
        return {"class": "refused"}
    if isinstance(error, PolosError):
        return {"class": type(error).__name__, "reason": error.reason, "field": error.field}
    return {"class": type(error).__name__, "message": str(error)}


async def _raise(program: Program, op: dict[str, Any], kind: str) -> Any:
    raise _error_of({"message": program.filled(op.get("message", "")), "raise": kind})


async def _return(program: Program, op: dict[str, Any], value: Any) -> Any:
    if op.get("times", 1) > 1:
        value = value * op["times"]
    raise Returned(ODD[op["odd"]]() if "odd" in op else value)


async def _set(program: Program, op: dict[str, Any], values: dict[str, Any]) -> Any:
    for name, value in values.items():
        program.ctx.state[name] = value * op.get("times", 1) if "times" in op else value


async def _get(program: Program, op: dict[str, Any], name: str) -> Any:
    return program.ctx.state.get(name)


async def _uuid(program: Program, op: dict[str, Any], key: str) -> Any:
    return await program.ctx.step.uuid(key)


async def _now(program: Program, op: dict[str, Any], key: str) -> Any:
    return await program.ctx.step.now(key)


async def _random(program: Program, op: dict[str, Any], key: str) -> Any:
    return await program.ctx.step.random(key)


async def _plain(program: Program, op: dict[str, Any], key: str) -> Any:
    """An effect of the code itself, beside its steps: done again whenever it runs again."""
    return await effect(program.ctx, key)


async def _until_cancelling(program: Program, op: dict[str, Any], given: Any) -> Any:
    """Something of the code's own, until its host knows that the run is being cancelled."""
    while not program.ctx.is_cancelling:
        await asyncio.sleep(0.005)


async def _repeat(program: Program, op: dict[str, Any], times: int) -> Any:
    for number in range(times):
        program.names["i"] = number
        await program.all_of(op["do"])


async def _child_or_end(program: Program, op: dict[str, Any], depth: int) -> Any:
    """A chain of children, each in the one before; the last has no more."""
    if depth == 0:
        return 0
    again = {**op, "input": depth - 1}
    child = program.ctx.step.invoke_and_wait("child", "conform", program.payload(again))
    return 1 + await child


async def _identity(program: Program, op: dict[str, Any], value: Any) -> Any:
    return value


async def _same(program: Program, op: dict[str, Any], values: list[Any]) -> Any:
    return all(value == values[0] for value in values)


async def _spin(program: Program, op: dict[str, Any], milliseconds: int) -> Any:
    until = time.monotonic() + milliseconds / 1000
    while time.monotonic() < until:
        pass


async def _version(program: Program, op: dict[str, Any], branches: Any) -> Any:
    """Code that is changed between two executions."""
    await program.all_of(op["version"][os.environ.get("CONFORM_VERSION", "1")])


OPS: dict[str, Callable[[Program, dict[str, Any], Any], Awaitable[Any]]] = {
    "step": _step,
    "sleep": _sleep,
    "until": _until,
    "suspend": _suspend,
    "event": _event,
    "publish": _publish,
    "resume": _resume,
    "invoke": _invoke,
    "invoke_wait": _invoke_wait,
    "batch": _batch,
    "agent": _agent,
    "race": _race,
    "all": _all,
    "settled": _settled,
    "in_order": _in_order,
    "group": _group,
    "timeout": _timeout,
    "patience": _patience,
    "try": _try,
    "raise": _raise,
    "return": _return,
    "set": _set,
    "get": _get,
    "uuid": _uuid,
    "now": _now,
    "random": _random,
    "plain": _plain,
    "until_cancelling": _until_cancelling,
    "repeat": _repeat,
    "depth": _child_or_end,
    "let": _identity,
    "same": _same,
    "spin": _spin,
    "version": _version,
}

WITH_OPS = frozenset({"race", "all", "settled", "in_order", "group", "try", "version"})

ODD: dict[str, Callable[[], Any]] = {
    "function": lambda: (lambda: None),
    "nan": lambda: float("nan"),
    "deep": lambda: {"items": [{"file": open}]},
    "half a character": lambda: ["\ud800"],
    "nul": lambda: {"deep": ["a", "b\0c"]},
    "nul in a key": lambda: {"deep": {"b\0c": 1}},
    "infinite": lambda: float("-inf"),
    "big": lambda: {"big": 2**64, "negative": -(2**63), "exact": 2**53 + 1},
}


# ---- what is offered ----


@workflow(id="conform")
async def conform(ctx: WorkflowContext, payload: dict[str, Any]) -> Any:
    return await Program(ctx, payload).run()


class Wanted(BaseModel):
    """What the workflow that checks its input takes."""

    name: str
    count: int = 1


@workflow(id="conform-checked")
async def checked(ctx: WorkflowContext, payload: Wanted) -> Any:
    return {"name": payload.name, "count": payload.count}


@tool(
    id="conform_tool",
    description="Runs a program",
    parameters={"type": "object", "properties": {"program": {"type": "string"}}},
)
async def conform_tool(ctx: WorkflowContext, payload: dict[str, Any]) -> Any:
    return await Program(ctx, payload).run()


@tool(
    id="conform_once",
    description="Runs a program, once",
    parameters={"type": "object", "properties": {"program": {"type": "string"}}},
    at_most_once=True,
)
async def conform_once(ctx: WorkflowContext, payload: dict[str, Any]) -> Any:
    return await Program(ctx, payload).run()


AGENTS: dict[str, Any] = {
    "plain": Agent("conform-agent", "scripted", "m", tools=[conform_tool, conform_once]),
    "typed": Agent("conform-typed", "scripted", "m", output_schema=Answer),
}
Queue("conform-one", concurrency_limit=1)


LATE: dict[str, Any] = {}  # workflows that were offered later

# ---- what the runner says ----


async def _started(polos: Polos, told: dict[str, Any]) -> Any:
    payload = told["payload"]
    name = told.get("workflow", "conform")
    if name in LATE:
        handle = await LATE[name].invoke(polos, payload)
    else:
        handle = await polos.invoke(name, payload, **_start_options(told))
    return {"run": handle.id}


def _start_options(told: dict[str, Any]) -> dict[str, Any]:
    names = {
        "queue": "queue_name",
        "concurrencyKey": "concurrency_key",
        "retries": "max_retries",
        "state": "initial_state",
        "timeout": "run_timeout_seconds",
        "key": "idempotency_key",
    }
    return {names[name]: value for name, value in told.get("options", {}).items()}


async def _result(polos: Polos, told: dict[str, Any]) -> Any:
    try:
        return {"value": await ExecutionHandle(id=told["run"]).result(polos)}
    except RunFailedError as error:
        return {
            "class": type(error).__name__,
            "reason": error.reason,
            "message": error.message,
        }


async def _cancelled(polos: Polos, told: dict[str, Any]) -> Any:
    return {"value": await polos.cancel_execution(told["run"], told.get("cause", ""))}


async def _answered(polos: Polos, told: dict[str, Any]) -> Any:
    by = told.get("by", "somebody")
    found = await polos.resume("conform", told["run"], told["key"], told["data"], by)
    return {"accepted": found.accepted, "kept": found.kept, "existed": found.existed}


async def _published(polos: Polos, told: dict[str, Any]) -> Any:
    data = EventData(event_type=told.get("type"), data=told["data"])
    await events.publish(polos, told["topic"], data)
    return {}


async def _offered(polos: Polos, told: dict[str, Any]) -> Any:
    @workflow(id=told["workflow"])
    async def more(ctx: WorkflowContext, payload: dict[str, Any]) -> Any:
        return await Program(ctx, payload).run()

    LATE[told["workflow"]] = more
    return {}


async def _left(polos: Polos, told: dict[str, Any]) -> Any:
    await polos.stop(told["seconds"])
    return {}


ORDERS = {
    "offer": _offered,
    "leave": _left,
    "start": _started,
    "result": _result,
    "cancel": _cancelled,
    "answer": _answered,
    "publish": _published,
}


async def _carry_out(polos: Polos, told: dict[str, Any]) -> None:
    try:
        found = await ORDERS[told["do"]](polos, told)
    except PolosError as error:
        found = {"class": type(error).__name__, "reason": error.reason, "field": error.field}
    except Exception as error:  # a fault of the driver's
        found = {"fault": repr(error)}
    say({"id": told["id"], **found})


def say(told: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(told, default=repr) + "\n")
    sys.stdout.flush()


async def main() -> None:
    polos = Polos(api_url=sys.argv[1])
    await polos.start()
    say({"ready": True})
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader(limit=READ_LIMIT)
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    at_work: set[asyncio.Task[None]] = set()
    while line := await reader.readline():
        task = asyncio.create_task(_carry_out(polos, json.loads(line)))
        at_work.add(task)
        task.add_done_callback(at_work.discard)
    await polos.stop()


if __name__ == "__main__":
    EFFECTS = sys.argv[2]
    logging.basicConfig(level=logging.ERROR, stream=sys.stderr)
    asyncio.run(main())
