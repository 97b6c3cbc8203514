"""Goal: every word of the API's enums is said or heard by the server: none is documented that
nobody sends, and none can be sent that is not documented.

Method: the enum values in protos/polos/v1 against the names that the generated C gives them, in the
server's sources. A name that is in no proto does not compile, and buf wants a comment on each.
"""
import glob
import os
import re
import sys

BLOCK = re.compile(r"^( *)(enum|message) (\w+) \{", re.M)
VALUE = re.compile(r"^\s*([A-Z][A-Z0-9_]+) = (\d+);", re.M)
# The server does nothing about them: what is not said means them, too.
MEANT_ANYWAY = {"RUN_VIEW_FULL"}


def c_name(*parts):
    """As protoc-gen-c has it: RunStatus is RUN_STATUS."""
    return "__".join(re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", part).upper() for part in parts)


def words(text):
    """(C name, proto name) of each value of each enum; enums stand alone or in a message."""
    message = ""
    for block in BLOCK.finditer(text):
        if block.group(2) == "message":
            message = block.group(3)
            continue
        outer = (message,) if block.group(1) else ()
        body = text[block.end():text.index("}", block.end())]
        for value in VALUE.finditer(body):
            yield c_name("Polos", "V1", *outer, block.group(3)) + "__" + value.group(1), value


def main(root):
    sources = ""
    for path in glob.glob(os.path.join(root, "service/**/*.c"), recursive=True):
        with open(path, encoding="utf-8") as file:
            sources += file.read()
    count, silent = 0, []
    for path in sorted(glob.glob(os.path.join(root, "protos/polos/v1/*.proto"))):
        with open(path, encoding="utf-8") as file:
            found = list(words(file.read()))
        for name, value in found:
            count += 1
            is_meant = value.group(2) == "0" or value.group(1) in MEANT_ANYWAY
            if not is_meant and not re.search(r"\b%s\b" % name, sources):
                silent.append("%s: %s is said by nobody" % (os.path.basename(path), value.group(1)))
    assert count > 20, "the protos were not read"
    print("\n".join(silent) or "%d words" % count)
    return 1 if silent else 0


if __name__ == "__main__":
    sys.exit(main(os.environ["POLOS_WORKSPACE"]))
