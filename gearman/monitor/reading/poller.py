"""Reads one server again and again, for as long as the monitor runs."""

import asyncio
import logging
import time
from collections.abc import Callable
from typing import Final

from ..model.readings import Reading, StatsReader, from_status
from .attention import Attention
from .failures import reason
from .link import Link, Refused, Target

_log = logging.getLogger(__name__)

# Seconds after which a server that is down is tried again: at first, and at most.
SHORTEST: Final = 0.5
LONGEST: Final = 10.0


class Poller:
    """Reads a server; `took` gets each reading, `lost` the reason if there is none.

    It never raises, and waits for no other server.
    """

    def __init__(
        self,
        target: Target,
        attention: Attention,
        took: Callable[[str, Reading], None],
        lost: Callable[[str, str, float], None],
    ) -> None:
        self._target = target
        self._attention = attention
        self._took = took
        self._lost = lost
        self._failures = 0

    async def run(self) -> None:
        """Read the server until this is cancelled."""
        while True:
            try:
                async with Link.to(self._target) as link:
                    await self._follow(link)
            except (OSError, ValueError, Refused) as error:
                self._lost(self._target.address, reason(error), time.time())
            except Exception as error:
                # A mistake of the monitor is to be seen, and not to end the reading.
                _log.exception("%s can't be read", self._target.address)
                self._lost(self._target.address, repr(error), time.time())
            await asyncio.sleep(min(SHORTEST * 2**self._failures, LONGEST))
            # So that the exponent stays small.
            self._failures = min(self._failures + 1, 10)

    async def _follow(self, link: Link) -> None:
        read: _Stats | _Status = _Stats(link)
        while True:
            began = time.monotonic()
            try:
                reading = await read()
            except Refused:
                if isinstance(read, _Status):
                    raise
                read = _Status(link, await version(link))
                continue
            self._failures = 0
            self._took(self._target.address, reading)
            await self._attention.pause(time.monotonic() - began)


async def version(link: Link) -> str:
    """Return the version that a server says, empty if it does not."""
    try:
        answer = await link.line(b"version")
    except Refused:
        return ""
    return answer.removeprefix(b"OK ").decode(errors="backslashreplace")[:80]


class _Stats:
    """Reads this package's server."""

    def __init__(self, link: Link) -> None:
        self._link = link
        self._reader = StatsReader()

    async def __call__(self) -> Reading:
        return self._reader.read(await self._link.lines(b"show stats"), time.time())


class _Status:
    """Reads a server that has gauges only, such as gearmand."""

    def __init__(self, link: Link, version: str) -> None:
        self._link = link
        self._version = version

    async def __call__(self) -> Reading:
        lines = await self._link.lines(b"status")
        return from_status(lines, self._version, time.time())
