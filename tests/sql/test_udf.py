"""The SQL functions in C, in a real MariaDB or MySQL."""

import re
import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from typing import Any

import pytest

from gearman.errors import StartupError
from gearman.queue import load
from gearman.server import embedded
from tests.client.stage import HandServer, meanwhile, unanswered
from tests.queues.backend_mysql import Daemon, mysqld, pymysql
from tests.servers import DEADLINE, until

from .overloaded import overloaded
from .workers import KEPT, worker

SEVERAL = "(SELECT 1 AS n UNION SELECT 2 UNION SELECT 3) AS numbers"


@pytest.fixture(autouse=True)
def _settings(mariadb: Daemon, job_server: str) -> None:
    mariadb.sql("SELECT gman_servers_set(%s), gman_timeout_set(20, 5)", job_server)


@pytest.fixture
def connection(mariadb: Daemon) -> Iterator[Any]:
    with closing(mariadb.connect()) as connection:
        yield connection


def rows(connection: Any, statement: str, *values: Any) -> list[Any]:
    """Return the values of the only column."""
    cursor = connection.cursor()
    cursor.execute(statement, values or None)
    return [row[0] for row in cursor.fetchall()]


def warnings(connection: Any) -> list[str]:
    cursor = connection.cursor()
    cursor.execute("SHOW WARNINGS")
    return [message for _, _, message in cursor.fetchall()]


def error(mariadb: Daemon, statement: str, *values: Any) -> str:
    """Return the text of the error of a statement."""
    with pytest.raises(pymysql().Error) as caught:
        mariadb.sql(statement, *values)
    return str(caught.value.args[1])


def test_each_row_is_a_job(mariadb: Daemon) -> None:
    hosts = [host for (host,) in mariadb.sql("SELECT Host FROM mysql.user")]
    reversed_hosts = mariadb.sql("SELECT gman_do('reverse', Host) FROM mysql.user")
    assert [text.decode() for (text,) in reversed_hosts] == [h[::-1] for h in hosts]


@pytest.mark.parametrize("name", ["gman_do", "gman_do_high", "gman_do_low"])
def test_third_argument_is_the_unique(mariadb: Daemon, name: str) -> None:
    assert mariadb.sql(f"SELECT {name}('unique', 'x', 'one')") == [(b"one",)]


def test_null_is_an_empty_workload_and_no_unique(mariadb: Daemon) -> None:
    assert mariadb.sql("SELECT gman_do('length', NULL, NULL)") == [(b" 0\n",)]
    assert mariadb.sql("SELECT gman_do('reverse', '')") == [(b"",)]


def test_numbers_are_sent_as_text(mariadb: Daemon) -> None:
    found = mariadb.sql("SELECT gman_do('reverse', 12), gman_do('reverse', 3.5)")
    assert found == [(b"21", b"5.3")]


def test_failed_job_is_null_with_a_warning_and_the_next_row_runs(
    connection: Any,
) -> None:
    found = rows(connection, f"SELECT gman_do('odd', n) FROM {SEVERAL}")
    assert found == [b"1", None, b"3"]
    assert warnings(connection) == ["gman_do: the job failed: an even number"]
    assert rows(connection, "SELECT gman_do('strange', '')") == [None]
    assert warnings(connection) == ["gman_do: the job failed: ä?€???"]
    assert rows(connection, "SELECT gman_do('fail', '')") == [None]
    assert warnings(connection) == ["gman_do: the job failed"]


def test_pieces_of_a_result_are_joined_and_its_warnings_are_shown(
    connection: Any,
) -> None:
    assert rows(connection, "SELECT gman_do('pieces', 'ab\\0cd')") == [b"ab\0cd"]
    assert warnings(connection) == ["the job warns: careful"]


def test_any_bytes_and_64_mib_come_back(mariadb: Daemon) -> None:
    every = bytes(range(256))
    assert mariadb.sql("SELECT gman_do('echo', %s)", every) == [(every,)]
    large = mariadb.sql(
        "SELECT LENGTH(gman_do('echo', REPEAT('0123456789abcdef', 4 << 20)))"
    )
    assert large == [(64 << 20,)]


