"""A planted bug that property_test must catch."""

load("//bazel:defs.bzl", "c_test")

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

    Fails to build when the expression changes nothing, so a mutant cannot die unseen.
    """
    native.genrule(
        name = name + "_source",
        testonly = True,
        srcs = ["//service/schedule:%s.c" % file],
        outs = ["%s_%s.c" % (name, file)],
        cmd = "sed '%s' $< > $@ && ! cmp -s $< $@" % sed,
    )
    c_test(
        name = name,
        srcs = [
            "expression.c",
            "expression.h",
            "property_test.c",
            "%s_%s.c" % (name, file),
        ] + ["//service/schedule:%s.c" % other for other in _FILES if other != file] +
               ["//service/schedule:%s.h" % header for header in _HEADERS],
        copts = ["-DMUTANT"],
        deps = [
            "//service/base",
            "//service/schedule:headers",
        ],
    )
