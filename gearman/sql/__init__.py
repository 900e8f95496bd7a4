"""Submitting jobs by SQL: functions for connections of Python's module sqlite3.

Other databases have such functions themselves; see docs/sql.md.
"""

import sqlite3
from collections.abc import Callable
from typing import Final

__all__ = ["register"]

_Value = str | bytes | int | float | None

# Functions with names of earlier interfaces for databases, and the priorities of their
# jobs.
_BACKGROUND: Final = {
    "gman_do_background": None,
    "gman_do_high_background": 0,
    "gman_do_low_background": 2,
}


def register(connection: sqlite3.Connection, table: str = "gearman_queue") -> None:
    """Add the functions of SQL that submit jobs to a connection.

    The database must be the file of a job server with the options `-q sqlite
    --sqlite-db FILE --queue-inbox`; `table` is that of its option --sqlite-table. A
    function inserts a row by this connection, as its method `execute` does: so the job
    is submitted when the transaction of the connection is committed.

    `gearman_submit(function, workload, unique, priority, run_at, options)` returns the
    number of the row; all arguments but the first two may be left out, or be NULL.
    `gman_do_background(function, workload, unique)` returns that as a text, as do
    `gman_do_high_background` and `gman_do_low_background`; the unique may be left out.
    """
    submit = _submitter(connection, table)
    for count in range(2, 7):
        connection.create_function("gearman_submit", count, submit)
    for name, priority in _BACKGROUND.items():
        background = _background(submit, priority)
        for count in (2, 3):
            connection.create_function(name, count, background)


def _submitter(connection: sqlite3.Connection, table: str) -> Callable[..., int]:
    doubled = f"{table}_inbox".replace('"', '""')
    statement = (
        f'INSERT INTO "{doubled}" (function_name, workload, unique_key, priority,'
        " run_at, options) VALUES (?, coalesce(?, x''), coalesce(?, ''), ?, ?,"
        " coalesce(?, ''))"
    )

    def submit(
        function: _Value,
        workload: _Value,
        unique: _Value = None,
        priority: _Value = None,
        run_at: _Value = None,
        options: _Value = None,
    ) -> int:
        values = (function, workload, unique, priority, run_at, options)
        row = connection.execute(statement, values).lastrowid
        assert row is not None  # noqa: S101
        return row

    return submit


def _background(submit: Callable[..., int], priority: int | None) -> Callable[..., str]:
    def background(function: _Value, workload: _Value, unique: _Value = None) -> str:
        return str(submit(function, workload, unique, priority))

    return background
