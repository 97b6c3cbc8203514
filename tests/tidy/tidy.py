#!/usr/bin/python3
"""tidy: the style that a machine can check, over the whole tree.

    tests/tidy/tidy.py [FOLDER]     prints PATH:LINE: sentence, exit code 1 if there are any

Each rule is a function of the tree that yields (path, line, sentence). A new rule: a function,
a row in RULES, and a planted violation in tidy_test.py. Who may include whom: layers.py.
"""
import ast
import fnmatch
import os
import re
import shutil
import subprocess
import sys

import hand
import layers
import words

LINE_MAX = 100
FUNCTION_LINES_MAX = 70
FILE_LINES_MAX = 800
README_LINES_MAX = 40

SKIPPED_FOLDERS = {
    ".cache", ".git", ".pytest_cache", ".tools", ".venv", "__pycache__", "node_modules", "out"
}
GENERATED = (
    "*_pb2.py", "*_pb2.pyi", "*_pb2_grpc.py", "*_pb2_grpc.pyi", "compile_commands.json"
)
C_FILES = (".c", ".h")
CODE_FILES = (".c", ".h", ".bzl", ".py", ".sh", ".bazel", ".proto", ".ts", ".js")

# Folders that explain themselves to whoever opens them.
README_FOLDERS = (
    "service/*", "storage", "tests/*", "clients/*", "bazel", "protos", "docs"
)
LISTED_FOLDERS = ("service/*", "storage", "clients/c")
ENGINE_FORBIDDEN = re.compile(
    r"\b(time|clock_gettime|gettimeofday|rand|random|malloc|calloc|realloc|free|getenv"
    r"|printf|fprintf|puts|pthread_\w+|exit)\s*\("
)
UNOWNED = re.compile(r"\b(?:TO" r"DO|FIX" r"ME)\b(?!\([a-z][\w-]*\))")
VERSION_TOLD = re.compile(r'"polos(?:d|-c|-python)/([^"\s]+)|^__version__ = "([^"]*)"')
FEATURE_FILE = re.compile(r"service/features/(\w+)/")
FEATURE_INCLUDE = re.compile(r'^\s*#\s*include\s*"service/features/(\w+)/')
FEATURE_USES = re.compile(r"\buses\[\]\s*=\s*\{(.*?)\}", re.S)
MACHINE_PATH = re.compile(r"(?:^|[\s\"'(=`])/(?:work|home|Users)/")


class Tree:
    """The files of a checkout by their path from its root."""

    def __init__(self, root):
        self.root = root
        self.paths = []
        self._texts = {}
        for folder, folders, files in os.walk(root):
            folders[:] = sorted(
                f for f in folders if f not in SKIPPED_FOLDERS and not f.startswith("bazel-")
            )
            for name in sorted(files):
                if not any(fnmatch.fnmatch(name, pattern) for pattern in GENERATED):
                    self.paths.append(os.path.relpath(os.path.join(folder, name), root))

    def text(self, path):
        if path not in self._texts:
            with open(os.path.join(self.root, path), encoding="utf-8", errors="replace") as file:
                self._texts[path] = file.read()
        return self._texts[path]

    def lines(self, path):
        return enumerate(self.text(path).splitlines(), 1)

    def having(self, *endings):
        return [path for path in self.paths if path.endswith(endings)]


def strip_comments(text):
    """C without comments and strings, line for line."""
    pattern = r'/\*.*?\*/|//[^\n]*|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\''
    return re.sub(pattern, lambda m: "\n" * m.group().count("\n"), text, flags=re.S)


def line_length(tree):
    for path in tree.having(".c", ".h", ".bzl", ".py"):
        for number, line in tree.lines(path):
            if len(line) > LINE_MAX:
                yield path, number, f"{len(line)} characters, at most {LINE_MAX}"


def c_functions(tree, path):
    """(first line, length) of each function: braces in column one, nothing else has them."""
    start = None
    for number, line in tree.lines(path):
        if line == "{":
            start = number
        elif line == "}" and start is not None:
            yield start, number - start + 1
            start = None


