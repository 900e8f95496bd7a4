"""Servers of a cluster that share a table of any database."""

from contextlib import closing

import pytest

from gearman.errors import QueueError, StartupError
from tests.queues.backend_postgres import STRICT
from tests.queues.shared_tables import Table, alone, in_mysql, in_postgres, takes_over
from tests.queues.test_postgres_failures import failing
from tests.queues.test_register_contract import ALL, ONE, THREE, TWO

pytestmark = pytest.mark.any_build


@pytest.fixture(params=["mysql", "postgres"])
def table(request: pytest.FixtureRequest) -> Table:
    if request.param == "mysql":
        return in_mysql(request.getfixturevalue("mysql_database"))
    return in_postgres(request.getfixturevalue("database"))


@pytest.fixture
def lockable(table: Table) -> Table:
    """A table that a server without a cluster can use, too."""
    if STRICT and table.plugin == "postgres":
        pytest.skip("a server without a cluster needs a lock")
    return table


def test_lease_that_is_over_is_seen(table, two):
    one, other = two
    table.let_the_leases_end()
    assert other.sees(one).over


def test_connection_that_was_ended_is_opened_again(table, two):
    one, _ = two
    table.end_sessions()
    with failing():
        one.queue.commit([THREE], [65])
    one.queue.commit([THREE], [65])
    with failing():
        one.register.renew(0)
    assert one.register.renew(0)


def test_server_without_a_cluster_does_not_use_its_table(lockable, server):
    server()
    with pytest.raises(StartupError, match="'fleet': name that with --cluster, or"):
        alone(lockable)
    alone(lockable, table="other").close()


def test_other_cluster_does_not_use_the_table(server):
    server()
    with pytest.raises(StartupError, match="belongs to the cluster 'fleet': name that"):
        server(cluster="other")


def test_cluster_does_not_own_the_table_of_a_server_without_one(lockable, server):
    with closing(alone(lockable)) as other:
        other.commit([ONE], [])
        one = server().joins()
        with failing() as error:
            one.takes_up()
        assert "without --cluster" in str(error.value)
        other.commit([TWO], [])
    one.register.take(ALL)
    assert one.takes_up() == [ONE, TWO]


def test_rows_of_the_inbox_are_taken_by_the_owner_only(table, server):
    one, two = server(inbox=True), server("two:2", inbox=True).joins()
    one.owns()
    table.sql("INSERT INTO gearman_jobs_inbox (function_name) VALUES ('f')")
    inbox = one.queue.inbox()
    [row] = inbox.take(10, 1000, ())
    takes_over(two, one)
    for _ in range(2):
        with pytest.raises(QueueError):
            inbox.commit([ONE], [], [row.id], {})
    assert two.queue.inbox().take(10, 1000, ()) == [row]
    two.queue.inbox().commit([ONE], [], [row.id], {})
    assert two.queue.inbox().take(10, 1000, ()) == []
