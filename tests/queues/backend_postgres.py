"""The plugin postgres, with a Postgres of its own."""

import atexit
import os
import re
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field
from functools import cache
from importlib import import_module
from importlib.util import find_spec
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from gearman.queues.postgres.queue import Queue

from gearman.errors import QueueError, StartupError
from gearman.queue import Cluster as OwnCluster
from tests import servers

from .backend import Arguments, Backend

HOST = "127.0.0.1"

# Fast settings, since no machine crashes here. Asynchronous commits would be lost if
# Postgres is ended without a checkpoint.
SETTINGS = {
    "fsync": "off",
    "synchronous_commit": "off",
    "wal_writer_delay": "10s",
    "wal_writer_flush_after": "0",
    "listen_addresses": HOST,
    "max_connections": "30",
    "shared_buffers": "16MB",
    "lc_messages": "C",
}


# With TEST_POSTGRES=strict, servers get what is left of Postgres in other engines that
# speak its protocol. They run as a role with few rights, at SERIALIZABLE. Nobody can
# use advisory locks, or send notifications. Statements that change a table fail now and
# then, at once or when they are committed, since they collide with another transaction.
# Without advisory locks, a store is always that of a cluster.
STRICT = os.environ.get("TEST_POSTGRES") == "strict"

# For tests of servers without a cluster: these need an advisory lock.
ordinary = pytest.mark.skipif(STRICT, reason="a server without a cluster needs a lock")
ROLE = """
    CREATE ROLE gearman LOGIN;
    GRANT CREATE ON DATABASE postgres TO gearman;
    ALTER ROLE gearman SET default_transaction_isolation = 'serializable';
"""
# In the database that new ones are copies of.
RESTRICT = """
    SET allow_system_table_mods = on;
    DO $$ DECLARE lacking record; BEGIN
        FOR lacking IN SELECT oid::regprocedure AS name, proname FROM pg_proc
            WHERE proname LIKE 'pg%advisory%' OR proname = 'pg_notify'
        LOOP
            EXECUTE format(
                'ALTER FUNCTION %s RENAME TO %I', lacking.name, lacking.proname || '_'
            );
        END LOOP;
    END $$;
    RESET allow_system_table_mods;
    CREATE SCHEMA strict;
    CREATE SEQUENCE strict.changes;
    CREATE TABLE strict.late (change bigint);
    CREATE FUNCTION strict.fail() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
        RAISE serialization_failure USING MESSAGE = 'a late collision';
    END $$;
    CREATE CONSTRAINT TRIGGER late AFTER INSERT ON strict.late
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION strict.fail();
    CREATE FUNCTION strict.collide() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER AS $$ DECLARE change bigint; BEGIN
        IF current_setting('application_name') = 'gearmand' THEN
            change := nextval('strict.changes');
            IF change % 23 = 3 THEN
                RAISE serialization_failure USING MESSAGE = 'a collision';
            ELSIF change % 23 = 14 THEN
                INSERT INTO strict.late VALUES (change);
            END IF;
        END IF;
        RETURN NULL;
    END $$;
    CREATE FUNCTION strict.watch() RETURNS event_trigger
    LANGUAGE plpgsql SECURITY DEFINER AS $$ DECLARE made text; BEGIN
        FOR made IN SELECT object_identity FROM pg_event_trigger_ddl_commands()
            WHERE object_type = 'table' AND object_identity LIKE '%gearman%'
        LOOP
            EXECUTE format(
                'CREATE TRIGGER collide AFTER INSERT OR UPDATE OR DELETE ON %s'
                ' EXECUTE FUNCTION strict.collide()', made
            );
        END LOOP;
    END $$;
    CREATE EVENT TRIGGER watch ON ddl_command_end WHEN TAG IN ('CREATE TABLE')
    EXECUTE FUNCTION strict.watch();
"""


def program(name: str) -> Path:
    """Return the path of a program of Postgres, of the newest installed version."""
    versions = Path("/usr/lib/postgresql").glob(f"*/bin/{name}")
    newest = sorted(versions, key=lambda path: float(path.parts[-3]))
    if newest:
        return newest[-1]
    return Path(shutil.which(name) or servers.missing(name))


def user() -> str | None:
    """Return the user to run Postgres as, since it does not run as root."""
    return "postgres" if os.geteuid() == 0 else None