def python_functions(tree, path):
    try:
        module = ast.parse(tree.text(path))
    except SyntaxError:
        return
    for node in ast.walk(module):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            yield node.lineno, node.end_lineno - node.lineno + 1


def function_length(tree):
    for endings, functions in ((C_FILES, c_functions), ((".py",), python_functions)):
        for path in tree.having(*endings):
            for number, length in functions(tree, path):
                if length > FUNCTION_LINES_MAX:
                    sentence = f"a function of {length} lines, at most {FUNCTION_LINES_MAX}"
                    yield path, number, sentence


def file_length(tree):
    for path in tree.having(*C_FILES):
        length = len(tree.text(path).splitlines())
        if length > FILE_LINES_MAX:
            yield path, length, f"{length} lines, at most {FILE_LINES_MAX}"


def header_guard(tree):
    for path in tree.having(".h"):
        guard = re.sub(r"[^A-Z0-9]", "_", path.upper())
        text = strip_comments(tree.text(path)).strip()
        if not re.match(rf"#ifndef {guard}\n#define {guard}\n", text):
            yield path, 1, f"the guard is not {guard}"
        if not tree.text(path).endswith("\n#endif\n"):
            yield path, 1, "#endif of the guard is not the last line"


def owner_of_later_work(tree):
    for path in tree.having(*CODE_FILES):
        for number, line in tree.lines(path):
            if UNOWNED.search(line):
                yield path, number, "work left for later has no owner: write it as NOTE(owner)"


def include_layers(tree):
    include = re.compile(r'^\s*#\s*include\s*(?:"([^"]+)"|<([^>]+)>)')
    for path in tree.having(*C_FILES):
        for number, line in tree.lines(path):
            match = include.match(line)
            if match:
                why = layers.refusal(path, match.group(1) or match.group(2))
                if why:
                    yield path, number, why


def features_by_name(tree):
    """{name: ({other: (path, line) of an include of it}, {other: (path, line) of `uses`})}"""
    features = {}
    for path in tree.having(*C_FILES):
        match = FEATURE_FILE.match(path)
        if not match:
            continue
        included, used = features.setdefault(match.group(1), ({}, {}))
        for number, line in tree.lines(path):
            other = FEATURE_INCLUDE.match(line)
            if other and other.group(1) != match.group(1):
                included.setdefault(other.group(1), (path, number))
        text = strip_comments(tree.text(path))
        for uses in FEATURE_USES.finditer(text):
            number = text.count("\n", 0, uses.start()) + 1
            for other in re.findall(r"&(\w+)_feature\b", uses.group(1)):
                used[other] = (path, number)
    return features


def feature_uses(tree):
    """A feature's `uses` are the features whose headers its files include, all and no others."""
    for name, (included, used) in sorted(features_by_name(tree).items()):
        for other in sorted(included.keys() - used.keys()):
            yield *included[other], f"the uses of {name} do not name {other}"
        for other in sorted(used.keys() - included.keys()):
            yield *used[other], f"{name} includes no header of {other}, which its uses name"


def feature_circle(tree):
    """Features that use each other, in a circle or at once, are one feature."""
    features = features_by_name(tree)
    uses_of = {name: set(features[name][1]) for name in features}
    left, before = set(features), None
    while left != before:
        before = left
        used = set().union(*(uses_of[name] for name in left))
        left = {name for name in left if name in used and left & uses_of[name]}
    for name in sorted(left):
        other = min(left & uses_of[name])
        yield *features[name][1][other], f"{name} and {other} use each other, perhaps by a third"


def engine_is_pure(tree):
    for path in tree.having(*C_FILES):
        if path.startswith("service/engine/"):
            text = strip_comments(tree.text(path))
            for number, line in enumerate(text.splitlines(), 1):
                match = ENGINE_FORBIDDEN.search(line)
                if match:
                    yield path, number, f"the engine may not call {match.group(1)}"


