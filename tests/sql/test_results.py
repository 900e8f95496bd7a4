"""The functions of Postgres that wait for results, in a real Postgres."""

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest

from gearman.cli.gearman_queue.__main__ import main as gearman_queue
from gearman.errors import StartupError
from gearman.queue import load
from gearman.server import embedded
from tests.certificates import Authority
from tests.client.stage import HandServer, meanwhile, unanswered
from tests.queues.backend_postgres import Database, psycopg
from tests.servers import DEADLINE, ours, until

from .overloaded import overloaded
from .workers import worker


@pytest.fixture
def connection(postgres: Database, job_server: str) -> Iterator[Any]:
    """A session that uses the job server."""
    with closing(postgres.connect()) as connection:
        connection.execute("SELECT gman_servers_set(%s)", [job_server])
        connection.execute("SET gman.timeout = 20")
        yield connection


def one(connection: Any, expression: str, *values: Any) -> Any:
    (value,) = connection.execute(f"SELECT {expression}", values or None).fetchone()
    return value


def error(connection: Any, expression: str, *values: Any) -> Any:
    """Return the error of an expression: its code and its text."""
    with pytest.raises(psycopg().Error) as caught:
        one(connection, expression, *values)
    diagnostic = caught.value.diag
    return diagnostic.sqlstate, diagnostic.message_primary


def warnings_of(connection: Any) -> list[str]:
    """Return a list to which warnings are appended."""
    found: list[str] = []
    connection.add_notice_handler(lambda notice: found.append(notice.message_primary))
    return found


def test_each_row_is_a_job(connection: Any) -> None:
    rows = connection.execute(
        "SELECT rolname, gman_do('reverse', rolname) FROM pg_roles"
    ).fetchall()
    assert len(rows) > 5
    assert all(result == name[::-1] for name, result in rows)


@pytest.mark.parametrize("name", ["gman_do", "gman_do_high", "gman_do_low"])
def test_text_and_bytes_are_workloads(connection: Any, name: str) -> None:
    assert one(connection, f"{name}('echo', 'ä')") == "ä"
    assert one(connection, f"{name}('echo', %s)", bytes(range(256))) == bytes(
        range(256)
    )
    assert one(connection, f"{name}('unique', '', 'mine')") == "mine"
    assert one(connection, f"{name}('unique', ''::bytea, 'mine')") == b"mine"


def test_64_mib_come_back(connection: Any) -> None:
    expression = "length(gman_do('echo', convert_to(repeat('x', 64 << 20), 'UTF8')))"
    assert one(connection, expression) == 64 << 20


def test_pieces_are_joined_and_warnings_of_a_job_are_shown(connection: Any) -> None:
    warnings = warnings_of(connection)
    assert one(connection, "gman_do('pieces', 'abcdef')") == "abcdef"
    assert warnings == ["gman_do: the job warns: careful"]


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("gman_do('fail', '')", ("38000", "gman_do: the job failed")),
        (
            "gman_do_low('odd', '2')",
            ("38000", "gman_do_low: the job failed: an even number"),
        ),
        ("gman_do(NULL, '')", ("22023", "gman_do: the function has no name")),
        (
            "gman_do('echo', '', repeat('u', 65))",
            ("38000", "gman_do: the job failed: ARGUMENT_TOO_LARGE"),
        ),
        (
            "gman_do('bytes', 'ff')",
            ("22021", "gman_do: the result is no text in UTF-8"),
        ),
        ("gman_servers_set('a:b')", ("22023", "gman_servers_set: 'a:b' is no address")),
        ("gman_servers_set(' ')", ("22023", "gman_servers_set: no job server is set")),
        ("gman_servers_check('')", ("22023", "gman_servers_check: no job server is")),
    ],
)
def test_failure_is_an_error_that_says_why(
    connection: Any, expression: str, expected: tuple[str, str]
) -> None:
    code, text = error(connection, expression)
    assert code == expected[0]
    assert text.removeprefix("plpy.Error: ").startswith(expected[1])


def test_null_is_an_empty_workload_and_no_unique(connection: Any) -> None:
    assert one(connection, "gman_do('length', NULL, NULL)") == " 0\n"
    assert one(connection, "gman_do('length', NULL::bytea)") == b" 0\n"


def test_null_sets_no_servers(connection: Any) -> None:
    assert one(connection, "gman_servers_set(NULL)") is None
    assert one(connection, "gman_do('echo', 'still')") == "still"


