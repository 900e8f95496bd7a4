"""A connection to MariaDB or MySQL: statements are bytes, and every wait ends.

Statements go to the server in the character set `binary`, so that no byte is changed.
Without backslash escapes, only the quote is special in a string, so that a string is
made by one call into C. `_prepare` makes sure that the database reads them so. PyMySQL
has no prepared statements.
"""

import socket
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from math import ceil
from typing import Any, Final, NamedTuple

import pymysql
from pymysql.constants import CLIENT, SERVER_STATUS

from gearman.errors import QueueError

# See `Limits`.
CONNECT: Final = 10
LOCK: Final = 5
STATEMENT: Final = 20
SILENCE: Final = 30
IDLE: Final = 60

KEEPALIVE: Final = {
    "TCP_KEEPIDLE": 10,
    "TCP_KEEPINTVL": 5,
    "TCP_KEEPCNT": 3,
    "TCP_USER_TIMEOUT": SILENCE * 1000,
}

# Bytes that a statement must be allowed to have: the default of MySQL 5.1.
SMALLEST_PACKET: Final = 1024 * 1024

# Codes of errors that are treated apart.
BAD_NULL: Final = 1048
DUPLICATE: Final = 1062
UNKNOWN_THREAD: Final = 1094
UNKNOWN_VARIABLE: Final = 1193
SEVERAL_ROWS: Final = 1242
IS_READ_ONLY: Final = 1290
# Of transactions that collide: each can be tried again. Galera has the first one too.
COLLISIONS: Final = frozenset({1213, 1020})
READ_ONLY: Final = frozenset({1290, 1792, 1836})
DENIED: Final = frozenset({1044, 1142, 1143, 1227, 1370})
# With a binary log, not everybody may create functions that change tables.
LOGGED: Final = frozenset({1418, 1419})
# There is no such table, or the user has no right to know.
HIDDEN: Final = frozenset({1146, 1142})

# MySQL skips the last comment: it can't limit the time of all statements. A node of
# Galera that is not one of the majority refuses DO. The rows of the last statement have
# the number of the session, the bytes of a statement, and whether nobody may write.
PREPARATION: Final = """
    SET NAMES binary;
    SET SESSION TRANSACTION READ WRITE;
    SET SESSION
        sql_mode = 'STRICT_ALL_TABLES,NO_BACKSLASH_ESCAPES,NO_ENGINE_SUBSTITUTION',
        autocommit = 1, completion_type = 0, sql_safe_updates = 0,
        sql_select_limit = 18446744073709551615, innodb_lock_wait_timeout = {lock},
        lock_wait_timeout = {lock}, net_read_timeout = {silence},
        net_write_timeout = {silence}, wait_timeout = {idle}
        /*M!, max_statement_time = {statement} */;
    DO 0;
    SHOW STATUS LIKE 'wsrep_provider_name';
    SELECT CONNECTION_ID(), @@max_allowed_packet, @@read_only
"""

# A node of Galera may roll back a transaction between two statements of a message. Then
# MariaDB carries out the rest of the message, each statement for itself. In a compound
# statement it does not. MySQL has none outside of functions.
COMPOUND: Final = b"BEGIN NOT ATOMIC %b; END"

Row = tuple[Any, ...]


class Limits(NamedTuple):
    """Seconds that a connection may take for something.

    They are those of connecting, and of each answer while doing so; of waiting for a
    lock; of a statement; without an answer, after which the database counts as lost,
    and which is longer than that of a statement; without a statement, after which the
    database ends the connection, with its locks: so long a machine that is lost keeps
    what it has.
    """

    connect: float
    lock: float
    statement: float
    silence: float
    idle: float

    def settings(self) -> dict[str, int]:
        """Return the values of settings of the database: whole seconds, at least 1."""
        return {name: max(ceil(value), 1) for name, value in self._asdict().items()}


def usual() -> Limits:
    return Limits(CONNECT, LOCK, STATEMENT, SILENCE, IDLE)


class Result(NamedTuple):
    """What a statement has returned: how many rows it has found, and the rows."""

    found: int
    rows: tuple[Row, ...]


class DatabaseError(QueueError):
    """The database, or the way to it, has failed. `code` is that of the error, or 0."""

    def __init__(self, text: str, code: int = 0) -> None:
        super().__init__(text)
        self.code = code


