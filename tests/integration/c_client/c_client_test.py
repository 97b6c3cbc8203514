"""Goal: the C client and the real polosd keep their promises to each other.

Method: the example runs from end to end; then 64 workflow runs of a C host do thousands of
durable steps while the server is killed with SIGKILL and started again, three times. The load
generator ends well only if every step was acknowledged, none was refused, and the server counts
each exactly once; a host that would not come back with its session would never end. The same with
runs that start children and wait for them: an outcome that got lost would leave a parent waiting.
"""
import os
import re
import signal
import subprocess
import sys
import time

STEPS = "1000"
CHILDREN = "1600"
ATTEMPTS = 5
KILLS = 3
GROWTH_BYTES = 128 * 1024  # Between kills: some thousand steps, some hundred children.


class Server:
    def __init__(self, program, data):
        self.program = program
        self.data = data
        self.address = "127.0.0.1:0"
        self.start()

    def start(self):
        self.process = subprocess.Popen(
            [self.program, "--listen", self.address, "--data", self.data],
            stdout=subprocess.PIPE, text=True,
        )
        line = self.process.stdout.readline()
        self.address = re.search(r"address=(\S+)", line).group(1)

    def bytes(self):
        return sum(entry.stat().st_size for entry in os.scandir(self.data))

    def kill(self):
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()
        self.process.stdout.close()


def hello(server, program):
    done = subprocess.run(
        [program, server.address, "What is the weather in Oslo?"],
        stdout=subprocess.PIPE, text=True, timeout=30, check=True,
    )
    called, answer = done.stdout.splitlines()
    assert called.startswith("get_weather({"), called
    assert answer == '"get_weather answered: sunny, 22 degrees"', answer


def nobody_answers(program):
    """A first dial that finds nobody ends with a sentence, not with a wait for ever."""
    command = [program, "steps", "--address", "127.0.0.1:1"]
    done = subprocess.run(command, stderr=subprocess.PIPE, text=True, timeout=60, check=False)
    assert done.returncode == 1 and "no polosd answers" in done.stderr, done


def through_kills(server, program, *mode):
    """A kill may meet one of the load's own calls, which, unlike a host's stream, are not repeated:
    then the load says so, and the test is taken again."""
    for _ in range(ATTEMPTS):
        status, said, kills = once_through_kills(server, program, *mode)
        if status == 0 and kills > 0:
            return
        assert "failed to connect" in said or "UNAVAILABLE" in said or kills == 0, said
    raise AssertionError(said)


def once_through_kills(server, program, *mode):
    command = [program, *mode]
    load = subprocess.Popen(command + ["--address", server.address], stdout=subprocess.PIPE,
                            stderr=subprocess.PIPE, text=True)
    kills = 0
    for _ in range(KILLS):
        before = server.bytes()
        while load.poll() is None and server.bytes() < before + GROWTH_BYTES:
            time.sleep(0.001)  # Between looks; what ends the wait is the work.
        if load.poll() is not None:
            break
        server.kill()
        server.start()
        kills += 1
    out, errors = load.communicate(timeout=120)
    print(f"{kills} kills; {out.strip()} {errors.strip()}")
    return load.returncode, errors, kills


def main():
    polosd, load, hello_host = sys.argv[1:]
    server = Server(polosd, os.path.join(os.environ["TEST_TMPDIR"], "store"))
    try:
        hello(server, hello_host)
        nobody_answers(load)
        through_kills(server, load, "steps", "--in-flight", "64", "--steps", STEPS)
        through_kills(server, load, "children", "--in-flight", "16", "--count", CHILDREN)
    finally:
        server.kill()
    print("4 passed, 0 failed")


if __name__ == "__main__":
    main()
