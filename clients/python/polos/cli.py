"""The command line: looks at runs, starts and answers them. `polos --help`."""

from __future__ import annotations

import argparse
import asyncio
import os
import re
import sys
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta, timezone
from typing import Any

from . import _commands as commands
from ._commands import DONE, INTERRUPTED, UNREACHABLE, Arguments, complain, json_of
from ._run_models import KIND_WORDS, STATUS_WORDS
from .client import PolosClient
from .errors import PolosError, UnavailableError
from .history import PAYLOAD_CHARACTERS

EXIT_CODES = """exit codes: 0 done; 1 the server refused, the run failed, or there was nothing to
do; 2 wrong use; 3 no server at the address; 130 interrupted"""
UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}
RUN = "the id of a run, or its beginning or end (4 characters at least)"

Command = Callable[[PolosClient, Arguments], Awaitable[int]]


def main(words: list[str] | None = None) -> int:
    """Runs one command; its exit code."""
    try:
        return asyncio.run(_run(parsed(words)))
    except UnavailableError as error:
        return complain(str(error), UNREACHABLE)
    except (PolosError, ValueError, argparse.ArgumentTypeError) as error:
        return complain(str(error))
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:  # `| head` has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return DONE


def parsed(words: list[str] | None) -> Arguments:
    """What a command line says; ends the program, with the usage, when it says nothing."""
    return _parser().parse_args(words)


async def _run(arguments: Arguments) -> int:
    async with PolosClient(api_url=arguments.server) as client:
        command: Command = arguments.command
        code = await command(client, arguments)
        sys.stdout.flush()
        return code


# ---- what each command takes ----


class _Parser:
    """A parser of commands that all take --server and --json."""

    def __init__(self) -> None:
        self._everywhere = argparse.ArgumentParser(add_help=False)
        self._everywhere.add_argument(
            "--server", metavar="ADDR", help="default: $POLOS_API_URL, else http://localhost:8080"
        )
        self._everywhere.add_argument("--json", action="store_true", help="all of it, as JSON")
        is_module = os.path.basename(sys.argv[0]) == "__main__.py"
        self.whole = argparse.ArgumentParser(
            prog="python -m polos" if is_module else "polos",
            description="Looks at runs, starts and answers them.",
            epilog=EXIT_CODES,
        )
        self._commands = self.whole.add_subparsers(
            title="commands", metavar="COMMAND", required=True
        )

    def add(self, command: Command, what: str, *parents: argparse.ArgumentParser) -> Any:
        found = self._commands.add_parser(
            command.__name__, help=what, description=what, parents=[self._everywhere, *parents]
        )
        found.set_defaults(command=command)
        return found


def _parser() -> argparse.ArgumentParser:
    parser = _Parser()
    of_run = argparse.ArgumentParser(add_help=False)
    of_run.add_argument("run", metavar="RUN", help=RUN)
    limited = argparse.ArgumentParser(add_help=False)
    limited.add_argument("--limit", type=_positive, default=50, help="lines at most (%(default)s)")
    wide = argparse.ArgumentParser(add_help=False)
    wide.add_argument(
        "--characters",
        type=_positive,
        default=PAYLOAD_CHARACTERS,
        help="how many of each value are shown (%(default)s)",
    )
    _add_runs(parser.add(commands.runs, "the newest runs", limited))
    parser.add(commands.agents, "the agents that the server knows", limited).add_argument(
        "agent", metavar="AGENT", nargs="?", help="all versions of this one"
    )
    parser.add(commands.workflows, "the workflows that hosts offer or have offered", limited)
    parser.add(commands.hosts, "the processes that have dialled in", limited).add_argument(
        "--deployment", metavar="ID", default="", help="only those of this deployment"
    )
    parser.add(commands.tools, "the tools that hosts offer or have offered", limited)
    parser.add(commands.show, "a run as it stands", of_run)
    parser.add(commands.history, "what happened in a run, a line each", of_run, wide)
    parser.add(
        commands.watch, "what happens in a run, from its start to its end; 1 if it fails",
        of_run, wide,
    ).add_argument(
        "--tree", action="store_true", help="in the runs below it, too, until all have ended"
    )  # fmt: skip
    _add_run(parser.add(commands.run, "starts a run, waits for it and prints its result"))
    parser.add(commands.suspended, "what waits for an answer", limited).add_argument(
        "run", metavar="RUN", nargs="?", help="only of this run"
    )
    of = parser.add(commands.resume, "answers a suspension")
    of.add_argument("run", metavar="RUN", help="the suspended run, or the top of its tree")
    of.add_argument("key", metavar="KEY", help="the step's key")
    of.add_argument("data", metavar="JSON", nargs="?", type=json_of, help="the answer (null)")
    of.add_argument("--by", metavar="WHO", help="for the history; default: this machine")
    of = parser.add(commands.send, "says something to an agent's run while it works", of_run)
    of.add_argument("text", help="what the model is told at its next turn")
    of.add_argument("--key", default="", help="sent once under it")
    of = parser.add(commands.cancel, "cancels a run and the runs it started", of_run)
    of.add_argument("--cause", default="", help="for the history")
    parser.add(commands.delete, "deletes a run that has ended, with the runs below it", of_run)
    parser.add(commands.retry, "goes on with a failed run, as a new one; its id", of_run)
    of = parser.add(commands.drain, "gives a host nothing new; what it holds it ends")
    of.add_argument("host", metavar="HOST")
    of = parser.add(commands.forget, "forgets an agent, a workflow or a tool that nobody uses")
    of.add_argument("kind", choices=("agent", "workflow", "tool"))
    of.add_argument("name", metavar="NAME")
    of.add_argument("--version", metavar="HASH", default="", help="only this one of an agent")
    of = parser.add(
        commands.fork, "starts a new run from a point of another's history; its id", of_run
    )
    of.add_argument("after_seq", metavar="SEQ", type=_positive, help="the last event to keep")
    return parser.whole


