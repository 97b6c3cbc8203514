"""Mistakes that users make, and what they are told: by this package, and by the real polosd."""

from __future__ import annotations

import asyncio
import logging
import re
import sys
import time
from typing import Any

import pytest

from polos import (
    Agent,
    BatchWorkflowInput,
    EventData,
    InvalidArgumentError,
    Polos,
    PolosClient,
    RunFailedError,
    StepExecutionError,
    UnavailableError,
    _registry,
    events,
    get_workflow,
    max_steps,
    tool,
    workflow,
)

SECONDS = 15


def said(caplog: pytest.LogCaptureFixture) -> list[str]:
    """What this package logged; gRPC's loops log, too."""
    return [record.getMessage() for record in caplog.records if record.name == "polos"]


# ---- addresses ----


@pytest.mark.parametrize("address", ["localhost", "polos.example.com", "[::1]"])
def test_a_bare_name_needs_a_port(address):
    with pytest.raises(InvalidArgumentError, match="names no port: write .*:8080"):
        PolosClient(address)


@pytest.mark.parametrize("address", ["http://localhost", "https://h.example", "h:1", "[::1]:8080"])
def test_addresses_with_a_port_or_a_scheme_are_fine(address):
    assert PolosClient(address).api_url == address


async def test_a_server_that_is_not_there_is_said_in_few_words(monkeypatch):
    monkeypatch.setattr("polos._wire.channel.FIRST_CONTACT_SECONDS", 0.2)
    async with PolosClient("http://127.0.0.1:1") as client:
        with pytest.raises(UnavailableError) as caught:
            await client.list_executions()
    assert "all addresses" not in str(caught.value) and "refused" in str(caught.value)


async def test_https_at_a_server_without_it_is_explained(server, monkeypatch):
    monkeypatch.setattr("polos._wire.channel.FIRST_CONTACT_SECONDS", 0.5)
    async with PolosClient(server.url.replace("http:", "https:")) as client:
        with pytest.raises(UnavailableError, match="without --tls-certificates speaks http"):
            await client.list_executions()


# ---- definitions ----


def test_a_tool_that_is_refused_is_not_offered():
    with pytest.raises(TypeError, match="must be a pydantic BaseModel"):

        @tool
        async def half(ctx, x: int):
            return x

    assert _registry.tools == {} and get_workflow("half") is None


def test_a_second_workflow_of_one_name_is_warned_of(caplog):
    def one() -> None:
        @workflow(id="same")
        async def first(ctx):
            return 1

    def other() -> None:
        @workflow(id="same")
        async def second(ctx):
            return 2

    one()
    one()  # The same code again, as tests and notebooks have it.
    assert said(caplog) == []
    other()
    (told,) = said(caplog)
    assert "workflow 'same' is defined in" in told and told.count("test_mistakes.py:") == 2


def test_what_is_decorated_twice_is_refused():
    with pytest.raises(TypeError, match="tool 'f' is decorated twice"):

        @workflow
        @tool
        async def f(ctx):
            return None


def test_a_limit_without_its_name_is_explained():
    with pytest.raises(TypeError, match=r"max_steps\(count=5\)"):
        max_steps(5)  # type: ignore[arg-type]


@pytest.mark.parametrize("model", [BatchWorkflowInput, EventData])
def test_misspelt_fields_are_refused(model):
    with pytest.raises(ValueError, match="timeout"):
        model(id="w", data=1, timeout=5)


async def test_a_host_names_what_the_server_refuses(server):
    @workflow
    async def fine(ctx):
        return None

    @workflow(schedule="61 * * * *")
    async def report(ctx):
        return None

    with pytest.raises(InvalidArgumentError, match="workflow 'report': .*minute: 61"):
        async with Polos(api_url=server.url):
            pass


# ---- calls ----


