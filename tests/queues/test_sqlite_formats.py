"""The queue plugin sqlite with files of gearmand, and going back to gearmand.

Here the tests write the rows; in test_sqlite_gearmand.py gearmand writes them.
"""

import time
from contextlib import closing
from pathlib import Path

import pytest

from gearman.errors import StartupError
from gearman.queue import HIGH, LOW, NORMAL, StoredJob, Unreadable
from tests.queues.sqlite_files import SqliteQueue, content, fill, job, opened, sql

GEARMANDS = (
    "CREATE TABLE gearman_queue ( unique_key TEXT, function_name TEXT,"
    " priority INTEGER, data BLOB, when_to_run INTEGER,"
    " PRIMARY KEY (unique_key, function_name))"
)
KEYS = "SELECT unique_key FROM gearman_queue ORDER BY rowid"
EVERYTHING = StoredJob(5, b"H:h:5", b"f", b"u", b"w\0", LOW, 9, 3, b"sum")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "jobs.db"


def insert(*values: str) -> str:
    return f"INSERT INTO gearman_queue VALUES ({', '.join(values)})"


def anonymous(jobs: list[StoredJob | Unreadable]) -> list[StoredJob]:
    """Return jobs without their numbers."""
    return [one._replace(number=1) for one in jobs if isinstance(one, StoredJob)]


# From gearmand's table to ours


def test_jobs_of_gearmand_are_moved_in_the_order_of_its_rows(path: Path) -> None:
    sql(
        path,
        GEARMANDS,
        insert("'z'", "'f'", "2", "x'00ff'", "0"),
        insert("'a'", "'f'", "0", "'text'", "1700000000"),
        insert("'it''s'", "'g'", "1", "NULL", "0"),
        insert("''", "''", "1", "x''", "NULL"),
    )
    before = time.time_ns() // 1000
    found = content(path)
    assert anonymous(found) == [
        StoredJob(1, b"", b"f", b"z", b"\x00\xff", LOW, 0),
        StoredJob(1, b"", b"f", b"a", b"text", HIGH, 1_700_000_000),
        StoredJob(1, b"", b"g", b"it's", b"", NORMAL, 0),
        StoredJob(1, b"", b"", b"", b"", NORMAL, 0),
    ]
    now = time.time_ns() // 1000
    numbers = [one.number for one in found if isinstance(one, StoredJob)]
    assert numbers == sorted(set(numbers))
    assert before - 4 <= numbers[0] < numbers[-1] < now
    assert sql(path, "SELECT * FROM gearman_queue") == []
    assert content(path) == found


def test_table_from_before_gearmand_knew_times_is_moved(path: Path) -> None:
    sql(
        path,
        "CREATE TABLE gearman_queue (unique_key TEXT, function_name TEXT,"
        " priority INTEGER, data BLOB, PRIMARY KEY (unique_key, function_name))",
        insert("'u'", "'f'", "1", "'w'"),
    )
    (found,) = anonymous(content(path))
    assert found == StoredJob(1, b"", b"f", b"u", b"w")


def test_table_of_another_name_is_moved_if_it_is_named(path: Path) -> None:
    renamed = GEARMANDS.replace("gearman_queue", '"my-queue"')
    sql(path, renamed, "INSERT INTO \"my-queue\" VALUES ('u', 'f', 1, 'w', 0)")
    assert content(path) == []
    assert len(content(path, table="my-queue")) == 1


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        (("NULL", "'f'", "1", "'w'", "0"), "its unique is NULL"),
        (("'v'", "NULL", "1", "'w'", "0"), "its function is NULL"),
        (("'v'", "'f'", "NULL", "'w'", "0"), "its priority is NULL"),
        (("'v'", "'f'", "3", "'w'", "0"), "its priority is 3"),
        (("'v'", "'f'", "'high'", "'w'", "0"), "its priority is high"),
        (("'v'", "'f'", "1", "7", "0"), "its workload is 7"),
        (("'v'", "'f'", "1", "'w'", "-1"), "its time is -1"),
        (("'v'", "'f'", "1", "'w'", "'noon'"), "its when is noon"),
        (("printf('%065d', 1)", "'f'", "1", "'w'", "0"), "its unique is too long"),
        (("'v'", "printf('%08181d', 1)", "1", "'w'", "0"), "its function is too long"),
    ],
)
@pytest.mark.parametrize("format", ["native", "gearmand"])
def test_row_of_gearmand_that_is_no_job_is_reported_and_stays(
    path: Path, format: str, values: tuple[str, ...], reason: str
) -> None:
    good = [insert(f"'{unique}'", "'f'", "1", "'w'", "0") for unique in "ab"]
    sql(path, GEARMANDS, good[0], insert(*values), good[1])
    for _ in range(2):
        found = content(path, format=format)
        (bad,) = [one for one in found if isinstance(one, Unreadable)]
        assert bad.key == "row 2 of the table gearman_queue"
        assert bad.reason.startswith(reason)
        assert [one.unique for one in anonymous(found)] == [b"a", b"b"]
    assert sql(path, "SELECT rowid FROM gearman_queue WHERE rowid = 2") == [(2,)]


