"""Goal: every reason a program can see is explained in docs/errors.md, once in its section, and no
other is.

Method: every constant in capitals in the server's sources, but for those of a short list, and the
reasons that the clients give by themselves, against the names in the page.
"""
import collections
import glob
import os
import re
import sys

COMMENT = re.compile(r"/\*.*?\*/", re.S)
CONSTANT = re.compile(r'(?<![\w"])"([A-Z][A-Z_]+)"')
# Rows of tables of other names, in which nothing is a reason.
OTHER_TABLES = re.compile(r"^\s*\[(EVENT|CODE)_\w+\] = ")
# Names of environment variables look the same.
VARIABLE = re.compile(r"^POLOSD_|_(API_KEY|BASE_URL|TOKEN|PROXY)$|^SSL_CERT_FILE$")
# What is no reason either: a method of HTTP, a zone, a code that is none, roles of keys, names of
# days and months.
OTHERS = {"API_KEY_INVALID", "POST", "UTC", "UNKNOWN", "CALLER", "HOST", "APPROVER", "READER",
          "ADMIN", "SUNMONTUEWEDTHUFRISAT",
          "JANFEBMARAPRMAYJUNJULAUGSEPOCTNOVDEC"}
# Google's words look the same; the reasons its dialect gives stand in the others too.
GOOGLES = ("service/llm/gemini.c", "service/llm/gemini_request.c")
# Why a connection ended; docs/port.md has them.
DOOR = "service/door/"
# Of the clients: only where an error is made.
PYTHON = re.compile(r'\breason ?= ?"([A-Z_]+)"')
TYPESCRIPT = re.compile(r'\breason: "([A-Z_]+)"')
C_CLIENT = re.compile(r'polos_error \w+ = \{CODE_\w+, "([A-Z_]+)"')


def sources(root, *patterns):
    for pattern in patterns:
        for path in sorted(glob.glob(os.path.join(root, pattern), recursive=True)):
            with open(path, encoding="utf-8") as file:
                yield os.path.relpath(path, root), file.read()


def reasons_of_server(root):
    found = {}
    for path, text in sources(root, "service/**/*.c", "service/**/*.h"):
        if path in GOOGLES or path.startswith(DOOR):
            continue
        for line in COMMENT.sub("", text).splitlines():
            if not OTHER_TABLES.match(line):
                for reason in CONSTANT.findall(line):
                    if not VARIABLE.search(reason) and reason not in OTHERS:
                        found.setdefault(reason, path)
    return found


def reasons_of_clients(root):
    found = {}
    clients = (("clients/python/polos/**/*.py", PYTHON), ("clients/c/*.c", C_CLIENT),
               ("clients/typescript/src/**/*.ts", TYPESCRIPT))
    for pattern, expression in clients:
        for path, text in sources(root, pattern):
            for reason in expression.findall(text):
                found.setdefault(reason, path)
    return found


def reasons_never_given(root):
    """Those with a name that nothing in the server says."""
    said = set()
    for path, text in sources(root, "service/**/*.c", "service/**/*.h"):
        if not path.startswith("service/base/failure."):
            said.update(re.findall(r"\bREASON_[A-Z_]+\b", text))
    with open(os.path.join(root, "service/base/failure.c"), encoding="utf-8") as file:
        named = re.findall(r"\[(REASON_[A-Z_]+)\] =", file.read())
    return [name for name in named if name not in said]


def reasons_of_page(root):
    """{section: names of its tables' first cells, as often as they stand there}"""
    found = collections.defaultdict(list)
    section = ""
    with open(os.path.join(root, "docs", "errors.md"), encoding="utf-8") as file:
        for line in file:
            if line.startswith("## "):
                section = line[3:].strip()
            if line.startswith("|"):
                found[section] += re.findall(r"`([A-Z_]+)`", line.split("|")[1])
    return found


def faults(root):
    server, clients, page = reasons_of_server(root), reasons_of_clients(root), reasons_of_page(root)
    known = {**clients, **server}
    if len(server) < 80 or len(clients) < 4:
        yield f"only {len(server)} and {len(clients)} reasons were found: the search is broken"
    explained = {reason for reasons in page.values() for reason in reasons}
    for reason, path in sorted(known.items()):
        if reason not in explained:
            yield f"{path}: {reason} is not in docs/errors.md"
    for name in reasons_never_given(root):
        yield f"service/base/failure.c: nobody gives {name}"
    for section, reasons in page.items():
        for reason, count in sorted(collections.Counter(reasons).items()):
            if count > 1:
                yield f"docs/errors.md: {reason} stands {count} times under {section}"
            if reason not in known:
                yield f"docs/errors.md: {reason} is in no source"


def main():
    found = list(faults(os.environ["POLOS_WORKSPACE"]))
    print("\n".join(found) or "all reasons are explained")
    sys.exit(1 if found else 0)


if __name__ == "__main__":
    main()
