"""Servers of a cluster that share a table of Postgres: the lease and the fence."""

import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing, contextmanager
from functools import partial
from importlib import import_module
from typing import Any

import pytest

from gearman.errors import Fenced, QueueError, StartupError
from gearman.queue import Claim, Cluster, Queue, Register, StoredJob, load
from tests.queues.backend_postgres import SETTINGS, Database, cluster, psycopg
from tests.queues.test_postgres_failures import (
    END,
    failing,
    locked_table,
    wait_until_blocked,
)
from tests.servers import HOST, free_port, stopped

ONE = StoredJob(1, b"H:host:1", b"f", b"u", b"one")
TWO = StoredJob(2, b"H:host:2", b"f", b"v", b"two")
THREE = StoredJob(3, b"H:host:3", b"g", b"u", b"three")

# Long enough for a slow machine. Tests make it end by SQL.
LEASE = 40.0


class Server:
    """What a server of a cluster does with its store; its address is its name."""

    def __init__(self, database: Database, name: str, **options: Any) -> None:
        cluster = Cluster(options.pop("cluster", "fleet"), name, LEASE)
        options = {"conninfo": database.conninfo, **options}
        plugin: Any = load("postgres")
        self._open: Callable[[], Queue] = partial(plugin, **options, cluster=cluster)
        self.queue = self._open()
        self.claim: Claim | None = None
        self.register: Register = self.queue.register()

    def close(self) -> None:
        self.queue.close()
        self.register.close()

    def claims(self) -> bool:
        """Claim the lease, as it is seen now; return whether that was successful."""
        self.claim = self.register.claim(self.register.look())
        return self.claim is not None

    def owns(self) -> list[object]:
        """Claim the lease and own the jobs, which are returned."""
        assert self.claims()
        return self.takes_up()

    def takes_up(self) -> list[object]:
        """Own the jobs, which are returned."""
        assert self.claim is not None
        self.queue.own(self.claim)
        return list(self.queue.replay())

    def again(self) -> None:
        """Open the store once more, to own its jobs once more."""
        self.queue.close()
        self.queue = self._open()


def alone(database: Database, **options: str) -> Queue:
    """Open a store without a cluster."""
    return load("postgres")(**{"conninfo": database.conninfo, **options})


@pytest.fixture
def server(database: Database) -> Iterator[Callable[..., Server]]:
    """A function that makes a server."""
    with ExitStack() as stack:

        def make(name: str = "one:1", **options: Any) -> Server:
            return stack.enter_context(closing(Server(database, name, **options)))

        yield make


@pytest.fixture
def two(server: Callable[..., Server]) -> tuple[Server, Server]:
    """An owner with two jobs, and a server that stands by."""
    one = server()
    assert one.owns() == []
    one.queue.commit([ONE, TWO], [])
    return one, server("two:2")


def let_the_lease_end(database: Database) -> None:
    database.sql("UPDATE gearman_jobs_leases SET expires = now() - interval '1 s'")


def test_first_server_owns_the_jobs(database, server):
    one = server()
    assert one.register.look() is None
    before = time.time()
    claim = one.register.claim(None)
    assert claim.epoch == 1
    # The clock of the database is that of this machine.
    assert before - 1 < claim.first_number / 1_000_000 < time.time() + 1
    one.queue.own(claim)
    assert list(one.queue.replay()) == []
    one.queue.commit([ONE], [])
    one.queue.commit([], [1])


def test_second_server_sees_who_owns_the_jobs(two):
    holder = two[1].register.look()
    assert (holder.address, holder.renewals, holder.over) == ("one:1", 0, False)
    assert two[0].register.renew()
    assert two[1].register.look() == holder._replace(renewals=1)


def test_lease_that_is_over_is_claimed_with_the_jobs(database, two):
    one, two_ = two
    let_the_lease_end(database)
    assert two_.register.look().over
    assert two_.owns() == [ONE, TWO]
    holder = one.register.look()
    assert (holder.address, holder.over) == ("two:2", False)
    two_.queue.commit([THREE], [1])


def test_epoch_rises_with_each_owner(database, two):
    epochs = []
    for each in two * 2:
        let_the_lease_end(database)
        epochs.append(each.register.claim(each.register.look()).epoch)
    assert epochs == [2, 3, 4, 5]


def test_former_owner_can_neither_commit_nor_renew(database, two):
    one, two_ = two
    let_the_lease_end(database)
    two_.owns()
    for _ in range(2):
        with pytest.raises(QueueError):
            one.queue.commit([THREE], [1])
    with pytest.raises(Fenced, match="another server of the cluster owns the jobs"):
        one.queue.commit([], [])
    assert not one.register.renew()
    one.again()
    with pytest.raises(Fenced):
        one.takes_up()
    assert database.sql("SELECT number FROM gearman_jobs ORDER BY 1") == [(1,), (2,)]


