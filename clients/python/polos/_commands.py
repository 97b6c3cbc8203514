"""What the commands of a shell do; cli.py says what each takes."""

from __future__ import annotations

import argparse
import asyncio
import json
import re
import sys
from collections.abc import Iterable, Sequence
from typing import Any

from pydantic import BaseModel

from . import definitions
from ._execution.starts import StartOptions
from .client import PolosClient
from .errors import (
    InvalidArgumentError,
    NotFoundError,
    PolosError,
    RunFailedError,
    WorkflowTimeoutError,
)
from .history import PAYLOAD_CHARACTERS, Words, one_line, without_secrets
from .stream import StreamResult

DONE, REFUSED, WRONG_USE, UNREACHABLE, INTERRUPTED = 0, 1, 2, 3, 130

SHORT_CHARACTERS = 8  # of an id, its last ones: the first tell the time
SHORTEST_CHARACTERS = 4
SEARCHED_RUNS = 5000
_WHOLE_ID = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
_PART_OF_ID = re.compile(rf"[0-9a-fA-F-]{{{SHORTEST_CHARACTERS},36}}")

_LAST_FACTS = ("RUN_COMPLETED", "RUN_FAILED", "RUN_CANCELLED")

Arguments = argparse.Namespace


# ---- looks ----


async def runs(client: PolosClient, arguments: Arguments) -> int:
    found = await client.list_executions(
        arguments.name,
        arguments.limit,
        arguments.deployment,
        kind=arguments.kind,
        status=arguments.status,
        parent_execution_id=await _run_id(client, arguments.parent) if arguments.parent else "",
        root_execution_id=await _run_id(client, arguments.root) if arguments.root else "",
        only_roots=arguments.roots,
        schedule_id=arguments.schedule,
        session_id=arguments.session,
        user_id=arguments.user,
        conversation_id=arguments.conversation,
        created_after=arguments.since,
        created_before=arguments.until,
    )
    if arguments.json:
        return _print_json([without_secrets(run) for run in found])
    if arguments.ids:
        return _print_lines(run["id"] for run in found)
    rows = [
        (short(run["id"]), run["status"], _moment(run["created_at"]), run["kind"],
         run["workflow_id"])
        for run in found
    ]  # fmt: skip
    columns = ("RUN", "STATUS", "STARTED (UTC)", "KIND", "NAME")
    return _print_table(columns, rows, "there is no such run")


async def agents(client: PolosClient, arguments: Arguments) -> int:
    if arguments.agent:
        return await _versions(client, arguments)
    found = await client.list_agents(arguments.limit)
    if arguments.json:
        return _print_json(found)
    rows = [(a["id"], a["provider"], a["model"], ", ".join(a["tools"])) for a in found]
    return _print_table(("AGENT", "PROVIDER", "MODEL", "TOOLS"), rows, "no agent is registered")


async def _versions(client: PolosClient, arguments: Arguments) -> int:
    found = await definitions.list_agent_versions(client, arguments.agent, arguments.limit)
    if not found:
        raise NotFoundError(f"there is no agent {arguments.agent!r}", reason="AGENT_NOT_FOUND")
    if arguments.json:
        return _print_json(found)
    rows = [
        (a["definition_hash"], "newest" if a["newest"] else "", _moment(a["registered_at"] or ""),
         str(a["hosts"]), str(a["runs"]))
        for a in found
    ]  # fmt: skip
    return _print_table(("VERSION", "", "REGISTERED (UTC)", "HOSTS", "RUNS"), rows, "")


async def workflows(client: PolosClient, arguments: Arguments) -> int:
    found = await definitions.list_workflows(client, arguments.limit)
    if arguments.json:
        return _print_json(found)
    rows = [
        (w["id"], str(w["hosts"]), w["deployment_id"], w["queue_name"] or "",
         w["schedule"] or w["trigger_on_event"] or "")
        for w in found
    ]  # fmt: skip
    columns = ("WORKFLOW", "HOSTS", "DEPLOYMENT", "QUEUE", "STARTED BY")
    return _print_table(columns, rows, "no host has offered a workflow")


