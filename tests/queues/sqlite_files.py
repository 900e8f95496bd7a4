"""Files of the queue plugin sqlite, opened as by a server and as by an operator."""

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

from gearman.queue import Queue, StoredJob, Unreadable, load

SqliteQueue: Any = load("sqlite")


def job(number: int, **fields) -> StoredJob:
    plain = StoredJob(number, b"H:host:%d" % number, b"f", b"u%d" % number, b"work")
    return plain._replace(**fields)


def opened(path: Path, **options) -> Queue:
    """Open a file and skip its jobs, as a server does at its start."""
    queue: Queue = SqliteQueue(db=path, **options)
    list(queue.replay())
    return queue


def content(path: Path, **options) -> list[StoredJob | Unreadable]:
    with closing(SqliteQueue(db=path, **options)) as queue:
        return list(queue.replay())


def fill(path: Path, *jobs: StoredJob, **options) -> None:
    with closing(opened(path, **options)) as queue:
        queue.commit(jobs, [])


def sql(path: Path, *statements: str) -> list[tuple[Any, ...]]:
    """Execute SQL as the program sqlite3 does, and return the rows."""
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.text_factory = bytes
        for statement in statements:
            rows = connection.execute(statement).fetchall()
    return rows
