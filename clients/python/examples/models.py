"""The model of the examples: OpenAI's where OPENAI_API_KEY is set, else the built-in scripted one.

The key is needed in the server's environment too: it is the server that asks the model.
"""

import os
from typing import Any

REAL = bool(os.environ.get("OPENAI_API_KEY"))
NAME = os.environ.get("POLOS_EXAMPLE_MODEL", "gpt-4o-mini") if REAL else "scripted"
MODEL: dict[str, Any] = {"provider": "openai" if REAL else "scripted", "model": NAME}


def say_which() -> None:
    if REAL:
        print(f"The model is {NAME} of OpenAI.")
    else:
        print("No OPENAI_API_KEY is set: the model is the built-in scripted one.")


def script(*turns: dict[str, Any]) -> dict[str, Any]:
    """What goes along with a run: for the scripted model, what it says; for a real one nothing."""
    return {} if REAL else {"script": list(turns)}


def calls(name: str, **arguments: Any) -> dict[str, Any]:
    """A turn of the script that calls a tool."""
    return {"tool_calls": [{"name": name, "arguments": arguments}]}
