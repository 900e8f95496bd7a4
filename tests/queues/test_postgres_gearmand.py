"""Jobs that gearmand has left in Postgres are taken over."""

import time
from collections.abc import Iterator
from contextlib import closing, contextmanager

import pytest

from gearman.errors import StartupError
from gearman.queue import HIGH, LOW, NORMAL, StoredJob, Unreadable
from tests import servers
from tests.queues.backend_postgres import Database, opened, ordinary
from tests.wire import Peer

TABLE = """
    CREATE TABLE {} (
        unique_key VARCHAR(64), function_name VARCHAR(255), priority INTEGER,
        data BYTEA, when_to_run INTEGER, UNIQUE (unique_key, function_name)
    )
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
    ("SUBMIT_JOB_BG", "größe".encode(), "鍵".encode(), b"names"),
    ("SUBMIT_JOB_BG", b"it's", b"'; \"\\x\\000", b"quotes"),
]
SUBMITTED = [
    (b"f", b"normal", b"one", NORMAL, 0),
    (b"f", b"low", b"two", LOW, 0),
    (b"f", b"high", ALL_BYTES, HIGH, 0),
    (b"f", b"epoch", b"later", NORMAL, 2_000_000_000),
    (b"f", b"empty", b"", NORMAL, 0),
    (b"f", b"", b"no unique", NORMAL, 0),
    ("größe".encode(), "鍵".encode(), b"names", NORMAL, 0),
    (b"it's", b"'; \"\\x\\000", b"quotes", NORMAL, 0),
]


def content(database: Database, **options: str) -> list[StoredJob | Unreadable]:
    with closing(opened(database, **options)) as queue:
        return list(queue.replay())


def jobs(database: Database, **options: str) -> list[StoredJob]:
    found = content(database, **options)
    return [job for job in found if isinstance(job, StoredJob)]


def fields(job: StoredJob) -> tuple[bytes, bytes, bytes, int, int]:
    """Return the fields of a job that gearmand stores."""
    return job.function, job.unique, job.workload, job.priority, job.when


@contextmanager
def gearmand(database: Database, *options: str) -> Iterator[Peer]:
    where = ["-q", "Postgres", f"--libpq-conninfo={database.conninfo}"]
    with servers.gearmand(*where, *options) as server, Peer(server.port) as peer:
        yield peer


def submit(peer: Peer, *submissions: Submission) -> None:
    for name, *arguments in submissions:
        assert peer.request(name, *arguments).name == "JOB_CREATED"


@pytest.mark.interop
@pytest.mark.parametrize("table", ["", "mine", "gearman_jobs", "x" * 63])
def test_jobs_of_gearmand_are_taken_over(database: Database, table: str) -> None:
    with gearmand(database, *([f"--libpq-table={table}"] if table else [])) as peer:
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
    assert database.sql(f"SELECT 1 FROM {table or 'queue'}") == []
    assert jobs(database, table=table) == found


@pytest.mark.interop
def test_gearmand_may_have_folded_the_case_of_its_table(database: Database) -> None:
    with gearmand(database, "--libpq-table=MyJobs") as peer:
        submit(peer, *SUBMISSIONS)
    assert [fields(job) for job in jobs(database, table="MyJobs")] == SUBMITTED
    assert database.sql("SELECT 1 FROM myjobs") == []
    assert len(database.sql('SELECT 1 FROM "MyJobs"')) == len(SUBMITTED)


@pytest.mark.interop
def test_gearmand_can_go_on_with_its_table(database: Database) -> None:
    for number in range(1, 3):
        with gearmand(database) as peer:
            submit(peer, SUBMISSIONS[0])
        assert len(jobs(database)) == number


@ordinary
@pytest.mark.interop
def test_server_is_swapped_and_the_options_kept(database: Database) -> None:
    where = [f"--libpq-conninfo={database.conninfo}", "--libpq-table=mine"]
    with gearmand(database, *where[1:]) as peer:
        submit(peer, *SUBMISSIONS)
    for _ in range(2):
        with (
            servers.ours("-q", "Postgres", *where) as server,
            Peer(server.port) as peer,
        ):
            assert b"f\t6\t0\t0" in peer.ask_list(b"status")


def old_table(database: Database, *rows: str, name: str = "queue") -> None:
    database.sql(TABLE.format(name))
    database.sql(f"ALTER TABLE {name} OWNER TO {database.cluster.role}")
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
        "'also good', 'f', 2, 'x', 7",
    )
    for _ in range(2):
        found = content(database)
        reports = [one for one in found if isinstance(one, Unreadable)]
        assert [one.key for one in reports] == [
            f'the row at (0,{row}) of "public"."queue"' for row in range(2, 9)
        ]
        assert all(len(one.reason) > 10 for one in reports)
        good = [one for one in found if isinstance(one, StoredJob)]
        assert [(job.unique, job.priority, job.when) for job in good] == [
            (b"good", 1, 0),
            (b"also good", 2, 7),
        ]
    assert len(database.sql("SELECT 1 FROM queue")) == 7


def test_bytes_of_names_are_those_that_gearmand_got(database: Database) -> None:
    old_table(database)
    database.sql("INSERT INTO queue VALUES (%s, %s, 1, 'x', 0)", "ü" * 32, "é" * 255)
    [job] = jobs(database)
    assert (job.unique, job.function) == (("ü" * 32).encode(), ("é" * 255).encode())


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


def test_migration_moves_all_rows_or_none(database: Database) -> None:
    opened(database).close()
    database.sql("ALTER TABLE gearman_jobs ADD CHECK (unique_key <> 'b')")
    old_table(database, *(f"'{key}', 'f', 1, 'x', 0" for key in "abc"))
    with pytest.raises(StartupError, match="check constraint"):
        opened(database)
    assert len(database.sql("SELECT 1 FROM queue")) == 3
    assert database.sql("SELECT 1 FROM gearman_jobs") == []


def test_missing_right_to_take_jobs_over_is_told(database: Database) -> None:
    old_table(database, "'a', 'f', 1, 'x', 0")
    role = f"user_{database.name}"
    database.sql(f"CREATE ROLE {role} LOGIN")
    database.sql(f"CREATE SCHEMA mine AUTHORIZATION {role}")
    weak = f"{database.conninfo} user={role}"
    with pytest.raises(StartupError, match="permission denied for table queue: grant"):
        opened(database, conninfo=weak, schema="mine")
    # That table is not touched.
    opened(database, conninfo=weak, schema="mine", table="other").close()
    assert len(database.sql("SELECT 1 FROM queue")) == 1


def test_table_of_gearmand_may_have_more_columns(database: Database) -> None:
    old_table(database, "'a', 'f', 1, 'x', 0")
    database.sql("ALTER TABLE queue ADD since timestamptz DEFAULT now()")
    assert [job.unique for job in jobs(database)] == [b"a"]


def test_other_table_by_the_name_of_queue_is_left_alone(database: Database) -> None:
    database.sql("CREATE TABLE queue (unique_key text, data bytea)")
    database.sql("INSERT INTO queue VALUES ('a', 'b')")
    assert content(database) == []
    assert len(database.sql("SELECT 1 FROM queue")) == 1


def test_table_beside_is_found_after_gearmands_is_gone(database: Database) -> None:
    old_table(database, "'a', 'f', 1, 'x', 0", name="mine")
    [job] = jobs(database, table="mine")
    database.sql("DROP TABLE mine")
    assert jobs(database, table="mine") == [job]
    assert database.sql("SELECT to_regclass('mine')") == [(None,)]


def test_schema_of_our_own_leaves_gearmands_where_it_is(database: Database) -> None:
    old_table(database, "'a', 'f', 1, 'x', 0", name="mine")
    [job] = jobs(database, table="mine", schema="ours")
    assert database.sql("SELECT number FROM ours.mine") == [(job.number,)]
