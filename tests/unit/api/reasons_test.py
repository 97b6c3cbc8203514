"""Goal: every reason a program can see is explained in docs/errors.md, and no other is.

Method: string constants in capitals in the sources that make errors, against the names in the page.
"""
import glob
import os
import re
import sys

FOLDERS = ("agents", "api", "engine", "hosts", "llm", "rpc", "runtime")
REASON = re.compile(r'(?<![\w"])"([A-Z]+(?:_[A-Z]+)+|QUOTA|TRUNCATED|TIMEOUT|FORBIDDEN|CANCELLED'
                    r'|REDIRECTED|SUPERSEDED|UNACKNOWLEDGED|DRAINING|UNNUMBERED)"')
# Names of environment variables look the same.
VARIABLE = re.compile(r"^POLOSD_|_(API_KEY|BASE_URL|TOKEN)$")
# Names of events, not of errors.
EVENTS = re.compile(r"^(RUN|MODEL|TASK|STEP|LEASE|WAIT|CHILD|RESUME|CANCEL|ADMISSION)_"
                    r"(STARTED|COMPLETED|FAILED|CANCELLED|REQUESTED|REPLIED|SETTLED|GRANTED|LOST"
                    r"|SET|KEPT|PARKED|REQUEUED|ASKED|GIVEN)$")


def reasons_of_sources(root):
    found = {}
    for folder in FOLDERS:
        for path in glob.glob(os.path.join(root, "service", folder, "*.[ch]")):
            with open(path, encoding="utf-8") as file:
                for reason in REASON.findall(file.read()):
                    if not VARIABLE.search(reason) and not EVENTS.match(reason):
                        found.setdefault(reason, os.path.relpath(path, root))
    return found


def reasons_of_page(root):
    with open(os.path.join(root, "docs", "errors.md"), encoding="utf-8") as file:
        first_cells = [line.split("|")[1] for line in file if line.startswith("|")]
    return {name for cell in first_cells for name in re.findall(r"`([A-Z_]+)`", cell)}


def main():
    root = os.environ["POLOS_WORKSPACE"]
    sources = reasons_of_sources(root)
    page = reasons_of_page(root)
    if len(sources) < 40:
        sys.exit(f"only {len(sources)} reasons found: the search is broken")
    faults = [f"{path}: {reason} is not in docs/errors.md"
              for reason, path in sorted(sources.items()) if reason not in page]
    strangers = sorted(page - set(sources))
    faults += [f"docs/errors.md: {reason} is in no source" for reason in strangers]
    print("\n".join(faults) or f"{len(sources)} reasons, all explained")
    sys.exit(1 if faults else 0)


if __name__ == "__main__":
    main()