def test_jobs_moved_come_after_those_that_are_there(path: Path) -> None:
    last = job(2**62)
    fill(path, job(1), last)
    sql(path, GEARMANDS, *(insert(f"'{u}'", "'f'", "1", "'w'", "0") for u in "ab"))
    found = content(path)
    assert found[:2] == [job(1), last]
    assert [one.number for one in found[2:] if isinstance(one, StoredJob)] == [
        2**62 + 1,
        2**62 + 2,
    ]


def test_table_that_is_not_gearmands_is_left_alone(path: Path) -> None:
    sql(path, "CREATE TABLE gearman_queue (a)", "INSERT INTO gearman_queue VALUES (1)")
    fill(path, job(1))
    mine, other = content(path)
    assert mine == job(1)
    assert isinstance(other, Unreadable)
    with pytest.raises(StartupError, match="no such column"):
        SqliteQueue(db=path, format="gearmand")
    assert sql(path, "SELECT * FROM gearman_queue") == [(1,)]


# From our table to gearmand's, and back again


@pytest.mark.parametrize(
    "formats", [("native", "gearmand"), ("gearmand", "native")], ids="-".join
)
def test_changing_the_format_keeps_every_field(
    path: Path, formats: tuple[str, str]
) -> None:
    jobs = [
        EVERYTHING,
        job(7, unique=b""),
        job(8, unique=b"-"),
        job(9, unique=b""),
        job(10, unique=b"same"),
        job(11, unique=b"same"),
        job(12, function=b"g", unique=b"same", handle=b""),
        job(13, workload=b"", reducer=b""),
        *(job(number) for number in range(20, 200)),
    ]
    fill(path, *jobs, format=formats[0])
    for format in (*reversed(formats), *formats):
        assert content(path, format=format) == jobs


def test_moving_back_spares_what_gearmand_has_stored_since(path: Path) -> None:
    fill(path, job(1), job(2), job(3))
    columns = "rowid, unique_key, function_name, priority, data, when_to_run"
    sql(
        path,
        GEARMANDS,
        f"INSERT INTO gearman_queue ({columns}) VALUES (2, 'x', 'f', 'bad', 'w', 0)",
    )
    found = content(path, format="gearmand")
    uniques = [one.unique for one in found if isinstance(one, StoredJob)]
    assert uniques == [b"u1", b"u2", b"u3"]
    assert isinstance(found[0], Unreadable)


def test_jobs_of_both_are_numbered_anew_together(path: Path) -> None:
    fill(path, job(5), format="gearmand")
    sql(
        path,
        "INSERT INTO gearman_queue (unique_key, function_name, priority, data,"
        " when_to_run) VALUES ('later', 'f', 1, 'w', 0)",
    )
    found = anonymous(content(path))
    assert [(one.unique, one.handle) for one in found] == [
        (b"u5", b""),
        (b"later", b""),
    ]


# The rows for gearmand in its table


def test_usable_uniques_are_kept_as_keys(path: Path) -> None:
    uniques = (b"u", b"it's", b"\xff", b"x" * 63)
    jobs = [job(number, unique=unique) for number, unique in enumerate(uniques, 1)]
    fill(path, *jobs, format="gearmand")
    assert sql(path, KEYS) == [(unique,) for unique in uniques]


@pytest.mark.parametrize("unique", [b"", b"-", b"x" * 64, b"same"])
def test_other_uniques_are_made_up(path: Path, unique: bytes) -> None:
    jobs = [job(number, unique=unique) for number in range(1, 200)]
    with closing(opened(path, format="gearmand")) as queue:
        queue.commit([job(200, unique=b"same")], [])
        queue.commit(jobs, [])
    keys = [key for (key,) in sql(path, KEYS)][:-1]
    assert len(set(keys)) == len(jobs)
    assert all(key.startswith(b"gearman-py:") and len(key) < 64 for key in keys)


def test_key_that_has_become_free_is_used_again(path: Path) -> None:
    with closing(opened(path, format="gearmand")) as queue:
        queue.commit([job(1, unique=b"u")], [])
        queue.commit([job(2, unique=b"u")], [1])
        queue.commit([job(2, unique=b"u", retries=1)], [])
    assert sql(path, KEYS) == [(b"u",)]


def test_no_row_is_one_that_gearmand_refuses(path: Path) -> None:
    sql(path, GEARMANDS, insert("'old'", "'f'", "1", "NULL", "NULL"))
    fill(path, job(5, workload=b"", unique=b""), EVERYTHING, format="gearmand")
    types = ("unique_key", "function_name", "priority", "data", "when_to_run")
    row = ", ".join(f"typeof({name})" for name in types)
    found = sql(path, f"SELECT DISTINCT {row} FROM gearman_queue")
    assert found == [(b"text", b"text", b"integer", b"blob", b"integer")]


def test_jobs_outlive_new_numbers_by_vacuum(path: Path) -> None:
    fill(path, job(50, unique=b""), job(70), format="gearmand")
    sql(path, "UPDATE gearman_queue SET rowid = rowid - 49 WHERE rowid = 50")
    moved = job(1, unique=b"", handle=b"")
    assert content(path, format="gearmand") == [moved, job(70)]
