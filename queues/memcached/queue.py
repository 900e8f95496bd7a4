"""Background jobs in memcached."""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from gearman.errors import ConfigurationError
from gearman.queue import Option, StoredJob, Unreadable, require
from gearman.queue import Queue as BaseQueue

_DEFAULT_SERVERS: Final = "localhost:11211"
_DEFAULT_PREFIX: Final = "gear_"

# memcached accepts keys of up to 250 bytes, without spaces.
_PREFIX: Final = re.compile(r"[!-~]{1,200}")


class Queue(BaseQueue):
    """Stores jobs in the memory of memcached, version 1.5 or later.

    It needs pymemcache: `pip install 'gearman-py[memcached]'`.

    `servers` (--memcached-servers) lists the servers as HOST, HOST:PORT, [IPV6]:PORT or
    the path of a socket, separated by commas; `localhost:11211` by default. Jobs are
    spread over all servers; the index is on the first one. Name the same servers in the
    same order at every start. All keys begin with `prefix` (--memcached-prefix),
    `gear_` by default: 1 to 200 printable ASCII characters. Jobs that gearmand has
    stored are not read.

    Jobs survive a crash of the job server, but not one of memcached, which has no disk.
    Use it if an occasional loss of jobs is acceptable. Start memcached with `-M`, so
    that it refuses jobs when its memory is full. Otherwise it drops the oldest items,
    which may be jobs, and the log says so within a minute. If memcached is restarted or
    flushed while the server runs, the next commit detects that, and all jobs of the
    server are stored again. Items that were dropped while the server was stopped are
    reported at its start, by key.

    A workload may be larger than memcached's items (`-I`): it is split. A job of more
    than half of memcached's memory (`-m`) is refused. Each commit waits until memcached
    has confirmed all of it. A connection attempt takes at most 3 seconds; a server that
    does not answer for 5 seconds counts as lost, and the next commit connects again.

    A prefix belongs to one job server at a time. A second job server on the same
    machine does not start; one whose predecessor was killed starts immediately. Whether
    a job server on another machine is alive is unknown: the later one takes over, and
    commits of the earlier one fail from then on.
    """

    options = (
        Option(
            "servers",
            ("memcached-servers", "libmemcached-servers"),
            "memcached servers, separated by commas (default: localhost:11211)",
            "HOST[:PORT],...",
        ),
        Option(
            "prefix",
            ("memcached-prefix", "libmemcached-prefix"),
            "the beginning of all keys (default: gear_)",
            "TEXT",
        ),
    )

    @classmethod
    def prepare(cls) -> None:
        require("pymemcache", "memcached")
        # Not before: it imports pymemcache, which is optional.
        from .store import Store  # noqa: F401

    @classmethod
    def check(cls, options: Mapping[str, Any]) -> None:
        from .servers import parse

        _check_prefix(options.get("prefix", _DEFAULT_PREFIX))
        parse(options.get("servers", _DEFAULT_SERVERS))

    def __init__(
        self, *, servers: str = _DEFAULT_SERVERS, prefix: str = _DEFAULT_PREFIX
    ) -> None:
        self.prepare()
        _check_prefix(prefix)
        from .store import Store

        self._store = Store(servers, prefix)

    def replay(self) -> Iterator[StoredJob | Unreadable]:
        return self._store.replay()

    def commit(self, added: Sequence[StoredJob], done: Sequence[int]) -> None:
        self._store.commit(added, done)

    def close(self) -> None:
        self._store.close()


def _check_prefix(prefix: str) -> None:
    if not _PREFIX.fullmatch(prefix):
        raise ConfigurationError(
            "--memcached-prefix (or --libmemcached-prefix) must have 1 to 200"
            " printable ASCII characters, and no spaces"
        )