def _add_runs(of: Any) -> None:
    of.add_argument("--ids", action="store_true", help="whole ids alone, one a line")
    kinds = [word for word in KIND_WORDS.values() if word]
    statuses = [word for word in STATUS_WORDS.values() if word != "unknown"]
    of.add_argument("--kind", choices=kinds, default="")
    of.add_argument("--status", choices=statuses, default="")
    for name, what in (
        ("--name", "only of this workflow, agent or tool"),
        ("--parent", "only those that this run started"),
        ("--root", "only those of the tree of this run"),
        ("--schedule", "only those that this schedule started: NAME/KEY"),
        ("--session", "only of this session"),
        ("--user", "only of this user"),
        ("--conversation", "only of this conversation"),
        ("--deployment", "only those that stay with this deployment"),
    ):
        is_run = name in ("--parent", "--root")
        of.add_argument(name, metavar="RUN" if is_run else "ID", default="", help=what)
    of.add_argument("--roots", action="store_true", help="only those that no other run started")
    when = "2h, 7d or 2026-01-31T12:00 (UTC): only those started "
    of.add_argument("--since", metavar="TIME", type=_time, help=when + "then or later")
    of.add_argument("--until", metavar="TIME", type=_time, help=when + "before")


def _add_run(of: Any) -> None:
    of.add_argument("name", metavar="NAME", help="a workflow; or a tool or agent, as the next say")
    of.add_argument(
        "input", metavar="INPUT", nargs="?", help="JSON (null); an agent's is a text, or messages"
    )
    kind = of.add_mutually_exclusive_group()
    for word in ("agent", "tool"):
        kind.add_argument(f"--{word}", dest="kind", action="store_const", const=word)
    of.set_defaults(kind="workflow")
    of.add_argument("--detach", action="store_true", help="only start it, and print its id")
    of.add_argument("--timeout", metavar="SECONDS", type=float, help="what the run may take")
    of.add_argument("--session", metavar="ID")
    of.add_argument("--user", metavar="ID")
    of.add_argument("--queue", metavar="NAME", help="the queue it waits in")
    of.add_argument("--key", metavar="KEY", help="whose turn it is within the queue")
    of.add_argument("--priority", metavar="N", type=int, help="higher ones go first")
    of.add_argument(
        "--idempotency-key", metavar="KEY", help="the same key finds the run it started first"
    )


def _positive(text: str) -> int:
    if not text.isascii() or not text.isdigit() or not 1 <= int(text) < 2**31:
        raise argparse.ArgumentTypeError(f"{text!r} is no number from 1 to {2**31 - 1}")
    return int(text)


def _time(text: str) -> datetime:
    """ "2h": so long ago; else ISO 8601, in UTC unless it says otherwise."""
    ago = re.fullmatch(r"(\d{1,6})([smhdw])", text)
    if ago:
        seconds = int(ago[1]) * UNITS[ago[2]]
        return datetime.now(timezone.utc) - timedelta(seconds=seconds)
    try:
        time = datetime.fromisoformat(re.sub("[zZ]$", "+00:00", text))
    except ValueError:
        raise argparse.ArgumentTypeError(
            f"{text!r} is no time: write 2h, 30m, 7d, or 2026-01-31T12:00"
        ) from None
    return time if time.tzinfo is not None else time.replace(tzinfo=timezone.utc)
