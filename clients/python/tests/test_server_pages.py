"""The pages of docs/ and the programs of examples/, run as they are against the real polosd."""

from __future__ import annotations

import ast
import asyncio
import inspect
import os
import re
import shlex
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import polosd
import pytest
from replay_model import Turn

from polos import PolosClient, cli

HERE = Path(__file__).resolve().parent
DOCS = polosd.WORKSPACE / "docs"
EXAMPLES = HERE.parent / "examples"
PAGES = sorted(page.stem for page in DOCS.glob("*.md") if "```python" in page.read_text())
READ_ALONE = ["README.md", "clients/python/ABOUT.md"]
PROGRAMS = [*sorted(str(p.relative_to(EXAMPLES)) for p in EXAMPLES.glob("*/main.py")), "steps.py"]
PAGE_SECONDS = 60


def blocks(page: Path) -> list[str]:
    return re.findall(r"```python\n(.*?)```", page.read_text(), re.DOTALL)


class Reader:
    """Does with the blocks of a page what docs/README.md says."""

    def __init__(self, page: Path, folder: Path, environment: dict[str, str]) -> None:
        self._page = page
        self._folder = folder
        self._environment = {**environment, "PYTHONDONTWRITEBYTECODE": "1"}
        self._environment["PYTHONPATH"] += os.pathsep + str(folder)
        self._names: dict[str, Any] = {"__name__": "page"}
        self._workers: list[asyncio.subprocess.Process] = []

    async def read(self) -> None:
        try:
            for number, block in enumerate(blocks(self._page), 1):
                named = re.match(r"# (\w+\.py)\n", block)
                if named or "asyncio.run(" in block:
                    await self._run(named[1] if named else f"block{number}.py", block)
                else:
                    await self._paste(f"<{self._page.name} block {number}>", block)
        finally:
            for worker in self._workers:
                worker.terminate()
                assert await worker.wait() in (0, -signal.SIGTERM)  # it may not have come far
            if isinstance(self._names.get("client"), PolosClient):
                await self._names["client"].close()

    async def _paste(self, where: str, block: str) -> None:
        flags = ast.PyCF_ALLOW_TOP_LEVEL_AWAIT
        code = compile(block, where, "exec", flags=flags, dont_inherit=True)
        found = eval(code, self._names)
        if inspect.iscoroutine(found):
            await found

    async def _run(self, name: str, block: str) -> None:
        (self._folder / name).write_text(block)
        command = ["-m", "pytest", "-q", name] if name.startswith("test_") else [name]
        program = await asyncio.create_subprocess_exec(
            sys.executable, *command, cwd=self._folder, env=self._environment,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )  # fmt: skip
        if ".serve()" in block:
            self._workers.append(program)
            return
        said, _ = await program.communicate()
        assert program.returncode == 0, said.decode()


@pytest.mark.parametrize("page", [*(f"docs/{page}.md" for page in PAGES), *READ_ALONE])
async def test_a_page_runs_as_it_is(tmp_path, monkeypatch, model, page):
    program = polosd.binary()
    server = polosd.Polosd(program, tmp_path / "data", model.environment)
    server.start()
    model.script = [Turn(tool_calls=[("get_weather", "{}")]), Turn(text="Sunny.")]
    folder = tmp_path / "page"
    folder.mkdir()
    monkeypatch.setenv("POLOS_API_URL", server.url)
    monkeypatch.setenv("POLOSD", str(program))
    monkeypatch.syspath_prepend(str(folder))
    try:
        reader = Reader(polosd.WORKSPACE / page, folder, environment_of(server))
        await asyncio.wait_for(reader.read(), PAGE_SECONDS)
    finally:
        server.stop()
        for name in folder.glob("*.py"):
            sys.modules.pop(name.stem, None)


COMMANDS = [
    (page.name, command)
    for page in sorted(DOCS.glob("*.md"))
    for command in re.findall(r"^\$ polos (.*)$", page.read_text(), re.MULTILINE)
]


@pytest.mark.parametrize(("page", "command"), COMMANDS)
def test_a_command_of_a_page_is_one(page, command):
    words = shlex.split(command, comments=True)
    assert cli.parsed(words).command.__name__ == words[0], page


