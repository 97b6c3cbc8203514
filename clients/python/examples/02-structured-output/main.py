"""An answer that is an instance of a class, with lists, enums and other classes in it.

    ./run serve &
    python clients/python/examples/02-structured-output/main.py

Prints, without a key:

    No OPENAI_API_KEY is set: the model is the built-in scripted one.
    Dolomites in 3 days, moderate
    - Seceda: 12.5 km
    - Tre Cime: 9.5 km
    22.0 km in all
    the answer does not fit the output schema: answer.days: is missing;
    answer.difficulty: is missing; answer.hikes: is missing
    (asked twice)
"""

import asyncio
import json
import sys
from enum import Enum
from pathlib import Path

from pydantic import BaseModel

from polos import Agent, OutputError, PolosClient

sys.path.append(str(Path(__file__).resolve().parents[1]))
from models import MODEL, REAL, say_which, script  # noqa: E402


class Difficulty(str, Enum):
    EASY = "easy"
    MODERATE = "moderate"
    HARD = "hard"


class Hike(BaseModel):
    name: str
    kilometres: float


class Trip(BaseModel):
    place: str
    days: int
    difficulty: Difficulty
    hikes: list[Hike]


planner = Agent(
    id="trip-planner",
    **MODEL,
    system_prompt="You plan hiking trips with two hikes.",
    output_schema=Trip,
)

ANSWER = {
    "place": "Dolomites",
    "days": 3,
    "difficulty": "moderate",
    "hikes": [{"name": "Seceda", "kilometres": 12.5}, {"name": "Tre Cime", "kilometres": 9.5}],
}


async def main() -> None:
    say_which()
    async with PolosClient() as client:
        response = await planner.run(
            client, "Three days in the Dolomites, please.", **script({"text": json.dumps(ANSWER)})
        )
        trip: Trip = response.result
        print(f"{trip.place} in {trip.days} days, {trip.difficulty.value}")
        for hike in trip.hikes:
            print(f"- {hike.name}: {hike.kilometres} km")
        print(f"{sum(hike.kilometres for hike in trip.hikes)} km in all")
        if REAL:  # it keeps to the schema
            return
        try:
            short = {"text": '{"place": "Alps"}'}
            await planner.run(client, "And another?", **script(short, short))
        except OutputError as error:  # the server asked again, and told the model why
            print(error.message.replace("days: is missing; ", "days: is missing;\n"))
            run = await client.get_execution(error.run_id)
            print("(asked twice)" if run["total_steps"] == 2 else run)


if __name__ == "__main__":
    asyncio.run(main())
