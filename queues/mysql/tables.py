"""The table of a queue: finding it, and creating it."""

from dataclasses import dataclass
from typing import Final

from gearman.errors import ConfigurationError, StartupError

from .connection import HIDDEN, Connection, DatabaseError
from .statements import COLUMNS, identifier

DEFAULT: Final = "gearman_jobs"
SUFFIX: Final = "_jobs"

# Characters of a name of MySQL.
LONGEST_NAME: Final = 64

COLUMNS_OF_GEARMAND: Final = {
    *("unique_key", "function_name", "priority", "data", "when_to_run")
}

CREATE: Final = b"""
    CREATE TABLE IF NOT EXISTS %b (
        number BIGINT NOT NULL,
        part INT NOT NULL,
        handle VARBINARY(255) NOT NULL,
        function_name VARBINARY(8192) NOT NULL,
        unique_key VARBINARY(255) NOT NULL,
        workload LONGBLOB NOT NULL,
        priority TINYINT NOT NULL,
        when_to_run BIGINT NOT NULL,
        retries BIGINT NOT NULL,
        reducer_name BLOB,
        extra LONGBLOB,
        PRIMARY KEY (number, part)
    ) ENGINE = InnoDB ROW_FORMAT = DYNAMIC
"""


@dataclass(frozen=True, slots=True)
class Table:
    """An existing table, and whether InnoDB has it.

    By its columns: their types, and their character sets, "" for bytes and numbers.
    """

    name: str
    columns: dict[str, str]
    character_sets: dict[str, str]
    transactional: bool

    @property
    def of_gearmand(self) -> bool:
        return self.columns.keys() >= COLUMNS_OF_GEARMAND

    @property
    def ours(self) -> bool:
        return self.columns.items() >= COLUMNS.items()


def check_name(name: str) -> None:
    """Raise ConfigurationError if MySQL does not allow this name for a table."""
    if (
        len(name) > LONGEST_NAME
        or not name.isprintable()
        or name.endswith(" ")
        or any(ord(character) > 0xFFFF for character in name)
    ):
        raise ConfigurationError(
            f"--mysql-table can't be {name!r}: give a name of at most {LONGEST_NAME}"
            " printable characters, without a space at the end"
        )


def beside(name: str, suffix: str = SUFFIX) -> str:
    """Return a name for something that belongs to a table.

    With the default, it is the name of our table if gearmand has the one of this name.
    """
    return name[: LONGEST_NAME - len(suffix)] + suffix


def find(connection: Connection, name: str) -> Table | None:
    """Return the table of this name, None if there is none, or we may not see it."""
    try:
        columns = connection.rows(b"SHOW FULL COLUMNS FROM %b" % identifier(name))
        [shown] = connection.rows(b"SHOW CREATE TABLE %b" % identifier(name))
    except DatabaseError as error:
        if error.code in HIDDEN:
            return None
        raise
    types, character_sets = {}, {}
    for column in columns:
        field, kind, collation = map(_text, column[:3])
        types[field.lower()] = kind.partition("(")[0].lower()
        character_sets[field.lower()] = collation.partition("_")[0]
    return Table(name, types, character_sets, "ENGINE=InnoDB" in _text(shown[1]))


def _text(value: bytes | str | None) -> str:
    return value.decode(errors="replace") if isinstance(value, bytes) else value or ""


def choose(connection: Connection, name: str) -> str:
    """Return the name of the table for jobs, which may not exist yet.

    If the name is that of a table of gearmand, our table has another name (`beside`),
    and is found even after gearmand's table is gone.
    """
    name = name or DEFAULT
    there, derived = find(connection, name), find(connection, beside(name))
    if there:
        return beside(name) if there.of_gearmand else name
    return beside(name) if derived and derived.ours else name


def create(connection: Connection, name: str) -> None:
    """Create a table unless it exists.

    Raises StartupError if a table of that name can't be used.
    """
    there = find(connection, name)
    if there is None:
        connection.run(CREATE % identifier(name))
        there = find(connection, name)
    if there is None or not there.ours:
        raise StartupError(
            f"the table {name} has other columns than the queue's: name another one"
            " with --mysql-table"
        )
    if not there.transactional:
        raise StartupError(
            f"the table {name} is not one of InnoDB, and would lose jobs: change that"
            f" by ALTER TABLE {identifier(name).decode()} ENGINE = InnoDB"
        )
