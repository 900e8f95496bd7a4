"""The plugin postgres if Postgres fails, or if two servers use one table."""

import os
import re
import signal
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager, suppress
from importlib import import_module
from itertools import count

import pytest

from gearman.errors import QueueError, StartupError
from gearman.queue import Queue, StoredJob
from tests.queues.attempts import tried
from tests.queues.backend_postgres import Database, opened, ordinary, psycopg
from tests.servers import stopped

ONE = StoredJob(1, b"H:host:1", b"f", b"u", b"one")
TWO = StoredJob(2, b"H:host:2", b"f", b"v", b"two")
THREE = StoredJob(3, b"H:host:3", b"g", b"u", b"three")

# The plugin's connections to this database, and whether they wait for a lock.
SESSIONS = """
    SELECT pid, wait_event_type = 'Lock' FROM pg_stat_activity
    WHERE application_name = 'gearmand' AND datname = current_database()
"""
END = f"SELECT pg_terminate_backend(pid) FROM ({SESSIONS}) AS sessions"


def content(database: Database) -> list[object]:
    with closing(opened(database)) as queue:
        return list(queue.replay())


def session(database: Database) -> int:
    [(pid, _)] = database.sql(SESSIONS)
    assert isinstance(pid, int)
    return pid


def wait_until_blocked(database: Database, *, passing: int = 0) -> int:
    """Wait until a session waits for a lock, and return its process id."""
    while True:
        for pid, blocked in database.sql(SESSIONS):
            if blocked and pid != passing:
                return int(pid)


@contextmanager
def failing() -> Iterator[pytest.ExceptionInfo[QueueError]]:
    with pytest.raises(QueueError) as error:
        yield error
    text = str(error.value)
    assert text.isprintable()
    assert 10 < len(text) < 300


@contextmanager
def locked_table(database: Database) -> Iterator[None]:
    with database.connect() as other, other.transaction():
        other.execute("LOCK TABLE gearman_jobs IN EXCLUSIVE MODE")
        yield


