"""The plugin mysql if the database fails, or if two servers use one table."""

import signal
import socket
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager, suppress
from importlib import import_module
from itertools import count
from typing import Any

import pytest
from gearman.queues.mysql.alone import lock_of
from gearman.queues.mysql.connection import Connection, DatabaseError

from gearman.errors import QueueError, StartupError
from gearman.queue import Queue, StoredJob, load
from tests import servers
from tests.queues.attempts import tried
from tests.queues.backend_mysql import USER, Database, mysqld
from tests.servers import DEADLINE

ONE = StoredJob(1, b"H:host:1", b"f", b"u", b"one")
TWO = StoredJob(2, b"H:host:2", b"f", b"v", b"two")
THREE = StoredJob(3, b"H:host:3", b"g", b"u", b"three")

# The plugin's connections to a database, and what they do.
SESSIONS = """
    SELECT id, state, info FROM information_schema.processlist
    WHERE db = %s AND user = %s
"""
# MySQL counts in seconds only.
IDLE_TIME = f"""
    SELECT {"time" if mysqld() else "time_ms"} FROM information_schema.processlist
    WHERE id = %s
"""


@pytest.fixture
def database(mysql_database: Database) -> Database:
    return mysql_database


def opened(database: Database, **options: Any) -> Queue:
    return load("mysql")(**{**database.tcp, **options})


def content(database: Database) -> list[object]:
    with closing(opened(database)) as queue:
        return list(queue.replay())


def sessions(database: Database) -> list[tuple[int, str, str | None]]:
    return database.daemon.sql(SESSIONS, database.name, USER)


def end_sessions(database: Database) -> None:
    for number, *_ in sessions(database):
        with suppress(Exception):
            database.daemon.sql(f"KILL {number}")


def wait_until_blocked(database: Database, text: str = "UPDATE") -> int:
    """Wait until a session waits with such a statement, and return its number."""
    deadline = time.monotonic() + DEADLINE
    while time.monotonic() < deadline:
        for number, _, info in sessions(database):
            if info and text in info:
                return number
    raise AssertionError(f"no session waits: {sessions(database)}")


@contextmanager
def failing() -> Iterator[pytest.ExceptionInfo[QueueError]]:
    with pytest.raises(QueueError) as error:
        yield error
    text = str(error.value)
    assert text.isprintable()
    assert 10 < len(text) < 300


@contextmanager
def locked_row(database: Database) -> Iterator[None]:
    """Another session has the row that each batch locks."""
    with closing(database.connect()) as other:
        cursor = other.cursor()
        cursor.execute("START TRANSACTION")
        cursor.execute("SELECT 1 FROM gearman_jobs WHERE number = 0 FOR UPDATE")
        yield
        cursor.execute("ROLLBACK")


class Proxy:
    """Passes bytes on between the plugin and the database, until it is `cut`.

    Then the connections stay open, and nothing comes through, as if the network failed.
    """

    def __init__(self, target: int) -> None:
        self._target = target
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self.cut = False
        self._sockets = [self._listener]
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                server = socket.create_connection(("127.0.0.1", self._target))
                self._sockets += client, server
                for pair in (client, server), (server, client):
                    threading.Thread(target=self._pass, args=pair, daemon=True).start()

    def _pass(self, source: socket.socket, target: socket.socket) -> None:
        with suppress(OSError):
            while data := source.recv(65536):
                if self.cut:
                    return
                target.sendall(data)
            if not self.cut:
                target.shutdown(socket.SHUT_WR)

    def close(self) -> None:
        for one in self._sockets:
            with suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
            one.close()


@pytest.fixture
def proxy(database: Database) -> Iterator[Proxy]:
    with closing(Proxy(database.daemon.port)) as proxy:
        yield proxy


