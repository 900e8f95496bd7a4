"""Files of the queue plugin sqlite, as a server and as an operator sees them."""

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
    """Open a file and pass over its jobs, as a server does before all."""
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
    """Do something to a file as the program sqlite3 would, and return the last rows."""
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.text_factory = bytes
        for statement in statements:
            rows = connection.execute(statement).fetchall()
    return rows
