"""A planted bug that a test here must catch."""

load("//bazel:defs.bzl", "c_test")

def mutant(name, file, sed, test = "queues_property_test", world = ":queue_world", tags = []):
    """Runs the test, which then must fail, with `sed` applied to one file of service/runtime.

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
            test + ".c",
            "%s_%s.c" % (name, file),
        ],
        copts = ["-DMUTANT"],
        tags = tags,
        deps = [
            world,
            "//service/base",
            "//service/hosts",
            "//service/runtime",
            "//storage:store",
        ],
    )
