"""Databases with functions that run jobs, a job server, and a worker."""

import shutil
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

import gearman
from gearman.queue import load
from gearman.server import embedded
from tests import servers
from tests.queues import backend_postgres
from tests.queues.backend_mysql import SETTINGS, Daemon, daemon, program
from tests.queues.backend_postgres import Database

from . import udf
from .workers import worker


@pytest.fixture(scope="session")
def job_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a job server with a worker."""
    with ExitStack() as stack:
        address = stack.enter_context(embedded.server())
        stack.enter_context(worker(address))
        yield address


@pytest.fixture(scope="session")
def postgres() -> Iterator[Database]:
    """A database with the functions, in a Postgres that can import the package."""
    if not any(backend_postgres.program("initdb").parents[1].glob("lib/plpython3.*")):
        servers.missing("PL/Python")
    with ExitStack() as stack:
        # The user of Postgres may not be allowed to enter the checkout.
        folder = stack.enter_context(TemporaryDirectory(prefix="gearman-package-"))
        Path(folder).chmod(0o755)
        package = Path(gearman.__file__).parent
        unwanted = shutil.ignore_patterns("__pycache__", "*.so")
        shutil.copytree(package, f"{folder}/gearman", ignore=unwanted)
        patch = stack.enter_context(pytest.MonkeyPatch.context())
        patch.setenv("PYTHONPATH", folder)
        running = stack.enter_context(backend_postgres.cluster())
        database = Database(running, "results")
        load("postgres").install_results_sql({"conninfo": database.conninfo})
        yield database


@pytest.fixture(scope="session")
def plugins(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return udf.build(tmp_path_factory.mktemp("udf"), "CFLAGS=-O1 -g -Werror")


@pytest.fixture(scope="session")
def mariadb(plugins: Path) -> Iterator[Daemon]:
    """A MariaDB with the functions of contrib/mysql."""
    settings = {
        **SETTINGS,
        "plugin-dir": str(plugins),
        "max-allowed-packet": "128M",
    }
    with daemon(settings) as running:
        for name in "install.sql", "install-background.sql":
            run_script(running, udf.SOURCES / name)
        yield running


def run_script(mariadb: Daemon, script: Path) -> None:
    client = [program("mariadb"), "--no-defaults", "--user=root"]
    with script.open() as statements:
        subprocess.run(
            [*client, f"--socket={mariadb.socket}"], stdin=statements, check=True
        )
