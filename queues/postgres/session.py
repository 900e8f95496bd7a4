"""A session with Postgres: no call waits without end, and one server has a table.

The lock on a table also fences: Postgres releases it when the old session's last
statement has ended, so what a lost connection left running can't come after what
the next one does.
"""

import hashlib
import logging
from collections.abc import Generator, Iterator
from contextlib import contextmanager, suppress
from selectors import PollSelector
from typing import Any, Final, TypeVar

import psycopg
from psycopg import RawCursor, errors
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from psycopg.pq import Conninfo

from gearman.errors import ConfigurationError, QueueError

from .arrays import register

T = TypeVar("T")

# It warns of errors that it raises too; they are not to be on stderr twice.
logging.getLogger("psycopg").addHandler(logging.NullHandler())

# Seconds.
CONNECT: Final = 10
LOCK: Final = 5
STATEMENT: Final = 20
# Longer than a statement may take, so that silence means that nobody is there.
SILENCE: Final = 30

# Unless conninfo or libpq's environment say otherwise. What is not acknowledged by
# the peer's TCP in this time ends the connection.
PARAMETERS: Final = {
    "connect_timeout": str(CONNECT),
    "fallback_application_name": "gearmand",
    "keepalives_idle": "10",
    "keepalives_interval": "5",
    "keepalives_count": "3",
    "tcp_user_timeout": f"{SILENCE * 1000}",
}

# The server's end finds out as early that this one is gone, and releases the lock.
# A sequential scan could be chosen while the table is small, and kept when it isn't.
SETTINGS: Final = {
    "synchronous_commit": "on",
    "statement_timeout": f"{STATEMENT}s",
    "lock_timeout": f"{LOCK}s",
    "transaction_timeout": "0",
    "idle_in_transaction_session_timeout": "0",
    "idle_session_timeout": "0",
    "tcp_keepalives_idle": "10",
    "tcp_keepalives_interval": "5",
    "tcp_keepalives_count": "3",
    "tcp_user_timeout": f"{SILENCE}s",
    "enable_seqscan": "off",
    "jit": "off",
}

# Passes over what this version of Postgres does not know, and over durability that
# an administrator chose and that is no worse than a commit on the local disk.
SET: Final = """
    SELECT set_config(name, value, false)
    FROM unnest($1::text[], $2::text[]) AS wanted (name, value)
    JOIN pg_settings USING (name)
    WHERE name <> 'synchronous_commit' OR setting = 'off'
"""


class Connection(psycopg.Connection[tuple[Any, ...]]):
    """A connection that gives up on a server that says nothing for too long."""

    patience: float = SILENCE

    def wait(self, gen: Generator[Any, int, T], *_: Any, **__: Any) -> T:
        """Do steps that yield the events they wait for, and take those that came."""
        with PollSelector() as selector:
            try:
                selector.register(self.fileno(), next(gen))
                while events := selector.select(self.patience):
                    selector.modify(self.fileno(), gen.send(events[0][1]))
            except StopIteration as end:
                value: T = end.value
                return value
        text = f"the server has said nothing for {self.patience:g} seconds"
        raise psycopg.OperationalError(text)


class InUse(QueueError):
    """Another session has the lock."""


class Session:
    """A connection, which the next use opens again after it was lost.

    Raises ConfigurationError if the connection string can't be used.
    """

    def __init__(self, conninfo: str) -> None:
        self._conninfo = _complete(conninfo)
        self._connection: Connection | None = None
        self._table = ""

    @contextmanager
    def connection(self) -> Iterator[Connection]:
        """Yield a connection that has the lock.

        Any failure closes it and is raised as QueueError, with a sentence.
        """
        try:
            if self._connection is None:
                self._connection = self._connect()
                self._lock()
            yield self._connection
        except (psycopg.Error, OSError) as error:
            self.close()
            raise QueueError(f"Postgres: {sentence(error)}") from error
        except BaseException:
            self.close()
            raise

    def lock(self, table: str) -> None:
        """Lock this table, now and whenever the connection is opened again.

        Raises InUse if another session has locked it.
        """
        with self.connection():
            self._table = table
            self._lock()

    def close(self) -> None:
        connection, self._connection = self._connection, None
        if connection:
            with suppress(psycopg.Error, OSError):
                connection.close()

    def _connect(self) -> Connection:
        connection = Connection.connect(
            self._conninfo, autocommit=True, cursor_factory=RawCursor
        )
        # Kept at once, so that it is closed if what follows fails.
        self._connection = connection
        register(connection)
        connection.execute(SET, [list(SETTINGS), list(SETTINGS.values())])
        return connection

    def _lock(self) -> None:
        if not (self._table and self._connection):
            return
        digest = hashlib.sha256(self._table.encode()).digest()
        key = int.from_bytes(digest[:8], signed=True)
        try:
            self._connection.execute("SELECT pg_advisory_lock($1::bigint)", [key])
        except errors.LockNotAvailable as error:
            text = f"the table {self._table} is in use by another server"
            raise InUse(text) from error


def _complete(conninfo: str) -> str:
    """Return the string with what makes a lost connection known in time."""
    if "\0" in conninfo:
        raise _misread()
    try:
        wanted = conninfo_to_dict(conninfo)
        defaults = {one.keyword.decode(): one.val for one in Conninfo.get_defaults()}
    except (psycopg.Error, ValueError) as error:
        # libpq's words for it may have a piece of a password in them.
        raise _misread() from error
    _check_reading(wanted)
    missing = {
        name: value
        for name, value in PARAMETERS.items()
        if name in defaults and defaults[name] is None and name not in wanted
    }
    return make_conninfo("", **missing, **wanted)


def _check_reading(wanted: dict[str, Any]) -> None:
    """Raise ConfigurationError if a URI's password was taken for a host or a port."""
    hosts = str(wanted.get("host") or "").split(",")
    ports = str(wanted.get("port") or "").split(",")
    if any("@" in host[1:] for host in hosts) or not all(
        port.isdigit() for port in ports if port
    ):
        raise _misread()


def _misread() -> ConfigurationError:
    return ConfigurationError(
        "--postgres-conninfo (or --libpq-conninfo) can't be read: write host=..."
        " dbname=... user=...,"
        " with quotes around a value with spaces, or postgresql://user@host/dbname,"
        " with %XX for special characters in a password"
    )


def sentence(error: Exception) -> str:
    """Return what an error says, without libpq's hints, in one printable line."""
    # The end of a pipeline fails too, which says less.
    while isinstance(error.__context__, psycopg.Error):
        error = error.__context__
    text = error.diag.message_primary if isinstance(error, psycopg.Error) else None
    if not text:
        text = next(iter(str(error).splitlines()), "") or type(error).__name__
    return "".join(c if c.isprintable() else " " for c in text).strip()[:300]
