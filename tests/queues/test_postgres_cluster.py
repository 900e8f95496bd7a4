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
        if STRICT:
            level = "default_transaction_isolation = serializable"
            connection.execute(f"ALTER ROLE poor SET {level}")
        connection.execute("GRANT ALL ON ALL TABLES IN SCHEMA public TO poor")
    yield f"{database.conninfo} user=poor"
    database.sql("DROP OWNED BY poor")
    database.sql("DROP ROLE poor")


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


def test_reading_that_collides_is_tried_again(database, two):
    one, _ = two
    for table in "gearman_jobs", "gearman_jobs_shards":
        database.sql(COLLIDING.format(table))
    assert one.reads() == [ONE, TWO]
    assert len(one.register.look().shards) == 64


# The first two statements that read the table collide.
COLLIDING = """
    CREATE SEQUENCE tries_of_{0};
    CREATE FUNCTION passes_{0}() RETURNS bool LANGUAGE plpgsql SECURITY DEFINER AS $$
    BEGIN
        IF nextval('tries_of_{0}') < 3 THEN RAISE serialization_failure; END IF;
        RETURN true;
    END $$;
    ALTER TABLE {0} RENAME TO all_of_{0};
    CREATE VIEW {0} AS SELECT * FROM all_of_{0} WHERE passes_{0}();
    GRANT SELECT ON {0} TO PUBLIC;
"""


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


def test_writable_server_is_found_among_several(database):
    read_only = SETTINGS | {"default_transaction_read_only": "on"}
    here = database.cluster.port
    with cluster(read_only) as other:
        hosts, ports = f"{HOST},{HOST},{HOST}", f"{free_port()},{other.port},{here}"
        role = database.cluster.role
        conninfo = f"host={hosts} port={ports} user={role} dbname=postgres"
        options = {"conninfo": conninfo, "schema": database.name}
        with closing(server_of(in_postgres(database), "one:1", **options)) as one:
            assert one.owns() == []
            one.queue.commit([ONE], [])
