#!/usr/bin/env python3
"""Durable steps per second from a Python host.

    python bench/host_bench.py --url http://127.0.0.1:8080 --in-flight 64 --steps 50

Keeps N workflows at work on a running polosd, one each or --runs in all; each does M empty
durable steps, one after the other. Prints one line of JSON:
  steps_per_s    settled steps over the wall time from the first start to the last end
  step_p50_ms, step_p99_ms    one ctx.step.run, from the call until it is on disk
  run_p50_ms     one run, from its start to its result
  runs_per_s, seconds, in_flight, steps, host_cpu_us_per_step
"""

from __future__ import annotations

import argparse
import asyncio
import json
import logging
import resource
import sys
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from polos import PolosClient, PolosError, WorkflowContext, workflow  # noqa: E402

latencies: list[float] = []
run_latencies: list[float] = []


def nothing() -> int:
    return 1


async def nothing_async() -> int:
    return nothing()


@workflow(id="bench-steps")
async def bench_steps(ctx: WorkflowContext, payload: dict[str, Any]) -> int:
    settled = 0
    for number in range(payload["steps"]):
        began = time.perf_counter()
        settled += await ctx.step.run(f"step-{number}", nothing_async)
        latencies.append(time.perf_counter() - began)
    return settled


def cpu_seconds() -> float:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


async def run_some(client: PolosClient, count: int, steps: int) -> int:
    """Runs one after the other; the steps that they settled."""
    settled = 0
    for _ in range(count):
        began = time.perf_counter()
        settled += await bench_steps.run(client, {"steps": steps})
        run_latencies.append(time.perf_counter() - began)
    return settled


async def measure(client: PolosClient, in_flight: int, steps: int, each: int) -> dict[str, Any]:
    client.max_concurrent_workflows = in_flight
    await bench_steps.run(client, {"steps": 1})  # connects, and makes the first run's costs
    latencies.clear()
    cpu, began = cpu_seconds(), time.perf_counter()
    settled = await asyncio.gather(
        *(run_some(client, each, steps) for _ in range(in_flight))
    )
    seconds, cpu = time.perf_counter() - began, cpu_seconds() - cpu
    total = sum(settled)
    if total != in_flight * each * steps:
        raise RuntimeError(f"{total} steps settled instead of {in_flight * each * steps}")
    latencies.sort()
    run_latencies.sort()
    return {
        "steps_per_s": round(total / seconds, 1),
        "step_p50_ms": round(1000 * latencies[len(latencies) // 2], 3),
        "step_p99_ms": round(1000 * latencies[int(len(latencies) * 0.99)], 3),
        "run_p50_ms": round(1000 * run_latencies[len(run_latencies) // 2], 3),
        "runs_per_s": round(in_flight * each / seconds, 1),
        "seconds": round(seconds, 3),
        "in_flight": in_flight,
        "steps": steps,
        "host_cpu_us_per_step": round(1e6 * cpu / total, 1),
    }


async def run(url: str, in_flight: int, steps: int, each: int) -> dict[str, Any]:
    async with PolosClient(api_url=url) as client:
        return await measure(client, in_flight, steps, each)


def main() -> int:
    parser = argparse.ArgumentParser(description="Durable steps per second from a Python host.")
    parser.add_argument("--url", default=None, help="polosd; default: $POLOS_API_URL")
    parser.add_argument("--in-flight", type=int, default=64, help="workflows at once")
    parser.add_argument("--steps", type=int, default=50, help="steps of each")
    parser.add_argument("--runs", type=int, default=0, help="in all; default: one of each")
    arguments = parser.parse_args()
    each = max(1, arguments.runs // arguments.in_flight)
    logging.getLogger("polos").setLevel(logging.ERROR)
    try:
        found = asyncio.run(run(arguments.url, arguments.in_flight, arguments.steps, each))
    except PolosError as error:
        print(f"host_bench: {error}", file=sys.stderr)
        return 1
    print(json.dumps(found))
    return 0


if __name__ == "__main__":
    sys.exit(main())
