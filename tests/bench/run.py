#!/usr/bin/env python3
"""bench: what polosd costs on this machine, beside what this machine can do at all.

    ./run bench [--quick] [--json FILE] [--doc docs/benchmarks.md] [--only MEASURE]
                [--million]

Each round takes every figure once (what sleeping runs cost: the first only), on fresh data
folders, the limits of the machine in the same minute; what is printed is the median of the
rounds. Nothing here passes or fails: a target that is missed is marked. --million takes only one
round, with a million sleeping runs.
"""
import argparse
import contextlib
import datetime
import json
import os
import platform
import re
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time

# Bazel's `run` says where it was called; its tests say where the sources are.
ROOT = os.path.abspath(
    os.environ.get("BUILD_WORKSPACE_DIRECTORY")
    or os.environ.get("POLOS_WORKSPACE")
    or os.path.join(os.path.dirname(__file__), "..", "..")
)
sys.path.insert(0, ROOT)
from tests.lib.unended import Unended  # noqa: E402

MARKS = ("<!-- figures begin -->\n", "<!-- figures end -->\n")

# What each round does. --quick is for seeing that everything runs, not for figures.
SIZES = {
    "rounds": 3, "steps": {1: 2000, 64: 500, 256: 500}, "agents": {1: 400, 64: 6000, 256: 6000},
    "seconds": 2, "watchers": 1000, "rates": (20, 50), "python_steps": {1: 500, 64: 50, 256: 50},
    "live": 10000, "park": 100000, "cold_starts": 4, "limit_seconds": 1, "appends": 2000,
    "flat": (2, 5000), "long": 10000, "sleepers": 100000,
    "waits": {1: 800, 64: 3200}, "wakes": {1: 100, 64: 640}, "listed": 200000,
    "ten_step_runs": {1: 50, 64: 512}, "http_agents": {1: 200, 64: 2000},
    "tree": 99000, "big_steps": 1000, "owed_steps": 40, "big_bytes": 1000000,
    "definitions": 10000, "unended": 2000, "beside_fork": 100,
}
QUICK = {
    "rounds": 1, "steps": {1: 100, 64: 20, 256: 5}, "agents": {1: 20, 64: 200, 256: 300},
    "seconds": 1, "watchers": 50, "rates": (20,), "python_steps": {1: 50, 64: 5, 256: 2},
    "live": 500, "park": 1000, "cold_starts": 2, "limit_seconds": 1, "appends": 100,
    "flat": (1, 300), "long": 500, "sleepers": 1000,
    "waits": {1: 40, 64: 256}, "wakes": {1: 10, 64: 128}, "listed": 2000,
    "ten_step_runs": {1: 3, 64: 64}, "http_agents": {1: 10, 64: 64},
    "tree": 2000, "big_steps": 5, "owed_steps": 4, "big_bytes": 1000000, "definitions": 300,
    "unended": 200, "beside_fork": 10,
}

