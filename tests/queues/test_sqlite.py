"""The queue plugin sqlite, beyond the contract."""

import os
import resource
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest

from gearman.errors import ConfigurationError, JobRefused, QueueError, StartupError
from gearman.queue import Queue, Unreadable
from tests.queues.sqlite_files import SqliteQueue, content, fill, job, opened, sql
from tests.servers import package_environment


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "jobs.db"


@pytest.fixture(params=["native", "gearmand"])
def format(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@contextmanager
def opened_with_connection(
    path: Path, **options: Any
) -> Iterator[tuple[Queue, sqlite3.Connection]]:
    """Open a file; yield the queue, and its connection to SQLite."""
    made: list[sqlite3.Connection] = []

    def connect(*arguments: Any, **more: Any) -> sqlite3.Connection:
        made.append(real(*arguments, **more))
        return made[-1]

    real = sqlite3.connect
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sqlite3, "connect", connect)
        queue = opened(path, **options)
    with closing(queue):
        (connection,) = made
        yield queue, connection


def startup_error(path: Path, **options) -> str:
    with pytest.raises(StartupError) as error:
        SqliteQueue(db=path, **options)
    assert str(path) in str(error.value)
    return str(error.value)


def queue_error(queue: Queue) -> str:
    with pytest.raises(QueueError) as error:
        queue.commit([job(99)], [])
    return str(error.value)


# Options


def test_file_has_to_be_named() -> None:
    with pytest.raises(ConfigurationError, match="give --sqlite-db FILE"):
        SqliteQueue()


def test_table_has_to_have_a_name(path: Path) -> None:
    with pytest.raises(ConfigurationError, match="--sqlite-table"):
        SqliteQueue(db=path, table="")


def test_path_may_be_text(path: Path) -> None:
    SqliteQueue(db=str(path)).close()
    assert path.exists()


def test_table_may_have_any_name(path: Path, format: str) -> None:
    name = 'it\'s "quoted"; -- größe'
    fill(path, job(1), table=name, format=format)
    assert content(path, table=name, format=format) == [job(1)]
    assert content(path, table="another", format=format) == []


def test_python_without_sqlite_is_an_error_that_says_so(path: Path) -> None:
    code = (
        "import sys; sys.modules['sqlite3'] = None\n"
        "from gearman import errors, queue\n"
        "plugin = queue.load('sqlite')\n"
        f"try: plugin(db={str(path)!r})\n"
        "except errors.ConfigurationError as error: print(error)\n"
    )
    command = [sys.executable, "-P", "-c", code]
    said = subprocess.check_output(command, env=package_environment(), text=True)
    assert said.startswith(
        "this Python cannot load its module sqlite3 (import of sqlite3 halted"
    )


# Files that can't be used


def test_missing_folder_is_named(tmp_path: Path) -> None:
    said = startup_error(tmp_path / "none" / "jobs.db")
    assert f"cannot be created: make its folder {tmp_path / 'none'} first" in said


def test_file_that_is_no_database_is_left_as_it_is(path: Path) -> None:
    path.write_text("This is a letter.\n" * 100)
    assert "is not an SQLite database: choose another file" in startup_error(path)
    assert path.read_text() == "This is a letter.\n" * 100


def test_folder_is_no_file(tmp_path: Path) -> None:
    assert "cannot be opened: let the server's user" in startup_error(tmp_path)


def test_empty_file_is_a_new_one(path: Path) -> None:
    path.touch()
    assert content(path) == []


@contextmanager
def not_root() -> Iterator[None]:
    """A context without root's right to write to all files."""
    root = os.geteuid() == 0
    if root:
        os.seteuid(65534)
    try:
        yield
    finally:
        if root:
            os.seteuid(0)


