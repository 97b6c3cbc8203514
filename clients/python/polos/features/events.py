"""As `polos.features.events` in the documentation."""

from ..event import BatchEventPayload, EventData, EventItem, EventPayload
from ..events import batch_publish, publish, stream_topic, stream_workflow

__all__ = [
    "BatchEventPayload",
    "EventData",
    "EventItem",
    "EventPayload",
    "batch_publish",
    "publish",
    "stream_topic",
    "stream_workflow",
]
