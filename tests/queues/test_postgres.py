"""The plugin postgres: its options, its table, what it stores and what it refuses."""

import signal
import sys
from contextlib import closing
from typing import Any

import pytest
from gearman.queues.postgres.store import Store

from gearman.commands import MAX_FUNCTION
from gearman.errors import ConfigurationError, JobRefused, QueueError, StartupError
from gearman.queue import StoredJob, Unreadable, load
from tests.queues.backend_postgres import STRICT, Database, opened, ordinary

ONE = StoredJob(1, b"H:host:1", b"f", b"u", b"one")
TWO = StoredJob(2, b"H:host:2", b"f", b"v", b"two")
THREE = StoredJob(3, b"H:host:3", b"g", b"u", b"three")


def content(database: Database, **options: str) -> list[StoredJob | Unreadable]:
    with closing(opened(database, **options)) as queue:
        return list(queue.replay())


def fill(database: Database, *jobs: StoredJob, **options: str) -> None:
    with closing(opened(database, **options)) as queue:
        queue.commit(jobs, [])


def test_missing_psycopg_is_told_with_the_extra(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "psycopg", None)
    with pytest.raises(ConfigurationError, match=r"pip install 'gearman-py\[postgres"):
        load("postgres")()


@pytest.mark.parametrize(
    "conninfo",
    [
        "seKret",
        "user=x password=seKret nonsense",
        "user=x password=a seKret",
        "unknown=1 password=seKret",
        "postgresql://user:se/Kret@host/database",
        "postgresql://user:x@seKret@host/database",
        "postgresql://user:seKret%zz@host/database",
        "host=host port=seKret",
        "host=a\0seKret",
    ],
)
def test_bad_connection_string_is_refused_and_not_repeated(
    database: Database, conninfo: str
) -> None:
    with pytest.raises(ConfigurationError, match="--postgres-conninfo") as error:
        opened(database, conninfo=conninfo)
    assert "Kret" not in str(error.value)
    assert str(error.value).isprintable()


def test_wrong_password_is_not_repeated(database: Database) -> None:
    conninfo = f"{database.conninfo} password=seKret user=nobody"
    with pytest.raises(StartupError, match='"nobody"') as error:
        opened(database, conninfo=conninfo)
    assert "seKret" not in str(error.value)


