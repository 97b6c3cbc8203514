"""Runs and streams against a SIMULATED server: retries, cuts, repeated model calls, errors."""

from __future__ import annotations

import json
import uuid
import warnings
from typing import Any

import grpc
import pytest
from google.protobuf.timestamp_pb2 import Timestamp
from fake_server import CUT
from pydantic import BaseModel

from polos import (
    Agent,
    InvalidArgumentError,
    NotFoundError,
    OutputError,
    PolosClient,
    RunCancelledError,
    RunFailedError,
    UnavailableError,
    UnsupportedFeatureError,
    WorkflowTimeoutError,
)
from polos._wire.errors import error_from
from polos.v1 import common_pb2, history_pb2, messages_pb2, runs_pb2


def an_agent(**arguments: Any) -> Agent:
    return Agent(id="a", provider="scripted", model="m", **arguments)


def fact(seq: int, effect: int = 0, attempt: int = 0, **event: Any):
    time = Timestamp(seconds=1, nanos=seq * 1_000_000)
    told = history_pb2.HistoryEvent(
        seq=seq, time=time, effect_id=effect, attempt=attempt, **event
    )
    return runs_pb2.RunServiceWatchResponse(fact=told)


def started(seq: int):
    return fact(seq, run_started=history_pb2.RunStarted(
        kind=common_pb2.RUN_KIND_AGENT, name="a", input_json='"hi"'
    ))


def requested(seq: int, effect: int, attempt: int):
    return fact(seq, effect, attempt, model_requested=history_pb2.ModelRequested())


def replied(seq: int, effect: int, attempt: int, text: str, *calls: common_pb2.ToolCall,
            usage: tuple[int, int] | None = None):
    parts = [messages_pb2.Part(text=text)] + [messages_pb2.Part(tool_call=c) for c in calls]
    told = history_pb2.ModelReplied(
        message=messages_pb2.Message(parts=parts),
        usage=common_pb2.Usage(incomplete=True) if usage is None else common_pb2.Usage(
            input_tokens=usage[0], output_tokens=usage[1], total_tokens=sum(usage)
        ),
    )
    return fact(seq, effect, attempt, model_replied=told)


def completed(seq: int):
    return fact(seq, run_completed=history_pb2.RunCompleted(
        stop_reason=common_pb2.STOP_REASON_END
    ))


def delta(text: str, attempt: int = 1, effect: int = 1, step: int = 1):
    body = runs_pb2.Delta(
        effect_id=effect,
        attempt=attempt,
        kind=runs_pb2.DELTA_KIND_TEXT,
        text=text,
        turn=step,
    )
    return runs_pb2.RunServiceWatchResponse(delta=body)


def ended(result: Any = None, **fields: Any):
    run = common_pb2.Run(
        id="run-1",
        name="a",
        status=fields.pop("status", common_pb2.RUN_STATUS_COMPLETED),
        result_json=json.dumps(result),
        usage=common_pb2.Usage(input_tokens=10, output_tokens=5, total_tokens=15),
        stop_reason=common_pb2.STOP_REASON_END,
        ended_at=Timestamp(seconds=2),
        **fields,
    )
    return runs_pb2.RunServiceWatchResponse(ended=run)


def failed(reason: str, message: str, status=common_pb2.RUN_STATUS_FAILED):
    error = common_pb2.Failure(reason=reason, message=message)
    return ended(status=status, error=error)


def plain_run(*deltas: Any, text: str):
    attempt = deltas[-1].delta.attempt if deltas else 1
    return [
        started(1),
        requested(2, 1, 1),
        *deltas,
        replied(3, 1, attempt, text, usage=(10, 5)),
        completed(4),
        ended(text),
    ]


async def chunks_of(client: PolosClient) -> list[str]:
    stream = await an_agent().stream(client, "hi")
    return [chunk async for chunk in stream.text_chunks]


async def events_of(client: PolosClient) -> list[tuple[str, dict[str, Any]]]:
    stream = await an_agent().stream(client, "hi")
    return [(event.event_type, event.data) async for event in stream.events]


