"""Databases that the servers of a cluster share: what the tests want of each."""

import random
import signal
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from itertools import count

from tests.queues import backend_mysql, backend_postgres
from tests.queues.backend_galera import NODES, GaleraDatabase
from tests.servers import HOST

from .standby import Pair

# How many shards each server owns.
OWNED = """
    SELECT count(shards.server) FROM gearman_jobs_servers AS servers
    LEFT JOIN gearman_jobs_shards AS shards ON shards.server = servers.id
    GROUP BY servers.id
"""


Database = backend_postgres.Database | backend_mysql.Database


# Something that happens to a database; it returns what ends it.
Trouble = Callable[[random.Random], Callable[[], None]]


class Ground(ABC):
    """A database with jobs of servers.

    `watch` are statements that create tables and triggers. They note changes of jobs by
    another connection than the newest one of the owner of their shard (`intruders`),
    when shards have got which owners (`changes`), and when servers were members no more
    (`departures`). `variables` are those of the environment of servers.
    """

    watch: tuple[str, ...]
    variables: Mapping[str, str] = {}

    @property
    @abstractmethod
    def ports(self) -> Sequence[int]:
        """The ports that a server connects to, always in the same order."""

    @abstractmethod
    def options(self, ports: Sequence[int]) -> tuple[str, ...]:
        """Return the options of a server that connects to these ports instead."""

    @abstractmethod
    def troubles(self) -> Mapping[str, Trouble]:
        """Return all that can happen to it, with a name for each."""


class OnPostgres(Ground):
    watch = (
        """
        CREATE TABLE intruders (pid int);
        CREATE FUNCTION watch() RETURNS trigger
        LANGUAGE plpgsql SECURITY DEFINER AS $$ BEGIN
            INSERT INTO intruders SELECT pg_backend_pid()
            WHERE current_setting('application_name') = 'gearmand' AND NOT EXISTS (
                SELECT 1 FROM gearman_jobs_shards AS shards
                JOIN gearman_jobs_servers AS servers ON servers.id = shards.server
                WHERE shards.shard = coalesce(NEW.number, OLD.number) & 63
                AND servers.backend_pid = pg_backend_pid()
            );
            RETURN NULL;
        END $$;
        CREATE TRIGGER watch AFTER INSERT OR DELETE ON gearman_jobs
        FOR EACH ROW EXECUTE FUNCTION watch();
        CREATE TABLE changes (shard int, at float8, owner text);
        INSERT INTO changes SELECT shard, 0, address FROM gearman_jobs_shards
        JOIN gearman_jobs_servers ON id = server;
        CREATE FUNCTION change() RETURNS trigger
        LANGUAGE plpgsql SECURITY DEFINER AS $$ BEGIN
            INSERT INTO changes SELECT
                NEW.shard, extract(epoch FROM clock_timestamp()),
                (SELECT address FROM gearman_jobs_servers WHERE id = NEW.server);
            RETURN NULL;
        END $$;
        CREATE TRIGGER change AFTER UPDATE ON gearman_jobs_shards
        FOR EACH ROW EXECUTE FUNCTION change();
        CREATE TABLE departures (server text, at float8);
        CREATE FUNCTION depart() RETURNS trigger
        LANGUAGE plpgsql SECURITY DEFINER AS $$ BEGIN
            INSERT INTO departures
            VALUES (OLD.address, extract(epoch FROM clock_timestamp()));
            RETURN NULL;
        END $$;
        CREATE TRIGGER depart AFTER DELETE ON gearman_jobs_servers
        FOR EACH ROW EXECUTE FUNCTION depart();
        """,
    )

    def __init__(self, database: backend_postgres.Database) -> None:
        self.database = database

    @property
    def ports(self) -> Sequence[int]:
        return [self.database.cluster.port]

    def options(self, ports: Sequence[int]) -> tuple[str, ...]:
        hosts = ",".join([HOST] * len(ports))
        addresses = f"host={hosts} port={','.join(map(str, ports))}"
        role, name = self.database.cluster.role, self.database.name
        own = f"{addresses} user={role} dbname={name}"
        return "-q", "postgres", "--postgres-conninfo", own

    def troubles(self) -> Mapping[str, Trouble]:
        return {
            "database restarted": partial(self._stop, signal.SIGINT),
            "database crashed": partial(self._stop, signal.SIGQUIT),
        }

    def _stop(self, how: int, _: random.Random) -> Callable[[], None]:
        self.database.cluster.stop(how)
        return self.database.cluster.start


