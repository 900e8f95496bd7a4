"""The plugin mysql: its options, its table, what it stores and what it refuses."""

import re
import signal
import sys
from contextlib import closing
from typing import Any

import pytest
from gearman.queues.mysql import statements, store
from gearman.queues.mysql.connection import Connection
from gearman.queues.mysql.store import Store

from gearman.commands import MAX_FUNCTION
from gearman.errors import ConfigurationError, JobRefused, QueueError, StartupError
from gearman.queue import Queue, StoredJob, Unreadable, load
from tests.queues.backend_mysql import Database, mysqld

ONE = StoredJob(1, b"H:host:1", b"f", b"u", b"one")
TWO = StoredJob(2, b"H:host:2", b"f", b"v", b"two")
THREE = StoredJob(3, b"H:host:3", b"g", b"u", b"three")

JOBS = "number > 0 AND part = 0"


@pytest.fixture
def database(mysql_database: Database) -> Database:
    return mysql_database


def opened(database: Database, **options: Any) -> Queue:
    return load("mysql")(**{**database.arguments, **options})


def content(database: Database, **options: Any) -> list[StoredJob | Unreadable]:
    with closing(opened(database, **options)) as queue:
        return list(queue.replay())


def fill(database: Database, *jobs: StoredJob, **options: Any) -> None:
    with closing(opened(database, **options)) as queue:
        queue.commit(jobs, [])


def test_missing_pymysql_is_told_with_the_extra(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "pymysql", None)
    with pytest.raises(ConfigurationError, match=r"pip install 'gearman-py\[mysql"):
        load("mysql")()


@pytest.mark.parametrize(
    "name", ["x" * 65, "a\0b", "a\nb", "\udcff", "space ", "\N{GRINNING FACE}"]
)
def test_name_that_mysql_does_not_allow_is_refused(
    database: Database, name: str
) -> None:
    with pytest.raises(ConfigurationError, match="--mysql-table "):
        opened(database, table=name)
    with pytest.raises(ConfigurationError, match="--mysql-table "):
        load("mysql").check({"table": name, "db": "x"})


NAMES = [
    "x" * 64,
    "Größe",
    "select",
    "a.b",
    "%s %d",
    "it's",
    "x` (a int); DROP TABLE precious; --",
    "back\\slash",
]


@pytest.mark.parametrize("name", NAMES)
def test_names_are_taken_as_they_are(database: Database, name: str) -> None:
    database.sql("CREATE TABLE precious (number int)")
    fill(database, ONE, table=name)
    with closing(opened(database, table=name)) as queue:
        assert list(queue.replay()) == [ONE]
        queue.commit([TWO], [1])
    assert content(database, table=name) == [TWO]
    assert database.sql("SELECT 1 FROM precious") == []


def test_names_do_not_get_out_of_their_strings(database: Database) -> None:
    for bad in b"'; DROP TABLE gearman_jobs; --\"%s", b"\\", b"\\'", b"''", b"'\\'":
        jobs = [
            ONE._replace(
                function=bad, unique=bad, handle=bad, workload=bad, reducer=bad
            ),
            TWO._replace(extra=bad),
        ]
        fill(database, *jobs)
        assert content(database) == jobs


def test_table_with_other_columns_is_left_alone(database: Database) -> None:
    database.sql("CREATE TABLE gearman_jobs (number bigint PRIMARY KEY, handle text)")
    with pytest.raises(StartupError, match="--mysql-table"):
        opened(database)


def test_table_without_transactions_is_refused(database: Database) -> None:
    fill(database, ONE)
    database.sql("ALTER TABLE gearman_jobs ENGINE = MyISAM")
    with pytest.raises(StartupError, match="`gearman_jobs` ENGINE = InnoDB") as error:
        opened(database)
    [advice] = re.findall("ALTER TABLE .*$", str(error.value))
    database.sql(advice)
    assert content(database) == [ONE]


def test_columns_may_be_added(database: Database) -> None:
    fill(database, ONE)
    database.sql("ALTER TABLE gearman_jobs ADD since timestamp DEFAULT now()")
    fill(database, TWO)
    assert content(database) == [ONE, TWO]


