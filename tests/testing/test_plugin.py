"""The fixtures of pytest, in test runs of their own."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.servers import DEADLINE, package_environment

APP = """\
from gearman.tasks import App

app = App("unreachable.invalid:1")

@app.task
def double(number: int) -> int:
    return 2 * number
"""


def pytest_run(folder: Path, *options: str) -> subprocess.CompletedProcess[str]:
    """Run pytest in a folder with the plugin, also if the package is not installed."""
    plugins = ("-p", "gearman_pytest", "-p", "no:cacheprovider")
    return subprocess.run(
        [sys.executable, "-P", "-m", "pytest", *plugins, "-q", *options],
        cwd=folder,
        env=package_environment(path=folder),
        capture_output=True,
        text=True,
        timeout=2 * DEADLINE,
        check=False,
    )


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "pytest.ini").write_text("[pytest]\nfilterwarnings = error\n")
    (tmp_path / "doubling.py").write_text(APP)
    return tmp_path


def test_fixtures_give_a_server_and_a_worker(folder: Path) -> None:
    (folder / "test_it.py").write_text("""\
import asyncio
import threading

from doubling import app, double
import gearman

SEEN = []

def test_server_is_real(gearman_server):
    SEEN.append(gearman_server)
    with gearman.GearmanAdminClient([gearman_server]) as admin:
        assert admin.ping_server() < 60

def test_app_has_its_own_servers_without_a_worker():
    assert app.addresses == ["unreachable.invalid:1"]

def test_worker_runs_tasks(gearman_worker, gearman_server):
    assert gearman_server not in SEEN
    assert gearman_worker(app) is app
    assert app.addresses == [gearman_server]
    assert double.call(21) == 42

def test_worker_runs_tasks_for_asyncio(gearman_worker):
    async def run():
        async with gearman_worker(app):
            return await double.acall(21)

    assert asyncio.run(run()) == 42

def test_nothing_is_left():
    assert app.addresses == ["unreachable.invalid:1"]
    assert threading.active_count() == 1
""")
    done = pytest_run(folder)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "5 passed" in done.stdout


def test_options_of_the_server_are_those_of_a_fixture(folder: Path) -> None:
    (folder / "test_it.py").write_text("""\
import pytest

@pytest.fixture
def gearman_server_options():
    return ["--no-such-option"]

def test_server(gearman_server):
    pass
""")
    done = pytest_run(folder)
    assert done.returncode == 1
    assert "unrecognized arguments: --no-such-option" in done.stdout


def test_plugin_imports_nothing_of_the_package_until_it_is_used(folder: Path) -> None:
    (folder / "test_it.py").write_text("""\
import sys

def test_nothing_is_imported():
    assert not [name for name in sys.modules if name.split(".")[0] == "gearman"]
""")
    done = pytest_run(folder)
    assert done.returncode == 0, done.stdout + done.stderr


def test_fixtures_are_listed_with_what_they_are(folder: Path) -> None:
    listed = pytest_run(folder, "--fixtures").stdout
    for name in ("gearman_server", "gearman_worker", "gearman_server_options"):
        assert f"{name} -- " in listed
    assert "The address of a new, empty job server" in listed
