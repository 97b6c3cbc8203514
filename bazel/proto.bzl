"""Code generation from .proto files with the system's protoc.

    protobuf_c_library(name, srcs, deps)      protoc-gen-c       -> cc_library
    well_known_c_library(name)                google/protobuf/*  -> cc_library
    nanopb_library(name, srcs, options)       protoc-gen-nanopb  -> cc_library
    descriptor_library(name, srcs)            FileDescriptorSet  -> C array, cc_library
    access_library(name, srcs)                options of methods -> C table, cc_library

The package that calls these macros is the import root: in //protos, a file
polos/v1/runs.proto is imported as "polos/v1/runs.proto", and its header is included as
"polos/v1/runs.pb-c.h". Every .proto file of the package may be imported.
"""

load("//bazel:cc.bzl", "cc_library")

_WKT = "/wkt/"

def _is_wkt(f):
    return f.short_path.startswith("../") and _WKT in f.path

def _import_path(ctx, f):
    """What an import statement calls this file."""
    if _is_wkt(f):
        return f.path[f.path.rfind(_WKT) + len(_WKT):]
    if f.owner.package != ctx.label.package:
        fail("%s is not in package //%s" % (f.path, ctx.label.package))
    return f.short_path[len(ctx.label.package) + 1:]

def _wkt_root(ctx):
    path = ctx.files._wkt[0].path
    return path[:path.rfind(_WKT) + len(_WKT) - 1]

def _out_root(ctx):
    return ctx.bin_dir.path + "/" + ctx.label.package

def _protoc(ctx, mnemonic, srcs, outputs, args, inputs = [], tools = []):
    a = ctx.actions.args()
    a.add("-I" + ctx.label.package)
    a.add("-I" + _wkt_root(ctx))
    a.add_all(args)
    a.add_all([_import_path(ctx, f) for f in srcs])
    ctx.actions.run(
        executable = ctx.executable._protoc,
        arguments = [a],
        inputs = srcs + ctx.files.imports + ctx.files._wkt + inputs,
        outputs = outputs,
        tools = tools,
        mnemonic = mnemonic,
        progress_message = "Generating %s code for %s" % (mnemonic, ctx.label),
        use_default_shell_env = True,
    )

def _generate(ctx, mnemonic, extensions, plugin_args, inputs = []):
    """One protoc call for each source, so that one changed file costs one call."""
    outs = []
    for f in ctx.files.srcs:
        stem = _import_path(ctx, f)[:-len(".proto")]
        files = [ctx.actions.declare_file(stem + ext) for ext in extensions]
        _protoc(
            ctx,
            mnemonic,
            [f],
            files,
            plugin_args,
            inputs = inputs,
            tools = [ctx.executable._plugin],
        )
        outs += files
    return [DefaultInfo(files = depset(outs))]

def _attrs(**kwargs):
    return dict(
        {
            "imports": attr.label_list(allow_files = [".proto"]),
            "srcs": attr.label_list(allow_files = [".proto"], mandatory = True),
            "_protoc": attr.label(
                default = "@system_libs//:tools/protoc",
                allow_single_file = True,
                cfg = "exec",
                executable = True,
            ),
            "_wkt": attr.label(default = "@system_libs//:well_known_protos"),
        },
        **kwargs
    )

def _plugin(label):
    return attr.label(
        default = label,
        allow_single_file = True,
        cfg = "exec",
        executable = True,
    )

def _package_protos():
    return native.glob(["**/*.proto"])

def _generated_cc_library(name, deps, **kwargs):
    # includes makes these system headers: our warnings are not for generated code.
    cc_library(
        name = name,
        srcs = [":" + name + "_gen"],
        copts = ["-w"],
        includes = ["."],
        linkstatic = True,
        deps = deps,
        **kwargs
    )

def _protobuf_c_gen_impl(ctx):
    return _generate(ctx, "ProtobufC", [".pb-c.c", ".pb-c.h"], [
        "--plugin=protoc-gen-c=" + ctx.executable._plugin.path,
        "--c_out=" + _out_root(ctx),
    ])

_protobuf_c_gen = rule(
    implementation = _protobuf_c_gen_impl,
    attrs = _attrs(_plugin = _plugin("//bazel/tools:protoc_gen_c.py")),
)

def protobuf_c_library(name, srcs, deps = [], **kwargs):
    """deps: other protobuf_c_library targets whose messages these files name."""
    _protobuf_c_gen(name = name + "_gen", srcs = srcs, imports = _package_protos())
    _generated_cc_library(name, deps + ["@system_libs//:protobuf_c"], **kwargs)

