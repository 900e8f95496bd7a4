"""A Postgres and its synchronous standby, which takes its place again and again."""

import os
import shutil
import signal
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.queues.backend_postgres import (
    SETTINGS,
    STRICT,
    Cluster,
    Database,
    program,
    user,
)
from tests.servers import HOST, kept_ports, until

DURABLE = SETTINGS | {"synchronous_commit": "on"}


class Instance(Cluster):
    """A server of Postgres that is alone, or follows another one."""

    @property
    def data(self) -> Path:
        return self.folder / "data"

    def follow(self, primary: Cluster) -> None:
        """Start as a copy of another server, whatever it was before."""
        shutil.rmtree(self.data, ignore_errors=True)
        origin = f"host={HOST} port={primary.port} user=postgres"
        self.run(
            *(program("pg_basebackup"), "--pgdata", self.data, "--dbname", origin),
            *("--write-recovery-conf", "--checkpoint=fast", "--no-sync"),
        )
        with (self.data / "postgresql.conf").open("a") as configuration:
            configuration.write(f"port = {self.port}\n")
            configuration.write(f"unix_socket_directories = '{self.folder}'\n")
        # What was set by ALTER SYSTEM: it has no standby of its own.
        with (self.data / "postgresql.auto.conf").open("a") as configuration:
            configuration.write("synchronous_standby_names = ''\n")
        self.start()

    def promote(self) -> None:
        self.run(program("pg_ctl"), "promote", "--pgdata", self.data)

    def freeze(self) -> Callable[[], None]:
        """Stop all its processes by SIGSTOP; return what lets them go on."""
        running = [self.process.pid, *children(self.process.pid)]

        def send(number: int) -> None:
            for each in running:
                with suppress(ProcessLookupError):
                    os.kill(each, number)

        send(signal.SIGSTOP)
        return lambda: send(signal.SIGCONT)


def children(process: int) -> list[int]:
    tasks = Path(f"/proc/{process}/task/{process}/children")
    return [int(word) for word in tasks.read_text().split()]


@dataclass
class Pair(Database):
    """A database on a primary, `cluster`, and on a standby that each commit waits for.

    It waits from `attach` on.
    """

    standby: Instance

    @property
    def ports(self) -> list[int]:
        return sorted([self.cluster.port, self.standby.port])

    def attach(self) -> None:
        """Let the standby follow the primary, and commits wait for it."""
        self.standby.follow(self.cluster)
        self.sql("ALTER SYSTEM SET synchronous_standby_names = '*'")
        self.sql("SELECT pg_reload_conf()")
        in_step = "SELECT 1 FROM pg_stat_replication WHERE sync_state = 'sync'"
        until(lambda: self.sql(in_step))

    def fail_over(self) -> None:
        """Crash the primary, and promote the standby; there is none until `attach`."""
        self.cluster.stop(signal.SIGQUIT)
        self.standby.promote()
        former = self.cluster
        assert isinstance(former, Instance)
        self.cluster, self.standby = self.standby, former
        assert self.sql("SELECT pg_is_in_recovery()") == [(False,)]


@contextmanager
def pair(name: str) -> Iterator[Pair]:
    """Run a new database on two servers."""
    with ExitStack() as stack:
        first, second = (_instance(stack) for _ in range(2))
        first.create()
        first.start()
        if STRICT:
            first.restrict()
        running = Pair(first, name, second)
        running.attach()
        yield running


def _instance(stack: ExitStack) -> Instance:
    folder = stack.enter_context(TemporaryDirectory(prefix="gearman-postgres-"))
    if owner := user():
        shutil.chown(folder, owner)
    [port] = stack.enter_context(kept_ports())
    made = Instance(Path(folder), port, DURABLE)

    def end() -> None:
        if hasattr(made, "process"):
            made.stop()
            # pytest prints this if the test fails.
            print(made.log.read_text(errors="replace")[-20_000:])

    stack.callback(end)
    return made