def package_of(tree, path):
    folder = os.path.dirname(path)
    while folder and os.path.join(folder, "BUILD.bazel") not in tree.paths:
        folder = os.path.dirname(folder)
    return folder


def is_listed(build, name):
    """As "x.c", as "x" (a list of names gets ".c" later), or by a glob."""
    if f'"{name}"' in build or f'"{os.path.splitext(name)[0]}"' in build:
        return True
    globs = " ".join(re.findall(r"glob\((.*?)\)", build, re.S))
    return any(fnmatch.fnmatch(name, glob) for glob in re.findall(r'"([^"]+)"', globs))


def listed_in_build(tree):
    for path in tree.having(*C_FILES):
        package = package_of(tree, path)
        build = os.path.join(package, "BUILD.bazel")
        if build not in tree.paths or not is_listed(
            tree.text(build), os.path.relpath(path, package or ".")
        ):
            yield path, 1, f"no target lists it (looked in {build})"


def readme(tree):
    folders = {os.path.dirname(path) for path in tree.paths}
    for path in list(folders):
        while os.path.dirname(path):
            path = os.path.dirname(path)
            folders.add(path)
    for folder in sorted(folders):
        depth = folder.count("/")
        wanted = any(
            fnmatch.fnmatch(folder, p) and p.count("/") == depth for p in README_FOLDERS
        )
        path = os.path.join(folder, "README.md")
        if wanted and path not in tree.paths:
            yield path, 1, "missing"
        elif wanted and not folder.startswith("clients"):
            length = len(tree.text(path).splitlines())
            if length > README_LINES_MAX:
                yield path, length, f"{length} lines, at most {README_LINES_MAX}"


def named(cell):
    """The files of a table's cell: `x.h`, `y.{h,c}`."""
    for name in re.findall(r"`([^`\s]+)`", cell):
        braces = re.fullmatch(r"(.*)\{(.*)\}(.*)", name)
        for ending in braces.group(2).split(",") if braces else ("",):
            yield braces.group(1) + ending + braces.group(3) if braces else name


def table_of_files(tree, path):
    """[(line, [names in the first cell], the row)] of the tables whose first column is "file"."""
    rows, inside = [], False
    for number, line in tree.lines(path):
        cells = [cell.strip() for cell in line.split("|")]
        inside = line.startswith("|") and (inside or cells[1] == "file")
        if inside:
            rows.append((number, list(named(cells[1])), line))
    return rows


def readme_lists_files(tree):
    """Where a README has a table of files, it has all of them and no other; elsewhere under
    LISTED_FOLDERS the text names them. A name stands for the .c and the .h."""
    for path in tree.paths:
        folder, name = os.path.split(path)
        if name != "README.md":
            continue
        rows = table_of_files(tree, path)
        there = [file for file in tree.paths if os.path.dirname(file) == folder]
        for number, names, _ in rows:
            for each in names:
                pattern = os.path.join(folder, each) + ("*" if each.endswith("/") else "")
                if not any(fnmatch.fnmatch(p, pattern) for p in tree.paths):
                    yield path, number, f"there is no {each}"
        where = "\n".join(row for _, _, row in rows)
        if any(fnmatch.fnmatch(folder, pattern) for pattern in LISTED_FOLDERS):
            where = where or tree.text(path)
        stems = {os.path.splitext(each)[0] for each in named(where)}
        for file in there if where else ():
            stem, ending = os.path.splitext(os.path.basename(file))
            if ending in (".c", ".h", ".py") and stem not in stems:
                yield path, 1, f"nothing in it names {os.path.basename(file)}"


def machine_paths(tree):
    for path in tree.having(*CODE_FILES, ".md", ".txt", ".json", "run"):
        for number, line in tree.lines(path):
            if MACHINE_PATH.search(line):
                yield path, number, "a path of somebody's machine"