class OnPair(OnPostgres):
    """Two servers of Postgres; the clocks of both are that of the machine."""

    def __init__(self, database: Pair) -> None:
        super().__init__(database)
        self._pair = database

    @property
    def ports(self) -> Sequence[int]:
        return self._pair.ports

    def troubles(self) -> Mapping[str, Trouble]:
        more: dict[str, Trouble] = {
            "failover": self._fail_over,
            "standby paused": self._freeze,
        }
        return {**super().troubles(), **more}

    def _fail_over(self, _: random.Random) -> Callable[[], None]:
        self._pair.fail_over()
        return self._pair.attach

    def _freeze(self, _: random.Random) -> Callable[[], None]:
        """No commit is acknowledged meanwhile."""
        return self._pair.standby.freeze()


# The fence of a commit has the server's id in a variable of the session.
NOTE_INTRUDER = """
    CREATE TRIGGER watch_{event} AFTER {event} ON gearman_jobs FOR EACH ROW
    INSERT INTO intruders (number) SELECT {row}.number FROM DUAL
    WHERE {row}.number > 0 AND NOT EXISTS (
        SELECT 1 FROM gearman_jobs_shards
        WHERE shard = {row}.number & 63 AND server = @fence
    )
"""


class OnMysql(Ground):
    watch = (
        """
        CREATE TABLE intruders (id INT AUTO_INCREMENT PRIMARY KEY, number BIGINT)
        """,
        NOTE_INTRUDER.format(event="INSERT", row="NEW"),
        NOTE_INTRUDER.format(event="DELETE", row="OLD"),
        """
        CREATE TABLE changes (
            id INT AUTO_INCREMENT PRIMARY KEY, shard INT, at DOUBLE, owner TEXT
        )
        """,
        """
        INSERT INTO changes (shard, at, owner)
        SELECT shard, 0, address FROM gearman_jobs_shards
        JOIN gearman_jobs_servers ON id = server
        """,
        """
        CREATE TRIGGER changed AFTER UPDATE ON gearman_jobs_shards FOR EACH ROW
        INSERT INTO changes (shard, at, owner) VALUES (
            NEW.shard, UNIX_TIMESTAMP(SYSDATE(6)),
            (SELECT address FROM gearman_jobs_servers WHERE id = NEW.server)
        )
        """,
        """
        CREATE TABLE departures (
            id INT AUTO_INCREMENT PRIMARY KEY, server TEXT, at DOUBLE
        )
        """,
        """
        CREATE TRIGGER departed AFTER DELETE ON gearman_jobs_servers FOR EACH ROW
        INSERT INTO departures (server, at)
        VALUES (OLD.address, UNIX_TIMESTAMP(SYSDATE(6)))
        """,
    )
    variables = {"MYSQL_PWD": backend_mysql.PASSWORD}

    def __init__(self, database: backend_mysql.Database) -> None:
        self.database = database

    @property
    def ports(self) -> Sequence[int]:
        return [self.database.daemon.port]

    def options(self, ports: Sequence[int]) -> tuple[str, ...]:
        return (
            *("-q", "mysql", "--mysql-user", backend_mysql.USER),
            *("--mysql-host", ",".join(f"{HOST}:{port}" for port in ports)),
            *("--mysql-db", self.database.name),
        )

    def troubles(self) -> Mapping[str, Trouble]:
        return {
            "database restarted": partial(self._stop, signal.SIGTERM),
            "database crashed": partial(self._stop, signal.SIGKILL),
        }

    def _stop(self, how: int, _: random.Random) -> Callable[[], None]:
        self.database.daemon.stop(how)
        return self.database.daemon.start


class OnGalera(OnMysql):
    """Each server begins with another node, and knows all, or only this one."""

    def __init__(self, database: GaleraDatabase) -> None:
        super().__init__(database)
        self._galera = database.galera
        self._alone = database.alone
        self._next = count()

    @property
    def ports(self) -> Sequence[int]:
        return [node.port for node in self._galera.nodes]

    def options(self, ports: Sequence[int]) -> tuple[str, ...]:
        first = next(self._next) % NODES
        known = [*ports[first:], *ports[:first]]
        return super().options(known[: 1 if self._alone else NODES])

    def troubles(self) -> Mapping[str, Trouble]:
        return {"node killed": self._kill, "node cut off": self._isolate}

    def _kill(self, numbers: random.Random) -> Callable[[], None]:
        numbers.choice(self._galera.nodes).stop(signal.SIGKILL)
        return self._galera.heal

    def _isolate(self, numbers: random.Random) -> Callable[[], None]:
        numbers.choice(self._galera.nodes).isolate()
        return self._galera.heal


def ground_of(database: Database) -> Ground:
    if isinstance(database, GaleraDatabase):
        return OnGalera(database)
    if isinstance(database, backend_mysql.Database):
        return OnMysql(database)
    if isinstance(database, Pair):
        return OnPair(database)
    return OnPostgres(database)
