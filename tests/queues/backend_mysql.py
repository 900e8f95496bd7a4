"""The plugin mysql, with a MariaDB of its own.

It is a MySQL if TEST_MYSQLD is the path of its server.
"""

import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from importlib import import_module
from importlib.util import find_spec
from itertools import count
from pathlib import Path
from typing import Any

from gearman.queue import load
from tests import servers

from .backend import Arguments, Backend

HOST = "127.0.0.1"

# Fast settings. The log is written by each commit, but the disk is not waited for,
# since no machine crashes here.
SETTINGS = {
    "innodb-flush-log-at-trx-commit": "1",
    "innodb-flush-method": "nosync",
    "innodb-buffer-pool-size": "64M",
    "innodb-log-file-size": "32M",
    "performance-schema": "OFF",
    "ssl": "OFF",
    "max-connections": "40",
    # MySQL has a binary log by default.
    "log-bin-trust-function-creators": "ON",
}

# A user for connections by TCP, and one that may do less.
USER, PASSWORD = "gearman", "se'Kret"


def program(name: str) -> str:
    """Return the path of a program of MariaDB."""
    folders = f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin"
    return shutil.which(name, path=folders) or servers.missing(name)


def mysqld() -> str | None:
    """Return the path of MySQL's server, if that is to be tested."""
    return os.environ.get("TEST_MYSQLD")


def server() -> str:
    """Return the path of the server that is tested."""
    return mysqld() or program("mariadbd")


def user() -> str:
    """Return the option that MariaDB needs if it is started by root."""
    return "--user=root" if os.geteuid() == 0 else ""


@dataclass
class Daemon:
    """A MariaDB that a test can stop and start."""

    folder: Path
    port: int
    settings: Mapping[str, str]
    elsewhere: Path | None = None
    process: subprocess.Popen[bytes] = field(init=False)

    @property
    def socket(self) -> Path:
        return self.folder / "socket"

    @property
    def log(self) -> Path:
        return self.folder / "log"

    @property
    def data(self) -> Path:
        return (self.elsewhere or self.folder) / "data"

    def options(self) -> Iterator[str]:
        yield "--no-defaults"
        if user():
            yield user()
        yield f"--datadir={self.data}"
        # Not all of them are known to all versions of MySQL.
        prefix = "--loose-" if mysqld() else "--"
        for name, value in self.settings.items():
            if mysqld() and (name, value) == ("ssl", "OFF"):
                name, value = "tls-version", ""
            yield f"{prefix}{name}={value}"

    def creating(self) -> Iterator[str]:
        """Yield the program that makes the folder of data, and its arguments."""
        if mysqld():
            yield server()
            yield from self.options()
            yield "--initialize-insecure"
            return
        yield program("mariadb-install-db")
        yield from self.options()
        yield "--auth-root-authentication-method=normal"
        yield "--skip-test-db"

    def create(self) -> None:
        with self.log.open("ab") as log:
            subprocess.run([*self.creating()], check=True, stdout=log, stderr=log)

    def command(self) -> Iterator[str]:
        """Yield the program that serves, and its arguments."""
        yield server()
        yield from self.options()
        yield f"--socket={self.socket}"
        yield f"--port={self.port}"
        yield f"--bind-address={HOST}"
        yield f"--tmpdir={self.folder}"
        if mysqld():
            # It would look for a folder of the system, and listen on a second port.
            yield "--secure-file-priv=NULL"
            yield "--mysqlx=OFF"

    def start(self) -> None:
        before = self.log.read_bytes().count(b"ready for connections")
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [*self.command()], stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )
        deadline = time.monotonic() + servers.DEADLINE
        while self.log.read_bytes().count(b"ready for connections") == before:
            try:
                self.process.wait(0.02)
            except subprocess.TimeoutExpired:
                if time.monotonic() < deadline:
                    continue
            raise AssertionError(f"MariaDB did not start:\n{self.log.read_text()}")

    def connect(self, database: str | None = None) -> Any:
        """Return an ordinary connection of the user who may do everything."""
        return pymysql().connect(
            unix_socket=str(self.socket),
            user="root",
            database=database,
            autocommit=True,
            ssl_disabled=True,
        )

    def sql(
        self, statement: str, *values: Any, database: str | None = None
    ) -> list[tuple[Any, ...]]:
        """Execute a statement and return its rows, if it has any."""
        with closing(self.connect(database)) as connection:
            cursor = connection.cursor()
            cursor.execute(statement, values or None)
            return list(cursor.fetchall())

    def stop(self, how: int = signal.SIGTERM) -> None:
        if self.process.poll() is None:
            self.process.send_signal(how)
            self.process.wait(servers.DEADLINE)

    def restart(self, how: int = signal.SIGTERM) -> None:
        self.stop(how)
        self.start()


@dataclass
class Database:
    """A new database, and arguments of the plugin for it."""

    daemon: Daemon
    name: str

    def __post_init__(self) -> None:
        self.daemon.sql(f"CREATE DATABASE {self.name}")

    @property
    def arguments(self) -> dict[str, Any]:
        return {"socket": str(self.daemon.socket), "user": "root", "db": self.name}

    @property
    def tcp(self) -> dict[str, Any]:
        return {
            **{"host": HOST, "port": self.daemon.port, "db": self.name},
            **{"user": USER, "password": PASSWORD},
        }

    def connect(self) -> Any:
        return self.daemon.connect(self.name)

    def sql(self, statement: str, *values: Any) -> list[tuple[Any, ...]]:
        return self.daemon.sql(statement, *values, database=self.name)


def pymysql() -> Any:
    """Import PyMySQL, which is too early when this module is imported."""
    return import_module("pymysql")


@contextmanager
def daemon(
    settings: Mapping[str, str] = SETTINGS, data: Path | None = None
) -> Iterator[Daemon]:
    """Run MariaDB on a free port, in a folder that is removed at the end.

    Its data are in that folder, or in the folder `data`.
    """
    server()
    if find_spec("pymysql") is None:
        servers.missing("pymysql")
    # Not in pytest's folder, whose path is too long for a Unix socket.
    with (
        tempfile.TemporaryDirectory(prefix="gearman-mysql-") as folder,
        servers.kept_ports() as [port],
    ):
        running = Daemon(Path(folder), port, settings, data)
        running.create()
        running.start()
        try:
            running.sql(f"CREATE USER {USER} IDENTIFIED BY %s", PASSWORD)
            running.sql(f"GRANT ALL ON *.* TO {USER}")
            yield running
        finally:
            running.stop()
            # pytest prints this if the test fails.
            print(running.log.read_text(errors="replace")[-20_000:])


@contextmanager
def mysql(folder: Path) -> Iterator[Backend]:
    names = map("store {}".format, count())

    @contextmanager
    def outage(arguments: Arguments) -> Iterator[None]:
        running.stop()
        yield
        running.start()

    with daemon(data=folder) as running, servers.kept_ports() as [nobody]:
        database = Database(running, "jobs")
        yield Backend(
            load("mysql"),
            lambda: {**database.arguments, "table": next(names)},
            unreachable={"host": HOST, "port": nobody, "db": "jobs"},
            outage=outage,
        )
