#!/usr/bin/python3
"""hand: what is written alike in all C of the project, where clang-format has no say.

    tests/tidy/hand.py [FOLDER]     mends what it can

A function has no blank lines: a comment tells its parts apart, or they are functions. What gives
memory is not cast: it gives `void *`. A comment that begins as a sentence ends as one.
"""
import os
import re
import sys

FOLDERS = ("bazel", "clients", "service", "storage", "tests")

CAST = re.compile(
    r"\((?:const )?(?:struct )?\w+ \*+\)"
    r"(?=\s*(?:xcalloc|xmalloc|xrealloc|arena_z?alloc|array_reserve)\w*\()"
)
COMMENT = re.compile(r'"(?:\\.|[^"\\\n])*"|/\*(.*?)\*/', re.S)


def blank_lines(text):
    """The numbers of blank lines in functions: braces in column one, nothing else has them."""
    inside = False
    for number, line in enumerate(text.split("\n"), 1):
        inside = line == "{" or (inside and line != "}")
        if inside and not line:
            yield number, "a blank line in a function: a comment, or a function of its own"


def casts(text):
    for match in CAST.finditer(text):
        yield text.count("\n", 0, match.start()) + 1, "void * needs no cast"


def unended(text):
    """Comments that begin as a sentence and do not end as one; a drawing may end anyhow."""
    for match in COMMENT.finditer(text):
        comment = match.group(1) or ""
        last = comment.rstrip("\n *").rsplit("\n", 1)[-1]
        said = re.sub(r"\n\s*\*", " ", comment).split()
        begins = len(said) >= 3 and re.fullmatch(r"[A-Z][a-z]*", said[0])
        if begins and said[-1][-1] not in ".?!:,;)-" and not re.match(r" \*   ", last):
            yield text.count("\n", 0, match.end()) + 1, "a comment is a sentence, with a full stop"


def mended(text):
    text = CAST.sub("", text)
    drop = {number for number, _ in blank_lines(text)}
    lines = enumerate(text.split("\n"), 1)
    return "\n".join(line for number, line in lines if number not in drop)


def main():
    root = sys.argv[1] if len(sys.argv) > 1 else os.environ.get("POLOS_WORKSPACE", ".")
    for top in FOLDERS:
        for folder, _, names in os.walk(os.path.join(root, top)):
            for name in names:
                path = os.path.join(folder, name)
                if not name.endswith((".c", ".h")) or "node_modules" in path:
                    continue
                with open(path, encoding="utf-8") as file:
                    text = file.read()
                if mended(text) != text:
                    with open(path, "w", encoding="utf-8") as file:
                        file.write(mended(text))


if __name__ == "__main__":
    main()
