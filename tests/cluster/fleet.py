"""Servers of a cluster over one Postgres, each with a network of its own to it."""

import asyncio
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

from tests.crash.players import Wire
from tests.crash.process import Server
from tests.queues.backend_postgres import Database
from tests.servers import DEADLINE, HOST

from .history import History, Kind
from .proxy import Proxy

OWNS = "this server owns the jobs"
STANDS_BY = "standing by"

# Changes of jobs that were made by another connection than the newest one of the owner.
WATCH = """
    CREATE TABLE intruders (pid int);
    CREATE FUNCTION watch() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
        INSERT INTO intruders SELECT pg_backend_pid()
        WHERE current_setting('application_name') = 'gearmand' AND NOT EXISTS (
            SELECT 1 FROM gearman_jobs_shards AS shards
            JOIN gearman_jobs_servers AS servers ON servers.id = shards.server
            WHERE shards.shard = 0 AND servers.backend_pid = pg_backend_pid()
        );
        RETURN NULL;
    END $$;
    CREATE TRIGGER watch AFTER INSERT OR DELETE ON gearman_jobs
    FOR EACH STATEMENT EXECUTE FUNCTION watch();
"""


class Fleet:
    """Some servers; `history` notes when one of them owns the jobs.

    With a `conninfo` they connect by that, and not by a network of their own.
    """

    def __init__(self, database: Database, lease: float, conninfo: str = "") -> None:
        self.database = database
        self.history = History()
        self.servers: list[Server] = []
        self._lease = lease
        self._conninfo = conninfo
        self._proxies: dict[Server, Proxy] = {}
        self._watchers: list[asyncio.Task[None]] = []
        self._all: list[Server] = []

    @property
    def ports(self) -> list[int]:
        return [server.port for server in self.servers]

    async def add(self) -> Server:
        """Start a server, and return it when it owns the jobs or stands by."""
        proxy = Proxy(self.database.cluster.port)
        await proxy.start()
        name = self.database.name
        own = f"host={HOST} port={proxy.port} user=postgres dbname={name}"
        conninfo = self._conninfo or own
        server = await Server.start(
            *("-q", "postgres", "--postgres-conninfo", conninfo),
            *("--cluster", "fleet", "--cluster-lease", str(self._lease)),
            *("--cluster-address", f"{HOST}:{proxy.port}"),
        )
        self._proxies[server] = proxy
        self.servers.append(server)
        self._all.append(server)
        self._watchers.append(asyncio.create_task(self._watch(server)))
        async with asyncio.timeout(DEADLINE):
            while not (server.said(OWNS) or server.said(STANDS_BY)):
                await asyncio.sleep(0.01)
        return server

    async def _watch(self, server: Server) -> None:
        with suppress(AssertionError):
            times = 1
            while True:
                await server.says(OWNS, times, patience=None)
                self.history.note(Kind.OWNER)
                times += 1

    def network(self, server: Server) -> Proxy:
        return self._proxies[server]

    async def remove(self, server: Server, number: int) -> None:
        """End a server by a signal."""
        self.servers.remove(server)
        proxy = self._proxies.pop(server)
        if number == signal.SIGTERM:
            await server.stop()
        else:
            await server.end()
        await proxy.close()

    async def owner(self, *but: Server) -> Server:
        """Return the server that serves; it must be none of these."""
        async with asyncio.timeout(DEADLINE):
            while True:
                for server in self.servers:
                    if server not in but and await answers(server.port):
                        return server
                await asyncio.sleep(0.01)

    def log(self) -> str:
        """Return what all servers have logged."""
        logs = [[f"port {server.port}", *server.lines] for server in self._all]
        return "\n".join(line for log in logs for line in log)

    def intruders(self) -> int:
        [(count,)] = self.database.sql("SELECT count(*) FROM intruders")
        return int(count)


async def answers(port: int) -> bool:
    """Whether a server answers here."""
    try:
        wire = await Wire.connect(port)
    except OSError:
        return False
    wire.close()
    return True


@asynccontextmanager
async def fleet(
    database: Database, servers: int = 2, lease: float = 1.0, conninfo: str = ""
) -> AsyncIterator[Fleet]:
    """Run some servers, of which the first one owns the jobs."""
    running = Fleet(database, lease, conninfo)
    try:
        await (await running.add()).ready()
        database.sql(WATCH)
        for _ in range(servers - 1):
            await (await running.add()).says(STANDS_BY)
        yield running
    finally:
        # pytest prints this if the test fails.
        print(running.log())
        for server in list(running.servers):
            await running.remove(server, signal.SIGKILL)