# name: (unit, target as "<= 5" or None, the figure it is held against)
ROWS = {
    "append_p50": ("ms", None, None),
    "append_growing_p50": ("ms", None, None),
    "appends": ("/s", None, None),
    "empty_call_p50": ("ms", None, None),
    "empty_calls": ("/s", None, None),
    "step_p50_at_1": ("ms", "<= 0.8", "append_p50 + empty_call_p50"),
    "step_p99_at_1": ("ms", None, None),
    "steps_at_1": ("/s", None, "appends"),
    "step_p50_at_64": ("ms", None, None),
    "steps_at_64": ("/s", None, "appends"),
    "step_p50_at_256": ("ms", None, None),
    "step_p99_at_256": ("ms", None, None),
    "steps_at_256": ("/s", ">= 20000", "appends"),
    "server_cpu_per_step_at_1": ("us", None, None),
    "server_cpu_per_step_at_256": ("us", None, None),
    "host_cpu_per_step_at_256": ("us", None, None),
    "disk_per_step": ("bytes", "<= 819", None),
    "python_step_p50_at_1": ("ms", None, "append_p50 + empty_call_p50"),
    "python_steps_at_1": ("/s", None, None),
    "python_steps_at_64": ("/s", None, None),
    "python_steps_at_256": ("/s", None, None),
    "server_cpu_per_python_step": ("us", None, None),
    "written_per_python_step": ("bytes", None, None),
    "python_ten_steps_p50_at_1": ("ms", None, "append_p50 + empty_call_p50"),
    "python_ten_step_runs_at_64": ("/s", None, None),
    "agent_run_p50_at_1": ("ms", "<= 5", "append_p50 + empty_call_p50"),
    "agent_run_p99_at_1": ("ms", None, None),
    "agent_runs_at_64": ("/s", ">= 1000", "empty_calls"),
    "agent_run_p50_at_64": ("ms", None, None),
    "agent_run_p99_at_64": ("ms", None, None),
    "agent_runs_at_256": ("/s", None, "empty_calls"),
    "server_cpu_per_agent_run": ("us", None, None),
    "disk_per_agent_run": ("bytes", None, None),
    "http_agent_run_p50_at_1": ("ms", None, "append_p50 + empty_call_p50"),
    "http_agent_runs_at_64": ("/s", None, "empty_calls"),
    "delta_p50_to_1": ("ms", None, None),
    "delta_p99_to_1": ("ms", None, None),
    "delta_p50_to_many_at_20": ("ms", None, None),
    "delta_p99_to_many_at_20": ("ms", "<= 10", None),
    "delta_p50_to_many_at_50": ("ms", None, None),
    "delta_p99_to_many_at_50": ("ms", None, None),
    "deltas_to_1": ("/s", None, "empty_calls"),
    "deltas_to_many": ("/s", None, "empty_calls"),
    "server_cpu_per_delta_to_many": ("us", None, None),
    "step_growth": ("x", "<= 1.2", None),
    "step_p50_late": ("ms", None, "append_p50 + empty_call_p50"),
    "pipelined_steps": ("/s", ">= 20000", "appends"),
    "resume_long_run": ("ms", "<= 250", None),
    "replay_long_run": ("ms", None, None),
    "suspend_p50_at_1": ("ms", "<= 5", "append_p50 + empty_call_p50"),
    "suspend_p99_at_1": ("ms", None, None),
    "suspend_p50_at_64": ("ms", None, None),
    "suspends_at_64": ("/s", ">= 1000", "empty_calls"),
    "suspend_growth": ("x", "<= 1.2", None),
    "wake_p50_at_1": ("ms", "<= 5", "append_p50 + empty_call_p50"),
    "wake_p99_at_1": ("ms", None, None),
    "wakes_at_64": ("/s", ">= 1000", "empty_calls"),
    "event_p50_at_1": ("ms", "<= 5", "append_p50 + empty_call_p50"),
    "event_p99_at_1": ("ms", None, None),
    "event_p50_at_64": ("ms", None, None),
    "events_at_64": ("/s", ">= 1000", "empty_calls"),
    "event_growth": ("x", "<= 1.2", None),
    "child_p50_at_1": ("ms", "<= 5", "append_p50 + empty_call_p50"),
    "child_p99_at_1": ("ms", None, None),
    "child_p50_at_64": ("ms", None, None),
    "children_at_64": ("/s", ">= 1000", "empty_calls"),
    "child_growth": ("x", "<= 1.2", None),
    "list_page_p50": ("ms", "<= 5", "empty_call_p50"),
    "list_page_p99": ("ms", None, None),
    "step_p50_beside_lists": ("ms", None, "step_p50_at_1"),
    "facts_replayed": ("/s", None, "empty_calls"),
    "step_p50_beside_replays": ("ms", None, "step_p50_at_1"),
    "children_cancelled": ("/s", None, "empty_calls"),
    "step_p50_beside_cancel": ("ms", None, "step_p50_at_1"),
    "step_p99_beside_cancel": ("ms", None, "step_p99_at_1"),
    "rss_tree": ("MB", None, None),
    "tree_facts_watched": ("/s", None, "empty_calls"),
    "step_p50_beside_tree_watch": ("ms", None, "step_p50_at_1"),
    "rss_tree_watch": ("MB", None, None),
    "big_run_read": ("MB/s", None, None),
    "big_run_given": ("MB/s", None, None),
    "step_p50_beside_big_run": ("ms", None, "step_p50_at_1"),
    "rss_big_run": ("MB", None, None),
    "big_run_forked": ("MB/s", None, None),
    "fork_answered": ("ms", None, None),
    "step_p50_beside_fork": ("ms", None, "step_p50_at_1"),
    "step_p99_beside_fork": ("ms", None, "step_p99_at_1"),
    "rss_fork": ("MB", None, None),
    "owed_to_slow_host": ("x", "<= 1.1", None),
    "slow_host_seconds": ("x", "<= 1.2", None),
    "rss_slow_host": ("MB", None, None),
    "register_p50": ("ms", None, "append_p50 + empty_call_p50"),
    "register_growth": ("x", "<= 1.2", None),
    "hello_with_definitions": ("ms", None, None),
    "rss_definitions": ("MB", None, None),
    "rss_unended_requests": ("MB", "<= 400", None),
    "parks": ("/s", None, "empty_calls"),
    "rss_sleeping_runs": ("MB", "<= 64", None),
    "rss_per_sleeping_run": ("bytes", "<= 100", None),
    "disk_per_sleeping_run": ("bytes", None, None),
    "restart_with_sleeping_runs": ("ms", "<= 2000", None),
    "rss_after_restart_sleeping": ("MB", "<= 64", None),
    "cold_start": ("ms", "<= 75", None),
    "rss_idle": ("MB", "<= 30", None),
    "rss_live_runs": ("MB", None, None),
    "park_starts": ("/s", None, "empty_calls"),
    "rss_parked_runs": ("MB", None, None),
    "restart_with_parked_runs": ("ms", None, None),
    "rss_after_restart": ("MB", None, None),
    "binary": ("MB", None, None),
    "binary_stripped": ("MB", None, None),
}

