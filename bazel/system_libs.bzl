"""system_libs(name): the installed C libraries and code generators.

@system_libs//:grpc (and so on) are cc_library targets. Headers are linked
into the repository, so that Bazel tracks them and passes them as -isystem;
the libraries themselves are left to the linker's search path.
@system_libs//:protoc (and so on) are the code generators.

pkg-config says where each library is, so PKG_CONFIG_PATH works as usual.
"""

# name -> how to find it.
#   pc:      pkg-config module ("" for none: the compiler's default path)
#   min:     lowest version that will do
#   headers: what to link in, relative to the include directory
#   probe:   the file that tells which directory has them (else the first header):
#            Debian keeps part of OpenSSL's in a directory of the architecture
#   link:    options for the linker (not pkg-config's --libs: for gRPC that
#            lists 80 libraries which the program itself does not use)
#   apt:     the Debian package, for the error message
_LIBS = {
    "cjson": struct(
        pc = "libcjson",
        min = "1.7",
        headers = ["cjson"],
        link = ["-lcjson"],
        apt = "libcjson-dev",
    ),
    "cmocka": struct(
        pc = "cmocka",
        min = "1.1",
        headers = ["cmocka.h"],
        link = ["-lcmocka"],
        apt = "libcmocka-dev",
    ),
    "curl": struct(
        pc = "libcurl",
        min = "7.60",
        headers = ["curl"],
        link = ["-lcurl"],
        apt = "libcurl4-openssl-dev",
    ),
    "grpc": struct(
        pc = "grpc",
        min = "1",
        headers = ["grpc"],
        link = ["-lgrpc", "-lgpr"],
        apt = "libgrpc-dev",
    ),
    "nanopb": struct(
        pc = "",
        min = "",
        headers = ["pb.h", "pb_common.h", "pb_decode.h", "pb_encode.h"],
        link = ["-lprotobuf-nanopb"],
        apt = "libnanopb-dev",
    ),
    "openssl": struct(
        pc = "openssl",
        min = "3",
        headers = ["openssl"],
        probe = "openssl/ssl.h",
        link = ["-lssl", "-lcrypto"],
        apt = "libssl-dev",
    ),
    "protobuf_c": struct(
        pc = "libprotobuf-c",
        min = "1.3",
        headers = ["protobuf-c"],
        link = ["-lprotobuf-c"],
        apt = "libprotobuf-c-dev",
    ),
    "rocksdb": struct(
        pc = "rocksdb",
        min = "6",
        headers = ["rocksdb"],
        link = ["-lrocksdb"],
        apt = "librocksdb-dev",
    ),
}

_TOOLS = {
    "protoc": "protobuf-compiler",
    "protoc-gen-c": "protobuf-c-compiler",
    "protoc-gen-nanopb": "nanopb",
}

# google/protobuf/*.proto that our protos may import.
_WELL_KNOWN = [
    "any",
    "descriptor",
    "duration",
    "empty",
    "field_mask",
    "struct",
    "timestamp",
    "wrappers",
]

_CC_LIBRARY = """
# {version}
cc_library(
    name = "{name}",
    hdrs = glob(["{name}/include/**"]),
    includes = ["{name}/include"],
    linkopts = {linkopts},
)
"""

_HEADER = """\
package(default_visibility = ["//visibility:public"])

exports_files(glob(["tools/*"]))

# google/protobuf/*.proto
filegroup(
    name = "well_known_protos",
    srcs = glob(["wkt/**/*.proto"]),
)

exports_files(glob(["wkt/**/*.proto"]))
"""

def _pkg_config(ctx, args):
    result = ctx.execute([ctx.which("pkg-config")] + args, environment = {
        "PKG_CONFIG_ALLOW_SYSTEM_CFLAGS": "1",
    })
    return result.stdout.strip() if result.return_code == 0 else None

def _compiler_include_dirs(ctx):
    dirs = ["/usr/local/include"]
    gcc = ctx.which("gcc") or ctx.which("cc")
    if gcc:
        triple = ctx.execute([gcc, "-print-multiarch"]).stdout.strip()
        if triple:
            dirs.append("/usr/include/" + triple)
    return dirs + ["/usr/include"]

def _first_dir_with(ctx, dirs, entry):
    for d in dirs:
        if ctx.path(d + "/" + entry).exists:
            return d
    return None

def _system_libs_impl(ctx):
    missing = []
    if not ctx.which("pkg-config"):
        fail("pkg-config not found. Run: sudo apt-get install pkg-config (or ./run setup)")

    build = _HEADER
    system_dirs = _compiler_include_dirs(ctx)

    for name in sorted(_LIBS.keys()):
        lib = _LIBS[name]
        dirs = system_dirs
        linkopts = list(lib.link)
        version = "version unknown"
        if lib.pc:
            if _pkg_config(ctx, ["--atleast-version=" + lib.min, lib.pc]) == None:
                missing.append(lib.apt)
                continue
            version = lib.pc + " " + _pkg_config(ctx, ["--modversion", lib.pc])
            cflags = _pkg_config(ctx, ["--cflags-only-I", lib.pc]).split(" ")
            dirs = [f[2:] for f in cflags if f.startswith("-I")] + system_dirs
            libdirs = _pkg_config(ctx, ["--libs-only-L", lib.pc]).split(" ")
            for f in libdirs:
                if f.startswith("-L"):
                    linkopts = [f, "-Wl,-rpath," + f[2:]] + linkopts
        found = _first_dir_with(ctx, dirs, getattr(lib, "probe", lib.headers[0]))
        if not found:
            missing.append(lib.apt)
            continue
        for header in lib.headers:
            ctx.symlink(found + "/" + header, name + "/include/" + header)
        build += _CC_LIBRARY.format(name = name, version = version, linkopts = repr(linkopts))

    for tool in sorted(_TOOLS.keys()):
        path = ctx.which(tool)
        if path:
            ctx.symlink(path, "tools/" + tool)
        else:
            missing.append(_TOOLS[tool])

    wkt = _first_dir_with(ctx, system_dirs, "google/protobuf/timestamp.proto")
    if wkt:
        for p in _WELL_KNOWN:
            path = "google/protobuf/%s.proto" % p
            ctx.symlink(wkt + "/" + path, "wkt/" + path)
    else:
        missing.append("libprotobuf-dev")

    if missing:
        fail("\n\nNot installed (or too old): %s\nRun:\n\n    sudo apt-get install %s\n" %
             (", ".join(missing), " ".join(missing)))
    ctx.file("BUILD.bazel", build)

system_libs = repository_rule(
    implementation = _system_libs_impl,
    configure = True,  # rerun with `bazel sync --configure`
    environ = [
        "PATH",
        "PKG_CONFIG_PATH",
    ],
    local = True,
)
