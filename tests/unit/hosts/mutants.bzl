"""A planted bug that property_test must catch."""

load("//bazel:defs.bzl", "c_test", "mutated_source")

_FILES = [
    "hello",
    "host",
    "lines",
    "outbox",
    "session",
    "tasks",
    "window",
]

_HEADERS = [
    "lines",
    "list",
    "outbox",
    "session",
    "tasks",
    "window",
]

def mutant(name, file, sed):
    """Runs the property test on a copy of service/hosts with `sed` applied to one file.
    """
    source = "%s_%s" % (name, file)
    mutated_source(name = source, src = "//service/hosts:%s.c" % file, sed = sed)
    c_test(
        name = name,
        srcs = [
            "property_test.c",
            "sim.c",
            "sim.h",
            "sim_host.c",
            "sim_server.c",
            source + ".c",
        ] + ["//service/hosts:%s.c" % other for other in _FILES if other != file] +
               ["//service/hosts:%s.h" % header for header in _HEADERS],
        copts = ["-DMUTANT"],
        deps = [
            "//service/base",
            "//service/hosts:headers",
        ],
    )
