"""The statements of docs/sql.md, run in databases with a server."""

import re
import shlex
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from tests.queues import backend_mysql
from tests.queues.backend_postgres import Database, cluster
from tests.servers import DEADLINE, Server, ours, package_environment
from tests.wire import Peer

PAGE = Path(__file__).resolve().parents[1] / "docs" / "sql.md"
TITLES = re.compile(r"^## ", re.MULTILINE)
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
ORDERS = "CREATE TABLE orders (id integer PRIMARY KEY, item text)"

pytestmark = pytest.mark.any_build

FIRST, *OTHERS = TITLES.split(PAGE.read_text())
SECTIONS = {text.splitlines()[0]: BLOCK.findall(text) for text in OTHERS}


@pytest.fixture(scope="module")
def database() -> Iterator[Database]:
    with cluster() as running:
        database = Database(running, "shop")
        database.sql(ORDERS)
        database.sql("CREATE ROLE shop_web LOGIN")
        database.sql("GRANT SELECT, INSERT ON orders TO shop_web")
        yield database


def done(server: Server, count: int) -> list[tuple[bytes, bytes]]:
    """Do so many jobs, and return their functions and workloads."""
    names = {*re.findall(r"'([a-z]+_?[a-z]+)', ?'", PAGE.read_text())} | {"index"}
    jobs: list[tuple[bytes, bytes]] = []
    with Peer(server.port) as worker:
        for name in names:
            worker.send("CAN_DO", name.encode())
        while len(jobs) < count:
            worker.send("GRAB_JOB")
            answer = worker.receive()
            if answer.name == "JOB_ASSIGN":
                handle, function, workload = answer.arguments
                jobs.append((function, workload))
                worker.send("WORK_COMPLETE", handle, b"")
            elif answer.name == "NO_JOB":
                worker.send("PRE_SLEEP")
                worker.expect("NOOP")
        worker.fence()
    return sorted(jobs)


def run(command: str) -> None:
    """Run a command of the page."""
    program, *words = shlex.split(command)
    assert program == "gearman-queue"
    subprocess.run(
        [sys.executable, "-P", "-m", "gearman.cli.gearman_queue", *words],
        env=package_environment(),
        check=True,
        timeout=DEADLINE,
    )


def test_statements_for_postgres_submit_what_they_say(database: Database) -> None:
    options = ("-q", "postgres", f"--postgres-conninfo={database.conninfo}")
    with ours(*options, "--queue-inbox") as server:
        ((_, first),) = BLOCK.findall(FIRST)
        database.sql(first)
        assert done(server, 1) == [(b"send_receipt", b"42")]
        ((_, mended),) = SECTIONS["The table"]
        database.sql(
            "INSERT INTO gearman_jobs_inbox (function_name, options)"
            " VALUES ('draw', 'colour=1')"
        )
        refused = "SELECT reason FROM gearman_jobs_inbox"
        while database.sql(refused) == [(None,)]:
            pass
        ((reason,),) = database.sql(refused)
        assert reason.startswith("'colour' is no option of a job")
        database.sql(mended)
        assert done(server, 1) == [(b"draw", b"")]
        (_, install), (_, submit), (_, trigger), (_, grant) = SECTIONS["PostgreSQL"]
        run(install.replace("dbname=shop", shlex.quote(database.conninfo)))
        database.sql(submit)
        assert done(server, 2) == [(b"draw", b"\x89PNG"), (b"send_receipt", b"43")]
        database.sql(trigger)
        assert done(server, 1) == [(b"index", b"44")]
        database.sql(grant)
        database.sql("SET ROLE shop_web; SELECT gearman_submit('draw', 'web');")
        assert done(server, 1) == [(b"draw", b"web")]
        database.sql(
            "SET ROLE shop_web;"
            "INSERT INTO gearman_jobs_inbox (function_name) VALUES ('draw');"
        )
        assert done(server, 1) == [(b"draw", b"")]


@pytest.fixture(scope="module")
def mariadb() -> Iterator[backend_mysql.Database]:
    with backend_mysql.daemon() as running:
        database = backend_mysql.Database(running, "shop")
        database.sql(ORDERS)
        database.sql("CREATE USER 'web'@'localhost'")
        yield database


def statements(block: str) -> list[str]:
    return [each for each in block.split(";\n") if each.strip()]


def test_statements_for_mariadb_submit_what_they_say(
    mariadb: backend_mysql.Database,
) -> None:
    place = ("--mysql-user=root", f"--mysql-socket={mariadb.daemon.socket}")
    with ours("-q", "mysql", "--mysql-db=shop", *place, "--queue-inbox") as server:
        (_, install), (_, submit), (_, grants) = SECTIONS["MariaDB and MySQL"]
        run(f"{install.strip()} {shlex.join(place)}")
        with closing(mariadb.connect()) as connection:
            for statement in statements(submit):
                connection.cursor().execute(statement)
        assert done(server, 3) == [
            *((b"index", b"43"), (b"send_receipt", b"42"), (b"send_receipt", b"43"))
        ]
        for statement in statements(grants):
            mariadb.sql(statement)
        socket = str(mariadb.daemon.socket)
        with closing(
            backend_mysql.pymysql().connect(
                unix_socket=socket, user="web", database="shop"
            )
        ) as connection:
            connection.cursor().execute("SELECT gman_do_background('draw', 'web')")
            connection.commit()
        assert done(server, 1) == [(b"draw", b"web")]


def test_statements_for_sqlite_submit_what_they_say(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    connection = sqlite3.connect("shop.db", isolation_level=None)
    connection.execute(ORDERS)
    options = ("-q", "sqlite", f"--sqlite-db={tmp_path / 'shop.db'}")
    with ours(*options, "--queue-inbox") as server:
        (_, statements), (_, program) = SECTIONS["SQLite"]
        connection.executescript(statements)
        connection.close()
        assert done(server, 1) == [(b"send_receipt", b"42")]
        subprocess.run(
            [sys.executable, "-P", "-c", program],
            env=package_environment(),
            check=True,
            timeout=DEADLINE,
        )
        assert done(server, 2) == [(b"index", b"43"), (b"send_receipt", b"43")]
