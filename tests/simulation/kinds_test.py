"""
Goal:   no kind of request is made in no world.
Method: the list of them in world_operators.c, which a run over many worlds judges, names all those
        that the sources have and others may post.
"""
import re
import sys


def main():
    listing, *sources = sys.argv[1:]
    kinds = set()
    for path in sources:
        with open(path, encoding="utf-8") as file:
            kinds |= set(re.findall(r"^const struct operation (\w+) = {", file.read(), re.M))
    with open(listing, encoding="utf-8") as file:
        array = re.search(r"^static const .* kinds\[\] = \{\n(.*?)^\};", file.read(), re.M | re.S)
    listed = set(re.findall(r"&(\w+_operation),", array[1]))
    assert len(kinds) > 30, kinds
    for name in sorted(kinds - listed):
        print(f"{name}: not in {listing}: let somebody in a world make such a request")
    failed = len(kinds - listed)
    print(f"{len(kinds) - failed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