# Rows that --quick has no size for.
ONLY_FULL = {"delta_p50_to_many_at_50", "delta_p99_to_many_at_50"}


class Server:
    """A polosd on a data folder; ready when this returns."""

    def __init__(self, program, data, *more):
        began = time.monotonic()
        self.data = data
        command = [program, "--listen", "127.0.0.1:0", "--data", data, "--log-level", "error"]
        self.process = subprocess.Popen(command + list(more), stdout=subprocess.PIPE, text=True)
        line = self.process.stdout.readline()
        self.ready_ms = 1000 * (time.monotonic() - began)
        found = re.search(r"^polosd ready address=(\S+)", line)
        if not found:
            self.kill()
            raise SystemExit(f"bench: polosd did not get ready: {line!r}")
        self.address = found.group(1)
        self.pid = self.process.pid

    def cpu_us(self):
        with open(f"/proc/{self.pid}/stat", encoding="ascii") as file:
            ticks = sum(map(int, file.read().rpartition(")")[2].split()[11:13]))
        return 1e6 * ticks / os.sysconf("SC_CLK_TCK")

    def written_bytes(self):
        """Of what it wrote so far, what went to the disk."""
        with open(f"/proc/{self.pid}/io", encoding="ascii") as file:
            return int(re.search(r"^write_bytes: (\d+)", file.read(), re.MULTILINE).group(1))

    def rss_peak_mb(self):
        with open(f"/proc/{self.pid}/status", encoding="ascii") as file:
            return int(re.search(r"VmHWM:\s+(\d+) kB", file.read()).group(1)) / 1024

    def rss_mb(self):
        with open(f"/proc/{self.pid}/status", encoding="ascii") as file:
            return int(re.search(r"VmRSS:\s+(\d+) kB", file.read()).group(1)) / 1024

    def kill(self):
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()
        self.process.stdout.close()


class ThinLine:
    """A line to a server that carries so many bytes a second to whoever dials it, and all at once
    to the server."""

    BYTES_A_SECOND = 10_000_000
    PIECE = 100_000

    def __init__(self, address):
        self.target = address
        self.carried = 0
        self.pid = 0

    def __enter__(self):
        self.socket = socket.create_server(("127.0.0.1", 0))
        self.address = "%s:%d" % self.socket.getsockname()
        threading.Thread(target=self.accept, daemon=True).start()
        return self

    def __exit__(self, *error):
        self.socket.close()

    def accept(self):
        with contextlib.suppress(OSError):
            while True:
                near, _ = self.socket.accept()
                host, _, port = self.target.rpartition(":")
                far = socket.create_connection((host, int(port)))
                for pair in ((near, far, False), (far, near, True)):
                    threading.Thread(target=self.carry, args=pair, daemon=True).start()

    def carry(self, source, target, is_thin):
        with contextlib.suppress(OSError):
            while piece := source.recv(self.PIECE):
                target.sendall(piece)
                if is_thin:
                    self.carried += len(piece)
                    time.sleep(len(piece) / self.BYTES_A_SECOND)
        with contextlib.suppress(OSError):
            target.shutdown(socket.SHUT_WR)


class Bench:
    """The programs, the sizes, and what was measured: {row: [one value a round]}."""

    def __init__(self, options, sizes, folder):
        self.options = options
        self.sizes = sizes
        self.folder = folder
        self.samples = {}
        self.skipped = {}

    def note(self, row, value):
        assert row in ROWS, row
        self.samples.setdefault(row, []).append(value)

    @contextlib.contextmanager
    def server(self, *more):
        data = tempfile.mkdtemp(dir=self.folder)
        server = Server(self.options.polosd, os.path.join(data, "store"), *more)
        try:
            yield server
        finally:
            server.kill()
            shutil.rmtree(data)

    def command(self, server, mode, options):
        command = [self.options.load, mode, "--address", server.address]
        command += ["--server-pid", str(server.pid)]
        for name, value in options.items():
            command += ["--" + name.replace("_", "-"), str(value)]
        return command

    def load(self, server, mode, **options):
        return answer_of(self.command(server, mode, options))

    @contextlib.contextmanager
    def asked(self, server, mode, **options):
        """A load that says when all is there, and goes on at a line of its standard input."""
        with subprocess.Popen(self.command(server, mode, options), stdin=subprocess.PIPE,
                              stdout=subprocess.PIPE, text=True) as process:
            if not process.stdout.readline():
                raise SystemExit(f"bench: {mode} failed")
            yield process

    @contextlib.contextmanager
    def beside(self, server, mode, **options):
        """A load that goes on while something else is measured; its figures are nobody's."""
        process = subprocess.Popen(self.command(server, mode, options), stdout=subprocess.DEVNULL)
        try:
            yield
        finally:
            process.kill()
            process.wait()


