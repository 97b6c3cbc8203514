#!/usr/bin/env python3
"""Runs the code blocks of a documentation page of Polos as they are; see README.md.

What a page takes for granted (its services, agents it does not define) is given to it here, and
what it only defines is used at its end. The model is the simulated one of examples.py.
"""

from __future__ import annotations

import ast
import asyncio
import contextlib
import inspect
import io
import json
import os
import re
import subprocess
import sys
import tempfile
import textwrap
import threading
import uuid
from collections.abc import Awaitable, Callable, Iterator
from http.server import ThreadingHTTPServer
from pathlib import Path
from typing import Any

import examples

TYPESCRIPT = examples.WORKSPACE / "clients" / "typescript"
sys.path.insert(0, str(examples.WORKSPACE / "clients" / "python"))
SECONDS = examples.SECONDS
LATER = {r"(?i)sandbox_?tools\(": "sandbox"}  # what these need comes with later features

GIVEN = """
import { PolosClient, defineAgent, defineTool } from "@polos/sdk";
import { openai } from "@ai-sdk/openai";

const given = openai("gpt-4o");
export const client = PolosClient.fromEnv();
export const weatherApi = { get: async (city: string) => ({ city, sky: "clear" }) };
export const searchApi = { query: async (query: string) => [query, "two"] };
export const emailService = {
  send: async (email: { to: string; subject: string; body: string }) => void email,
};
export const readArticle = defineTool({ id: "read-article", description: "Reads" }, () => "x");
export const chatAgent = defineAgent({ id: "chat-agent", model: given });
export const customerSupportAgent = defineAgent({ id: "customer-support-agent", model: given });
export const planningAgent = defineAgent({ id: "planning-agent", model: given });
export const executorAgent = defineAgent({ id: "executor-agent", model: given });
export type CustomerSupportInput = { question: string; customerEmail: string };
export const logInteraction = (said: unknown) => void said;
export const sendFollowup = (to: string, said: unknown) => void [to, said];
"""
USES = {
    "researchAgent": """
const told = await researchAgent.run(client, "What is new?");
if (told.tool_results.length !== 1) throw new Error("no tool was called");
""",
    "customerSupport": """
const said = await customerSupport.run(client, { question: "Why?", customerEmail: "a@b" });
if (!said) throw new Error("there is no answer");
""",
    "approvalWorkflow": """
const run = await approvalWorkflow.invoke(client, { task: "t" });
await client.resume("approval-workflow", run.id, "suspend_step", { approved: true });
if (!(await run.getResult())) throw new Error("there is no answer");
""",
}


def blocks(page: str, language: str) -> list[str]:
    found = re.findall(rf"^ *```{language}\b[^\n]*\n(.*?)^ *```", page, re.DOTALL | re.MULTILINE)
    return [textwrap.dedent(block) for block in found]


def later(block: str) -> str:
    return next((what for words, what in LATER.items() if re.search(words, block)), "")


# ---- Python: all blocks in one set of names, as in `python -m asyncio` ----


class Service:
    """Anything a page calls outside."""

    def __getattr__(self, name: str) -> Callable[..., Awaitable[Any]]:
        async def call(*_arguments: Any, **_more: Any) -> Any:
            return ["one", "two"] if name == "query" else "sunny"

        return call


def given() -> dict[str, Any]:
    import pydantic

    from polos import Agent, PolosClient, tool

    class CustomerSupportInput(pydantic.BaseModel):
        question: str = "Why?"
        customer_email: str = "a@b"

    @tool(description="Reads")
    async def read_article(ctx: Any) -> str:
        return "x"

    services = ("weather_api", "search_api", "email_service")
    agents = ("chat_agent", "customer_support_agent", "planning_agent", "executor_agent")
    return {
        "__name__": "page",
        "client": PolosClient(),
        "uuid": uuid,
        "CustomerSupportInput": CustomerSupportInput,
        "read_article": read_article,
        "log_interaction": lambda said: None,
        "send_followup": lambda to, said: None,
        **{name: Service() for name in services},
        **{name: Agent(id=name, provider="openai", model="gpt-4o") for name in agents},
    }


async def paste(block: str, names: dict[str, Any]) -> None:
    flags = ast.PyCF_ALLOW_TOP_LEVEL_AWAIT
    code = compile(block, "<page>", "exec", flags=flags, dont_inherit=True)
    found = eval(code, names)
    if inspect.iscoroutine(found):
        await found
    if "main" in names:
        await names.pop("main")()


async def research(names: dict[str, Any]) -> None:
    told = await names["research_agent"].run(names["client"], "What is new?")
    assert len(told.tool_results) == 1, told


async def support(names: dict[str, Any]) -> None:
    assert await names["customer_support"].run(names["client"], names["CustomerSupportInput"]())


async def approval(names: dict[str, Any]) -> None:
    run = await names["approval_workflow"].invoke(names["client"], {"task": "t"})
    answer = {"approved": True}
    await names["client"].resume("approval_workflow", run.id, "suspend_step", answer)
    assert await run.result(names["client"], timeout=SECONDS)


async def said(work: Awaitable[None]) -> str:
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            await asyncio.wait_for(work, SECONDS)
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    return "runs"


