"""A server, a driver that hosts for it, and where their effects are done."""

from __future__ import annotations

import contextlib
import functools
import itertools
import json
import os
import queue
import signal
import subprocess
import sys
import threading
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
from effects import Effects
from google.protobuf.message import Message
from proxy import OPTIONS, Proxy

from polos.testing import Server
from polos.v1 import common_pb2, history_pb2, runs_pb2, start_pb2, workflows_pb2

HERE = Path(__file__).resolve().parent
TYPESCRIPT = HERE.parents[1] / "clients" / "typescript"
WAIT_SECONDS = 30
OTHER = {"python": "typescript", "typescript": "python"}
HAS_ENDED = (
    common_pb2.RUN_STATUS_COMPLETED,
    common_pb2.RUN_STATUS_FAILED,
    common_pb2.RUN_STATUS_CANCELLED,
)
ENDED = ("RUN_COMPLETED", "RUN_FAILED", "RUN_CANCELLED")


@functools.cache
def compile_driver() -> None:
    """Makes driver.mjs, where it finds the built package."""
    tsc = TYPESCRIPT / "node_modules" / "typescript" / "bin" / "tsc"
    subprocess.run(["node", str(TYPESCRIPT / "build.mjs")], check=True)
    subprocess.run(["node", str(tsc), "-p", str(HERE)], check=True)


def command_of(language: str) -> list[str]:
    if language == "python":
        return [sys.executable, str(HERE / "driver.py")]
    return ["node", str(TYPESCRIPT / "tests" / ".build" / "conformance" / "driver.mjs")]