def test_living_connection_of_the_former_owner_is_fenced(database, two, monkeypatch):
    module = import_module("gearman.queues.postgres.register")
    monkeypatch.setattr(module, "end_backend", lambda *_: None)
    one, two_ = two
    let_the_lease_end(database)
    two_.owns()
    with pytest.raises(Fenced):
        one.queue.commit([THREE], [1])
    assert database.sql("SELECT number FROM gearman_jobs ORDER BY 1") == [(1,), (2,)]


def test_lease_that_was_renewed_is_not_claimed(two):
    one, two_ = two
    holder = two_.register.look()
    assert one.register.renew()
    assert two_.register.claim(holder) is None
    one.queue.commit([THREE], [1])


def test_only_one_of_two_claims_succeeds(database, two, server):
    let_the_lease_end(database)
    three = server("three:3")
    holder = two[1].register.look()
    assert three.register.look() == holder
    assert three.register.claim(holder) is not None
    assert two[1].register.claim(holder) is None


def test_only_one_server_is_the_first(server):
    servers = [server(f"host:{number}") for number in range(1, 5)]
    with ThreadPoolExecutor(4) as threads:
        claims = list(threads.map(lambda each: each.register.claim(None), servers))
    assert sum(claim is not None for claim in claims) == 1


def test_released_lease_is_over_at_once(two):
    one, two_ = two
    one.queue.close()
    one.register.release()
    assert two_.register.look().over
    assert two_.owns() == [ONE, TWO]


def test_releasing_the_lease_of_another_changes_nothing(two):
    two[1].register.release()
    assert not two[1].register.look().over


def test_server_that_does_not_know_of_its_claim_may_repeat_it(server):
    one = server()
    assert one.claims()
    assert one.register.look().over
    assert one.owns() == []
    one.queue.commit([ONE], [])


def test_server_becomes_owner_again(database, two):
    one, two_ = two
    let_the_lease_end(database)
    two_.owns()
    two_.queue.commit([THREE], [1])
    one.again()
    let_the_lease_end(database)
    assert one.owns() == [TWO, THREE]
    one.queue.commit([ONE], [2, 3])
    two_.again()
    let_the_lease_end(database)
    assert two_.owns() == [ONE]


def test_connection_that_was_ended_is_opened_again(database, two):
    one, _ = two
    database.sql(END)
    with failing():
        one.queue.commit([THREE], [1])
    one.queue.commit([THREE], [1])
    with failing():
        one.register.renew()
    assert one.register.renew()


def test_earlier_connection_of_the_owner_cannot_commit(database, two):
    one, _ = two
    module = import_module("gearman.queues.postgres.fence")
    store = one.queue._store
    tables, fence = module.ClusterTables(store._table), store._fence
    with store._session.connection() as connection:
        earlier = module.Fence(tables, one.claim.id)
        earlier._session = fence._session
        earlier.check(connection)
        fence.begin(connection)
        fence.check(connection)
        with pytest.raises(psycopg().errors.DivisionByZero):
            earlier.check(connection)


def test_claim_ends_a_commit_that_does_not_go_on(database, two):
    one, two_ = two
    with ThreadPoolExecutor(1) as thread, locked_table(database):
        commit = thread.submit(one.queue.commit, [THREE], [1])
        wait_until_blocked(database)
        let_the_lease_end(database)
        assert two_.claims()
        with failing():
            commit.result()
    assert two_.takes_up() == [ONE, TWO]


@contextmanager
def poor(database: Database) -> Iterator[str]:
    """Yield the connection string of a role that may not end others' sessions."""
    with database.connect() as connection:
        connection.execute("CREATE ROLE poor LOGIN")
        connection.execute("GRANT ALL ON ALL TABLES IN SCHEMA public TO poor")
    yield database.conninfo.replace("user=postgres", "user=poor")
    database.sql("DROP OWNED BY poor")
    database.sql("DROP ROLE poor")


def test_claim_waits_for_a_commit_that_it_may_not_end(database, two, server):
    one, _ = two
    with (
        poor(database) as conninfo,
        ThreadPoolExecutor(2) as threads,
        closing(Server(database, "two:2", conninfo=conninfo)) as other,
    ):
        with locked_table(database):
            commit = threads.submit(one.queue.commit, [THREE], [1])
            passing = wait_until_blocked(database)
            let_the_lease_end(database)
            claim = threads.submit(other.claims)
            wait_until_blocked(database, passing=passing)
        commit.result()
        assert claim.result()
        assert other.takes_up() == [TWO, THREE]
        with pytest.raises(Fenced):
            one.queue.commit([], [2])


def test_new_connection_ends_what_the_earlier_one_has_left(database, two):
    one, _ = two
    session = one.queue._store._session
    session._connection.patience = 0.3
    with locked_table(database):
        with failing():
            one.queue.commit([THREE], [1])
        with session.connection():
            pass
    one.again()
    let_the_lease_end(database)
    assert one.owns() == [ONE, TWO]


def test_silent_database_costs_half_of_the_lease_at_most(database, server):
    one = server()
    assert one.claims()
    connection = one.register._session._connection
    connection.patience = 0.1
    with stopped(connection.info.backend_pid):
        with failing() as error:
            one.register.renew()
        assert "sent nothing" in str(error.value)
    assert one.register.renew()