async def test_calls_with_wrong_arguments_name_them(client):
    @workflow
    async def flow(ctx, payload):
        return payload

    agent = Agent(id="a", provider="scripted", model="scripted")
    with pytest.raises(TypeError, match=r"workflow.run takes a client first, not dict"):
        await flow.run({"n": 1})
    with pytest.raises(TypeError, match=r"workflow.invoke takes a client first, not dict"):
        await flow.invoke({"n": 1})
    with pytest.raises(TypeError, match=r"agent.run takes a client first, not str"):
        await agent.run("hello", "you")
    with pytest.raises(TypeError, match=r"agent.stream takes a client first, not str"):
        await agent.stream("hello", "you")
    with pytest.raises(TypeError, match=r"workflow 'flow' is not called but started: .run\("):
        await flow(client, 1)
    for options, field in (
        ({"timeout": "5"}, "timeout"), ({"timeout": -1}, "timeout"),
        ({"max_retries": "2"}, "max_retries"), ({"initial_state": 5}, "initial_state"),
        ({"priority": "high"}, "priority"),
    ):
        with pytest.raises(InvalidArgumentError) as caught:
            await flow.run(client, 1, **options)
        assert caught.value.field == field, options
    for limit in (0, -1, "10"):
        for lists in (client.list_executions, client.list_suspensions):
            with pytest.raises(InvalidArgumentError, match="limit is .*: it is 1 or more"):
                await lists(limit=limit)
    with pytest.raises(InvalidArgumentError, match="is an await missing"):
        await flow.run(client, never := asyncio.sleep(0))
    never.close()
    with pytest.raises(InvalidArgumentError, match="a batch is of BatchWorkflowInputs"):
        await client.batch_invoke([("flow", 1)])
    with pytest.raises(InvalidArgumentError, match="an event is EventData, .*: text"):
        await events.publish(client, "t", {"text": "hello"})
    assert await events.publish(client, "t", {"event_type": "e", "data": 1}) == 1
    (handle,) = await client.batch_invoke([{"id": "flow", "payload": 3}])
    await client._connection().serve()
    assert await handle.result(client, SECONDS) == 3


def plain() -> int:
    return 1


async def later() -> int:
    return 1


CODE: dict[str, tuple[Any, str]] = {
    "a result": (lambda ctx: ctx.step.run("k", plain()), "was given a int, not a function"),
    "a coroutine": (lambda ctx: ctx.step.run("k", later()), "leave the call to the step"),
    "a workflow": (lambda ctx: ctx.step.run("k", get_workflow("flow")), "invoke_and_wait"),
    "retries": (lambda ctx: ctx.step.run("k", plain, max_retries=-1), "max_retries of step 'k'"),
    "delay": (lambda ctx: ctx.step.run("k", plain, base_delay=-1), "base_delay of step 'k' is -1"),
    "a time": (lambda ctx: ctx.step.wait_until("k", "tomorrow"), "waits for a datetime"),
    "a function": (lambda ctx: ctx.step.invoke("k", plain), "decorate the function with @work"),
    "a value": (lambda ctx: ctx.step.run("k", object, max_retries=0), "failed: NotJsonError: ste"),
    "no await": (lambda ctx: ctx.step.run("k", lambda: [later()]), "is an await missing"),
}


@pytest.mark.filterwarnings("ignore:coroutine 'later' was never awaited")
@pytest.mark.parametrize("case", CODE)
async def test_wrong_steps_say_what_they_want(client, case):
    make, why = CODE[case]

    @workflow
    async def flow(ctx):
        return await make(ctx)

    with pytest.raises(RunFailedError, match=why):
        await flow.run(client, max_retries=0)


# ---- what the host says ----


async def test_a_run_whose_code_does_not_fit_is_told_of(client, caplog, monkeypatch):
    monkeypatch.setenv("POLOS_WAIT_THRESHOLD_SECONDS", "0")
    begun = 0

    @workflow
    async def chancy(ctx):
        nonlocal begun
        begun += 1
        await ctx.step.run(f"step-{begun}", plain)
        await ctx.step.suspend("ask", {})

    with caplog.at_level(logging.ERROR, "polos"):
        handle = await chancy.invoke(client)
        while not await client.list_suspensions(handle.id):
            await asyncio.sleep(0.02)
        await client.resume("chancy", handle.id, "ask", 1)
        while not said(caplog):
            await asyncio.sleep(0.02)
    told = said(caplog)[0]
    assert f"workflow 'chancy' of run {handle.id} stands still" in told
    assert "'step-1'" in told and "'step-2'" in told and "ctx.step.now" in told