async def hosts(client: PolosClient, arguments: Arguments) -> int:
    found = await definitions.list_hosts(client, arguments.deployment, arguments.limit)
    if arguments.json:
        return _print_json(found)
    rows = [
        (h["id"], h["deployment_id"], _standing(h), f"{h['tasks']}/{h['slots']}",
         _moment(h["connected_at"] or ""), _moment(h["heard_at"] or ""))
        for h in found
    ]  # fmt: skip
    columns = ("HOST", "DEPLOYMENT", "STANDING", "TASKS", "SINCE (UTC)", "HEARD (UTC)")
    return _print_table(columns, rows, "no host is there")


def _standing(host: dict[str, Any]) -> str:
    if host["draining"]:
        return "draining"
    return "connected" if host["connected"] else "away"


async def tools(client: PolosClient, arguments: Arguments) -> int:
    found = await definitions.list_tools(client, arguments.limit)
    if arguments.json:
        return _print_json(found)
    rows = [
        (t["id"], str(t["hosts"]), t["deployment_id"], _shortened(t["description"])) for t in found
    ]
    columns = ("TOOL", "HOSTS", "DEPLOYMENT", "DESCRIPTION")
    return _print_table(columns, rows, "no host has offered a tool")


async def show(client: PolosClient, arguments: Arguments) -> int:
    run = without_secrets(await client.get_execution(await _run_id(client, arguments.run)))
    if arguments.json:
        return _print_json(run)
    waiting = run.pop("waiting")
    if not run["usage"]["total_tokens"]:
        del run["usage"]
    for name, value in run.items():
        if value not in (None, False, [], {}):
            print(f"{name:<19} {_shortened(value)}")
    for wait in waiting:
        about = one_line(f"{wait['kind']} {wait['name']}".strip())
        print(f"{'waits for':<19} {about}: {_shortened(wait['message'])}")
    if run["status"] == "failed":
        _print_stack((await client.history(run["id"])).stack())
    return DONE


async def history(client: PolosClient, arguments: Arguments) -> int:
    found = await client.history(await _run_id(client, arguments.run))
    if arguments.json:
        print(found.json())
        return DONE
    print(found.text(arguments.characters))
    _print_stack(found.stack())
    return DONE


async def watch(client: PolosClient, arguments: Arguments) -> int:
    run = await _run_id(client, arguments.run)
    if arguments.tree:
        await _watch_tree(client, run, arguments)
    else:
        words = Words(arguments.characters)
        if not arguments.json:
            print(words.header())
        async for event in client.watch(run):
            told = without_secrets(event.model_dump())
            print(json.dumps(told) if arguments.json else words.line(event), flush=True)
    status = (await client.get_execution(run))["status"]
    return DONE if status == "completed" else REFUSED


async def _watch_tree(client: PolosClient, root: str, arguments: Arguments) -> None:
    """Each line begins with the run it is of."""
    words: dict[str, Words] = {}
    if not arguments.json:
        print(f"{'RUN':<8}  {Words(arguments.characters).header()}")
    async for run, event in client.watch_tree(root):
        of = words.setdefault(run, Words(arguments.characters))
        told = {"execution_id": run, **without_secrets(event.model_dump())}
        line = json.dumps(told) if arguments.json else f"{short(run)}  {of.line(event)}"
        print(line, flush=True)
        if event.type in _LAST_FACTS:
            del words[run]


async def suspended(client: PolosClient, arguments: Arguments) -> int:
    run = await _run_id(client, arguments.run) if arguments.run else ""
    found = await client.list_suspensions(run, arguments.limit)
    if arguments.json:
        return _print_json([without_secrets(s.model_dump(mode="json")) for s in found])
    rows = [
        (short(each.run_id), each.step_key, f"{each.since:%Y-%m-%d %H:%M:%S}", each.name,
         _shortened(without_secrets(each.data)))
        for each in found
    ]  # fmt: skip
    columns = ("RUN", "KEY", "SINCE (UTC)", "NAME", "SHOWS")
    return _print_table(columns, rows, "nothing waits for an answer")


