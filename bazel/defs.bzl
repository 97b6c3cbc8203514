"""The project's targets.

    c_library, c_binary   the native rules with our warnings, all of them errors
    c_test                a cmocka test
    fuzz_test             LLVMFuzzerTestOneInput; `bazel test` replays its corpus
    python_test           a Python program as a test, with a shell wrapper
"""

load("@local_paths//:paths.bzl", "FIXTURES_DIR", "PYTHON", "WORKSPACE_DIR")
load("//bazel:cc.bzl", "cc_binary", "cc_library", "cc_test", "sh_test")

COPTS = [
    "-std=c2x",
    "-D_GNU_SOURCE",
    # Assertions are part of the product: --config=opt must not drop them.
    "-UNDEBUG",
    "-Wall",
    "-Wextra",
    "-Wpedantic",
    "-Wshadow",
    "-Wconversion",
    "-Wno-sign-conversion",
    "-Wmissing-prototypes",
    "-Wstrict-prototypes",
    "-Wswitch-enum",
] + select({
    "//bazel:no_werror": [],
    "//conditions:default": ["-Werror"],
})

_TEST_ENV = {
    "POLOS_FIXTURES": FIXTURES_DIR,
    "POLOS_WORKSPACE": WORKSPACE_DIR,
}

_TEST_DATA = ["//bazel:tsan.supp"]

def c_library(name, copts = [], **kwargs):
    # Static only: no shared object to link for each library that nobody loads.
    cc_library(name = name, copts = COPTS + copts, linkstatic = True, **kwargs)

def c_binary(name, copts = [], **kwargs):
    cc_binary(name = name, copts = COPTS + copts, **kwargs)

# A test that leaves memory nobody can reach fails. The sanitizers have their own ways.
_FINDS_LEAKS = select({
    "//bazel:sanitizing": [],
    "//conditions:default": ["-fsanitize=leak"],
})

def c_test(
        name,
        copts = [],
        deps = [],
        data = [],
        env = {},
        size = "small",
        may_leak = False,
        **kwargs):
    """A cmocka test. Runs in the runfiles folder; data is found by its path from the root."""
    cc_test(
        name = name,
        size = size,
        copts = COPTS + copts,
        linkopts = [] if may_leak else _FINDS_LEAKS,
        data = data + _TEST_DATA,
        env = dict(_TEST_ENV, **env),
        deps = deps + ["@system_libs//:cmocka"],
        **kwargs
    )

def fuzz_test(name, srcs, corpus, copts = [], deps = [], size = "small", **kwargs):
    """LLVMFuzzerTestOneInput over the files of a corpus folder.

    `bazel test` replays the corpus with any compiler. To fuzz:
        bazel build --config=fuzz //tests/fuzz:<name>
        out/bin/tests/fuzz/<name> -max_total_time=60 tests/fuzz/<corpus>
    """
    cc_test(
        name = name,
        size = size,
        srcs = srcs + select({
            "//bazel:fuzzing": [],
            "//conditions:default": ["//bazel/tools:fuzz_replay.c"],
        }),
        args = [native.package_name() + "/" + corpus] + select({
            "//bazel:fuzzing": ["-runs=0"],
            "//conditions:default": [],
        }),
        copts = COPTS + copts + ["-Wno-missing-prototypes"],
        data = native.glob([corpus + "/*"]) + _TEST_DATA,
        env = _TEST_ENV,
        linkopts = select({
            "//bazel:fuzzing": ["-fsanitize=fuzzer"],
            "//conditions:default": [],
        }),
        deps = deps,
        **kwargs
    )

def python_test(name, src, args = [], data = [], env = {}, size = "small", **kwargs):
    """Runs `python3 src args...` in the runfiles folder.

    With the python of the virtual environment that ./run makes; where there is none yet,
    with the system's, so keep to the standard library or skip with a sentence.
    PYTHONPATH is the runfiles folder. args may use $(rootpath //a:label) for what is in data.
    """
    sh_test(
        name = name,
        size = size,
        srcs = ["//bazel/tools:python_test.sh"],
        args = ["$(rootpath %s)" % src] + args,
        data = data + [src] + _TEST_DATA,
        env = dict(dict(_TEST_ENV, POLOS_PYTHON = PYTHON), **env),
        **kwargs
    )