async def read_python(page: str) -> list[tuple[str, str, str]]:
    """Of each block and each use: what it is, what it needs that is to come, what became of it."""
    names, rows = given(), []
    for number, block in enumerate(blocks(page, "python"), 1):
        rows.append((f"python {number}", later(block), await said(paste(block, names))))
    for use in (research, support, approval):
        rows.append((f"python, {use.__name__}", "", await said(use(names))))
    await names["client"].close()
    return rows


# ---- TypeScript: each block a module, which imports what it takes for granted ----


def declared(block: str) -> set[str]:
    kinds = r"(?:const|let|(?:async )?function|class|type)"
    return set(re.findall(rf"^(?:export )?{kinds} (\w+)", block, re.MULTILINE))


def imported(block: str) -> set[str]:
    named = re.findall(r"^import \{([^}]*)\}", block, re.MULTILINE)
    return {word.split()[-1] for names in named for word in names.split(",") if word.strip()}


def module(block: str, where: dict[str, str]) -> str:
    """A block with imports of the names it uses and has not, each from where it was declared."""
    own = declared(block)
    used = set(re.findall(r"[A-Za-z_]\w*", block)) & set(where)
    missing = sorted(used - own - imported(block))
    lines = [f'import {{ {name} }} from "./{where[name]}.js";' for name in missing]
    return "\n".join([*lines, block, f"export {{ {', '.join(sorted(own))} }};\n"])


def modules(page: str) -> dict[str, tuple[str, str]]:
    """By name: the text of each module, and what it needs that is to come."""
    where = dict.fromkeys(declared(GIVEN) - {"given"}, "given")
    found = {}
    for number, block in enumerate(blocks(page, "typescript"), 1):
        name = f"typescript_{number}"
        found[name] = (module(block, where), later(block))
        where.update(dict.fromkeys(declared(block), name))
    for used, text in USES.items():
        if used in where:
            found[f"typescript_use_of_{used}"] = (module(text, where), "")
    return found


def prepare(folder: Path, texts: dict[str, str]) -> None:
    """A project with the packages of pages."""
    (folder / "package.json").write_text('{ "type": "module" }')
    packages = folder / "node_modules"
    links = {"@polos/sdk": TYPESCRIPT}
    for name in ("zod", "@types/node", "@ai-sdk/openai", "@ai-sdk/anthropic"):
        links[name] = TYPESCRIPT / "node_modules" / name
    for name, target in links.items():
        (packages / name).parent.mkdir(parents=True, exist_ok=True)
        (packages / name).symlink_to(target)
    (packages / "uuid").mkdir()
    manifest = {"type": "module", "main": "index.js", "types": "index.d.ts"}
    (packages / "uuid" / "package.json").write_text(json.dumps(manifest))
    (packages / "uuid" / "index.js").write_text('export { randomUUID as v4 } from "node:crypto";')
    (packages / "uuid" / "index.d.ts").write_text("export declare function v4(): string;")
    for name, text in {"given": GIVEN, **texts}.items():
        (folder / f"{name}.ts").write_text(text)


def complaints(folder: Path) -> dict[str, str]:
    """What the compiler says of each module, under `strict`; a line of it."""
    tsc = TYPESCRIPT / "node_modules" / "typescript" / "bin" / "tsc"
    words = "--strict --skipLibCheck --types node --module nodenext --target es2022 --pretty false"
    files = [path.name for path in sorted(folder.glob("*.ts"))]
    command = ["node", str(tsc), *words.split(), *files]
    told = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    found: dict[str, str] = {}
    for name, sentence in re.findall(r"^(\w+)\.ts\(\S+: error (.*)$", told.stdout, re.MULTILINE):
        found.setdefault(name, sentence)
    return found


def end_of(folder: Path, name: str) -> str:
    try:
        told = subprocess.run(
            ["node", f"{name}.js"], cwd=folder, capture_output=True, text=True, timeout=SECONDS
        )
    except subprocess.TimeoutExpired:
        return f"no end in {SECONDS} s"
    names_one = re.compile(r"\s*(\w*Error|.*\w+Error:)")
    lines = [line for line in told.stderr.splitlines() if names_one.match(line)]
    return "runs" if told.returncode == 0 else (lines or [f"exit code {told.returncode}"])[0]


def read_typescript(page: str) -> Iterator[tuple[str, str, str]]:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        found = modules(page)
        prepare(folder, {name: text for name, (text, _) in found.items()})
        wrong = complaints(folder)
        for name, (_, needs) in found.items():
            told = wrong.get(name) or end_of(folder, name)
            yield name.replace("_", " "), needs, told


def main() -> int:
    folder = os.environ.get("POLOS_PAGES")
    if not folder:
        print("set POLOS_PAGES to the folder of agents.md", file=sys.stderr)
        return 2
    page = (Path(folder) / "agents.md").read_text()
    http = ThreadingHTTPServer(("127.0.0.1", 0), examples.Model)
    threading.Thread(target=http.serve_forever, daemon=True).start()
    model = f"http://127.0.0.1:{http.server_address[1]}/v1"
    broken = 0
    with tempfile.TemporaryDirectory() as data:
        server, os.environ["POLOS_API_URL"] = examples.start_server(Path(data), model)
        try:
            rows = asyncio.run(read_python(page)) + list(read_typescript(page))
        finally:
            server.kill()
            server.wait()
    for what, needs, told in rows:
        broken += told != "runs" and not needs
        print(f"{what:<36} {needs:<8} {told[:160]}")
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
