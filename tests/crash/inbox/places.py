"""Databases of a play: where programs and a server meet, and which can be killed."""

import os
import signal
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests import servers
from tests.queues import backend_mysql, backend_postgres
from tests.queues.inboxes import MySQL
from tests.servers import DEADLINE, until

ORDERS = "CREATE TABLE orders (number integer PRIMARY KEY)"


@dataclass(frozen=True)
class Place:
    """A database with a table of orders; `options` are those of a server that uses it.

    `connect` returns a connection of a program. `kill` ends the database by SIGKILL and
    starts it again; None if it has no process.
    """

    options: tuple[str, ...]
    connect: Callable[[], Any]
    mark: str
    inbox: str = "gearman_jobs_inbox"
    kill: Callable[[], None] | None = None


def _kill_all(pid: int) -> None:
    """Kill a process and its children, and wait for their end."""
    # It makes no more children.
    servers.stop(pid)
    children = [
        int(path.name)
        for path in Path("/proc").glob("[0-9]*")
        if _state(path)[1] == str(pid)
    ]
    for each in (pid, *children):
        with suppress(ProcessLookupError):
            os.kill(each, signal.SIGKILL)
    paths = [Path(f"/proc/{child}") for child in children]
    until(lambda: all(_state(path)[0] in "ZX" for path in paths))


def _state(path: Path) -> tuple[str, str]:
    """Return the state of a process, and its parent; X and 0 if it is gone."""
    try:
        state, parent = (path / "stat").read_text().rpartition(")")[2].split()[:2]
    except OSError:
        return "X", "0"
    return state, parent


@contextmanager
def postgres(folder: Path) -> Iterator[Place]:
    settings = {**backend_postgres.SETTINGS, "synchronous_commit": "on"}
    with backend_postgres.cluster(settings) as running:

        def kill() -> None:
            _kill_all(running.process.pid)
            running.process.wait(DEADLINE)
            running.start()

        psycopg = backend_postgres.psycopg()
        yield Place(
            ("-q", "postgres", f"--postgres-conninfo={running.conninfo()}"),
            lambda: psycopg.connect(running.local(), connect_timeout=5),
            "%s",
            kill=kill,
        )


@contextmanager
def mysql(folder: Path) -> Iterator[Place]:
    with backend_mysql.daemon() as running:
        backend_mysql.Database(running, "shop")

        def kill() -> None:
            running.restart(signal.SIGKILL)

        place = f"--mysql-socket={running.socket}"
        yield Place(
            ("-q", "mysql", place, "--mysql-user=root", "--mysql-db=shop"),
            lambda: MySQL(
                unix_socket=str(running.socket),
                user="root",
                database="shop",
                read_timeout=DEADLINE,
            ),
            "%s",
            kill=kill,
        )


@contextmanager
def sqlite(folder: Path) -> Iterator[Place]:
    path = folder / "shop.db"
    yield Place(
        ("-q", "sqlite", f"--sqlite-db={path}"),
        lambda: sqlite3.connect(path, timeout=DEADLINE),
        "?",
        "gearman_queue_inbox",
    )


PLACES = {"mysql": mysql, "postgres": postgres, "sqlite": sqlite}