@cache
def new_data() -> Path:
    """Return the data of a new Postgres: to copy them takes a ninth of the time."""
    folder = Path(tempfile.mkdtemp(prefix="gearman-initdb-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    if owner := user():
        shutil.chown(folder, owner)
    data = folder / "data"
    done = subprocess.run(
        [
            *(program("initdb"), "--pgdata", data, "--username=postgres"),
            *("--auth=trust", "--no-sync", "--encoding=UTF8", "--locale=C"),
        ],
        user=user(),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert done.returncode == 0, done.stdout
    return data


def _text(file: Path) -> str:
    """Return the text of a file, an empty one if it is not there."""
    with suppress(FileNotFoundError):
        return file.read_text()
    return ""


@dataclass
class Cluster:
    """A Postgres server that a test can stop and start."""

    folder: Path
    port: int
    settings: Mapping[str, str]
    role: str = "gearman" if STRICT else "postgres"
    process: subprocess.Popen[bytes] = field(init=False)

    def local(self, database: str = "postgres") -> str:
        """Return a connection string with a Unix socket."""
        return f"host={self.folder} port={self.port} user=postgres dbname={database}"

    def conninfo(self, database: str = "postgres") -> str:
        return f"host={HOST} port={self.port} user={self.role} dbname={database}"

    @property
    def log(self) -> Path:
        return self.folder / "log"

    def run(self, *command: str | Path) -> None:
        with self.log.open("ab") as log:
            subprocess.run(command, check=True, user=user(), stdout=log, stderr=log)

    def create(self) -> None:
        data = self.folder / "data"
        subprocess.run(["cp", "-a", new_data(), data], check=True)
        with (data / "postgresql.conf").open("a") as configuration:
            for name, value in self.settings.items():
                configuration.write(f"{name} = '{value}'\n")
            configuration.write(f"port = {self.port}\n")
            configuration.write(f"unix_socket_directories = '{self.folder}'\n")

    def restrict(self) -> None:
        """Forbid what engines may lack."""
        template = self.local("template1")
        template += " options='-c default_transaction_read_only=off'"
        with psycopg().connect(template, autocommit=True) as connection:
            connection.execute(ROLE)
            connection.execute(RESTRICT)

    def start(self) -> None:
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [program("postgres"), "-D", self.folder / "data"],
                user=user(),
                cwd=self.folder,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        self._wait_until_ready()

    def _wait_until_ready(self) -> None:
        """Return when a file in the server's folder says that it is ready."""
        state = self.folder / "data" / "postmaster.pid"
        deadline = time.monotonic() + servers.DEADLINE
        ready = rf"\A{self.process.pid}\n.*^ready *$"
        while not re.search(ready, _text(state), re.M | re.S):
            try:
                self.process.wait(0.01)
            except subprocess.TimeoutExpired:
                if time.monotonic() < deadline:
                    continue
            raise AssertionError(f"Postgres did not start:\n{self.log.read_text()}")

    def stop(self, how: int = signal.SIGINT) -> None:
        """Stop it: SIGINT is its fast shutdown, SIGQUIT its immediate one."""
        if self.process.poll() is None:
            self.process.send_signal(how)
            self.process.wait(servers.DEADLINE)

    def restart(self, how: int = signal.SIGINT) -> None:
        self.stop(how)
        self.start()


# Makes a database as it was when it was new, which takes a third of the time that a new
# one takes.
CLEAN = """
    DO $$ DECLARE name text; BEGIN
        SET LOCAL lock_timeout = '5s';
        PERFORM pg_terminate_backend(pid, 5000) FROM pg_stat_activity
            WHERE datname = current_database() AND pid <> pg_backend_pid();
        FOR name IN SELECT nspname FROM pg_namespace
            WHERE nspname !~ '^pg_' AND nspname <> 'information_schema'
        LOOP
            EXECUTE format('DROP SCHEMA %I CASCADE', name);
        END LOOP;
        FOR name IN SELECT rolname FROM pg_roles
            WHERE rolname !~ '^pg_' AND rolname <> current_user
        LOOP
            EXECUTE format('DROP OWNED BY %I', name);
            EXECUTE format('DROP ROLE %I', name);
        END LOOP;
        EXECUTE format('ALTER DATABASE %I RESET ALL', current_database());
        CREATE SCHEMA public;
        GRANT USAGE ON SCHEMA public TO public;
        IF current_setting('server_version_num')::int < 150000 THEN
            GRANT CREATE ON SCHEMA public TO public;
        END IF;
    END $$
"""


@dataclass
class Database:
    """A new database."""

    cluster: Cluster
    name: str

    def __post_init__(self) -> None:
        with psycopg().connect(self.cluster.local(), autocommit=True) as connection:
            role = self.cluster.role
            connection.execute(f"CREATE DATABASE {self.name} OWNER {role}")

    def clean(self) -> bool:
        """Make it as new. Returns False if that is not possible."""
        if STRICT:
            return False
        try:
            self.sql(CLEAN)
        except psycopg().Error:
            return False
        return True

    @property
    def conninfo(self) -> str:
        return self.cluster.conninfo(self.name)

    def connect(self) -> Any:
        """Return an ordinary connection."""
        return psycopg().connect(self.cluster.local(self.name), autocommit=True)

    def sql(self, statement: str, *values: Any) -> list[tuple[Any, ...]]:
        """Execute a statement and return its rows, if it has any."""
        with self.connect() as connection:
            cursor = connection.execute(statement, values or None)
            return cursor.fetchall() if cursor.description else []


def psycopg() -> Any:
    """Import psycopg, which is too early when this module is imported."""
    return import_module("psycopg")


@contextmanager
def cluster(settings: Mapping[str, str] = SETTINGS) -> Iterator[Cluster]:
    """Run Postgres on a free port, in a folder that is removed at the end."""
    program("initdb")
    if find_spec("psycopg") is None:
        servers.missing("psycopg")
    # Not in pytest's folder, which only its own user can enter, and whose path is too
    # long for a Unix socket.
    with (
        tempfile.TemporaryDirectory(prefix="gearman-postgres-") as folder,
        servers.kept_ports() as [port],
    ):
        if owner := user():
            shutil.chown(folder, owner)
        running = Cluster(Path(folder), port, settings)
        running.create()
        running.start()
        if STRICT:
            running.restrict()
        try:
            yield running
        finally:
            running.stop()
            # pytest prints this if the test fails.
            print(running.log.read_text(errors="replace")[-20_000:])


def alone(queue: Any) -> Any:
    """Let a server that is the only one of a cluster own a queue's jobs."""
    with closing(queue.register()) as register:
        claim = register.join()
        for member in register.look().members:
            if member.id != claim.id:
                register.bury(member)
        register.take(range(64))
        queue.own(claim)
    return queue


class Alone(Queue):  # type: ignore[misc, unused-ignore]
    """The plugin, with stores that belong to a cluster of one server."""

    def __init__(
        self,
        *,
        conninfo: str = "",
        table: str = "",
        schema: str = "",
        inbox: bool = False,
        cluster: OwnCluster | None = None,
    ) -> None:
        own = cluster or OwnCluster("alone", "here:1", 60)
        super().__init__(
            conninfo=conninfo, table=table, schema=schema, inbox=inbox, cluster=own
        )
        if cluster is None:
            try:
                alone(self)
            except QueueError as error:
                self.close()
                what_to_do = import_module("gearman.queues.postgres.store").what_to_do
                raise StartupError(what_to_do(error)) from error


# What it tells of itself is that of the plugin.
Alone.__doc__ = Queue.__doc__


def opened(database: Database, **options: Any) -> Any:
    """Open a store; with strict rules, as the only server of a cluster."""
    plugin = Alone if STRICT else Queue
    return plugin(**{"conninfo": database.conninfo, **options})


@contextmanager
def postgres(folder: Path) -> Iterator[Backend]:
    names = map("store {}".format, count())

    @contextmanager
    def outage(arguments: Arguments) -> Iterator[None]:
        running.stop()
        yield
        running.start()

    with cluster() as running, servers.kept_ports() as [nobody]:
        if STRICT:
            Database(running, "stores")
        yield Backend(
            Alone if STRICT else Queue,
            lambda: {
                "conninfo": running.conninfo("stores") if STRICT else running.local(),
                "table": ("gearman " if STRICT else "") + next(names),
            },
            # The next one of a cluster takes over.
            exclusive=not STRICT,
            unreachable={"conninfo": f"host={HOST} port={nobody}"},
            outage=outage,
        )
