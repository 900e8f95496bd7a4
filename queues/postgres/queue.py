"""Background jobs in a table of a PostgreSQL database."""

from collections.abc import Iterator, Sequence

from gearman.queue import Option, StoredJob, Unreadable, require
from gearman.queue import Queue as BaseQueue


class Queue(BaseQueue):
    """Keeps jobs in a table of a PostgreSQL database, version 11 or later.

    It needs psycopg 3: `pip install 'gearman-py[postgres]'`.

    `--postgres-conninfo` (or `--libpq-conninfo`) is a connection string of libpq, such
    as `host=db dbname=jobs user=gearman` or `postgresql://gearman@db/jobs`. What it
    does not say comes from libpq's environment and files: PGHOST, PGDATABASE, PGUSER,
    PGSERVICE, `~/.pgpass` and so on. A password is better kept there: others can see
    what is on the command line.

    `--postgres-table` (or `--libpq-table`) names the table, `gearman_jobs` by default,
    and `--postgres-schema` its schema, by default the first of the search path. Both
    names are taken as they are written, capitals and all. The table is created if it
    isn't there, and so is the schema; the role then needs the right to do that, and
    after that SELECT, INSERT and DELETE on the table.

    A batch of jobs is one transaction, sent in one go. `synchronous_commit` is set to
    `on` for the session if the database's default is `off`; any other value is left
    as it is. With `fsync = off` Postgres itself is not durable, and jobs aren't
    either.

    Every wait ends. A connection is tried for 10 seconds for each address; a
    statement may take 20 seconds, of which 5 waiting for a lock (that of VACUUM FULL,
    say); a server that says nothing for 30 seconds, or whose machine acknowledges
    nothing for about that long, counts as gone. `connect_timeout`, `keepalives_idle`
    and so on in the connection string take precedence. A lost connection is opened
    again by the next commit; the jobs are safe meanwhile, as the server has them
    all.

    One server has a table at a time: it holds an advisory lock of its session. So
    don't connect through a pooler, unless it pools sessions. The lock goes with the
    server, even if that is killed; if its machine or network is lost, Postgres takes
    some 25 seconds to find out. A server waits 5 seconds for the lock before it says
    that the table is in use.

    A workload of more than 256 MiB is refused.

    What C gearmand left in its table `queue` is taken over at the start, in one
    transaction which may take an hour: priorities and times are kept, and rows that
    can't be read stay there and are reported. If `--postgres-table` names a table that
    is gearmand's, such as one given by gearmand's own `--libpq-table`, that one is
    taken over instead, and the jobs are kept beside it, in the table of the same name
    with `_jobs` at its end. End gearmand first: it does not see that its rows are gone.
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
            "the table for jobs (gearman_jobs)",
            "NAME",
        ),
        Option(
            "schema",
            ("postgres-schema",),
            "the schema of the table (the first of the search path)",
            "NAME",
        ),
    )

    @classmethod
    def prepare(cls) -> None:
        require("psycopg", "postgres")
        # Not before: it imports psycopg, which is optional.
        from .store import Store  # noqa: F401

    def __init__(
        self, *, conninfo: str = "", table: str = "", schema: str = ""
    ) -> None:
        self.prepare()
        from .store import Store

        self._store = Store(conninfo, table, schema)

    def replay(self) -> Iterator[StoredJob | Unreadable]:
        return self._store.replay()

    def commit(self, added: Sequence[StoredJob], done: Sequence[int]) -> None:
        self._store.commit(added, done)

    def close(self) -> None:
        self._store.close()