async def test_code_that_blocks_the_loop_is_told_of(fake, fake_client, caplog, monkeypatch):
    monkeypatch.setattr("polos.host.BLOCKED_SECONDS", 0.2)

    @workflow
    async def blocking(ctx):
        await asyncio.sleep(0.05)
        time.sleep(0.6)
        return "blocked"

    fake.heartbeat_ms = 100
    await fake_client._connection().serve()
    with caplog.at_level(logging.WARNING, "polos"):
        task = fake.give("blocking", kind=2)
        await fake.outcome(task)
        beats = fake.heartbeats
        await fake.until(lambda: fake.heartbeats > beats)
    told = said(caplog)[0]
    assert "the event loop was blocked for 0." in told and "asyncio.to_thread" in told


# ---- what user code raises ----


class Lying(Exception):
    @property
    def exceptions(self):
        raise self

    def __str__(self):
        raise KeyError("no text")


class Mute(BaseException):
    __module__ = None
    __notes__ = 5

    def __str__(self):
        return 5


def deep() -> BaseException:
    found: BaseException = ValueError("in the deep")
    for _ in range(5000):
        found = ExceptionGroup("one", [found])
    return found


RAISED: dict[str, tuple[Any, str]] = {
    "a liar": (Lying, "<unprintable Lying>"),
    "no exception": (Mute, "Mute"),
    "a group": (lambda: ExceptionGroup("2", [KeyError("a"), OSError()]), "KeyError: 'a'.*1 more"),
    "a deep group": (deep, "in the deep"),
    "half a character": (lambda: ValueError("\ud800"), r"ValueError: \?"),
    "U+0000": (lambda: ValueError("a\0b"), "ValueError: a.b"),
    "an exit": (lambda: SystemExit(3), "SystemExit: 3"),
    "the end of a generator": (lambda: GeneratorExit("g"), "GeneratorExit: g"),
    "the end of an iterator": (lambda: StopIteration(1), "StopIteration"),
    "a cancellation": (lambda: asyncio.CancelledError("by itself"), "CancelledError: by itself"),
}


@pytest.mark.parametrize(
    "case", [case for case in RAISED if sys.version_info >= (3, 11) or "group" not in case]
)
async def test_whatever_code_raises_the_run_ends_and_the_log_says_why(client, caplog, case):
    make, why = RAISED[case]

    @workflow
    async def raising(ctx):
        raise make()

    @workflow
    def blocking(ctx):
        raise make()

    with caplog.at_level(logging.WARNING, "polos"):
        for flow in (raising, blocking):
            with pytest.raises(RunFailedError, match=why) as caught:
                await flow.run(client, max_retries=0, timeout=SECONDS)
            (told,) = said(caplog)
            assert f"workflow {flow.id!r} of run {caught.value.run_id} failed: " in told
            caplog.clear()


async def test_each_try_of_a_step_that_fails_is_logged(client, caplog):
    def broken():
        error = ConnectionError("no line")
        error.__notes__ = ["to the warehouse"]
        raise error

    @workflow
    async def patient(ctx):
        try:
            await ctx.step.run("call", broken, max_retries=1, base_delay=0.001)
        except StepExecutionError as error:
            return str(error)

    with caplog.at_level(logging.WARNING, "polos"):
        found = await patient.run(client)
    assert re.fullmatch(
        r"step 'call' failed: ConnectionError: no line \(test_mistakes.py:\d+, in broken\)", found
    )
    first, second = said(caplog)
    assert "of run" in first and "failed, try 1 of 2: ConnectionError: no line" in first
    assert "try 2 of 2" in second and "in broken\n" in second
    assert sys.version_info < (3, 11) or "to the warehouse" in second
    assert "polos/" not in second.replace("clients/python/polos", "polos")


async def test_a_step_that_exits_ends_neither_the_host_nor_its_other_work(client):
    def leave():
        sys.exit("done here")

    @workflow
    async def several(ctx):
        found = await asyncio.gather(
            ctx.step.run("a", leave, max_retries=0),
            ctx.step.run("b", leave, max_retries=0, timeout=5),
            ctx.step.run("c", plain),
            return_exceptions=True,
        )
        return [str(each) for each in found]

    one, other, last = await several.run(client, timeout=SECONDS)
    assert "it called sys.exit('done here')" in one and "sys.exit" in other and last == "1"


