"""As `polos.features.queues` in the documentation."""

from ..queue import Queue, QueueInfo, queue
from ..queues import delete_queue, list_queues, put

__all__ = [
    "Queue",
    "QueueInfo",
    "delete_queue",
    "list_queues",
    "put",
    "queue",
]
