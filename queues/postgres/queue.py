"""Background jobs in a table of a PostgreSQL database."""

from collections.abc import Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from typing import Any

from gearman.queue import (
    Claim,
    Cluster,
    Inbox,
    Option,
    Page,
    Register,
    StoredJob,
    Unreadable,
    require,
)
from gearman.queue import Queue as BaseQueue


class Queue(BaseQueue):
    """Stores jobs in a table of a PostgreSQL database, version 11 or later.

    It needs psycopg 3: `pip install 'gearman-py[postgres]'`.

    `conninfo` (--postgres-conninfo) is a connection string of libpq, such as
    `host=db dbname=jobs user=gearman` or `postgresql://gearman@db/jobs`. Other settings
    come from libpq's environment and files: PGHOST, PGDATABASE, PGUSER, PGSERVICE,
    `~/.pgpass` and so on. Put a password there, since other users can see the command
    line.

    `table` (--postgres-table) is `gearman_jobs` by default; `schema`
    (--postgres-schema) is by default the first one of the search path. Both are used as
    written, including upper case, and may have 63 bytes. Table and schema are created
    if they do not exist. The role then needs the right to create them; later it needs
    SELECT, INSERT and DELETE on the table. If an earlier version has created the table,
    the role must own it at the first start, which adds a column.

    A batch of jobs is one transaction, sent at once. `synchronous_commit` is set to
    `on` for the session if the database's default is `off`; other values are kept. With
    `fsync = off` Postgres itself is not durable, and neither are the jobs.

    Every wait ends. A connection attempt takes at most 10 seconds for each address. A
    statement takes at most 20 seconds, 5 of them for waiting for a lock, such as that
    of VACUUM FULL. A database that sends nothing for 30 seconds counts as lost, and so
    does one whose machine acknowledges nothing for about as long. `connect_timeout`,
    `keepalives_idle` and so on in the connection string take precedence. The next
    commit connects again; no job is lost meanwhile, since the server has all of them in
    memory.

    Only one server can use a table at a time: it holds an advisory lock of its session.
    So do not connect through a pooler, unless it pools sessions. The lock ends with the
    server, even if that is killed. If the server's machine or network is lost, Postgres
    detects that after about 25 seconds. A server waits 5 seconds for the lock before it
    reports that the table is in use.

    A workload of more than 256 MiB is refused.

    Jobs that C gearmand has left in its table `queue` are taken over at the start, in
    one transaction, which may take an hour. Priorities and times are kept. Rows that
    can't be read stay there and are reported. If `table` is a table of gearmand, such
    as that of its option --libpq-table, the jobs of that one are taken over instead.
    This server's jobs are then in a table of the same name with `_jobs` at its end.
    Stop gearmand first: it does not notice that its rows are gone.
    """

    options = (
        Option(
            "conninfo",
            ("postgres-conninfo", "libpq-conninfo"),
            "libpq's connection string; PGHOST, PGDATABASE and so on apply as well",
            "CONNINFO",
        ),
        Option(
            "table",
            ("postgres-table", "libpq-table"),
            "the table for jobs, gearman_jobs by default",
            "NAME",
        ),
        Option(
            "schema",
            ("postgres-schema",),
            "the schema of the table (default: the first of the search path)",
            "NAME",
        ),
    )

    has_inbox = True
    has_results = True
    has_cluster = True

    @classmethod
    def prepare(cls) -> None:
        require("psycopg", "postgres")
        # Not before: it imports psycopg, which is optional.
        from .store import Store  # noqa: F401

    def __init__(
        self,
        *,
        conninfo: str = "",
        table: str = "",
        schema: str = "",
        inbox: bool = False,
        cluster: Cluster | None = None,
    ) -> None:
        self.prepare()
        from .store import Store

        self._store = Store(conninfo, table, schema, inbox, cluster)

    @classmethod
    def sql(cls, options: Mapping[str, Any]) -> str:
        cls.prepare()
        from .functions import script

        return script(options.get("table", ""), options.get("schema", ""))

    @classmethod
    def install_sql(cls, options: Mapping[str, Any]) -> None:
        cls.prepare()
        from .functions import install

        install(
            options.get("conninfo", ""),
            options.get("table", ""),
            options.get("schema", ""),
        )

    @classmethod
    def results_sql(cls, options: Mapping[str, Any]) -> str:
        cls.prepare()
        from .results import script

        return script(options.get("schema", ""))

    @classmethod
    def install_results_sql(cls, options: Mapping[str, Any]) -> None:
        cls.prepare()
        from .results import install

        install(options.get("conninfo", ""), options.get("schema", ""))

    def replay(self) -> Iterator[StoredJob | Unreadable]:
        return self._store.replay()

    def commit(self, added: Sequence[StoredJob], done: Sequence[int]) -> None:
        self._store.commit(added, done)

    def inbox(self) -> Inbox:
        inbox = self._store.inbox
        assert inbox is not None  # noqa: S101
        return inbox

    def register(self) -> Register:
        return self._store.register()

    def own(self, claim: Claim) -> None:
        self._store.own(claim)

    def read(self, shards: AbstractSet[int], after: int) -> Page:
        return self._store.read(shards, after)

    def close(self) -> None:
        self._store.close()