@pytest.fixture
def public() -> Iterator[Path]:
    """A folder that every user can read; those of pytest are for one user."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o755)
        yield folder
        folder.chmod(0o755)


def test_file_that_cannot_be_written_is_an_error(public: Path) -> None:
    path = public / "jobs.db"
    fill(path, job(1))
    path.chmod(0o444)
    with not_root():
        assert "cannot be opened: let the server's user" in startup_error(path)
    path.chmod(0o644)
    assert content(path) == [job(1)]


def test_folder_that_cannot_be_written_is_an_error(public: Path) -> None:
    public.chmod(0o555)
    with not_root():
        assert "let the server's user" in startup_error(public / "jobs.db")


def test_damaged_file_is_an_error(path: Path) -> None:
    fill(path, *(job(number, workload=b"w" * 3000) for number in range(1, 50)))
    with path.open("r+b") as file:
        file.seek(4096)
        file.write(b"\xff" * 40 * 4096)
    with closing(SqliteQueue(db=path)) as queue, pytest.raises(QueueError) as error:
        list(queue.replay())
    assert "it is damaged: restore a copy" in str(error.value)


# One server at a time


@pytest.mark.usefixtures("impatient")
def test_file_in_use_is_an_error_that_says_what_to_do(path: Path, format: str) -> None:
    with closing(opened(path, format="native")):
        said = startup_error(path, format=format)
    assert "another process uses it: end that one, or choose another file" in said


@pytest.mark.usefixtures("impatient")
def test_file_that_is_being_read_is_in_use(path: Path) -> None:
    fill(path, job(1))
    with closing(sqlite3.connect(path)) as reader:
        reader.execute("SELECT * FROM gearman_queue_records").fetchone()
        assert "another process uses it" in startup_error(path)
    assert content(path) == [job(1)]


def test_failure_to_open_leaves_the_file_unlocked(path: Path) -> None:
    sql(path, "CREATE TABLE gearman_queue (something)")
    assert "no such column: data" in startup_error(path, format="gearmand")
    assert content(path) == []


# Failures while the server runs


@contextmanager
def full_disk() -> Iterator[None]:
    """A context in which files can't grow; writes within them are refused too."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_commits_fail_while_the_disk_is_full(path: Path, format: str) -> None:
    queue = opened(path, format=format)
    queue.commit([job(1), job(2)], [])
    with full_disk():
        for batch in ([job(3)], [1]), ([], [1]), ([], []):
            with pytest.raises(QueueError, match="jobs.db"):
                queue.commit(*batch)
    queue.commit([job(3)], [1])
    queue.close()
    assert content(path, format=format) == [job(2), job(3)]


def test_what_sqlite_calls_full_is_explained(path: Path) -> None:
    with opened_with_connection(path) as (queue, connection):
        connection.execute("PRAGMA max_page_count = 5")
        with pytest.raises(QueueError, match="the disk is full: make room"):
            queue.commit([job(1, workload=bytes(100_000))], [])
        connection.execute("PRAGMA max_page_count = 5000")
        queue.commit([job(1)], [])


@pytest.mark.parametrize("replaced", [False, True], ids=["deleted", "replaced"])
def test_commits_fail_once_the_file_is_gone(path: Path, replaced: bool) -> None:
    with closing(opened(path)) as queue:
        queue.commit([job(1)], [])
        path.unlink()
        if replaced:
            path.touch()
        assert "was deleted, replaced or changed while in use" in queue_error(queue)
        assert path.exists() == replaced


def test_commits_fail_once_the_log_is_gone_until_it_is_put_back(path: Path) -> None:
    log, away = path.with_name(f"{path.name}-wal"), path.with_suffix(".away")
    with closing(opened(path)) as queue:
        log.rename(away)
        assert "was deleted, replaced or changed while in use" in queue_error(queue)
        away.rename(log)
        queue.commit([job(1)], [])


@pytest.mark.parametrize("suffix", ["", "-wal"], ids=["file", "log"])
def test_commits_fail_once_the_file_or_its_log_is_cut(path: Path, suffix: str) -> None:
    with closing(opened(path)) as queue:
        queue.commit([job(1)], [])
        os.truncate(f"{path}{suffix}", 100)
        assert "was deleted, replaced or changed while in use" in queue_error(queue)


