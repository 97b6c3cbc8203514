"""A long-lived host: takes work until SIGINT or SIGTERM, then lets it end and leaves.

    ./run serve &
    python clients/python/examples/worker.py
"""

import asyncio

import steps  # noqa: F401  what is defined is offered

from polos import Polos


async def main() -> None:
    async with Polos() as polos:
        print(f"serving {polos.api_url}; Ctrl-C ends it", flush=True)
        await polos.serve()


if __name__ == "__main__":
    asyncio.run(main())