def test_result_is_a_binary_column(connection: Any) -> None:
    cursor = connection.cursor()
    cursor.execute("CREATE DATABASE IF NOT EXISTS results")
    cursor.execute("CREATE TABLE results.one AS SELECT gman_do('echo', 'x') AS result")
    cursor.execute("SHOW CREATE TABLE results.one")
    assert "`result` longblob" in cursor.fetchone()[1]


def test_triggers_and_prepared_statements_run_jobs(connection: Any) -> None:
    cursor = connection.cursor()
    for statement in (
        "CREATE DATABASE IF NOT EXISTS results",
        "CREATE TABLE results.words (word TEXT, drow TEXT)",
        "CREATE TRIGGER results.turn BEFORE INSERT ON results.words FOR EACH ROW "
        "SET NEW.drow = CONVERT(gman_do('reverse', NEW.word) USING utf8mb4)",
        "INSERT INTO results.words (word) VALUES ('one'), ('two')",
        "PREPARE turned FROM 'SELECT gman_do(''reverse'', ?)'",
        "SET @word = 'three'",
    ):
        cursor.execute(statement)
    assert rows(connection, "SELECT drow FROM results.words") == ["eno", "owt"]
    for _ in range(2):
        assert rows(connection, "EXECUTE turned USING @word") == [b"eerht"]


def test_background_jobs_run_and_their_handles_come_back(mariadb: Daemon) -> None:
    kinds = "background", "high_background", "low_background"
    for kind in kinds:
        ((handle,),) = mariadb.sql(f"SELECT gman_do_{kind}('keep', '{kind}')")
        assert handle.startswith(b"H:")
    until(lambda: {kind.encode() for kind in kinds} <= {*KEPT})


def test_functions_of_the_inbox_are_not_installed_beside_these(mariadb: Daemon) -> None:
    mariadb.sql("CREATE DATABASE IF NOT EXISTS results")
    arguments = {"socket": str(mariadb.socket), "user": "root", "db": "results"}
    with pytest.raises(StartupError, match="DROP FUNCTION gman_do_"):
        load("mysql").install_sql(arguments)


def test_sum_runs_the_jobs_of_a_group(mariadb: Daemon) -> None:
    found = mariadb.sql(
        f"SELECT n % 2, gman_sum('echo', n) FROM {SEVERAL} GROUP BY n % 2"
    )
    assert found == [(0, 2), (1, 4)]


def test_sum_has_more_rows_than_jobs_under_way(mariadb: Daemon) -> None:
    found = mariadb.sql(
        "WITH RECURSIVE numbers(n) AS"
        " (SELECT 0 UNION SELECT n + 1 FROM numbers WHERE n < 999)"
        " SELECT gman_sum('length', RPAD('', n, 'x')), SUM(n) FROM numbers"
    )
    assert found == [(499500, 499500)]


def test_sum_of_no_rows_is_0(connection: Any) -> None:
    assert rows(connection, f"SELECT gman_sum('echo', n) FROM {SEVERAL} WHERE 0") == [0]


def test_sum_joins_the_pieces_of_a_number(connection: Any) -> None:
    assert rows(connection, "SELECT gman_sum('pieces', '-1234')") == [-1234]


@pytest.mark.parametrize(
    ("jobs", "reason"),
    [
        ("gman_sum('odd', n)", "a job failed: an even number"),
        ("gman_sum('fail', n)", "a job failed"),
        ("gman_sum('reverse', 'ba')", "the result is no whole number: 'ab'"),
        ("gman_sum('echo', '')", "the result is no whole number: ''"),
        ("gman_sum('echo', '1 2')", "the result is no whole number: '1 2'"),
        ("gman_sum('echo', '1\\0')", "the result is no whole number: '1'"),
        (
            "gman_sum('echo', REPEAT('1', 99))",
            "the result is no whole number: ''...",
        ),
        (
            "gman_sum('echo', REPEAT('9', 19))",
            "the result is no whole number: '9999999999999999999'",
        ),
        ("gman_sum('echo', REPEAT('8', 19))", "the sum is too large"),
    ],
)
def test_sum_is_null_if_a_job_has_no_number(
    connection: Any, jobs: str, reason: str
) -> None:
    assert rows(connection, f"SELECT {jobs} FROM {SEVERAL}") == [None]
    assert warnings(connection) == [f"gman_sum: {reason}"]


