"""Following a run across disconnects and restarts of the server."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import grpc.aio

from ._rpc import RUN_WATCH, SUBSCRIBE, Wire, backoff, error_from
from .errors import PolosError, ResourceExhaustedError, ServerError, UnavailableError
from .v1 import common_pb2, runs_pb2, workflows_pb2

CUTS_IN_A_ROW_MAX = 20  # of a server that is there and ends the stream; none for one that is away


async def follow(
    wire: Wire, run_id: str, *, deltas: bool
) -> AsyncIterator[runs_pb2.RunServiceWatchResponse]:
    """Every fact and delta of a run from its start, then its end; no gap, no repetition.

    Waits for a server that is away for as long as the caller does. Raises NotFoundError and the
    like for what waiting does not cure.
    """
    position = ""
    cuts = 0
    while True:
        request = runs_pb2.RunServiceWatchRequest(
            run_id=run_id, from_position=position, deltas=deltas
        )
        call = wire.server_stream(RUN_WATCH, request)
        try:
            async for response in call:
                cuts = 0
                wire.contacted = True
                position = response.position or position
                yield response
                if response.WhichOneof("event") == "ended":
                    return
            cuts += 1
        except grpc.aio.AioRpcError as error:
            cuts = _count_cut(error, cuts, wire)
        finally:
            call.cancel()
        await asyncio.sleep(backoff(cuts, most=1.0))


async def subscribe(
    wire: Wire, topic: str, after: int, *, follow: bool = True
) -> AsyncIterator[workflows_pb2.TopicEvent]:
    """The events of a topic after a number (0: all that are kept; -1: only new ones), for ever;
    or those that are there, without `follow`."""
    cuts = 0
    while True:
        request = workflows_pb2.WorkflowServiceSubscribeRequest(
            topic=topic, after_sequence=after, follow=follow
        )
        call = wire.server_stream(SUBSCRIBE, request)
        try:
            async for response in call:
                cuts = 0
                wire.contacted = True
                after = response.event.sequence
                yield response.event
            if not follow:
                return
            cuts += 1
        except grpc.aio.AioRpcError as error:
            cuts = _count_cut(error, cuts, wire)
        finally:
            call.cancel()
        await asyncio.sleep(backoff(cuts, most=1.0))


def _count_cut(error: grpc.aio.AioRpcError, cuts: int, wire: Wire) -> int:
    told: PolosError = error_from(error, wire.endpoint.url)
    if isinstance(told, UnavailableError) and wire.contacted:
        return cuts + 1
    may_pass = (UnavailableError, ResourceExhaustedError, ServerError)
    if not isinstance(told, may_pass) or cuts >= CUTS_IN_A_ROW_MAX:
        raise told from None
    return cuts + 1


async def wait_until_ended(wire: Wire, run_id: str) -> common_pb2.Run:
    """The run, once it has ended."""
    events = follow(wire, run_id, deltas=False)
    try:
        async for response in events:
            if response.WhichOneof("event") == "ended":
                return response.ended
    finally:
        await events.aclose()  # type: ignore[attr-defined]
    raise AssertionError("follow() ends with the run's end")