@pytest.fixture
def hasty(impatient: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Time limits of a second, for new connections."""
    monkeypatch.setattr("gearman.queues.mysql.connection.SILENCE", 1)
    monkeypatch.setattr("gearman.queues.mysql.connection.CONNECT", 1)


@pytest.fixture
def queue(database: Database) -> Iterator[Queue]:
    with closing(opened(database)) as queue:
        queue.commit([ONE, TWO], [])
        yield queue


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGKILL])
def test_restart_of_mariadb_costs_one_failure(
    database: Database, queue: Queue, how: int
) -> None:
    database.daemon.restart(how)
    with failing():
        queue.commit([THREE], [1])
    queue.commit([THREE], [1])
    queue.close()
    assert content(database) == [TWO, THREE]


def test_session_ended_by_an_administrator_is_opened_again(
    database: Database, queue: Queue
) -> None:
    end_sessions(database)
    with failing():
        queue.commit([THREE], [1])
    queue.commit([THREE], [1])
    queue.close()
    assert content(database) == [TWO, THREE]


def test_mariadb_killed_in_the_middle_of_a_commit(
    database: Database, queue: Queue
) -> None:
    with ThreadPoolExecutor(1) as thread, suppress(Exception), locked_row(database):
        commit = thread.submit(queue.commit, [THREE], [1])
        wait_until_blocked(database)
        database.daemon.stop(signal.SIGKILL)
        with failing():
            commit.result()
    database.daemon.start()
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
        while not enough.is_set():
            end_sessions(database)

    with ThreadPoolExecutor(1) as thread:
        killer = thread.submit(kill)
        failures = 0
        while failures < 20:
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
    queue.close()
    jobs = [job for job in content(database) if isinstance(job, StoredJob)]
    found = {job.number for job in jobs}
    assert stored <= found <= stored | unknown


def test_commit_whose_outcome_is_unknown_is_made_again(
    database: Database, queue: Queue, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = Connection.run

    def lost(connection: Connection, statements: bytes) -> Any:
        run(connection, statements)
        raise DatabaseError("MySQL: the answer was lost")

    with monkeypatch.context() as patch:
        patch.setattr(Connection, "run", lost)
        with failing():
            queue.commit([THREE], [1])
    assert len(database.sql("SELECT 1 FROM gearman_jobs WHERE number IN (2, 3)")) == 2
    queue.commit([THREE._replace(retries=1)], [1])
    queue.close()
    assert content(database) == [TWO, THREE._replace(retries=1)]


def test_network_that_is_cut_costs_a_limited_time(
    database: Database, proxy: Proxy, hasty: None
) -> None:
    with closing(opened(database, port=proxy.port)) as queue:
        queue.commit([ONE], [])
        proxy.cut = True
        for _ in range(2):
            with failing() as error:
                queue.commit([TWO], [1])
        assert "timed out" in str(error.value)
        proxy.cut = False
        # The old session may still have the lock, and is ended.
        tried(lambda: queue.commit([TWO], [1]))
    assert content(database) == [TWO]


def test_database_that_says_nothing_counts_as_gone(
    database: Database, hasty: None
) -> None:
    with closing(opened(database)) as queue:
        with servers.stopped(database.daemon.process.pid):
            for _ in range(2):
                with failing() as error:
                    queue.commit([ONE], [])
                assert "timed out" in str(error.value)
            with pytest.raises(StartupError, match="timed out"):
                opened(database)
        tried(lambda: queue.commit([ONE], []))
    assert content(database) == [ONE]


def test_what_is_no_database_is_told(hasty: None) -> None:
    with closing(socket.create_server(("127.0.0.1", 0))) as listener:
        port = listener.getsockname()[1]
        where: dict[str, Any] = {"host": "127.0.0.1", "port": port, "db": "x"}

        def answer() -> None:
            peer, _ = listener.accept()
            with peer:
                peer.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n" * 100)

        with ThreadPoolExecutor(1) as thread:
            thread.submit(answer)
            with pytest.raises(StartupError, match="can't be opened: MySQL"):
                load("mysql")(**where)


def test_wait_for_a_lock_of_others_has_an_end(
    database: Database, impatient: None
) -> None:
    with closing(opened(database)) as queue:
        with locked_row(database), failing() as error:
            queue.commit([ONE], [])
        assert "Lock wait timeout" in str(error.value)
        queue.commit([ONE], [])
    assert content(database) == [ONE]


def test_victim_of_a_deadlock_tries_again(
    database: Database, queue: Queue, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another session has row 1, and wants the row that the batch has."""
    with closing(database.connect()) as other, ThreadPoolExecutor(1) as thread:
        cursor = other.cursor()
        cursor.execute("START TRANSACTION")
        # It has changed more, so it is not the victim.
        for number in range(100, 150):
            cursor.execute(
                f"INSERT INTO gearman_jobs VALUES ({number}, 0, '', '', '', '', 0, 0,"
                " 0, NULL, NULL)"
            )
        cursor.execute("SELECT 1 FROM gearman_jobs WHERE number = 1 FOR UPDATE")
        commit = thread.submit(queue.commit, [THREE], [1])
        wait_until_blocked(database, "DELETE")
        cursor.execute("SELECT 1 FROM gearman_jobs WHERE number = 0 FOR UPDATE")
        cursor.execute("ROLLBACK")
        commit.result()
    queue.close()
    assert content(database) == [TWO, THREE]


def test_deadlocks_without_end_are_an_error(
    database: Database, queue: Queue, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = Connection.run
    tried = []

    def victim(connection: Connection, statements: bytes) -> Any:
        if b"INSERT" in statements:
            tried.append(statements)
            raise DatabaseError("MySQL: Deadlock found", 1213)
        return run(connection, statements)

    with monkeypatch.context() as patch:
        patch.setattr(Connection, "run", victim)
        with failing():
            queue.commit([THREE], [1])
    assert len(tried) == 5
    queue.commit([THREE], [1])


def test_what_a_lost_connection_left_running_comes_first_or_not_at_all(
    database: Database, queue: Queue, proxy: Proxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    queue.close()
    monkeypatch.setattr("gearman.queues.mysql.connection.SILENCE", 1)
    with closing(opened(database, port=proxy.port)) as other:
        monkeypatch.undo()
        with locked_row(database):
            with failing():
                other.commit([THREE], [1])
            assert wait_until_blocked(database)
        other.commit([], [2, 3])
        with closing(database.connect()):
            pass
    assert {job.number for job in jobs(database)} <= {1}


def jobs(database: Database) -> list[StoredJob]:
    return [job for job in content(database) if isinstance(job, StoredJob)]


def test_server_waits_for_the_one_before_it(database: Database, queue: Queue) -> None:
    with ThreadPoolExecutor(1) as thread:
        start = thread.submit(opened, database)
        wait_until_blocked(database, "GET_LOCK")
        queue.close()
        with closing(start.result()) as other:
            assert list(other.replay()) == [ONE, TWO]


def test_table_in_use_is_told(
    database: Database, queue: Queue, impatient: None
) -> None:
    with pytest.raises(StartupError, match=r"in use by another server: end that one"):
        opened(database)
    opened(database, table="other").close()


def test_table_taken_by_another_server_meanwhile_is_not_written_to(
    database: Database, queue: Queue, impatient: None
) -> None:
    end_sessions(database)
    with failing():
        queue.commit([], [])
    with closing(opened(database)) as other:
        assert list(other.replay()) == [ONE, TWO]
        with failing() as error:
            queue.commit([THREE], [1])
        assert "in use by another server" in str(error.value)
        other.commit([], [2])
    for _ in range(2):
        with failing() as error:
            queue.commit([THREE], [1])
        assert "taken over by another server" in str(error.value)
    assert content(database) == [ONE]


def test_lost_lock_does_not_let_two_servers_write(
    database: Database, queue: Queue
) -> None:
    """As if the database had released the lock of a connection that still works."""
    [(number, *_)] = sessions(database)
    store = queue._store  # type: ignore[attr-defined]
    with store._session.connection() as connection:
        lock = lock_of(connection, "gearman_jobs")
        connection.run(b"DO RELEASE_LOCK('%b')" % lock)
    with closing(opened(database)) as other:
        other.commit([THREE], [])
        with failing() as error:
            queue.commit([], [1, 2, 3])
        assert "taken over" in str(error.value)
        other.commit([], [1])
    assert number
    assert content(database) == [TWO, THREE]


def test_idle_server_keeps_its_session(
    database: Database, monkeypatch: pytest.MonkeyPatch, impatient: None
) -> None:
    monkeypatch.setattr("gearman.queues.mysql.connection.IDLE", 4)
    with closing(opened(database)) as queue:
        [before] = [number for number, *_ in sessions(database)]
        idle = [0.0]

        def has_spoken() -> bool:
            """Whether the session has been idle for a shorter time than at last."""
            [(now,)] = database.daemon.sql(IDLE_TIME, before)
            last, idle[0] = idle[0], now
            return bool(now < last)

        servers.until(has_spoken)
        queue.commit([ONE], [])
        assert [number for number, *_ in sessions(database)] == [before]
        # An ended session is opened again, before somebody else has the table.
        end_sessions(database)
        deadline = time.monotonic() + DEADLINE
        while not [n for n, *_ in sessions(database) if n != before]:
            assert time.monotonic() < deadline
        queue.commit([TWO], [])
    assert content(database) == [ONE, TWO]


def test_silent_session_of_a_lost_machine_is_ended_by_the_database(
    database: Database, proxy: Proxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gearman.queues.mysql.connection.IDLE", 1)
    with closing(opened(database, port=proxy.port)) as queue:
        queue.commit([ONE], [])
        proxy.cut = True
        assert content(database) == [ONE]


def test_missing_table_is_an_error_of_each_commit(
    database: Database, queue: Queue
) -> None:
    database.sql("RENAME TABLE gearman_jobs TO away")
    for _ in range(2):
        with failing() as error:
            queue.commit([THREE], [])
        assert "doesn't exist" in str(error.value)
    database.sql("RENAME TABLE away TO gearman_jobs")
    queue.commit([THREE], [])


def test_replay_fails_with_a_sentence(database: Database, queue: Queue) -> None:
    end_sessions(database)
    with failing():
        list(queue.replay())


def test_closed_queue_stores_nothing(database: Database, queue: Queue) -> None:
    queue.close()
    with failing() as error:
        queue.commit([THREE], [])
    assert "closed" in str(error.value)


def test_thread_beats_until_it_is_stopped() -> None:
    pulse_module = import_module("gearman.queues.mysql.pulse")
    beats = threading.Semaphore(0)
    pulse = pulse_module.Pulse(0.01, beats.release)
    pulse.start()
    pulse.start()
    assert beats.acquire(timeout=DEADLINE)
    pulse.stop()
    pulse.start()
