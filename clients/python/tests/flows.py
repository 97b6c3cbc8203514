"""Tasks of a workflow "flow" that the simulated server gives, for tests of what comes of them."""

from __future__ import annotations

import asyncio
import json
from typing import Any

from fake_server import FakeServer

from polos import PolosClient
from polos.v1 import history_pb2, host_pb2, steps_pb2

FLOW = history_pb2.TASK_KIND_WORKFLOW


async def serve(client: PolosClient):
    return await client._connection().serve()


def give(fake: FakeServer, steps: list[steps_pb2.SettledStep] | None = None, **fields: Any) -> str:
    """Gives a task of the workflow "flow"."""
    value = fields.pop("value", None)
    return fake.give("flow", value, kind=FLOW, steps=steps or [], **fields)


async def value_of(fake: FakeServer, task_id: str) -> Any:
    outcome = await fake.outcome(task_id)
    assert outcome.WhichOneof("result") == "value_json", outcome.error.message
    return json.loads(outcome.value_json)


async def error_of(fake: FakeServer, task_id: str) -> steps_pb2.TaskError:
    outcome = await fake.outcome(task_id)
    assert outcome.WhichOneof("result") == "error", outcome.value_json
    return outcome.error


async def until_nothing_is_held(client: PolosClient) -> None:
    async def look() -> None:
        while client._connection().host.held_count:
            await asyncio.sleep(0.005)

    await asyncio.wait_for(look(), 5)
