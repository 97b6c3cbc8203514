"""Queues: who may run at once, and who goes next.

    emails = Queue("emails", concurrency_limit=5)

    @workflow(queue=emails)
    async def send(ctx, payload): ...

    await send.invoke(client, mail, concurrency_key=user_id)
"""

from __future__ import annotations

from ._starter import Starter
from ._wire.methods import QUEUE_DELETE, QUEUE_LIST, QUEUE_PUT
from .queue import Queue, QueueInfo, name_of, queue, queue_info
from .v1 import queues_pb2

__all__ = ["Queue", "QueueInfo", "delete_queue", "list_queues", "put", "queue"]


async def put(client: Starter, queue: Queue) -> QueueInfo:
    """Defines a queue now, or changes its limits, which hold at once; what runs goes on."""
    request = queues_pb2.QueueServicePutRequest(queue=queue.definition())
    answer = await client._connection().wire.call(QUEUE_PUT, request)
    return queue_info(answer.queue)


async def delete_queue(client: Starter, queue: str | Queue) -> None:
    """Ends a queue that nothing waits or works in.

    A process that still defines it defines it again when its host connects anew.

    Raises ConflictError: runs wait or work in it; cancel them or let them end. NotFoundError: there
    is none.
    """
    request = queues_pb2.QueueServiceDeleteRequest(name=name_of(queue))
    await client._connection().wire.call(QUEUE_DELETE, request)


async def list_queues(client: Starter) -> list[QueueInfo]:
    """All queues, by name."""
    request = queues_pb2.QueueServiceListRequest()
    wire = client._connection().wire
    found = await wire.rows(QUEUE_LIST, request, lambda page: page.queues)
    return [queue_info(each) for each in found]
