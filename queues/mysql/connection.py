"""A connection to MariaDB or MySQL: statements are bytes, and every wait ends.

Statements go to the server in the character set `binary`, so that no byte is changed.
Without backslash escapes, only the quote is special in a string, so that a string is
made by one call into C. `_prepare` makes sure that the database reads them so. PyMySQL
has no prepared statements.
"""

import socket
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any, Final, NamedTuple

import pymysql
from pymysql.constants import CLIENT, SERVER_STATUS

from gearman.errors import QueueError

# Seconds that connecting, each answer while doing so, waiting for a lock, and a
# statement may take.
CONNECT: Final = 10
LOCK: Final = 5
STATEMENT: Final = 20
# Seconds without an answer after which the database counts as lost. It is longer than a
# statement may take.
SILENCE: Final = 30
# Seconds without a statement after which the database ends a connection, and releases
# its lock: so long a machine that is lost keeps the table.
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
DEADLOCK: Final = 1213
READ_ONLY: Final = frozenset({1290, 1792, 1836})
DENIED: Final = frozenset({1044, 1142, 1143, 1227, 1370})
# There is no such table, or the user has no right to know.
HIDDEN: Final = frozenset({1146, 1142})

# MySQL skips the last comment: it can't limit the time of all statements. The rows of
# the last statement have the number of the session, and the bytes of a statement.
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
    SELECT CONNECTION_ID(), @@max_allowed_packet
"""

Row = tuple[Any, ...]


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

    `id` is its number in the database, `limit` how many bytes a statement may have.
    """

    def __init__(self, arguments: Mapping[str, Any]) -> None:
        self._peer: Any = None
        try:
            self._peer = pymysql.connect(
                charset="utf8mb4",
                autocommit=None,
                client_flag=CLIENT.MULTI_STATEMENTS | CLIENT.FOUND_ROWS,
                read_timeout=CONNECT,
                write_timeout=SILENCE,
                program_name="gearmand",
                defer_connect=True,
                **arguments,
            )
            self._open()
            self._prepare()
            self._peer._read_timeout = SILENCE
        except QueueError:
            self.close()
            raise
        # What answers need not be a database, and PyMySQL then raises all kinds.
        except Exception as error:
            self.close()
            raise _failure(error) from error

    def _open(self) -> None:
        peer = self._peer
        link = _connected(peer.unix_socket, peer.host, peer.port)
        # As PyMySQL does: a password may be sent as it is.
        peer._secure = bool(peer.unix_socket)
        try:
            peer.connect(link)
        except BaseException:
            link.close()
            raise

    def _prepare(self) -> None:
        preparation = PREPARATION.format(
            lock=LOCK, silence=SILENCE, idle=IDLE, statement=STATEMENT
        )
        [(self.id, self.limit)] = self.rows(preparation.encode())
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
        self._wait(STATEMENT, SILENCE)

    def _wait(self, statement: int, silence: int) -> None:
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


def _connected(path: str | None, host: str, port: int) -> socket.socket:
    """Return a connected socket. The kernel ends it if the peer's machine is lost."""
    if path:
        link = socket.socket(socket.AF_UNIX)
        try:
            link.settimeout(CONNECT)
            link.connect(path)
        except BaseException:
            link.close()
            raise
        return link
    link = socket.create_connection((host, port), CONNECT)
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
