"""A session with Postgres: each call ends in limited time, and it locks its table.

The lock also keeps statements of different sessions in order. Postgres releases it
after the last statement of the old session. So a statement that still runs for a lost
connection cannot follow a statement of the next connection. In a cluster, `fence` does
both instead.
"""

import hashlib
import logging
import time
from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import contextmanager, suppress
from functools import partial
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

# In a cluster, the database may be one of several servers of Postgres.
WRITABLE: Final = {"target_session_attrs": "read-write"}

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


# Errors of engines without advisory locks.
WITHOUT_LOCKS: Final = (
    *(errors.FeatureNotSupported, errors.InsufficientPrivilege),
    errors.UndefinedFunction,
)

# Errors of engines and isolation levels that let transactions collide; and the seconds
# before each of the next attempts.
COLLISIONS: Final = (errors.SerializationFailure, errors.DeadlockDetected)
PAUSES: Final = (0.001, 0.01, 0.05, 0.1)


def settled(transaction: Callable[[], T]) -> T:
    """Carry out a transaction, again if it collides with another one."""
    for pause in PAUSES:
        try:
            return transaction()
        except COLLISIONS:
            time.sleep(pause)
    return transaction()


def limits(
    lock: float, statement: float, silence: float
) -> tuple[dict[str, str], float]:
    """Return settings with other limits in seconds than the usual ones; and a silence.

    The usual ones count if they are lower.
    """
    lock, statement = min(lock, LOCK), min(statement, STATEMENT)
    settings = {
        "lock_timeout": f"{max(int(lock * 1000), 1)}ms",
        "statement_timeout": f"{max(int(statement * 1000), 1)}ms",
    }
    return settings, min(silence, SILENCE)


class Session:
    """A connection; if it is lost, the next use opens a new one.

    It has `more` parameters of libpq than PARAMETERS, and `settings` than SETTINGS. The
    server counts as lost after `silence` seconds instead of SILENCE.
    The constructor raises ConfigurationError if the connection string is invalid.
    """

    def __init__(
        self,
        conninfo: str,
        settings: Mapping[str, str] = {},
        more: Mapping[str, str] = {},
        silence: float | None = None,
    ) -> None:
        self.conninfo = _complete(conninfo, {**PARAMETERS, **more})
        self._settings = settings
        self._silence = silence
        self._connection: Connection | None = None
        self._guard: Callable[[Connection], None] = _nothing

    @contextmanager
    def connection(self) -> Iterator[Connection]:
        """A context with a connection that is the only one of its kind.

        A failure closes the connection, and is raised as QueueError.
        """
        try:
            if self._connection is None:
                self._connection = self._connect()
                self._guard(self._connection)
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
        self.guard(partial(_lock, table))

    def guard(self, guard: Callable[[Connection], None]) -> None:
        """Make this session the only one by a function that gets the connection.

        It is called now, and each time that the connection is opened again.
        """
        with self.connection() as connection:
            self._guard = guard
            guard(connection)

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
        settings = {**SETTINGS, **self._settings}
        connection.execute(SET, [list(settings), list(settings.values())])
        if self._silence is not None:
            connection.patience = self._silence
        return connection


# Values of parameters that nobody has set.
_UNSET: Final = (None, b"any")


def _nothing(connection: Connection) -> None:
    """Let others use the same tables."""


def _lock(table: str, connection: Connection) -> None:
    try:
        connection.execute("SELECT pg_advisory_lock($1::bigint)", [_key(table)])
    except errors.LockNotAvailable as error:
        raise InUse(f"the table {table} is in use by another server") from error


def _key(table: str) -> int:
    return int.from_bytes(hashlib.sha256(table.encode()).digest()[:8], signed=True)


def check_free(connection: Connection, table: str) -> None:
    """Raise InUse if another session has locked a table."""
    key = [_key(table)]
    # Not every engine has these functions, or lets this role use them; without them no
    # server has a lock. It is a shared lock, since other servers may look as well.
    with suppress(*WITHOUT_LOCKS):
        found = connection.execute(
            "SELECT pg_try_advisory_lock_shared($1::bigint)", key
        )
        if found.fetchall() != [(True,)]:
            raise InUse(f"the table {table} is in use by a server without --cluster")
        connection.execute("SELECT pg_advisory_unlock_shared($1::bigint)", key)


def _complete(conninfo: str, more: Mapping[str, str]) -> str:
    """Return the connection string with parameters that it does not set."""
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
        for name, value in more.items()
        if name in defaults and defaults[name] in _UNSET and name not in parameters
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
