"""A server of a cluster: it stands by, owns the jobs, or has to give them up.

A server that stands by refuses connections, so that clients and workers turn to the
next server of their lists. Its ports are bound from the start, since that may need
rights which it has only then.
"""

import asyncio
import gc
import logging
import socket
from collections.abc import Callable, Sequence
from contextlib import closing, suppress

from ..errors import QueueError, StartupError
from ..queue import Cluster, Queue
from .cluster.keeper import PAUSE, Keeper
from .cluster.lease import State
from .net.listener import Listener
from .net.loop import Selector, run
from .net.sockets import close_all, listen, refuse
from .operator import Operator

Groups = Sequence[list[socket.socket]]

# It gets a store, a selector, listening sockets, and the number of the first handle.
Make = Callable[[Queue, Selector, Groups, int], Listener]

log = logging.getLogger("gearman.server")


class Member:
    """A server of a cluster, with the bound sockets of its protocols.

    `open_queue` opens the store, and `make` makes a listener that has loaded its jobs,
    each time that this server owns them.
    """

    def __init__(
        self,
        cluster: Cluster,
        operator: Operator,
        open_queue: Callable[[], Queue],
        make: Make,
        groups: Groups,
        backlog: int,
    ) -> None:
        self._operator = operator
        self._open_queue = open_queue
        self._make = make
        self._groups = groups
        self._backlog = backlog
        with closing(open_queue()) as queue:
            self._keeper = Keeper(queue.register(), cluster)

    def run(self) -> None:
        """Be a server of the cluster until the operator ends it.

        Raises StartupError if the jobs can't be taken up before the operator was told
        that this process works.
        """
        self._keeper.start()
        try:
            while run(self._stand_by(), Selector()):
                if not self._serve():
                    break
                # The collector was told to ignore what was there.
                gc.unfreeze()
                gc.collect()
        finally:
            self._keeper.close()

    async def _stand_by(self) -> bool:
        """Return True when this server owns the jobs, or False to end."""
        keeper, news = self._keeper, asyncio.Event()
        ending = False

        def end() -> None:
            nonlocal ending
            ending = True
            news.set()

        self._operator.attach(end, end, _nothing)
        self._listen_to_keeper(news.set)
        while keeper.state == State.STANDING_BY and not ending:
            if keeper.stands_by:
                self._operator.works()
            await news.wait()
            news.clear()
        return not ending

    def _listen_to_keeper(self, listener: Callable[[], None]) -> None:
        """Have a function called in the current event loop when something changes."""
        loop = asyncio.get_running_loop()

        def tell() -> None:
            # The loop may have been closed.
            with suppress(RuntimeError):
                loop.call_soon_threadsafe(listener)

        self._keeper.changed = tell

    def _serve(self) -> bool:
        """Own the jobs. Returns True if another server owns them by now."""
        self._operator.hold()
        selector = Selector()
        try:
            listener = self._take_up(selector)
        except (QueueError, StartupError) as error:
            if isinstance(error, StartupError) and not self._operator.told:
                raise
            log.error("the jobs cannot be taken up: %s", error)
            self._refuse_connections()
            self._keeper.give_up(PAUSE)
            return True
        run(self._own(listener), selector)
        if not listener.deposed:
            return False
        self._operator.hold()
        self._keeper.changed = _nothing
        self._refuse_connections()
        log.warning("%d jobs are given up", len(listener.broker.jobs.known))
        listener.broker.abandon()
        self._keeper.give_up()
        return True

    def _take_up(self, selector: Selector) -> Listener:
        """Load the jobs, and listen. Raises QueueError or StartupError."""
        claim = self._keeper.claim
        assert claim is not None  # noqa: S101
        copies = [[sock.dup() for sock in group] for group in self._groups]
        queue = self._open_queue()
        try:
            queue.own(claim)
            listener = self._make(queue, selector, copies, claim.first_number)
            for group in copies:
                listen(group, self._backlog)
        except BaseException:
            queue.close()
            for group in copies:
                close_all(group)
            raise
        return listener

    def _refuse_connections(self) -> None:
        for group in self._groups:
            refuse(group)

    async def _own(self, listener: Listener) -> None:
        def look() -> None:
            state = self._keeper.state
            if state == State.LOST:
                listener.depose()
            else:
                listener.own(self._keeper.until, state == State.IN_DOUBT)

        listener.broker.own(self._keeper.until)
        self._listen_to_keeper(look)
        asyncio.get_running_loop().call_soon(look)
        await self._operator.serve(listener)


def _nothing() -> None:
    """Do nothing: there is no listener."""