# ---- deeds ----


async def drain(client: PolosClient, arguments: Arguments) -> int:
    host = await definitions.drain_host(client, arguments.host)
    return _print_json(host) if arguments.json else DONE


async def forget(client: PolosClient, arguments: Arguments) -> int:
    if arguments.version and arguments.kind != "agent":
        raise InvalidArgumentError("only agents have versions", field="version")
    if arguments.kind == "agent":
        await definitions.delete_agent(client, arguments.name, arguments.version)
    elif arguments.kind == "workflow":
        await definitions.delete_workflow(client, arguments.name)
    else:
        await definitions.delete_tool(client, arguments.name)
    return DONE


async def run(client: PolosClient, arguments: Arguments) -> int:
    options = StartOptions(
        session_id=arguments.session,
        user_id=arguments.user,
        timeout=arguments.timeout,
        queue=arguments.queue,
        concurrency_key=arguments.key,
        priority=arguments.priority,
        idempotency_key=arguments.idempotency_key,
    )
    kind, name = arguments.kind, arguments.name
    handle = await client._start_by_name(kind, name, _input_of(arguments), options)
    if arguments.detach:
        return _print_json({"id": handle.id}) if arguments.json else _print_lines([handle.id])
    print(f"run {handle.id}", file=sys.stderr)
    told = None
    try:
        if arguments.kind == "agent" and not arguments.json:
            await _print_text(client, handle)
        else:
            told = await handle.result(client)
    except asyncio.CancelledError:
        print(f"polos: the run goes on; polos watch {short(handle.id)}", file=sys.stderr)
        raise
    except (RunFailedError, WorkflowTimeoutError) as error:
        if arguments.json:
            _print_json(without_secrets(await client.get_execution(handle.id)))
        return complain(str(error))
    if arguments.json:
        return _print_json(without_secrets(await client.get_execution(handle.id)))
    return DONE if arguments.kind == "agent" else _print_json(told)


async def resume(client: PolosClient, arguments: Arguments) -> int:
    run = await _run_id(client, arguments.run)
    told = await client.resume("", run, arguments.key, arguments.data, arguments.by)
    if arguments.json:
        _print_json({"accepted": told.accepted, "kept": told.kept})
        return DONE if told.accepted else REFUSED
    if not told.accepted:
        return complain(f"{arguments.key!r} had been answered; nothing has changed")
    print(f"kept until the run asks at {arguments.key!r}" if told.kept else "answered")
    return DONE


async def send(client: PolosClient, arguments: Arguments) -> int:
    run = await _run_id(client, arguments.run)
    sent = await client.send(run, arguments.text, idempotency_key=arguments.key)
    if arguments.json:
        _print_json({"id": run, "input_id": sent})
    else:
        print(f"input {sent}: the model is told at its next turn")
    return DONE


async def cancel(client: PolosClient, arguments: Arguments) -> int:
    run = await _run_id(client, arguments.run)
    is_new = await client.cancel_execution(run, arguments.cause)
    if arguments.json:
        _print_json({"id": run, "cancelled": is_new})
    elif is_new:
        print("cancelled; code that has begun may clean up first")
    else:
        return complain("the run had ended; nothing has changed")
    return DONE if is_new else REFUSED


async def delete(client: PolosClient, arguments: Arguments) -> int:
    run = await _run_id(client, arguments.run)
    await client.delete_execution(run)
    told = {"id": run, "deleted": True}
    return _print_json(told) if arguments.json else _print_lines(["deleted"])


async def retry(client: PolosClient, arguments: Arguments) -> int:
    started = await client.retry(await _run_id(client, arguments.run))
    return _print_json({"id": started.id}) if arguments.json else _print_lines([started.id])


