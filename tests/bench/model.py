#!/usr/bin/env python3
"""model: a model behind HTTP that costs as little as one can, to see what is polosd's.

    model.py     prints its URL, ends with its standard input

Speaks the streamed chat completions that agents ask for: first a call of `bench_tool`, and a text
once a tool has answered. It answers at once; there is no model here.
"""
import asyncio
import json
import sys

CALL = {"tool_calls": [{"index": 0, "id": "call_1", "type": "function", "function": {
    "name": "bench_tool", "arguments": '{"city": "NYC"}'}}]}
TEXT = {"content": "The weather in NYC is sunny."}


def answer(delta, reason):
    chunks = [{"choices": [{"index": 0, "delta": delta, "finish_reason": None}]},
              {"choices": [{"index": 0, "delta": {}, "finish_reason": reason}]}]
    body = "".join(f"data: {json.dumps(chunk)}\n\n" for chunk in chunks) + "data: [DONE]\n\n"
    head = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n"
    return f"{head}content-length: {len(body)}\r\n\r\n{body}".encode()


ANSWERS = {False: answer(CALL, "tool_calls"), True: answer(TEXT, "stop")}


class Connection(asyncio.Protocol):
    """One connection: a request after the other."""

    def connection_made(self, transport):
        self.transport = transport
        self.unread = b""

    def data_received(self, data):
        self.unread += data
        while (request := self.take()) is not None:
            self.transport.write(ANSWERS[b'"role":"tool"' in request.replace(b" ", b"")])

    def take(self):
        """The body of the next whole request, None: it is not all there."""
        head, blank, rest = self.unread.partition(b"\r\n\r\n")
        if not blank:
            return None
        lines = head.lower().split(b"\r\n")
        size = next(int(line[15:]) for line in lines if line.startswith(b"content-length:"))
        if len(rest) < size:
            if b"expect: 100-continue" in lines and not rest:
                self.transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")
            return None
        self.unread = rest[size:]
        return rest[:size]


async def main():
    loop = asyncio.get_running_loop()
    server = await loop.create_server(Connection, "127.0.0.1", 0)
    host, port = server.sockets[0].getsockname()
    print(f"http://{host}:{port}/v1", flush=True)
    await loop.run_in_executor(None, sys.stdin.read)


if __name__ == "__main__":
    asyncio.run(main())
