"""Following a run or a topic across disconnects and restarts of the server."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from datetime import datetime

import grpc.aio

from .._codec.times import length
from ..errors import PolosError, ResourceExhaustedError, ServerError, UnavailableError
from ..v1 import common_pb2, runs_pb2, topics_pb2
from .channel import Wire
from .errors import backoff, error_from
from .methods import RUN_WAIT, RUN_WATCH, SUBSCRIBE, Method, Request, Response

WAIT_SECONDS = 20.0  # of one call for a run's end; less than a call may take
CUTS_IN_A_ROW_MAX = 20  # of a server that is there and ends the stream; none for one that is away


async def follow(
    wire: Wire, run_id: str, *, deltas: bool, tree: bool = False
) -> AsyncGenerator[runs_pb2.RunServiceWatchResponse, None]:
    """Every fact and delta of a run from its start, then its end; no gap, no repetition.

    `tree`: those of all runs below it, too; its end is that of the last of them. Text that was
    shown before the stream was cut may come again (Delta.offset).

    Waits for a server that is away for as long as the caller does. Raises NotFoundError and the
    like for what waiting does not cure.
    """
    position = ""

    def request() -> runs_pb2.RunServiceWatchRequest:
        return runs_pb2.RunServiceWatchRequest(
            run_id=run_id, position=position, deltas=deltas, tree=tree
        )

    async with aclosing(_dialling(wire, RUN_WATCH, request)) as responses:
        async for response in responses:
            position = response.position or position
            yield response
            if response.WhichOneof("event") == "ended":
                return


async def subscribe(
    wire: Wire,
    topic: str,
    after: int | None = None,
    since: datetime | None = None,
    *,
    follow: bool = True,
) -> AsyncGenerator[topics_pb2.TopicEvent, None]:
    """The events of a topic, for ever; or those that are there, without `follow`.

    After a number (0: all that are kept), or after a time; with neither only new ones.
    """
    start = topics_pb2.TopicServiceSubscribeRequest(topic=topic, follow=follow)
    if after is not None:
        start.after_sequence = after
    elif since is not None:
        start.after_time.FromDatetime(since)
    else:
        start.only_new = True

    async with aclosing(_dialling(wire, SUBSCRIBE, lambda: start, endless=follow)) as responses:
        async for response in responses:
            start.position = response.position
            if response.HasField("event"):
                yield response.event


async def _dialling(
    wire: Wire,
    method: Method[Request, Response],
    request: Callable[[], Request],
    *,
    endless: bool = True,
) -> AsyncGenerator[Response, None]:
    """What a server stream sends, dialled again whenever it is cut; `request` says from where on.

    `endless`: a stream that the server closes was cut as well.
    """
    cuts = 0
    while True:
        call = wire.server_stream(method, request())
        try:
            async for response in call:
                cuts = 0
                wire.contacted = True
                yield response
            if not endless:
                return
            cuts += 1
        except grpc.aio.AioRpcError as error:
            cuts = _count_cut(error, cuts, wire)
        finally:
            call.cancel()
            with contextlib.suppress(Exception):
                await call.code()
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
    """The run, once it has ended: however often the server goes away meanwhile."""
    request = runs_pb2.RunServiceWaitRequest(run_id=run_id, timeout=length(WAIT_SECONDS))
    while True:
        run = (await wire.call(RUN_WAIT, request)).run
        if run.HasField("ended_at"):
            return run
