"""Functions of SQL that submit jobs, by rows in the inbox.

They run with the rights of their caller, who needs those on the inbox. The names of
their parameters differ from those of columns.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from gearman.errors import QueueError, StartupError

from .connection import HIDDEN, Connection, DatabaseError
from .inbox import create, name_of, statement
from .session import Session
from .statements import identifier
from .store import what_to_do
from .tables import DEFAULT, check_name, choose

_TEXT: Final = "CHARACTER SET utf8mb4"
_SUBMIT: Final = f"""\
CREATE FUNCTION gearman_submit(
    job_function TEXT {_TEXT}, job_workload LONGBLOB, job_unique TEXT {_TEXT},
    job_priority TINYINT, job_run_at TIMESTAMP(6), job_options TEXT {_TEXT}
) RETURNS BIGINT NOT DETERMINISTIC MODIFIES SQL DATA SQL SECURITY INVOKER
BEGIN
    INSERT INTO {{inbox}}
        (function_name, workload, unique_key, priority, run_at, options)
    VALUES (
        job_function, COALESCE(job_workload, ''), COALESCE(job_unique, ''),
        job_priority, job_run_at, COALESCE(job_options, '')
    );
    RETURN LAST_INSERT_ID();
END"""
_BACKGROUND: Final = f"""\
CREATE FUNCTION {{name}}(job_function TEXT {_TEXT}, job_workload LONGBLOB)
RETURNS VARCHAR(20) NOT DETERMINISTIC MODIFIES SQL DATA SQL SECURITY INVOKER
BEGIN
    INSERT INTO {{inbox}} (function_name, workload, priority)
    VALUES (job_function, COALESCE(job_workload, ''), {{priority}});
    RETURN LAST_INSERT_ID();
END"""
_BACKGROUNDS: Final = {
    "gman_do_background": "NULL",
    "gman_do_high_background": "0",
    "gman_do_low_background": "2",
}
# Functions of libraries. MariaDB refuses others of their names; MySQL creates them, and
# calls those of the library.
_LOADED: Final = "SELECT name FROM mysql.func WHERE name IN ({})".format(
    ", ".join(f"'{name}'" for name in _BACKGROUNDS)
)


def functions(table: str) -> Iterator[str]:
    """Yield the statements that create the functions for a table of jobs."""
    inbox = identifier(name_of(table)).decode()
    yield "DROP FUNCTION IF EXISTS gearman_submit"
    yield _SUBMIT.format(inbox=inbox)
    for name, priority in _BACKGROUNDS.items():
        yield f"DROP FUNCTION IF EXISTS {name}"
        yield _BACKGROUND.format(name=name, inbox=inbox, priority=priority)


def script(table: str) -> str:
    """Return all statements, for the program `mariadb` or `mysql`."""
    check_name(table)
    table = table or DEFAULT
    # It could only stand in the name of the table.
    mark = "//"
    while mark in table:
        mark += "/"
    lines = [f"DELIMITER {mark}"]
    lines += [f"{each}{mark}" for each in (statement(table), *functions(table))]
    return "\n".join([*lines, "DELIMITER ;", ""])


def install(places: Sequence[Mapping[str, Any]], table: str) -> None:
    """Create the inbox, unless it exists, and the functions, or replace them.

    Raises StartupError.
    """
    check_name(table)
    session = Session(places)
    try:
        with session.connection() as connection:
            _check_names(connection)
            name = choose(connection, table)
            create(connection, name)
            for each in functions(name):
                connection.run(each.encode())
    except QueueError as error:
        raise StartupError(what_to_do(error)) from error
    finally:
        session.close()


def _check_names(connection: Connection) -> None:
    """Raise StartupError if functions of a library have the names of the inbox's."""
    try:
        names = [name.decode() for (name,) in connection.rows(_LOADED.encode())]
    except DatabaseError as error:
        if error.code not in HIDDEN:
            raise
        # This user is not to know.
        names = []
    if names:
        raise StartupError(
            "the database has functions of contrib/mysql/install-background.sql,"
            " which submit jobs at once: to have those of the inbox, drop these first,"
            f" such as by DROP FUNCTION {names[0]}"
        )
