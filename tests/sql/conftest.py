"""Databases with functions that run jobs, a job server, and a worker."""

import subprocess
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from gearman.server import embedded
from tests.queues.backend_mysql import SETTINGS, Daemon, daemon, program

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
