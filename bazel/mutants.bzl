"""Mutants: deliberate bugs, to know that the tests can fail.

A list of them is a file of its own, NAME_mutants.bzl, that holds nothing but

    MUTANTS = {
        "name": ("A sentence: what the bug is.", {"text": "other text", ...}),
    }

where each text is a piece of C that stands once in //service:mutable (bazel/tools/plant.py).
A mutant's object stands in front of the library that holds the sound one, so it costs one compile
and one link. The file's label and its MUTANTS are both given, as Bazel reads no list from a label.
"""

load("//bazel:defs.bzl", "c_binary", "c_library", "c_test")

_SOURCES = "//service:mutable"
_TOOL = "//bazel/tools:plant.py"

def _plant(file, mutants):
    """mutant_NAME.c for each of them. All in one action: a change runs the tool once."""
    native.genrule(
        name = file.replace(".bzl", "_planted"),
        testonly = True,
        srcs = [file, _SOURCES],
        outs = ["mutant_%s.c" % name for name in mutants],
        cmd = "$(location %s) --to $(@D) $(location %s) $(locations %s)" % (_TOOL, file, _SOURCES),
        tools = [_TOOL],
    )

def mutant_binaries(file, mutants, deps):
    """The labels of mutant_NAME, of which each is the program in deps with a bug."""
    _plant(file, mutants)
    for name in mutants:
        c_binary(
            name = "mutant_" + name,
            testonly = True,
            srcs = ["mutant_%s.c" % name],
            copts = ["-Wno-unused-function"],  # What a bug no longer calls.
            deps = deps,
        )
    return [":mutant_" + name for name in mutants]

def mutant_tests(file, mutants, srcs, deps, tags = []):
    """mutant_NAME_test, of which each is the test in srcs with a bug that it has to catch.

    Compiled with MUTANT, the test passes when it would fail.
    """
    _plant(file, mutants)
    library = file.replace(".bzl", "_test")
    c_library(
        name = library,
        testonly = True,
        srcs = srcs,
        copts = ["-DMUTANT"],
        deps = deps + ["@system_libs//:cmocka"],
    )
    for name in mutants:
        c_test(
            name = "mutant_%s_test" % name,
            srcs = ["mutant_%s.c" % name],
            copts = ["-Wno-unused-function"],  # What a bug no longer calls.
            may_leak = True,  # What fails in it does.
            tags = tags,
            deps = [":" + library] + deps,
        )
