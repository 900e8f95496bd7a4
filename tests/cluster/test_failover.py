"""The database fails over to its synchronous standby."""

import asyncio
import copy
import shutil
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from tests.queues.backend_postgres import (
    SETTINGS,
    Cluster,
    Database,
    cluster,
    program,
    user,
)
from tests.servers import HOST, free_port, until

from .fleet import fleet
from .history import Kind
from .players import playing

pytestmark = [pytest.mark.interop, pytest.mark.timeout(120)]

DURABLE = SETTINGS | {"synchronous_commit": "on"}


class Standby(Cluster):
    """A server of Postgres that follows another one."""

    def follow(self, primary: Cluster) -> None:
        data = self.folder / "data"
        origin = f"host={HOST} port={primary.port} user=postgres"
        self.run(
            *(program("pg_basebackup"), "--pgdata", data, "--dbname", origin),
            *("--write-recovery-conf", "--checkpoint=fast", "--no-sync"),
        )
        with (data / "postgresql.conf").open("a") as configuration:
            configuration.write(f"port = {self.port}\n")
            configuration.write(f"unix_socket_directories = '{self.folder}'\n")
        self.start()

    def promote(self) -> None:
        self.run(program("pg_ctl"), "promote", "--pgdata", self.folder / "data")


@contextmanager
def standby(database: Database) -> Iterator[Database]:
    """Yield the copy of a database on a standby, which the primary waits for."""
    primary = database.cluster
    with TemporaryDirectory(prefix="gearman-standby-") as folder:
        if owner := user():
            shutil.chown(folder, owner)
        running = Standby(Path(folder), free_port(), DURABLE)
        try:
            running.follow(primary)
            database.sql("ALTER SYSTEM SET synchronous_standby_names = '*'")
            database.sql("SELECT pg_reload_conf()")
            in_step = "SELECT 1 FROM pg_stat_replication WHERE sync_state = 'sync'"
            until(lambda: database.sql(in_step))
            there = copy.copy(database)
            there.cluster = running
            yield there
        finally:
            running.stop()
            print(running.log.read_text(errors="replace")[-20_000:])


def test_promoted_standby_is_found_and_has_all_jobs():
    async def story(first: Database, second: Database) -> None:
        ports = f"{first.cluster.port},{second.cluster.port}"
        conninfo = f"host={HOST},{HOST} port={ports} user=postgres dbname=jobs"
        async with fleet(first, conninfo=conninfo, lease=2.0) as running:
            history = running.history
            async with playing(running):
                await ended(history, 200)
                await asyncio.to_thread(fail_over, first, second)
                running.database = second
                await ended(history, 200)
            assert running.broken() == []
            print(history.summary())

    with cluster(DURABLE) as primary:
        first = Database(primary, "jobs")
        with standby(first) as second:
            asyncio.run(story(first, second))


def fail_over(first: Database, second: Database) -> None:
    """Crash the primary, and promote its standby."""
    first.cluster.stop(signal.SIGQUIT)
    assert isinstance(second.cluster, Standby)
    second.cluster.promote()
    assert second.sql("SELECT pg_is_in_recovery()") == [(False,)]


async def ended(history, jobs):
    """Return when so many more jobs have ended."""
    enough = history.count(Kind.ENDED) + jobs
    async with asyncio.timeout(40):
        while history.count(Kind.ENDED) < enough:
            await asyncio.sleep(0.02)
