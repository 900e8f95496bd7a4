"""Jobs that gearmand has left in MySQL are taken over."""

import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import Any

import pytest

from gearman.errors import StartupError
from gearman.queue import HIGH, LOW, NORMAL, Queue, StoredJob, Unreadable, load
from tests import servers
from tests.queues.backend_mysql import Database
from tests.wire import Peer

# As gearmand creates it, with its default character set.
TABLE = """
    CREATE TABLE {} (
        unique_key VARCHAR(64), function_name VARCHAR(255), priority INT,
        data LONGBLOB, when_to_run INT, UNIQUE KEY (unique_key, function_name)
    ) CHARACTER SET {}
"""
ALL_BYTES = bytes(range(256))

Submission = tuple[str, *tuple[bytes, ...]]
SUBMISSIONS: list[Submission] = [
    ("SUBMIT_JOB_BG", b"f", b"normal", b"one"),
    ("SUBMIT_JOB_LOW_BG", b"f", b"low", b"two"),
    ("SUBMIT_JOB_HIGH_BG", b"f", b"high", ALL_BYTES),
    ("SUBMIT_JOB_EPOCH", b"f", b"epoch", b"2000000000", b"later"),
    ("SUBMIT_JOB_BG", b"f", b"empty", b""),
    ("SUBMIT_JOB_BG", b"f", b"", b"no unique"),
    ("SUBMIT_JOB_BG", "größe".encode(), "schlüssel".encode(), b"names"),
    ("SUBMIT_JOB_BG", b"it's", b"'; \"\\x\\000", b"quotes"),
    ("SUBMIT_JOB_BG", b"f", b"large", ALL_BYTES * 12_000),
]
SUBMITTED = [
    (b"f", b"normal", b"one", NORMAL, 0),
    (b"f", b"low", b"two", LOW, 0),
    (b"f", b"high", ALL_BYTES, HIGH, 0),
    (b"f", b"epoch", b"later", NORMAL, 2_000_000_000),
    (b"f", b"empty", b"", NORMAL, 0),
    (b"f", b"", b"no unique", NORMAL, 0),
    ("größe".encode(), "schlüssel".encode(), b"names", NORMAL, 0),
    (b"it's", b"'; \"\\x\\000", b"quotes", NORMAL, 0),
    (b"f", b"large", ALL_BYTES * 12_000, NORMAL, 0),
]


@pytest.fixture
def database(mysql_database: Database) -> Database:
    return mysql_database


def opened(database: Database, **options: str) -> Queue:
    return load("mysql")(**{**database.arguments, **options})


def content(database: Database, **options: str) -> list[StoredJob | Unreadable]:
    with closing(opened(database, **options)) as queue:
        return list(queue.replay())


def jobs(database: Database, **options: str) -> list[StoredJob]:
    found = content(database, **options)
    return [job for job in found if isinstance(job, StoredJob)]


def fields(job: StoredJob) -> tuple[bytes, bytes, bytes, int, int]:
    """Return the fields of a job that gearmand stores."""
    return job.function, job.unique, job.workload, job.priority, job.when


def where(database: Database) -> Iterator[str]:
    """Yield the options that say where the database is, the same for both servers."""
    for name, value in database.tcp.items():
        yield f"--mysql-{name}={value}"


@contextmanager
def gearmand(database: Database, *options: str) -> Iterator[Peer]:
    words = ["-q", "MySQL", *where(database), *options]
    with servers.gearmand(*words) as server, Peer(server.port) as peer:
        yield peer


def submit(peer: Peer, *submissions: Submission) -> None:
    for name, *arguments in submissions:
        assert peer.request(name, *arguments).name == "JOB_CREATED"