def answer_of(command, environment=None):
    done = subprocess.run(
        command, stdout=subprocess.PIPE, text=True, timeout=600, check=False, env=environment
    )
    if done.returncode != 0:
        raise SystemExit(f"bench: {' '.join(command)} failed")
    return json.loads(done.stdout)


def folder_bytes(folder):
    return sum(entry.stat().st_size for entry in os.scandir(folder))


# ---- the machine ----


def appends(bench, growing):
    """Seconds of each synced append of 4 KiB: to a file that grows, or one written before."""
    path = os.path.join(bench.folder, "appends")
    count = bench.sizes["appends"]
    block = os.urandom(4096)
    file = os.open(path, os.O_CREAT | os.O_TRUNC | os.O_WRONLY, 0o600)
    if not growing:
        os.write(file, bytes(4096 * count))
        os.fsync(file)
        os.lseek(file, 0, os.SEEK_SET)
    taken = []
    for _ in range(count):
        began = time.perf_counter()
        os.write(file, block)
        os.fdatasync(file)
        taken.append(time.perf_counter() - began)
    os.close(file)
    os.unlink(path)
    return taken


def measure_limits(bench):
    taken = appends(bench, growing=False)
    bench.note("append_p50", 1000 * statistics.median(taken))
    bench.note("appends", len(taken) / sum(taken))
    bench.note("append_growing_p50", 1000 * statistics.median(appends(bench, growing=True)))
    with bench.server() as server:
        for concurrency in (1, 64):
            command = [bench.options.grpc_limit, "--address", server.address]
            command += ["--concurrency", str(concurrency)]
            command += ["--seconds", str(bench.sizes["limit_seconds"])]
            found = answer_of(command)
            if concurrency == 1:
                bench.note("empty_call_p50", found["p50_us"] / 1000)
            else:
                bench.note("empty_calls", found["calls_per_s"])


# ---- the server ----


def measure_steps(bench):
    for in_flight, steps in bench.sizes["steps"].items():
        with bench.server() as server:
            before = folder_bytes(server.data)
            found = bench.load(server, "steps", in_flight=in_flight, steps=steps)
            bench.note(f"steps_at_{in_flight}", found["steps_per_s"])
            bench.note(f"step_p50_at_{in_flight}", found["p50_us"] / 1000)
            if in_flight != 64:
                bench.note(f"step_p99_at_{in_flight}", found["p99_us"] / 1000)
                bench.note(f"server_cpu_per_step_at_{in_flight}", found["server_cpu_us_each"])
            if in_flight == 256:
                bench.note("host_cpu_per_step_at_256", found["load_cpu_us_each"])
                grown = folder_bytes(server.data) - before
                bench.note("disk_per_step", grown / (in_flight * steps))


def measure_python(bench):
    program = os.path.join(ROOT, "clients", "python", "bench", "host_bench.py")
    known = subprocess.run(
        [sys.executable, "-c", "import grpc, pydantic, polos.v1.host_pb2"], check=False,
        stderr=subprocess.DEVNULL, cwd=os.path.join(ROOT, "clients", "python"),
    )
    if known.returncode != 0:
        bench.skipped["python"] = "this Python does not have what the SDK needs (./run setup)"
        return
    for in_flight, steps in bench.sizes["python_steps"].items():
        with bench.server() as server:
            command = [sys.executable, program, "--url", f"http://{server.address}"]
            cpu_us, written = server.cpu_us(), server.written_bytes()
            found = answer_of(command + ["--in-flight", str(in_flight), "--steps", str(steps)])
            bench.note(f"python_steps_at_{in_flight}", found["steps_per_s"])
            if in_flight == 1:
                bench.note("python_step_p50_at_1", found["step_p50_ms"])
            if in_flight == 64:
                total = in_flight * steps
                bench.note("server_cpu_per_python_step", (server.cpu_us() - cpu_us) / total)
                bench.note("written_per_python_step", (server.written_bytes() - written) / total)
    for in_flight, count in bench.sizes["ten_step_runs"].items():
        with bench.server() as server:
            command = [sys.executable, program, "--url", f"http://{server.address}"]
            command += ["--in-flight", str(in_flight), "--steps", "10", "--runs", str(count)]
            found = answer_of(command)
            if in_flight == 1:
                bench.note("python_ten_steps_p50_at_1", found["run_p50_ms"])
            else:
                bench.note(f"python_ten_step_runs_at_{in_flight}", found["runs_per_s"])