def test_server_and_limits_are_settings_of_the_session(
    postgres: Database, job_server: str
) -> None:
    with closing(postgres.connect()) as connection:
        code, text = error(connection, "gman_do('echo', '')")
        assert code == "22023"
        assert "no job server is set: use gman_servers_set" in text
        connection.execute(f"SET pggearman.default_servers = '{job_server}'")
        assert one(connection, "gman_do('echo', 'a')") == "a"
        connection.execute(f"SET gman.servers = '{unanswered()}'")
        assert error(connection, "gman_do('echo', '')")[0] == "08001"
        assert one(connection, "gman_servers_set(%s)", job_server) is True
        assert one(connection, "gman_do('echo', 'b')") == "b"
        for name in "gman.timeout", "gman.connect_timeout":
            for value in "0", "1e7", "nan", "x":
                connection.execute(f"SET {name} = '{value}'")
                code, text = error(connection, "gman_do('echo', '')")
                assert code == "22023"
                assert f"{name} is a number of seconds up to 1000000" in text
            connection.execute(f"RESET {name}")


def test_servers_that_were_set_are_rolled_back(connection: Any) -> None:
    with connection.transaction(force_rollback=True):
        one(connection, "gman_servers_set('nowhere')")
    assert one(connection, "gman_do('echo', 'a')") == "a"


def test_servers_that_answer_are_counted(connection: Any, job_server: str) -> None:
    warnings = warnings_of(connection)
    assert one(connection, "gman_servers_check()") == 1
    dead = unanswered()
    assert one(connection, "gman_servers_check(%s)", f"{dead}, {job_server}") == 1
    assert warnings.pop() == f"gman_servers_check: {dead}: Connection refused"
    connection.execute("SET gman.connect_timeout = 0.1")
    with HandServer() as silent:
        assert one(connection, "gman_servers_check(%s)", silent.address) == 0
        assert warnings == [f"gman_servers_check: {silent.address}: no answer in time"]


def test_other_server_is_tried_if_one_is_dead(connection: Any, job_server: str) -> None:
    one(connection, "gman_servers_set(%s)", f"{unanswered()},{job_server}")
    assert one(connection, "gman_do('echo', 'a')") == "a"


def test_server_that_does_not_accept_connections_is_passed_over(
    connection: Any, job_server: str
) -> None:
    connection.execute("SET gman.connect_timeout = 0.5")
    with overloaded() as address:
        one(connection, "gman_servers_set(%s)", f"{address},{job_server}")
        for number in "1234":
            assert one(connection, "gman_do('echo', %s)", number) == number
        one(connection, "gman_servers_set(%s)", address)
        connection.execute("SET statement_timeout = '200ms'")
        text = error(connection, "gman_do('echo', 'a')")[1]
        assert "canceling statement due to statement timeout" in text


def test_server_has_a_unix_socket_or_a_name(
    connection: Any, postgres: Database, job_server: str
) -> None:
    path = postgres.cluster.folder / "gearman"
    with embedded.server(f"--listen=unix:{path}") as address, worker(address):
        path.chmod(0o777)
        one(connection, "gman_servers_set(%s)", address)
        assert one(connection, "gman_do('echo', 'a')") == "a"
    name = job_server.replace("127.0.0.1", "localhost")
    one(connection, "gman_servers_set(%s)", name)
    assert one(connection, "gman_do('echo', 'b')") == "b"


@pytest.fixture
def authority() -> Iterator[Authority]:
    """An authority whose files the user of Postgres can read."""
    with TemporaryDirectory(prefix="gearman-tls-") as folder:
        Path(folder).chmod(0o755)
        authority = Authority(Path(folder))
        for file in authority.path, authority.client:
            file.chmod(0o644)
        yield authority


def test_connections_have_tls_with_certificates_of_both_sides(
    connection: Any, authority: Authority
) -> None:
    warnings = warnings_of(connection)
    client = str(authority.client)
    files = {"keyfile": client, "certfile": client, "ca_certs": str(authority.path)}
    trust = authority.trust(authority.client)
    with ours(*authority.options("required"), tls=trust) as server:
        where = {"host": server.host, "port": server.port, **files}
        with worker(where):
            one(connection, "gman_servers_set(%s)", f"{server.host}:{server.port}")
            connection.execute("SET gman.tls = on")
            assert error(connection, "gman_do('echo', 'a')")[0] == "08001"
            connection.execute(f"SET gman.tls_ca = '{authority.path}'")
            assert error(connection, "gman_do('echo', 'a')")[0] == "08001"
            # A file is enough to have TLS.
            connection.execute("RESET gman.tls")
            connection.execute(f"SET gman.tls_cert = '{client}'")
            connection.execute(f"SET gman.tls_key = '{client}'")
            assert one(connection, "gman_do('echo', 'a')") == "a"
            assert one(connection, "gman_servers_check()") == 1
            assert not warnings


def test_wrong_settings_of_tls_are_errors(connection: Any) -> None:
    connection.execute("SET gman.tls = perhaps")
    code, text = error(connection, "gman_do('echo', '')")
    assert code == "22023"
    assert "gman.tls is on or off, not 'perhaps'" in text
    connection.execute("SET gman.tls = off")
    assert one(connection, "gman_do('echo', 'a')") == "a"
    connection.execute("SET gman.tls_ca = '/nowhere'")
    code, text = error(connection, "gman_do('echo', '')")
    assert code == "22023"
    assert "gman.tls_ca, gman.tls_cert and gman.tls_key can't be used: No such" in text


