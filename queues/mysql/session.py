"""A session with the database that keeps other servers away from its table.

Two things do so. A lock of the session (GET_LOCK) tells a second server at its start
that the table is in use; it ends with the connection. And a row of the table, that of
the owner, has a token, which each connection makes anew. Every batch checks the token
in its own transaction, and thereby locks the row. So a batch that a lost connection has
left under way is committed before the next connection sets its token, or not at all.
And a server whose lock was lost with its connection can't write any more once another
server has the table.

The database ends a session that is silent for IDLE seconds, since that of a lost
machine would keep the lock for hours. So a thread sends something now and then.
"""

import hashlib
import os
import socket
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any, Final

from gearman.errors import QueueError

from .connection import BAD_NULL, IDLE, LOCK, UNKNOWN_THREAD, Connection, DatabaseError
from .pulse import Pulse
from .statements import Owner, quoted

BEAT: Final = IDLE / 4


class InUse(QueueError):
    """Another server has the table."""


class Session:
    """A connection; if it is lost, the next use opens a new one."""

    def __init__(self, arguments: Mapping[str, Any]) -> None:
        self._arguments = arguments
        self._connection: Connection | None = None
        self._guard = threading.RLock()
        self._pulse = Pulse(BEAT, self._beat)
        self._closed = False
        self._name, self._table = b"", ""
        self._owner: Owner | None = None
        # Names this server, and counts its connections.
        self._server = b"%b %d %b" % (
            socket.gethostname().encode(errors="replace")[:100],
            os.getpid(),
            os.urandom(8).hex().encode(),
        )
        self._opened = 0
        # The last connection's number in the database.
        self._last = 0
        self._lost = ""

    @contextmanager
    def connection(self) -> Iterator[Connection]:
        """A context with a connection that has the table.

        A failure closes the connection.
        """
        with self._guard:
            if self._lost:
                raise InUse(self._lost)
            if self._closed:
                raise QueueError("the queue is closed")
            try:
                if self._connection is None:
                    self._connection = self._connect()
                    self._take()
                if self._owner:
                    self._pulse.start()
                yield self._connection
            except BaseException:
                self._drop()
                raise

    def lock(self, table: str) -> None:
        """Lock the table of this name, now and after each loss of the connection.

        Raises InUse if another server has locked it.
        """
        with self.connection() as connection:
            [(database, folds)] = connection.rows(
                b"SELECT DATABASE(), @@lower_case_table_names"
            )
            place = b"%b\0%b" % (database, table.encode())
            if folds:
                place = place.decode(errors="replace").lower().encode()
            digest = hashlib.sha256(place).hexdigest()
            self._name = b"gearman:" + digest[:40].encode()
            self._table = table
            self._lock(connection)

    def own(self, owner: Owner) -> None:
        """Become the owner of the table, which is there now, whoever had it before."""
        with self.connection() as connection:
            self._owner = owner
            connection.run(self._owner.seize(self._token()))

    def fence(self) -> bytes:
        """Return the statement that fails if the table is another server's.

        Give an error of this code to `displaced`.
        """
        assert self._owner
        return self._owner.check(self._token())

    def displaced(self) -> InUse:
        """Return the error to raise since the table is another server's, for ever."""
        self._lost = (
            f"the table {self._table} was taken over by another server while the"
            " connection was lost; restart this one when that one has ended"
        )
        return InUse(self._lost)

    def restore(self, connection: Connection) -> None:
        """Put the owner's row back, which somebody has deleted."""
        assert self._owner
        connection.run(self._owner.insert(self._token()))

    def close(self) -> None:
        self._pulse.stop()
        with self._guard:
            self._closed = True
            self._drop()

    def _token(self) -> bytes:
        return b"%b %d" % (self._server, self._opened)

    def _connect(self) -> Connection:
        connection = Connection(self._arguments)
        self._opened += 1
        return connection

    def _drop(self) -> None:
        connection, self._connection = self._connection, None
        if connection:
            connection.close()

    def _take(self) -> None:
        """Have the table again after the connection was lost."""
        connection = self._connection
        if not (self._name and connection):
            return
        self._end_last(connection)
        self._lock(connection)
        if not self._owner:
            return
        try:
            [result] = connection.run(self._owner.renew(self._server, self._token()))
        except DatabaseError as error:
            if error.code == BAD_NULL:
                raise self.displaced() from error
            raise
        if not result.found:
            self.restore(connection)

    def _end_last(self, connection: Connection) -> None:
        """End the lost connection, which may still have the lock."""
        [(holder,)] = connection.rows(b"SELECT IS_USED_LOCK(%b)" % quoted(self._name))
        if holder is not None and holder == self._last:
            try:
                connection.run(b"KILL %d" % holder)
            except DatabaseError as error:
                if error.code != UNKNOWN_THREAD:
                    raise

    def _lock(self, connection: Connection) -> None:
        [(locked,)] = connection.rows(
            b"SELECT GET_LOCK(%b, %d)" % (quoted(self._name), LOCK)
        )
        if locked != 1:
            raise InUse(f"the table {self._table} is in use by another server")
        self._last = connection.id

    def _beat(self) -> None:
        with suppress(QueueError), self.connection() as connection:
            connection.run(b"DO 0")
