#!/usr/bin/env python3
"""Runs the public example programs of Polos as they are, and prints a table; see README.md.

The model is simulated: it calls the first tool it is offered, once, with arguments that fit the
tool's schema, and then answers with text, or with JSON that fits the schema it is asked for.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

WORKSPACE = Path(__file__).resolve().parents[2]
SECONDS = int(os.environ.get("POLOS_EXAMPLE_SECONDS", "60"))
# For programs that ask somebody at the terminal.
ANSWERS = {
    "04": "What time is it?\nAnd the weather?\nquit\n",
    "09": "1\n\n\n\n\ny\nann\nfine\n" + "4\n" * 20,
    "17": "500\n" + "y\n" * 20,
}
# Node's readline drops what comes before it is asked for.
SLOWLY = 'sleep 4; for line; do echo "$line" 2>/dev/null || exit 0; sleep 1; done | '
LATER = {  # what these need comes with later features
    "18": "sandbox",
    "19": "sandbox", "20": "web search", "21": "sandbox", "22": "sandbox", "23": "Slack",
    "24": "sandbox",
}


def sample(schema: dict[str, Any]) -> Any:
    """A value that fits a JSON Schema."""
    if "enum" in schema:
        return schema["enum"][0]
    for way in ("anyOf", "oneOf", "allOf"):
        if schema.get(way):
            return sample(schema[way][0])
    kind = schema.get("type", "string")
    kind = kind[0] if isinstance(kind, list) else kind
    if kind == "object":
        return {name: sample(each) for name, each in schema.get("properties", {}).items()}
    simple = {"array": [], "integer": 1, "number": 1.0, "boolean": True, "null": None}
    return simple.get(kind, "something")


def reply(body: dict[str, Any]) -> tuple[dict[str, Any], str]:
    """The delta and the finish reason of an answer to a request."""
    called = any(message["role"] == "tool" for message in body["messages"])
    if body.get("tools") and not called:
        function = body["tools"][0]["function"]
        arguments = json.dumps(sample(function.get("parameters") or {"type": "object"}))
        call = {"name": function["name"], "arguments": arguments}
        calls = [{"index": 0, "id": "call_1", "type": "function", "function": call}]
        return {"tool_calls": calls}, "tool_calls"
    wanted = (body.get("response_format") or {}).get("json_schema")
    text = json.dumps(sample(wanted["schema"])) if wanted else "It is all well."
    return {"content": text}, "stop"


def messages_events(body: dict[str, Any]) -> list[dict[str, Any]]:
    """The same as reply(), as Anthropic streams it."""
    parts = [p for m in body["messages"] if isinstance(m["content"], list) for p in m["content"]]
    if body.get("tools") and not any(part["type"] == "tool_result" for part in parts):
        name = body["tools"][0]["name"]
        text = json.dumps(sample(body["tools"][0]["input_schema"]))
        block = {"type": "tool_use", "id": "call_1", "name": name, "input": {}}
        delta, reason = {"type": "input_json_delta", "partial_json": text}, "tool_use"
    else:
        block = {"type": "text", "text": ""}
        delta, reason = {"type": "text_delta", "text": "It is all well."}, "end_turn"
    message = {"id": "m", "model": body["model"], "usage": {"input_tokens": 1}}
    return [
        {"type": "message_start", "message": message},
        {"type": "content_block_start", "index": 0, "content_block": block},
        {"type": "content_block_delta", "index": 0, "delta": delta},
        {"type": "content_block_stop", "index": 0},
        {"type": "message_delta", "delta": {"stop_reason": reason}, "usage": {"output_tokens": 1}},
        {"type": "message_stop"},
    ]


def responses_events(body: dict[str, Any]) -> list[dict[str, Any]]:
    """The same as reply(), as OpenAI streams Responses."""
    called = any(item.get("type") == "function_call_output" for item in body["input"])
    if body.get("tools") and not called:
        function = body["tools"][0]
        text = json.dumps(sample(function.get("parameters") or {"type": "object"}))
        whole = {"type": "function_call", "call_id": "call_1", "name": function["name"],
                 "arguments": text}
        begun, kind = {**whole, "arguments": ""}, "response.function_call_arguments.delta"
    else:
        wanted = (body.get("text") or {}).get("format") or {}
        text = json.dumps(sample(wanted["schema"])) if "schema" in wanted else "It is all well."
        part = {"type": "output_text", "text": text}
        whole = {"type": "message", "role": "assistant", "content": [part]}
        begun, kind = {**whole, "content": []}, "response.output_text.delta"
    usage = {"input_tokens": 1, "output_tokens": 1, "total_tokens": 2}
    last = {"status": "completed", "output": [whole], "usage": usage}
    return [
        {"type": "response.created", "response": {"id": "resp_1", "model": body["model"]}},
        {"type": "response.output_item.added", "output_index": 0, "item": begun},
        {"type": kind, "output_index": 0, "delta": text},
        {"type": "response.output_item.done", "output_index": 0, "item": whole},
        {"type": "response.completed", "response": last},
    ]


class Model(BaseHTTPRequestHandler):
    """An endpoint that speaks OpenAI's Responses and Chat Completions and Anthropic's Messages."""

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.end_headers()
        if self.path.endswith("/messages"):
            for event in messages_events(body):
                line = f"event: {event['type']}\ndata: {json.dumps(event)}\n\n"
                self.wfile.write(line.encode())
            return
        if self.path.endswith("/responses"):
            for event in responses_events(body):
                self.wfile.write(f"data: {json.dumps(event)}\n\n".encode())
            return
        delta, reason = reply(body)
        for part, end in ((delta, None), ({}, reason)):
            choice = {"index": 0, "delta": part, "finish_reason": end}
            chunk = {"id": "c", "object": "chat.completion.chunk", "choices": [choice]}
            self.wfile.write(f"data: {json.dumps(chunk)}\n\n".encode())
        self.wfile.write(b"data: [DONE]\n\n")

    def log_message(self, *arguments: Any) -> None:
        """Says nothing."""


def start_server(folder: Path, model: str) -> tuple[subprocess.Popen[str], str]:
    program = os.environ.get("POLOSD") or str(WORKSPACE / "out/bin/service/polosd")
    server = subprocess.Popen(
        [program, "--listen", "127.0.0.1:0", "--data", str(folder / "data")],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env={
            **os.environ,
            "OPENAI_BASE_URL": model,
            "OPENAI_API_KEY": "sk-simulated",
            "ANTHROPIC_BASE_URL": model,
            "ANTHROPIC_API_KEY": "sk-simulated",
        },
    )
    assert server.stdout is not None
    found = re.search(r"address=(\S+)", server.stdout.readline())
    assert found, "polosd did not start"
    return server, f"http://{found[1]}"


def main_of(example: Path) -> Path:
    """The program of a folder."""
    names = ("main.py", "chat.py", "main.ts", "chat.ts")
    return next(p for n in names if (p := example / n).exists())


def command_of(program: Path, folder: Path) -> list[str]:
    """How it is run, and where: TypeScript in a copy, beside the packages it needs."""
    if program.suffix == ".py":
        return [sys.executable, program.name]
    modules = os.environ.get("POLOS_EXAMPLE_MODULES", "")
    assert modules, "set POLOS_EXAMPLE_MODULES to a node_modules: see README.md"
    shutil.copytree(program.parent, folder / "example")
    (folder / "node_modules").symlink_to(modules)
    return ["node", str(Path(modules) / "tsx" / "dist" / "cli.mjs"), program.name]


def run(example: Path, model: str) -> str:
    """What became of a program: "runs", or why it did not."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "dotenv.py").write_text("def load_dotenv(*a, **k):\n    return True\n")
        server, url = start_server(folder, model)
        paths = [str(WORKSPACE / "clients/python"), str(folder)]
        environment = {**os.environ, "POLOS_API_URL": url, "PYTHONPATH": os.pathsep.join(paths)}
        environment.update(POLOS_PROJECT_ID="p", OPENAI_API_KEY="k", PYTHONDONTWRITEBYTECODE="1")
        command = command_of(main_of(example), folder)
        where = folder / "example" if command[0] == "node" else example
        answers = ANSWERS.get(example.name[:2], "y\n" * 20)
        if command[0] == "node" and example.name[:2] in ANSWERS:
            answers = answers if example.name[:2] != "17" else "500\n" * 20  # it asks once
            command = ["sh", "-c", SLOWLY + shlex.join(command), "sh", *answers.splitlines()]
        try:
            told = subprocess.run(
                command,
                cwd=where,
                input=answers,
                capture_output=True,
                text=True,
                timeout=SECONDS,
                env=environment,
            )
        except subprocess.TimeoutExpired as late:
            shown = late.stdout or b""
            lines = (shown.decode() if isinstance(shown, bytes) else shown).strip().splitlines()
            return f"no end in {SECONDS} s; last: {lines[-1] if lines else '(nothing)'}"
        finally:
            server.kill()
            server.wait()
    lines = told.stderr.strip().splitlines()
    failed = told.returncode != 0 or "Traceback" in told.stdout
    if main_of(example).suffix == ".ts":  # they catch their errors, and print them
        lines = [line for line in lines if re.match(r"\s*(\w*Error|.*\w+Error:)", line)][:1]
        failed = failed or bool(lines)
    return (lines[-1] if lines else f"exit code {told.returncode}") if failed else "runs"


def main() -> int:
    folder = os.environ.get("POLOS_EXAMPLES")
    if not folder:
        print("set POLOS_EXAMPLES to the folder of the examples", file=sys.stderr)
        return 2
    http = ThreadingHTTPServer(("127.0.0.1", 0), Model)
    threading.Thread(target=http.serve_forever, daemon=True).start()
    model = f"http://127.0.0.1:{http.server_address[1]}/v1"
    broken = 0
    for example in sorted(Path(folder).glob("[0-9][0-9]-*")):
        number = example.name[:2]
        if sys.argv[1:] and not any(example.name.startswith(name) for name in sys.argv[1:]):
            continue
        found = run(example, model)
        later = LATER.get(number, "")
        if number == "04" and main_of(example).suffix == ".ts":
            later = "compaction"
        broken += found != "runs" and not later
        print(f"{example.name:<24} {later:<12} {found[:160]}", flush=True)
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
