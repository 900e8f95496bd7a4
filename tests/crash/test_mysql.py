"""MariaDB is restarted, killed, or stops for a while, while a server uses it."""

import asyncio
import signal
from collections.abc import Iterator
from contextlib import suppress
from itertools import count
from pathlib import Path

import pytest

from gearman.queue import load
from tests.queues.backend import Backend, Store
from tests.queues.backend_mysql import SETTINGS, Daemon, Database, daemon, mysqld

from .disk import may_mount, small_disk
from .outage import survives, survives_quickly

DATABASES = map("crash{}".format, count())


@pytest.fixture(scope="module")
def mariadb() -> Iterator[Daemon]:
    with daemon() as running:
        yield running


@pytest.fixture
def store(mariadb: Daemon) -> Store:
    return new_store(mariadb)


def new_store(mariadb: Daemon) -> Store:
    database = Database(mariadb, next(DATABASES))
    return Store(Backend(load("mysql"), dict), database.tcp)


@pytest.mark.parametrize(
    "how", [signal.SIGTERM, signal.SIGKILL], ids=["fast", "killed"]
)
def test_restart_of_mariadb_loses_no_job(how, mariadb, store):
    survives_quickly(store, lambda: asyncio.to_thread(mariadb.restart, how))


def test_absence_of_mariadb_loses_no_job(mariadb, store):
    survives(
        store,
        lambda: asyncio.to_thread(mariadb.stop, signal.SIGKILL),
        lambda: asyncio.to_thread(mariadb.start),
    )


# The file of undo logs may then grow, but the disk is full.
SMALL = {**SETTINGS, "innodb-log-file-size": "8M", "innodb-buffer-pool-size": "16M"}
MEGABYTES = 150


@pytest.fixture
def on_small_disk(tmp_path: Path) -> Iterator[Daemon]:
    if not may_mount():
        pytest.skip("mounting a small file system needs root")
    if mysqld():
        pytest.skip("MySQL's binary log waits for a minute for room")
    with small_disk(tmp_path, MEGABYTES), daemon(SMALL, tmp_path) as running:
        yield running


def test_full_disk_of_mariadb_loses_no_job(on_small_disk, tmp_path):
    filler = tmp_path / "filler"

    async def fill() -> None:
        with suppress(OSError), filler.open("wb", buffering=0) as file:
            while True:
                file.write(bytes(4096))

    async def make_room() -> None:
        filler.unlink()

    survives(new_store(on_small_disk), fill, make_room, news=20)
