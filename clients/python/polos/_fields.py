"""A dict whose keys may be written as attributes."""

from __future__ import annotations

from typing import Any


class Fields(dict[str, Any]):
    """What programs get where they say `input.task` as well as `input["task"]`.

    Attributes of dict come first; an object below is given as Fields, too.
    """

    __slots__ = ()

    def __getattr__(self, name: str) -> Any:
        try:
            value = self[name]
        except KeyError:
            names = ", ".join(map(str, self))
            raise AttributeError(f"there is no {name!r}; there are: {names}") from None
        return with_fields(value)


def with_fields(value: Any) -> Any:
    """An object of JSON as Fields, also in a list; anything else as it is."""
    if type(value) is list:
        return [with_fields(item) for item in value]
    return Fields(value) if type(value) is dict else value
