"""A running server on asyncio: listening sockets, turns, timers.

Work is done in turns. In a turn, all input of one round of the event loop is given to
the broker. At its end, timers of the broker that are due are run, and each peer that
was touched is written to once.
"""

import asyncio
import logging
import os
import socket
import sys
from collections.abc import Callable, Iterator, Sequence
from collections.abc import Set as AbstractSet
from functools import partial
from math import inf
from typing import Any

from ... import __version__
from ...queue import Queue
from ..cluster.shards import Map
from ..connections.access import ConnectionCounter
from ..connections.back_pressure import hold_workers, worker_limit
from ..connections.context import Context
from ..connections.members import Connections
from ..connections.peers import describe
from ..connections.relief import PAUSE, excess, largest
from ..connections.report import Report
from ..connections.turns import Turns
from ..connections.watchdog import Watchdog
from ..networks import LOOPBACK
from ..protocols.admin import Admin, Identity, Usage
from ..protocols.events import Events
from ..protocols.gear import Gear
from ..protocols.interface import Server, Service
from ..settings.certificates import Certificates, open_certificates
from ..settings.config import Config
from ..settings.levels import NOTICE, level_name
from ..settings.memory import budget
from ..settings.settings_file import Settings, SettingsFile
from ..storage.durability import Durability, Producer
from ..storage.restoring import replay
from ..watch.job_log import JobLog
from .acceptor import Acceptor
from .connection_factory import ConnectionFactory
from .engine import Engine
from .facts.limits import usages
from .facts.process import Facts
from .links import Links, Site
from .live_settings import load, set_limits
from .loop import Selector
from .new_broker import new_broker
from .outward import Outward
from .sockets import InheritedSocket, remove_file
from .telling import tell

# Seconds between two looks at the wall clock, which may be changed while scheduled jobs
# wait for their time.
MAX_SLEEP = 30.0

# In the pure build, the garbage collector scans all jobs. It is not run if there are
# more than so many.
LIGHT = 50_000

log = logging.getLogger("gearman.server")


