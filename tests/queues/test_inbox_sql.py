"""The functions of SQL that submit jobs, and how they are installed."""

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from gearman.errors import ConfigurationError, StartupError
from gearman.queue import load
from tests.cli.tools import our_tool, outcome
from tests.queues.backend_mysql import SETTINGS, USER, daemon
from tests.queues.backend_mysql import Database as MariaDB
from tests.queues.backend_postgres import STRICT, Alone, Database, psycopg

pytestmark = pytest.mark.any_build

NASTY = "'); DROP TABLE x; -- \\ \" ` $$ {} %s"
POSTGRES: Any = Alone if STRICT else load("postgres")
MYSQL: Any = load("mysql")
SQLITE: Any = load("sqlite")
SELECT = "SELECT function_name, workload, unique_key, priority, options FROM {}"


def installed(database: Database, **options: str) -> dict[str, str]:
    given = {"conninfo": database.conninfo, **options}
    POSTGRES.install_sql(given)
    return given


def test_functions_of_postgres_take_all_values_as_values(database: Database) -> None:
    installed(database)
    for call in "gearman_submit(%s, %s, %s)", "gman_do_high_background(%s, %s, %s)":
        database.sql(f"SELECT {call}", NASTY, NASTY, NASTY)
    rows = database.sql(SELECT.format("gearman_jobs_inbox"))
    assert rows == [
        (NASTY, NASTY.encode(), NASTY, None, ""),
        (NASTY, NASTY.encode(), NASTY, 0, ""),
    ]


def test_null_is_left_out(database: Database) -> None:
    installed(database)
    database.sql("SELECT gearman_submit('f', NULL::text, NULL, NULL, NULL, NULL)")
    (row,) = database.sql(SELECT.format("gearman_jobs_inbox"))
    assert row == ("f", b"", "", None, "")
    with pytest.raises(psycopg().errors.NotNullViolation):
        database.sql("SELECT gearman_submit(NULL, 'w')")


def test_names_may_be_anything(database: Database) -> None:
    options = installed(database, table=NASTY, schema="$gearman$ 's\"")
    schema = '"$gearman$ \'s"""'
    database.sql(f"SELECT {schema}.gearman_submit('f', 'w')")
    with closing(POSTGRES(**options, inbox=True)) as queue:
        (row,) = queue.inbox().take(10, 10, ())
    assert row.function == b"f"


def test_search_path_of_the_caller_does_not_matter(database: Database) -> None:
    installed(database)
    database.sql(
        "CREATE SCHEMA evil; CREATE TABLE evil.gearman_jobs_inbox (function_name text);"
        "CREATE FUNCTION evil.convert_to(text, name) RETURNS bytea LANGUAGE sql"
        " AS $$ SELECT ''::bytea $$;"
    )
    database.sql(
        "SET search_path = evil, public; SELECT public.gearman_submit('f', 'w');"
    )
    assert database.sql("SELECT workload FROM gearman_jobs_inbox") == [(b"w",)]


def test_who_may_not_insert_can_not_submit(database: Database) -> None:
    installed(database)
    role = f"guest_{database.name}"
    database.sql(f"CREATE ROLE {role}")
    with pytest.raises(psycopg().errors.InsufficientPrivilege):
        database.sql(f"SET ROLE {role}; SELECT gearman_submit('f', 'w');")


def test_first_rows_are_found_without_sorting_all(database: Database) -> None:
    """Also if Postgres has no statistics yet."""
    with closing(POSTGRES(conninfo=database.conninfo, inbox=True)) as queue:
        database.sql(
            "INSERT INTO gearman_jobs_inbox (function_name)"
            " SELECT 'f' FROM generate_series(1, 3000)"
        )
        inbox = queue.inbox()
        statement = b"EXPLAIN " + inbox._take.as_string().encode()
        with queue._store._session.connection() as connection:
            plan = str(connection.execute(statement, [10, 10]).fetchall())
    assert "Index Scan" in plan
    assert "Sort" not in plan


def test_server_that_may_not_remove_rows_does_not_start(database: Database) -> None:
    installed(database)
    role = f"keeper_{database.name}"
    database.sql(
        f"CREATE ROLE {role} LOGIN; GRANT CREATE ON SCHEMA public TO {role};"
        f"GRANT SELECT, UPDATE ON gearman_jobs_inbox TO {role};"
    )
    conninfo = f"{database.conninfo} user={role}"
    with pytest.raises(StartupError, match=r"permission denied .* grant that"):
        POSTGRES(conninfo=conninfo, inbox=True)
    database.sql(f"GRANT DELETE ON gearman_jobs_inbox TO {role}")
    POSTGRES(conninfo=conninfo, inbox=True).close()


@pytest.mark.skipif(STRICT, reason="there, all tests of an inbox show this")
def test_row_is_inserted_although_nobody_can_be_told(database: Database) -> None:
    installed(database)
    role = f"silent_{database.name}"
    database.sql(f"CREATE ROLE {role}; GRANT INSERT ON gearman_jobs_inbox TO {role};")
    insert = "INSERT INTO gearman_jobs_inbox (function_name) VALUES ('f')"
    # Undone at the end, since other tests use this database.
    with database.connect() as program, program.transaction(force_rollback=True):
        program.execute("REVOKE EXECUTE ON FUNCTION pg_notify FROM PUBLIC")
        program.execute(f"SET LOCAL ROLE {role}")
        assert program.execute(insert).rowcount == 1