async def test_run_gives_the_whole_result(fake, fake_client):
    step = common_pb2.Turn(number=1, text="sunny")
    step.tool_calls.add(call_id="c", name="t", arguments_json="{}")
    step.tool_results.add(call_id="c", name="t", result_json='{"x":1}')
    step.tool_results.add(
        call_id="d", name="u", error=common_pb2.Failure(reason="R", message="broke")
    )
    fake.watch_script = [ended("sunny", turns=[step], turn_count=1)]
    found = await an_agent().run(fake_client, "hi", session_id="s", user_id="u", timeout=9,
                                 conversation_id=uuid.UUID(int=7), reasoning={"effort": "low"})
    assert (found.agent_run_id, found.result, found.total_steps) == ("run-1", "sunny", 1)
    assert found.usage.total_tokens == 15 and found.result_schema is None
    assert [(r.tool_name, r.status, r.result, r.error) for r in found.tool_results] == [
        ("t", "completed", {"x": 1}, None),
        ("u", "failed", None, "broke"),
    ]
    (start,) = fake.starts
    assert json.loads(start.options.provider_options_json) == {"reasoning": {"effort": "low"}}
    assert start.options.run_timeout.seconds == 9 and start.options.session_id == "s"
    assert start.options.conversation_id == "00000000-0000-0000-0000-000000000007"


async def test_a_start_is_repeated_under_the_same_key(fake, fake_client):
    fake.watch_script = [ended("ok")]
    await an_agent().run(fake_client, "hi")  # the server has been reached
    fake.start_errors = [grpc.StatusCode.UNAVAILABLE] * 3
    fake.watch_script = [ended("ok")]
    await an_agent().run(fake_client, "hi")
    keys = [start.options.idempotency_key for start in fake.starts]
    assert len(keys) == 5 and len(set(keys)) == 2 and len(set(keys[1:])) == 1


async def test_an_agent_the_server_forgot_is_registered_again(fake, fake_client):
    agent = an_agent()
    fake.watch_script = [ended("ok")]
    await agent.run(fake_client, "hi")
    fake.registered.clear()
    fake.watch_script = [ended("ok")]
    await agent.run(fake_client, "hi")
    assert "a" in fake.registered


async def test_deltas_become_chunks_and_survive_cuts(fake, fake_client):
    fake.watch_script = plain_run(delta("Hel"), delta("lo"), delta("!"), text="Hello!")
    fake.watch_script[3:3] = [CUT]
    fake.watch_script[6:6] = [CUT]
    assert await chunks_of(fake_client) == ["Hel", "lo", "!"]
    assert fake.watches == ["", "3", "6"]


async def test_a_repeated_call_that_says_the_same_is_seamless(fake, fake_client):
    fake.watch_script = plain_run(
        delta("Hello wo"), delta("Hel", 2), delta("lo world", 2), delta("!", 2), text="Hello world!"
    )
    assert await chunks_of(fake_client) == ["Hello wo", "rld", "!"]


async def test_a_repeated_call_that_says_something_else_begins_anew(fake, fake_client):
    fake.watch_script = plain_run(
        delta("Hello wo"), delta("Hel", 2), delta("p me", 2), delta("!", 2), text="Help me!"
    )
    chunks = await chunks_of(fake_client)
    assert chunks == ["Hello wo", "\nHelp me", "!"]
    assert [chunk.restarted for chunk in chunks] == [False, True, False]


async def test_a_repeated_call_that_says_less_begins_anew(fake, fake_client):
    fake.watch_script = plain_run(delta("Hello wo"), delta("Hel", 2), text="Hel")
    assert await chunks_of(fake_client) == ["Hello wo", "\nHel"]


async def test_text_that_was_not_seen_live_comes_from_the_fact(fake, fake_client):
    fake.watch_script = plain_run(delta("Hel"), text="Hello")
    assert await chunks_of(fake_client) == ["Hel", "lo"]
    fake.watch_script = plain_run(text="Hello")
    assert await chunks_of(fake_client) == ["Hello"]
    stream = await an_agent().stream(fake_client, "hi")
    assert await stream.text() == "Hello"
    assert (await stream.result()).result == "Hello"


async def test_late_deltas_of_an_older_attempt_are_void(fake, fake_client):
    fake.watch_script = plain_run(delta("A", 2), delta("zzz", 1), delta("B", 2), text="AB")
    assert await chunks_of(fake_client) == ["A", "B"]