def test_without_a_connection_string_libpq_looks_into_the_environment(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(database, ONE)
    monkeypatch.setenv("PGHOST", str(database.cluster.folder))
    monkeypatch.setenv("PGPORT", str(database.cluster.port))
    monkeypatch.setenv("PGUSER", database.cluster.role)
    monkeypatch.setenv("PGDATABASE", database.name)
    with closing(opened(database, conninfo="")) as queue:
        assert list(queue.replay()) == [ONE]


@pytest.mark.parametrize("name", ["x" * 64, "ü" * 32, "a\0b", "a\nb", "\udcff"])
@pytest.mark.parametrize("option", ["table", "schema"])
def test_name_that_postgres_would_change_is_refused(
    database: Database, option: str, name: str
) -> None:
    with pytest.raises(ConfigurationError, match=f"--postgres-{option} "):
        opened(database, **{option: name})


NAMES = [
    "x" * 63,
    "Größe",
    "select",
    "a.b",
    "%s",
    "$1 {} {x}",
    "it's",
    'x"; DROP TABLE precious; --',
    "x'; DROP TABLE precious; --",
]


@pytest.mark.parametrize("name", NAMES)
def test_names_are_taken_as_they_are(database: Database, name: str) -> None:
    database.sql("CREATE TABLE precious ()")
    for options in {"table": name}, {"schema": name}, {"table": name, "schema": name}:
        fill(database, ONE, **options)
        with closing(opened(database, **options)) as queue:
            assert list(queue.replay()) == [ONE]
            queue.commit([TWO], [1])
        assert content(database, **options) == [TWO]
    assert database.sql("SELECT 1 FROM precious") == []


def test_names_do_not_get_out_of_their_parameters(database: Database) -> None:
    bad = b"'; DROP TABLE gearman_jobs; --\"%s$1"
    jobs = [ONE._replace(function=bad, unique=bad, handle=bad), TWO]
    fill(database, *jobs)
    assert content(database) == jobs


def test_table_is_found_in_the_search_path_without_a_schema(
    database: Database,
) -> None:
    path = "options='-c search_path=mine,public'"
    fill(database, ONE)
    database.sql(f"CREATE SCHEMA mine AUTHORIZATION {database.cluster.role}")
    assert content(database, conninfo=f"{database.conninfo} {path}") == []
    assert content(database) == [ONE]


def test_search_path_without_a_schema_is_told(database: Database) -> None:
    with pytest.raises(StartupError, match="--postgres-schema"):
        opened(database, conninfo=f"{database.conninfo} options='-c search_path=none'")


def test_table_with_other_columns_is_left_alone(database: Database) -> None:
    database.sql("CREATE TABLE gearman_jobs (number bigint PRIMARY KEY, handle text)")
    with pytest.raises(StartupError, match="--postgres-table"):
        opened(database)


def test_columns_may_be_added(database: Database) -> None:
    fill(database, ONE)
    database.sql("ALTER TABLE gearman_jobs ADD since timestamptz DEFAULT now()")
    fill(database, TWO)
    assert content(database) == [ONE, TWO]


def test_missing_right_to_create_is_told(database: Database) -> None:
    database.sql(f"CREATE ROLE weak_{database.name} LOGIN")
    database.sql("REVOKE CREATE ON SCHEMA public FROM public")
    weak = f"{database.conninfo} user=weak_{database.name}"
    for schema in "", "new":
        with pytest.raises(StartupError, match=r"permission denied.*: grant that"):
            opened(database, conninfo=weak, schema=schema)


@ordinary
def test_role_needs_no_right_to_create_what_is_there(database: Database) -> None:
    fill(database, ONE, schema="mine")
    role = f"user_{database.name}"
    database.sql(f"CREATE ROLE {role} LOGIN")
    database.sql(f"GRANT USAGE ON SCHEMA mine TO {role}")
    granted = "GRANT SELECT, INSERT ON mine.gearman_jobs TO"
    database.sql(f"{granted} {role}")
    weak = f"{database.conninfo} user={role}"
    with pytest.raises(StartupError, match="permission denied"):
        opened(database, conninfo=weak, schema="mine")
    database.sql(f"GRANT DELETE ON mine.gearman_jobs TO {role}")
    assert content(database, conninfo=weak, schema="mine") == [ONE]


@ordinary
def test_database_that_is_read_only_is_told(database: Database) -> None:
    fill(database, ONE)
    options = "options='-c default_transaction_read_only=on'"
    with pytest.raises(StartupError, match="primary"):
        opened(database, conninfo=f"{database.conninfo} {options}")


def test_commit_is_durable_where_the_default_is_asynchronous(
    database: Database,
) -> None:
    [(default,)] = database.sql("SHOW synchronous_commit")
    assert default == "off"
    queue = opened(database)
    queue.commit([ONE, TWO], [])
    queue.commit([THREE], [1])
    database.cluster.restart(signal.SIGQUIT)
    queue.close()
    assert content(database) == [TWO, THREE]


def test_rows_that_are_no_jobs_are_reported_and_stay(database: Database) -> None:
    fill(database, *(ONE._replace(number=number) for number in range(1, 6)))
    for fault in (
        "priority = 9 WHERE number = 1",
        "function_name = 'a\\000b' WHERE number = 2",
        f"function_name = repeat('f', {MAX_FUNCTION + 1})::bytea WHERE number = 3",
        "number = -4 WHERE number = 4",
    ):
        database.sql(f"UPDATE gearman_jobs SET {fault}")
    for _ in range(2):
        found = content(database)
        assert found[-1] == ONE._replace(number=5)
        assert [one.key for one in found[:-1] if isinstance(one, Unreadable)] == [
            f'number {number} of "public"."gearman_jobs"' for number in (-4, 1, 2, 3)
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
        database.cluster.restart(signal.SIGQUIT)
    assert len(content(database)) == 2498


def test_batch_of_several_messages_is_one_transaction(database: Database) -> None:
    workload = bytes(9 * 1024 * 1024)
    fill(database, ONE)
    database.sql("ALTER TABLE gearman_jobs ADD CHECK (number <> 5)")
    jobs = [TWO._replace(number=n, workload=workload) for n in range(2, 6)]
    with closing(opened(database)) as queue:
        with pytest.raises(QueueError, match="check constraint"):
            queue.commit(jobs, [1])
        assert database.sql("SELECT number FROM gearman_jobs") == [(1,)]
        queue.commit(jobs[:3], [1])
    assert content(database) == jobs[:3]


def test_replacing_removes_what_is_to_be_removed_as_well(database: Database) -> None:
    with closing(opened(database)) as queue:
        queue.commit([ONE, TWO], [])
        queue.commit([ONE._replace(workload=b"new"), THREE], [2])
    assert content(database) == [ONE._replace(workload=b"new"), THREE]


@pytest.mark.skipif(STRICT, reason="attempts collide there")
def test_row_is_replaced_at_the_first_attempt(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(database, ONE)
    with closing(opened(database)) as queue:
        assert list(queue.replay()) == [ONE]
        attempts, write = [], Store._write

        def counted(*given: Any) -> None:
            attempts.append(given)
            write(*given)

        monkeypatch.setattr(Store, "_write", counted)
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


def test_workload_over_the_limit_is_refused(database: Database) -> None:
    large = TWO._replace(workload=bytes(256 * 1024 * 1024 + 1))
    with closing(opened(database)) as queue:
        with pytest.raises(JobRefused, match="268435456 at most") as refusal:
            queue.commit([ONE, large], [])
        assert set(refusal.value.reasons) == {2}
    assert content(database) == []