def test_group_after_one_without_a_sum_has_one(connection: Any) -> None:
    found = rows(connection, f"SELECT gman_sum('odd', n) FROM {SEVERAL} GROUP BY n")
    assert found == [1, None, 3]


@pytest.mark.parametrize(
    ("statement", "reason"),
    [
        ("gman_do(NULL, '')", "gman_do: the function has no name, or a NUL in it"),
        ("gman_do('', '')", "gman_do: the function has no name, or a NUL in it"),
        ("gman_do('a\\0b', '')", "gman_do: the function has no name, or a NUL in it"),
        ("gman_do('echo', '', 'a\\0b')", "gman_do: the unique has a NUL in it"),
        ("gman_sum(NULL, '')", "gman_sum: the function has no name, or a NUL in it"),
        ("gman_timeout_set(0)", "seconds are numbers from 0.001 to 1000000"),
        ("gman_timeout_set('1x')", "seconds are numbers from 0.001 to 1000000"),
        ("gman_timeout_set('')", "seconds are numbers from 0.001 to 1000000"),
        ("gman_servers_set('')", "'' is no address of a job server"),
        ("gman_servers_set(NULL)", "'' is no address of a job server"),
        ("gman_servers_set('a:1,b:x')", "'b:x' is no address of a job server"),
        ("gman_servers_set('a:65536')", "'a:65536' is no address of a job server"),
        ("gman_servers_set('[::1')", "'[::1' is no address of a job server"),
        ("gman_servers_set('[::1]4')", "'[::1]4' is no address of a job server"),
        ("gman_servers_set('unix:')", "'unix:' is no address of a job server"),
        ("gman_servers_check('a b')", "'a b' is no address of a job server"),
        ("gman_do('echo')", "it has two or three arguments"),
        ("gman_sum('echo')", "it has two or three arguments"),
        ("gman_servers_set()", "it has one or two arguments"),
        ("gman_servers_check(1, 2)", "it has one argument at most"),
        ("gman_timeout_set()", "it has one or two arguments"),
    ],
)
def test_wrong_argument_is_an_error_that_says_why(
    mariadb: Daemon, statement: str, reason: str
) -> None:
    assert reason in error(mariadb, f"SELECT {statement}")


def test_name_that_is_too_long_is_refused_by_the_job_server(mariadb: Daemon) -> None:
    refused = error(mariadb, "SELECT gman_do(REPEAT('f', 9000), '')")
    assert "gman_do: the job server refused the job: ARGUMENT_TOO_LARGE: " in refused


def test_servers_are_tried_in_turn(mariadb: Daemon, job_server: str) -> None:
    servers = f"{unanswered()}, {job_server}"
    assert mariadb.sql("SELECT gman_servers_set(%s)", servers) == [(servers.encode(),)]
    assert mariadb.sql("SELECT gman_do('echo', 1), gman_do('echo', 2)") == [
        (b"1", b"2")
    ]


def test_server_that_answered_last_is_tried_first(
    mariadb: Daemon, job_server: str
) -> None:
    with HandServer() as silent:
        servers = f"{silent.address},{job_server}"
        mariadb.sql("SELECT gman_servers_set(%s), gman_timeout_set(40, 5)", servers)
        for _ in range(3):
            assert mariadb.sql("SELECT gman_do('echo', 1)") == [(b"1",)]
        silent.accept()
        silent.listener.settimeout(0)
        with pytest.raises(BlockingIOError):
            silent.accept()


def test_function_may_have_servers_of_its_own(mariadb: Daemon, job_server: str) -> None:
    mariadb.sql("SELECT gman_servers_set(%s)", unanswered())
    mariadb.sql("SELECT gman_servers_set(%s, 'reverse')", job_server)
    assert mariadb.sql("SELECT gman_do('reverse', 'ab')") == [(b"ba",)]
    assert "Connection refused" in error(mariadb, "SELECT gman_do('echo', '')")


