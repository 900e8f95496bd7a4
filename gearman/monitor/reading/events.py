"""What happens on servers, as it happens: `watch events`."""

import asyncio
import time
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from typing import Any, Final, Self
from urllib.parse import quote_from_bytes

from ...server.protocols.events import NAMES
from ..model.readings import json_object
from .failures import reason
from .link import Link, Refused, Target

# The names of events of servers.
EVENTS: Final = tuple(sorted(NAMES))

# Events that may wait for a reader; while there are so many, servers are not read,
# and leave out what they can't send.
WAITING: Final = 1000
# Seconds after which a server that is not there is tried again.
AGAIN: Final = 2.0

Record = dict[str, Any]


class Watch:
    """The events of some servers, in the order in which they come.

    Each is an object with the keys of `watch events` and `server`. Further ones are
    `watching`, `unwatched` with a `reason`, and `left_out` with a `count`.
    """

    def __init__(self) -> None:
        self._queue: asyncio.Queue[Record] = asyncio.Queue(WAITING)

    @classmethod
    @asynccontextmanager
    async def on(
        cls,
        targets: Sequence[Target],
        names: Iterable[str] = (),
        functions: Iterable[bytes] = (),
    ) -> AsyncIterator[Self]:
        """Follow servers until the end of this context.

        `names` of events and patterns of `functions` choose; none means all.
        """
        watch = cls()
        command = _command(names, functions)
        tasks = [
            asyncio.create_task(watch._follow(target, command)) for target in targets
        ]
        try:
            yield watch
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def next(self) -> Record:
        """Return the next event, as long as that takes."""
        return await self._queue.get()

    async def _follow(self, target: Target, command: bytes) -> None:
        told = ""
        while True:
            try:
                async with Link.to(target) as link:
                    await link.send(command)
                    while True:
                        record = _record(await link.next_line())
                        told = ""
                        await self._queue.put({**record, "server": target.address})
            except Refused as refused:
                await self._unwatched(target, str(refused))
                return
            except (OSError, ValueError) as error:
                # A server that is down for long is told of once.
                if told != (told := reason(error)):
                    await self._unwatched(target, told)
            await asyncio.sleep(AGAIN)

    async def _unwatched(self, target: Target, why: str) -> None:
        record = {"time": time.time(), "event": "unwatched", "server": target.address}
        await self._queue.put({**record, "reason": why})


def _command(names: Iterable[str], functions: Iterable[bytes]) -> bytes:
    parts = []
    if events := ",".join(names):
        parts.append(f"events={events}")
    if patterns := ",".join(quote_from_bytes(each, "*?[]") for each in functions):
        parts.append(f"functions={patterns}")
    return " ".join(filter(None, ("watch events", "&".join(parts)))).encode()


def _record(line: bytes) -> Record:
    if line.startswith(b"ERR "):
        raise Refused(
            "this server has no events"
            if b"UNKNOWN_COMMAND" in line
            else line.removeprefix(b"ERR ").decode(errors="backslashreplace")
        )
    return json_object(line)
