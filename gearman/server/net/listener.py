"""The asyncio shell of the server: listening sockets, turns, timers.

Work is done in turns. Everything that arrives in one round of the event loop is
handed to the broker first; then, once, what is due by time is run and each peer that
was touched is written to.
"""

import asyncio
import logging
import os
import socket
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from math import inf
from typing import Any

from ... import __version__
from ...queue import Queue
from ..broker import FULL, Broker, Limits, Peer
from ..networks import LOOPBACK
from ..protocols.admin import Admin, Identity, Usage
from ..protocols.gear import Gear
from ..protocols.interface import Server, Service
from ..settings.certificates import Certificates, open_certificates
from ..settings.config import Config
from ..settings.memory import Budget, budget
from ..settings.values import MAX_HANDLE_PREFIX
from ..storage.durability import Durability, replay
from ..watch.limited_log import Complaints
from ..watch.logs import NOTICE, level_name
from ..watch.notices import Sentence
from .acceptor import Acceptor
from .connection import Connection
from .engine import Engine
from .factory import Entrance
from .lingering import Lingering
from .loop import Selector
from .relief import PAUSE, relieve
from .sockets import describe, remove_file
from .upkeep import Upkeep
from .usage import usages

# Scheduled jobs follow the wall clock, which may be set: look at it this often.
MAX_SLEEP = 30.0

# The most jobs that the collector of cycles may have to look through, where it looks
# at jobs.
LIGHT = 50_000

# Bytes that wait for a client that does not read before its workers are not read
# from, so that not all of its results are kept here.
HOLD_FROM = 64 * 1024 * 1024

# Seconds for which the requests of one connection are carried out in a turn, and those
# of all together, if that is less; what is at work then is ended. The engine has times
# of its own.
ALLOWANCE = 0.001
ALLOWANCE_OF_ALL = 0.005

log = logging.getLogger("gearman.server")


