"""Background jobs in a table of a MariaDB or MySQL database."""

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
    """Stores jobs in a table of MariaDB 10.6 or later, or of MySQL 8 or later.

    It needs PyMySQL: `pip install 'gearman-py[mysql]'`.

    `db` (--mysql-db) is the database, `gearman` by default, which must exist. `host`
    (--mysql-host) is `localhost` by default, which means the database's Unix socket, if
    it is where Debian, Red Hat or MySQL itself put it, and no `port` (--mysql-port) is
    given; or name the socket by `socket` (--mysql-socket). `host` may also be a list
    with commas, of hosts and `host:port`, such as the nodes of Galera: if one fails, or
    is read-only, the next one is tried. `user` (--mysql-user) is by
    default the user that the server runs as.

    Other users can see the command line, and in it the `password` (--mysql-password).
    So put that into a file instead, and name it by `defaults_file`
    (--mysql-defaults-file). It is a file as the programs of MySQL use it: of its groups
    `[client]` and `[gearmand]`, the options host, port, socket, user, password,
    database, ssl-ca, ssl-cert, ssl-key and ssl-mode are read. The environment variable
    MYSQL_PWD is another place.

    TLS is used if the database offers it, but not on Unix sockets. `ssl_mode`
    (--mysql-ssl-mode) says what is demanded: `disabled`, `preferred`, `required`,
    `verify-ca` or `verify-identity`. `ssl_ca` (--mysql-ssl-ca) is a file of
    certificates of authorities; with it, the database's certificate and name are
    verified unless the mode says otherwise. `ssl_cert` (--mysql-ssl-cert) and `ssl_key`
    (--mysql-ssl-key) are this server's own certificate and key.

    `table` (--mysql-table) is `gearman_jobs` by default, and is created if it does not
    exist. The user needs the right to create it once (CREATE), and later SELECT,
    INSERT, UPDATE and DELETE on it. It must be a table of InnoDB.

    A batch of jobs is one transaction, and one round trip unless it has more than 8 MiB
    or `max_allowed_packet`. Large workloads are stored in parts, so any value of
    `max_allowed_packet` from 1 MiB on will do. If the database's setting
    `innodb_flush_log_at_trx_commit` is not 1, or `sync_binlog` is not 1 and there is a
    binary log, the log says at the start what a crash may lose.

    Every wait ends. A connection attempt takes at most 10 seconds for each address. A
    statement takes at most 20 seconds (on MariaDB), 5 of them for waiting for a lock. A
    database that sends nothing for 30 seconds counts as lost. The next commit connects
    again; no job is lost meanwhile, since the server has all of them in memory.

    Only one server can use a table at a time, unless they are a cluster: it has a lock
    of the session (GET_LOCK), and its name in a row of the table, which each batch
    checks. The row's number is 0. So do not connect through a proxy that shares
    connections between clients. The lock ends with the server, even if that is killed.
    If the server's machine or network is lost, the database detects that after 60
    seconds. A server waits 5 seconds for the lock before it reports that the table is
    in use. A server that has lost its connection for so long that another one has taken
    the table stores nothing any more.

    A workload of more than 1 GiB is refused.

    Jobs that C gearmand has left in its table `gearman_queue` or `queue` are taken over
    at the start, in one transaction, which may take an hour. Priorities and times are
    kept. Rows that can't be read stay there and are reported. If `table` is a table of
    gearmand, the jobs of that one are taken over instead. This server's jobs are then
    in a table of the same name with `_jobs` at its end. Stop gearmand first: it does
    not notice that its rows are gone. `--libdrizzle-mysql` has no effect.
    """

    options = (
        Option(
            "host",
            ("mysql-host", "libdrizzle-host"),
            "the database's hosts, separated by commas, each with a port or not;"
            " localhost by default",
            "HOST",
        ),
        Option(
            "port",
            ("mysql-port", "libdrizzle-port"),
            "the database's port, 3306 by default",
            "PORT",
            "number",
        ),
        Option(
            "socket",
            ("mysql-socket", "libdrizzle-uds"),
            "the database's Unix socket",
            "FILE",
            "path",
        ),
        Option(
            "user",
            ("mysql-user", "libdrizzle-user"),
            "the user of the database",
            "NAME",
        ),
        Option(
            "password",
            ("mysql-password", "libdrizzle-password"),
            "the user's password, which others can see: better use the next option",
            "TEXT",
        ),
        Option(
            "defaults_file",
            ("mysql-defaults-file",),
            "a file with user, password and so on in its group [client] or [gearmand]",
            "FILE",
            "path",
        ),
        Option(
            "db",
            ("mysql-db", "libdrizzle-db"),
            "the database, gearman by default",
            "NAME",
        ),
        Option(
            "table",
            ("mysql-table", "libdrizzle-table"),
            "the table for jobs, gearman_jobs by default",
            "NAME",
        ),
        Option(
            "ssl_mode",
            ("mysql-ssl-mode",),
            "whether TLS is used, and what is verified (default: preferred, or"
            " verify-identity if --mysql-ssl-ca is given)",
            kind=("disabled", "preferred", "required", "verify-ca", "verify-identity"),
        ),
        Option(
            "ssl_ca",
            ("mysql-ssl-ca",),
            "certificates of authorities that the database's is verified with",
            "FILE",
            "path",
        ),
        Option(
            "ssl_cert",
            ("mysql-ssl-cert",),
            "the certificate of this server for the database",
            "FILE",
            "path",
        ),
        Option("ssl_key", ("mysql-ssl-key",), "its private key", "FILE", "path"),
        Option(
            "protocol",
            ("libdrizzle-mysql",),
            "accepted for gearmand's sake; has no effect",
            kind="flag",
        ),
    )

    has_inbox = True
    has_cluster = True

    @classmethod
    def prepare(cls) -> None:
        require("pymysql", "mysql")
        # Not before: it imports PyMySQL, which is optional.
        from .store import Store  # noqa: F401

    @classmethod
    def check(cls, options: Mapping[str, Any]) -> None:
        from .settings import Settings
        from .tables import check_name

        given = dict(options)
        given.pop("protocol", None)
        given.pop("inbox", None)
        given.pop("cluster", None)
        check_name(given.pop("table", ""))
        Settings(**given).places()

    def __init__(
        self,
        *,
        host: str = "",
        port: int = 0,
        socket: str = "",
        user: str = "",
        password: str = "",
        defaults_file: str = "",
        db: str = "",
        table: str = "",
        ssl_mode: str = "",
        ssl_ca: str = "",
        ssl_cert: str = "",
        ssl_key: str = "",
        protocol: bool = False,
        inbox: bool = False,
        cluster: Cluster | None = None,
    ) -> None:
        self.prepare()
        from .settings import Settings
        from .store import Store

        settings = Settings(
            *(host, port, socket, user, password, db, defaults_file),
            *(ssl_ca, ssl_cert, ssl_key, ssl_mode),
        )
        self._store = Store(settings.places(), table, inbox, cluster)

    @classmethod
    def sql(cls, options: Mapping[str, Any]) -> str:
        cls.prepare()
        from .functions import script

        return script(options.get("table", ""))

    @classmethod
    def install_sql(cls, options: Mapping[str, Any]) -> None:
        cls.prepare()
        from .functions import install
        from .settings import Settings

        given = dict(options)
        given.pop("protocol", None)
        table = given.pop("table", "")
        install(Settings(**given).places(), table)

    def inbox(self) -> Inbox:
        inbox = self._store.inbox
        assert inbox is not None  # noqa: S101
        return inbox

    def replay(self) -> Iterator[StoredJob | Unreadable]:
        return self._store.replay()

    def commit(self, added: Sequence[StoredJob], done: Sequence[int]) -> None:
        self._store.commit(added, done)

    def read(self, shards: AbstractSet[int], after: int) -> Page:
        return self._store.read(shards, after)

    def register(self) -> Register:
        return self._store.register()

    def own(self, claim: Claim) -> None:
        self._store.own(claim)

    def close(self) -> None:
        self._store.close()
