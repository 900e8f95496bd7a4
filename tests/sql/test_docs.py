"""What docs/sql-results.md says, done in real databases."""

import re
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from typing import Any

from gearman.sql.results.settings import CONNECTING, TIMEOUT
from tests import servers
from tests.queues.backend_mysql import Daemon
from tests.queues.backend_postgres import Database

from .udf import SOURCES

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "sql-results.md").read_text()
MARIADB, _, POSTGRES = PAGE.partition("\n## Postgres\n")

COMMANDS = re.compile(r"(?:^    .*\n)+", re.MULTILINE)
SQL = re.compile(r"^```sql\n(.*?)^```$", re.MULTILINE | re.DOTALL)
STATEMENT = re.compile(r"^(.+);(?:  -- (.*))?$", re.MULTILINE)


def statements(page: str, job_server: str) -> list[tuple[str, str]]:
    """Return the statements of a page, and what they are to return, or nothing."""
    text = "".join(SQL.findall(page)).replace("127.0.0.1:4730", job_server)
    return STATEMENT.findall(text)


def shell(command: str, **environment: str) -> None:
    """Run commands of the page, without the rights of others."""
    subprocess.run(
        ["bash", "-e", "-c", re.sub(r"\bsudo (-u \w+ )?", "", command)],
        env=environment or None,
        cwd=ROOT,
        check=True,
        timeout=servers.DEADLINE,
    )


def told(value: Any) -> str:
    """Return a result as the page has it."""
    return value.decode() if isinstance(value, bytes) else str(value)


def test_mariadb_does_what_the_page_says(mariadb: Daemon, job_server: str) -> None:
    commands, load_background = COMMANDS.findall(MARIADB)
    packages, enter, make, install, load = map(str.strip, commands.splitlines())
    # The fixture has run some of them.
    assert {"gcc", "make", "libmariadb-dev"} < {*packages.split()}
    assert (enter, make) == ("cd contrib/mysql", "make")
    assert "make install PLUGIN_DIR=/" in install
    client = f"mariadb --no-defaults --socket={mariadb.socket}"
    load = f"{enter}; {load}; {load_background}".replace("mariadb", client)
    shell(load)
    found = statements(MARIADB, job_server)
    assert len(found) > 6
    with closing(mariadb.connect()) as connection, connection.cursor() as cursor:
        for statement, expected in found:
            if statement.startswith("CREATE FUNCTION gman_servers_set"):
                cursor.execute("DROP FUNCTION gman_servers_set")
            cursor.execute(statement)
            if expected:
                assert told(cursor.fetchone()[0]) == expected
    shell(load)


def test_limits_of_mariadb_are_those_of_the_page() -> None:
    source = (SOURCES / "servers.c").read_text()
    assert "static struct gman_limits limits = {5, 60};" in source
    assert "60 seconds after" in MARIADB
    assert "answer within 5" in MARIADB.replace("\n  ", " ")


def test_functions_of_the_page_are_those_that_are_installed(mariadb: Daemon) -> None:
    installed = {name for (name,) in mariadb.sql("SELECT name FROM mysql.func")}
    assert {*re.findall(r"`(gman_\w+)\(", MARIADB)} == installed


def test_postgres_does_what_the_page_says(postgres: Database, job_server: str) -> None:
    install, create = COMMANDS.findall(POSTGRES)
    assert "PYTHONPATH" in install
    database = Database(postgres.cluster, "shop")
    shell(
        create.replace(
            "gearman-queue", f"{sys.executable} -P -m gearman.cli.gearman_queue"
        ),
        **servers.package_environment(),
        **{"PGHOST": str(postgres.cluster.folder), "PGUSER": "postgres"},
        **{"PGPORT": str(postgres.cluster.port)},
    )
    database.sql("CREATE ROLE app")
    found = statements(POSTGRES, job_server)
    assert len(found) > 6
    with closing(database.connect()) as connection:
        for statement, expected in found:
            cursor = connection.execute(statement)
            if expected:
                (value,) = cursor.fetchone()
                assert (value if isinstance(value, str) else f"\\x{value.hex()}") == (
                    expected
                )


def test_settings_of_the_page_are_those_of_postgres() -> None:
    rows = dict(re.findall(r"^\| `(gman\.\w+)` \| (\d+) \|", POSTGRES, re.MULTILINE))
    assert rows == {
        "gman.timeout": f"{TIMEOUT:g}",
        "gman.connect_timeout": f"{CONNECTING:g}",
    }


def test_codes_of_errors_are_those_of_the_page() -> None:
    source = (ROOT / "gearman/sql/results/functions.py").read_text()
    codes = re.findall(r'^_\w+: Final = "(\w{5})"', source, re.MULTILINE)
    assert re.findall(r"^\| `(\w{5})` \|", POSTGRES, re.MULTILINE) == codes