def measure_agents(bench):
    for in_flight, count in bench.sizes["agents"].items():
        with bench.server() as server:
            before = folder_bytes(server.data)
            found = bench.load(server, "agents", in_flight=in_flight, count=count)
            if in_flight != 1:
                bench.note(f"agent_runs_at_{in_flight}", found["runs_per_s"])
            if in_flight != 256:
                bench.note(f"agent_run_p50_at_{in_flight}", found["p50_us"] / 1000)
                bench.note(f"agent_run_p99_at_{in_flight}", found["p99_us"] / 1000)
            if in_flight == 64:
                bench.note("server_cpu_per_agent_run", found["server_cpu_us_each"])
                grown = folder_bytes(server.data) - before
                bench.note("disk_per_agent_run", grown / count)


def measure_http_agents(bench):
    """An agent whose model is behind HTTP and answers at once: what is polosd's of a run."""
    program = os.path.join(os.path.dirname(os.path.abspath(__file__)), "model.py")
    with subprocess.Popen([sys.executable, program], stdin=subprocess.PIPE,
                          stdout=subprocess.PIPE, text=True) as model:
        url = model.stdout.readline().strip()
        for in_flight, count in bench.sizes["http_agents"].items():
            with bench.server() as server:
                found = bench.load(
                    server, "agents", in_flight=in_flight, count=count, model_url=url
                )
            if in_flight == 1:
                bench.note("http_agent_run_p50_at_1", found["p50_us"] / 1000)
            else:
                bench.note(f"http_agent_runs_at_{in_flight}", found["runs_per_s"])
        model.stdin.close()


def measure_watch(bench):
    seconds, many = bench.sizes["seconds"], bench.sizes["watchers"]
    with bench.server() as server:
        found = bench.load(server, "watch", watchers=1, rate=20, seconds=seconds)
        bench.note("delta_p50_to_1", found["p50_us"] / 1000)
        bench.note("delta_p99_to_1", found["p99_us"] / 1000)
        found = bench.load(server, "watch", watchers=1, rate=0, seconds=seconds)
        bench.note("deltas_to_1", found["deltas_per_s"])
        for rate in bench.sizes["rates"]:
            found = bench.load(server, "watch", watchers=many, rate=rate, seconds=seconds)
            bench.note(f"delta_p50_to_many_at_{rate}", found["p50_us"] / 1000)
            bench.note(f"delta_p99_to_many_at_{rate}", found["p99_us"] / 1000)
        found = bench.load(server, "watch", watchers=many, rate=0, seconds=seconds)
        bench.note("deltas_to_many", found["deltas_per_s"])
        bench.note("server_cpu_per_delta_to_many", found["server_cpu_us_each"])


def measure_long(bench):
    count, steps = bench.sizes["flat"]
    with bench.server("--lease-ms", "1000") as server:
        found = bench.load(server, "flat", count=count, steps=steps)
        bench.note("step_growth", found["growth"])
        bench.note("step_p50_late", found["last_p50_us"] / 1000)
        steps = bench.sizes["long"]
        found = bench.load(server, "pipeline", in_flight=256, steps=steps)
        bench.note("pipelined_steps", found["steps_per_s"])
        left = bench.load(server, "abandon", steps=steps)
        found = bench.load(server, "resume", run_id=left["run_id"])
        if found["steps"] != steps:
            raise SystemExit(f"bench: {found['steps']} of {steps} steps came with the task")
        bench.note("resume_long_run", found["resume_us"] / 1000)
        bench.note("replay_long_run", found["replay_us"] / 1000)


def measure_waits(bench):
    modes = (("suspend", "suspend", "waits"), ("wake", "wake", "wakes"),
             ("events", "event", "waits"), ("children", "child", "waits"))
    rates = {"suspend": "suspends", "wake": "wakes", "events": "events", "children": "children"}
    for mode, row, size in modes:
        with bench.server() as server:
            for in_flight, count in bench.sizes[size].items():
                found = bench.load(server, mode, in_flight=in_flight, count=count)
                if in_flight == 1:
                    bench.note(f"{row}_p50_at_1", found["p50_us"] / 1000)
                    bench.note(f"{row}_p99_at_1", found["p99_us"] / 1000)
                else:
                    bench.note(f"{rates[mode]}_at_{in_flight}", found["per_s"])
                if size == "waits" and in_flight == 1:
                    bench.note(f"{row}_growth", found["growth"])
                elif size == "waits":
                    bench.note(f"{row}_p50_at_{in_flight}", found["p50_us"] / 1000)


