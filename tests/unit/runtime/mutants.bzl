"""A planted bug that a test here must catch."""

load("//bazel:defs.bzl", "c_test", "mutated_source")

def mutant(name, file, sed, test = "queues_property_test", world = ":queue_world", tags = []):
    """Runs the test, which then must fail, with `sed` applied to one file of service/runtime.

    The mutated object stands in front of the library that holds the sound one.
    """
    source = "%s_%s" % (name, file)
    mutated_source(name = source, src = "//service/runtime:%s.c" % file, sed = sed)
    c_test(
        name = name,
        srcs = [
            test + ".c",
            source + ".c",
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