@pytest.mark.interop
@pytest.mark.parametrize("table", ["", "mine", "gearman_jobs", "x" * 64])
def test_jobs_of_gearmand_are_taken_over(database: Database, table: str) -> None:
    with gearmand(database, *([f"--mysql-table={table}"] if table else [])) as peer:
        submit(peer, *SUBMISSIONS)
    before = time.time_ns() // 1000 - 1_000_000
    found = jobs(database, table=table)
    after = time.time_ns() // 1000
    assert [fields(job) for job in found] == SUBMITTED
    numbers = [job.number for job in found]
    assert before < numbers[0]
    assert numbers[-1] <= after
    assert sorted(set(numbers)) == numbers
    assert {(job.handle, job.retries, job.reducer) for job in found} == {(b"", 0, None)}
    assert database.sql(f"SELECT 1 FROM {table or 'gearman_queue'}") == []
    assert jobs(database, table=table) == found


@pytest.mark.interop
def test_gearmand_can_go_on_with_its_table(database: Database) -> None:
    for number in range(1, 3):
        with gearmand(database) as peer:
            submit(peer, SUBMISSIONS[0])
        assert len(jobs(database)) == number


@pytest.mark.interop
@pytest.mark.parametrize("name", ["MySQL", "libdrizzle"])
def test_server_is_swapped_and_the_options_kept(database: Database, name: str) -> None:
    options = ["--mysql-table=mine"]
    with gearmand(database, *options) as peer:
        submit(peer, *SUBMISSIONS)
    options += where(database)
    if name == "libdrizzle":
        options = [one.replace("--mysql-", "--libdrizzle-") for one in options]
        options.append("--libdrizzle-mysql")
    for _ in range(2):
        with servers.ours("-q", name, *options) as server, Peer(server.port) as peer:
            assert b"f\t7\t0\t0" in peer.ask_list(b"status")


def old_table(
    database: Database,
    *rows: str,
    name: str = "gearman_queue",
    charset: str = "latin1",
) -> None:
    database.sql(TABLE.format(name, charset))
    for row in rows:
        database.sql(f"INSERT INTO {name} VALUES ({row})")


def test_rows_that_are_no_jobs_are_reported_and_stay(database: Database) -> None:
    old_table(
        database,
        "'good', 'f', 1, 'x', 0",
        "NULL, 'f', 1, 'x', 0",
        "'a', NULL, 1, 'x', 0",
        "'b', 'f', NULL, 'x', 0",
        "'c', 'f', 1, 'x', NULL",
        "'d', 'f', 3, 'x', 0",
        "'e', 'f', 1, 'x', -1",
        "repeat('ü', 33), 'f', 1, 'x', 0",
        "'g', 'a\\0b', 1, 'x', 0",
        "'also good', 'f', 2, 'x', 7",
    )
    for _ in range(2):
        found = content(database)
        reports = [one for one in found if isinstance(one, Unreadable)]
        assert len(reports) == 8
        assert reports[2].key == (
            "the row of gearman_queue with function_name 'f' and unique_key 'b'"
        )
        assert all(len(one.reason) > 10 for one in reports)
        assert all("gearman_queue" in one.key for one in reports)
        assert all(one.key.isprintable() for one in reports)
        good = [one for one in found if isinstance(one, StoredJob)]
        assert [(job.unique, job.priority, job.when) for job in good] == [
            (b"good", 1, 0),
            (b"also good", 2, 7),
        ]
    assert len(database.sql("SELECT 1 FROM gearman_queue")) == 8


@pytest.mark.parametrize("charset", ["latin1", "utf8mb3", "utf8mb4", "cp1250"])
def test_bytes_of_names_are_those_that_gearmand_got(
    database: Database, charset: str
) -> None:
    old_table(database, charset=charset)
    names = "ü" * 32, "é" * 255
    database.sql("INSERT INTO gearman_queue VALUES (%s, %s, 1, 'x', 0)", *names)
    [job] = jobs(database)
    assert (job.unique, job.function) == (names[0].encode(), names[1].encode())


def test_table_may_have_bytes_for_names(database: Database) -> None:
    old_table(database, charset="binary")
    database.sql("INSERT INTO gearman_queue VALUES (x'ff00', 'a', 1, 'x', 0)")
    database.sql("INSERT INTO gearman_queue VALUES (x'ff80', x'fe', 1, 'x', 0)")
    [job] = jobs(database)
    assert (job.unique, job.function) == (b"\xff\x80", b"\xfe")


