"""Who may import whom: each layer only those before it, and nobody in a circle."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parent.parent / "polos"

LAYERS = {
    "base": "errors types types.types event _checks _fields _keys _registry v1".split(),
    "codec": "_codec".split(),
    "wire": "_wire".split(),
    "session": "_session.machine _session.link _session.beat".split(),
    "replay": "_replay".split(),
    "runs": "_startable handle _run_models _facts queue schedule history trace".split(),
    "execution": "_execution step context".split(),
    "views": "sync _seen _starter _agent_events _workflow_events _tree_events stream".split(),
    "definitions": "_signatures stop_conditions _asked hook guardrail workflow tool agent".split(),
    "client": "host _connection client app definitions events queues schedules".split(),
    "beside": "__main__ cli _commands testing features core".split(),
}
RANKS = {name: rank for rank, names in enumerate(LAYERS.values()) for name in names}


def modules() -> dict[str, Path]:
    found = {}
    for path in PACKAGE.rglob("*.py"):
        parts = path.relative_to(PACKAGE).with_suffix("").parts
        if parts[0] != "v1" and parts != ("__init__",):
            found[".".join(part for part in parts if part != "__init__")] = path
    return found


def rank_of(module: str) -> int:
    while module:
        if module in RANKS:
            return RANKS[module]
        module = module.rpartition(".")[0]
    raise LookupError


def imports_of(module: str, path: Path) -> set[str]:
    """The modules of the package that a module imports, anywhere in it."""
    here = module.split(".") if path.name == "__init__.py" else module.split(".")[:-1]
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.level:
            base = [*here[: len(here) - node.level + 1], *(node.module or "").split(".")]
            target = ".".join(part for part in base if part)
            found |= {target} if target else {alias.name for alias in node.names}
    return found


@pytest.mark.parametrize("module", sorted(modules()))
def test_a_module_imports_only_what_is_below_it(module):
    path = modules()[module]
    for other in imports_of(module, path):
        assert rank_of(other) <= rank_of(module), f"{module} imports {other}"


def test_no_import_is_hidden_in_a_function_or_from_the_interpreter():
    for module, path in modules().items():
        tree = ast.parse(path.read_text())
        assert "TYPE_CHECKING" not in path.read_text(), module
        for function in ast.walk(tree):
            if isinstance(function, (ast.FunctionDef, ast.AsyncFunctionDef)):
                for node in ast.walk(function):
                    assert not (isinstance(node, ast.ImportFrom) and node.level), module


def test_no_modules_import_each_other():
    graph = {m: imports_of(m, path) - {m} for m, path in modules().items()}
    done: set[str] = set()

    def visit(module: str, above: tuple[str, ...]) -> None:
        assert module not in above, " -> ".join((*above, module))
        if module not in done:
            for other in graph.get(module, ()):
                visit(other, (*above, module))
            done.add(module)

    for module in graph:
        visit(module, ())


@pytest.mark.parametrize("machine", ["_session.machine", "_replay.machine"])
def test_the_machines_know_no_loop_and_no_wire(machine):
    """Imported alone, as the package's own __init__ would bring everything else along."""
    program = (
        "import sys, types; package = types.ModuleType('polos'); "
        f"package.__path__ = [{str(PACKAGE)!r}]; sys.modules['polos'] = package; "
        f"import polos.{machine}; "
        "print([m for m in ('grpc', 'asyncio', 'pydantic') if m in sys.modules])"
    )
    told = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert told.stdout.strip() == "[]", told.stderr
