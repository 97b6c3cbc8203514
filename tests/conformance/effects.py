"""Where the effects of programs are done: an HTTP server that counts, holds and answers them."""

from __future__ import annotations

import json
import threading
from collections import Counter
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

WAIT_SECONDS = 30


class Effects:
    """Effects by their names. What a scenario says of one, each of them optional:

    hold    which of its tries wait until they are let go: the first so many, those of a list,
            or all (true)
    raise   how it fails ("boom", "nonretryable", ...), with `message`
    fails   only so many tries fail
    value   what it gives; default: how often it was tried
    """

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self._said: dict[str, dict[str, Any]] = {}
        self._changed = threading.Condition()
        self._held: Counter[str] = Counter()  # how many wait
        self._open: Counter[str] = Counter()  # how many may go on
        self._life = 0  # of the scenario: what is held for an earlier one goes on
        effects = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                length = int(self.headers["Content-Length"])
                told = json.loads(self.rfile.read(length))
                body = json.dumps(effects.done(told["key"])).encode()
                self.send_response(200)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *about: Any) -> None:
                pass

        class Server(ThreadingHTTPServer):
            daemon_threads = True

            def handle_error(self, *about: Any) -> None:
                """Whoever asked may have been killed meanwhile."""

        self._server = Server(("127.0.0.1", 0), Handler)
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_port}/"

    def begin(self, said: dict[str, dict[str, Any]]) -> None:
        """Forgets the scenario before, and takes what the next one says."""
        with self._changed:
            self._life += 1
            self._said = said
            for counter in (self.counts, self._held, self._open):
                counter.clear()
            self._changed.notify_all()

    def close(self) -> None:
        self.begin({})
        self._server.shutdown()
        self._server.server_close()

    def done(self, key: str) -> dict[str, Any]:
        """What becomes of a try; returns when it is not held (any more)."""
        with self._changed:
            said, life = self._said.get(key, {}), self._life
            self.counts[key] += 1
            self._changed.notify_all()
            number = self.counts[key]
            hold = said.get("hold", 0)
            if hold is True or (number in hold if isinstance(hold, list) else number <= hold):
                self._held[key] += 1
                self._changed.notify_all()
                self._changed.wait_for(lambda: self._open[key] > 0 or self._life != life)
                if self._life == life:
                    self._open[key] -= 1
                    self._held[key] -= 1
        if "raise" in said and number <= said.get("fails", number):
            return {"raise": said["raise"], "message": said.get("message", "")}
        return {"value": said.get("value", number)}

    def wait_held(self, key: str, tries: int = 1) -> None:
        """Returns once so many tries have been held, and the last one is."""
        with self._changed:
            here = self._changed.wait_for(
                lambda: self._held[key] > 0 and self.counts[key] >= tries, WAIT_SECONDS
            )
            assert here, f"effect {key} was never held: {dict(self.counts)}"

    def wait_done(self, key: str, tries: int = 1) -> None:
        """Returns once it was tried so often."""
        with self._changed:
            here = self._changed.wait_for(lambda: self.counts[key] >= tries, WAIT_SECONDS)
            assert here, f"effect {key} was not done: {dict(self.counts)}"

    def open(self, key: str) -> None:
        """Lets one go on that is held, or the next one to be."""
        with self._changed:
            self._open[key] += 1
            self._changed.notify_all()
