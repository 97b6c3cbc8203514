"""Deliberate bugs: a patch of one file of the program, applied to a copy of it.

A mutant's binary is the simulation linked with the patched object in front of the library
that holds the sound one, so a mutant costs one compile and one link.
"""

load("//bazel:defs.bzl", "c_binary")

def mutant(name, source, simulation):
    """//tests/simulation:mutant_<name>, of mutants/<name>.patch applied to source."""
    native.genrule(
        name = "mutant_%s_source" % name,
        srcs = [
            source,
            "mutants/%s.patch" % name,
        ],
        outs = ["mutant_%s.c" % name],
        cmd = "cat $(location %s) > $@ && patch --silent $@ $(location mutants/%s.patch)" % (
            source,
            name,
        ),
        testonly = True,
    )
    c_binary(
        name = "mutant_%s" % name,
        testonly = True,
        srcs = ["mutant_%s.c" % name],
        copts = ["-Wno-unused-function"],  # What a bug no longer calls.
        deps = [simulation],
    )

def mutants(simulation, sources):
    """sources: {label of the file: [names of its mutants]}. Gives the binaries' labels."""
    labels = []
    for source, names in sources.items():
        for name in names:
            mutant(name, source, simulation)
            labels.append(":mutant_%s" % name)
    return labels
