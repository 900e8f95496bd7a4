"""Servers of a cluster over one database, each with a network of its own to it."""

import asyncio
import re
import signal
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, suppress
from functools import partial

from tests.crash.process import Server
from tests.servers import DEADLINE, HOST, free_port

from .clocks import Clock, Clocks
from .grounds import OWNED, Database, ground_of
from .history import NOBODY, History
from .promises import Promises
from .proxy import Network, Proxy

# Seconds of a lease that outlasts a pause of a server, or of this process, for tests in
# which servers keep their clients. Before shards move to a new one, half of it goes by.
LONG_LEASE = 4.0

JOINED = "has joined the cluster"
LINK = re.compile(r"the link to \S+:(\d+) is (up|lost)")


class Fleet:
    """Some servers.

    If they are `near`, their links are direct, and can't be cut. With `clocks`, each
    one has a wall clock of its own.
    """

    def __init__(
        self,
        database: Database,
        lease: float,
        options: Sequence[str] = (),
        near: bool = False,
        clocks: Clocks | None = None,
    ) -> None:
        self.database = database
        self.lease = lease
        self.ground = ground_of(database)
        self.history = History()
        self.servers: list[Server] = []
        # A lease ends before others take over. Half of one goes by before shards move,
        # and a tenth for each few that do.
        self._patience = DEADLINE + 2 * lease
        self._options = options
        self._near = near
        self._clocks = clocks
        self._clock: dict[Server, Clock] = {}
        self._networks: dict[Server, Network] = {}
        self._links: dict[Server, Proxy] = {}
        # All that were started, and how the history names them.
        self._names: dict[Server, int] = {}

    @property
    def ports(self) -> list[int]:
        return [server.port for server in self.servers]

    async def add(self) -> Server:
        """Start a server, and return it when it has joined the cluster."""
        port = free_port()
        network, links = Network(self.ground.ports), await self._links_to(port)
        await network.start()
        address = port if self._near else links.port
        clock = self._clocks.new() if self._clocks else None
        start = partial(
            Server.start,
            *self.ground.options(network.ports),
            *("--cluster", "fleet", "--cluster-lease", str(self.lease)),
            *("--cluster-address", f"{HOST}:{address}"),
            *self._options,
            # A fork has the clock of its parent.
            program=("-m", "gearman.server") if clock else (),
            port=str(port),
            **self.ground.variables,
            **(clock.variables if clock else {}),
        )
        server = await _joined(start)
        if clock:
            self._clock[server] = clock
        self._networks[server] = network
        self._links[server] = links
        self.servers.append(server)
        self._names[server] = address
        return server

    async def _links_to(self, port: int) -> Proxy:
        """Return a network whose own port names no server yet."""
        while True:
            links = Proxy(port)
            await links.start()
            if links.port not in self._names.values():
                return links
            await links.close()

    def name(self, server: Server) -> int:
        """Return the name of a server in the history; it may have ended."""
        return self._names[server]

    def network(self, server: Server) -> Network:
        """Return the network between a server and the database."""
        return self._networks[server]

    def clock(self, server: Server) -> Clock:
        return self._clock[server]

    def links(self, server: Server) -> Proxy:
        """Return the network of the links that others open to a server."""
        return self._links[server]

    @asynccontextmanager
    async def stopped(self, server: Server) -> AsyncIterator[None]:
        """Let a server stand still meanwhile, by SIGSTOP; it may have ended."""
        begin = time.time()
        _send(server, signal.SIGSTOP)
        try:
            yield
        finally:
            _send(server, signal.SIGCONT)
            pauses = self.history.pauses.setdefault(self.name(server), [])
            pauses.append((begin, time.time()))

    async def remove(self, server: Server, number: int) -> None:
        """End a server by a signal."""
        self.servers.remove(server)
        network = self._networks.pop(server)
        if number == signal.SIGTERM:
            await server.stop()
        else:
            await server.end()
        self.history.ends_of_servers[self.name(server)] = time.time()
        await network.close()
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
        async with asyncio.timeout(self._patience):
            while await asyncio.to_thread(self.owned) != parts:
                await asyncio.sleep(0.05)

    async def ended(self, jobs: int) -> None:
        """Return when so many more jobs have ended; raise if none does any more."""
        enough = self.history.ends + jobs
        while (last := self.history.ends) < enough:
            async with asyncio.timeout(self._patience):
                while self.history.ends == last:
                    await asyncio.sleep(0.02)

    def log(self) -> str:
        """Return what all servers have logged."""
        logs = [[f"server {name}", *it.lines] for it, name in self._names.items()]
        return "\n".join(line for log in logs for line in log)

    def promises(self) -> Promises:
        """Return what judges all that was seen, after all has ended."""
        for server, name in self._names.items():
            self.history.link(name, self._told(server))
        rows = self.database.sql("SELECT shard, at, owner FROM changes")
        self.history.change((row[0], row[1], self._named(row[2])) for row in rows)
        rows = self.database.sql("SELECT server, at FROM departures")
        self.history.leave((self._named(address), at) for address, at in rows)
        return Promises(self.history, self.lease)

    def _told(self, server: Server) -> Iterator[tuple[float, int, bool]]:
        """Yield what a server has told of its links."""
        for at, line in zip(server.times, server.lines, strict=True):
            if found := LINK.search(line):
                yield at, int(found[1]), found[2] == "up"

    def _named(self, address: str | bytes | None) -> int:
        """Return the name of the server with an address of the cluster."""
        if not address:
            return NOBODY
        text = address if isinstance(address, str) else address.decode()
        return int(text.rpartition(":")[2])

    def intruders(self) -> int:
        [(count,)] = self.database.sql("SELECT count(*) FROM intruders")
        return int(count)

    def broken(self) -> list[str]:
        """Return a sentence for each promise that was broken, after all has ended."""
        promises = self.promises()
        broken = promises.broken()
        print(f"{self.history.summary()}; allowed: {dict(promises.allowed)}")
        for sentence in broken[:10]:
            jobs = {int(number) for number in re.findall(r"job (\d+)", sentence)}
            print(sentence, self.history.about(jobs), sep="\n", flush=True)
        return [*broken, *["a commit of no owner"] * self.intruders()]


async def _joined(start: Callable[[], Awaitable[Server]]) -> Server:
    """Start a server until it has joined, as a supervisor does.

    A short lease makes it short of patience: it ends if the database is slow just then.
    """
    async with asyncio.timeout(DEADLINE):
        while True:
            server = await start()
            try:
                await server.says(JOINED)
            except AssertionError:
                if not server.said("the queue can't be opened"):
                    raise
            except BaseException:
                await server.end()
                # pytest prints this.
                print(*server.lines, sep="\n")
                raise
            else:
                return server


def _send(server: Server, number: int) -> None:
    with suppress(ProcessLookupError):
        server.process.send_signal(number)


@asynccontextmanager
async def fleet(
    database: Database,
    servers: int = 2,
    lease: float = 1.0,
    options: Sequence[str] = (),
    near: bool = False,
    clocks: Clocks | None = None,
) -> AsyncIterator[Fleet]:
    """Run some servers that share the shards, with further `options`."""
    running = Fleet(database, lease, options, near, clocks)
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
