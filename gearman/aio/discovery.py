"""Learning of the other servers of a cluster, and using them as if they were given."""

import asyncio
import random
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Generic

from ..client_core.discovery import (
    LONGEST_ANSWER,
    PATIENCE,
    Address,
    Knowledge,
    Servers,
)
from ..client_core.steering import SHOW_CLUSTER
from ..errors import GearmanError
from .admin_link import AdminLink
from .link import logger
from .servers import AnyLink, Opening, Server


class Finder(Generic[AnyLink]):
    """Keeps the `servers` of a client or worker those of the cluster.

    The servers that are connected are asked, in a task of its own, so nobody waits for
    the answers. `link` makes the connections to servers that are learned.
    """

    def __init__(
        self,
        servers: list[Server[AnyLink]],
        opening: Opening,
        link: Callable[[Server[AnyLink]], AnyLink],
    ) -> None:
        self._servers = servers
        self._opening = opening
        self._link = link
        self._knowledge = Knowledge()
        # The connections that were open when it last looked.
        self._open: dict[Address, AnyLink] = {}
        self._task: asyncio.Task[None] | None = None
        self._news = asyncio.Event()

    def look(self) -> None:
        """Begin to ask if it is time to, and a server is connected."""
        now = time.monotonic()
        self._note_lost(now)
        if now < self._knowledge.due or self._task is not None or not self._open:
            return
        self._knowledge.asked(now)
        self._task = asyncio.create_task(self._ask_all())
        self._task.add_done_callback(self._ended)

    @property
    def is_due(self) -> bool:
        """Whether it is time to look."""
        return self._knowledge.due <= time.monotonic()

    async def keep_looking(self, changed: Callable[[], object]) -> None:
        """Look whenever it is time to, and call `changed` after each answer."""
        while True:
            self._news.clear()
            self.look()
            if self._task is not None:
                await asyncio.wait([self._task])
                changed()
            pause = self._knowledge.due - time.monotonic() if self._open else None
            with suppress(TimeoutError):
                async with asyncio.timeout(pause):
                    await self._news.wait()

    def opened(self) -> None:
        """A connection was opened, so that its server can be asked."""
        self._news.set()

    def lost(self, server: Server[AnyLink]) -> None:
        """A connection is lost: others are to be asked."""
        self._knowledge.lost(server.get_address(), time.monotonic())
        self._news.set()

    async def close(self) -> None:
        """End the questions."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])

    def _ended(self, task: "asyncio.Task[None]") -> None:
        self._task = None
        if not task.cancelled():
            task.result()

    def _note_lost(self, now: float) -> None:
        for address, link in self._open.items():
            if not link.connected:
                self._knowledge.lost(address, now)
        self._open = {
            server.get_address(): server.link
            for server in self._servers
            if server.link is not None and server.link.connected
        }

    async def _ask_all(self) -> None:
        connected = random.sample(list(self._open), len(self._open))
        answered = False
        for address in self._knowledge.to_ask(connected):
            if answered and self._knowledge.is_named(address):
                break
            told = await servers_told(address, self._opening)
            answered = answered or told is not None
            self._follow(address, told)

    def _follow(self, asked: Address, told: Servers | None) -> None:
        """Add the servers that are new, and drop those that are not used."""
        servers = [each.get_address() for each in self._servers]
        change = self._knowledge.told(asked, told, servers)
        for address in change.new:
            server = Server(*address, self._opening, self._link)
            logger.debug("learned of the server %s", server.name)
            self._servers.append(server)
        for server in list(self._servers):
            if server.get_address() in change.gone and server.idle:
                logger.debug("the server %s is gone", server.name)
                # A request that waits may still have it in its order.
                server.shut = True
                self._servers.remove(server)
                self._knowledge.forget(server.get_address())


async def servers_told(address: Address, opening: Opening) -> Servers | None:
    """Ask a server, over a connection of its own, for the servers of its cluster.

    Returns None if it tells of none within PATIENCE seconds. Foreign servers may close
    a connection with such a question.
    """
    limited = Opening(opening.tls, opening.timeout, None, LONGEST_ANSWER)
    asker = Server(*address, limited, AdminLink)
    try:
        async with asyncio.timeout(PATIENCE):
            link = await asker.open()
            rows: tuple[dict[str, Any], ...] = await link.ask(SHOW_CLUSTER)
        return Servers.of(rows)
    except (GearmanError, TimeoutError) as error:
        logger.debug("%s did not tell of servers: %s", asker.name, error)
        return None
    finally:
        with suppress(GearmanError):
            await asker.close("it was asked")
