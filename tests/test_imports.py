"""The layers of modules: imports go in one direction only."""

import ast
from collections.abc import Iterator
from fnmatch import fnmatch
from graphlib import TopologicalSorter
from importlib.util import resolve_name
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]

# A module imports from its own layer and from layers before it. A folder stands for the
# modules in it.
LAYERS = (
    ("errors", "entries", "commands", "constants", "compat", "sql"),
    (
        "_framing",
        "framing",
        "text",
        "address",
        "options",
        "job",
        "payload",
        "encoders",
        "blocking.seams",
    ),
    ("protocol", "client_core", "*_handler", "queue", "monitor.text"),
    ("monitor.model", "tasks.runner.model"),
    ("server.compiled", "server.networks"),
    tuple(
        f"server.cluster.{name}"
        for name in ("home", "lease", "balance", "shards", "links", "tokens")
    ),
    ("server.broker", "server.broker_c"),
    ("server.protocols", "server.storage.journal", "server.relay"),
    ("server.storage.rows", "server.storage.intake"),
    (
        "blocking",
        *("connection", "connection_manager", "streams", "util"),
        *("client", "worker", "admin_client"),
    ),
    ("server.settings",),
    ("server.watch",),
    ("server.storage", "server.cluster", "server.relay.io"),
    ("server.connections",),
    ("server.net",),
    ("server.check", "server.imports", "server.operator", "server.member", "server"),
    ("", "cli", "server.__main__"),
    ("server.embedded",),
    ("aio",),
    ("tracing",),
    ("tasks",),
    ("testing", "django", "sql.results"),
    ("tasks.runner", "tasks.__main__"),
    ("monitor.reading",),
    ("monitor.acting", "monitor.history", "monitor.access"),
    ("monitor",),
)
WITHOUT_IO = range(9)
IO = {
    *("asyncio", "multiprocessing", "select", "selectors", "signal", "socket"),
    *("ssl", "subprocess", "threading", "random", "secrets", "time", "uuid"),
}


def name_of(path: Path) -> str:
    """Name a source file as a module, without `gearman.`; the package itself is ''."""
    parts = path.relative_to(ROOT / "gearman").with_suffix("").parts
    return ".".join(part for part in parts if part != "__init__")


MODULES = {name_of(path): path for path in (ROOT / "gearman").rglob("*.py")}
PLUGINS = sorted((ROOT / "queues").rglob("*.py"))


def imported(path: Path) -> Iterator[str]:
    """Yield the full names that a source file imports."""
    folder = path.parent.relative_to(ROOT).parts
    package = ".".join(folder if folder[0] == "gearman" else ("gearman", *folder))
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            origin = resolve_name("." * node.level + (node.module or ""), package)
            yield from (f"{origin}.{alias.name}" for alias in node.names)


def imported_modules(path: Path) -> Iterator[str]:
    """Yield the modules of this package that a source file imports."""
    for full in imported(path):
        if full.split(".")[0] != "gearman" or full == "gearman.__version__":
            continue
        name = full.partition(".")[2]
        yield name if name in MODULES else name.rpartition(".")[0]


def layer(name: str) -> int:
    """Return the number of the layer of a module, or of a folder that it is in."""
    parts = name.split(".")
    for length in range(len(parts), 0, -1):
        part = ".".join(parts[:length])
        for number, patterns in enumerate(LAYERS):
            if any(fnmatch(part, pattern) for pattern in patterns):
                return number
    pytest.fail(f"gearman.{name} is in no layer: put it in one, in {__file__}")


@pytest.mark.parametrize("name", sorted(MODULES))
def test_module_imports_nothing_from_an_outer_layer(name: str) -> None:
    outer = [
        other for other in imported_modules(MODULES[name]) if layer(other) > layer(name)
    ]
    assert outer == []


def test_no_modules_import_each_other() -> None:
    """Also in one layer, in functions, and for type checkers only."""
    graph = {name: set(imported_modules(path)) for name, path in MODULES.items()}
    assert {name for name in graph if name in graph[name]} == set()
    # It raises CycleError, which names the modules of a circle.
    TopologicalSorter(graph).prepare()


@pytest.mark.parametrize(
    "name", sorted(name for name in MODULES if layer(name) in WITHOUT_IO)
)
def test_module_that_decides_does_no_io(name: str) -> None:
    assert {full.split(".")[0] for full in imported(MODULES[name])} & IO == set()


@pytest.mark.parametrize(
    "path", PLUGINS, ids=lambda path: str(path.relative_to(ROOT).with_suffix(""))
)
def test_plugin_imports_only_what_is_meant_for_plugins(path: Path) -> None:
    others = set(imported_modules(path)) - {"queue", "errors", "address"}
    # Plugins import only their own parts and the parts that they share.
    own = (f"queues.{path.relative_to(ROOT / 'queues').parts[0]}", "queues._shared")
    assert all(name.startswith(own) for name in others)


def test_nothing_imports_a_plugin_statically() -> None:
    for path in MODULES.values():
        names = {f"{full}." for full in imported(path)}
        assert not any(
            name.startswith(("gearman.queues.", "queues.")) for name in names
        )