async def test_events_tell_the_whole_story(fake, fake_client):
    call = common_pb2.ToolCall(call_id="c", name="t", arguments_json='{"x":1}')
    fake.watch_script = [
        started(1),
        requested(2, 1, 1),
        delta("I'll look"),
        requested(3, 1, 2),
        delta("I'll look", 2),
        replied(4, 1, 2, "I'll look", call, usage=(3, 4)),
        fact(5, 2, task_requested=history_pb2.TaskRequested(
            kind=history_pb2.TASK_KIND_TOOL, name="t", call_id="c", input_json='{"x":1}'
        )),
        fact(6, 2, 1, lease_granted=history_pb2.LeaseGranted(host_id="h")),
        fact(7, 2, 1, task_settled=history_pb2.TaskSettled(value_json='{"y":2}')),
        requested(8, 3, 1),
        delta("done", effect=3, step=2),
        replied(9, 3, 1, "done"),
        completed(10),
        ended("done", turn_count=2),
    ]
    events = await events_of(fake_client)
    assert [name for name, _ in events] == [
        "agent_start", "step_start", "stream_start", "text_delta", "retry", "tool_call",
        "tool_start", "tool_finish", "step_finish", "step_start", "stream_start", "text_delta",
        "step_finish", "agent_finish",
    ]
    data = dict(events)
    calls = next(data for name, data in events if name == "tool_call")
    assert calls["tool_name"] == "t"
    assert calls["tool_call"]["function"] == {"name": "t", "arguments": '{"x":1}'}
    retry = next(data for name, data in events if name == "retry")
    assert (retry["attempt"], retry["voided"]) == (2, "I'll look")
    finish = next(data for name, data in events if name == "tool_finish")
    assert (finish["status"], finish["result"]) == ("completed", {"y": 2})
    step = next(data for name, data in events if name == "step_finish")
    assert step["usage"]["total_tokens"] == 7 and step["output"] == "I'll look"
    assert data["agent_finish"]["result"] == "done"
    assert data["agent_finish"]["usage"]["total_tokens"] == 15
    deltas = [data for name, data in events if name == "text_delta"]
    assert [(d["content"], d["step"], d["chunk_index"]) for d in deltas] == [
        ("I'll look", 1, 0),
        ("done", 2, 0),
    ]


async def test_a_failed_run_is_an_exception_and_an_event(fake, fake_client):
    fake.watch_script = [failed("MODEL_FAILED", "the provider said 401")]
    with pytest.raises(RunFailedError, match="the provider said 401") as caught:
        await an_agent().run(fake_client, "hi")
    assert caught.value.reason == "MODEL_FAILED" and caught.value.run_id == "run-1"
    assert isinstance(caught.value, RuntimeError)
    with pytest.raises(RunFailedError):
        await chunks_of(fake_client)
    ((name, data),) = await events_of(fake_client)
    assert (name, data["reason"], data["error"]) == (
        "error", "MODEL_FAILED", "the provider said 401",
    )


async def test_cancelled_and_late_runs_have_exceptions_of_their_own(fake, fake_client):
    fake.watch_script = [failed("CANCELLED", "by me", common_pb2.RUN_STATUS_CANCELLED)]
    with pytest.raises(RunCancelledError, match="by me"):
        await an_agent().run(fake_client, "hi")
    fake.watch_script = [failed("DEADLINE_EXCEEDED", "no connected host offers tool t")]
    with pytest.raises(WorkflowTimeoutError, match="within 5 s; no connected host") as caught:
        await an_agent().run(fake_client, "hi", timeout=5)
    assert caught.value.execution_id == "run-1" and isinstance(caught.value, TimeoutError)


class Person(BaseModel):
    name: str
    age: int


async def test_structured_output_is_an_instance_or_a_clear_error(fake, fake_client):
    agent = an_agent(output_schema=Person)
    for result in ({"name": "Ann", "age": 3}, '{"name":"Ann","age":3}'):
        fake.watch_script = [ended(result)]
        found = await agent.run(fake_client, "hi")
        assert found.result == Person(name="Ann", age=3)
        assert found.result_schema == f"{__name__}.Person"
    fake.watch_script = [ended("Ann is three")]
    with pytest.raises(OutputError, match="the answer of agent 'a' does not fit") as caught:
        await agent.run(fake_client, "hi")
    assert caught.value.text == "Ann is three" and caught.value.run_id == "run-1"


