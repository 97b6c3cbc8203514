"""A tool, and what a scripted model says to call it."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel

from polos import tool


class City(BaseModel):
    city: str


@tool(description="Get weather for a city")
async def get_weather(ctx, input: City) -> dict:
    return {"city": input.city, "celsius": 21}


def asks(city: str) -> dict[str, Any]:
    return {"tool_calls": [{"name": "get_weather", "arguments": {"city": city}}]}