async def fork(client: PolosClient, arguments: Arguments) -> int:
    started = await client.fork(await _run_id(client, arguments.run), arguments.after_seq)
    return _print_json({"id": started.id}) if arguments.json else _print_lines([started.id])


# ---- ids ----


def short(run_id: str) -> str:
    """What stands for an id in a table, and is taken for it by all commands."""
    return run_id[-SHORT_CHARACTERS:]


async def _run_id(client: PolosClient, text: str) -> str:
    """The whole id of one that may be its beginning or its end. Raises PolosError when it is that
    of no run or of several."""
    if _WHOLE_ID.fullmatch(text):
        return text
    if not _PART_OF_ID.fullmatch(text):
        raise InvalidArgumentError(
            f"{text!r} is no id of a run: give it whole, or {SHORTEST_CHARACTERS} characters or "
            "more of its beginning or end",
            field="run_id",
        )
    part = text.lower()
    newest = await client.list_executions(limit=SEARCHED_RUNS)
    found = [r["id"] for r in newest if r["id"].endswith(part) or r["id"].startswith(part)]
    if not found:
        raise PolosError(
            f"none of the newest {SEARCHED_RUNS:,} runs has an id that begins or ends with "
            f"{text!r}: give the whole id",
            reason="RUN_NOT_FOUND",
        )
    if len(found) > 1:
        some = ", ".join(found[:3]) + (", ..." if len(found) > 3 else "")
        raise PolosError(f"{text!r} may be any of {len(found)} runs: {some}")
    return str(found[0])


# ---- what is read and printed ----


def _input_of(arguments: Arguments) -> Any:
    """An agent's is a text, or messages as JSON; all others' is JSON."""
    text = arguments.input
    if arguments.kind == "agent" and not (text or "").lstrip().startswith("[{"):
        return text or ""
    return None if text is None else json_of(text)


def json_of(text: str) -> Any:
    """The value of a word of a command line. Raises argparse.ArgumentTypeError."""
    try:
        return json.loads(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(
            f"{text!r} is no JSON ({error}); a text needs quotes of its own: '\"yes\"'"
        ) from None


async def _print_text(client: PolosClient, handle: Any) -> None:
    """What an agent says, as it says it."""
    agent = _Unknown(handle.workflow_id)
    async for chunk in StreamResult(client, agent, handle).text_chunks:
        print(chunk, end="", flush=True)
    print()


class _Unknown:
    """An agent of which only the server knows more than its id."""

    kind = "agent"
    output_schema: type[BaseModel] | None = None
    tools: list[Any] = []

    def __init__(self, id: str) -> None:
        self.id = id


def _print_table(header: Sequence[str], rows: Sequence[Sequence[Any]], none: str) -> int:
    """Columns as wide as they must be, the last one as it is. Of no rows: nothing, and to people
    the sentence `none`."""
    if not rows:
        return complain(none, DONE)
    lines = [header, *([one_line(cell) for cell in row] for row in rows)]
    widths = [max(len(line[n]) for line in lines) for n in range(len(header) - 1)]
    for line in lines:
        padded = [f"{cell:<{width}}" for cell, width in zip(line, widths)]
        print("  ".join([*padded, line[-1]]).rstrip())
    return DONE


def _print_json(value: Any) -> int:
    print(json.dumps(value, indent=2, ensure_ascii=False))
    return DONE


def _print_lines(lines: Iterable[str]) -> int:
    for line in lines:
        print(line)
    return DONE


def _print_stack(stack: str) -> None:
    if stack:
        print(f"\n{stack.rstrip()}")


def _moment(iso_time: str) -> str:
    return iso_time[:19].replace("T", " ")


def _shortened(value: Any) -> str:
    text = one_line(value if isinstance(value, str) else json.dumps(value, ensure_ascii=False))
    most = PAYLOAD_CHARACTERS
    return text if len(text) <= most else text[: most - 3] + "..."


def complain(why: str, code: int = REFUSED) -> int:
    """Says why nothing came of a command; its exit code."""
    print(f"polos: {why}", file=sys.stderr)
    return code
