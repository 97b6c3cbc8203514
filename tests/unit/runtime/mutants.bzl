"""A planted bug that queues_property_test must catch."""

load("//bazel:defs.bzl", "c_test")

def mutant(name, file, sed):
    """Runs the property test with `sed` applied to one file of service/runtime.

    The mutated object stands in front of the library that holds the sound one. Fails to build when
    the expression changes nothing, so a mutant cannot die unseen.
    """
    native.genrule(
        name = name + "_source",
        testonly = True,
        srcs = ["//service/runtime:%s.c" % file],
        outs = ["%s_%s.c" % (name, file)],
        cmd = "sed '%s' $< > $@ && ! cmp -s $< $@" % sed,
    )
    c_test(
        name = name,
        srcs = [
            "queues_property_test.c",
            "%s_%s.c" % (name, file),
        ],
        copts = ["-DMUTANT"],
        deps = [
            ":queue_world",
            "//service/base",
            "//service/runtime",
        ],
    )
