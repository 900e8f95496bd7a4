"""Servers of a cluster that share a table of Postgres: the lease and the fence."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from importlib import import_module
from typing import Any

import pytest

from gearman.errors import Fenced, QueueError
from tests.queues.backend_postgres import (
    SETTINGS,
    STRICT,
    Database,
    cluster,
    psycopg,
)
from tests.queues.shared_tables import Table, in_postgres, server_of, takes_over
from tests.queues.test_postgres_failures import (
    END,
    failing,
    locked_table,
    wait_until_blocked,
)
from tests.queues.test_register_contract import (
    ALL,
    LEASE,
    ONE,
    THREE,
    TWO,
)
from tests.servers import HOST, free_port, stopped

# They are about roles, advisory locks, or a Postgres without strict rules.
ordinary = pytest.mark.skipif(STRICT, reason="a test for an ordinary Postgres")


@pytest.fixture
def table(database: Database) -> Table:
    return in_postgres(database)


def test_living_connection_of_the_former_owner_is_fenced(database, two, monkeypatch):
    module = import_module("gearman.queues.postgres.register")
    monkeypatch.setattr(module, "end_backend", lambda *_: None)
    one, two_ = two
    takes_over(two_, one)
    with pytest.raises(Fenced):
        one.queue.commit([THREE], [65])
    assert database.sql("SELECT number FROM gearman_jobs ORDER BY 1") == [(65,), (66,)]


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
        commit = thread.submit(one.queue.commit, [THREE], [65])
        wait_until_blocked(database)
        assert two_.buries(one)
        with failing():
            commit.result()
    two_.register.take(ALL)
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


@ordinary
def test_claim_waits_for_a_commit_that_it_may_not_end(database, two, server):
    one, _ = two
    with (
        poor(database) as conninfo,
        ThreadPoolExecutor(2) as threads,
        closing(server_of(in_postgres(database), "two:2", conninfo=conninfo)) as other,
    ):
        with locked_table(database):
            commit = threads.submit(one.queue.commit, [THREE], [65])
            passing = wait_until_blocked(database)
            burial = threads.submit(other.joins().buries, one)
            wait_until_blocked(database, passing=passing)
        commit.result()
        assert burial.result()
        other.register.take(ALL)
        assert other.takes_up() == [TWO, THREE]
        with pytest.raises(Fenced):
            one.queue.commit([], [66])


def test_new_connection_ends_what_the_earlier_one_has_left(database, two):
    one, _ = two
    session = one.queue._store._session
    session._connection.patience = 0.3
    with locked_table(database):
        with failing():
            one.queue.commit([THREE], [65])
        with session.connection():
            pass
    assert one.takes_up() == [ONE, TWO]


def test_silent_database_costs_half_of_the_lease_at_most(database, server):
    one = server().joins()
    connection = one.register._session._connection
    connection.patience = 0.1
    with stopped(connection.info.backend_pid):
        with failing() as error:
            one.register.renew(0)
        assert "sent nothing" in str(error.value)
    assert one.register.renew(0)


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
    def start(number: int) -> int:
        group = number // 4
        options: dict[str, Any] = {"table": f"t{group}", "schema": f"s{group}"}
        with closing(
            server_of(in_postgres(database), f"host:{number}", **options)
        ) as server:
            server.owns()
            return len(server.shards)

    with ThreadPoolExecutor(4) as threads:
        found = list(threads.map(start, range(24)))
    assert max(found) == 64
    assert database.sql("SELECT count(*) FROM s0.t0_shards") == [(64,)]


def test_engine_without_advisory_locks_has_no_such_server(database, server):
    one = server(schema="public").joins()
    database.sql("CREATE SCHEMA bare")
    database.sql(
        "CREATE FUNCTION bare.pg_try_advisory_lock_shared(bigint) RETURNS bool"
        " LANGUAGE plpgsql AS $$ BEGIN RAISE feature_not_supported; END $$"
    )
    database.sql(
        f"ALTER DATABASE {database.name} SET search_path = bare, pg_catalog, public"
    )
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
    one.queue.commit([THREE], [65])
    assert not errors
    errors += [psycopg().errors.SerializationFailure] * 5
    with failing():
        one.queue.commit([THREE], [65])
    assert session is one.queue._store._session


def test_isolation_level_makes_no_difference(database, server):
    level = "default_transaction_isolation = serializable"
    database.sql(f"ALTER DATABASE {database.name} SET {level}")
    one, two = server(), server("two:2").joins()
    one.owns()
    with ThreadPoolExecutor(1) as thread:
        renewals = thread.submit(lambda: [one.register.renew(0) for _ in range(50)])
        for number in range(10, 60):
            one.queue.commit([ONE._replace(number=number)], [number - 1])
        assert all(renewals.result())
    assert takes_over(two, one) == [ONE._replace(number=59)]
    with pytest.raises(QueueError):
        one.queue.commit([], [59])
    with pytest.raises(Fenced):
        one.queue.commit([], [59])


def test_collision_that_only_the_commit_finds_is_tried_again(database, two):
    one, _ = two
    level = "default_transaction_isolation = serializable"
    database.sql(f"ALTER DATABASE {database.name} SET {level}")
    database.sql(END)
    with failing():
        one.queue.commit([], [])
    database.sql(LATE)
    one.queue.commit([THREE], [65])
    assert database.sql("SELECT number FROM gearman_jobs ORDER BY 1") == [(66,), (67,)]
    assert database.sql("SELECT last_value FROM tries") == [(3,)]


# The first two commits of a new job collide.
LATE = """
    CREATE SEQUENCE tries;
    CREATE FUNCTION fail() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$ BEGIN
        IF nextval('tries') < 3 THEN RAISE serialization_failure; END IF;
        RETURN NULL;
    END $$;
    CREATE CONSTRAINT TRIGGER late AFTER INSERT ON gearman_jobs
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION fail();
"""


@ordinary
def test_writable_server_is_found_among_several(database):
    read_only = SETTINGS | {"default_transaction_read_only": "on"}
    here = database.cluster.port
    with cluster(read_only) as other:
        hosts, ports = f"{HOST},{HOST},{HOST}", f"{free_port()},{other.port},{here}"
        conninfo = f"host={hosts} port={ports} user=postgres dbname=postgres"
        options = {"conninfo": conninfo, "schema": database.name}
        with closing(server_of(in_postgres(database), "one:1", **options)) as one:
            assert one.owns() == []
            one.queue.commit([ONE], [])
