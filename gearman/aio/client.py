"""The client for asyncio: submits jobs, and waits for their results."""

import asyncio
import random
import ssl
import time
from collections import deque
from collections.abc import AsyncIterable, Iterable
from contextlib import suppress
from typing import Any, Final, Self, Unpack, cast

from ..blocking.sockets import Keepalive
from ..client_core.inquiry import checked_handle, checked_unique
from ..client_core.server_order import ServerOrder
from ..errors import (
    ConnectionError,
    GearmanError,
    InvalidClientState,
    ServerUnavailable,
)
from ..job import UniqueStatus
from ..payload import as_text
from .client_link import ClientLink
from .discovery import Finder
from .job import Job
from .mapping import Results
from .requests import Request
from .results import open_links
from .servers import Opening, Server, close_all, servers_of, unavailable
from .submitting import (
    NotAccepted,
    Submission,
    SubmitOptions,
    Uniques,
    request_of,
)

# Jobs of `submit_many` that are submitted before others may run.
_MANY: Final = 512

# Seconds after which all servers are tried again.
_PAUSES: Final = (0.05, 1.0)


class Client:
    """Submits jobs to one of several servers.

    `addresses` are "host", "host:port", "[::1]:4730" or "unix:/path". Without them
    these are GEARMAN_SERVERS of the environment, or localhost:4730. A connection is
    opened when it is needed. All methods may be used by any number of tasks of one
    event loop. `close`, or `async with`, closes the connections.

    tls: connections use TLS with this context; True: with the system's authorities,
        or those that the environment names for the tools.
    connect_timeout: seconds that opening a connection may take; None: no limit.
    keepalive: when the system probes idle connections; None: never.
    max_packet: bytes that a result may have; None: 4 GiB.
    consistent_hashing: choose the server by the job's unique instead of at random.
    reconnect: wait until a server can be reached, instead of raising
        ServerUnavailable. `asyncio.timeout` limits that.
    discover: ask for the other servers of a cluster, and use them as if they were
        given.

    Raises ValueError for what is no address.
    """

    def __init__(
        self,
        *addresses: str,
        tls: ssl.SSLContext | bool | None = None,
        connect_timeout: float | None = 10.0,
        keepalive: Keepalive | None = Keepalive(),  # noqa: B008 - it is frozen
        max_packet: int | None = None,
        consistent_hashing: bool = False,
        reconnect: bool = False,
        discover: bool = False,
    ) -> None:
        opening = Opening(tls, connect_timeout, keepalive, max_packet)
        self.servers = servers_of(addresses, opening, ClientLink)
        self.consistent_hashing = consistent_hashing
        self.reconnect = reconnect
        self.discover = discover
        self._order: ServerOrder[Server[ClientLink]] = ServerOrder(
            random.sample, time.monotonic
        )
        self._finder = Finder(self.servers, opening, ClientLink) if discover else None
        alone = len(self.servers) == 1 and not discover
        self._only = self.servers[0] if alone else None
        self._uniques = Uniques()
        self._closed = False

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Close the connections; whoever still waits gets ServerUnavailable."""
        self._closed = True
        if self._finder is not None:
            await self._finder.close()
        for server in self.servers:
            server.shut = True
        await close_all(self.servers, "the client was closed")

    # Submitting.

    async def call(
        self,
        function: str,
        workload: str | bytes = b"",
        *,
        unique: str | bytes | None = None,
        **options: Unpack[SubmitOptions],
    ) -> bytes:
        """Have a worker run a job, and return its result.

        If the caller is cancelled, for example by `asyncio.timeout`, nobody waits for
        the job any more, and it is cancelled; but not if it has a `unique`, as others
        may wait for it then. See SubmitOptions for the options.

        Raises JobFailed; ServerUnavailable if no server can be reached, or the
        connection is lost; UnsupportedByServer for options that the server does not
        have; OptionError; and ProtocolError for what cannot be sent.
        """
        request = request_of(self._uniques, function, workload, unique, False, options)
        link = self._link(request) or await self._find(request)
        link.submit(request)
        # The same as `request.end`, without the time for a call.
        future = link.loop.create_future()
        request.ending = (future,)
        try:
            await future
        except asyncio.CancelledError:
            request.ending = ()
            link.abandon(request)
            raise
        return request.outcome()

    async def submit(
        self,
        function: str,
        workload: str | bytes = b"",
        *,
        unique: str | bytes | None = None,
        background: bool = True,
        **options: Unpack[SubmitOptions],
    ) -> Job:
        """Submit a job, and return it when the server has accepted it.

        A foreground job ends early if this client is closed before. Raises what `call`
        raises; JobFailed if the server refuses the job.
        """
        request = request_of(
            self._uniques, function, workload, unique, background, options
        )
        link = self._link(request) or await self._find(request)
        if not background:
            request.updates = deque()
        link.submit(request)
        try:
            await request.accepted()
        except asyncio.CancelledError:
            if not request.background:
                link.abandon(request)
            raise
        return _job(request)

    async def submit_many(
        self, jobs: Iterable[Submission], *, background: bool = True
    ) -> list[Job]:
        """Submit jobs, and return them when the servers have accepted them all.

        A job is (function, workload) or (function, workload, options), where the
        options may have a `unique`. Raises NotAccepted if some were not accepted, and
        OptionError or TypeError, before any is submitted, for what cannot be.
        """
        requests = [self._request(each, background) for each in jobs]
        problems: dict[int, Exception] = {}
        for number, request in enumerate(requests):
            try:
                link = self._link(request) or await self._find(request)
                link.submit(request)
            except (GearmanError, ValueError) as error:
                problems[number] = error
            if number % _MANY == _MANY - 1:
                await asyncio.sleep(0)
        # Servers answer in order, so this rarely waits for more than the last one.
        for number in reversed(range(len(requests))):
            try:
                if number not in problems:
                    await requests[number].accepted()
            except GearmanError as error:
                problems[number] = error
        if problems:
            accepted = [
                None if number in problems else _job(request)
                for number, request in enumerate(requests)
            ]
            raise NotAccepted(accepted, dict(sorted(problems.items())))
        return [_job(request) for request in requests]

    def map(
        self,
        function: str,
        workloads: Iterable[str | bytes] | AsyncIterable[str | bytes],
        *,
        concurrency: int = 100,
        **options: Unpack[SubmitOptions],
    ) -> Results:
        """Have workers run jobs; yield the results in the order of the workloads.

        Up to `concurrency` jobs are submitted and not yielded at a time. The workloads
        may come from an async iterable; results are yielded while it is waited for. The
        first error is raised when it is its turn; then the other jobs are cancelled.
        """

        async def start(workload: str | bytes) -> Request:
            request = request_of(
                self._uniques, function, workload, None, False, options
            )
            link = self._link(request) or await self._find(request)
            link.submit(request)
            return request

        return Results(start, self._abandon, workloads, concurrency)

    def _abandon(self, request: Request) -> None:
        server = cast("Server[ClientLink]", request.job.connection)
        cast(ClientLink, server.link).abandon(request)

    def _request(self, submission: Submission, background: bool) -> Request:
        function, workload, options = (*submission, b"", {})[:3]
        given: dict[str, Any] = dict(options) if options else {}
        unique = given.pop("unique", None)
        request = request_of(
            self._uniques, function, workload, unique, background, given
        )
        if not background:
            request.updates = deque()
        return request

    # Jobs of others.

    def job(self, handle: str | bytes) -> Job:
        """Return the job with a handle, which any client may have submitted.

        Raises ProtocolError for a handle with a NUL or over 64 bytes.
        """
        return Job(self.servers, checked_handle(handle))

    async def unique_status(self, unique: str | bytes) -> UniqueStatus:
        """Ask all servers for the status of the job with a unique.

        It has the keys known, running, numerator, denominator, clients. Raises
        ServerUnavailable.
        """
        name = checked_unique(unique)
        links = await open_links(self.servers)
        answers: list[UniqueStatus] = await asyncio.gather(
            *(link.ask_unique(name) for link in links)
        )
        return max(answers, key=lambda answer: answer["known"])

    # Servers.

    def _link(self, request: Request) -> ClientLink | None:
        """Return the connection for a request if there is one that accepts data."""
        server = self._only
        if server is None:
            if self._finder is not None and self._finder.is_due:
                self._finder.look()
            order = self._order.queue(request, self.servers, self.consistent_hashing)
            if not order:
                return None
            server = order[0]
        link = server.link
        return link if link and link.connected and not link.blocked else None

    async def _find(self, request: Request) -> ClientLink:
        """Return a connection for a request, when it accepts data.

        Raises ServerUnavailable if there can be none.
        """
        pause, longest = _PAUSES
        while True:
            if self._closed:
                raise InvalidClientState("the client is closed")
            problems = []
            for server in tuple(
                self._order.queue(request, self.servers, self.consistent_hashing)
            ):
                try:
                    link = await _writable(server)
                except ConnectionError as error:
                    problems.append(error)
                    continue
                if self._finder is not None:
                    self._finder.look()
                return link
            if not self.reconnect or self._closed:
                raise unavailable(problems)
            await asyncio.sleep(pause * random.uniform(0.5, 1.5))
            pause = min(2 * pause, longest)


async def _writable(server: Server[ClientLink]) -> ClientLink:
    """Return the connection to a server when it accepts data.

    Raises ConnectionError if there can be none.
    """
    while True:
        link = await server.open()
        with suppress(ServerUnavailable):
            await link.writable()
            return link


def _job(request: Request) -> Job:
    job = request.job
    server = cast("Server[ClientLink]", job.connection)
    function, unique = (as_text(cast(str, name)) for name in (job.task, job.unique))
    return Job([server], cast(str, job.handle), function, unique, request)