def settled_rss_mb(server):
    """The server lets go of runs nobody touched for two seconds."""
    lowest = server.rss_mb()
    for _ in range(12):
        time.sleep(0.25)
        lowest = min(lowest, server.rss_mb())
    return lowest


def measure_sleepers(bench):
    half = bench.sizes["sleepers"] // 2
    data = tempfile.mkdtemp(dir=bench.folder)
    server = Server(bench.options.polosd, os.path.join(data, "store"))
    before = folder_bytes(server.data)
    bench.load(server, "sleepers", count=half)
    rss_mb = settled_rss_mb(server)
    bench.note("parks", bench.load(server, "sleepers", count=half)["parks_per_s"])
    more_mb = settled_rss_mb(server)
    bench.note("rss_sleeping_runs", more_mb)
    # Of the second half: what does not grow is not theirs. May come out a little below zero.
    bench.note("rss_per_sleeping_run", max(0, more_mb - rss_mb) * 2**20 / half)
    bench.note("disk_per_sleeping_run", (folder_bytes(server.data) - before) / (2 * half))
    server.kill()
    server = Server(bench.options.polosd, server.data)
    bench.note("restart_with_sleeping_runs", server.ready_ms)
    bench.note("rss_after_restart_sleeping", server.rss_mb())
    server.kill()
    shutil.rmtree(data)


def measure_live(bench):
    count = bench.sizes["live"]
    with bench.server() as server:
        command = [bench.options.load, "live", "--address", server.address, "--count", str(count)]
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
            process.stdout.readline()
            bench.note("rss_live_runs", server.rss_mb())
            process.stdin.close()


def measure_lists(bench):
    """A page of 1,000 rows that fit no run, alone and beside steps."""
    seconds, steps = bench.sizes["seconds"], bench.sizes["steps"][1]
    with bench.server() as server:
        bench.load(server, "park", count=bench.sizes["listed"])
        found = bench.load(server, "list", in_flight=1, seconds=seconds)
        bench.note("list_page_p50", found["p50_us"] / 1000)
        bench.note("list_page_p99", found["p99_us"] / 1000)
        with bench.beside(server, "list", in_flight=1, seconds=600):
            found = bench.load(server, "steps", in_flight=1, steps=steps)
        bench.note("step_p50_beside_lists", found["p50_us"] / 1000)


def measure_replays(bench):
    """A long history read by watchers, again and again, alone and beside steps."""
    seconds, steps = bench.sizes["seconds"], bench.sizes["steps"][1]
    with bench.server() as server:
        bench.load(server, "pipeline", in_flight=256, steps=bench.sizes["long"])
        found = bench.load(server, "replay", in_flight=50, seconds=seconds)
        bench.note("facts_replayed", found["facts_per_s"])
        with bench.beside(server, "replay", in_flight=50, seconds=600):
            found = bench.load(server, "steps", in_flight=1, steps=steps)
        bench.note("step_p50_beside_replays", found["p50_us"] / 1000)


def measure_tree(bench):
    """All below one run are cancelled while another takes its steps; then the whole tree is watched
    from its start to its end, by one, and again beside steps, by some."""
    steps = bench.sizes["steps"][1]
    with bench.server() as server:
        with bench.asked(server, "tree", count=bench.sizes["tree"]) as tree:
            bench.note("rss_tree", server.rss_mb())
            tree.stdin.write("cancel\n")
            tree.stdin.flush()
            found = bench.load(server, "steps", in_flight=1, steps=steps)
            left = json.loads(tree.stdout.read())
            bench.note("children_cancelled", left["cancels_per_s"])
        bench.note("step_p50_beside_cancel", found["p50_us"] / 1000)
        bench.note("step_p99_beside_cancel", found["p99_us"] / 1000)
        found = bench.load(server, "replay", run_id=left["run_id"], in_flight=1, seconds=1)
        bench.note("tree_facts_watched", found["facts_per_s"])
        with bench.beside(server, "replay", run_id=left["run_id"], in_flight=10, seconds=600):
            found = bench.load(server, "steps", in_flight=1, steps=steps)
        bench.note("step_p50_beside_tree_watch", found["p50_us"] / 1000)
        bench.note("rss_tree_watch", server.rss_peak_mb())


def measure_big_run(bench):
    """A run of a gigabyte: watched from its start, and given to a new host, beside steps."""
    steps, size = bench.sizes["big_steps"], bench.sizes["big_bytes"]
    megabytes = steps * size / 1e6
    with bench.server("--lease-ms", "1000") as server:
        left = bench.load(server, "abandon", in_flight=4, steps=steps, bytes=size)
        with bench.beside(server, "resume", run_id=left["run_id"]):
            found = bench.load(server, "steps", in_flight=1, steps=bench.sizes["steps"][1])
        bench.note("step_p50_beside_big_run", found["p50_us"] / 1000)
        bench.note("rss_big_run", server.rss_peak_mb())
    with bench.server("--lease-ms", "1000") as server:
        left = bench.load(server, "abandon", in_flight=4, steps=steps, bytes=size)
        found = bench.load(server, "resume", run_id=left["run_id"])
        bench.note("big_run_given", 1e6 * megabytes / found["resume_us"])
        found = bench.load(server, "replay", in_flight=1, seconds=1)
        bench.note("big_run_read", 1e6 * megabytes / found["p50_us"])