def test_dead_server_is_an_error_within_the_limit(connection: Any) -> None:
    with HandServer() as silent:
        one(connection, "gman_servers_set(%s)", silent.address)
        connection.execute("SET gman.timeout = 0.2")
        code, text = error(connection, "gman_do('echo', 'a')")
        assert code == "57014"
        assert "gman_do: no result in 0.2 s" in text


def test_connection_that_ended_between_two_statements_is_opened_again(
    connection: Any,
) -> None:
    with HandServer() as server:
        one(connection, "gman_servers_set(%s)", server.address)
        for number in range(2):
            found = meanwhile(one, connection, f"gman_do('echo', '{number}')")
            conversation = server.accept()
            name, data = take_job(conversation)
            assert name == b"echo"
            conversation.send("JOB_CREATED", b"handle")
            conversation.send("WORK_COMPLETE", b"handle", data)
            assert found.result(DEADLINE) == str(number)
            conversation.close()


def take_job(conversation: Any) -> tuple[bytes, bytes]:
    """Return function and workload of the next job."""
    while (packet := conversation.receive()).name != "SUBMIT_JOB":
        if packet.name == "OPTION_REQ":
            conversation.send("ERROR", b"UNKNOWN_OPTION", b"an old server")
    function, _, data = packet.arguments
    return function, data


def backend_of_job(postgres: Database) -> int:
    """Return the process that waits for a job that nobody takes."""
    found = until(
        lambda: postgres.sql(
            "SELECT pid FROM pg_stat_activity WHERE state = 'active' "
            "AND query LIKE 'SELECT gman%nobody%'"
        )
    )
    return int(found[0][0])


def test_cancelled_query_ends_soon_and_the_session_goes_on(
    connection: Any, postgres: Database
) -> None:
    failed = meanwhile(error, connection, "gman_do('nobody', '')")
    postgres.sql(f"SELECT pg_cancel_backend({backend_of_job(postgres)})")
    code, text = failed.result(DEADLINE)
    assert code == "57014"
    assert "canceling statement due to user request" in text
    assert one(connection, "gman_do('echo', 'a')") == "a"


@pytest.mark.parametrize("function", ["gman_do('nobody', '')", "gman_servers_check()"])
def test_time_limit_of_a_statement_counts(connection: Any, function: str) -> None:
    with HandServer() as silent:
        if "check" in function:
            one(connection, "gman_servers_set(%s)", silent.address)
        connection.execute("SET statement_timeout = '200ms'")
        code, text = error(connection, function)
        assert code == "57014"
        assert "canceling statement due to statement timeout" in text


def test_session_that_is_terminated_ends(connection: Any, postgres: Database) -> None:
    failed = meanwhile(error, connection, "gman_do('nobody', '')")
    postgres.sql(f"SELECT pg_terminate_backend({backend_of_job(postgres)})")
    assert failed.result(DEADLINE)[0] == "57P01"


def test_functions_may_be_created_again_and_in_a_schema(
    postgres: Database, connection: Any
) -> None:
    connection.execute("CREATE SCHEMA jobs")
    options = {"conninfo": postgres.conninfo, "schema": "jobs"}
    for _ in range(2):
        load("postgres").install_results_sql(options)
    connection.execute(load("postgres").results_sql(options))
    connection.execute("SET search_path = nowhere")
    assert one(connection, "jobs.gman_do('echo', 'a')") == "a"


def test_only_a_superuser_may_create_the_functions(postgres: Database) -> None:
    postgres.sql("CREATE ROLE owner LOGIN")
    conninfo = f"{postgres.conninfo} user=owner"
    with pytest.raises(StartupError, match="permission denied"):
        load("postgres").install_results_sql({"conninfo": conninfo})


def test_queue_without_such_functions_is_told(
    capsys: pytest.CaptureFixture[str],
) -> None:
    words = ["sql", "--print", "--results", "-q", "sqlite", "--sqlite-db", "jobs.db"]
    assert gearman_queue(words) == 1
    said = capsys.readouterr().err
    assert "the queue sqlite has no functions that wait for results" in said


def test_only_roles_with_the_right_may_call_a_function(connection: Any) -> None:
    connection.execute("CREATE ROLE visitor")
    connection.execute("SET ROLE visitor")
    for call in (
        "gman_do('echo', 'a')",
        "gman_do_high('echo', 'a'::bytea)",
        "gman_servers_set('a')",
        "gman_servers_check()",
    ):
        assert error(connection, call)[0] == "42501"
    connection.execute("RESET ROLE")
    connection.execute("GRANT EXECUTE ON FUNCTION gman_do(text, text, text) TO visitor")
    connection.execute("SET ROLE visitor")
    assert one(connection, "gman_do('echo', 'a')") == "a"
