"""Stores: whether they exist, and items in them that can't be read."""

from pathlib import Path

import pytest

from gearman.cli.gearman_queue.stores import Store, readable
from gearman.errors import ConfigurationError
from gearman.queue import StoredJob, Unreadable, load
from tests.server.storage.slow_queue import Slow

JOB = StoredJob(7, b"H:host:7", b"f", b"u", b"w")


def test_what_is_no_job_is_reported_and_passed_over() -> None:
    broken = JOB._replace(number=8, priority=9)
    reports: list[str] = []
    queue = Slow(Unreadable("row 3", "it is odd"), broken, JOB)
    assert list(readable(queue, reports.append)) == [JOB]
    assert reports == [
        "stored job row 3 is left alone: it is odd",
        "stored job 8 is left alone: its priority is 9",
    ]


def test_files_that_are_not_there_are_not_made(tmp_path: Path) -> None:
    path = str(tmp_path / "jobs.db")
    store = Store("sqlite", load("sqlite"), {"db": path})
    with pytest.raises(ConfigurationError) as error:
        store.check_it_exists()
    expected = f"there is no {path} to read jobs from: check --sqlite-db"
    assert str(error.value) == expected
    assert not list(tmp_path.iterdir())
    with store.open() as queue:
        queue.commit([JOB], [])
    store.check_it_exists()
    assert store.count() == 1