def measure_forks(bench):
    """A run of a gigabyte is forked, beside steps and alone."""
    steps, size = bench.sizes["big_steps"], bench.sizes["big_bytes"]
    with bench.server() as server:
        left = bench.load(server, "abandon", in_flight=4, steps=steps, bytes=size)
        with bench.beside(server, "fork", run_id=left["run_id"]):
            found = bench.load(server, "steps", in_flight=1, steps=bench.sizes["beside_fork"])
        bench.note("step_p50_beside_fork", found["p50_us"] / 1000)
        bench.note("step_p99_beside_fork", found["p99_us"] / 1000)
    with bench.server() as server:
        left = bench.load(server, "abandon", in_flight=4, steps=steps, bytes=size)
        found = bench.load(server, "fork", run_id=left["run_id"])
        bench.note("fork_answered", found["p50_us"] / 1000)
        bench.note("big_run_forked", found["mb_per_s"])
        bench.note("rss_fork", server.rss_peak_mb())


def measure_slow_host(bench):
    """A host behind a thin line is owed tens of megabytes."""
    steps, size = bench.sizes["owed_steps"], bench.sizes["big_bytes"]
    with bench.server("--lease-ms", "1000") as server:
        left = bench.load(server, "abandon", in_flight=4, steps=steps, bytes=size)
        with ThinLine(server.address) as line:
            command = bench.command(line, "resume", {"run_id": left["run_id"]})
            found = answer_of(command)
        if found["steps"] != steps:
            raise SystemExit(f"bench: {found['steps']} of {steps} steps came with the task")
        bench.note("owed_to_slow_host", line.carried / (steps * size))
        least_us = 1e6 * steps * size / ThinLine.BYTES_A_SECOND
        bench.note("slow_host_seconds", found["resume_us"] / least_us)
        bench.note("rss_slow_host", server.rss_peak_mb())


def measure_definitions(bench):
    with bench.server() as server:
        found = bench.load(server, "definitions", count=bench.sizes["definitions"])
        bench.note("register_p50", found["p50_us"] / 1000)
        bench.note("register_growth", found["growth"])
        bench.note("hello_with_definitions", found["hello_us"] / 1000)
        bench.note("rss_definitions", server.rss_mb())


def measure_unended(bench):
    """Requests of a megabyte, none of which comes to its end."""
    with bench.server() as server:
        port = int(server.address.rsplit(":", 1)[1])
        peer = Unended(port, "/polos.v1.WorkflowService/Start", bench.sizes["unended"],
                       bench.sizes["big_bytes"])
        with contextlib.closing(peer):
            peer.send_all()
            bench.note("rss_unended_requests", server.rss_peak_mb())


def measure_restart(bench):
    data = tempfile.mkdtemp(dir=bench.folder)
    server = Server(bench.options.polosd, os.path.join(data, "store"))
    found = bench.load(server, "park", count=bench.sizes["park"])
    bench.note("park_starts", found["starts_per_s"])
    bench.note("rss_parked_runs", server.rss_mb())
    server.kill()
    server = Server(bench.options.polosd, server.data)
    bench.note("restart_with_parked_runs", server.ready_ms)
    bench.note("rss_after_restart", server.rss_mb())
    server.kill()
    shutil.rmtree(data)


def measure_cold(bench):
    starts = []
    for _ in range(bench.sizes["cold_starts"]):
        with bench.server() as server:
            starts.append(server.ready_ms)
            idle = server.rss_mb()
    bench.note("cold_start", statistics.median(starts))
    bench.note("rss_idle", idle)


def measure_size(bench):
    stripped = os.path.join(bench.folder, "stripped")
    subprocess.run(["strip", "-o", stripped, bench.options.polosd], check=True)
    bench.note("binary", os.stat(bench.options.polosd).st_size / 1e6)
    bench.note("binary_stripped", os.stat(stripped).st_size / 1e6)


MEASURES = (
    measure_limits, measure_steps, measure_long, measure_agents, measure_http_agents,
    measure_waits, measure_watch, measure_cold, measure_live, measure_lists, measure_replays,
    measure_tree, measure_big_run, measure_forks, measure_slow_host, measure_definitions,
    measure_unended, measure_restart, measure_sleepers, measure_python, measure_size,
)