class Listener:
    """A server, from its start to its end.

    `sockets` are the bound and listening sockets of gear; `others` are those of the
    other protocols, in the order of `config.protocols`. If there are no `certificates`,
    the files that TLS needs are read here. Limits in the file `settings` replace those
    in `config`. Background jobs are stored in `queue`, if there is one; the listener
    closes it. `selector` is that of the event loop in which the server will run. With
    it, connections without TLS are served by the compiled engine, if that was built;
    otherwise by asyncio. If other servers of its cluster, of which it has the `map`,
    take its jobs over, it ends and is `deposed`.
    """

    durability: Durability | None = None
    # Called instead of `drain` when an admin wants that.
    wants_to_drain: Callable[[], None] | None = None
    # Those to the other servers of its cluster: to be set before it serves.
    links: Links | None = None

    def __init__(
        self,
        config: Config,
        sockets: list[socket.socket],
        selector: Selector | None = None,
        others: Sequence[list[socket.socket]] = (),
        *,
        queue: Queue | None = None,
        certificates: Certificates | None = None,
        settings: SettingsFile | None = None,
        map: Map | None = None,
    ) -> None:
        self._command_line = config
        self._settings = settings
        self.config = config = settings.current.over(config) if settings else config
        self._certificates = certificates or open_certificates(config.tls)
        self._selector = selector
        self._sockets = sockets
        self._budget = budget(config)
        self.broker = new_broker(config, queue is not None, map)
        self._counter = ConnectionCounter()
        self._apply_settings()
        self._queue = queue
        self.facts = Facts()
        identity = Identity(
            __version__,
            os.getpid(),
            level_name(config.level),
            self._shutdown if config.allow_shutdown else None,
            None if map is None else partial(self._shutdown, True),
        )
        self._server = Server(
            self.broker,
            __version__,
            self._budget.packet,
            config.request_timeout,
            config.admin_from or LOOPBACK,
            hostname=socket.gethostname(),
            facts=self.facts,
            metrics_functions=config.metrics_functions,
        )
        admin = Admin(
            self.broker, identity, config.admin_from, self._limits, self.facts
        )
        self._gear = Gear(self._server, admin)
        self._others = [
            (spoken.name, spoken.service(self._server, **spoken.options), group)
            for spoken, group in zip(config.protocols, others, strict=True)
        ]
        self._worker_limit = worker_limit(config.max_outbox)
        self._timer: asyncio.TimerHandle | None = None
        self._engine: Any = None
        # Until then, on the loop's clock, no connection is closed for its memory.
        self._no_closing_until = -inf
        self._draining = self.deposed = False
        # Each with whether it accepts connections also while the server drains.
        self._acceptors: list[tuple[Acceptor, bool]] = []
        self._stopped = asyncio.Event()

    @property
    def events(self) -> Events:
        """What tells listeners what happens to jobs."""
        return self._server.events

    def replay(self, shards: AbstractSet[int] | None = None) -> None:
        """Load the jobs that are in the queue, in a cluster those of these shards.

        Call this before `serve`, which begins to change the queue. Raises StartupError.
        """
        if self._queue is not None:
            replay(self._queue, self.broker, shards)

    async def serve(self, ready: Callable[[], None]) -> None:
        """Serve until `stop` is called, or until a drained server has no job left.

        Calls `ready` as soon as connections are accepted.
        """
        self._loop = asyncio.get_running_loop()
        self._time = self._loop.time
        self._report = Report(self.broker.hits.counts, self._time)
        self._loop.set_exception_handler(self._report.exception)
        self._turns = Turns(self.broker, self._loop, self._end_turn)
        self._server.late = self._turns.late
        self._server.half_late = self._turns.half_late
        self._watchdog = Watchdog(self._loop, self._interrupt, self._light)
        self._start_engine()
        connected = self._start_storing()
        self.connections = Connections(
            self.broker, self._turns, self._watchdog, self._counter, connected
        )
        self.facts.connections = self.connections
        factory = ConnectionFactory(
            self._context(), self._counter, self._certificates, self._engine
        )
        self._accept = factory.accept
        for sock in self._sockets:
            self._listen(sock, "gear", self._gear)
        for name, service, sockets in self._others:
            for sock in sockets:
                self._listen(sock, name, service)
        if self.links is not None:
            begin_turn = self._turns.begin
            self.links.start(Site(self._gear, factory, begin_turn, self._interrupt))
        self._outward = Outward(
            *(self._server, self.facts, self._turns, self._report, self._call_soon)
        )
        self._apply_outward()
        if log.isEnabledFor(logging.INFO):
            self._server.events.add(JobLog(self._report.tell))
        # Something may be due already.
        self._turns.begin()
        ready()
        try:
            await self._stopped.wait()
        finally:
            await self._close()

    def _context(self) -> Context:
        return Context(
            self.config,
            self._time,
            memoryview(bytearray(Gear.read_size)),
            self._turns,
            self.connections,
            self._report,
        )

    def _listen(self, sock: socket.socket, name: str, service: Service) -> None:
        sock.setblocking(False)
        acceptor = Acceptor(self._loop, sock, partial(self._accept, service))
        self._acceptors.append((acceptor, service.stays))
        acceptor.start()
        where = describe(sock.getsockname())
        what = "" if service is self._gear else f" for {name}"
        origin = ", by systemd" if isinstance(sock, InheritedSocket) else ""
        log.log(NOTICE, "listening on %s%s%s", where, what, origin)

    def _start_engine(self) -> None:
        # At the level DEBUG, packets are logged, which the engine does not do.
        if Engine is None or self._selector is None or log.isEnabledFor(logging.DEBUG):
            return
        self._engine = Engine(
            self.broker,
            self._gear.dispatch,
            self.settle,
            self._loop,
            self._budget.packet,
            self.config.max_outbox or sys.maxsize,
        )
        self._selector.attach(self._engine)

    def _start_storing(self) -> Callable[[Producer], None]:
        """Start storing jobs; return the function to call with each new connection."""
        if self._queue is None:
            return _ignore_connection
        inbox = self._queue.inbox() if self.config.inbox else None
        self.durability = Durability(
            *(self._queue, self.broker, self._turns.begin, self._flush),
            *(inbox, self.depose),
        )
        self.facts.durability = self.durability
        self.durability.start(self._loop, self._engine)
        return self.durability.connected

    def _interrupt(self) -> None:
        """Make the event loop notice a new timer or callback."""
        if self._engine is not None:
            self._engine.interrupt()

    def reload(self) -> None:
        """Read the certificates and the settings file again."""
        if self._certificates is not None:
            self._certificates.reload()
        if self._settings is not None and self._settings.reload():
            self._apply_settings()
            self._apply_outward()
            # The broker may have something to tell peers.
            self._turns.begin()

    def _apply_settings(self) -> None:
        current = Settings() if self._settings is None else self._settings.current
        load(current, self.broker)
        config = current.over(self._command_line)
        set_limits(config, budget(config), self.broker, self._counter)

    def _apply_outward(self) -> None:
        if self._settings is not None:
            self._outward.apply(self._settings.current)

    def _call_soon(self, function: Callable[[], None]) -> None:
        """Call a function, but not while the broker carries out a verb."""
        self._loop.call_soon(function)
        self._interrupt()

    def stop(self) -> None:
        """Stop immediately."""
        self._stopped.set()
        self._interrupt()

    def depose(self) -> None:
        """Stop immediately, since another server of the cluster owns the jobs."""
        if not self._stopped.is_set():
            self.deposed = not self._draining
            self.stop()

    def own(self, until: float, doubtful: bool) -> None:
        """Hand out stored jobs up to that time of the loop's clock.

        While it is `doubtful` whether this server owns them, no jobs are accepted.
        """
        self._turns.begin()
        self.broker.own(until)
        if self.durability is not None:
            self.durability.doubt(doubtful)

    def drain(self) -> None:
        """Accept no more connections, and stop when no job is left.

        Stored jobs that are neither running nor waited for stay in the queue for the
        next start.
        """
        self.close_doors()
        shelved = self.durability.drain() if self.durability else 0
        self._outward.drain()
        log.log(
            NOTICE,
            "draining: %d jobs are left, %d others stay in the queue",
            len(self.broker.jobs.known),
            shelved,
        )
        self._stop_if_drained()

    def close_doors(self) -> None:
        """Accept no more connections, and stop when the broker has no job."""
        self._stop_accepting(but=True)
        self._draining = self._server.draining = True
        self.broker.schedules.stopped = True
        if self._engine is not None:
            self._engine.draining = True

    def _stop_if_drained(self) -> None:
        if self._draining and not self.broker.jobs.known:
            self.stop()

    def _shutdown(self, graceful: bool) -> None:
        # Not before the turn's end, when the answer is sent.
        drain = self.wants_to_drain or self.drain
        self._loop.call_soon(drain if graceful else self.stop)
        self._interrupt()

    def _stop_accepting(self, but: bool = False) -> None:
        """Close the listening sockets, but for those that stay while it drains."""
        for sock in self._sockets:
            remove_file(sock)
        staying: list[tuple[Acceptor, bool]] = []
        for acceptor, stays in self._acceptors:
            if but and stays:
                staying.append((acceptor, stays))
            else:
                acceptor.close()
        self._acceptors = staying

    async def _close(self) -> None:
        self._stop_accepting()
        self._outward.stop()
        if self.links is not None:
            self.links.close()
        if self.durability is not None:
            await self.durability.close(each.pressure for each in self.connections)
            self._flush()
        self._watchdog.cancel()
        if self._timer is not None:
            self._timer.cancel()
        for connection in list(self.connections):
            connection.close()
        self._outward.close()
        # Lets the transports close their sockets.
        await asyncio.sleep(0)

    def _light(self) -> bool:
        """Whether a garbage collection is cheap."""
        return self._engine is not None or len(self.broker.jobs.known) <= LIGHT

    def _limits(self) -> Iterator[Usage]:
        return usages(
            self.broker,
            self.config,
            self._budget.packet,
            self._counter,
            self.connections,
        )

    # -- turns

    def _end_turn(self) -> None:
        if self.broker.links is not None:
            self.broker.links.end_turn()
        self._flush()
        self.settle()

    def settle(self) -> None:
        """Finish a turn, after its output was written."""
        if self.broker.jobs.congested:
            hold_workers(self.broker.jobs.congested, self._worker_limit)
        broker = self.broker
        if broker.losses.notices or broker.hits.reached or broker.schedules.notices:
            tell(broker, self._report)
        if self.broker.over_budget():
            self._close_largest()
        self._set_timer()
        self._stop_if_drained()
        # Last, since it wakes the writer's thread, which competes for the GIL.
        if self.durability is not None:
            self.durability.settle()

    def _flush(self) -> None:
        if self._engine is not None:
            self._engine.flush()
            return
        touched = self.broker.touched
        peers = touched.copy()
        touched.clear()
        for peer in peers:
            peer.connection.flush()

    def _close_largest(self) -> None:
        """Close the connections that hold most memory, if the budget is exceeded."""
        now = self._time()
        much = excess(self.broker)
        if not much or now < self._no_closing_until:
            return
        total = self.broker.limits.memory
        found = list(largest(self.connections, much, self.broker))
        for connection, size in found:
            text = f"it holds {size} bytes, and --max-memory allows {total}"
            connection.abort("max-memory", f"{text} for all")
            self.connections.part(connection)
        if not found:
            self._no_closing_until = now + PAUSE
            text = f"memory is short: --max-memory is {total}, and no connection"
            self._report.complain("max-memory", f"{text} holds much")

    def _set_timer(self) -> None:
        """Set the timer that begins the next turn when something is due."""
        delay = self.broker.delay()
        due = self.broker.now + min(max(delay, 0.0), MAX_SLEEP)
        if self._timer is not None:
            if self.broker.now < self._timer.when() <= due:
                return
            self._timer.cancel()
            self._timer = None
        if delay < inf:
            self._timer = self._loop.call_at(due, self._turns.begin)
            self._interrupt()


def _ignore_connection(producer: Producer) -> None:
    """Do nothing: without a store, new connections are not held."""
