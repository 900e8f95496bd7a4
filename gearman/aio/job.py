"""A job that was submitted: its status, its result, its updates, and its end."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import dataclass
from typing import Protocol

from ..client_core.inquiry import UNKNOWN_JOB
from ..errors import ProtocolError, UnknownJob, UnsupportedByServer
from ..job import JobStatus
from .client_link import ClientLink
from .requests import Data as Data
from .requests import Progress as Progress
from .requests import Request
from .requests import Update as Update
from .requests import Warned as Warned
from .results import open_links, result_of, watch
from .servers import Server


@dataclass(frozen=True, slots=True)
class Status:
    """How a job stands: whether its server knows it, and runs it, and how far it is.

    A job that has ended is not known any more.
    """

    known: bool
    running: bool
    numerator: int
    denominator: int


class Places(Protocol):
    """What a job needs of its client."""

    servers: list[Server[ClientLink]]


class Job:
    """A job of a server.

    `handle` is the server's name for it. `function` and `unique` are empty if only the
    handle is known; then all servers of the client are asked.
    """

    def __init__(
        self,
        servers: list[Server[ClientLink]],
        handle: str,
        function: str = "",
        unique: str = "",
        request: Request | None = None,
    ) -> None:
        self.handle = handle
        self.function = function
        self.unique = unique
        self._servers = servers
        # Is told the end of the job, and the updates.
        self._request = request

    def __repr__(self) -> str:
        return f"<Job {self.handle} {self.function!r:.80}>"

    @property
    def server(self) -> Server[ClientLink] | None:
        """The server of the job, if it is known which one that is."""
        return self._servers[0] if len(self._servers) == 1 else None

    async def status(self) -> Status:
        """Ask for the status of the job. Raises ServerUnavailable."""
        links = await open_links(self._servers)
        answers: list[JobStatus] = await asyncio.gather(
            *(link.ask_status(self.handle) for link in links)
        )
        status = max(answers, key=lambda answer: answer["known"])
        return Status(
            status["known"],
            status["running"],
            status["numerator"],
            status["denominator"],
        )

    async def result(self, wait: float | None = None) -> bytes:
        """Wait for the end of the job, and return its result.

        It waits `wait` seconds at most (None: without limit; 0: not at all). The
        result of a background job is there only with the option `keep`, and a server
        that has the extensions.

        Raises ResultNotReady (a TimeoutError) if the job has not ended in time;
        JobFailed; UnknownJob (a LookupError) if no server knows it or its result;
        UnsupportedByServer; and ServerUnavailable.
        """
        request = self._request
        if request is None or request.background:
            return await result_of(self._servers, self.handle, wait)
        if wait != 0:
            with suppress(TimeoutError):
                async with asyncio.timeout(wait):
                    await request.end()
        return request.outcome()

    async def cancel(self) -> bool:
        """Let the job fail; return whether a server knew it.

        If a worker runs it, the worker is told, and its result is dropped. Raises
        ServerUnavailable, and ProtocolError if this is refused.
        """
        links = await open_links(self._servers)
        lines: list[str] = await asyncio.gather(
            *(link.ask_line(f"cancel job {self.handle}") for link in links)
        )
        for line in lines:
            if not line.startswith(("OK", *UNKNOWN_JOB)):
                raise ProtocolError(line)
        return any(line.startswith("OK") for line in lines)

    async def updates(self) -> AsyncIterator[Update]:
        """Yield what the worker sends, until the job ends: Data, Warned, Progress.

        A foreground job's updates are kept from the beginning on, and each is yielded
        once. Those of a background job are told from now on, by a server that has the
        extensions. The end of the job is told by `result`. Raises UnsupportedByServer,
        UnknownJob and ServerUnavailable.
        """
        request = self._request
        if request is None or request.background or request.updates is None:
            request = await self._watched()
        while (update := await request.update()) is not None:
            yield update
        if request.problem is not None:
            raise request.problem

    async def _watched(self) -> Request:
        links = await open_links(self._servers)
        able = [link for link in links if await link.extensions()]
        if not able:
            raise UnsupportedByServer("", ["updates of this job"])
        for link in able:
            status: JobStatus = await link.ask_status(self.handle)
            if status["known"]:
                return watch(link, self.handle)
        raise UnknownJob(self.handle)
