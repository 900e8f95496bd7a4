"""Databases that the servers of a cluster share: what the tests want of each."""

import signal
from abc import ABC, abstractmethod
from collections.abc import Mapping
from itertools import count

from tests.queues import backend_mysql, backend_postgres
from tests.queues.backend_galera import NODES, GaleraDatabase
from tests.servers import HOST

# How many shards each server owns.
OWNED = """
    SELECT count(shards.server) FROM gearman_jobs_servers AS servers
    LEFT JOIN gearman_jobs_shards AS shards ON shards.server = servers.id
    GROUP BY servers.id
"""


Database = backend_postgres.Database | backend_mysql.Database


class Ground(ABC):
    """A database with jobs of servers.

    `watch` are statements that create tables and triggers. They note changes of jobs by
    another connection than the newest one of the owner of their shard (`intruders`),
    and when shards have got other owners (`changes`). `variables` are those of the
    environment of servers.
    """

    watch: tuple[str, ...]
    variables: Mapping[str, str] = {}

    @property
    @abstractmethod
    def port(self) -> int:
        """The port that a server connects to."""

    @abstractmethod
    def options(self, port: int) -> tuple[str, ...]:
        """Return the options of a server that connects to a port."""

    @abstractmethod
    def stop(self, gently: bool) -> None:
        """Stop the database, or crash it."""

    @abstractmethod
    def start(self) -> None:
        """Start it again."""


class OnPostgres(Ground):
    """With a `conninfo`, servers connect by that, whatever their port is."""

    watch = (
        """
        CREATE TABLE intruders (pid int);
        CREATE FUNCTION watch() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
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
        CREATE TABLE changes (shard int, at float8);
        CREATE FUNCTION change() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
            INSERT INTO changes
            VALUES (NEW.shard, extract(epoch FROM clock_timestamp()));
            RETURN NULL;
        END $$;
        CREATE TRIGGER change AFTER UPDATE ON gearman_jobs_shards
        FOR EACH ROW EXECUTE FUNCTION change();
        """,
    )

    def __init__(self, database: backend_postgres.Database, conninfo: str = "") -> None:
        self.database = database
        self._conninfo = conninfo

    @property
    def port(self) -> int:
        return self.database.cluster.port

    def options(self, port: int) -> tuple[str, ...]:
        name = self.database.name
        own = f"host={HOST} port={port} user=postgres dbname={name}"
        return "-q", "postgres", "--postgres-conninfo", self._conninfo or own

    def stop(self, gently: bool) -> None:
        self.database.cluster.stop(signal.SIGINT if gently else signal.SIGQUIT)

    def start(self) -> None:
        self.database.cluster.start()


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
            id INT AUTO_INCREMENT PRIMARY KEY, shard INT, at DOUBLE
        )
        """,
        """
        CREATE TRIGGER changed AFTER UPDATE ON gearman_jobs_shards FOR EACH ROW
        INSERT INTO changes (shard, at)
        VALUES (NEW.shard, UNIX_TIMESTAMP(CURRENT_TIMESTAMP(6)))
        """,
    )
    variables = {"MYSQL_PWD": backend_mysql.PASSWORD}

    def __init__(self, database: backend_mysql.Database) -> None:
        self.database = database

    @property
    def port(self) -> int:
        return self.database.daemon.port

    def options(self, port: int) -> tuple[str, ...]:
        return (
            *("-q", "mysql", "--mysql-host", f"{HOST}:{port}"),
            *("--mysql-user", backend_mysql.USER, "--mysql-db", self.database.name),
        )

    def stop(self, gently: bool) -> None:
        self.database.daemon.stop(signal.SIGTERM if gently else signal.SIGKILL)

    def start(self) -> None:
        self.database.daemon.start()


class OnGalera(OnMysql):
    """Each server begins with another node, and knows all, or only this one."""

    def __init__(self, database: GaleraDatabase) -> None:
        super().__init__(database)
        self._galera = database.galera
        self._alone = database.alone
        self._next = count()

    def options(self, port: int) -> tuple[str, ...]:
        first = next(self._next) % NODES
        nodes = [(first + more) % NODES for more in range(1 if self._alone else NODES)]
        hosts = self._galera.hosts(*nodes)
        return *super().options(port), "--mysql-host", hosts


def ground_of(database: Database, conninfo: str = "") -> Ground:
    if isinstance(database, GaleraDatabase):
        return OnGalera(database)
    if isinstance(database, backend_mysql.Database):
        return OnMysql(database)
    return OnPostgres(database, conninfo)
