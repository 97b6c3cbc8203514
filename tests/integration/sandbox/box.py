"""Speaks with polos-box: a request in, frames out."""
import json
import os
import struct
import subprocess

PROGRAM = os.environ.get("POLOS_BOX_UNDER_TEST", "")


class Failure(Exception):
    def __init__(self, reason, message):
        super().__init__(f"{reason}: {message}")
        self.reason, self.message = reason, message


def packed(text):
    data = text if isinstance(text, bytes) else text.encode()
    return struct.pack("<I", len(data)) + data


def frames(data):
    """[(kind, bytes)] of a whole answer."""
    found = []
    while data:
        kind, length = chr(data[0]), struct.unpack("<I", data[1:5])[0]
        found.append((kind, data[5:5 + length]))
        assert len(found[-1][1]) == length, "a frame was cut"
        data = data[5 + length:]
    return found


def outcome(answer):
    """The result of the last frame; raises Failure."""
    kind, body = frames(answer)[-1]
    said = json.loads(body)
    if kind == "f":
        raise Failure(said["reason"], said["message"])
    assert kind == "r", kind
    return said


class Box:
    """A workspace, and how the program is started there."""

    def __init__(self, workspace, program=(), environment=None, **common):
        self.program = list(program) or [PROGRAM]
        self.environment = environment
        self.common = {"workspace": workspace, **common}

    def request(self, tool, arguments, **common):
        return packed(json.dumps({"tool": tool, "arguments": arguments, **self.common, **common}))

    def start(self, tool, arguments, **common):
        """The process, whose input stays open."""
        process = subprocess.Popen(
            self.program, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=self.environment
        )
        process.stdin.write(self.request(tool, arguments, **common))
        process.stdin.flush()
        return process

    def answer(self, tool, arguments, **common):
        """All its frames."""
        process = self.start(tool, arguments, **common)
        with process:
            return process.stdout.read()

    def __getattr__(self, tool):
        return lambda **arguments: outcome(self.answer(tool, arguments))