def test_functions_can_be_installed_again_while_a_server_runs(
    database: Database,
) -> None:
    options = installed(database)
    with closing(POSTGRES(**options, inbox=True)) as queue:
        installed(database)
        database.sql("SELECT gearman_submit('f', 'w')")
        assert len(queue.inbox().take(10, 10, ())) == 1


def test_printed_statements_of_postgres_do_the_same(database: Database) -> None:
    said = outcome(our_tool("gearman_queue", None, "sql", "--print", "-q", "postgres"))
    assert (said.status, said.err) == (0, "")
    for _ in range(2):
        database.sql(f"SET ROLE {database.cluster.role};" + said.out.decode())
    database.sql("SELECT gman_do_background('f', 'w')")
    with closing(POSTGRES(conninfo=database.conninfo, inbox=True)) as queue:
        assert len(queue.inbox().take(10, 10, ())) == 1


def test_postgres_that_can_not_be_reached_is_a_sentence() -> None:
    with pytest.raises(StartupError, match="make sure that Postgres runs"):
        POSTGRES.install_sql({"conninfo": "host=127.0.0.1 port=1"})


def test_another_table_of_that_name_is_left_alone(database: Database) -> None:
    database.sql("CREATE TABLE gearman_jobs_inbox (letter text)")
    with pytest.raises(StartupError, match="has other columns than the queue's inbox"):
        POSTGRES(conninfo=database.conninfo, inbox=True)


def test_large_workloads_are_read(database: Database) -> None:
    installed(database)
    sizes = [10, 5000, 3_000_000, 5001, 9]
    for size in sizes:
        database.sql("SELECT gearman_submit('f', repeat('x', %s))", size)
    with closing(POSTGRES(conninfo=database.conninfo, inbox=True)) as queue:
        rows = queue.inbox().take(10, 1 << 30, ())
    assert [len(row.workload) for row in rows] == sizes


