"""Servers of a cluster over one database, each with a network of its own to it."""

import asyncio
import signal
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from tests.crash.process import Server
from tests.servers import DEADLINE, HOST, free_port

from .grounds import OWNED, Database, ground_of
from .history import History
from .proxy import Proxy

JOINED = "has joined the cluster"
READY = "ready (process"


class Fleet:
    """Some servers.

    With a `conninfo` they connect by that, and not by a network of their own. If they
    are `near`, their links are direct, and can't be cut.
    """

    def __init__(
        self,
        database: Database,
        lease: float,
        conninfo: str = "",
        options: Sequence[str] = (),
        near: bool = False,
    ) -> None:
        self.database = database
        self.ground = ground_of(database, conninfo)
        self.history = History()
        self.servers: list[Server] = []
        self._lease = lease
        self._options = options
        self._near = near
        self._proxies: dict[Server, Proxy] = {}
        self._links: dict[Server, Proxy] = {}
        self._all: list[Server] = []

    @property
    def ports(self) -> list[int]:
        return [server.port for server in self.servers]

    async def add(self) -> Server:
        """Start a server, and return it when it has joined the cluster."""
        port = free_port()
        proxy, links = Proxy(self.ground.port), Proxy(port)
        await proxy.start()
        await links.start()
        server = await Server.start(
            *self.ground.options(proxy.port),
            *("--cluster", "fleet", "--cluster-lease", str(self._lease)),
            *("--cluster-address", f"{HOST}:{port if self._near else links.port}"),
            *self._options,
            port=str(port),
            **self.ground.variables,
        )
        self._proxies[server] = proxy
        self._links[server] = links
        self.servers.append(server)
        self._all.append(server)
        await server.says(JOINED)
        return server

    def network(self, server: Server) -> Proxy:
        return self._proxies[server]

    def links(self, server: Server) -> Proxy:
        """Return the network of the links that others open to a server."""
        return self._links[server]

    async def remove(self, server: Server, number: int) -> None:
        """End a server by a signal."""
        self.servers.remove(server)
        proxy = self._proxies.pop(server)
        if number == signal.SIGTERM:
            await server.stop()
        else:
            await server.end()
        await proxy.close()
        await self._links.pop(server).close()

    async def replace(self) -> None:
        """Start others for servers that have ended.

        A server that can't take its jobs up when it begins, since the database is away,
        ends with an error.
        """
        for server in [s for s in self.servers if s.process.returncode is not None]:
            await self.remove(server, signal.SIGKILL)
            await self.add()

    def owned(self) -> list[int]:
        """Return how many shards each server of the cluster owns, in order."""
        return sorted(int(count) for (count,) in self.database.sql(OWNED))

    async def balanced(self) -> None:
        """Return when each of the servers owns its part of the shards."""
        count = len(self.servers)
        parts = sorted(64 // count + (n < 64 % count) for n in range(count))
        async with asyncio.timeout(DEADLINE):
            while await asyncio.to_thread(self.owned) != parts:
                await asyncio.sleep(0.05)

    def log(self) -> str:
        """Return what all servers have logged."""
        logs = [[f"port {server.port}", *server.lines] for server in self._all]
        return "\n".join(line for log in logs for line in log)

    def intruders(self) -> int:
        [(count,)] = self.database.sql("SELECT count(*) FROM intruders")
        return int(count)

    def broken(self) -> list[str]:
        """Return a sentence for each promise that was broken, after all has ended."""
        self.history.change(self.database.sql("SELECT shard, at FROM changes"))
        return [*self.history.broken(), *["a commit of no owner"] * self.intruders()]


@asynccontextmanager
async def fleet(
    database: Database,
    servers: int = 2,
    lease: float = 1.0,
    conninfo: str = "",
    options: Sequence[str] = (),
    near: bool = False,
) -> AsyncIterator[Fleet]:
    """Run some servers that share the shards, with further `options`."""
    running = Fleet(database, lease, conninfo, options, near)
    try:
        await (await running.add()).ready()
        for statement in running.ground.watch:
            database.sql(statement)
        for _ in range(servers - 1):
            await running.add()
        await running.balanced()
        yield running
    finally:
        # pytest prints this if the test fails.
        print(running.log())
        for server in list(running.servers):
            await running.remove(server, signal.SIGKILL)