def weak_user(database: Database, *grants: str) -> dict[str, str]:
    name = f"weak_{database.name}"
    database.sql(f"CREATE USER {name}")
    for grant in grants:
        database.sql(f"GRANT {grant} TO {name}")
    return {"user": name}


def test_missing_right_to_create_is_told(database: Database) -> None:
    weak = weak_user(database, f"SELECT ON {database.name}.*")
    with pytest.raises(StartupError, match=r"denied to user .*: grant that"):
        opened(database, **weak)


def test_user_needs_no_right_to_create_what_is_there(database: Database) -> None:
    fill(database, ONE)
    on = f"ON {database.name}.gearman_jobs"
    weak = weak_user(database, f"SELECT, INSERT, UPDATE {on}")
    with pytest.raises(StartupError, match="DELETE command denied"):
        opened(database, **weak)
    database.sql(f"GRANT DELETE {on} TO {weak['user']}")
    assert content(database, **weak) == [ONE]


def test_database_that_is_read_only_is_told(database: Database) -> None:
    fill(database, ONE)
    on = f"ON {database.name}.*"
    weak = weak_user(database, f"SELECT, INSERT, UPDATE, DELETE, CREATE {on}")
    database.sql("SET GLOBAL read_only = 1")
    try:
        with pytest.raises(StartupError, match="primary"):
            opened(database, **weak)
    finally:
        database.sql("SET GLOBAL read_only = 0")


def test_settings_of_the_database_are_set_as_needed(database: Database) -> None:
    read_only = "transaction_read_only" if mysqld() else "tx_read_only"
    odd = {
        "sql_mode": "'ANSI_QUOTES,PAD_CHAR_TO_FULL_LENGTH'",
        "autocommit": "0",
        "completion_type": "2",
        "sql_select_limit": "1",
        "character_set_server": "sjis",
        read_only: "1",
    }
    weak = weak_user(database, f"ALL ON {database.name}.*")
    before = {name: database.sql(f"SELECT @@global.{name}") for name in odd}
    for name, value in odd.items():
        database.sql(f"SET GLOBAL {name} = {value}")
    try:
        jobs = [ONE._replace(workload=b"\x83\\'\xff"), TWO]
        fill(database, *jobs, **weak)
        assert content(database, **weak) == jobs
    finally:
        for name, [(value,)] in before.items():
            database.sql(f"SET GLOBAL {name} = %s", value)


@pytest.mark.parametrize(
    ("flush", "has_log", "sync", "text"),
    [
        (0, False, 0, "is 0: if it or its machine crashes"),
        (2, True, 1, "is 2: if its machine crashes"),
        (1, True, 0, "sync_binlog of the database is 0"),
        (1, True, 1, ""),
        (1, False, 0, ""),
    ],
)
def test_what_a_crash_may_lose_is_told(
    flush: int, has_log: bool, sync: int, text: str
) -> None:
    warning = store.what_may_be_lost(flush, has_log, sync)
    assert text in warning
    assert bool(warning) == bool(text)


