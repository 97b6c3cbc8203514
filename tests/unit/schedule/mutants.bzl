"""A planted bug that property_test must catch."""

load("//bazel:defs.bzl", "c_test", "mutated_source")

_FILES = [
    "calendar",
    "cron",
    "cron_parse",
    "zone",
    "zone_rule",
]

_HEADERS = [
    "calendar",
    "zone_rule",
]

def mutant(name, file, sed):
    """Runs the property test on a copy of service/schedule with `sed` applied to one file.
    """
    source = "%s_%s" % (name, file)
    mutated_source(name = source, src = "//service/schedule:%s.c" % file, sed = sed)
    c_test(
        name = name,
        srcs = [
            "expression.c",
            "expression.h",
            "property_test.c",
            source + ".c",
        ] + ["//service/schedule:%s.c" % other for other in _FILES if other != file] +
               ["//service/schedule:%s.h" % header for header in _HEADERS],
        copts = ["-DMUTANT"],
        deps = [
            "//service/base",
            "//service/schedule:headers",
        ],
    )