def well_known_c_library(name, **kwargs):
    """google/protobuf/*.pb-c.h: protobuf-c does not ship its own."""
    _protobuf_c_gen(
        name = name + "_gen",
        srcs = ["@system_libs//:well_known_protos"],
        imports = _package_protos(),
    )
    _generated_cc_library(name, ["@system_libs//:protobuf_c"], **kwargs)

def _nanopb_gen_impl(ctx):
    return _generate(ctx, "Nanopb", [".pb.c", ".pb.h"], [
        "--plugin=protoc-gen-nanopb=" + ctx.executable._plugin.path,
        # The plugin finds x.options beside x.proto. No space: it splits on them.
        "--nanopb_opt=-I" + ctx.label.package,
        "--nanopb_out=" + _out_root(ctx),
    ], inputs = ctx.files.options)

_nanopb_gen = rule(
    implementation = _nanopb_gen_impl,
    attrs = _attrs(
        options = attr.label_list(allow_files = [".options"]),
        _plugin = _plugin("@system_libs//:tools/protoc-gen-nanopb"),
    ),
)

def nanopb_library(name, srcs, options = [], deps = [], **kwargs):
    """options: the sizes, in x.options beside x.proto."""
    _nanopb_gen(
        name = name + "_gen",
        srcs = srcs,
        options = options,
        imports = _package_protos(),
    )
    _generated_cc_library(name, deps + ["@system_libs//:nanopb"], **kwargs)

def _descriptor_set_impl(ctx):
    out = ctx.actions.declare_file(ctx.label.name + ".binpb")
    _protoc(
        ctx,
        "DescriptorSet",
        ctx.files.srcs,
        [out],
        ["--include_imports", "--descriptor_set_out=" + out.path],
    )
    return [DefaultInfo(files = depset([out]))]

_descriptor_set = rule(
    implementation = _descriptor_set_impl,
    attrs = _attrs(),
)

def _embed_impl(ctx):
    c = ctx.actions.declare_file(ctx.attr.symbol + ".c")
    h = ctx.actions.declare_file(ctx.attr.symbol + ".h")
    guard = (ctx.label.package + "/" + ctx.attr.symbol + "_H").replace("/", "_").upper()
    ctx.actions.run(
        executable = ctx.executable._embed,
        arguments = [ctx.attr.symbol, ctx.file.src.path, c.path, h.path, guard],
        inputs = [ctx.file.src],
        outputs = [c, h],
        mnemonic = "Embed",
    )
    return [DefaultInfo(files = depset([c, h]))]

_embed = rule(
    implementation = _embed_impl,
    attrs = {
        "src": attr.label(allow_single_file = True, mandatory = True),
        "symbol": attr.string(mandatory = True),
        "_embed": attr.label(default = "//bazel/tools:embed", cfg = "exec", executable = True),
    },
)

def descriptor_library(name, srcs, **kwargs):
    """`const unsigned char <name>[]`, `const size_t <name>_size`, in "<package>/<name>.h"."""
    _descriptor_set(name = name + "_set", srcs = srcs, imports = _package_protos())
    _embed(name = name + "_gen", src = ":" + name + "_set", symbol = name)
    cc_library(name = name, srcs = [":" + name + "_gen"], linkstatic = True, **kwargs)

def _access_table_impl(ctx):
    c = ctx.actions.declare_file(ctx.attr.stem + ".c")
    h = ctx.actions.declare_file(ctx.attr.stem + ".h")
    ctx.actions.run(
        executable = ctx.executable._tool,
        arguments = [ctx.file.src.path, c.path, h.path],
        inputs = [ctx.file.src],
        outputs = [c, h],
        mnemonic = "AccessTable",
        use_default_shell_env = True,
    )
    return [DefaultInfo(files = depset([c, h]))]

_access_table = rule(
    implementation = _access_table_impl,
    attrs = {
        "src": attr.label(allow_single_file = True, mandatory = True),
        "stem": attr.string(mandatory = True),
        "_tool": _plugin("//bazel/tools:access_table.py"),
    },
)

def access_library(name, srcs, **kwargs):
    """Who may call which method, from its options, in "<package>/<name>.h". None without a rule."""
    _descriptor_set(name = name + "_set", srcs = srcs, imports = _package_protos())
    _access_table(name = name + "_gen", src = ":" + name + "_set", stem = name)
    cc_library(name = name, srcs = [":" + name + "_gen"], linkstatic = True, **kwargs)