def test_what_is_left_of_the_disk_is_kept_for_removals(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = os.statvfs(path.parent)
    with closing(opened(path)) as queue:
        queue.commit([job(1)], [])
        nothing_free = os.statvfs_result([*real[:3], 0, 0, *real[5:]])
        monkeypatch.setattr(os, "statvfs", lambda _: nothing_free)
        for _ in range(2):
            with pytest.raises(QueueError, match="reserved for removing finished jobs"):
                queue.commit([job(2)], [])
        queue.commit([], [1])
        monkeypatch.undo()
        queue.commit([job(2)], [])


def test_what_no_row_can_hold_is_refused(path: Path, format: str) -> None:
    limit = 100_000
    with opened_with_connection(path, format=format) as (queue, connection):
        connection.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, limit)
        queue.commit([job(1)], [])
        for excess in (-10, 1):
            large = job(2, workload=bytes(limit + excess))
            with pytest.raises(JobRefused, match="at most 100000") as error:
                queue.commit([large, job(3)], [1])
            assert set(error.value.reasons) == {2}
    assert content(path, format=format) == [job(1)]


# How it is written


def test_a_commit_waits_for_the_disk(path: Path) -> None:
    with opened_with_connection(path) as (_, connection):
        settings = [
            connection.execute(f"PRAGMA {name}").fetchone()[0]
            for name in ("journal_mode", "synchronous", "locking_mode", "auto_vacuum")
        ]
    assert settings == [b"wal", 2, b"exclusive", 0]


def test_log_stays_small(path: Path) -> None:
    log = path.with_name("jobs.db-wal")
    with closing(opened(path)) as queue:
        for start in range(1, 20_001, 500):
            numbers = range(start, start + 500)
            jobs = [job(number, workload=bytes(300)) for number in numbers]
            queue.commit(jobs, [number - 500 for number in numbers])
        assert log.stat().st_size < 6_000_000
        # The room of finished jobs was used again.
        assert path.stat().st_size < 6_000_000


def test_log_shrinks_after_a_large_commit(path: Path) -> None:
    log = path.with_name("jobs.db-wal")
    with closing(opened(path)) as queue:
        queue.commit([job(1, workload=bytes(30_000_000))], [])
        assert log.stat().st_size > 30_000_000
        queue.commit([job(2)], [])
        assert log.stat().st_size <= 16 * 1024 * 1024


def test_nothing_lies_beside_the_file_after_close(path: Path) -> None:
    fill(path, job(1))
    assert os.listdir(path.parent) == ["jobs.db"]


# Rows that are not jobs


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ('"function" = NULL', "its function is NULL"),
        ('"function" = 7', "its function is 7"),
        ("workload = NULL", "its workload is NULL"),
        ("priority = 'high'", "its priority is high"),
        ("priority = 3", "its priority is 3"),
        ('"when" = 1.5', "its when is 1.5"),
        ('"when" = -1', "its time is -1"),
        ("reducer = 1", "its reducer is 1"),
        ("retries = NULL", "its retries is NULL"),
        ("extra = 7", "its extra is 7"),
        ("extra = NULL", "its extra is NULL"),
        ("\"unique\" = x'6100'", "its unique is too long or has a NUL: a\\x00"),
        ('"function" = zeroblob(9000)', "its function is too long or has a NUL"),
    ],
)
def test_row_that_is_no_job_is_reported_and_stays(
    path: Path, change: str, reason: str
) -> None:
    fill(path, job(1), job(2), job(3))
    sql(path, f"UPDATE gearman_queue_records SET {change} WHERE number = 2")
    for _ in range(2):
        first, second, third = content(path)
        assert (first, third) == (job(1), job(3))
        assert isinstance(second, Unreadable)
        assert second.key == "row 2 of the table gearman_queue_records"
        assert second.reason.startswith(reason)


def test_text_is_as_good_as_bytes(path: Path) -> None:
    fill(path, job(1))
    sql(path, "UPDATE gearman_queue_records SET \"function\" = CAST(x'ff' AS TEXT)")
    assert content(path) == [job(1, function=b"\xff")]
