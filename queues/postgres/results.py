"""Functions of SQL that run a job and return its result, in PL/Python.

Their bodies call the package gearman inside of Postgres, where it must be importable.
"""

from typing import Final

from psycopg.sql import SQL, Composable, Composed, Identifier

from gearman.errors import QueueError, StartupError

from .session import Session
from .store import what_to_do
from .tables import check_name, current_schema

_EXTENSION: Final = SQL("CREATE EXTENSION IF NOT EXISTS plpython3u;\n")

# A caller has Postgres connect to any server. So nobody may call them at first.
_FUNCTION: Final = SQL("""\
CREATE OR REPLACE FUNCTION {name}
    ({arguments})
RETURNS {result} LANGUAGE plpython3u COST 100000 AS $python$
from gearman.sql.results import functions
return functions.{call}
$python$;
REVOKE ALL ON FUNCTION {name}({types}) FROM PUBLIC;
""")

_PRIORITIES: Final = {"gman_do": "normal", "gman_do_high": "high", "gman_do_low": "low"}


def functions(schema: str) -> str:
    """Return the statements that create the functions in a schema, or replace them."""
    made: list[Composable] = [_EXTENSION]
    for name in _PRIORITIES:
        made += [_do(schema, name, "text"), _do(schema, name, "bytea")]
    return Composed([*made, _servers_set(schema), _servers_check(schema)]).as_string()


def _do(schema: str, name: str, type_: str) -> Composable:
    arguments = f'function text, workload {type_}, "unique" text DEFAULT NULL'
    values = f"plpy, '{name}', '{_PRIORITIES[name]}', function, workload, unique"
    call = f"do_{'text' if type_ == 'text' else 'bytes'}({values})"
    return _function(schema, name, arguments, f"text, {type_}, text", type_, call)


def _servers_set(schema: str) -> Composable:
    call = "set_servers(plpy, servers)"
    return _function(
        schema, "gman_servers_set", "servers text", "text", "boolean", call
    )


def _servers_check(schema: str) -> Composable:
    arguments, call = "servers text DEFAULT NULL", "check_servers(plpy, servers)"
    return _function(schema, "gman_servers_check", arguments, "text", "integer", call)


def _function(
    schema: str, name: str, arguments: str, types: str, result: str, call: str
) -> Composable:
    return _FUNCTION.format(
        name=Identifier(schema, name),
        arguments=SQL(arguments),
        types=SQL(types),
        result=SQL(result),
        call=SQL(call),
    )


def script(schema: str) -> str:
    """Return the statements for a schema; "" is `public`."""
    check_name(schema, "postgres-schema")
    return functions(schema or "public")


def install(conninfo: str, schema: str) -> None:
    """Create the functions in a schema, or replace them.

    "" is the first schema of the search path. Raises ConfigurationError, StartupError.
    """
    check_name(schema, "postgres-schema")
    session = Session(conninfo)
    try:
        with session.connection() as connection:
            made = functions(schema or current_schema(connection))
            with connection.transaction():
                connection.execute(made.encode())
    except QueueError as error:
        raise StartupError(what_to_do(error)) from error
    finally:
        session.close()