# In the first round only: they take long, and memory does not vary with the minute.
ONCE = {measure_lists, measure_tree, measure_big_run, measure_forks, measure_sleepers}


# ---- the report ----


def verdict(value, target):
    if target is None:
        return ""
    sign, number = target.split()
    met = value <= float(number) if sign == "<=" else value >= float(number)
    return "met" if met else "MISSED"


def figures(bench):
    medians = {row: statistics.median(values) for row, values in bench.samples.items()}
    for row, (unit, target, limit) in ROWS.items():
        if row not in medians:
            continue
        value = medians[row]
        base = sum(medians.get(name, 0) for name in limit.split(" + ")) if limit else 0
        yield {
            "name": row, "value": value, "unit": unit, "target": target,
            "verdict": verdict(value, target), "limit": limit,
            "ratio": value / base if base else None, "samples": bench.samples[row],
        }


def number(value):
    if value >= 1000:
        return f"{value:,.0f}"
    return f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def table(rows):
    yield "| figure | median | range | target | | of the machine's limit |"
    yield "|---|---:|---|---|---|---|"
    for row in rows:
        low, high = number(min(row["samples"])), number(max(row["samples"]))
        ratio = f"{row['ratio']:.2f} x {row['limit']}" if row["ratio"] else ""
        yield (
            f"| {row['name']} | {number(row['value'])} {row['unit']} | {low} to {high} "
            f"| {row['target'] or ''} | {row['verdict']} | {ratio} |"
        )


def write_doc(path, header, lines):
    with open(path, encoding="utf-8") as file:
        text = file.read()
    before, rest = text.split(MARKS[0], 1)
    after = rest.split(MARKS[1], 1)[1]
    body = header + "\n\n" + "\n".join(lines) + "\n"
    with open(path, "w", encoding="utf-8") as file:
        file.write(before + MARKS[0] + body + MARKS[1] + after)


def arguments():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    out = os.path.join(ROOT, "out", "bin")
    parser.add_argument("--quick", action="store_true", help="tiny sizes: does everything run?")
    parser.add_argument("--million", action="store_true", help="a million sleeping runs, once")
    names = [measure.__name__.removeprefix("measure_") for measure in MEASURES]
    parser.add_argument("--only", choices=names, metavar="MEASURE",
                        help="one measure: " + ", ".join(names))
    parser.add_argument("--json", metavar="FILE", help="also write the figures there")
    parser.add_argument("--doc", metavar="FILE", help="put the table between that page's marks")
    parser.add_argument("--folder", help="where the data folders go: on the disk to measure",
                        default=os.path.join(ROOT, ".cache", "bench"))
    parser.add_argument("--polosd", default=os.path.join(out, "service", "polosd"))
    parser.add_argument("--load", default=os.path.join(out, "tests", "bench", "load"))
    parser.add_argument("--grpc-limit", default=os.path.join(out, "tests", "bench", "grpc_limit"))
    return parser.parse_args()


def machine():
    return {
        "date": datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%d"),
        "cpus": os.cpu_count(), "kernel": platform.release(),
        "load_average": round(os.getloadavg()[0], 2),
    }


def main():
    options = arguments()
    sizes = dict(QUICK if options.quick else SIZES)
    if options.million:
        sizes.update(sleepers=1000000, rounds=1)
    before = machine()
    os.makedirs(options.folder, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="run-", dir=options.folder) as folder:
        bench = Bench(options, sizes, folder)
        for turn in range(sizes["rounds"]):
            for measure in MEASURES:
                name = measure.__name__.removeprefix("measure_")
                if options.only in (None, name) and (turn == 0 or measure not in ONCE):
                    print(f"round {turn + 1} of {sizes['rounds']}: {name}", file=sys.stderr)
                    measure(bench)
    rows = list(figures(bench))
    header = (
        f"{before['date']}, {before['cpus']} CPUs, Linux {before['kernel']}, load "
        f"{before['load_average']} before; medians of {sizes['rounds']}; "
        f"many = {sizes['watchers']:,} watchers, live = {sizes['live']:,} runs, "
        f"parked = {sizes['park']:,} runs, sleeping = {sizes['sleepers']:,} runs, "
        f"tree = {sizes['tree']:,} runs, big run = {sizes['big_steps']:,} steps of 1 MB"
    )
    print(header, *table(rows), sep="\n")
    for what, why in bench.skipped.items():
        print(f"skipped: {what}: {why}")
    if options.json:
        report = {"machine": before, "quick": options.quick, "sizes": sizes, "figures": rows,
                  "skipped": bench.skipped}
        with open(options.json, "w", encoding="utf-8") as file:
            json.dump(report, file, indent=1)
    if options.doc:
        write_doc(options.doc, header, table(rows))
    return 0


if __name__ == "__main__":
    sys.exit(main())
