"""Who may include whom.

One row for each folder: what it may include of ours besides itself, and whose libraries. A
longer path wins over a shorter one, so single files can have a row of their own ("x.c", or "x_"
for all whose names start so).
"""
import os

API = ("polos/v1/", "google/rpc/", "google/protobuf/")
JOURNAL = ("polos/journal/v1/", "google/protobuf/")
RECORDS = ("polos/journal/v1/records.pb.h",)

# The features that somebody outside asks something of, by the header that says what.
REQUESTS = tuple(
    f"service/features/{name}/{name}.h"
    for name in (
        "callers",
        "definitions",
        "deletions",
        "forks",
        "inputs",
        "keys",
        "offers",
        "publications",
        "queues",
        "reports",
        "schedules",
        "starts",
        "suspensions",
        "tasks",
        "topics",
        "triggers",
        "watchers",
    )
)

# folder or file: (ours, other people's)
LAYERS = {
    "service/base": ((), ()),
    "service/engine": (("service/base/",), ()),
    "service/codec": (
        ("service/base/", "service/engine/") + JOURNAL + RECORDS,
        ("protobuf-c/", "pb_encode.h", "pb_decode.h"),
    ),
    "service/net": (("service/base/",), ("curl/",)),
    "service/llm": (("service/base/", "service/net/"), ()),
    "service/llm/tree": (("service/base/",), ("cjson/",)),
    # Between the facts of a run and the request to a model: it knows the words of both.
    "service/agents": (
        (
            "service/base/",
            "service/codec/",
            "service/engine/engine.h",
            "service/llm/provider.h",
            "service/schema/schema.h",
        )
        + JOURNAL,
        ("protobuf-c/",),
    ),
    "service/hosts": (("service/base/",), ()),
    "service/schedule": (("service/base/",), ()),
    "service/schema": (("service/base/",), ()),
    "service/metrics": (("service/base/",), ()),
    "service/keys": (("service/base/",), ("openssl/",)),
    # The core: it knows no feature by name.
    "service/partition": (
        (
            "service/base/",
            "service/engine/",
            "service/codec/",
            "service/llm/provider.h",
            "service/hosts/host.h",
            "service/hosts/placement.h",
            "storage/store.h",
            "storage/keys.h",
        ),
        (),
    ),
    # What each may call of the others: its `uses`, see feature_uses() in tidy.py.
    "service/features": (
        (
            "service/base/",
            "service/engine/",
            "service/codec/",
            "service/agents/",
            "service/schedule/",
            "service/schema/schema.h",
            "service/partition/",
            "service/features/",
            "service/keys/",
            "service/llm/provider.h",
            "service/hosts/facts.h",
            "service/hosts/host.h",
            "service/hosts/leases.h",
            "service/hosts/placement.h",
            "service/hosts/roster.h",
            "storage/store.h",
            "storage/keys.h",
        ),
        (),
    ),
    # Beside the partition, over the same store.
    "service/reads": (
        (
            "service/base/",
            "service/engine/",
            "service/codec/",
            "service/agents/",
            "storage/store.h",
            "storage/keys.h",
        ),
        (),
    ),
    # The requests of the features, and what those are made of; how to post one.
    "service/api": (
        (
            "service/base/",
            "service/partition/following.h",
            "service/partition/partition.h",
            "service/partition/request.h",
            "service/reads/agents.h",
            "service/reads/history.h",
            "service/reads/list.h",
            "service/reads/offers.h",
            "service/reads/reads.h",
            "service/reads/run_read.h",
            "service/reads/run_replay.h",
            "service/reads/suspensions.h",
            "service/reads/topic_replay.h",
            "service/reads/topics.h",
            "service/reads/tree_replay.h",
            "service/agents/definition.h",
            "service/agents/offer.h",
            "service/agents/output.h",
            "service/agents/transcript.h",
            "service/codec/codec.h",
            "service/engine/engine.h",
            "service/hosts/message.h",
            "service/keys/",
            "service/llm/provider.h",
            "service/schema/schema.h",
        )
        + REQUESTS
        + API,
        ("protobuf-c/",),
    ),
    "service/door": (("service/base/",), ("openssl/",)),
    "service/rpc": (
        (
            "service/base/",
            "service/api/",
            "service/keys/",
            "service/door/door.h",
            "protos/",
            "grpc/",
        )
        + API,
        ("grpc/", "protobuf-c/"),
    ),
    "service/gateway": (("service/base/", "service/api/") + API, ("protobuf-c/",)),
    # The only place that names concrete stores, providers and transports.
    "service/main.c": (("service/", "storage/", "protos/"), ()),
    "service/config": (("service/base/",), ()),
    # A command beside the server: over the same store.
    "service/keys_command": (
        (
            "service/api/access.h",
            "service/base/",
            "service/codec/level.h",
            "service/features/keys/key_table.h",
            "service/keys/",
            "storage/store.h",
        ),
        (),
    ),
    "storage": (("service/base/",) + RECORDS, ("pb.h", "pb_encode.h", "pb_decode.h")),
    "storage/rocksdb_": (
        ("service/base/", "storage/") + RECORDS,
        ("pb.h", "pb_encode.h", "pb_decode.h", "rocksdb/"),
    ),
    # Runs inside a sandbox, alone: nothing of it needs more than the C library.
    "clients/sandbox/box": (("service/base/", "service/schema/pattern.h"), ()),
    # What makes and watches sandboxes: it speaks with the box by its frames alone.
    "clients/sandbox/host": (
        ("service/base/", "clients/sandbox/box/frame.h", "clients/c/polos", "polos/v1/"),
        (),
    ),
    "clients/c/examples": (("clients/c/",), ()),
    "clients/c": (("service/base/", "polos/v1/", "google/"), ("grpc/", "protobuf-c/")),
}

LIBRARIES = (
    "grpc/", "curl/", "rocksdb/", "protobuf-c/", "cjson/", "openssl/", "pb.h", "pb_",
)
ANYTHING = ("tests/", "bazel/tools/")


def row_of(path):
    stem = os.path.splitext(path)[0]
    rows = [
        key
        for key in LAYERS
        if key in (path, stem) or path.startswith(key if key.endswith("_") else key + "/")
    ]
    return LAYERS[max(rows, key=len)] if rows else None


def refusal(path, included):
    """Why this file may not include that header; None if it may."""
    if path.startswith(ANYTHING):
        return None
    row = row_of(path)
    if row is None:
        return "this folder has no row in tests/tidy/layers.py"
    if included.startswith("../") or "/../" in included:
        return f"{included} is not a path from the root"
    if os.path.dirname(included) == os.path.dirname(path):
        return None
    ours, others = row
    if included.startswith(ours) or included.startswith(others or ("\0",)):
        return None
    is_ours = included.startswith(("service/", "storage/", "clients/", "tests/", "polos/"))
    if is_ours or included.startswith(LIBRARIES):
        return f"{os.path.dirname(path)} may not include {included}"
    return None
