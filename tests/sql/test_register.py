"""`gearman.sql.register`: functions that submit jobs by a connection of sqlite3."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

import gearman.sql
from gearman.queue import load

Row = tuple[object, ...]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "shop.db"
    load("sqlite").install_sql({"db": path})
    return path


@pytest.fixture
def connection(path: Path) -> Iterator[sqlite3.Connection]:
    with closing(sqlite3.connect(path)) as connection:
        gearman.sql.register(connection)
        yield connection


def rows(path: Path, table: str = "gearman_queue_inbox") -> list[Row]:
    """Return the committed rows."""
    with closing(sqlite3.connect(path)) as connection:
        return connection.execute(
            "SELECT function_name, workload, unique_key, priority, run_at, options"
            f' FROM "{table}"'
        ).fetchall()


@pytest.mark.parametrize(
    ("call", "row"),
    [
        ("gearman_submit('f', 'w')", ("f", "w", "", None, None, "")),
        ("gearman_submit('f', x'00ff')", ("f", b"\0\xff", "", None, None, "")),
        ("gearman_submit('f', NULL)", ("f", b"", "", None, None, "")),
        ("gearman_submit('f', 'w', 'u')", ("f", "w", "u", None, None, "")),
        ("gearman_submit('f', 'w', NULL, 0)", ("f", "w", "", 0, None, "")),
        (
            "gearman_submit('f', 'w', NULL, 2, 2000000000, 'retries=3')",
            ("f", "w", "", 2, 2_000_000_000, "retries=3"),
        ),
        ("gman_do_background('f', 'w')", ("f", "w", "", None, None, "")),
        ("gman_do_background('f', 'w', 'u')", ("f", "w", "u", None, None, "")),
        ("gman_do_high_background('f', 'w')", ("f", "w", "", 0, None, "")),
        ("gman_do_low_background('f', 'w', 'u')", ("f", "w", "u", 2, None, "")),
    ],
)
def test_function_inserts_a_row(
    connection: sqlite3.Connection, path: Path, call: str, row: Row
) -> None:
    with connection:
        ((number,),) = connection.execute(f"SELECT {call}")
    assert rows(path) == [row]
    assert str(number) == "1"
    assert isinstance(number, int) == call.startswith("gearman_submit")


def test_row_is_committed_with_the_transaction(
    connection: sqlite3.Connection, path: Path
) -> None:
    connection.execute("SELECT gearman_submit('f', 'w')")
    assert rows(path) == []
    connection.rollback()
    assert rows(path) == []
    connection.execute("SELECT gearman_submit('f', 'w')")
    connection.commit()
    assert len(rows(path)) == 1


def test_statement_submits_a_job_for_each_of_its_rows(
    connection: sqlite3.Connection, path: Path
) -> None:
    with connection:
        connection.execute("CREATE TABLE orders (id INTEGER PRIMARY KEY)")
        connection.execute(
            "CREATE TRIGGER changed AFTER INSERT ON orders BEGIN"
            " SELECT gearman_submit('index', NEW.id); END"
        )
        connection.execute("INSERT INTO orders VALUES (1), (2)")
        connection.execute("SELECT gearman_submit('mail', id) FROM orders").fetchall()
    submitted = [row[:2] for row in rows(path)]
    assert submitted == [("index", 1), ("index", 2), ("mail", 1), ("mail", 2)]


@pytest.mark.parametrize(
    "call",
    [
        *("gearman_submit()", "gearman_submit('f')"),
        "gearman_submit('f', 'w', 'u', 1, 1, '', 1)",
        *("gman_do_background('f')", "gman_do_background('f', 'w', 'u', 1)"),
        *("gearman_submit(NULL, 'w')", "gearman_submit('f', 'w', NULL, 3)"),
    ],
)
def test_wrong_call_fails(connection: sqlite3.Connection, call: str) -> None:
    with pytest.raises(sqlite3.OperationalError):
        connection.execute(f"SELECT {call}").fetchall()


def test_table_has_any_name(path: Path) -> None:
    name = "a'b\"c"
    load("sqlite").install_sql({"db": path, "table": name})
    with closing(sqlite3.connect(path)) as connection:
        gearman.sql.register(connection, name)
        with connection:
            connection.execute("SELECT gearman_submit(?, ?)", ("'); DROP", '"'))
    assert rows(path, 'a\'b""c_inbox') == [("'); DROP", '"', "", None, None, "")]