def one_word(tree, banned=None):
    for path in tree.having(*CODE_FILES, ".md"):
        rows = list(words.rows_of(path, banned))
        for number, line in tree.lines(path) if rows else ():
            for pattern, word, instead in rows:
                if pattern.search(line):
                    yield path, number, f"'{word}': write '{instead}' (docs/glossary.md)"


def words_that_went(tree):
    """What the glossary's last table says went may not stand in some folder, by words.py."""
    path = "docs/glossary.md"
    held = {(word, instead) for _, row in words.BANNED for word, instead in row.items()}
    text = tree.text(path) if path in tree.paths else ""
    table = text.partition("\n## No longer\n")[2]
    first = text.count("\n") - table.count("\n") + 1
    for number, line in enumerate(table.splitlines(), first):
        cells = [re.sub(r"\(.*?\)", "", cell).strip() for cell in line.split("|")]
        if len(cells) != 4 or cells[1] in ("no longer", "---"):
            continue
        for word in cells[1].split(", "):
            if (word, cells[2]) not in held:
                yield path, number, f"no row of tests/tidy/words.py holds '{word}'"


def one_version(tree):
    """VERSION at the root says it; what tells it to others says the same."""
    version = tree.text("VERSION").strip() if "VERSION" in tree.paths else ""
    if not re.fullmatch(r"\d+\.\d+\.\d+(-[a-z0-9.]+)?", version):
        yield "VERSION", 1, "is to hold one version: 1.2.3, or 1.2.3-rc.1"
    for path in tree.having(".c", ".h", ".py"):
        if not path.startswith("tests/"):
            for number, line in tree.lines(path):
                match = VERSION_TOLD.search(line)
                if match and (match.group(1) or match.group(2)) != version:
                    yield path, number, f"another version than VERSION's {version}"


def clang_format():
    """Version 14, from ./run's environment or Debian; None where there is neither."""
    workspace = os.path.abspath(os.environ.get("POLOS_WORKSPACE", "."))
    beside = os.path.join(workspace, ".venv/bin/clang-format")
    for program in (beside, "clang-format-14", "clang-format"):
        path = shutil.which(program)
        if path:
            version = subprocess.run([path, "--version"], stdout=subprocess.PIPE, text=True)
            if "version 14." in version.stdout:
                return path
    return None


def one_hand(tree):
    for path in tree.having(*C_FILES):
        for rule in (hand.blank_lines, hand.casts, hand.unended):
            for number, sentence in rule(tree.text(path)):
                yield path, number, sentence


def formatting(tree):
    program = clang_format()
    paths = tree.having(*C_FILES)
    if not program or not paths:
        return
    done = subprocess.run(
        [program, "--dry-run", *paths], cwd=tree.root, stderr=subprocess.PIPE, text=True
    )
    seen = set()
    for path, line in re.findall(r"^(\S+?):(\d+):\d+: warning: code should be", done.stderr, re.M):
        if path not in seen:
            seen.add(path)
            yield path, int(line), "clang-format 14 would write it otherwise (clang-format -i)"


RULES = (
    line_length,
    function_length,
    file_length,
    header_guard,
    owner_of_later_work,
    include_layers,
    feature_uses,
    feature_circle,
    engine_is_pure,
    listed_in_build,
    readme,
    readme_lists_files,
    machine_paths,
    one_word,
    words_that_went,
    one_version,
    one_hand,
    formatting,
)


def main():
    root = sys.argv[1] if len(sys.argv) > 1 else os.environ.get("POLOS_WORKSPACE", ".")
    tree = Tree(root)
    total = failed = 0
    for rule in RULES:
        found = list(rule(tree))
        for path, number, sentence in found:
            print(f"{path}:{number}: {sentence} [{rule.__name__}]")
        total += 1
        failed += bool(found)
    skipped = 0 if clang_format() else 1
    if skipped:
        print("skipped: there is no clang-format 14 here [formatting]")
    print(f"{len(tree.paths)} files")
    print(f"{total - failed - skipped} passed, {failed} failed, {skipped} skipped")
    return 1 if failed or not tree.paths else 0


if __name__ == "__main__":
    sys.exit(main())
