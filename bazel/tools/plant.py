#!/usr/bin/python3
"""plant: copies of C files, each with a deliberate bug (a "mutant") in it.

    plant.py [--to FOLDER] MUTANTS.bzl SOURCE...

Finds where each bug of MUTANTS.bzl belongs among the sources and writes the changed copy, as
FOLDER/mutant_NAME.c. Without --to it only looks. Exit code 1, and a sentence for each bug that
has no place.

MUTANTS.bzl holds nothing but MUTANTS = {"name": ("What the bug is.", {"text": "other text"})}.
A text is a piece of C that stands once in all the sources. No file is named, and texts are
compared token by token, so code may be moved, re-indented, re-wrapped and commented at will.
"""
import argparse
import os
import re
import runpy
import sys

COMMENT = r"/\*.*?\*/|//[^\n]*"
TOKEN = re.compile(
    COMMENT +
    r"|\"(?:\\.|[^\"\\\n])*\"|'(?:\\.|[^'\\\n])*'"
    r"|\w+"
    r"|->|\+\+|--|<<=|>>=|<<|>>|\.\.\.|[-+*/%&|^=!<>]=|&&|\|\||\S", re.S)


class Misplaced(Exception):
    """A mutant that cannot be planted; the message says why."""


def read(path):
    with open(path, encoding="utf-8") as file:
        return file.read()


def load(path):
    """{name: (sentence, {text: other text})} of a file that is Starlark and Python alike."""
    return runpy.run_path(path)["MUTANTS"]


class Source:
    """A file and its tokens, without comments. `joined`: its tokens, to search in."""

    def __init__(self, path, text):
        self.path = path
        self.text = text
        self.spans = []
        tokens = []
        for match in TOKEN.finditer(text):
            if not match.group().startswith(("/*", "//")):
                self.spans.append(match.span())
                tokens.append(match.group())
        self.joined = join(tokens)

    def find(self, wanted):
        """The spans of the text in which these (joined) tokens stand."""
        count = wanted.count("\0") - 1
        at = self.joined.find(wanted)
        while at >= 0:
            first = self.joined.count("\0", 0, at)
            yield self.spans[first][0], self.spans[first + count - 1][1]
            at = self.joined.find(wanted, at + 1)


def join(tokens):
    return "\0" + "".join(token + "\0" for token in tokens)


def place(text, sources):
    """(source, span): the only place of a text."""
    wanted = Source(None, text).joined
    if wanted == "\0":
        raise Misplaced("has an empty text")
    found = [(source, span) for source in sources for span in source.find(wanted)]
    if not found:
        raise Misplaced(f"stands nowhere in {len(sources)} files: {text}")
    if len(found) > 1:
        places = ", ".join(
            f"{source.path}:{source.text.count(chr(10), 0, span[0]) + 1}"
            for source, span in found)
        raise Misplaced(f"stands {len(found)} times, at {places}: {text}")
    return found[0]


def plant(edits, sources):
    """(source, its text with the edits made)."""
    placed = [(*place(text, sources), other) for text, other in edits.items()]
    if len({source.path for source, _, _ in placed}) != 1:
        files = ", ".join(sorted({source.path for source, _, _ in placed}))
        raise Misplaced(f"must lie in one file, not in: {files}")
    source = placed[0][0]
    text, unchanged_from = source.text, len(source.text)
    for _, (start, end), other in sorted(placed, key=lambda edit: edit[1], reverse=True):
        if end > unchanged_from:
            raise Misplaced("has texts that overlap")
        text, unchanged_from = text[:start] + other + text[end:], start
    if Source(None, text).joined == source.joined:
        raise Misplaced("changes nothing")
    return source, text


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--to")
    parser.add_argument("mutants")
    parser.add_argument("sources", nargs="+")
    arguments = parser.parse_args()
    sources = [Source(path, read(path)) for path in arguments.sources if path.endswith(".c")]
    failed = 0
    for name, (_, edits) in load(arguments.mutants).items():
        try:
            _, text = plant(edits, sources)
        except Misplaced as why:
            print(f"{arguments.mutants}: the mutant {name} {why}", file=sys.stderr)
            failed += 1
            continue
        if arguments.to:
            path = os.path.join(arguments.to, f"mutant_{name}.c")
            with open(path, "w", encoding="utf-8") as file:
                file.write(text)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
