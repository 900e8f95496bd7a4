"""Servers of a cluster that share a table on three nodes of Galera."""

import re
import signal
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing, suppress
from itertools import count
from pathlib import Path

import pytest

from gearman.errors import Fenced
from gearman.queue import Queue
from tests.queues.attempts import tried
from tests.queues.backend_galera import Galera, GaleraDatabase
from tests.queues.shared_tables import Table, in_mysql, server_of, takes_over
from tests.queues.test_mysql_failures import failing
from tests.queues.test_register_contract import ALL, ONE, THREE, TWO, Server
from tests.servers import until

pytestmark = [pytest.mark.interop, pytest.mark.any_build]

DATABASES = map("galera{}".format, count())

# Whether a statement waits in SLEEP().
SLEEPING = "SELECT 1 FROM information_schema.processlist WHERE state = 'User sleep'"


def test_page_has_the_options_of_the_nodes(running):
    page = Path(__file__).parents[2].joinpath("docs/cluster.md").read_text()
    told = page.partition("    [mariadbd]\n")[2].partition("\n\n")[0]
    names = re.findall(r"^    (\w+) =", told, re.M)
    options = [option.replace("_", "-") for option in running.nodes[0].command()]
    assert len(names) == 6
    for name in names:
        start = f"--{name}=".replace("_", "-")
        assert any(option.startswith(start) for option in options)


@pytest.fixture
def running(galera: Galera) -> Galera:
    galera.heal()
    return galera


@pytest.fixture
def database(running: Galera) -> GaleraDatabase:
    return GaleraDatabase(running.nodes[1], next(DATABASES), running)


@pytest.fixture
def table(database: GaleraDatabase) -> Table:
    return in_mysql(database)


@pytest.fixture
def at(table: Table, database: GaleraDatabase) -> Iterator[Callable[..., Server]]:
    """A function that makes a server of some nodes, or of all."""
    with ExitStack() as stack:

        def make(*nodes: int, lease: float = 40.0) -> Server:
            options = {**database.at(*nodes), "lease": lease}
            server = server_of(table, f"at:{nodes}", **options)
            return stack.enter_context(closing(server))

        yield make


def test_what_was_committed_at_one_node_is_there_at_another(table, at):
    one, two = at(0), at(1).joins()
    stored = one.owns()
    for round in range(5):
        for more in range(10):
            job = ONE._replace(number=1000 + 10 * round + more)
            one.queue.commit([job], [])
            stored.append(job)
        assert takes_over(two, one) == stored
        one.joins()
        one, two = two, one
    with pytest.raises(Fenced):
        two.queue.commit([], [65])


def test_commit_is_made_as_a_whole_or_not_at_all(table, at):
    one = at(0)
    one.owns()
    enough = threading.Event()

    def disturb() -> None:
        while not enough.is_set():
            with suppress(Exception):
                table.sql("UPDATE gearman_jobs_servers SET joined = UTC_TIMESTAMP(6)")
            time.sleep(0.01)

    def commit() -> None:
        one.queue.commit([ONE._replace(number=n, workload=large) for n in new], old)

    old, large = [], bytes(range(256)) * 100
    with ThreadPoolExecutor(1) as thread:
        thread.submit(disturb)
        try:
            for number in range(10, 310, 10):
                new = [*range(number, number + 5)]
                tried(commit)
                assert table.numbers() == new
                old = new
        finally:
            enough.set()
    jobs = [ONE._replace(number=n, workload=large) for n in new]
    assert takes_over(at(2).joins(), one) == jobs


@pytest.fixture
def slow(
    running: Galera, monkeypatch: pytest.MonkeyPatch
) -> Callable[[Queue], Callable[[], None]]:
    """A function that has the next commit at node 0 wait before it ends.

    It returns a function that returns when that commit waits.
    """

    def until_it_waits() -> None:
        until(lambda: running.nodes[0].sql(SLEEPING))

    def make(queue: Queue) -> Callable[[], None]:
        guard = queue._store._guard  # type: ignore[attr-defined]
        checks = guard.checks
        begun = threading.Event()

        def waiting() -> list[bytes]:
            more = [] if begun.is_set() else [b"SET @slept = SLEEP(8)"]
            begun.set()
            return [*checks(), *more]

        monkeypatch.setattr(guard, "checks", waiting)
        return until_it_waits

    return make


def test_commit_that_collides_with_another_node_is_tried_again(table, at, slow):
    one = at(0)
    one.owns()
    one.queue.commit([ONE], [])
    until_it_waits = slow(one.queue)
    with ThreadPoolExecutor(1) as thread:
        commit = thread.submit(one.queue.commit, [TWO], [65])
        until_it_waits()
        table.sql("UPDATE gearman_jobs_servers SET commits = commits + 100")
        commit.result()
    assert table.numbers() == [66]
    [(commits,)] = table.sql("SELECT commits FROM gearman_jobs_servers")
    assert commits > 100


def test_claim_at_another_node_ends_a_commit_that_is_under_way(table, at, slow):
    one, two = at(0), at(1).joins()
    one.owns()
    one.queue.commit([ONE], [])
    until_it_waits = slow(one.queue)
    with ThreadPoolExecutor(1) as thread:
        commit = thread.submit(one.queue.commit, [TWO], [65])
        until_it_waits()
        assert takes_over(two, one) == [ONE]
        with pytest.raises(Fenced):
            commit.result()
    assert table.numbers() == [65]


def test_server_whose_node_is_cut_off_is_fenced(running, table, at):
    one, two = at(0, lease=4.0), at(1, 2, lease=4.0).joins()
    # The limits of such a lease are short for a busy machine.
    tried(one.owns)
    tried(lambda: one.queue.commit([ONE], []))
    running.nodes[0].isolate()
    tried(lambda: two.sees(one) and two.buries(one))
    tried(lambda: two.register.take(ALL))
    assert tried(two.takes_up) == [ONE]
    tried(lambda: two.queue.commit([TWO], [65]))

    def is_refused() -> bool:
        for call in renew(one), lambda: one.queue.commit([THREE], [65]):
            with failing() as error:
                call()
        # "WSREP has not yet prepared node", or "Not connected to Primary Component".
        return re.search("WSREP|Primary", str(error.value)) is not None

    until(is_refused)
    running.heal()
    assert not tried(renew(one))
    with pytest.raises(Fenced):
        tried(lambda: one.queue.commit([], []))
    assert table.numbers() == [66]


def test_server_of_several_nodes_goes_on_when_one_is_killed(running, table, at):
    one = at()
    one.owns()
    one.queue.commit([ONE], [])
    running.nodes[0].stop(signal.SIGKILL)
    for call in renew(one), lambda: one.queue.commit([TWO], [65]):
        with failing():
            call()
        tried(call)
    assert table.numbers() == [66]


def renew(server: Server) -> Callable[[], bool]:
    return lambda: server.register.renew(0)
