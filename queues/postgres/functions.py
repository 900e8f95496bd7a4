"""Functions of SQL that submit jobs, by rows in the inbox.

They run with the rights of their caller, who needs those on the inbox. All names in
them have a schema, and they don't use the caller's search path.
"""

from typing import Final

from psycopg.sql import SQL, Identifier

from gearman.errors import QueueError, StartupError

from .inbox import create, inbox_of, statements
from .session import Session
from .store import what_to_do
from .tables import DEFAULT, Table, check_name, choose

_SUBMIT: Final = """\
CREATE OR REPLACE FUNCTION {name}(
    function text, workload {type}, "unique" text DEFAULT NULL,
    priority integer DEFAULT NULL, run_at timestamptz DEFAULT NULL,
    options text DEFAULT NULL
) RETURNS bigint LANGUAGE sql SET search_path = pg_catalog, pg_temp AS {tag}
    INSERT INTO {inbox}
        (function_name, workload, unique_key, priority, run_at, options)
    VALUES (
        $1, coalesce({workload}, ''), coalesce($3, ''), $4, $5, coalesce($6, '')
    )
    RETURNING id
{tag};
"""
_BACKGROUND: Final = """\
CREATE OR REPLACE FUNCTION {name}(
    function text, workload text, "unique" text DEFAULT NULL
) RETURNS text LANGUAGE sql SET search_path = pg_catalog, pg_temp AS {tag}
    INSERT INTO {inbox} (function_name, workload, unique_key, priority)
    VALUES ($1, coalesce({workload}, ''), coalesce($3, ''), {priority})
    RETURNING id::text
{tag};
"""
_OF_TEXT: Final = SQL("convert_to($2, 'UTF8')")
_BACKGROUNDS: Final = {
    "gman_do_background": "NULL",
    "gman_do_high_background": "0",
    "gman_do_low_background": "2",
}


def functions(table: Table) -> str:
    """Return the statements that create the functions for a table of jobs."""
    inbox = inbox_of(table)
    tag = "$gearman$"
    while tag in str(inbox):
        tag = f"{tag[:-1]}_$"
    common = {"inbox": inbox.identifier, "tag": SQL(tag)}
    submit = Identifier(table.schema, "gearman_submit")
    made = [
        SQL(_SUBMIT).format(name=submit, type=SQL(kind), workload=workload, **common)
        for kind, workload in (("text", _OF_TEXT), ("bytea", SQL("$2")))
    ]
    made += [
        SQL(_BACKGROUND).format(
            name=Identifier(table.schema, name),
            workload=_OF_TEXT,
            priority=SQL(priority),
            **common,
        )
        for name, priority in _BACKGROUNDS.items()
    ]
    return "".join(each.as_string() for each in made)


def script(table: str, schema: str) -> str:
    """Return all statements: those of the inbox, and those of the functions."""
    check_name(table, "postgres-table")
    check_name(schema, "postgres-schema")
    jobs = Table(schema or "public", table or DEFAULT)
    return f"{statements(jobs).as_string()}{functions(jobs)}"


def install(conninfo: str, table: str, schema: str) -> None:
    """Create the inbox, unless it exists, and the functions, or replace them.

    Raises ConfigurationError or StartupError.
    """
    check_name(table, "postgres-table")
    check_name(schema, "postgres-schema")
    session = Session(conninfo)
    try:
        with session.connection() as connection:
            jobs = choose(connection, schema, table)
            create(connection, jobs)
            with connection.transaction():
                connection.execute(functions(jobs).encode())
    except QueueError as error:
        raise StartupError(what_to_do(error)) from error
    finally:
        session.close()
