"""A session with the database: a connection that is opened again if it is lost.

A `Guard` makes sure that nobody else changes the table: `alone` for a server that does
not share it, and `fence` for a server of a cluster.

The database ends a session that is silent for some time, since that of a lost machine
would keep its locks for hours. So a thread sends something now and then.
"""

import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import Any, Final, Protocol, TypeVar

from gearman.errors import QueueError

from .connection import (
    COLLISIONS,
    IS_READ_ONLY,
    Connection,
    DatabaseError,
    Limits,
    usual,
)
from .pulse import Pulse

T = TypeVar("T")

# Parts of the time without a statement in which something is sent.
BEATS: Final = 4

# Seconds before each of the next attempts, if transactions collide.
PAUSES: Final = (0.001, 0.01, 0.05, 0.1)


class InUse(QueueError):
    """Another server has the table."""


class Guard(Protocol):
    """Makes a session the only one that changes a table."""

    def begin(self, connection: Connection) -> None:
        """Make a connection the only one that can commit. Raises QueueError."""

    def checks(self) -> Sequence[bytes]:
        """Return the first statements of each transaction.

        They fail if another connection may commit. Give the error to `refused`.
        """

    def refused(self, error: DatabaseError) -> QueueError | None:
        """Return the error to raise if a check has failed, None if another has."""

    def missed(self, connection: Connection) -> None:
        """Do what follows a commit whose first check has found no row."""


class Session:
    """A connection; if it is lost, the next use opens a new one.

    `places` are arguments for several hosts. A failure lets the next use connect to the
    next one. Of several, those that are read-only are passed over.
    """

    def __init__(
        self, places: Sequence[Mapping[str, Any]], limits: Limits | None = None
    ) -> None:
        self._places = places
        self._place = 0
        self._limits = limits
        self._connection: Connection | None = None
        self._lock = threading.RLock()
        self._pulse = Pulse((limits or usual()).idle / BEATS, self._beat)
        self._closed = False
        self._guard: Guard | None = None

    @contextmanager
    def connection(self) -> Iterator[Connection]:
        """A context with a connection that has the table.

        A failure closes the connection.
        """
        with self._lock:
            if self._closed:
                raise QueueError("the queue is closed")
            try:
                if self._connection is None:
                    self._connection = self._connect()
                    if self._guard:
                        self._guard.begin(self._connection)
                yield self._connection
            except BaseException:
                self._drop()
                self._place += 1
                raise

    def guard(self, guard: Guard) -> None:
        """Have this session guarded, now and after each loss of the connection."""
        with self.connection() as connection:
            self._guard = guard
            guard.begin(connection)
        self._pulse.start()

    def close(self) -> None:
        self._pulse.stop()
        with self._lock:
            self._closed = True
            self._drop()

    def _connect(self) -> Connection:
        """Connect to one of the hosts, in the time that connecting to one may take."""
        end = time.monotonic() + (self._limits or usual()).connect
        last = self._place + len(self._places) - 1
        while True:
            try:
                return self._open(self._places[self._place % len(self._places)])
            except DatabaseError:
                if self._place >= last or time.monotonic() > end:
                    raise
                self._place += 1

    def _open(self, place: Mapping[str, Any]) -> Connection:
        connection = Connection(place, self._limits)
        if connection.read_only and len(self._places) > 1:
            connection.close()
            raise DatabaseError("MySQL: the database is read-only", IS_READ_ONLY)
        return connection

    def _drop(self) -> None:
        connection, self._connection = self._connection, None
        if connection:
            connection.close()

    def _beat(self) -> None:
        with suppress(QueueError), self.connection() as connection:
            connection.run(b"DO 0")


def settled(connection: Connection, transaction: Callable[[], T]) -> T:
    """Carry out a transaction, again if it collides with another one."""
    for pause in PAUSES:
        try:
            return transaction()
        except DatabaseError as error:
            if error.code not in COLLISIONS:
                raise
            # The database may have rolled back the last statement only.
            connection.run(b"ROLLBACK")
            time.sleep(pause)
    return transaction()