def test_sum_of_functions_with_other_servers(mariadb: Daemon, job_server: str) -> None:
    with embedded.server() as other, worker(other):
        mariadb.sql("SELECT gman_servers_set(%s, 'length')", other)
        found = mariadb.sql(
            f"SELECT gman_sum(IF(n = 2, 'length', 'echo'), n) FROM {SEVERAL}"
        )
        assert found == [(1 + 1 + 3,)]
    mariadb.sql("SELECT gman_servers_set(%s, 'length')", job_server)


@pytest.mark.parametrize("family", ["ipv6", "unix"])
def test_server_has_an_ipv6_address_or_a_unix_socket(
    mariadb: Daemon, family: str
) -> None:
    if family == "ipv6" and not socket.has_ipv6:
        pytest.skip("there is no IPv6")
    path = f"{mariadb.folder}/gearman"
    listen = {"ipv6": "[::1]:0", "unix": f"unix:{path}"}[family]
    with embedded.server(f"--listen={listen}") as address, worker(address):
        assert address.startswith("unix:") == (family == "unix")
        mariadb.sql("SELECT gman_servers_set(%s)", address)
        assert mariadb.sql("SELECT gman_do('echo', 1)") == [(b"1",)]


def test_server_that_does_not_accept_connections_is_passed_over(
    mariadb: Daemon, job_server: str
) -> None:
    with overloaded() as address:
        servers = f"{address},{job_server}"
        mariadb.sql("SELECT gman_servers_set(%s), gman_timeout_set(40, 5)", servers)
        assert mariadb.sql("SELECT gman_do('echo', 1)") == [(b"1",)]
        mariadb.sql("SELECT gman_servers_set(%s), gman_timeout_set(0.2)", address)
        assert "no result in 0.2 s" in error(mariadb, "SELECT gman_do('echo', 1)")


def test_name_of_a_server_is_resolved(mariadb: Daemon, job_server: str) -> None:
    port = job_server.rpartition(":")[2]
    mariadb.sql("SELECT gman_servers_set(%s)", f"localhost:{port}")
    assert mariadb.sql("SELECT gman_do('echo', 1)") == [(b"1",)]


def test_servers_that_answer_are_counted(connection: Any, job_server: str) -> None:
    assert rows(connection, "SELECT gman_servers_check()") == [1]
    dead = unanswered()
    servers = f"{dead},{job_server},unix:/nowhere"
    assert rows(connection, "SELECT gman_servers_check(%s)", servers) == [1]
    assert warnings(connection) == [
        f"gman_servers_check: {dead}: Connection refused",
        "gman_servers_check: unix:/nowhere: No such file or directory",
    ]


def test_without_a_server_the_statement_fails_and_says_why(mariadb: Daemon) -> None:
    dead = unanswered()
    mariadb.sql("CREATE DATABASE IF NOT EXISTS results")
    mariadb.sql("SELECT gman_servers_set(%s)", f"{dead},unix:/nowhere")
    said = error(mariadb, "CREATE TABLE results.none AS SELECT gman_do('echo', 1)")
    assert said == (
        f"gman_do: no job server answered: {dead}: Connection refused; "
        "unix:/nowhere: No such file or directory"
    )


def test_server_that_does_not_answer_is_not_waited_for_long(mariadb: Daemon) -> None:
    with HandServer() as silent:
        mariadb.sql("SELECT gman_servers_set(%s)", silent.address)
        # Else the limit of the job would come first, and be told.
        mariadb.sql("SELECT gman_timeout_set(4, 0.2)")
        assert "no answer in time" in error(mariadb, "SELECT gman_do('echo', 1)")
        assert "no answer in time" in error(mariadb, "SELECT gman_sum('echo', 1)")


@pytest.mark.parametrize("name", ["gman_do", "gman_sum"])
def test_job_may_not_take_longer_than_the_limit(mariadb: Daemon, name: str) -> None:
    assert mariadb.sql("SELECT gman_timeout_set(0.3)") == [(0.3,)]
    said = error(mariadb, f"SELECT {name}('nobody', 1)")
    assert said == f"{name}: no result in 0.3 s (gman_timeout_set allows more)"