# ---- names and signatures ----


@pytest.mark.parametrize(
    ("name", "meant"),
    [("system_promt", "system_prompt"), ("systemPrompt", "system_prompt"), ("Model", "model"),
     ("stop_condition", "stop_conditions"), ("outputschema", "output_schema")],
)  # fmt: skip
def test_a_misspelt_argument_of_a_definition_is_named(name, meant):
    with pytest.raises(TypeError, match=rf"Agent\(\) has no argument '{name}'; .* '{meant}'\?"):
        Agent(id="speller", provider="openai", **{"model": "m", name: "x"})  # type: ignore
    for define in (tool, workflow):
        with pytest.raises(TypeError, match=f"{define.__name__}.* did you mean 'description'"):
            define(descripton="x")
    with pytest.raises(TypeError, match="unexpected keyword"):
        workflow(nothing_like_it=1)


def test_times_are_told_in_the_words_of_python():
    @workflow
    async def flow(ctx):
        return None

    for seconds in (1e9, 0, float("nan")):
        with pytest.raises(InvalidArgumentError, match="timeout is .* 31,622,400 seconds") as told:
            flow.run_sync(PolosClient("http://127.0.0.1:1"), timeout=seconds)
        assert told.value.field == "timeout"


@pytest.mark.parametrize("name", ["timout", "timeOut", "sesion_id", "sessionId", "priorty"])
async def test_a_misspelt_option_does_not_travel_to_the_model(name):
    agent = Agent(id="speller", provider="openai", model="m")
    with pytest.raises(InvalidArgumentError, match=f"no option '{name}'; did you mean"):
        await agent.run(PolosClient("http://127.0.0.1:1"), "x", **{name: 1})


@pytest.mark.parametrize("name", ["user", "seed", "metadata", "top_p", "reasoning", "tier"])
def test_options_of_providers_are_theirs(name):
    agent = Agent(id="speller", provider="openai", model="m")
    assert agent.with_input("x", **{name: 1}).kwargs == {name: 1}


async def _everything(ctx, **arguments):
    pass


async def _several(ctx, *arguments):
    pass


async def _by_keyword(ctx, payload, *, unit):
    pass


async def _nothing():
    pass


@pytest.mark.parametrize("func", [_everything, _several, _by_keyword, _nothing])
def test_what_cannot_be_called_is_refused_where_it_is_defined(func):
    for define in (tool, workflow):
        with pytest.raises(TypeError, match=r"takes \(ctx\) or \(ctx, input\)"):
            define(func)


@pytest.mark.parametrize("name", ["files.read", "x" * 65, "", "grep me"])
def test_a_tool_has_a_name_that_every_model_can_be_told(name):
    with pytest.raises(ValueError, match="is no name that models can be told"):

        @tool(id=name or "é")
        def nameless(ctx):
            pass


@pytest.mark.parametrize("text", ["a\0b", "\ud800"], ids=["U+0000", "half a character"])
async def test_names_that_are_no_text_are_refused_by_name(text):
    client = PolosClient("http://127.0.0.1:1")
    agent = Agent(id="strict", provider="scripted", model="m")
    for name in ("session_id", "user_id", "conversation_id", "concurrency_key", "idempotency_key"):
        with pytest.raises(InvalidArgumentError, match=f"^{name} .* (holds U|is not valid U)"):
            await agent.run(client, "x", **{name: text})
    for given in (text, "x" * 99 + text, [{"role": "user", "content": text}],
                  [{"role": "user", "content": [{"type": "text", "text": text}]}]):
        with pytest.raises(InvalidArgumentError, match="^input.* (holds U|is not valid U)") as told:
            await agent.run(client, given)
        assert len(str(told.value)) < 200
    with pytest.raises(InvalidArgumentError, match="^topic "):
        await events.publish(client, text, EventData(data=1))
    with pytest.raises(InvalidArgumentError, match="^event_type "):
        await events.publish(client, "t", EventData(event_type=text, data=1))
