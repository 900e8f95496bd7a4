"""What keeps a second server away from a table that is not shared.

Two things do so. A lock of the session (GET_LOCK) tells a second server at its start
that the table is in use; it ends with the connection. And a row of the table, that of
the owner, has a token, which each connection makes anew. Every batch checks the token
in its own transaction, and thereby locks the row. So a batch that a lost connection has
left under way is committed before the next connection sets its token, or not at all.
And a server whose lock was lost with its connection can't write any more once another
server has the table.
"""

import hashlib
import os
import socket

from gearman.errors import QueueError

from .connection import BAD_NULL, LOCK, UNKNOWN_THREAD, Connection, DatabaseError
from .session import InUse
from .statements import Owner, identifier, quoted


class Alone:
    """Guards the table of this name."""

    def __init__(self, table: str) -> None:
        self._table = table
        self._owner = Owner(identifier(table))
        # Whether the table is there, and has the owner's row.
        self._owns = False
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

    def begin(self, connection: Connection) -> None:
        """Lock the table. Raises InUse if another server has locked it."""
        if self._lost:
            raise InUse(self._lost)
        self._opened += 1
        lock = lock_of(connection, self._table)
        self._end_last(connection, lock)
        self._lock(connection, lock)
        if self._owns:
            self._renew(connection)

    def own(self, connection: Connection) -> None:
        """Become the owner of the table, which is there now, whoever had it before."""
        connection.run(self._owner.seize(self._token()))
        self._owns = True

    def checks(self) -> list[bytes]:
        return [self._owner.check(self._token())]

    def refused(self, error: DatabaseError) -> QueueError | None:
        return self._displaced() if error.code == BAD_NULL else None

    def missed(self, connection: Connection) -> None:
        """Put the owner's row back, which somebody has deleted."""
        connection.run(self._owner.insert(self._token()))

    def _token(self) -> bytes:
        return b"%b %d" % (self._server, self._opened)

    def _displaced(self) -> InUse:
        """Return the error to raise since the table is another server's, for ever."""
        self._lost = (
            f"the table {self._table} was taken over by another server while the"
            " connection was lost; restart this one when that one has ended"
        )
        return InUse(self._lost)

    def _renew(self, connection: Connection) -> None:
        try:
            [result] = connection.run(self._owner.renew(self._server, self._token()))
        except DatabaseError as error:
            if refused := self.refused(error):
                raise refused from error
            raise
        if not result.found:
            self.missed(connection)

    def _end_last(self, connection: Connection, lock: bytes) -> None:
        """End the lost connection, which may still have the lock."""
        holder = holder_of(connection, lock)
        if holder is not None and holder == self._last:
            try:
                connection.run(b"KILL %d" % holder)
            except DatabaseError as error:
                if error.code != UNKNOWN_THREAD:
                    raise

    def _lock(self, connection: Connection, lock: bytes) -> None:
        [(locked,)] = connection.rows(b"SELECT GET_LOCK(%b, %d)" % (quoted(lock), LOCK))
        if locked != 1:
            raise InUse(f"the table {self._table} is in use by another server")
        self._last = connection.id


def lock_of(connection: Connection, table: str) -> bytes:
    """Return the name of the lock of a table."""
    [(database, folds)] = connection.rows(
        b"SELECT DATABASE(), @@lower_case_table_names"
    )
    place = b"%b\0%b" % (database, table.encode())
    if folds:
        place = place.decode(errors="replace").lower().encode()
    return b"gearman:" + hashlib.sha256(place).hexdigest()[:40].encode()


def holder_of(connection: Connection, lock: bytes) -> int | None:
    """Return the number of the connection that has a lock."""
    holder: int | None
    [(holder,)] = connection.rows(b"SELECT IS_USED_LOCK(%b)" % quoted(lock))
    return holder