def test_too_large_a_workload_is_no_job(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gearman.queues.postgres.store.LARGEST", 5000)
    installed(database)
    database.sql("SELECT gearman_submit('f', repeat('x', 5001))")
    with closing(POSTGRES(conninfo=database.conninfo, inbox=True)) as queue:
        (row,) = queue.inbox().take(10, 1 << 30, ())
    assert row.fault == "its workload has 5001 bytes, and this queue takes 5000 at most"


def test_functions_of_mariadb_take_all_values_as_values(
    mysql_database: MariaDB,
) -> None:
    MYSQL.install_sql(mysql_database.arguments)
    MYSQL.install_sql(mysql_database.arguments)
    submit = "SELECT gearman_submit(%s, %s, %s, 2, NULL, NULL)"
    assert mysql_database.sql(submit, NASTY, NASTY, NASTY) == [(1,)]
    background = "SELECT gman_do_high_background(%s, %s)"
    assert mysql_database.sql(background, NASTY, NASTY) == [("2",)]
    rows = mysql_database.sql(SELECT.format("gearman_jobs_inbox"))
    assert rows == [
        (NASTY, NASTY.encode(), NASTY, 2, ""),
        (NASTY, NASTY.encode(), "", 0, ""),
    ]


def test_table_in_mariadb_has_any_name(mysql_database: MariaDB) -> None:
    options = {**mysql_database.arguments, "table": "a'b`c // "[:-1]}
    MYSQL.install_sql(options)
    mysql_database.sql("SELECT gman_do_background('f', NULL)")
    with closing(MYSQL(**options, inbox=True)) as queue:
        (row,) = queue.inbox().take(10, 10, ())
    assert row[1:4] == (b"f", b"", b"")
    assert "DELIMITER ///\n" in MYSQL.sql(options)


def test_binary_log_may_forbid_functions_and_the_error_says_what_to_do() -> None:
    settings = {
        "log-bin": "log",
        "server-id": "1",
        "log-bin-trust-function-creators": "OFF",
    }
    with daemon(SETTINGS | settings) as running:
        database = MariaDB(running, "logged")
        running.sql(f"REVOKE ALL ON *.* FROM {USER}")
        running.sql(f"GRANT ALL ON logged.* TO {USER}")
        with pytest.raises(StartupError, match="SET GLOBAL log_bin_trust_function"):
            MYSQL.install_sql(database.tcp)
        running.sql("SET GLOBAL log_bin_trust_function_creators = 1")
        MYSQL.install_sql(database.tcp)


def test_large_workloads_are_read_from_mariadb(mysql_database: MariaDB) -> None:
    MYSQL.install_sql(mysql_database.arguments)
    sizes = [10, 5000, 3_000_000, 5001, 9]
    for size in sizes:
        mysql_database.sql("SELECT gman_do_background('f', REPEAT('x', %s))", size)
    with closing(MYSQL(**mysql_database.arguments, inbox=True)) as queue:
        rows = queue.inbox().take(10, 1 << 30, ())
    assert [len(row.workload) for row in rows] == sizes


def test_too_large_a_workload_in_mariadb_is_no_job(
    mysql_database: MariaDB, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gearman.queues.mysql.store.LARGEST", 5000)
    MYSQL.install_sql(mysql_database.arguments)
    mysql_database.sql("SELECT gman_do_background('f', REPEAT('x', 5001))")
    with closing(MYSQL(**mysql_database.arguments, inbox=True)) as queue:
        (row,) = queue.inbox().take(10, 1 << 30, ())
    assert row.fault == "its workload has 5001 bytes, and this queue takes 5000 at most"


def test_another_table_of_that_name_in_mariadb_is_left_alone(
    mysql_database: MariaDB,
) -> None:
    mysql_database.sql("CREATE TABLE gearman_jobs_inbox (letter TEXT)")
    with pytest.raises(StartupError, match="has other columns than the queue's inbox"):
        MYSQL(**mysql_database.arguments, inbox=True)
    mysql_database.sql("DROP TABLE gearman_jobs_inbox")
    MYSQL(**mysql_database.arguments, inbox=True).close()
    mysql_database.sql("ALTER TABLE gearman_jobs_inbox ENGINE = MyISAM")
    with pytest.raises(StartupError, match="is not one of InnoDB"):
        MYSQL(**mysql_database.arguments, inbox=True)


def test_mariadb_that_can_not_be_reached_is_a_sentence() -> None:
    with pytest.raises(StartupError, match="make sure that the database runs"):
        MYSQL.install_sql({"host": "127.0.0.1", "port": 1, "db": "x"})


def test_statement_for_sqlite_creates_the_table(tmp_path: Path) -> None:
    path = tmp_path / "shop.db"
    words = ("-q", "sqlite", "--sqlite-db", str(path), "--sqlite-table", 'a"b')
    said = outcome(our_tool("gearman_queue", None, "sql", "--install", *words))
    assert (said.status, said.err) == (0, "")
    said = outcome(our_tool("gearman_queue", None, "sql", "--print", *words))
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript(said.out.decode())
        connection.execute('SELECT run_at FROM "a""b_inbox"')


@pytest.mark.parametrize(
    ("run_at", "when", "fault"),
    [
        ("2000000000", 2_000_000_000, ""),
        ("1.5", 2, ""),
        ("-1", 0, ""),
        ("9e999", 1 << 62, ""),
        ("'2033-05-18 03:33:20'", 2_000_000_000, ""),
        ("'tomorrow'", 0, "its run_at is no time"),
        ("x'00'", 0, "its run_at is neither a number nor a text"),
    ],
)
def test_times_in_sqlite(tmp_path: Path, run_at: str, when: int, fault: str) -> None:
    path = tmp_path / "shop.db"
    with (
        closing(SQLITE(db=path, inbox=True)) as queue,
        closing(sqlite3.connect(path)) as connection,
    ):
        with connection:
            connection.execute(
                "INSERT INTO gearman_queue_inbox (function_name, workload, run_at)"
                f" VALUES ('f', 12, {run_at})"
            )
        (row,) = queue.inbox().take(10, 10, ())
    assert (row.when, row.fault, row.workload) == (when, fault, b"12")


def test_inbox_of_sqlite_that_can_not_be_created_is_a_sentence(tmp_path: Path) -> None:
    path = tmp_path / "shop.db"
    path.write_bytes(b"no database" * 100)
    with pytest.raises(StartupError, match="its inbox cannot be created"):
        SQLITE.install_sql({"db": path})


def test_another_table_of_that_name_in_sqlite_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "shop.db"
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE gearman_queue_inbox (letter)")
    with pytest.raises(StartupError, match="no such column"):
        SQLITE(db=path, inbox=True)


def test_lock_of_sqlite_that_can_not_be_opened_is_a_sentence(tmp_path: Path) -> None:
    path = tmp_path / "shop.db"
    Path(f"{path}-server").mkdir()
    with pytest.raises(StartupError, match="its lock shop.db-server cannot be opened"):
        SQLITE(db=path, inbox=True)


def test_queue_without_an_inbox_has_no_statements() -> None:
    plugin = load("flatfile")
    for call in (plugin.sql, plugin.install_sql):
        with pytest.raises(NotImplementedError):
            call({})
    said = outcome(our_tool("gearman_queue", None, "sql", "--print", "-q", "flatfile"))
    assert said.err.startswith("gearman-queue: the queue flatfile has no inbox")


@pytest.mark.parametrize("words", [[], ["--print", "--install"]])
def test_either_print_or_install_is_needed(words: list[str]) -> None:
    said = outcome(our_tool("gearman_queue", None, "sql", *words, "-q", "sqlite"))
    assert said.status == 1
    assert said.err.startswith("gearman-queue: sql needs either --print")


def test_names_that_postgres_does_not_allow_are_refused() -> None:
    with pytest.raises(ConfigurationError):
        POSTGRES.sql({"table": "t" * 64})