class Listener:
    """A running server. `config` says how, `sockets` are bound and ready.

    So are the `others`, which belong to the protocols beside gear, in their order.
    The files that TLS needs are read here if there are no `certificates` yet.
    Background jobs are kept in the `queue`, if there is one; the listener closes it.
    With the `selector` of the event loop that it is going to run in, plain sockets
    are left to the compiled engine if that was built; asyncio does the same without.
    """

    def __init__(
        self,
        config: Config,
        sockets: list[socket.socket],
        selector: Selector | None = None,
        others: Sequence[list[socket.socket]] = (),
        *,
        queue: Queue | None = None,
        certificates: Certificates | None = None,
    ) -> None:
        self.config = config
        # What asyncio reads goes here first, whichever connection it is from: a new
        # buffer for each read would come from the system each time.
        self.input = memoryview(bytearray(Gear.read_size))
        certificates = certificates or open_certificates(config.tls)
        self._entrance = Entrance(self, certificates)
        self._selector = selector
        self._sockets = sockets
        self._budget = budget(config)
        self._broker = _broker(config, self._budget, persistent=queue is not None)
        self._queue = queue
        self._durability: Durability | None = None
        identity = Identity(
            __version__,
            os.getpid(),
            level_name(config.level),
            self._shutdown if config.allow_shutdown else None,
        )
        self._server = Server(
            self._broker,
            __version__,
            self._budget.packet,
            config.handshake_timeout,
            config.admin_from or LOOPBACK,
            hostname=socket.gethostname(),
            late=self._late,
        )
        admin = Admin(self._broker, identity, config.admin_from, self._limits)
        self._gear = Gear(self._server, admin)
        self._others = [
            (spoken.name, spoken.service(self._server, **spoken.options), group)
            for spoken, group in zip(config.protocols, others, strict=True)
        ]
        self._complaints = Complaints()
        self._connections: set[Connection] = set()
        self._lingering = Lingering()
        self._hold_from = min(HOLD_FROM, config.max_outbox // 2 or HOLD_FROM)
        self._timer: asyncio.TimerHandle | None = None
        self._engine: Any = None
        self._in_turn = False
        # How many had something to carry out in this turn; for how many seconds each of
        # them may, and until when the one that is at work.
        self._at_work = 0
        self._allowance = ALLOWANCE
        self._allowed = inf
        # Until when nobody is closed because of the memory that he holds.
        self._patience = -inf
        self._draining = False
        self._acceptors: list[Acceptor] = []
        self._stopped = asyncio.Event()

    def replay(self) -> None:
        """Take up the jobs that are in the queue. Raises StartupError if that fails.

        To be called before `serve`, from which on the queue may change.
        """
        if self._queue is not None:
            replay(self._queue, self._broker)

    async def serve(self, ready: Callable[[], None]) -> None:
        """Serve until `stop` is called, or until a drained server has no job left.

        Calls `ready` as soon as connections are accepted.
        """
        self._loop = asyncio.get_running_loop()
        self.time = self._loop.time
        self._loop.set_exception_handler(self._log_exception)
        self._upkeep = Upkeep(self._loop, self._interrupt, self._light)
        self._start_engine()
        if self._queue is not None:
            self._durability = Durability(
                self._queue, self._broker, self.begin_turn, self._flush
            )
            self._durability.start(self._loop, self._engine)
        for sock in self._sockets:
            self._listen(sock, "gear", self._gear)
        for name, service, sockets in self._others:
            for sock in sockets:
                self._listen(sock, name, service)
        ready()
        try:
            await self._stopped.wait()
        finally:
            await self._close()

    def _listen(self, sock: socket.socket, name: str, service: Service) -> None:
        sock.setblocking(False)
        acceptor = Acceptor(self._loop, sock, partial(self._entrance.accept, service))
        self._acceptors.append(acceptor)
        acceptor.start()
        where = describe(sock.getsockname())
        what = "" if service is self._gear else f" for {name}"
        log.log(NOTICE, "listening on %s%s", where, what)

    def _start_engine(self) -> None:
        # Packets are traced where asyncio's transports hand them over.
        if Engine is None or self._selector is None or log.isEnabledFor(logging.DEBUG):
            return
        self._engine = Engine(
            self._broker,
            self._gear.dispatch,
            self,
            self._loop,
            self._budget.packet,
            self.config.max_outbox or sys.maxsize,
        )
        self._selector.attach(self._engine)
        self._entrance.engine = self._engine

    def _interrupt(self) -> None:
        """Have the event loop look at what was just scheduled."""
        if self._engine is not None:
            self._engine.interrupt()

    def reload(self) -> None:
        """Read again what may have changed on the disk."""
        self._entrance.reload()

    def stop(self) -> None:
        """Stop at once."""
        self._stopped.set()
        self._interrupt()

    def drain(self) -> None:
        """Take no more connections, and stop when no job is left.

        Jobs that are in the queue and do not run are left to the next run.
        """
        self._stop_accepting()
        self._draining = self._server.draining = True
        if self._engine is not None:
            self._engine.draining = True
        shelved = self._broker.shelve() if self._durability else 0
        log.log(
            NOTICE,
            "draining: %d jobs are left, %d others stay in the queue",
            len(self._broker.jobs),
            shelved,
        )
        self._stop_if_drained()

    def _stop_if_drained(self) -> None:
        if self._draining and not self._broker.jobs:
            self.stop()

    def _shutdown(self, graceful: bool) -> None:
        # Not before the turn's end, when the answer is sent.
        self._loop.call_soon(self._end, graceful)
        self._interrupt()

    def _end(self, graceful: bool) -> None:
        if graceful:
            self.drain()
        else:
            self.stop()

    def _stop_accepting(self) -> None:
        for sock in self._sockets:
            remove_file(sock)
        for acceptor in self._acceptors:
            acceptor.close()
        self._acceptors.clear()

    async def _close(self) -> None:
        self._stop_accepting()
        if self._durability is not None:
            await self._durability.close(self._connections)
            self._flush()
        self._upkeep.cancel()
        if self._timer is not None:
            self._timer.cancel()
        for connection in list(self._connections):
            connection.close()
        # Lets the transports close their sockets.
        await asyncio.sleep(0)

    # -- connections

    def add(self, connection: Connection) -> None:
        """Make a connection known."""
        self._connections.add(connection)
        self.hold(connection.own_memory)
        self._broker.connect(connection.peer)
        if self._durability is not None:
            self._durability.connected(connection)

    def part(self, connection: Connection) -> None:
        """Let the broker forget who is behind a connection, if it has not yet."""
        self.begin_turn()
        if connection.peer in self._broker.peers:
            self._broker.disconnect(connection.peer)

    def linger(self, connection: Connection) -> None:
        """See to it that a connection that lingers does not do so for ever."""
        self._lingering.enter(connection)
        self.watch(connection)

    def remove(self, connection: Connection) -> None:
        if connection in self._connections:
            self._connections.remove(connection)
            self.hold(-connection.own_memory)
        self._lingering.leave(connection)
        self._entrance.crowd.leave(connection.host)
        self._upkeep.ended(connection)

    def watch(self, connection: Connection) -> None:
        """Look at a connection now and then until it no longer might stall."""
        self._upkeep.watch(connection)

    def _light(self) -> bool:
        """Whether the collector of cycles has little to look through."""
        return self._engine is not None or len(self._broker.jobs) <= LIGHT

    # -- limits

    def count(self, limit: str) -> None:
        """Count that a limit was hit, or something else in that table came about."""
        self._broker.hits[limit] += 1

    def complain(
        self, kind: str, text: object, bug: BaseException | None = None
    ) -> None:
        """Log a line about a peer, unless there are too many of its kind.

        A bug comes with its traceback.
        """
        if line := self._complaints.line(kind, text, self.time()):
            level = log.critical if bug else log.warning
            level("%s", line, exc_info=bug)

    def _log_exception(
        self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]
    ) -> None:
        """Log what went wrong in the event loop: it is a bug."""
        if line := self._complaints.line("bug", context["message"], self.time()):
            log.critical("%s", line, exc_info=context.get("exception"))

    def _limits(self) -> Iterator[Usage]:
        crowd = self._entrance.crowd
        return usages(self._broker, self.config, self._budget, crowd, self._connections)

    def hold(self, change: int) -> None:
        """Count so many bytes more, or less, that connections have in their buffers."""
        self._broker.buffers += change

    def _relieve(self) -> None:
        if self.time() < self._patience:
            return
        if not relieve(self._broker, self._connections, self._close_largest):
            self._patience = self.time() + PAUSE
            text = f"memory is short: --max-memory is {self._budget.total}, and no"
            self.complain("max-memory", f"{text} connection holds much")

    def _close_largest(self, connection: Connection, size: int) -> None:
        total = self._broker.limits.memory
        text = f"{size} bytes are held for it, and --max-memory allows {total} to all"
        connection.abort("max-memory", text)
        self.part(connection)

    # -- turns

    def begin_turn(self) -> None:
        """Tell the broker the time, and see to it that the turn ends.

        Each connection calls this before it carries something out.
        """
        now = self.time()
        self._at_work += 1
        self._allowed = now + self._allowance
        if not self._in_turn:
            self._in_turn = True
            self._broker.tick(now, time.time())
            self._loop.call_soon(self._end_turn)

    def touch(self, peer: Peer) -> None:
        """Have a peer's connection flushed once more, in another turn."""
        self.begin_turn()
        self._broker.touched.append(peer)

    def _late(self) -> bool:
        """Whether a connection should leave the rest to a later turn."""
        return self.time() > self._allowed

    def _end_turn(self) -> None:
        self._in_turn = False
        self._broker.tick(self.time(), time.time())
        self._allowance = min(ALLOWANCE, ALLOWANCE_OF_ALL / max(self._at_work, 1))
        self._at_work = 0
        self._flush()
        self.settle()

    def settle(self) -> None:
        """Do what follows from a turn, once all that was to be sent was sent."""
        if self._broker.congested:
            self._hold_producers()
        if self._broker.notices or self._broker.reached:
            self._report()
        if self._broker.over_budget():
            self._relieve()
        self._arm()
        self._stop_if_drained()
        # At last: the writer, once woken, waits for the interpreter's lock.
        if self._durability is not None:
            self._durability.settle()

    def _flush(self) -> None:
        if self._engine is not None:
            self._engine.flush()
            return
        touched = self._broker.touched
        peers = touched.copy()
        touched.clear()
        for peer in peers:
            peer.connection.flush()

    def _hold_producers(self) -> None:
        congested = self._broker.congested
        for producer, peer in congested:
            connection = peer.connection
            if peer.blocked and connection.waiting() > self._hold_from:
                connection.hold(producer.connection)
        congested.clear()

    def _report(self) -> None:
        notices, reached = self._broker.notices, self._broker.reached
        for notice in notices:
            self.complain(notice[0], Sentence(notice))
        for limit in reached:
            self.complain(limit, f"refused: {FULL[limit].decode()}")
        notices.clear()
        reached.clear()

    def _arm(self) -> None:
        """Have a turn begin when something is due."""
        delay = self._broker.delay()
        due = self._broker.now + min(max(delay, 0.0), MAX_SLEEP)
        if self._timer is not None:
            if self._broker.now < self._timer.when() <= due:
                return
            self._timer.cancel()
            self._timer = None
        if delay < inf:
            self._timer = self._loop.call_at(due, self.begin_turn)
            self._interrupt()


def _broker(config: Config, budget: Budget, *, persistent: bool) -> Broker:
    prefix = config.handle_prefix or f"H:{socket.gethostname()}"
    return Broker(
        handle_prefix=os.fsencode(prefix)[:MAX_HANDLE_PREFIX],
        # Handles of an earlier run must not name jobs of this one: they would have
        # to be given out faster than one a microsecond.
        first_handle=time.time_ns() // 1000,
        retries=config.retries,
        wakeup=config.wakeup,
        priority_first=config.priority_scope == "global",
        round_robin=config.round_robin,
        timeout_fails=config.timeout_action == "fail",
        exceptions=config.exceptions,
        persistent=persistent,
        limits=Limits(
            jobs=config.max_jobs,
            jobs_per_function=config.max_jobs_per_function,
            job_memory=budget.jobs,
            memory=budget.total,
            functions=config.max_functions,
            functions_per_worker=config.max_functions_per_worker,
        ),
    )
