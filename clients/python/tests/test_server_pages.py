"""The pages of docs/ and the programs of examples/, run as they are against the real polosd."""

from __future__ import annotations

import ast
import asyncio
import inspect
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import polosd
import pytest

from polos import PolosClient

HERE = Path(__file__).resolve().parent
DOCS = polosd.WORKSPACE / "docs"
EXAMPLES = HERE.parent / "examples"
PAGES = [
    "workflows",
    "steps",
    "waiting",
    "suspending",
    "events",
    "schedules",
    "queues",
    "versions",
    "cancelling",
    "history",
]
PROGRAMS = sorted(path.name for path in EXAMPLES.iterdir() if re.match(r"\d\d-", path.name))
PAGE_SECONDS = 60


def blocks(page: str) -> list[str]:
    return re.findall(r"```python\n(.*?)```", (DOCS / f"{page}.md").read_text(), re.DOTALL)


async def run_page(page: str) -> None:
    """All blocks of a page, one after the other, in one namespace."""
    names: dict[str, Any] = {"__name__": "page"}
    flags = ast.PyCF_ALLOW_TOP_LEVEL_AWAIT
    try:
        for number, block in enumerate(blocks(page), 1):
            where = f"<docs/{page}.md block {number}>"
            found = eval(compile(block, where, "exec", flags=flags, dont_inherit=True), names)
            if inspect.iscoroutine(found):
                await found
    finally:
        if isinstance(names.get("client"), PolosClient):
            await names["client"].close()


@pytest.mark.parametrize("page", PAGES)
async def test_a_page_runs_as_it_is(server, monkeypatch, page):
    monkeypatch.setenv("POLOS_API_URL", server.url)
    assert blocks(page), "a page without a snippet"
    await asyncio.wait_for(run_page(page), PAGE_SECONDS)


@pytest.mark.parametrize("page", PAGES)
def test_the_links_of_a_page_lead_somewhere(page):
    for target in re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", (DOCS / f"{page}.md").read_text()):
        assert (DOCS / target).exists(), f"docs/{page}.md links to {target}"


@pytest.mark.parametrize("threshold", ["10", "0"], ids=["in place", "let go of"])
@pytest.mark.parametrize("program", PROGRAMS)
def test_an_example_runs_by_itself(server, program, threshold):
    """Each ends by itself and prints what its docstring promises after "Prints:"."""
    path = EXAMPLES / program / "main.py"
    promised = re.search(r"\nPrints:\n\n(.*?)\n\"\"\"", path.read_text(), re.DOTALL)
    assert promised, f"{path} says nothing of what it prints"
    done = subprocess.run(
        [sys.executable, "-X", "dev", str(path)],
        env={
            **os.environ,
            "POLOS_API_URL": server.url,
            "POLOS_WAIT_THRESHOLD_SECONDS": threshold,
            "PYTHONPATH": os.pathsep.join([str(HERE.parent), os.environ.get("PYTHONPATH", "")]),
        },
        capture_output=True,
        text=True,
        timeout=PAGE_SECONDS,
    )
    assert done.returncode == 0, done.stderr
    expected = [line.strip() for line in promised[1].splitlines() if line.strip()]
    assert [line.strip() for line in done.stdout.splitlines()] == expected, done.stderr
    assert done.stderr == ""
