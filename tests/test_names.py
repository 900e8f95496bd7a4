"""The names of the package, whose modules are imported when they are used."""

import ast
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest

import gearman
from tests import servers

SOURCE = Path(gearman.__file__).read_text()


def names_for_type_checkers() -> dict[str, str]:
    """Return the names that type checkers see, and their modules."""
    block, *_ = (node for node in ast.parse(SOURCE).body if isinstance(node, ast.If))
    return {
        alias.name: node.module
        for node in block.body
        if isinstance(node, ast.ImportFrom) and node.module
        for alias in node.names
    }


def test_type_checkers_see_what_programs_get() -> None:
    for name, module in names_for_type_checkers().items():
        there = getattr(import_module(f"gearman.{module}"), name)
        assert getattr(gearman, name) is there


def test_each_public_name_is_there() -> None:
    for name in gearman.__all__:
        assert hasattr(gearman, name)
        assert name in dir(gearman)


@pytest.mark.parametrize(
    "program",
    [
        "import gearman; gearman.GearmanClient",
        "import gearman; gearman.PRIORITY_HIGH; gearman.job.GearmanJob",
        "import gearman; gearman.errors.JobFailed; gearman.connection_manager",
        "from gearman import GearmanWorker, admin_client, protocol",
        "from gearman import *; GearmanAdminClient; util; JOB_UNKNOWN",
    ],
)
def test_it_needs_no_import_of_its_own(program: str) -> None:
    assert run(program) == ""


@pytest.mark.parametrize("name", ["nonsense", "__nonsense__"])
def test_other_names_are_not_there(name: str) -> None:
    assert not hasattr(gearman, name)
    with pytest.raises(AttributeError, match=f"'gearman' has no attribute '{name}'"):
        getattr(gearman, name)


def test_a_module_that_cannot_be_imported_says_why(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    name = "broken"
    (tmp_path / f"{name}.py").write_text("import not_installed")
    monkeypatch.setattr(gearman, "__path__", [*gearman.__path__, str(tmp_path)])
    with pytest.raises(ModuleNotFoundError, match="not_installed"):
        getattr(gearman, name)


def test_a_server_imports_no_client() -> None:
    said = run("import sys, gearman.server.__main__; print(*sys.modules)")
    clients = {"gearman.client", "gearman.worker", "gearman.admin_client"}
    assert not clients & set(said.split())


def run(program: str) -> str:
    """Return what a program prints."""
    return subprocess.run(
        [sys.executable, "-c", program],
        env=servers.package_environment(),
        capture_output=True,
        text=True,
        check=True,
    ).stdout
