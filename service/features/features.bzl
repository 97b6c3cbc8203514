"""The features, and which may call which: the `uses` of their tables, as Bazel holds them to it.

A feature's library is seen by those who use it and by the whole alone: another's header is not
there to be included, but for those of what its uses use, which tests/tidy refuses.
"""

load("//bazel:defs.bzl", "c_library")

USES = {
    "callers": ["reports", "suspensions", "trees"],
    "children": ["definitions", "owed", "queues", "starts", "trees", "waits"],
    "definitions": ["queues"],
    "deletions": ["children", "forks", "owed", "suspensions", "trees"],
    "forks": ["children", "definitions", "owed", "reports", "starts"],
    "histories": [],
    "idempotency": [],
    "inputs": [],
    "keys": [],
    "lines": [],
    "lists": [],
    "models": ["definitions", "lines", "watchers"],
    "offers": ["queues", "triggers"],
    "owed": [],
    "publications": ["topics"],
    "queues": [],
    "reports": ["lines", "queues"],
    "schedules": ["idempotency", "starts"],
    "starts": ["definitions", "idempotency", "queues"],
    "suspensions": ["trees", "waits"],
    "tasks": [
        "definitions",
        "offers",
        "queues",
        "schedules",
        "triggers",
        "versions",
        "waits",
        "watchers",
    ],
    "topics": ["owed", "waits"],
    "trees": [],
    "triggers": ["starts", "topics"],
    "versions": [],
    "waits": [],
    "watchers": ["reports", "trees"],
}

# Who else asks something of a feature's files than those who use it.
VISITORS = {
    "keys": ["//service:__pkg__"],
}

def labels(names, target = ""):
    """The labels of features; of their target with this name, where one is given."""
    return ["//service/features/%s%s" % (name, target) for name in names]

def feature(name, srcs, hdrs, deps = []):
    """A feature's library, and its files for mutants. deps: what not every feature needs."""
    native.filegroup(
        name = "mutable",
        srcs = srcs,
        visibility = ["//service/features:__pkg__"],
    )
    c_library(
        name = name,
        srcs = srcs,
        hdrs = hdrs,
        visibility = ["//service/features:__pkg__"] +
                     VISITORS.get(name, []) +
                     labels([user for user in USES if name in USES[user]], ":__pkg__"),
        deps = labels(USES[name]) + deps + [
            "//service/base",
            "//service/codec",
            "//service/engine",
            "//service/hosts",
            "//service/partition",
            "//storage:keys",
            "//storage:store",
        ],
    )