async def test_an_answer_that_never_fitted_is_an_output_error(fake, fake_client):
    agent = an_agent(output_schema=Person, output_retries=2)
    assert agent.definition().output_retries == 2
    assert not an_agent().definition().HasField("output_retries")
    said = failed("OUTPUT_INVALID", "answer.age: is missing")
    said.ended.turns.add(number=1, text="no JSON")
    said.ended.turns.add(number=2, text='{"name":"Ann"}')
    fake.watch_script = [said]
    with pytest.raises(OutputError, match="answer.age: is missing") as caught:
        await agent.run(fake_client, "hi")
    assert caught.value.text == '{"name":"Ann"}' and caught.value.run_id == "run-1"


async def test_errors_carry_reason_field_and_sentence(fake, fake_client):
    with pytest.raises(NotFoundError) as caught:
        await fake_client.get_execution("nothing")
    assert (caught.value.reason, caught.value.field) == ("RUN_NOT_FOUND", "run_id")
    assert str(caught.value) == "it is not there (RUN_NOT_FOUND, field run_id)"


@pytest.mark.parametrize("code", ["UNAVAILABLE", "INTERNAL", "UNKNOWN", "CANCELLED"])
def test_a_broken_connection_is_no_verdict(code):
    """grpc.aio says INTERNAL when the connection breaks while it writes: dial again."""
    nothing = grpc.aio.Metadata()
    broken = grpc.aio.AioRpcError(
        grpc.StatusCode[code], nothing, nothing, details="Internal error from Core"
    )
    assert isinstance(error_from(broken, "http://x"), UnavailableError)


async def test_no_server_is_said_with_its_address_and_what_to_do(monkeypatch):
    monkeypatch.setattr("polos._wire.channel.FIRST_CONTACT_SECONDS", 0.3)
    client = PolosClient(api_url="http://127.0.0.1:9")
    with pytest.raises(UnavailableError) as caught:
        await an_agent().run(client, "hi")
    assert "cannot reach polosd at http://127.0.0.1:9" in str(caught.value)
    assert "./run serve" in str(caught.value) and "POLOS_API_URL" in str(caught.value)
    await client.close()


@pytest.mark.parametrize("wrong", [None, 5, [], ["text"], b"bytes"])
async def test_wrong_input_is_refused_before_anything_is_sent(fake, fake_client, wrong):
    with pytest.raises(InvalidArgumentError, match="input must be a text"):
        await an_agent().run(fake_client, wrong)
    assert fake.starts == []


async def test_what_cannot_be_sent_is_refused(fake, fake_client):
    with pytest.raises(InvalidArgumentError, match="provider_kwargs has no JSON form"):
        await an_agent().run(fake_client, "hi", metadata=object())
    with pytest.raises(InvalidArgumentError, match="timeout is 0"):
        await an_agent().run(fake_client, "hi", timeout=0)
    with pytest.raises(UnsupportedFeatureError, match="initial_state"):
        await an_agent().run(fake_client, "hi", initial_state={"a": 1})


def test_a_script_ends_without_noise(fake_in_thread, recwarn, caplog, capfd):
    """asyncio.run() without client.close(), twice, with a host attached."""
    import asyncio

    from polos import tool

    @tool
    async def t(ctx):
        return 1

    client = PolosClient(api_url=fake_in_thread.url)

    async def main():
        fake_in_thread.watch_script = [ended("ok")]
        return (await an_agent(tools=[t]).run(client, "hi")).result

    assert [asyncio.run(main()), asyncio.run(main())] == ["ok", "ok"]
    loop = asyncio.new_event_loop()  # thrown away with everything pending
    assert loop.run_until_complete(main()) == "ok"
    loop.close()
    del loop
    import gc

    with warnings.catch_warnings():
        gc.collect()
    captured = capfd.readouterr()
    assert "destroyed" not in captured.err + caplog.text
    assert "Traceback" not in captured.err, captured.err
