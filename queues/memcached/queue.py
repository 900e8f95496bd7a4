"""Background jobs in memcached."""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from gearman.errors import ConfigurationError
from gearman.queue import Option, StoredJob, Unreadable, require
from gearman.queue import Queue as BaseQueue

_DEFAULT_SERVERS: Final = "localhost:11211"
_DEFAULT_PREFIX: Final = "gear_"

# memcached takes keys of 250 bytes, without spaces.
_PREFIX: Final = re.compile(r"[!-~]{1,200}")


class Queue(BaseQueue):
    """Keeps jobs in the memory of memcached, version 1.5 or later.

    It needs pymemcache: `pip install 'gearman-py[memcached]'`.

    `--memcached-servers` (or `--libmemcached-servers`) lists the servers, as HOST,
    HOST:PORT or a socket's path, with commas between; `localhost:11211` by default.
    Jobs are spread over all of them; where they are is kept on the first. Name the
    same servers in the same order at every start. `--memcached-prefix` (or
    `--libmemcached-prefix`), `gear_` by default, is what all keys begin with. What
    gearmand has stored is not read.

    Jobs survive a crash of the job server, not one of memcached: that has no disk.
    Use it where jobs may be lost now and then, and start it with `-M`, so that it
    refuses jobs when its memory is full; otherwise it drops the oldest items, jobs
    among them, and the log says so within a minute. If memcached is restarted or
    flushed while the server runs, the next commit notices it, and all jobs that the
    server has are stored again. What was dropped while the server was down is
    reported at its start, by key.

    A workload may be larger than memcached's items (`-I`): it is cut into several.
    One that takes more than half of memcached's memory (`-m`) is refused. Each commit
    waits until memcached has confirmed all of it. A connection is tried for 3
    seconds, a silent server counts as lost after 5, and the next commit connects
    again.

    A prefix belongs to one server at a time. A second one on the same machine does
    not start, while one whose predecessor was killed starts at once. Whether a server
    on another machine is alive can't be told: the later one takes over, and commits
    of the earlier one fail from then on.
    """

    options = (
        Option(
            "servers",
            ("memcached-servers", "libmemcached-servers"),
            "memcached servers, with commas between (localhost:11211)",
            "HOST[:PORT],...",
        ),
        Option(
            "prefix",
            ("memcached-prefix", "libmemcached-prefix"),
            "what all keys begin with (gear_)",
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