@pytest.fixture
def hasty(impatient: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Time limits of a second or less, for new connections."""
    module = import_module("gearman.queues.postgres.session")
    monkeypatch.setattr(module.Connection, "patience", 1)


@pytest.fixture
def queue(database: Database) -> Iterator[Queue]:
    with closing(opened(database)) as queue:
        queue.commit([ONE, TWO], [])
        yield queue


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGQUIT, signal.SIGTERM])
def test_restart_of_postgres_costs_one_failure(
    database: Database, queue: Queue, how: int
) -> None:
    if how == signal.SIGTERM:
        # Its smart shutdown waits for all sessions to end.
        database.sql(END)
    database.cluster.restart(how)
    with failing():
        queue.commit([THREE], [1])
    queue.commit([THREE], [1])
    queue.close()
    assert content(database) == [TWO, THREE]


def test_session_ended_by_an_administrator_is_opened_again(
    database: Database, queue: Queue
) -> None:
    database.sql(END)
    with failing() as error:
        queue.commit([THREE], [1])
    assert re.search("administrator|closed the connection", str(error.value))
    queue.commit([THREE], [1])
    queue.close()
    assert content(database) == [TWO, THREE]


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGKILL])
def test_process_killed_in_the_middle_of_a_commit(
    database: Database, queue: Queue, how: int
) -> None:
    # After SIGKILL, Postgres ends all other sessions, including the one with the lock.
    with (
        ThreadPoolExecutor(1) as thread,
        suppress(psycopg().Error),
        locked_table(database),
    ):
        commit = thread.submit(queue.commit, [THREE], [1])
        os.kill(wait_until_blocked(database), how)
        with failing():
            commit.result()
    database.cluster.restart(signal.SIGQUIT)
    queue.commit([THREE], [1])
    queue.close()
    assert content(database) == [TWO, THREE]


def test_what_was_committed_outlives_any_number_of_killed_sessions(
    database: Database, queue: Queue
) -> None:
    numbers = count(10)
    stored: set[int] = {1, 2}
    unknown: set[int] = set()
    enough = threading.Event()

    def kill() -> None:
        with database.connect() as other:
            while not enough.is_set():
                other.execute(END)

    with ThreadPoolExecutor(1) as thread:
        killer = thread.submit(kill)
        failures = 0
        while failures < 30:
            added = [ONE._replace(number=next(numbers)) for _ in range(20)]
            new, old = {job.number for job in added}, sorted(stored)[:15]
            try:
                queue.commit(added, old)
            except QueueError:
                failures += 1
                unknown |= new | set(old)
                stored -= set(old)
            else:
                stored = stored - set(old) | new
        enough.set()
        killer.result()
    found = {job.number for job in content_of(database, queue)}
    assert stored <= found <= stored | unknown


def content_of(database: Database, queue: Queue) -> list[StoredJob]:
    queue.close()
    return [job for job in content(database) if isinstance(job, StoredJob)]


@ordinary
def test_process_that_says_nothing_counts_as_gone(
    database: Database, hasty: None
) -> None:
    with closing(opened(database)) as queue:
        with stopped(session(database)):
            with failing() as error:
                queue.commit([ONE], [])
            assert "sent nothing" in str(error.value)
            # The stopped process still has the lock.
            with failing() as error:
                queue.commit([ONE], [])
            assert "in use" in str(error.value)
        tried(lambda: queue.commit([ONE], []))
    assert content(database) == [ONE]


def test_server_that_says_nothing_to_a_new_connection(database: Database) -> None:
    conninfo = f"{database.conninfo} connect_timeout=2"
    with (
        stopped(database.cluster.process.pid),
        pytest.raises(StartupError, match="timeout expired"),
    ):
        opened(database, conninfo=conninfo)


def test_wait_for_a_lock_of_others_has_an_end(
    database: Database, impatient: None
) -> None:
    with closing(opened(database)) as queue:
        with locked_table(database), failing() as error:
            queue.commit([ONE], [])
        assert "lock timeout" in str(error.value)
        queue.commit([ONE], [])
    assert content(database) == [ONE]


@ordinary
def test_what_a_lost_connection_left_running_comes_first(
    database: Database, queue: Queue, monkeypatch: pytest.MonkeyPatch
) -> None:
    connection = import_module("gearman.queues.postgres.session").Connection
    with ThreadPoolExecutor(1) as thread:
        with locked_table(database):
            with monkeypatch.context() as patch:
                patch.setattr(connection, "patience", 0.3)
                with failing():
                    queue.commit([THREE], [1])
            old = session(database)
            commit = thread.submit(queue.commit, [], [2, 3])
            wait_until_blocked(database, passing=old)
        commit.result()
    queue.close()
    assert content(database) == []


@ordinary
def test_table_taken_by_another_server_meanwhile(
    database: Database, queue: Queue, impatient: None
) -> None:
    database.sql(END)
    with failing():
        queue.commit([], [])
    with closing(opened(database)) as other:
        assert list(other.replay()) == [ONE, TWO]
        with failing() as error:
            queue.commit([THREE], [1])
        assert "in use by another server" in str(error.value)
        other.commit([], [2])
    queue.commit([THREE], [1])
    queue.close()
    assert content(database) == [THREE]


@ordinary
def test_server_waits_for_the_one_before_it(database: Database, queue: Queue) -> None:
    with ThreadPoolExecutor(1) as thread:
        start = thread.submit(opened, database)
        wait_until_blocked(database)
        queue.close()
        with closing(start.result()) as other:
            assert list(other.replay()) == [ONE, TWO]


@ordinary
def test_table_in_use_is_told(
    database: Database, queue: Queue, impatient: None
) -> None:
    with pytest.raises(StartupError, match=r"in use by another server: end that one"):
        opened(database)
    opened(database, table="other").close()
    opened(database, schema="other").close()


def test_missing_table_is_an_error_of_each_commit(
    database: Database, queue: Queue
) -> None:
    database.sql("ALTER TABLE gearman_jobs RENAME TO away")
    for _ in range(2):
        with failing() as error:
            queue.commit([THREE], [])
        assert "does not exist" in str(error.value)
    database.sql("ALTER TABLE away RENAME TO gearman_jobs")
    queue.commit([THREE], [])


def test_replay_fails_with_a_sentence(database: Database, queue: Queue) -> None:
    database.sql(END)
    with failing():
        list(queue.replay())