def test_numbers_follow_those_that_are_stored(database: Database) -> None:
    late = time.time_ns() // 1000 + 10**9
    with closing(opened(database)) as queue:
        queue.commit([StoredJob(late, b"", b"g", b"", b"")], [])
    old_table(database, "'a', 'f', 1, 'x', 0", "'b', 'f', 1, 'x', 0")
    found = jobs(database)
    assert [(job.number, job.unique) for job in found] == [
        (late, b""),
        (late + 1, b"a"),
        (late + 2, b"b"),
    ]


def test_order_is_that_of_submission(database: Database) -> None:
    old_table(database)
    rows = ", ".join(f"('{-n % 997}-{n}', 'f', {n % 3}, 'x', 0)" for n in range(3000))
    database.sql(f"INSERT INTO gearman_queue VALUES {rows}")
    expected = [b"%d-%d" % (-n % 997, n) for n in range(3000)]
    assert [job.unique for job in jobs(database)] == expected


def test_migration_moves_all_rows_or_none(database: Database) -> None:
    opened(database).close()
    database.sql("ALTER TABLE gearman_jobs ADD CHECK (unique_key <> 'b')")
    old_table(database, *(f"'{key}', 'f', 1, 'x', 0" for key in "abc"))
    with pytest.raises(StartupError, match="(?i)constraint"):
        opened(database)
    assert len(database.sql("SELECT 1 FROM gearman_queue")) == 3
    assert database.sql("SELECT 1 FROM gearman_jobs WHERE number > 0") == []


def test_table_without_transactions_is_taken_over(database: Database) -> None:
    old_table(database, "'a', 'f', 1, 'x', 0", "'b', 'f', 1, 'x', 0")
    database.sql("ALTER TABLE gearman_queue ENGINE = MyISAM")
    assert [job.unique for job in jobs(database)] == [b"a", b"b"]
    assert database.sql("SELECT 1 FROM gearman_queue") == []


def test_missing_right_to_take_jobs_over_is_told(database: Database) -> None:
    opened(database).close()
    old_table(database, "'a', 'f', 1, 'x', 0")
    weak = f"user_{database.name}"
    database.sql(f"CREATE USER {weak}")
    database.sql(f"GRANT ALL ON {database.name}.gearman_jobs TO {weak}")
    database.sql(f"GRANT SELECT ON {database.name}.gearman_queue TO {weak}")
    with pytest.raises(StartupError, match="DELETE command denied .*: grant"):
        opened(database, user=weak)
    assert len(database.sql("SELECT 1 FROM gearman_queue")) == 1
    assert database.sql("SELECT 1 FROM gearman_jobs WHERE number > 0") == []


def test_table_of_gearmand_may_have_more_columns(database: Database) -> None:
    old_table(database, "'a', 'f', 1, 'x', 0")
    database.sql("ALTER TABLE gearman_queue ADD since timestamp DEFAULT now()")
    assert [job.unique for job in jobs(database)] == [b"a"]


def test_other_table_by_the_name_of_gearmands_is_left_alone(database: Database) -> None:
    database.sql("CREATE TABLE gearman_queue (unique_key text, data blob)")
    database.sql("INSERT INTO gearman_queue VALUES ('a', 'b')")
    assert content(database) == []
    assert len(database.sql("SELECT 1 FROM gearman_queue")) == 1


def test_table_of_libdrizzle_is_taken_over_as_well(database: Database) -> None:
    old_table(database, "'a', 'f', 1, 'x', 0")
    old_table(database, "'b', 'f', 1, 'x', 0", name="queue")
    assert [job.unique for job in jobs(database)] == [b"a", b"b"]


def test_table_beside_is_found_after_gearmands_is_gone(database: Database) -> None:
    old_table(database, "'a', 'f', 1, 'x', 0", name="mine")
    [job] = jobs(database, table="mine")
    database.sql("DROP TABLE mine")
    assert jobs(database, table="mine") == [job]
    tables: list[Any] = database.sql("SHOW TABLES")
    assert tables == [("mine_jobs",)]
