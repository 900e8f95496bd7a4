"""A job that a worker for asyncio runs, and what its function may send."""

import asyncio
from threading import get_ident
from typing import Final, Protocol

from ..commands import Command
from ..errors import ServerUnavailable
from ..payload import as_bytes
from ..protocol import pack_request

_DATA: Final = int(Command.WORK_DATA)
_WARNING: Final = int(Command.WORK_WARNING)
_STATUS: Final = int(Command.WORK_STATUS)


class JobLink(Protocol):
    """The connection to the server of a job."""

    name: str
    connected: bool
    blocked: bool
    loop: asyncio.AbstractEventLoop

    @property
    def extensions(self) -> bool:
        """Whether the server has the extensions, as far as it is known."""

    def send(self, packet: bytes) -> None:
        """Send a packet at the end of this turn of the loop."""

    async def writable(self) -> None:
        """Wait while the server accepts no more data."""

    def error(self) -> ServerUnavailable:
        """Return the error for those whose connection is lost."""

    def ended(self, job: "RunningJob") -> None:
        """A job has ended; another one may be asked for."""


class RunningJob:
    """A job in hand, which a worker's function gets.

    `attempt` is None, unless the server tells it. The methods may also be called in the
    threads in which plain functions run. They raise ServerUnavailable if the connection
    of the job is lost.
    """

    __slots__ = (
        *("_ended", "_task", "_thread", "attempt", "cancelled", "link"),
        *("function", "handle", "unique", "workload"),
    )

    def __init__(
        self,
        link: JobLink,
        handle: str,
        function: str,
        unique: str,
        workload: bytes,
    ) -> None:
        self.handle = handle
        self.function = function
        self.unique = unique
        self.workload = workload
        self.attempt: int | None = None
        # Whether nobody wants the result any more: the job was cancelled, or its time
        # is over, or the client or the connection is gone.
        self.cancelled = False
        self.link = link
        self._ended = False
        self._thread = get_ident()
        self._task: asyncio.Task[None] | None = None

    def __repr__(self) -> str:
        return f"<RunningJob {self.handle} {self.function!r:.80}>"

    def send_data(self, data: str | bytes) -> None:
        """Send a part of the result (WORK_DATA)."""
        self._update(_DATA, as_bytes(data))

    def send_warning(self, data: str | bytes) -> None:
        """Send a warning (WORK_WARNING)."""
        self._update(_WARNING, as_bytes(data))

    def send_status(self, numerator: float, denominator: float) -> None:
        """Send how far the job is: numerator of denominator (WORK_STATUS).

        Raises TypeError unless both are numbers.
        """
        for number in (numerator, denominator):
            if not isinstance(number, int | float):
                raise TypeError(f"a number is needed, not {type(number).__name__}")
        self._update(_STATUS, str(numerator), str(denominator))

    async def drain(self) -> None:
        """Wait while the server accepts no more data, after much was sent."""
        await self.link.writable()

    def _update(self, command: int, *arguments: str | bytes) -> None:
        link = self.link
        if not link.connected:
            raise link.error()
        packet = pack_request(command, (self.handle, *arguments))
        if get_ident() == self._thread:
            self._send(packet)
            return
        link.loop.call_soon_threadsafe(self._send, packet)
        if link.blocked:
            asyncio.run_coroutine_threadsafe(link.writable(), link.loop).result()

    def _send(self, packet: bytes) -> None:
        # A thread may go on when its job has ended.
        if not self._ended:
            self.link.send(packet)

    # Called by the worker.

    def end(self, command: int, *arguments: str | bytes) -> None:
        """Send the end of the job; nothing is sent for it after this."""
        if not self._ended:
            packet = pack_request(command, (self.handle, *arguments))
            self._ended = True
            self.link.send(packet)

    def runs_in(self, task: "asyncio.Task[None] | None") -> None:
        """Set the task that is cancelled when nobody wants the job any more."""
        self._task = task

    def cancel(self) -> None:
        """Nobody wants the job any more."""
        self.cancelled = True
        if self._task is not None:
            self._task.cancel()
