"""A connection to Redis: commands as bytes, answers, and errors as sentences.

redis-py connects (TLS, login, Sentinel's servers) and reads answers. A batch has
thousands of arguments, so its commands are joined here: redis-py would take longer for
that than for all else.
"""

from collections.abc import Collection, Sequence
from contextlib import suppress
from typing import Any, Final

from redis.backoff import NoBackoff
from redis.connection import Connection, SSLConnection, UnixDomainSocketConnection
from redis.exceptions import RedisError, ResponseError
from redis.exceptions import TimeoutError as RedisTimeout
from redis.retry import Retry

from gearman.errors import ConfigurationError, QueueError

from .address import Address, Host, Login

# Seconds that connecting may take, and seconds to wait for an answer. Redis waits for
# the disk before it answers, with `appendfsync always`.
CONNECT: Final = 5
ANSWER: Final = 20

# Redis' error codes, and what they mean for jobs.
MEANINGS: Final = {
    "READONLY": "it is a replica, which can't be written to",
    "LOADING": "it still loads its data",
    "MASTERDOWN": "it is a replica that has lost its primary",
    "OOM": "its memory is full (maxmemory)",
    "MISCONF": "it can't write to its disk (MISCONF)",
    "NOREPLICAS": "it has too few replicas (min-replicas-to-write)",
    "NOAUTH": "it does not let this user in without the right password",
    "WRONGPASS": "it does not let this user in without the right password",
    "MOVED": "another server of its cluster has these keys",
    "CLUSTERDOWN": "its cluster is down",
    "BUSY": "it is busy with a script of somebody else",
}

# The names of redis-py's classes for these, and their codes.
CLASSES: Final = {
    "ReadOnlyError": "READONLY",
    "BusyLoadingError": "LOADING",
    "MasterDownError": "MASTERDOWN",
    "OutOfMemoryError": "OOM",
    "AuthenticationError": "NOAUTH",
    "NoPermissionError": "NOPERM",
    "MovedError": "MOVED",
    "ClusterDownError": "CLUSTERDOWN",
}


class Failure(QueueError):
    """An answer of Redis that is an error, with its `code`.

    `refused` says that no command of the batch was executed; otherwise that is unknown.
    """

    def __init__(self, text: str, code: str = "") -> None:
        super().__init__(text)
        self.code = code
        self.refused = code in MEANINGS


def packed(*words: bytes, numbers: Collection[int] = ()) -> bytes:
    """Return a command as Redis reads it, whose last words are numbers."""
    pieces = [b"*%d\r\n" % (len(words) + len(numbers))]
    pieces += [b"$%d\r\n%b\r\n" % (len(word), word) for word in words]
    digits = [b"%d" % number for number in numbers]
    pieces += [b"$%d\r\n%b\r\n" % (len(word), word) for word in digits]
    return b"".join(pieces)


def packed_values(key: bytes, values: Sequence[tuple[int, Sequence[bytes]]]) -> bytes:
    """Return the command that stores values, each of a number and the pieces of it.

    Workloads are copied only once, since they may be large.
    """
    words = 2 + 2 * len(values)
    pieces = [b"*%d\r\n$4\r\nHSET\r\n$%d\r\n%b\r\n" % (words, len(key), key)]
    for number, some in values:
        name = b"%d" % number
        size = sum(map(len, some))
        pieces.append(b"$%d\r\n%b\r\n$%d\r\n" % (len(name), name, size))
        pieces += some
        pieces.append(b"\r\n")
    return b"".join(pieces)


class Wire:
    """A connection. Any failure closes it, and is raised as QueueError."""

    def __init__(self, address: Address) -> None:
        self._name = str(address)
        try:
            host = _primary(address) if address.sentinels else address.host
            self._connection = _connection(address, host, address.login, address.db)
            self._connection.connect()
        except (RedisError, OSError, ValueError) as error:
            raise self._failure(error) from error

    def exchange(self, commands: Sequence[bytes]) -> list[Any]:
        """Send commands at once, and return their answers.

        An error that is the answer to a command is raised. So the connection is closed
        before all answers are read, but Redis may have executed all commands.
        """
        try:
            self._connection.send_packed_command([b"".join(commands)])
            return [self._connection.read_response() for _ in commands]
        except (RedisError, OSError, ValueError) as error:
            self.close()
            raise self._failure(error) from error
        except BaseException:
            self.close()
            raise

    def ask(self, *words: bytes) -> Any:
        """Return the answer to a command, None if Redis refuses the command."""
        try:
            self._connection.send_packed_command([packed(*words)])
            return self._connection.read_response()
        except ResponseError:
            return None
        except (RedisError, OSError, ValueError) as error:
            self.close()
            raise self._failure(error) from error

    def close(self) -> None:
        with suppress(RedisError, OSError):
            self._connection.disconnect()

    def _failure(self, error: Exception) -> Failure:
        code = _code(error)
        return Failure(f"Redis at {self._name}: {_sentence(error, code)}", code)


def _primary(address: Address) -> Host:
    """Return the address of the primary that the first working Sentinel names."""
    failure: Exception = OSError("there is no Sentinel")
    for host in address.sentinels:
        connection = _connection(address, host, address.sentinel_login, 0)
        try:
            connection.connect()
            connection.send_command(
                "SENTINEL", "GET-MASTER-ADDR-BY-NAME", address.master
            )
            if found := connection.read_response():
                return found[0].decode(), int(found[1])
            failure = OSError(f"Sentinel knows no primary {address.master}")
        except (RedisError, OSError) as error:
            failure = error
        finally:
            with suppress(RedisError, OSError):
                connection.disconnect()
    raise failure


def _connection(address: Address, host: Host, login: Login, db: int) -> Connection:
    settings: dict[str, Any] = {
        "db": db,
        "username": login.user or None,
        "password": login.password or None,
        "socket_timeout": ANSWER,
        "socket_connect_timeout": CONNECT,
        "retry": Retry(NoBackoff(), 0),
        "protocol": 2,
    }
    if address.path:
        made: Connection = UnixDomainSocketConnection(path=address.path, **settings)
        return made
    settings |= {"host": host[0], "port": host[1], "socket_keepalive": True}
    if address.tls is None:
        return Connection(**settings)
    return SSLConnection(
        ssl_ca_certs=address.tls.ca or None,
        ssl_certfile=address.tls.certificate or None,
        ssl_keyfile=address.tls.key or None,
        **settings,
    )


def check_files(address: Address) -> None:
    """Raise ConfigurationError if a file for TLS can't be read."""
    if address.tls is None:
        return
    names = ("ca", "cert", "key")
    files = (address.tls.ca, address.tls.certificate, address.tls.key)
    for name, file in zip(names, files, strict=True):
        if not file:
            continue
        try:
            with open(file, "rb"):
                pass
        except OSError as error:
            raise ConfigurationError(
                f"--redis-tls-{name} {file} can't be read: {error.strerror}"
            ) from error


def _code(error: Exception) -> str:
    # Before redis-py 7, errors of their own classes do not have their codes.
    code = getattr(error, "status_code", None) or CLASSES.get(type(error).__name__)
    code = code or str(error).partition(" ")[0]
    return code if isinstance(code, str) and code.isupper() else ""


def _sentence(error: Exception, code: str) -> str:
    if code in MEANINGS:
        return MEANINGS[code]
    if isinstance(error, RedisTimeout):
        return f"it has sent nothing for {ANSWER} seconds"
    cause = error.__cause__
    text = cause.strerror if isinstance(cause, OSError) else None
    text = text or str(error) or type(error).__name__
    return "".join(c if c.isprintable() else " " for c in text).strip()[:300]
