"""Servers of a cluster that share a table of MariaDB: what other databases lack."""

from concurrent.futures import ThreadPoolExecutor
from contextlib import closing

import pytest
from gearman.queues.mysql.connection import DatabaseError
from gearman.queues.mysql.fence import Fence
from gearman.queues.mysql.register import limits_of_register, limits_of_store

from gearman.errors import Fenced, StartupError
from tests.queues.attempts import tried
from tests.queues.backend_mysql import SETTINGS, Database, daemon
from tests.queues.shared_tables import Table, alone, in_mysql, server_of, takes_over
from tests.queues.test_mysql_failures import failing, wait_until_blocked
from tests.queues.test_register_contract import ALL, ONE, THREE, TWO
from tests.servers import DEADLINE, HOST, free_port, stopped, until


@pytest.fixture
def database(mysql_database: Database) -> Database:
    return mysql_database


@pytest.fixture
def table(database: Database) -> Table:
    return in_mysql(database)


def test_living_connection_of_the_former_owner_is_fenced(table, two):
    one, two_ = two
    assert takes_over(two_, one) == [ONE, TWO]
    with pytest.raises(Fenced):
        one.queue.commit([THREE], [65])
    assert table.numbers() == [65, 66]


def test_earlier_connection_of_the_owner_cannot_commit(two):
    store = two[0].queue._store
    with store._session.connection() as connection:
        earlier = Fence(store._tables, two[0].claim.id)
        earlier._session = store._guard._session
        connection.run(b";".join(earlier.checks()))
        store._guard.begin(connection)
        connection.run(b";".join(store._guard.checks()))
        with pytest.raises(DatabaseError) as error:
            connection.run(b";".join(earlier.checks()))
        assert isinstance(earlier.refused(error.value), Fenced)


def test_claim_waits_for_a_commit_that_is_under_way(table, database, two):
    one, two_ = two
    with ThreadPoolExecutor(2) as threads, closing(database.connect()) as other:
        cursor = other.cursor()
        cursor.execute("START TRANSACTION")
        cursor.execute("SELECT 1 FROM gearman_jobs WHERE number = 65 FOR UPDATE")
        commit = threads.submit(one.queue.commit, [THREE], [65])
        wait_until_blocked(database, "DELETE")
        claim = threads.submit(two_.buries, one)
        wait_until_blocked(database, "gearman_jobs_servers` WHERE")
        cursor.execute("ROLLBACK")
        commit.result()
        assert claim.result()
    two_.register.take(ALL)
    assert two_.takes_up() == [TWO, THREE]
    with pytest.raises(Fenced):
        one.queue.commit([], [66])


def test_database_ends_a_commit_that_does_not_go_on(table, server):
    """As if the owner were stopped between two messages of a large commit."""
    one, two = server(lease=2.0), server("two:2", lease=2.0).joins()
    one.owns()
    one.queue.commit([ONE], [])
    store = one.queue._store
    with store._session.connection() as connection:
        begin = [b"START TRANSACTION", *store._guard.checks()]
        connection.run(b";".join([*begin, b"DELETE FROM gearman_jobs"]))
        until(lambda: tried(lambda: two.sees(one) is None or two.buries(one)))
    two.register.take(ALL)
    assert two.takes_up() == [ONE]
    with failing():
        one.queue.commit([], [65])


def test_silent_database_is_given_up_by_a_limit_of_the_lease(
    database, server, monkeypatch
):
    # Without a cluster nothing ends before the test does.
    monkeypatch.setattr("gearman.queues.mysql.connection.SILENCE", 10 * DEADLINE)
    one = server(lease=3.0)
    one.joins()
    with stopped(database.daemon.process.pid):
        with failing() as error:
            one.register.renew(0)
        assert "timed out" in str(error.value)
    assert tried(lambda: one.register.renew(0))


def test_limits_are_parts_of_the_lease():
    assert limits_of_register(8.0) == (1.0, 2.0, 2.0, 4.0, 4.0)
    assert limits_of_store(8.0) == (2.0, 4.0, 8.0, 16.0, 8.0)
    # As without a cluster, at most.
    assert limits_of_store(1000.0) == (10, 5, 20, 30, 60)
    assert limits_of_register(1.0).settings() == {
        **{"connect": 1, "lock": 1, "statement": 1, "silence": 1, "idle": 2}
    }


def test_server_without_a_cluster_that_was_not_seen_cannot_commit(
    table, server, monkeypatch
):
    """As on another node of Galera, which has locks of its own."""
    with closing(alone(table)) as other:
        other.commit([ONE], [])
        one = server()
        monkeypatch.setattr("gearman.queues.mysql.store.holder_of", lambda *_: None)
        assert one.owns() == [ONE]
        with failing() as error:
            other.commit([TWO], [65])
        assert "taken over by another server" in str(error.value)
    one.queue.commit([TWO], [65])


def test_collision_with_another_transaction_is_tried_again(two, monkeypatch):
    one, _ = two
    guard = one.queue._store._guard
    codes = [1213, 1020, 1213, 1213]
    checks = guard.checks

    def collide():
        if codes:
            raise DatabaseError("MySQL: a collision", codes.pop())
        return checks()

    monkeypatch.setattr(guard, "checks", collide)
    one.queue.commit([THREE], [65])
    assert not codes
    codes += [1213] * 5
    with failing():
        one.queue.commit([], [66])
    one.queue.commit([], [66])


def test_writable_host_is_found_among_several(table, database):
    with daemon(SETTINGS | {"read-only": "ON"}) as read_only:
        read_only.sql(f"CREATE DATABASE {database.name}")
        ports = free_port(), read_only.port, database.daemon.port
        hosts = ",".join(f"{HOST}:{port}" for port in ports)
        with closing(server_of(table, "one:1", host=hosts, port=0)) as one:
            assert one.owns() == []
            one.queue.commit([ONE], [])
            table.end_sessions()
            with failing():
                one.queue.commit([], [65])
            one.queue.commit([], [65])


def test_last_of_several_hosts_is_told_if_none_can_be_reached(table):
    hosts = ",".join(f"{HOST}:{free_port()}" for _ in range(3))
    with pytest.raises(StartupError, match="refused"):
        server_of(table, "one:1", host=hosts, port=0)
