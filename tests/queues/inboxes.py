"""Inboxes for tests: stores with --queue-inbox, and programs that insert rows."""

import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from gearman.queue import Inbox, Queue

from .backend import Arguments, Backend
from .backend_mysql import pymysql
from .backend_postgres import psycopg


@dataclass
class Box:
    """A store with an inbox.

    `connect` returns a connection of another program, with a transaction that begins
    with its first statement. `mark` stands for a value in a statement, and `moment` for
    a time in seconds since the epoch.
    """

    backend: Backend
    arguments: Arguments
    table: str
    connect: Callable[[], Any]
    mark: str
    moment: str
    opened: list[Queue] = field(default_factory=list)

    def open(self) -> tuple[Queue, Inbox]:
        """Open the store as a server does; its jobs are skipped."""
        queue = self.backend.plugin(**{**self.arguments, "inbox": True})
        self.opened.append(queue)
        list(queue.replay())
        return queue, queue.inbox()

    def insert(self, connection: Any, **columns: object) -> None:
        """Insert a row; its function is f if no other one is given."""
        given = {"function_name": "f", **columns}
        values = [self.moment if name == "run_at" else self.mark for name in given]
        connection.execute(
            f"INSERT INTO {self.table} ({', '.join(given)})"
            f" VALUES ({', '.join(values)})",
            list(given.values()),
        )

    @contextmanager
    def program(self) -> Iterator[Any]:
        """A context with a connection, whose transaction is committed at the end."""
        connection = self.connect()
        try:
            yield connection
            connection.commit()
        finally:
            connection.close()

    def add(self, *rows: dict[str, object]) -> None:
        """Insert rows in one transaction."""
        with self.program() as connection:
            for row in rows:
                self.insert(connection, **row)

    def sql(self, statement: str) -> list[tuple[Any, ...]]:
        """Execute a statement on the table {}, and return its rows if it has any."""
        with self.program() as connection:
            cursor = connection.execute(statement.format(self.table))
            return cursor.fetchall() if cursor.description else []


def postgres(backend: Backend) -> Box:
    arguments = {**backend.new_store(), "schema": "public"}
    table = f'"{arguments["table"]}_inbox"'
    return Box(
        backend,
        arguments,
        table,
        lambda: psycopg().connect(arguments["conninfo"]),
        "%s",
        "to_timestamp(%s)",
    )


def sqlite(backend: Backend) -> Box:
    arguments = backend.new_store()
    table = "gearman_queue_inbox"
    return Box(
        backend, arguments, table, lambda: sqlite3.connect(arguments["db"]), "?", "?"
    )


class MySQL:
    """A connection of PyMySQL with a method `execute`."""

    def __init__(self, **arguments: Any) -> None:
        self._connection = pymysql().connect(**arguments)
        self.commit, self.rollback = self._connection.commit, self._connection.rollback
        self.close = self._connection.close

    def execute(self, statement: str, values: Sequence[object] | None = None) -> Any:
        cursor = self._connection.cursor()
        cursor.execute(statement, values)
        return cursor


def mysql(backend: Backend) -> Box:
    arguments = backend.new_store()
    return Box(
        backend,
        arguments,
        f"`{arguments['table']}_inbox`",
        lambda: MySQL(
            unix_socket=arguments["socket"],
            user=arguments["user"],
            database=arguments["db"],
        ),
        "%s",
        "FROM_UNIXTIME(%s)",
    )


BOXES = {
    "mysql": mysql,
    "postgres": postgres,
    "sqlite": sqlite,
    "sqlite-gearmand": sqlite,
}
