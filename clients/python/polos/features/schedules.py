"""As `polos.features.schedules` in the documentation."""

from ..schedule import ScheduleInfo, SchedulePayload
from ..schedules import create, delete, list_schedules

__all__ = [
    "ScheduleInfo",
    "SchedulePayload",
    "create",
    "delete",
    "list_schedules",
]
