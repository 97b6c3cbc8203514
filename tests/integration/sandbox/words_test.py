"""Goal: what runs without a shell, because it is only words, is what a shell would have run.

Method: commands drawn from pieces that mean something to shells and such that do not. Those that
have words are given to the shells of this machine as arguments of printf: the same words. A shell
that made more of one would print others.
"""
import json
import os
import random
import shutil
import subprocess
import unittest

PROBE = os.environ["WORDS_PROBE"]
SEED = 41
COMMANDS = 6000
PIECES = (
    "a", "b", "cd", "-x", "--y=z", " ", "  ", "\t", "'", "'", '"', '"', "''", '""', "=", "/", ".",
    ",", ":", "@", "+", "-", "_", "\u00e4", "\n", "\\", "$", "`", "*", "?", "[", "]", "{", "}", "~",
    "#", "!", ";", "&", "|", "<", ">", "(", ")", "^", "%", "$a", "a=b", "{a,b}", "a..b", "\r",
)
COMMON = " ab'\"-=/"


def drawn(draw):
    pieces = PIECES if draw.random() < 0.3 else COMMON
    return "".join(draw.choice(pieces) for _ in range(draw.randint(1, 12)))


def split(commands):
    data = b"".join(command.encode() + b"\0" for command in commands)
    done = subprocess.run([PROBE], input=data, stdout=subprocess.PIPE, check=True)
    return [json.loads(line) for line in done.stdout.splitlines()]


def words_of(shell, command):
    done = subprocess.run([shell, "-c", f"printf '%s\\0' {command}"], stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, check=True, cwd="/")
    return done.stdout.decode().split("\0")[:-1]


class WordsTest(unittest.TestCase):
    def test_words_are_those_of_shells(self):
        draw = random.Random(SEED)
        commands = list({drawn(draw) for _ in range(COMMANDS)})
        plain = [(c, w) for c, w in zip(commands, split(commands)) if w is not None]
        self.assertGreater(len(plain), 300)
        self.assertGreater(len(commands) - len(plain), 300)
        for shell in filter(shutil.which, ("dash", "bash")):
            for command, words in plain[:500]:
                with self.subTest(shell=shell, command=command):
                    self.assertEqual(words_of(shell, command), words)


if __name__ == "__main__":
    unittest.main()