def wait_for_statement(mariadb: Daemon) -> int:
    """Return the id of the connection that runs a job."""
    found = until(
        lambda: mariadb.sql(
            "SELECT id FROM information_schema.processlist "
            "WHERE info LIKE 'SELECT gman%nobody%' AND id <> CONNECTION_ID()"
        )
    )
    return int(found[0][0])


@pytest.mark.parametrize("name", ["gman_do", "gman_sum"])
def test_killed_query_ends_at_once(mariadb: Daemon, name: str) -> None:
    waiting = meanwhile(error, mariadb, f"SELECT {name}('nobody', 1)")
    mariadb.sql(f"KILL QUERY {wait_for_statement(mariadb)}")
    assert waiting.result(DEADLINE) == f"{name}: the statement was killed"


def test_time_limit_of_a_statement_counts(mariadb: Daemon) -> None:
    limited = "SET STATEMENT max_statement_time = 0.2 FOR SELECT gman_do('nobody', 1)"
    if mysqld():
        limited = "SELECT /*+ MAX_EXECUTION_TIME(200) */ gman_do('nobody', 1)"
    said = error(mariadb, limited)
    # The time may be over before the function is called.
    own = r".*max_statement_time exceeded.*|.*maximum statement execution time exceeded"
    assert re.fullmatch(f"gman_do: the statement was killed|{own}", said)


def test_many_connections_at_the_same_time(mariadb: Daemon) -> None:
    def run(number: int) -> Any:
        return mariadb.sql(
            f"SELECT gman_do('echo', n + {number}), gman_do('reverse', 'ab') "
            f"FROM {SEVERAL}"
        )

    with ThreadPoolExecutor(20) as pool:
        for number, found in enumerate(pool.map(run, range(100))):
            values = [b"%d" % (number + n) for n in (1, 2, 3)]
            assert found == [(value, b"ba") for value in values]


def greet(server: HandServer) -> Any:
    """Accept a connection and answer its first request."""
    conversation = server.accept()
    conversation.expect("OPTION_REQ")
    conversation.send("ERROR", b"UNKNOWN_OPTION", b"an old server")
    return conversation


def test_connection_that_ended_between_two_rows_is_opened_again(
    mariadb: Daemon, connection: Any
) -> None:
    with HandServer() as server:
        mariadb.sql("SELECT gman_servers_set(%s)", server.address)
        # The third row waits until the connection is closed.
        assert rows(connection, "SELECT GET_LOCK('open', 0)") == [1]
        third = f"IF(n = 3, GET_LOCK('open', {DEADLINE}), n)"
        found = meanwhile(
            mariadb.sql, f"SELECT gman_do('echo', {third}) FROM {SEVERAL}"
        )
        for handle in b"a", b"b":
            conversation = greet(server)
            for _ in range(2 if handle == b"a" else 1):
                _, _, data = conversation.expect("SUBMIT_JOB")
                conversation.send("JOB_CREATED", handle)
                conversation.send("WORK_COMPLETE", handle, data)
            conversation.close()
            rows(connection, "SELECT RELEASE_LOCK('open')")
        assert found.result(DEADLINE) == [(b"1",), (b"2",), (b"1",)]


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (b"HTTP/1.1 400 Bad Request\r\n\r\n", "what answered is no job server"),
        (b"\0RES\0\0\0\x08\xff\xff\xff\xff", "a packet of more than 1 GiB"),
        (b"\0RES\0\0\0\x0f\0\0\0\0", "unexpected packet 15"),
        (b"", "the job server closed the connection"),
    ],
)
def test_answer_that_makes_no_sense_is_an_error(
    mariadb: Daemon, answer: bytes, reason: str
) -> None:
    with HandServer() as server:
        mariadb.sql("SELECT gman_servers_set(%s)", server.address)
        said = meanwhile(error, mariadb, "SELECT gman_do('echo', 1)")
        conversation = greet(server)
        conversation.expect("SUBMIT_JOB")
        conversation.send_bytes(answer)
        conversation.close()
        assert said.result(DEADLINE) == f"gman_do: {reason}"
