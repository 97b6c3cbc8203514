"""Looks at runs and answers them, from a shell: `python -m polos --help`."""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import sys
from collections.abc import Awaitable, Callable
from typing import Any

from .client import PolosClient
from .errors import PolosError, UnavailableError
from .history import PAYLOAD_CHARACTERS, one_line, without_secrets

DONE, REFUSED, WRONG_USE, UNREACHABLE, INTERRUPTED = 0, 1, 2, 3, 130
EXIT_CODES = """exit codes: 0 done; 1 the server refused, or there was nothing to do; 2 wrong use;
3 no server at the address; 130 interrupted"""

Command = Callable[[PolosClient, argparse.Namespace], Awaitable[int]]


async def runs(client: PolosClient, arguments: argparse.Namespace) -> int:
    found = await client.list_executions(arguments.workflow, arguments.limit)
    if arguments.json:
        return _print_json([without_secrets(run) for run in found])
    for run in found:
        print(f"{run['id']}  {run['status']:<9}  {run['created_at'][:19]}  {run['workflow_id']}")
    return DONE


async def show(client: PolosClient, arguments: argparse.Namespace) -> int:
    run = without_secrets(await client.get_execution(arguments.run))
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
    return DONE


async def history(client: PolosClient, arguments: argparse.Namespace) -> int:
    found = await client.history(arguments.run)
    print(found.json() if arguments.json else found.text(arguments.characters))
    return DONE


async def suspended(client: PolosClient, arguments: argparse.Namespace) -> int:
    found = await client.list_suspensions(arguments.run or "", arguments.limit)
    if arguments.json:
        return _print_json([without_secrets(s.model_dump(mode="json")) for s in found])
    for each in found:
        print(
            f"{each.run_id}  {one_line(each.step_key)}  {each.since:%Y-%m-%dT%H:%M:%S}  "
            f"{each.name}  {_shortened(without_secrets(each.data))}"
        )
    return DONE


async def resume(client: PolosClient, arguments: argparse.Namespace) -> int:
    told = await client.resume("", arguments.run, arguments.key, arguments.data, arguments.by)
    if not told.accepted:
        return _complain(f"{arguments.key!r} had been answered; nothing has changed")
    if not told.kept:
        print("answered")
        return DONE
    print(f"kept until the run asks at {arguments.key!r}")
    return DONE


async def cancel(client: PolosClient, arguments: argparse.Namespace) -> int:
    if not await client.cancel_execution(arguments.run, arguments.cause):
        return _complain("the run had ended; nothing has changed")
    print("cancelled; code that has begun may clean up first")
    return DONE


async def retry(client: PolosClient, arguments: argparse.Namespace) -> int:
    print((await client.retry(arguments.run)).id)
    return DONE


async def fork(client: PolosClient, arguments: argparse.Namespace) -> int:
    print((await client.fork(arguments.run, arguments.after_seq)).id)
    return DONE


def main(words: list[str] | None = None) -> int:
    """Runs one command; its exit code."""
    arguments = _parser().parse_args(words)
    try:
        return asyncio.run(_run(arguments))
    except UnavailableError as error:
        return _complain(str(error), UNREACHABLE)
    except (PolosError, ValueError) as error:
        return _complain(str(error))
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:  # `| head` has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return DONE


async def _run(arguments: argparse.Namespace) -> int:
    async with PolosClient(api_url=arguments.server) as client:
        command: Command = arguments.command
        code = await command(client, arguments)
        sys.stdout.flush()
        return code


def _parser() -> argparse.ArgumentParser:
    everywhere = argparse.ArgumentParser(add_help=False)
    everywhere.add_argument(
        "--server", metavar="ADDR", help="default: $POLOS_API_URL, else http://localhost:8080"
    )
    as_json = argparse.ArgumentParser(add_help=False)
    as_json.add_argument("--json", action="store_true", help="all of it, as JSON")
    limited = argparse.ArgumentParser(add_help=False)
    limited.add_argument("--limit", type=_positive, default=50, help="lines at most (%(default)s)")

    parser = argparse.ArgumentParser(
        prog="python -m polos", description="Looks at runs and answers them.", epilog=EXIT_CODES
    )
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)

    def add(command: Command, what: str, *parents: argparse.ArgumentParser) -> Any:
        found = commands.add_parser(
            command.__name__, help=what, description=what, parents=[everywhere, *parents]
        )
        found.set_defaults(command=command)
        return found

    add(runs, "the newest runs", as_json, limited).add_argument(
        "--workflow", metavar="ID", default="", help="only of this workflow, agent or tool"
    )
    add(show, "a run as it stands", as_json).add_argument("run", metavar="RUN")
    of = add(history, "what happened in a run, a line each", as_json)
    of.add_argument("run", metavar="RUN")
    of.add_argument(
        "--characters",
        type=_positive,
        default=PAYLOAD_CHARACTERS,
        help="how many of each value are shown (%(default)s)",
    )
    add(suspended, "what waits for an answer", as_json, limited).add_argument(
        "run", metavar="RUN", nargs="?", help="only of this run"
    )
    of = add(resume, "answers a suspension")
    of.add_argument("run", metavar="RUN", help="the suspended run, or the top of its tree")
    of.add_argument("key", metavar="KEY", help="the step's key")
    of.add_argument("data", metavar="JSON", nargs="?", type=_json, help="the answer (null)")
    of.add_argument("--by", metavar="WHO", help="for the history; default: this machine")
    of = add(cancel, "cancels a run and the runs it started")
    of.add_argument("run", metavar="RUN")
    of.add_argument("--cause", default="", help="for the history")
    add(retry, "goes on with a failed run, as a new one; its id").add_argument(
        "run", metavar="RUN"
    )
    of = add(fork, "starts a new run from a point of another's history; its id")
    of.add_argument("run", metavar="RUN")
    of.add_argument("after_seq", metavar="SEQ", type=_positive, help="the last event to keep")
    return parser


def _positive(text: str) -> int:
    if not text.isascii() or not text.isdigit() or not 1 <= int(text) < 2**31:
        raise argparse.ArgumentTypeError(f"{text!r} is no number from 1 to {2**31 - 1}")
    return int(text)


def _json(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(
            f"{text!r} is no JSON ({error}); a text needs quotes of its own: '\"yes\"'"
        ) from None


def _print_json(value: Any) -> int:
    print(json.dumps(value, indent=2))
    return DONE


def _shortened(value: Any) -> str:
    text = one_line(value if isinstance(value, str) else json.dumps(value, ensure_ascii=False))
    most = PAYLOAD_CHARACTERS
    return text if len(text) <= most else text[: most - 3] + "..."


def _complain(why: str, code: int = REFUSED) -> int:
    print(f"polos: {why}", file=sys.stderr)
    return code


if __name__ == "__main__":
    sys.exit(main())
