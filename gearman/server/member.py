"""A server of a cluster: it joins, serves the shards that it owns, or gives them up.

A server that owns no shard refuses connections, so that clients and workers turn to the
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
from .cluster.home import first_spare
from .cluster.keeper import PAUSE, Keeper
from .cluster.lease import State
from .cluster.links import Identity
from .cluster.mover import Mover
from .cluster.shards import Event, Map
from .net.facts.cluster import facts
from .net.listener import Listener
from .net.loop import Selector, run
from .net.neighbours import Neighbours
from .net.sockets import close_all, listen, refuse
from .operator import Operator

Groups = Sequence[list[socket.socket]]

# It gets a store, a selector, listening sockets, and the shards of this server.
Make = Callable[[Queue, Selector, Groups, Map], Listener]

log = logging.getLogger("gearman.server")


class Member:
    """A server of a cluster, with the bound sockets of its protocols.

    `open_queue` opens the store, and `make` makes a listener that has loaded its jobs,
    each time that this server begins to own some. `map` shows the cluster.
    """

    def __init__(
        self,
        cluster: Cluster,
        operator: Operator,
        open_queue: Callable[[], Queue],
        make: Make,
        groups: Groups,
        backlog: int,
        secret: bytes | None = None,
    ) -> None:
        self.map = Map()
        self._cluster = cluster
        self._secret = secret
        self._operator = operator
        self._open_queue = open_queue
        self._make = make
        self._groups = groups
        self._backlog = backlog
        with closing(open_queue()) as queue:
            self._keeper = Keeper(queue.register(), cluster)

    def run(self) -> None:
        """Be a server of the cluster until the operator ends it.

        Raises StartupError if jobs can't be taken up before the operator was told that
        this process works.
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
        """Return True when this server owns shards, or False to end."""
        keeper, news = self._keeper, asyncio.Event()
        ending = False

        def end() -> None:
            nonlocal ending
            ending = True
            news.set()

        self._operator.attach(end, end, self._operator.put_off)
        self._listen_to_keeper(news.set)
        while not ending and not self._gains():
            if keeper.roll is not None:
                self._operator.works()
            if keeper.state == State.LOST:
                keeper.give_up()
            await news.wait()
            news.clear()
        self._operator.detach()
        return not ending

    def _gains(self) -> bool:
        """Whether this server owns shards by now."""
        roll, claim = self._keeper.roll, self._keeper.claim
        if roll is None or claim is None:
            return False
        self.map.me = claim.id
        return bool(self.map.see(roll))

    def _listen_to_keeper(self, listener: Callable[[], None]) -> None:
        """Have a function called in the current event loop when something changes."""
        loop = asyncio.get_running_loop()

        def tell() -> None:
            # The loop may have been closed.
            with suppress(RuntimeError):
                loop.call_soon_threadsafe(listener)

        self._keeper.changed = tell

    def _serve(self) -> bool:
        """Serve shards. Returns True if other servers own them by now.

        A signal may have come too late for the event loop that has ended.
        """
        if self._operator.ending:
            return False
        self._operator.hold()
        selector = Selector()
        try:
            listener = self._take_up(selector)
        except (QueueError, StartupError) as error:
            if isinstance(error, StartupError) and not self._operator.told:
                raise
            log.error("the jobs cannot be taken up: %s", error)
            self._refuse_connections()
            self._leave(PAUSE)
            return True
        run(self._own(listener), selector)
        number = listener.broker.jobs.next_number
        # It must not keep the broker.
        self._keeper.next_number = lambda: number
        if self._operator.ending or not listener.deposed:
            return False
        self._operator.hold()
        self._keeper.changed = _nothing
        self._refuse_connections()
        log.warning("%d jobs are given up", len(listener.broker.jobs.known))
        listener.broker.abandon()
        self._leave()
        return True

    def _leave(self, pause: float = 0.0) -> None:
        self.map.leave()
        self._keeper.give_up(pause)

    def _take_up(self, selector: Selector) -> Listener:
        """Load the jobs, and listen. Raises QueueError or StartupError."""
        claim = self._keeper.claim
        assert claim is not None  # noqa: S101
        copies = [[sock.dup() for sock in group] for group in self._groups]
        queue = self._open_queue()
        try:
            queue.own(claim)
            listener = self._make(queue, selector, copies, self.map)
            for group in copies:
                listen(group, self._backlog)
        except BaseException:
            queue.close()
            for group in copies:
                close_all(group)
            raise
        jobs = listener.broker.jobs
        jobs.spare_number = first_spare(claim.epoch)
        self._keeper.next_number = lambda: jobs.next_number
        self.map.change(Event.LOADED, self.map.mine())
        return listener

    def _refuse_connections(self) -> None:
        for group in self._groups:
            refuse(group)

    async def _own(self, listener: Listener) -> None:
        mover: Mover | None = None

        def look() -> None:
            state = self._keeper.state
            if state == State.LOST or (mover is not None and not mover.look()):
                listener.depose()
            else:
                listener.own(self._keeper.until, state == State.IN_DOUBT)

        def begin() -> None:
            nonlocal mover
            mover = self._mover(listener, neighbours)
            look()

        def drain() -> None:
            if mover is not None:
                listener.close_doors()
                mover.drain()

        listener.broker.own(self._keeper.until)
        self._listen_to_keeper(look)
        asyncio.get_running_loop().call_soon(begin)
        listener.wants_to_drain = drain
        neighbours = self._neighbours(listener)
        self._operator.attach(listener.stop, drain, listener.reload)
        await listener.serve(self._operator.ready)
        self._operator.detach()
        neighbours.leave()

    def _neighbours(self, listener: Listener) -> Neighbours:
        """Give a listener its links to the other servers."""
        claim, cluster = self._keeper.claim, self._cluster
        assert claim is not None  # noqa: S101
        me = Identity(cluster.name, claim.id, claim.epoch, cluster.address)
        neighbours = Neighbours(listener, self.map, me, self._secret, cluster.lease)
        links = neighbours.links

        def show() -> dict[str, object]:
            now = links.time()
            left = self._keeper.until - now
            return facts(me, cluster.lease, left, self.map, links.up, now)

        listener.facts.cluster = show
        return neighbours

    def _mover(self, listener: Listener, neighbours: Neighbours) -> Mover:
        durability = listener.durability
        assert durability is not None  # noqa: S101
        durability.own(self.map.served())
        return Mover(
            *(self.map, self._keeper, listener.broker, durability),
            *(self._cluster.lease, listener.drain, neighbours.ask),
        )


def _nothing() -> None:
    """Do nothing: there is no listener."""
