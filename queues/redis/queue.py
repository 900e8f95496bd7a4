"""Background jobs in Redis."""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from gearman.errors import ConfigurationError
from gearman.queue import Option, StoredJob, Unreadable, require
from gearman.queue import Queue as BaseQueue

from .address import from_options

# gearmand's default. With `-` behind it, its keys begin so.
PREFIX: Final = "_gear_"

# The prefix stands in braces, which Redis Cluster looks for.
_PREFIX: Final = re.compile(r"[!-z|~]{1,200}")


class Queue(BaseQueue):
    """Stores jobs in Redis, version 6 or later, or what speaks its protocol.

    It needs redis-py: `pip install 'gearman-py[redis]'`.

    `url` (--redis-url) says where Redis is: `redis://HOST:PORT/DB`, `rediss://...` with
    TLS, `unix:///PATH?db=DB`, or `redis+sentinel://HOST:PORT,HOST:PORT/NAME/DB` for the
    primary NAME of these Sentinels (`rediss+sentinel` with TLS). Or `server`
    (--redis-server) and `port` (--redis-port) name it, as for gearmand; by default it
    is localhost:6379. A user and a password may stand in the URL; a password is also
    taken from `password` (--redis-password), which other users can see on the command
    line, from the file `password_file` (--redis-password-file), or from the
    environment variable REDISCLI_AUTH. `ca`, `cert` and `key` (--redis-tls-ca,
    --redis-tls-cert, --redis-tls-key) are files for TLS, and turn it on.

    All keys begin with `prefix` (--redis-prefix) in braces, `{_gear_}` by default: 1 to
    200 printable ASCII characters, without braces. A batch of jobs is one transaction.
    Jobs that are added together share a value; see `docs/queues.md`.

    What is durable depends on Redis. The log says it at the start: with `appendonly
    yes` and `appendfsync always`, all acknowledged jobs outlive any crash; otherwise a
    crash of Redis loses the latest ones, or all. A job server that goes on running
    detects that, and stores its jobs again. With `require_durable`
    (--redis-require-durable) it does not start, or refuses jobs, if Redis may lose
    jobs. `wait_replicas` (--redis-wait-replicas) is the number of replicas that must
    have a job before it is acknowledged (WAIT); with `wait_disk` (--redis-wait-disk),
    Redis and these replicas must have it on their disks (WAITAOF, since Redis 7.2).

    Every wait ends. A connection attempt takes at most 5 seconds for each address; a
    Redis that sends nothing for 20 seconds counts as lost. The next commit connects
    again; no job is lost meanwhile, since the server has all of them in memory.

    A prefix belongs to one job server at a time. A second one on the same machine does
    not start; one whose predecessor was killed starts immediately. If the predecessor
    was on another machine, the new one waits up to 15 seconds for the end of its lease.
    Each batch checks who has the right to use the jobs, so a server whose jobs were
    taken over can write nothing more.

    A job of more than 256 MiB is refused.

    Jobs that C gearmand has left under the same prefix are taken over at the start,
    with their priorities. For that, the names of all keys of the database are read once
    (SCAN); with `skip_gearmand` (--redis-skip-gearmand) they are not. Keys that can't
    be read stay there and are reported. Stop gearmand first: it does not notice that
    its keys are gone.
    """

    options = (
        Option(
            "url",
            ("redis-url",),
            "where Redis is: redis://, rediss://, unix:// or redis+sentinel://",
            "URL",
        ),
        Option(
            "server",
            ("redis-server",),
            "the host of Redis, or the path of a socket; localhost by default",
            "HOST",
        ),
        Option("port", ("redis-port",), "the port of Redis; 6379 by default", "PORT"),
        Option(
            "password",
            ("redis-password",),
            "the password; other users can see it here",
            "TEXT",
        ),
        Option(
            "password_file",
            ("redis-password-file",),
            "a file with the password (or set REDISCLI_AUTH)",
            "FILE",
            "path",
        ),
        Option(
            "prefix",
            ("redis-prefix",),
            "the beginning of all keys (default: _gear_)",
            "TEXT",
        ),
        Option(
            "ca",
            ("redis-tls-ca",),
            "TLS: the certificates of the authorities to trust",
            "FILE",
            "path",
        ),
        Option("cert", ("redis-tls-cert",), "TLS: our certificate", "FILE", "path"),
        Option("key", ("redis-tls-key",), "TLS: its private key", "FILE", "path"),
        Option(
            "require_durable",
            ("redis-require-durable",),
            "refuse jobs if Redis may lose them",
            kind="flag",
        ),
        Option(
            "wait_replicas",
            ("redis-wait-replicas",),
            "how many replicas must have a job (WAIT; default: 0)",
            "NUMBER",
            "number",
        ),
        Option(
            "wait_disk",
            ("redis-wait-disk",),
            "wait for the disks, too (WAITAOF, since Redis 7.2)",
            kind="flag",
        ),
        Option(
            "skip_gearmand",
            ("redis-skip-gearmand",),
            "do not look for jobs of C gearmand",
            kind="flag",
        ),
    )

    @classmethod
    def prepare(cls) -> None:
        require("redis", "redis")
        # Not before: it imports redis, which is optional.
        from .store import Store  # noqa: F401

    @classmethod
    def check(cls, options: Mapping[str, Any]) -> None:
        from .wire import check_files

        check_files(from_options(options))
        _check_prefix(options.get("prefix", PREFIX))

    def __init__(
        self,
        *,
        url: str = "",
        server: str = "",
        port: str = "",
        password: str = "",
        password_file: str = "",
        prefix: str = PREFIX,
        ca: str = "",
        cert: str = "",
        key: str = "",
        require_durable: bool = False,
        wait_replicas: int = 0,
        wait_disk: bool = False,
        skip_gearmand: bool = False,
    ) -> None:
        self.prepare()
        options = {
            **{"url": url, "server": server, "port": port, "password": password},
            **{"password_file": password_file, "ca": ca, "cert": cert, "key": key},
            "prefix": prefix,
        }
        self.check(options)
        from .promises import Waits
        from .store import Store

        self._store = Store(
            from_options(options),
            prefix,
            Waits(wait_replicas, wait_disk),
            must_be_durable=require_durable,
            skip_gearmand=skip_gearmand,
        )

    def replay(self) -> Iterator[StoredJob | Unreadable]:
        return self._store.replay()

    def commit(self, added: Sequence[StoredJob], done: Sequence[int]) -> None:
        self._store.commit(added, done)

    def close(self) -> None:
        self._store.close()


def _check_prefix(prefix: str) -> None:
    if not _PREFIX.fullmatch(prefix):
        raise ConfigurationError(
            "--redis-prefix must have 1 to 200 printable ASCII characters, and no"
            " spaces or braces"
        )
