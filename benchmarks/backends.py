"""The back ends of persistent queues, with a new and empty store for each play."""

import subprocess
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, redirect_stdout
from dataclasses import dataclass
from io import StringIO
from pathlib import Path
from typing import Any

from tests.queues.backend_mysql import PASSWORD, USER, daemon
from tests.queues.backend_postgres import cluster
from tests.queues.backend_redis import DURABLE, running

from .servers import HOST, end, free_port, wait_until_it_listens

# Postgres with its defaults: committed data survives a power failure.
_SETTINGS = {"listen_addresses": HOST}

# The same of MariaDB.
_MYSQL: Mapping[str, str] = {}


@dataclass(frozen=True, slots=True)
class Store:
    """A new store: the options of a server, and of gearmand if it has such a queue.

    `arguments` are those of the plugin's constructor.
    """

    ours: tuple[str, ...]
    arguments: Mapping[str, Any]
    gearmand: tuple[str, ...] = ()


@contextmanager
def sqlite(folder: Path) -> Iterator[Store]:
    file = folder / "jobs.db"
    yield Store(
        ("-q", "sqlite", f"--sqlite-db={file}"),
        {"db": file},
        ("-q", "libsqlite3", f"--libsqlite3-db={folder / 'gearmand.db'}"),
    )


@contextmanager
def flatfile(folder: Path) -> Iterator[Store]:
    jobs = folder / "jobs"
    yield Store(("-q", "flatfile", f"--flatfile-dir={jobs}"), {"folder": jobs})


@contextmanager
def memcached(folder: Path) -> Iterator[Store]:
    port, log = free_port(), folder / "log"
    command = ["memcached", "-l", HOST, "-p", str(port), "-m", "1024", "-u", "nobody"]
    with log.open("wb") as output:
        process = subprocess.Popen(command, stdout=output, stderr=output)
    try:
        wait_until_it_listens(process, port, log)
        servers = f"{HOST}:{port}"
        yield Store(
            ("-q", "memcached", f"--memcached-servers={servers}"),
            {"servers": servers},
            ("-q", "libmemcached", f"--libmemcached-servers={servers}"),
        )
    finally:
        end(process)


@contextmanager
def redis(folder: Path) -> Iterator[Store]:
    with running(folder, DURABLE) as server:
        url = f"redis://{HOST}:{server.port}"
        theirs = f"--redis-server={HOST}", f"--redis-port={server.port}"
        yield Store(
            ("-q", "redis", f"--redis-url={url}"),
            {"url": url},
            ("-q", "redis", *theirs),
        )


@contextmanager
def postgres(folder: Path) -> Iterator[Store]:
    with redirect_stdout(StringIO()), cluster(_SETTINGS) as running:
        conninfo = running.conninfo()
        yield Store(
            ("-q", "postgres", f"--postgres-conninfo={conninfo}"),
            {"conninfo": conninfo},
            ("-q", "Postgres", f"--libpq-conninfo={conninfo}"),
        )


@contextmanager
def mysql(folder: Path) -> Iterator[Store]:
    with redirect_stdout(StringIO()), daemon(_MYSQL) as running:
        running.sql("CREATE DATABASE jobs")
        where = {"host": HOST, "port": running.port, "user": USER, "db": "jobs"}
        options = [f"--mysql-{name}={value}" for name, value in where.items()]
        options.append(f"--mysql-password={PASSWORD}")
        yield Store(
            ("-q", "mysql", *options),
            {**where, "password": PASSWORD},
            ("-q", "MySQL", *options),
        )


BACKENDS: Mapping[str, Callable[[Path], AbstractContextManager[Store]]] = {
    "sqlite": sqlite,
    "postgres": postgres,
    "mysql": mysql,
    "flatfile": flatfile,
    "memcached": memcached,
    "redis": redis,
}


@contextmanager
def new_store(name: str) -> Iterator[Store]:
    """Run a back end, and yield a new store; both are removed at the end."""
    with (
        tempfile.TemporaryDirectory(prefix="gearman-queue-") as folder,
        BACKENDS[name](Path(folder)) as store,
    ):
        yield store
