"""A session with Postgres: each call ends in limited time, and it locks its table.

The lock also keeps statements of different sessions in order. Postgres releases it
after the last statement of the old session. So a statement that still runs for a lost
connection cannot follow a statement of the next connection.
"""

import hashlib
import logging
from collections.abc import Generator, Iterator, Mapping
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

# psycopg logs errors that it also raises; they should not appear on stderr twice.
logging.getLogger("psycopg").addHandler(logging.NullHandler())

# Seconds that connecting, waiting for a lock, and a statement may take.
CONNECT: Final = 10
LOCK: Final = 5
STATEMENT: Final = 20
# Seconds without an answer after which the server counts as lost. It is longer than a
# statement may take.
SILENCE: Final = 30

# Parameters, unless conninfo or libpq's environment set them. If the peer's TCP
# acknowledges nothing for tcp_user_timeout (milliseconds), the connection ends.
PARAMETERS: Final = {
    "connect_timeout": str(CONNECT),
    "fallback_application_name": "gearmand",
    "keepalives_idle": "10",
    "keepalives_interval": "5",
    "keepalives_count": "3",
    "tcp_user_timeout": f"{SILENCE * 1000}",
}

# With the TCP settings, Postgres detects as early that this side is lost, and releases
# the lock. Without `enable_seqscan = off`, a plan made while the table is small would
# scan the whole table later.
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

# For an inbox: without statistics, which it may not have for a while, the first rows
# would be found by sorting all of them.
IN_ORDER: Final = {"enable_bitmapscan": "off"}

# Skips settings that this version of Postgres does not have. Changes synchronous_commit
# only if it is off: other values are as durable as a commit to the local disk, or more.
SET: Final = """
    SELECT set_config(name, value, false)
    FROM unnest($1::text[], $2::text[]) AS parameters (name, value)
    JOIN pg_settings USING (name)
    WHERE name <> 'synchronous_commit' OR setting = 'off'
"""


class Connection(psycopg.Connection[tuple[Any, ...]]):
    """A connection that fails if the server sends nothing for `patience` seconds."""

    patience: float = SILENCE

    def wait(self, gen: Generator[Any, int, T], *_: Any, **__: Any) -> T:
        """Run a generator that yields the events it waits for (psycopg's interface)."""
        with PollSelector() as selector:
            try:
                selector.register(self.fileno(), next(gen))
                while events := selector.select(self.patience):
                    selector.modify(self.fileno(), gen.send(events[0][1]))
            except StopIteration as end:
                value: T = end.value
                return value
        text = f"the server has sent nothing for {self.patience:g} seconds"
        raise psycopg.OperationalError(text)


class InUse(QueueError):
    """Another session has the lock."""


class Session:
    """A connection; if it is lost, the next use opens a new one.

    It has `more` settings than SETTINGS.
    The constructor raises ConfigurationError if the connection string is invalid.
    """

    def __init__(self, conninfo: str, more: Mapping[str, str] = {}) -> None:
        self.conninfo = _complete(conninfo)
        self._more = more
        self._connection: Connection | None = None
        self._table = ""

    @contextmanager
    def connection(self) -> Iterator[Connection]:
        """A context with a connection that has the lock.

        A failure closes the connection, and is raised as QueueError.
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
        """Lock this table, now and each time that the connection is opened again.

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
            self.conninfo, autocommit=True, cursor_factory=RawCursor
        )
        # Assigned first, so that it is closed if the next statements fail.
        self._connection = connection
        register(connection)
        settings = {**SETTINGS, **self._more}
        connection.execute(SET, [list(settings), list(settings.values())])
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
    """Return the connection string with the PARAMETERS that it does not set."""
    if "\0" in conninfo:
        raise _misread()
    try:
        parameters = conninfo_to_dict(conninfo)
        defaults = {one.keyword.decode(): one.val for one in Conninfo.get_defaults()}
    except (psycopg.Error, ValueError) as error:
        # libpq's message may contain a part of a password.
        raise _misread() from error
    _check_reading(parameters)
    missing = {
        name: value
        for name, value in PARAMETERS.items()
        if name in defaults and defaults[name] is None and name not in parameters
    }
    return make_conninfo("", **missing, **parameters)


def _check_reading(parameters: dict[str, Any]) -> None:
    """Raise ConfigurationError if a URI's password was parsed as a host or a port."""
    hosts = str(parameters.get("host") or "").split(",")
    ports = str(parameters.get("port") or "").split(",")
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
    """Return the message of an error, without libpq's hints, as one printable line."""
    # The failure of a pipeline says less than the error before it.
    while isinstance(error.__context__, psycopg.Error):
        error = error.__context__
    text = error.diag.message_primary if isinstance(error, psycopg.Error) else None
    if not text:
        text = next(iter(str(error).splitlines()), "") or type(error).__name__
    return "".join(c if c.isprintable() else " " for c in text).strip()[:300]