@pytest.mark.parametrize("page", sorted(DOCS.glob("*.md")), ids=lambda page: page.stem)
def test_the_links_of_a_page_lead_somewhere(page):
    for target, place in re.findall(r"\]\(([^)#]*)(?:#([^)]*))?\)", page.read_text()):
        if target.startswith("http"):
            continue
        linked = DOCS / target if target else page
        assert linked.exists(), f"{page.name} links to {target}"
        headings = re.findall(r"^#+ (.*)$", linked.read_text(), re.MULTILINE) if place else []
        slugs = [re.sub(r"[^a-z0-9 -]", "", each.lower()).replace(" ", "-") for each in headings]
        assert not place or place in slugs, f"{page.name} links to {target}#{place}"


@pytest.mark.parametrize("threshold", ["10", "0"], ids=["in place", "let go of"])
@pytest.mark.parametrize("program", PROGRAMS)
def test_an_example_runs_by_itself(server, program, threshold):
    """Each ends by itself and prints what its docstring promises after "Prints:"."""
    path = EXAMPLES / program
    promised = re.search(r"\nPrints.*?:\n\n(.*?)\n(\n|\"\"\")", path.read_text(), re.DOTALL)
    assert promised, f"{path} says nothing of what it prints"
    environment = environment_of(server, POLOS_WAIT_THRESHOLD_SECONDS=threshold)
    done = run_program(path, environment)
    assert done.returncode == 0, done.stderr
    expected = [line.strip() for line in promised[1].splitlines() if line.strip()]
    assert [line.strip() for line in done.stdout.splitlines()] == expected, done.stderr
    marks = ("workflow", "tool", "step")
    failed = [line for line in done.stderr.splitlines() if line.startswith(marks)]
    assert done.stderr == "" or all(" failed" in line for line in failed) and failed


def environment_of(server: polosd.Polosd, **more: str) -> dict[str, str]:
    path = os.pathsep.join([str(HERE.parent), os.environ.get("PYTHONPATH", "")])
    return {**os.environ, "POLOS_API_URL": server.url, "PYTHONPATH": path, **more}


def run_program(path: Path, environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-W", "default", str(path)],
        env=environment,
        capture_output=True,
        text=True,
        timeout=PAGE_SECONDS,
    )


def test_the_examples_are_told_of():
    """Each documented example is there, or the README says why it is not."""
    readme = (EXAMPLES / "README.md").read_text()
    there, missing = readme.split("\nNot there")
    for number in range(1, 25):
        name = next((p.name for p in EXAMPLES.glob(f"{number:02}-*")), None)
        if name is None:
            assert f"{number:02}" in missing, number
        else:
            assert f"`{name}`" in there, name


def test_an_example_asks_the_real_model_where_a_key_is_set(model, tmp_path):
    model.script = [
        Turn(tool_calls=[("get_weather", '{"city":"Rome"}')]),
        Turn(text="21 degrees."),
        Turn(tool_calls=[("get_weather", '{"city":"Oslo"}')]),
        Turn(tool_calls=[("get_weather", '{"city":"Bonn"}')]),
    ]
    server = polosd.Polosd(polosd.binary(), tmp_path / "data", model.environment)
    server.start()
    try:
        path = EXAMPLES / "01-agent-with-tools/main.py"
        done = run_program(path, environment_of(server, OPENAI_API_KEY="any"))
    finally:
        server.stop()
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[:2] == ["The model is gpt-4o-mini of OpenAI.", "21 degrees."]
    assert len(model.requests) == 4 and all("script" not in r for r in model.requests)


async def test_the_worker_serves_until_it_is_told_to_leave(server, client):
    environment = environment_of(server)
    worker = await asyncio.create_subprocess_exec(
        sys.executable, str(EXAMPLES / "worker.py"), env=environment, stdout=subprocess.PIPE
    )
    try:
        assert worker.stdout is not None
        line = await asyncio.wait_for(worker.stdout.readline(), PAGE_SECONDS)
        assert line.decode() == f"serving {server.url}; Ctrl-C ends it\n"
        handle = await client.invoke("fulfil-order", {"order": "42"})
        assert (await handle.result(client, PAGE_SECONDS))["parcel"] == "parcel-42"
        worker.terminate()
        assert await asyncio.wait_for(worker.wait(), PAGE_SECONDS) == 0
    finally:
        if worker.returncode is None:
            worker.kill()