class Connection:
    """An open connection. A failure is raised as DatabaseError, and leaves it open.

    `id` is its number in the database, `limit` how many bytes a statement may have, and
    `read_only` whether the database takes no changes but those of its administrators.
    `galera` says whether it is a node of Galera.
    """

    def __init__(
        self, arguments: Mapping[str, Any], limits: Limits | None = None
    ) -> None:
        self._peer: Any = None
        self._limits = limits or usual()
        try:
            self._peer = pymysql.connect(
                charset="utf8mb4",
                autocommit=None,
                client_flag=CLIENT.MULTI_STATEMENTS | CLIENT.FOUND_ROWS,
                read_timeout=self._limits.connect,
                write_timeout=self._limits.silence,
                program_name="gearmand",
                defer_connect=True,
                **arguments,
            )
            self._open()
            self._prepare()
            self._peer._read_timeout = self._limits.silence
        except QueueError:
            self.close()
            raise
        # What answers need not be a database, and PyMySQL then raises all kinds.
        except Exception as error:
            self.close()
            raise _failure(error) from error

    def _open(self) -> None:
        peer = self._peer
        link = _connected(peer.unix_socket, peer.host, peer.port, self._limits.connect)
        # As PyMySQL does: a password may be sent as it is.
        peer._secure = bool(peer.unix_socket)
        try:
            peer.connect(link)
        except BaseException:
            link.close()
            raise

    def _prepare(self) -> None:
        preparation = PREPARATION.format(**self._limits.settings()).encode()
        *_, provider, session = self.run(preparation)
        [(self.id, self.limit, self.read_only)] = session.rows
        self.galera = any(name for _, name in provider.rows)
        if not self._peer.server_status & (
            SERVER_STATUS.SERVER_STATUS_NO_BACKSLASH_ESCAPES
        ):
            raise DatabaseError(
                "MySQL: the database does not take the setting NO_BACKSLASH_ESCAPES"
            )
        if self.limit < SMALLEST_PACKET:
            raise DatabaseError(
                f"MySQL: max_allowed_packet of the database is {self.limit}: set it to"
                f" at least {SMALLEST_PACKET}"
            )

    def run(self, statements: bytes) -> list[Result]:
        """Run statements with semicolons between them, in one round trip.

        Those after one that fails are not run.
        """
        try:
            cursor = self._peer.cursor()
            cursor.execute(statements)
            results = [Result(cursor.rowcount, cursor.fetchall())]
            while cursor.nextset():
                results.append(Result(cursor.rowcount, cursor.fetchall()))
            return results
        except (pymysql.MySQLError, OSError) as error:
            raise _failure(error) from error

    def run_together(self, statements: bytes) -> list[Result]:
        """Run statements that are parts of a transaction, in one round trip.

        If the transaction fails, the rest is not run. The results are incomplete if the
        database is a node of Galera.
        """
        return self.run(COMPOUND % statements if self.galera else statements)

    def rows(self, statement: bytes) -> tuple[Row, ...]:
        """Run statements, and return the rows of the last one."""
        return self.run(statement)[-1].rows

    @contextmanager
    def patience(self, seconds: int) -> Iterator[None]:
        """A context in which statements may take so many seconds.

        Close the connection if it ends by an exception.
        """
        self._wait(seconds, seconds)
        yield
        self._wait(self._limits.statement, self._limits.silence)

    def _wait(self, statement: float, silence: float) -> None:
        self.run(
            b"SET SESSION net_read_timeout = %d, net_write_timeout = %d"
            b" /*M!, max_statement_time = %d */" % (silence, silence, statement)
        )
        self._peer._read_timeout = silence

    def close(self) -> None:
        peer, self._peer = self._peer, None
        if peer is not None:
            with suppress(pymysql.MySQLError, OSError):
                peer.close()


def _connected(path: str | None, host: str, port: int, seconds: float) -> socket.socket:
    """Return a connected socket. The kernel ends it if the peer's machine is lost."""
    if path:
        link = socket.socket(socket.AF_UNIX)
        try:
            link.settimeout(seconds)
            link.connect(path)
        except BaseException:
            link.close()
            raise
        return link
    link = socket.create_connection((host, port), seconds)
    link.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    link.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in KEEPALIVE.items():
        if hasattr(socket, name):
            link.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)
    return link


def _failure(error: Exception) -> DatabaseError:
    code = error.args[0] if isinstance(error, pymysql.MySQLError) and error.args else 0
    return DatabaseError(
        f"MySQL: {sentence(error)}", code if isinstance(code, int) else 0
    )


def sentence(error: Exception) -> str:
    """Return the message of an error as one printable line."""
    text = ""
    if isinstance(error, pymysql.MySQLError):
        text = next((one for one in error.args if isinstance(one, str) and one), "")
        text = text or "the connection is lost"
    text = next(iter((text or str(error)).splitlines()), "") or type(error).__name__
    return "".join(c if c.isprintable() else " " for c in text).strip()[:300]