class Driver:
    """A driver's process."""

    def __init__(self, language: str, url: str, effects: str, environment: dict[str, str]) -> None:
        kept = {k: v for k, v in os.environ.items() if not k.startswith(("POLOS_", "OPENAI_"))}
        source = {"PYTHONPATH": str(TYPESCRIPT.parent / "python")}
        self.process = subprocess.Popen(
            [*command_of(language), url, effects],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**kept, **source, **environment},
        )
        self._answers: dict[int, queue.Queue[Any]] = {}
        self._numbers = itertools.count(1)
        self._ready = threading.Event()
        threading.Thread(target=self._hear, daemon=True).start()

    def wait_ready(self) -> None:
        assert self._ready.wait(WAIT_SECONDS) and self.process.poll() is None, "no driver"

    def ask(self, **told: Any) -> Any:
        """Sends an order; a function that gives its answer."""
        number = next(self._numbers)
        answer = self._answers[number] = queue.Queue()
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps({"id": number, **told}) + "\n")
        self.process.stdin.flush()
        return lambda: self._answer(answer, told)

    def _answer(self, answer: queue.Queue[Any], told: dict[str, Any]) -> Any:
        found = answer.get(timeout=WAIT_SECONDS)
        assert "fault" not in found, f"{told['do']}: {found['fault']}"
        del found["id"]
        return found

    def _hear(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            told = json.loads(line)
            if "ready" in told:
                self._ready.set()
            else:
                self._answers[told["id"]].put(told)
        self._ready.set()
        for each in self._answers.values():
            each.put({"id": 0, "fault": "the driver has ended"})

    def leave(self, seconds: float) -> None:
        """Lets its tasks end for so long, and says that it goes; it is no client any more."""
        self.ask(do="leave", seconds=seconds)()
        self.end()

    def end(self, number: int = signal.SIGKILL) -> None:
        if self.process.poll() is None:
            self.process.send_signal(number)
        self.process.wait(WAIT_SECONDS)
        for stream in (self.process.stdin, self.process.stdout):
            with contextlib.suppress(OSError):
                stream.close()


class Place:
    """One language, on a server of its own; `environment` is the driver's."""

    def __init__(
        self,
        language: str,
        environment: dict[str, str] | None = None,
        server_environment: dict[str, str] | None = None,
        is_proxied: bool = False,
    ) -> None:
        self.language = language
        self.environment = environment or {}
        self.effects = Effects()
        self.server = Server(environment=server_environment)
        self.server.__enter__()
        self.channel = grpc.insecure_channel(self.address, options=OPTIONS)
        self.proxy = Proxy(self.address) if is_proxied else None
        self.drivers: list[Driver] = []
        self.start_host().wait_ready()

    @property
    def address(self) -> str:
        return self.server.url.removeprefix("http://")

    @property
    def driver(self) -> Driver:
        return self.drivers[-1]

    def start_host(
        self, environment: dict[str, str] | None = None, language: str = "same"
    ) -> Driver:
        """A host beside those there are; `language`: "other" is that which the place is not of."""
        address = self.address if self.proxy is None else self.proxy.address
        all = {**self.environment, **(environment or {})}
        spoken = OTHER[self.language] if language == "other" else self.language
        driver = Driver(spoken, f"http://{address}", self.effects.url, all)
        self.drivers.append(driver)
        return driver

    def close(self) -> None:
        for driver in self.drivers:
            driver.end()
        if self.proxy is not None:
            self.proxy.close()
        self.channel.close()
        self.effects.close()
        self.server.__exit__(None, None, None)

    # ---- what the server says itself ----

    def history(self, run: str) -> list[history_pb2.HistoryEvent]:
        found: list[history_pb2.HistoryEvent] = []
        token = ""
        while True:
            request = runs_pb2.RunServiceHistoryRequest(
                run_id=run, page_token=token, page_size=1000
            )
            page = self._call("History", request, runs_pb2.RunServiceHistoryResponse)
            found += page.events
            token = page.next_page_token
            if not token:
                return found

    def start(self, payload: dict[str, Any]) -> str:
        """Starts a run of `conform` without a host's help; its id."""
        request = workflows_pb2.WorkflowServiceStartRequest(
            workflow_id="conform",
            input_json=json.dumps(payload),
            options=start_pb2.StartOptions(idempotency_key=str(uuid.uuid4())),
        )
        answer = workflows_pb2.WorkflowServiceStartResponse
        return str(self._call("Start", request, answer, "WorkflowService").run_id)

    def cancel(self, run: str, cause: str) -> None:
        request = runs_pb2.RunServiceCancelRequest(run_id=run, cause=cause)
        self._call("Cancel", request, runs_pb2.RunServiceCancelResponse)

    def wait_for(self, run: str, kind: str, count: int = 1) -> None:
        """Returns once the run has so many facts of a kind."""
        for fact in self._watched(run):
            word = (fact.WhichOneof("event") or "").upper()
            count -= word == kind
            if count == 0:
                return
            assert word not in ENDED, f"the run ended before {kind}"

    def wait_waiting(self, run: str, words: str) -> str:
        """What the run waits for, once its sentence has these words."""
        request = runs_pb2.RunServiceGetRequest(run_id=run)
        while True:
            told = self._call("Get", request, runs_pb2.RunServiceGetResponse).run
            assert told.status not in HAS_ENDED, f"the run ended, and never said {words!r}"
            for wait in told.waiting:
                if words in wait.message:
                    return str(wait.message)

    def wait_ended(self, run: str) -> None:
        """Returns once the run has ended, also when the server goes away meanwhile."""
        while True:
            try:
                for fact in self._watched(run):
                    if (fact.WhichOneof("event") or "").upper() in ENDED:
                        return
            except grpc.RpcError as error:
                if error.code() != grpc.StatusCode.UNAVAILABLE:
                    raise

    def _watched(self, run: str) -> Iterator[history_pb2.HistoryEvent]:
        watch = self.channel.unary_stream(
            "/polos.v1.RunService/Watch",
            request_serializer=runs_pb2.RunServiceWatchRequest.SerializeToString,
            response_deserializer=runs_pb2.RunServiceWatchResponse.FromString,
        )
        request = runs_pb2.RunServiceWatchRequest(run_id=run)
        call = watch(request, timeout=WAIT_SECONDS, wait_for_ready=True)
        try:
            for told in call:
                if told.WhichOneof("event") == "fact":
                    yield told.fact
        finally:
            call.cancel()

    def _call(
        self, method: str, request: Message, answer: Any, service: str = "RunService"
    ) -> Any:
        call = self.channel.unary_unary(
            f"/polos.v1.{service}/{method}",
            request_serializer=type(request).SerializeToString,
            response_deserializer=answer.FromString,
        )
        while True:
            try:
                return call(request, timeout=WAIT_SECONDS, wait_for_ready=True)
            except grpc.RpcError as error:
                if error.code() != grpc.StatusCode.UNAVAILABLE:
                    raise
