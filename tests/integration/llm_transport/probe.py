"""Runs tests/lib/llm_probe: the real model client, driven from a test."""
import json
import os
import subprocess
import sys


def find_probe():
    for argument in sys.argv[1:]:
        if os.path.basename(argument) == "llm_probe":
            sys.argv.remove(argument)
            return os.path.abspath(argument)
    return os.environ.get("LLM_PROBE", "tests/lib/llm_probe")


PROBE = find_probe()
KEY = "sk-test-0123456789"


class Outcome:
    def __init__(self, events, log):
        self.events = events
        self.log = log

    @property
    def last(self):
        return self.events[-1]

    def shown(self, kind="text", call=1):
        return "".join(
            event["text"]
            for event in self.events
            if event["event"] == "delta" and event["kind"] == kind and event["call"] == call
        )

    def blocks(self, kind):
        return [block for block in self.last["blocks"] if block["kind"] == kind]


def ask(base_url="", environment=None, **members):
    """One call (or `count` of them) of the user text "hello"."""
    spec = {
        "provider": "openai_chat",
        "model": "m1",
        "base_url": base_url,
        "model_hosts": "local",
        "messages": [{"role": "user", "text": "hello"}],
    }
    spec.update(members)
    variables = dict(os.environ, OPENAI_API_KEY=KEY, NO_PROXY="*", no_proxy="*")
    variables["POLOSD_KEY_HOSTS"] = "127.0.0.1"
    variables.update(environment or {})
    ran = subprocess.run(
        [PROBE],
        input=json.dumps(spec).encode(),
        env=variables,
        capture_output=True,
        timeout=60,
        check=False,
    )
    log = ran.stderr.decode()
    if ran.returncode != 0:
        raise AssertionError(f"llm_probe ended with {ran.returncode}: {log}")
    return Outcome([json.loads(line) for line in ran.stdout.splitlines()], log)
