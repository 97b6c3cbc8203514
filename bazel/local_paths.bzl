"""@local_paths//:paths.bzl: where this checkout is.

WORKSPACE_DIR  the checkout; tests/tidy reads the tree itself
FIXTURES_DIR   recordings of model providers, which have licences of their own and
               are not in the repository: ../shared/fixtures/llm, or $POLOS_FIXTURES
PYTHON         the virtual environment's python that ./run makes

The folders need not exist; tests that want what is not there say so and skip.
"""

_TEMPLATE = """\
WORKSPACE_DIR = "{workspace}"
FIXTURES_DIR = "{fixtures}"
PYTHON = "{workspace}/.venv/bin/python"
"""

def _local_paths_impl(ctx):
    workspace = ctx.path(Label("//:WORKSPACE")).dirname
    fixtures = ctx.os.environ.get("POLOS_FIXTURES", "")
    if not fixtures:
        fixtures = str(workspace.dirname) + "/shared/fixtures/llm"
    ctx.file("BUILD.bazel", "")
    ctx.file("paths.bzl", _TEMPLATE.format(workspace = workspace, fixtures = fixtures))

local_paths = repository_rule(
    implementation = _local_paths_impl,
    environ = ["POLOS_FIXTURES"],
    local = True,
)