def test_settings_that_lose_jobs_are_logged_at_the_start(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines: list[str] = []
    monkeypatch.setattr(
        store.log, "warning", lambda text, *given: lines.append(given[0])
    )
    opened(database).close()
    assert lines == []
    database.sql("SET GLOBAL innodb_flush_log_at_trx_commit = 2")
    opened(database).close()
    database.sql("SET GLOBAL innodb_flush_log_at_trx_commit = 1")
    assert len(lines) == 1
    assert "is 2" in lines[0]


def test_commit_is_durable_when_the_database_is_killed(database: Database) -> None:
    queue = opened(database)
    queue.commit([ONE, TWO], [])
    queue.commit([THREE], [1])
    database.daemon.restart(signal.SIGKILL)
    queue.close()
    assert content(database) == [TWO, THREE]


def test_rows_that_are_no_jobs_are_reported_and_stay(database: Database) -> None:
    fill(database, *(ONE._replace(number=number) for number in range(1, 6)))
    for fault in (
        "priority = 9 WHERE number = 1",
        "function_name = 'a\\0b' WHERE number = 2",
        f"function_name = repeat('f', {MAX_FUNCTION + 1}) WHERE number = 3",
        "number = -4 WHERE number = 4",
    ):
        database.sql(f"UPDATE gearman_jobs SET {fault}")
    for _ in range(2):
        found = content(database)
        assert found[-1] == ONE._replace(number=5)
        assert [one.key for one in found[:-1] if isinstance(one, Unreadable)] == [
            f"number {number} of gearman_jobs" for number in (-4, 1, 2, 3)
        ]


def test_replay_has_pages_and_reads_large_workloads_apart(database: Database) -> None:
    sizes = dict.fromkeys((1, 1999, 2000, 2001, 4500), 20000)
    jobs = [
        ONE._replace(number=number, workload=bytes(sizes.get(number, number % 7)))
        for number in range(1, 4501)
    ]
    fill(database, *jobs)
    assert content(database) == jobs


def test_commit_is_possible_before_the_replay_ended(database: Database) -> None:
    fill(database, *(ONE._replace(number=number) for number in range(1, 2500)))
    with closing(opened(database)) as queue:
        replay = queue.replay()
        next(replay)
        queue.commit([], [2])
    assert len(content(database)) == 2498


def test_batch_of_several_messages_is_one_transaction(database: Database) -> None:
    workload = bytes(9 * 1024 * 1024)
    fill(database, ONE)
    database.sql("ALTER TABLE gearman_jobs ADD CHECK (number <> 5)")
    jobs = [TWO._replace(number=n, workload=workload) for n in range(2, 6)]
    with closing(opened(database)) as queue:
        with pytest.raises(QueueError, match="(?i)constraint"):
            queue.commit(jobs, [1])
        assert database.sql(f"SELECT number FROM gearman_jobs WHERE {JOBS}") == [(1,)]
        queue.commit(jobs[:3], [1])
    assert content(database) == jobs[:3]


def test_replacing_removes_what_is_to_be_removed_as_well(database: Database) -> None:
    with closing(opened(database)) as queue:
        queue.commit([ONE, TWO], [])
        queue.commit([ONE._replace(workload=b"new"), THREE], [2])
    assert content(database) == [ONE._replace(workload=b"new"), THREE]


def test_row_is_replaced_at_the_first_attempt(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(database, ONE)
    with closing(opened(database)) as queue:
        assert list(queue.replay()) == [ONE]
        attempts, write = [], Store._try

        def counted(*given: Any) -> None:
            attempts.append(given)
            write(*given)

        monkeypatch.setattr(Store, "_try", counted)
        queue.commit([ONE._replace(retries=1), TWO], [])
        queue.commit([TWO._replace(retries=1)], [1])
        assert len(attempts) == 2
    assert content(database) == [TWO._replace(retries=1)]


def test_row_that_is_there_unexpectedly_is_replaced(database: Database) -> None:
    fill(database, ONE, TWO)
    with closing(opened(database)) as queue:
        # As if the outcome of a commit were unknown.
        queue.commit([ONE._replace(retries=1)], [2])
    assert content(database) == [ONE._replace(retries=1)]


def test_small_batch_is_one_round_trip(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    with closing(opened(database)) as queue:
        sent, run = [], Connection.run

        def counted(connection: Connection, statements: bytes) -> Any:
            sent.append(statements)
            return run(connection, statements)

        monkeypatch.setattr(Connection, "run", counted)
        queue.commit([ONE, TWO], [])
        queue.commit([THREE], [1])
        assert len(sent) == 2


def large(number: int, size: int, extra: int = 0) -> StoredJob:
    """Return a job with quotes in all parts, and different bytes in each."""
    data = b"".join(b"'%d'" % n for n in range(max(size, extra) // 3 + 1))
    return ONE._replace(number=number, workload=data[:size], extra=data[:extra])


PART = statements.PART


@pytest.mark.parametrize(
    ("workload", "extra"),
    [
        *((PART - 1, 0), (PART, 0), (PART + 1, 0), (2 * PART, 1), (2 * PART + 1, PART)),
        *((1, PART + 1), (0, 2 * PART), (16385, 16385), (16384, 16384)),
    ],
)
def test_job_is_stored_in_parts(database: Database, workload: int, extra: int) -> None:
    jobs = [ONE, large(2, workload, extra), THREE]
    fill(database, *jobs)
    parts = max(-(-max(workload, extra) // PART), 1)
    found = database.sql("SELECT part FROM gearman_jobs WHERE number = 2")
    assert len(found) == parts
    assert content(database) == jobs
    with closing(opened(database)) as queue:
        list(queue.replay())
        # It becomes smaller, and goes.
        queue.commit([TWO], [])
        assert len(database.sql("SELECT 1 FROM gearman_jobs WHERE number = 2")) == 1
        queue.commit([], [2])
    assert content(database) == [ONE, THREE]


def test_small_packets_are_enough_for_large_jobs(database: Database) -> None:
    [(usual,)] = database.sql("SELECT @@global.max_allowed_packet")
    jobs = [large(1, 5 << 20, 3 << 20), ONE._replace(number=2, workload=b"'" * 10**6)]
    database.sql("SET GLOBAL max_allowed_packet = 1048576")
    try:
        fill(database, *jobs)
        assert content(database) == jobs
        database.sql("SET GLOBAL max_allowed_packet = 524288")
        with pytest.raises(StartupError, match="max_allowed_packet of the database is"):
            opened(database)
    finally:
        database.sql("SET GLOBAL max_allowed_packet = %s", usual)


def test_rows_written_with_large_packets_are_read_with_small_ones(
    database: Database,
) -> None:
    [(usual,)] = database.sql("SELECT @@global.max_allowed_packet")
    jobs = [large(1, 5 << 20)]
    fill(database, *jobs)
    database.sql("SET GLOBAL max_allowed_packet = 1048576")
    try:
        assert content(database) == jobs
    finally:
        database.sql("SET GLOBAL max_allowed_packet = %s", usual)


def test_workload_over_the_limit_is_refused(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store, "LARGEST", 100)
    with closing(opened(database)) as queue:
        with pytest.raises(JobRefused, match="100 at most") as refusal:
            queue.commit([ONE, TWO._replace(workload=bytes(101))], [])
        assert set(refusal.value.reasons) == {2}
        queue.commit([ONE._replace(workload=bytes(100))], [])


def test_many_jobs_are_removed_by_several_statements(database: Database) -> None:
    numbers = range(1, 2502)
    with closing(opened(database)) as queue:
        queue.commit([ONE._replace(number=number) for number in numbers], [])
        queue.commit([], numbers[:-1])
    assert content(database) == [ONE._replace(number=2501)]


def test_emptied_table_is_used_further(database: Database) -> None:
    with closing(opened(database)) as queue:
        queue.commit([ONE], [])
        database.sql("TRUNCATE gearman_jobs")
        queue.commit([TWO], [1])
        queue.commit([THREE], [])
    assert content(database) == [TWO, THREE]


def test_row_of_the_owner_is_no_job(database: Database) -> None:
    fill(database, ONE)
    rows = database.sql("SELECT number, part FROM gearman_jobs ORDER BY number")
    assert rows == [(0, 0), (1, 0)]
    assert content(database) == [ONE]


def statement(limit: int, first: list[bytes], rows: list[bytes]) -> list[bytes]:
    return [*statements.messages(b"t", first, rows, limit)]


def test_messages_are_split_between_statements_and_rows() -> None:
    insert = b"INSERT INTO t (%b) VALUES " % statements.LIST
    one = statement(1000, [b"A", b"B"], [b"(1)", b"(2)"])
    assert one == [b"START TRANSACTION;A;B;" + insert + b"(1),(2);COMMIT"]
    assert statement(1000, [], []) == [b"START TRANSACTION;COMMIT"]
    rows = [b"(%0200d)" % n for n in range(5)]
    several = statement(700, [b"A" * 690, b"B"], rows)
    assert several[0] == b"START TRANSACTION"
    assert several[1] == b"A" * 690 + b";B"
    assert b";".join(several[2:]).count(insert) == len(several) - 2
    assert all(len(message) <= 700 for message in several)
    assert several[-1].endswith(b";COMMIT")
    assert b"".join(several).replace(insert, b",").count(b"(0") == 5
