"""Words that are not ours, folder by folder, and the word to use: see docs/glossary.md.

A row is (places, {what may not stand there: what to write}). A place is the beginning of a path.
What may not stand there is

    "worker"         a word: alone or as a part of a name, in code and in comments: worker, workers,
                     run_worker, WORKER_MAX, RunWorker; not workerless
    "struct step"    with a blank or a "_", a phrase or a whole name: as it stands

A name that goes gets its row in the commit that renames the last of it. What to write is in the
glossary, in the table "No longer", unless the row is for tests or for one folder alone.
"""
import re

BANNED = (
    (
        ("service/", "storage/", "protos/", "clients/c/"),
        {"worker": "host", "orchestrator": "server", "activity": "task"},
    ),
    (
        ("service/hosts/", "service/rpc/"),
        {
            "adopted": "taken over",
            "dealt": "handled",
            "runtime": "partition",
            "turn": "round",
        },
    ),
    (
        (
            "service/agents/", "service/codec/", "service/engine/", "service/llm/",
            "service/partition/", "storage/", "tests/simulation/", "tests/unit/agents/",
            "tests/unit/codec/", "tests/unit/engine/", "tests/unit/llm/", "tests/unit/partition/",
        ),
        {
            "runtime": "partition, or server",
            "heir": "successor",
            "seat": "admission",
            "asker": "admission",
            "born": "owed",
            "adopt": "owed",
            "an order": "a step request",
            "An order": "a step request",
            "in line": "ready",
            "in_line": "ready",
            "its turn": "admission",
        },
    ),
    (
        ("service/partition/", "storage/"),
        {"turn": "a round"},
    ),
    (
        ("tests/unit/api/", "tests/unit/partition/"),
        {"a turn": "a round", "world_turn": "a round", "world_turns": "rounds"},
    ),
    (
        ("service/llm/", "tests/unit/llm/"),
        {"step": "codec_result, or turn"},
    ),
    (
        ("tests/simulation/",),
        {
            "book": "run, or laws",
            "speaker": "command",
            "meddler": "command",
            "janitor": "who answers all",
            "out of turn": "stale",
        },
    ),
)


def pattern_of(word):
    if re.search(r"[ _]", word):
        return re.compile(rf"(?<!\w){re.escape(word)}(?!\w)")
    # Without the plural's ending; a capital begins a part of a name.
    part = rf"(?:{word}|{word.upper()}|{word.capitalize()})"
    return re.compile(rf"(?:(?<![A-Za-z]){part}|(?<=[a-z]){word.capitalize()})(?:s|S|es)?(?![a-z])")


def rows_of(path, banned=None):
    """(pattern, what is written there, what to write), for one file."""
    for places, words in BANNED if banned is None else banned:
        if path.startswith(places):
            for word, instead in words.items():
                yield pattern_of(word), word, instead
