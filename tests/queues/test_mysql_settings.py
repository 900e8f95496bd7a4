"""How the plugin mysql connects: options, files, passwords, TLS."""

import re
import ssl
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest
import trustme
from gearman.queues.mysql import settings
from gearman.queues.mysql.settings import Settings

from gearman.errors import ConfigurationError, StartupError
from gearman.queue import Queue, StoredJob, load
from tests import servers
from tests.cli.tools import our_tool, outcome
from tests.queues.backend_folder import PAGE
from tests.queues.backend_mysql import PASSWORD, SETTINGS, USER, Database, daemon
from tests.wire import Peer


@pytest.fixture
def database(mysql_database: Database) -> Database:
    return mysql_database


@pytest.fixture(autouse=True)
def nowhere(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine without a socket at the usual places, and without a password."""
    monkeypatch.setattr(settings, "SOCKETS", ())
    monkeypatch.delenv("MYSQL_PWD", raising=False)


def arguments(**options: Any) -> dict[str, Any]:
    [found] = Settings(**{"db": "d", **options}).places()
    return dict(found)


def opened(where: Mapping[str, Any], **options: Any) -> Queue:
    return load("mysql")(**{**where, **options})


def file(folder: Path, *lines: str) -> str:
    path = folder / "my.cnf"
    path.write_text("\n".join(lines))
    return str(path)


PLAIN = {"database": "d", "host": "localhost"}


def test_little_is_needed() -> None:
    assert arguments() == PLAIN
    assert arguments(host="h", port=1, user="u", password="p") == {
        **{"database": "d", "host": "h", "port": 1, "user": "u", "password": b"p"}
    }


def test_database_is_that_of_libdrizzle_unless_it_is_named() -> None:
    assert Settings().places()[0]["database"] == "gearman"


def test_options_are_checked_without_connecting() -> None:
    load("mysql").check({"db": "d", "table": "t", "protocol": True})
    with pytest.raises(ConfigurationError, match="can't be read"):
        load("mysql").check({"defaults_file": "/nowhere"})


def test_localhost_is_the_socket_if_there_is_one(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    socket = str(database.daemon.socket)
    monkeypatch.setattr(settings, "SOCKETS", ("/nowhere", socket))
    by_socket = {**PLAIN, "unix_socket": socket, "ssl_disabled": True}
    assert arguments() == by_socket
    assert arguments(host="localhost") == by_socket
    assert "unix_socket" not in arguments(host="127.0.0.1")
    assert "unix_socket" not in arguments(port=3306)
    assert arguments(socket="/other")["unix_socket"] == "/other"


def test_several_hosts_are_a_list() -> None:
    places = Settings(host="a, b:3307,::1", port=3308, db="d").places()
    assert [(place["host"], place["port"]) for place in places] == [
        ("a", 3308),
        ("b", 3307),
        ("::1", 3308),
    ]


@pytest.mark.parametrize("host", ["a,", "a b", "a:b", "a,unix:/run/s"])
def test_list_of_hosts_that_cannot_be_read_is_refused(host: str) -> None:
    with pytest.raises(ConfigurationError, match="--mysql-host can't be"):
        Settings(host=host).places()


def test_file_has_what_the_options_leave_out(tmp_path: Path) -> None:
    path = file(
        tmp_path,
        "# comment",
        "!includedir /nowhere",
        "[mysqld]",
        "user=mysql",
        "[client]",
        "user = u",
        'password = "p;#\'x"',
        "  database = from_file",
        "skip-something",
        "[gearmand]",
        "port = 7",
        "host = h",
        "user = v",
    )
    expected = {
        **{"user": "v", "password": b"p;#'x", "database": "from_file"},
        **{"host": "h", "port": 7},
    }
    assert Settings(defaults_file=path).places() == [expected]
    given = Settings(defaults_file=path, user="w", port=8, db="d", host="i")
    assert given.places() == [
        {"user": "w", "password": b"p;#'x", "database": "d", "host": "i", "port": 8}
    ]


def test_socket_of_a_file_is_not_that_of_another_host(tmp_path: Path) -> None:
    path = file(tmp_path, "[client]", "socket=/there")
    assert arguments(defaults_file=path)["unix_socket"] == "/there"
    assert "unix_socket" not in arguments(defaults_file=path, host="h")


def test_password_may_be_in_the_environment(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("MYSQL_PWD", "sécret")
    assert arguments()["password"] == "sécret".encode()
    path = file(tmp_path, "[client]", "password=other")
    assert arguments(defaults_file=path)["password"] == b"other"


@pytest.mark.parametrize(
    ("lines", "text"),
    [
        (["password=seKret"], "below \\[client\\]"),
        (["[client]", "[seKret", "="], "below \\[client\\]"),
        (["[client]", "port=seKret"], "port"),
        (["[client]", "ssl-mode=seKret"], "choose one of disabled"),
        (["[client]", "password=\udcff"], "below \\[client\\]"),
    ],
)
def test_bad_file_is_refused(tmp_path: Path, lines: list[str], text: str) -> None:
    path = tmp_path / "my.cnf"
    path.write_bytes("\n".join(lines).encode(errors="surrogateescape"))
    with pytest.raises(ConfigurationError, match=text) as error:
        arguments(defaults_file=str(path))
    assert "password=" not in str(error.value)


def test_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="can't be read: No such file"):
        arguments(defaults_file=str(tmp_path / "none"))
    with pytest.raises(ConfigurationError, match="--mysql-ssl-ca"):
        arguments(ssl_ca=str(tmp_path / "none"))


def test_password_is_in_no_representation() -> None:
    assert "seKret" not in repr(Settings(password="seKret"))


def test_wrong_password_is_not_repeated(database: Database) -> None:
    with pytest.raises(StartupError, match="Access denied") as error:
        opened(database.tcp, password="seKret")
    assert "seKret" not in str(error.value)


def test_server_connects_with_a_file(database: Database, tmp_path: Path) -> None:
    path = file(
        tmp_path,
        "[client]",
        f"user={USER}",
        f'password="{PASSWORD}"',
        f"port={database.daemon.port}",
        f"database={database.name}",
        "host=127.0.0.1",
    )
    opened({}, defaults_file=path).close()


def test_commands_of_the_manual_work(database: Database, tmp_path: Path) -> None:
    """Only the names of the database and of the user are others there."""
    page = PAGE.read_text().partition("\n## mysql\n")[2].partition("\n## ")[0]
    page = page.replace("jobs.gearman_jobs", f"{database.name}.gearman_jobs")
    page = page.replace("gearman IDENTIFIED", f"u_{database.name} IDENTIFIED")
    page = page.replace("TO gearman;", f"TO u_{database.name};")
    command, lines, *rest = (
        dedent(block).strip() for block in re.findall(r"(?:^    .*\n)+", page, re.M)
    )
    rights, counting = ";".join(rest[:-1]), rest[-1]
    for statement in filter(None, map(str.strip, rights.split(";"))):
        database.sql(statement)
    file(tmp_path, *lines.splitlines(), f"socket = {database.daemon.socket}")
    words = command.replace("--mysql-db jobs", f"--mysql-db {database.name}")
    words = words.replace("--mysql-user gearman", f"--mysql-user u_{database.name}")
    words = words.replace("my.cnf", str(tmp_path / "my.cnf"))
    program, *options = words.split()
    assert program == "gearmand"
    for number in range(1, 3):
        with servers.ours(*options) as server, Peer(server.port) as peer:
            assert peer.request("SUBMIT_JOB_BG", b"f", b"", b"x").name == "JOB_CREATED"
        assert database.sql(counting) == [(b"f", number)]


def test_queue_is_copied_by_the_tool(database: Database, tmp_path: Path) -> None:
    jobs = [
        StoredJob(number, b"", b"f", b"", bytes([number])) for number in range(1, 9)
    ]
    folder: dict[str, Any] = {"folder": str(tmp_path / "jobs")}
    with closing(load("flatfile")(**folder)) as source:
        list(source.replay())
        source.commit(jobs, [])
    target = [f"--to-mysql-{name}={value}" for name, value in database.tcp.items()]
    words = ["-q", "flatfile", f"--flatfile-dir={tmp_path / 'jobs'}", "--to=MySQL"]
    said = outcome(our_tool("gearman_queue", None, "copy", *words, *target))
    assert said.status == 0
    with closing(opened(database.tcp)) as queue:
        assert list(queue.replay()) == jobs


def context(**options: Any) -> ssl.SSLContext:
    found = arguments(**options)["ssl"]
    assert isinstance(found, ssl.SSLContext)
    return found


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
def ca(authority: trustme.CA, tmp_path: Path) -> str:
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    return str(tmp_path / "ca.pem")


def test_mode_follows_from_the_files_unless_it_is_given(
    authority: trustme.CA, ca: str, tmp_path: Path
) -> None:
    own = str(tmp_path / "own.pem")
    authority.issue_cert("client").private_key_and_cert_chain_pem.write_to_path(own)
    assert "ssl" not in arguments()
    assert "ssl" not in arguments(ssl_mode="preferred")
    assert arguments(ssl_mode="disabled", ssl_ca=ca)["ssl_disabled"]
    for required in (
        context(ssl_mode="required"),
        context(ssl_cert=own),
        context(ssl_key=own),
        context(defaults_file=file(tmp_path, "[client]", "ssl")),
        context(defaults_file=file(tmp_path, "[client]", "ssl_mode=REQUIRED")),
    ):
        assert required.verify_mode == ssl.CERT_NONE
    verified = context(ssl_mode="verify-ca", ssl_ca=ca)
    assert verified.verify_mode == ssl.CERT_REQUIRED
    assert not verified.check_hostname
    for strict in (
        context(ssl_ca=ca),
        context(ssl_mode="verify-identity"),
        context(defaults_file=file(tmp_path, "[client]", f"ssl-ca={ca}")),
        context(defaults_file=file(tmp_path, "[client]", "ssl-verify-server-cert")),
    ):
        assert strict.verify_mode == ssl.CERT_REQUIRED
        assert strict.check_hostname


def test_tls_is_used_and_verified(
    authority: trustme.CA, ca: str, tmp_path: Path
) -> None:
    host = authority.issue_cert("localhost")
    host.private_key_pem.write_to_path(tmp_path / "key.pem")
    host.cert_chain_pems[0].write_to_path(tmp_path / "cert.pem")
    certificates = {
        **{"ssl-ca": ca, "ssl-cert": str(tmp_path / "cert.pem")},
        "ssl-key": str(tmp_path / "key.pem"),
    }
    with daemon({**SETTINGS, **certificates, "ssl": "ON"}) as running:
        database = Database(running, "jobs")
        running.sql(f"ALTER USER {USER} REQUIRE SSL")
        where = database.tcp
        opened(where).close()
        opened(where, ssl_mode="verify-ca", ssl_ca=ca).close()
        opened(where, host="localhost", ssl_ca=ca).close()
        with pytest.raises(StartupError, match="127.0.0.1"):
            opened(where, ssl_ca=ca)
        with pytest.raises(StartupError, match="Access denied"):
            opened(where, ssl_mode="disabled")
        other = tmp_path / "other.pem"
        trustme.CA().cert_pem.write_to_path(other)
        with pytest.raises(StartupError, match="certificate"):
            opened(where, ssl_mode="verify-ca", ssl_ca=str(other))


def test_tls_that_the_database_lacks_is_not_left_out(database: Database) -> None:
    where = database.tcp
    with pytest.raises(StartupError, match="SSL"):
        opened(where, ssl_mode="required")
    opened(where).close()