def test_limits_of_the_register_are_parts_of_the_lease(database, server):
    one = server()
    one.register.look()
    session = one.register._session
    with session.connection() as connection:
        for name, limit in (("lock_timeout", "5s"), ("statement_timeout", "10s")):
            [(value,)] = connection.execute(f"SHOW {name}").fetchall()
            assert value == limit
    assert connection.patience == LEASE / 2
    assert "connect_timeout=10" in session.conninfo


def test_servers_that_start_at_once_create_the_tables_once(database):
    def start(number: int) -> str:
        options = {"table": f"t{number // 4}", "schema": f"s{number // 4}"}
        with closing(Server(database, f"host:{number}", **options)) as server:
            return "owner" if server.claims() else "standby"

    with ThreadPoolExecutor(4) as threads:
        found = list(threads.map(start, range(24)))
    assert found.count("owner") >= 6
    assert database.sql("SELECT count(*) FROM s0.t0_shards") == [(64,)]


def test_server_without_a_cluster_does_not_use_its_table(database, server):
    server()
    with pytest.raises(StartupError, match="'fleet': start the server with --cluster"):
        alone(database)
    alone(database, table="other").close()


def test_other_cluster_does_not_use_the_table(server):
    server()
    with pytest.raises(StartupError, match="belongs to the cluster 'fleet': name that"):
        server(cluster="other")


def test_cluster_does_not_own_the_table_of_a_server_without_one(database, server):
    with closing(alone(database)) as other:
        other.commit([ONE], [])
        one = server()
        assert one.claims()
        with failing() as error:
            one.takes_up()
        assert "without --cluster" in str(error.value)
        other.commit([TWO], [])
    assert one.takes_up() == [ONE, TWO]


def test_engine_without_advisory_locks_has_no_such_server(database, server):
    one = server(schema="public")
    assert one.claims()
    database.sql("CREATE SCHEMA bare")
    database.sql(
        "CREATE FUNCTION bare.pg_try_advisory_lock(bigint) RETURNS bool"
        " LANGUAGE plpgsql AS $$ BEGIN RAISE feature_not_supported; END $$"
    )
    database.sql(
        f"ALTER DATABASE {database.name} SET search_path = bare, pg_catalog, public"
    )
    one.again()
    one.takes_up()


def test_collision_with_another_transaction_is_tried_again(two, monkeypatch):
    one, _ = two
    session = one.queue._store._session
    errors = [psycopg().errors.SerializationFailure] * 4
    errors[2] = psycopg().errors.DeadlockDetected
    check = one.queue._store._fence.check

    def collide(connection: Any) -> None:
        check(connection)
        if errors:
            raise errors.pop()

    monkeypatch.setattr(one.queue._store._fence, "check", collide)
    one.queue.commit([THREE], [1])
    assert not errors
    errors += [psycopg().errors.SerializationFailure] * 5
    with failing():
        one.queue.commit([THREE], [1])
    assert session is one.queue._store._session


def test_isolation_level_makes_no_difference(database, server):
    level = "default_transaction_isolation = serializable"
    database.sql(f"ALTER DATABASE {database.name} SET {level}")
    one, two = server(), server("two:2")
    one.owns()
    with ThreadPoolExecutor(1) as thread:
        renewals = thread.submit(lambda: [one.register.renew() for _ in range(50)])
        for number in range(10, 60):
            one.queue.commit([ONE._replace(number=number)], [number - 1])
        assert all(renewals.result())
    let_the_lease_end(database)
    assert two.owns() == [ONE._replace(number=59)]
    with pytest.raises(QueueError):
        one.queue.commit([], [59])
    with pytest.raises(Fenced):
        one.queue.commit([], [59])


def test_writable_server_is_found_among_several(database):
    read_only = SETTINGS | {"default_transaction_read_only": "on"}
    here = database.cluster.port
    with cluster(read_only) as other:
        hosts, ports = f"{HOST},{HOST},{HOST}", f"{free_port()},{other.port},{here}"
        conninfo = f"host={hosts} port={ports} user=postgres dbname=postgres"
        options = {"conninfo": conninfo, "schema": database.name}
        with closing(Server(database, "one:1", **options)) as one:
            assert one.owns() == []
            one.queue.commit([ONE], [])


def test_rows_of_the_inbox_are_taken_by_the_owner_only(database, server):
    one, two = server(inbox=True), server("two:2", inbox=True)
    one.owns()
    database.sql("INSERT INTO gearman_jobs_inbox (function_name) VALUES ('f')")
    inbox = one.queue.inbox()
    [row] = inbox.take(10, 1000, ())
    let_the_lease_end(database)
    two.owns()
    for _ in range(2):
        with pytest.raises(QueueError):
            inbox.commit([ONE], [], [row.id], {})
    assert two.queue.inbox().take(10, 1000, ()) == [row]
    two.queue.inbox().commit([ONE], [], [row.id], {})
    assert two.queue.inbox().take(10, 1000, ()) == []
