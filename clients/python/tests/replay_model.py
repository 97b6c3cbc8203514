"""A SIMULATED model: OpenAI's Responses and Chat Completions, playing a script.

Each request takes the next turn of the script; requests are kept for the test to look at.
"""

from __future__ import annotations

import json
import threading
import time
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

KEY = "sk-simulated"


@dataclass
class Turn:
    """What one call answers: text, tool calls (name, arguments text), or an HTTP error."""

    text: str = ""
    tool_calls: list[tuple[str, str]] = field(default_factory=list)
    status: int = 200
    error: str = ""
    delay: float = 0.0  # seconds between chunks


class ReplayModel:
    """Order: start(); script; stop()."""

    def __init__(self) -> None:
        self.script: list[Turn] = []
        self.requests: list[dict[str, Any]] = []
        self.headers: list[dict[str, str]] = []
        self._lock = threading.Lock()
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:  # noqa: N802 (http.server's name)
                outer._answer(self)

            def log_message(self, *args: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}/v1"

    @property
    def environment(self) -> dict[str, str]:
        """For the server under test."""
        return {"OPENAI_API_KEY": KEY, "OPENAI_BASE_URL": self.url}

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    def _answer(self, handler: BaseHTTPRequestHandler) -> None:
        body = json.loads(handler.rfile.read(int(handler.headers["Content-Length"])))
        with self._lock:
            self.requests.append({"path": handler.path, **body})
            self.headers.append({k.lower(): v for k, v in handler.headers.items()})
            turn = self.script.pop(0) if self.script else Turn(status=500, error="script ended")
        if turn.status != 200:
            self._send(handler, turn.status, json.dumps({"error": {"message": turn.error}}))
        elif body.get("stream"):
            self._stream(handler, turn, handler.path.endswith("/responses"))
        else:
            message = {"role": "assistant", "content": turn.text}
            choice = {"index": 0, "message": message, "finish_reason": "stop"}
            self._send(handler, 200, json.dumps({"choices": [choice], "usage": USAGE}))

    def _send(self, handler: BaseHTTPRequestHandler, status: int, text: str) -> None:
        handler.send_response(status)
        handler.send_header("Content-Type", "application/json")
        handler.send_header("Content-Length", str(len(text.encode())))
        handler.end_headers()
        handler.wfile.write(text.encode())

    def _stream(self, handler: BaseHTTPRequestHandler, turn: Turn, is_responses: bool) -> None:
        handler.send_response(200)
        handler.send_header("Content-Type", "text/event-stream")
        handler.send_header("Connection", "close")
        handler.end_headers()
        try:
            for chunk in _events(turn) if is_responses else _chunks(turn):
                handler.wfile.write(f"data: {json.dumps(chunk)}\n\n".encode())
                handler.wfile.flush()
                if turn.delay:
                    time.sleep(turn.delay)
            if not is_responses:
                handler.wfile.write(b"data: [DONE]\n\n")
        except (BrokenPipeError, ConnectionResetError):
            pass  # the server was killed, as some tests want
        handler.close_connection = True


USAGE = {"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15}


def _events(turn: Turn) -> list[dict[str, Any]]:
    """The stream of Responses: each item begins, grows and ends."""
    events: list[dict[str, Any]] = [
        {"type": "response.created", "response": {"id": "resp_1", "model": "simulated"}}
    ]
    items: list[dict[str, Any]] = []
    for number, (name, arguments) in enumerate(turn.tool_calls):
        call = {"type": "function_call", "call_id": f"call_{number}", "name": name}
        items.append({**call, "arguments": arguments})
    if turn.text:
        part = {"type": "output_text", "text": turn.text}
        items.append({"type": "message", "role": "assistant", "content": [part]})
    for at, item in enumerate(items):
        begun = {**item, **({"arguments": ""} if "arguments" in item else {"content": []})}
        events.append({"type": "response.output_item.added", "output_index": at, "item": begun})
        if item["type"] == "message":
            words = turn.text.split(" ")
            deltas = [word if i == 0 else f" {word}" for i, word in enumerate(words)]
            kind = "response.output_text.delta"
        else:
            deltas, kind = [item["arguments"]], "response.function_call_arguments.delta"
        events += [{"type": kind, "output_index": at, "delta": delta} for delta in deltas]
        events.append({"type": "response.output_item.done", "output_index": at, "item": item})
    usage = {"input_tokens": 10, "output_tokens": 5, "total_tokens": 15}
    last = {"status": "completed", "output": items, "usage": usage}
    return [*events, {"type": "response.completed", "response": last}]


def _chunks(turn: Turn) -> list[dict[str, Any]]:
    words = turn.text.split(" ") if turn.text else []
    deltas: list[dict[str, Any]] = [{"role": "assistant", "content": ""}]
    deltas += [{"content": w if i == 0 else f" {w}"} for i, w in enumerate(words)]
    for index, (name, arguments) in enumerate(turn.tool_calls):
        function = {"name": name, "arguments": arguments}
        call = {"index": index, "id": f"call_{index}", "type": "function", "function": function}
        deltas.append({"tool_calls": [call]})
    base = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "model": "simulated"}
    chunks: list[dict[str, Any]] = [
        {**base, "choices": [{"index": 0, "delta": delta, "finish_reason": None}]}
        for delta in deltas
    ]
    reason = "tool_calls" if turn.tool_calls else "stop"
    chunks.append({**base, "choices": [{"index": 0, "delta": {}, "finish_reason": reason}]})
    chunks.append({**base, "choices": [], "usage": USAGE})
    return chunks
