"""Options: reading a Config from words, files and the environment."""

import inspect
import os
import re
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from ipaddress import ip_network
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from gearman.commands import MAX_PACKET
from gearman.queue import NAMES, Cluster, Option, Queue, load
from gearman.server.protocols.http.service import Http
from gearman.server.protocols.metrics.service import Metrics
from gearman.server.settings.config import Config, Endpoint, Keepalive, Tls, parse
from gearman.server.settings.levels import LEVELS
from gearman.server.settings.plugin_options import HIDDEN
from gearman.server.settings.protocols import ChosenProtocol
from gearman.server.settings.values import MAX_HANDLE_PREFIX, MAX_SOCKET_PATH
from tests.servers import DEADLINE, package_environment

NOWHERE: Mapping[str, str] = {}


def parsed(*words: str, environ: Mapping[str, str] = NOWHERE) -> Config:
    """Parse words, without this machine's configuration file."""
    config = parse([f"@{os.devnull}", *words], environ)
    assert config.config_file == (os.devnull,)
    return replace(config, config_file=())


def refused(
    capsys: pytest.CaptureFixture[str],
    *words: str,
    environ: Mapping[str, str] = NOWHERE,
) -> str:
    """Return the error line for these words."""
    with pytest.raises(SystemExit) as caught:
        parsed(*words, environ=environ)
    captured = capsys.readouterr()
    assert caught.value.code == 1
    assert captured.out == ""
    assert captured.err.startswith("gearmand: ")
    assert captured.err.index("\n") == len(captured.err) - 1
    return captured.err.removeprefix("gearmand: ").rstrip("\n")


def printed(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    """Return the output of these words, which end the program with success."""
    with pytest.raises(SystemExit) as caught:
        parsed(*words)
    captured = capsys.readouterr()
    assert caught.value.code == 0
    assert captured.err == ""
    return captured.out


# -- values


def test_nothing_asked_for_is_the_default() -> None:
    assert parsed() == Config()


def test_no_limit_is_set_that_gearmand_does_not_have() -> None:
    config = parsed()
    assert config.max_packet >= 1 << 30
    assert (config.max_functions, config.max_functions_per_worker) == (0, 0)
    assert (config.max_jobs, config.max_jobs_per_function) == (0, 0)
    assert config.max_connections_per_address == 0


@pytest.mark.parametrize("words", [["--port=4731"], ["-p", "4731"], ["-p4731"]])
def test_value_stands_where_gearmand_accepts_it(words: list[str]) -> None:
    assert parsed(*words).listen == (Endpoint("", 4731),)


@pytest.mark.parametrize(
    ("words", "field", "value"),
    [
        ("-b 5", "backlog", 5),
        ("--backlog=0", "backlog", 0),
        ("-d", "daemon", True),
        ("--exceptions", "exceptions", True),
        ("-f 100", "descriptors", 100),
        ("-j 3", "retries", 3),
        ("-j 0", "retries", 0),
        ("-j -1", "retries", -1),
        ("--job-handle-prefix H:a", "handle_prefix", "H:a"),
        ("-l stderr", "log_file", "stderr"),
        ("-l none", "log_file", "none"),
        ("-l /a/b", "log_file", "/a/b"),
        ("--syslog", "syslog", True),
        ("-P /a/pid", "pid_file", "/a/pid"),
        ("--pid-file=", "pid_file", None),
        ("--settings /a/settings.toml", "settings", "/a/settings.toml"),
        ("--settings=", "settings", None),
        ("-r gear", "protocols", ()),
        ("-q builtin", "queue", "builtin"),
        ("-R", "round_robin", True),
        ("--no-round-robin", "round_robin", False),
        ("--no-round-robin -R", "round_robin", True),
        ("--priority-scope=function", "priority_scope", "function"),
        ("-w 2", "wakeup", 2),
        ("--coredump", "coredump", True),
        ("-u nobody", "user", "nobody"),
        ("--timeout-action=fail", "timeout_action", "fail"),
        ("--allow-shutdown", "allow_shutdown", True),
        ("--max-connections 5", "max_connections", 5),
        ("--max-connections-per-address 5", "max_connections_per_address", 5),
        ("--max-functions 0", "max_functions", 0),
        ("--max-functions-per-worker 0", "max_functions_per_worker", 0),
        ("--max-jobs 5", "max_jobs", 5),
        ("--max-jobs-per-function 5", "max_jobs_per_function", 5),
        ("--max-job-memory 5G", "max_job_memory", 5 * 1024**3),
        ("--max-packet 4096", "max_packet", 4096),
        ("--max-packet 10k", "max_packet", 10 * 1024),
        ("--max-packet 3M", "max_packet", 3 * 1024**2),
        ("--max-packet 4G", "max_packet", MAX_PACKET),
        ("--max-outbox 2G", "max_outbox", 2 * 1024**3),
        ("--request-timeout 2.5", "request_timeout", 2.5),
        ("--write-timeout 7", "write_timeout", 7.0),
        ("-dR", "daemon", True),
    ],
)
def test_option_sets_its_field_and_no_other(
    words: str, field: str, value: object
) -> None:
    setting: dict[str, Any] = {field: value}
    assert parsed(*words.split()) == replace(Config(), **setting)


def test_later_option_beats_the_earlier_one() -> None:
    assert parsed("-b", "1", "--backlog=2").backlog == 2


def test_option_may_be_shortened_while_it_is_unambiguous() -> None:
    assert parsed("--exc", "--backl", "7") == replace(
        Config(), exceptions=True, backlog=7
    )


def test_ambiguous_option_is_refused_with_the_candidates(
    capsys: pytest.CaptureFixture[str],
) -> None:
    line = refused(capsys, "--keepalive-i", "3")
    assert "--keepalive-idle" in line
    assert "--keepalive-interval" in line


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("-L localhost", Endpoint("localhost", 4730)),
        ("-L localhost:80", Endpoint("localhost", 80)),
        ("-L localhost:0", Endpoint("localhost", 0)),
        ("-L 1.2.3.4", Endpoint("1.2.3.4", 4730)),
        ("-p 9 -L 1.2.3.4", Endpoint("1.2.3.4", 9)),
        ("-L 1.2.3.4 -p 9", Endpoint("1.2.3.4", 9)),
        ("-L 1.2.3.4:8 -p 9", Endpoint("1.2.3.4", 8)),
        ("-L ::1", Endpoint("::1", 4730)),
        ("-L fe80::1%lo", Endpoint("fe80::1%lo", 4730)),
        ("-L [::1]", Endpoint("::1", 4730)),
        ("-L [::1]:4731", Endpoint("::1", 4731)),
        ("-L :4731", Endpoint("", 4731)),
        ("-L unix:/run/g", Endpoint("", 0, "/run/g")),
        ("-p 0", Endpoint("", 0)),
    ],
)
def test_address_has_these_forms(words: str, expected: Endpoint) -> None:
    assert parsed(*words.split()).listen == (expected,)


def test_several_addresses_are_listened_on_each_once() -> None:
    assert parsed("-L", "a", "-L", "b:1", "-L", "a:4730").listen == (
        Endpoint("a"),
        Endpoint("b", 1),
    )


@pytest.mark.parametrize(
    "address",
    ["a:", "a:b", "a:65536", "a:1:2", "[::1", "[::1]4730", "[a]:1", "[::1]:", "a b"]
    + ["a..b", "x" * 64, "http://a", "a/b", "unix:", "a\x00", "a\n"],
)
def test_what_is_no_address_is_refused(
    address: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert refused(capsys, "-L", address).startswith("-L/--listen: ")


def test_socket_path_that_no_system_accepts_is_refused(
    capsys: pytest.CaptureFixture[str],
) -> None:
    path = "/" + "x" * (MAX_SOCKET_PATH - 1)
    assert parsed(f"-Lunix:{path}").listen == (Endpoint("", 0, path),)
    line = refused(capsys, f"-Lunix:{path}x")
    assert line.endswith(f"has {MAX_SOCKET_PATH + 1}; choose a shorter path")


@pytest.mark.parametrize(
    ("words", "level"),
    [(f"--verbose {name}", level) for name, level in LEVELS.items()]
    + [
        ("--verbose notice", LEVELS["NOTICE"]),
        ("-v", LEVELS["INFO"]),
        ("-vv", LEVELS["DEBUG"]),
        ("-v -v", LEVELS["DEBUG"]),
        ("-vvvv", LEVELS["DEBUG"]),
        ("-v --verbose ERROR", LEVELS["WARNING"]),
        ("-vvvvvvv --verbose FATAL", LEVELS["DEBUG"]),
    ],
)
def test_level_is_named_and_raised_by_each_v(words: str, level: int) -> None:
    assert parsed(*words.split()) == replace(Config(), level=level)


@pytest.mark.parametrize(
    ("text", "networks"),
    [
        ("192.0.2.7", ["192.0.2.7/32"]),
        ("10.0.0.0/8,::1", ["10.0.0.0/8", "::1/128"]),
        ("10.0.0.0/255.0.0.0", ["10.0.0.0/8"]),
        ("::ffff:192.0.2.7", ["192.0.2.7/32"]),
        ("::ffff:10.0.0.0/104", ["10.0.0.0/8"]),
        ("::/0", ["::/0"]),
    ],
)
def test_networks_have_these_forms(text: str, networks: list[str]) -> None:
    expected = tuple(map(ip_network, networks))
    assert parsed(f"--allow-from={text}").allow_from == expected
    assert parsed("--admin-from", text).admin_from == expected


def test_networks_of_repeated_options_add_up() -> None:
    words = ["--allow-from=10.0.0.0/8", "--allow-from=::1"]
    assert parsed(*words) == parsed("--allow-from=10.0.0.0/8,::1")


def test_nobody_is_named_by_default_who_may_change_something() -> None:
    assert parsed().admin_from == ()


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("--socket-mode=0660", Endpoint("", 0, "/g", 0o660)),
        ("--socket-mode 600", Endpoint("", 0, "/g", 0o600)),
        ("--socket-group=users", Endpoint("", 0, "/g", None, "users")),
    ],
)
def test_files_of_unix_sockets_get_permissions(words: str, expected: Endpoint) -> None:
    config = parsed("-L", "unix:/g", "-L", "a", *words.split())
    assert config.listen == (expected, Endpoint("a"))
    assert config.ignored == ()


@pytest.mark.parametrize(
    ("words", "tls"),
    [
        ("", Tls("/c", "/c")),
        ("--ssl-key /k", Tls("/c", "/k")),
        ("--ssl-ca-file /a", Tls("/c", "/c", "/a")),
        ("--ssl-ca-file /a --ssl-verify=none", Tls("/c", "/c", "/a")),
        ("--ssl-ca-file /a --ssl-verify=required", Tls("/c", "/c", "/a", "required")),
    ],
)
def test_tls_has_files_and_asks_for_certificates_if_told(words: str, tls: Tls) -> None:
    assert parsed("--ssl", "--ssl-certificate", "/c", *words.split()).tls == tls


@pytest.mark.parametrize(
    ("words", "keepalive"),
    [
        ("--keepalive", Keepalive()),
        ("--keepalive --keepalive-idle -1", Keepalive()),
        ("--keepalive --keepalive-idle 5", Keepalive(idle=5)),
        ("--keepalive --keepalive-interval 6", Keepalive(interval=6)),
        ("--keepalive --keepalive-count 7", Keepalive(count=7)),
    ],
)
def test_keepalive_leaves_to_the_system_what_is_not_given(
    words: str, keepalive: Keepalive
) -> None:
    assert parsed(*words.split()) == replace(Config(), keepalive=keepalive)


def test_relative_paths_start_where_the_server_was_started(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    config = parsed("-l", "log", "-P", "../pid", "-L", "unix:s")
    assert config.log_file == str(tmp_path / "log")
    assert config.pid_file == str(tmp_path.parent / "pid")
    assert config.listen == (Endpoint("", 0, str(tmp_path / "s")),)


def test_relative_path_in_a_removed_directory_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    gone = tmp_path / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    assert parsed("-P", "/pid").pid_file == "/pid"
    assert "the current directory is gone" in refused(capsys, "-P", "pid")


# -- protocols


def test_protocol_is_spoken_on_all_hosts_at_its_port() -> None:
    words = "-r http -r gear -L a -L b:1 -L a:2 -L unix:/g"
    (found,) = parsed(*words.split()).protocols
    assert found == ChosenProtocol(
        "http", Http, (Endpoint("a", 8080), Endpoint("b", 8080)), {}
    )


def test_protocol_has_its_options() -> None:
    words = "-r http --http-port 80 --http-timeout 5"
    (found,) = parsed(*words.split()).protocols
    assert found == ChosenProtocol("http", Http, (Endpoint("", 80),), {"timeout": 5})


def test_protocol_that_lacks_what_it_needs_names_the_extra(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "h11", None)
    assert refused(capsys, "-r", "http") == (
        "the protocol 'http' needs h11 (import of h11 halted; None in sys.modules):"
        " install it by pip install 'gearman-py[http]'"
    )
    assert printed(capsys, "--help")


def test_metrics_have_a_port_on_each_host() -> None:
    words = "--metrics-port 9730 -r memcached -L a -L b:1 -L unix:/g"
    _, found = parsed(*words.split()).protocols
    listen = (Endpoint("a", 9730), Endpoint("b", 9730))
    assert found == ChosenProtocol("metrics", Metrics, listen, {})


def test_metrics_need_a_tcp_address(capsys: pytest.CaptureFixture[str]) -> None:
    assert refused(capsys, "--metrics-port=1", "-L", "unix:/g") == (
        "--metrics-port: it is spoken on TCP addresses only; add one by -L, such as"
        " -L localhost"
    )


def test_metrics_that_lack_what_they_need_name_the_extra(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "h11", None)
    assert refused(capsys, "--metrics-port=1") == (
        "--metrics-port needs h11 (import of h11 halted; None in sys.modules):"
        " install it by pip install 'gearman-py[http]'"
    )


def test_host_names_of_http_are_also_those_of_metrics() -> None:
    config = parsed("--metrics-port=1", "--http-host=a,b")
    assert config.protocols[0].options == {"host": "a,b"}
    assert config.ignored == ()


@pytest.mark.parametrize("words", [["--metrics-port=1"], ["-r", "http"]])
def test_number_of_functions_with_metrics_is_that_of_both_ports(
    words: list[str],
) -> None:
    config = parsed("--metrics-functions=5", *words)
    assert config.metrics_functions == 5
    assert config.ignored == ()


def test_number_of_functions_has_no_effect_without_metrics() -> None:
    assert parsed("--metrics-functions=5").ignored == (
        "--metrics-functions has no effect: neither --metrics-port nor -r http was"
        " given",
    )


# -- invalid options


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ("-p 65536", "-p/--port: must be a whole number from 0 to 65535, not '65536'"),
        ("-p -1", "-p/--port: must be a whole number from 0 to 65535, not '-1'"),
        ("-p abc", "-p/--port: must be a whole number from 0 to 65535, not 'abc'"),
        ("-p 4_0", "-p/--port: must be a whole number from 0 to 65535, not '4_0'"),
        (
            "--max-packet 5X",
            "--max-packet: must be a number of bytes from 1024 to 4294967296, such as"
            " 65536 or 64M, not '5X'",
        ),
        (
            "--write-timeout 0",
            "--write-timeout: must be a number of seconds above 0, not '0'",
        ),
        (
            "--verbose loud",
            "--verbose: must be one of FATAL, ALERT, CRITICAL, ERROR, WARNING, NOTICE,"
            " INFO, DEBUG, not 'loud'",
        ),
        (
            "-r gopher",
            "there is no protocol 'gopher': choose one of gear, http, memcached, or"
            " install the package that has it",
        ),
        (
            "-r http -L unix:/run/g",
            "-r http: it is spoken on TCP addresses only; add one by -L, such as -L"
            " localhost",
        ),
        (
            "-r http --http-port x",
            "--http-port: must be a whole number from 0 to 65535, not 'x'",
        ),
        (
            "--allow-from localhost",
            "--allow-from: must be addresses or networks such as 192.0.2.7 or"
            " 10.0.0.0/8 or 2001:db8::/32, separated by commas, not 'localhost'",
        ),
        (
            "--admin-from ::1,10.0.0.1/8",
            "--admin-from: '10.0.0.1/8' is no network: is 10.0.0.0/8 meant?",
        ),
        (
            "--socket-mode 0o660",
            "--socket-mode: must be an octal number such as 0660, not '0o660'",
        ),
        (
            "-q oracle",
            "there is no queue plugin 'oracle': choose one of"
            f" {', '.join(('builtin', *NAMES))}, or install the package that has it",
        ),
        ("-p", "-p/--port: expected one argument"),
        ("--bogus", "unrecognized arguments: --bogus"),
        ("bogus", "unrecognized arguments: bogus"),
    ],
)
def test_what_cannot_be_used_is_refused_with_one_sentence(
    words: str, sentence: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert refused(capsys, *words.split()) == sentence


@pytest.mark.parametrize(
    "words",
    [
        "-b -1",
        "-j -2",
        "-f 31",
        "-w -1",
        "--max-connections 0",
        "--max-jobs -1",
        "--max-job-memory -1",
        "--max-packet 1023",
        "--max-packet 5G",
        "--max-packet 9999999999999",
        "--request-timeout -1",
        "--request-timeout nan",
        "--keepalive-idle 32768",
        "--keepalive-count 128",
        "--priority-scope galaxy",
        "--timeout-action explode",
        "-t many",
        "-b " + "9" * 5000,
        "-p ４７３０",
    ],
)
def test_what_is_out_of_range_is_refused(
    words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    refused(capsys, *words.split())


@pytest.mark.parametrize(
    "prefix", ["", "a b", "é", "a\tb", "x" * (MAX_HANDLE_PREFIX + 1)]
)
def test_handle_prefix_that_no_line_or_handle_can_hold_is_refused(
    prefix: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert "--job-handle-prefix: must" in refused(
        capsys, f"--job-handle-prefix={prefix}"
    )


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ("--ssl", "--ssl needs the certificate of this server: "),
        ("--ssl --ssl-key k --check-args", "--ssl needs the certificate of this "),
        (
            "--ssl --ssl-certificate c --ssl-verify=required",
            "--ssl-verify=required needs the authorities that sign clients' ",
        ),
        (
            "--ssl --ssl-certificate c --ssl-verify=optional",
            "--ssl-verify=optional needs the authorities that sign clients' ",
        ),
    ],
)
def test_tls_without_what_it_needs_is_refused(
    words: str, sentence: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert refused(capsys, *words.split()).startswith(sentence)


# -- options without effect


@pytest.mark.parametrize(
    ("words", "option"),
    [
        ("-t 4", "--threads"),
        ("--hashtable-buckets 991", "--hashtable-buckets"),
        ("--socket-mode=0660", "--socket-mode"),
        ("--socket-group users", "--socket-group"),
        ("--http-port 8080", "--http-port"),
        ("--http-timeout 5", "--http-timeout"),
        ("--ssl-key k", "--ssl-key"),
        ("--ssl-verify=required", "--ssl-verify"),
        ("--ssl --ssl-certificate c --ssl-ca-file a", "--ssl-ca-file"),
        ("--keepalive-idle 4", "--keepalive-idle"),
        ("--store-queue-on-shutdown", "--store-queue-on-shutdown"),
        ("--libdrizzle-mysql", "--libdrizzle-mysql"),
    ],
)
def test_option_without_effect_is_accepted_and_told(words: str, option: str) -> None:
    (sentence,) = parsed(*words.split()).ignored
    assert sentence.startswith(f"{option} has no effect: ")
    assert "secret" not in sentence


def test_every_option_of_a_queue_plugin_is_accepted() -> None:
    words = [
        f"{name}=x" if settings.get("action") is None else name
        for (name,), settings in HIDDEN
    ]
    assert len(parsed(*words).ignored) == len(words) > 2


# -- sources of options


def test_port_comes_from_the_environment() -> None:
    config = parsed("-L", "a", environ={"GEARMAND_PORT": "5"})
    assert config.listen == (Endpoint("a", 5),)


def test_files_of_tls_come_from_the_environment_if_need_be() -> None:
    environ = {
        "GEARMAND_CA_CERTIFICATE": "/ca",
        "GEARMAND_SERVER_PEM": "/pem",
        "GEARMAND_SERVER_KEY": "/key",
    }
    assert parsed(environ=environ) == Config()
    config = parsed("--ssl", "--ssl-key=/k", "--ssl-verify=required", environ=environ)
    assert config.tls == Tls("/pem", "/k", "/ca", "required")
    assert config.ignored == ()


def test_empty_variable_counts_as_none() -> None:
    assert parsed(environ={"GEARMAND_PORT": ""}) == Config()


def test_port_of_the_environment_must_be_a_number(
    capsys: pytest.CaptureFixture[str],
) -> None:
    line = refused(capsys, environ={"GEARMAND_PORT": "x"})
    assert line == "GEARMAND_PORT: must be a whole number from 0 to 65535, not 'x'"


def test_command_line_beats_file_beats_environment(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("--port 2 -L a -L b -b 9")
    environ = {"GEARMAND_PORT": "1"}
    assert parse([f"@{file}"], environ).listen == (Endpoint("a", 2), Endpoint("b", 2))
    config = parse([f"@{file}", "-p3", "-Lc"], environ)
    assert config.listen == (Endpoint("c", 3),)
    assert config.backlog == 9


@pytest.mark.parametrize("form", ["@{}", "--config-file={}", "--config-file {}"])
def test_file_has_words_as_on_the_command_line(form: str, tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text(
        "# comment\n\n  -b\n5 --verbose\tINFO # --syslog\n#-d\n"
        "--job-handle-prefix=a#b --exceptions"
    )
    config = parse(form.format(file).split(), NOWHERE)
    assert config == replace(
        Config(),
        backlog=5,
        level=LEVELS["INFO"],
        handle_prefix="a#b",
        exceptions=True,
        config_file=(str(file),),
    )


def test_later_file_beats_the_earlier_one(tmp_path: Path) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    one.write_text("-b 1 --exceptions")
    two.write_text("-b 2")
    config = parse([f"@{one}", "--config-file", str(two)], NOWHERE)
    assert (config.backlog, config.exceptions) == (2, True)


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ("--bogus", "{}: unrecognized arguments: --bogus"),
        ("port=1", "{}: unrecognized arguments: port=1"),
        ("-b x", "{}: -b/--backlog: must be a whole number"),
        ("--config-file=other", "{}: --config-file cannot stand in a file"),
        ("-l a\0b", "configuration file '{}' is no text file"),
    ],
)
def test_file_with_a_mistake_is_named(
    content: str, sentence: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "file"
    file.write_text(content)
    assert refused(capsys, f"@{file}").startswith(sentence.format(file))


@pytest.mark.parametrize("name", ["absent", "."])
def test_file_that_cannot_be_read_is_refused(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / name
    line = refused(capsys, f"--config-file={path}")
    assert line.startswith(f"configuration file '{path}' cannot be read: ")


def test_file_in_another_encoding_is_read(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_bytes(b"-l /caf\xe9")
    config = parse([f"@{file}"], NOWHERE)
    assert os.fsencode(config.log_file) == b"/caf\xe9"


# -- printed texts


def test_version_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    line = printed(capsys, "--version")
    assert re.fullmatch(
        r"gearmand \(gearman-py\) \S+, Python 3\.\d+\S* \(\w+\), (pure|speedups)\n",
        line,
    )
    assert printed(capsys, "-V") == line


def test_bad_option_is_refused_as_well_if_only_a_check_is_asked_for(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert refused(capsys, "--check-args", "-p", "x")


def test_older_name_of_an_option_is_another_name_for_it() -> None:
    assert parsed("--handshake-timeout=7") == parsed("--request-timeout=7")
    assert parsed("--handshake-timeout=7").request_timeout == 7.0


CLUSTER = ("--cluster", "fleet", "--cluster-address", "db-1:4730")


def test_servers_of_a_cluster_share_a_queue() -> None:
    config = parsed("-q", "postgres", *CLUSTER, "--cluster-lease=2.5")
    assert config.cluster == Cluster("fleet", "db-1:4730", 2.5)
    assert config.queue_options == {"cluster": config.cluster}
    assert config.ignored == ()
    address = "--cluster-address=[::1]:4730"
    config = parsed("-q", "Postgres", "--cluster=x", address)
    assert config.cluster == Cluster("x", "[::1]:4730", 10.0)


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (["-q", "sqlite", *CLUSTER], "can't share the queue sqlite: leave out"),
        (CLUSTER, "can't share the queue builtin: leave out --cluster, or choose"),
        (["-q", "postgres", "--cluster=x"], "--cluster-address HOST:PORT"),
        (["--cluster=a b"], "must be made of letters"),
        (["--cluster-address=host"], "must be HOST:PORT, not 'host'"),
        (
            ["--cluster-address=:4730"],
            "it needs a host; write HOST:PORT or [IPV6]:PORT",
        ),
        (["--cluster-address=unix:/run/g"], "must be HOST:PORT, not 'unix:/run/g'"),
        (["--cluster-address=unix:"], "must be HOST:PORT, not 'unix:'"),
        (["--cluster-lease=0.5"], "must be at least 1, not 0.5"),
        (["--cluster-lease=soon"], "must be a number of seconds above 0"),
        (["-q", "postgres", *CLUSTER, "-p0"], "with fixed ports only"),
        (["-q", "postgres", *CLUSTER, "-L", "unix:/g"], "with fixed ports only"),
    ],
)
def test_cluster_that_cannot_be_is_refused(
    capsys: pytest.CaptureFixture[str], words: Sequence[str], reason: str
) -> None:
    assert reason in refused(capsys, *words)


def test_options_without_a_cluster_have_no_effect() -> None:
    config = parsed("--cluster-address=a:1", "--cluster-lease=5")
    assert config.ignored == (
        "--cluster-address has no effect: --cluster was not given",
        "--cluster-lease has no effect: --cluster was not given",
    )


def test_help_names_every_field(capsys: pytest.CaptureFixture[str]) -> None:
    text = printed(capsys, "--help")
    assert printed(capsys, "-h") == text
    for word in ("--listen", "--job-retries", "--pid-file", "GEARMAND_PORT", "HUP"):
        assert word in text


def test_help_tells_the_real_defaults(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "1000")
    text = re.sub(r"\n {9,}", "  ", printed(capsys, "--help"))
    told = re.findall(r"^.*?(--[a-z-]+)[ ,].*\(default: (\S+)\)$", text, re.MULTILINE)
    of_plugins = {f"--{o.names[0]}" for n in NAMES for o in load(n).options}
    told = [(option, default) for option, default in told if option not in of_plugins]
    assert len(told) >= 15
    needs = {
        "--keep": ["--keepalive"],
        "--ssl-": ["--ssl", "--ssl-certificate=/c"],
        "--http": ["-r", "http"],
        "--memc": ["-r", "memcached"],
        "--metr": ["-r", "http"],
        "--clus": ["-q", "postgres", *CLUSTER],
    }
    for option, default in told:
        extra = needs.get(option[:6], [])
        assert parsed(f"{option}={default}", *extra) == parsed(*extra), option


@pytest.mark.parametrize("name", NAMES)
def test_help_tells_the_real_defaults_of_queue_plugins(name: str) -> None:
    plugin = load(name)
    arguments = inspect.signature(plugin).parameters
    for option in plugin.options:
        if found := re.search(r"\(default: (\S+)\)$", option.help):
            assert str(arguments[option.keyword].default) == found[1]


@pytest.mark.parametrize("words", [["-q", "sqlite"], ["--queue-type=libsqlite3"]])
@pytest.mark.parametrize("name", ["--sqlite-db", "--libsqlite3-db"])
def test_queue_plugin_gets_its_options(words: list[str], name: str) -> None:
    config = parsed(*words, name, "/tmp/x")
    assert config.queue_options == {"db": "/tmp/x"}
    assert config.ignored == ()


@pytest.fixture
def plugin(monkeypatch: pytest.MonkeyPatch) -> type[Queue]:
    """A queue plugin of another package, by the name "theirs"."""

    class Theirs(load("sqlite")):  # type: ignore[misc]
        options = ()

    entry = SimpleNamespace(value="theirs:Theirs", load=lambda: Theirs)
    monkeypatch.setattr("importlib.metadata.entry_points", lambda **_: [entry])
    return Theirs


def test_option_that_something_else_has_is_refused_by_one_sentence(
    plugin: type[Queue], capsys: pytest.CaptureFixture[str]
) -> None:
    plugin.options = (Option("db", ("sqlite-db",), "theirs"),)
    assert refused(capsys, "-q", "theirs", "--sqlite-db=x").endswith(
        "the queue theirs (-q theirs) has an option --sqlite-db, but that name is"
        " taken: it can't be used before its author renames that option"
    )


def test_option_of_gearmand_may_belong_to_a_plugin(plugin: type[Queue]) -> None:
    plugin.options = (Option("file", ("libtokyocabinet-file",), "theirs"),)
    config = parsed("-q", "theirs", "--libtokyocabinet-file=x")
    assert config.queue_options == {"file": "x"}
    assert config.ignored == ()


@pytest.mark.parametrize("name", ["libtokyocabinet"])
def test_queue_that_only_gearmand_has_is_refused_by_one_sentence(
    name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    option = next(n for (n,), _ in HIDDEN if n.startswith(f"--{name.lower()}-"))
    assert refused(capsys, "-q", name, f"{option}=x") == (
        f"there is no queue plugin {name!r}: choose one of"
        f" {', '.join(('builtin', *NAMES))}, or install the package that has it"
    )


def test_help_groups_the_options_of_each_queue(
    capsys: pytest.CaptureFixture[str],
) -> None:
    _, *groups = printed(capsys, "--help").split("\nqueue ")
    assert len(groups) == len(NAMES)
    for name, group in zip(NAMES, groups, strict=True):
        assert group.startswith(f"{name} (-q {name}):\n")
        options = re.findall(r"^  --(\S+)", group.split("\n\n")[0], re.MULTILINE)
        assert options == [option.names[0] for option in load(name).options]
    assert "--queue-format {native,gearmand}" in groups[NAMES.index("sqlite")]


def test_option_of_a_queue_plugin_may_stand_in_a_file(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("--queue-type sqlite --sqlite-db /tmp/x")
    assert parse([f"@{file}"], NOWHERE).queue_options == {"db": "/tmp/x"}


def test_option_of_another_queue_plugin_has_no_effect() -> None:
    config = parsed("--libsqlite3-db", "/tmp/x")
    assert config.queue_options == {}
    assert config.ignored == (
        "--sqlite-db has no effect: no queue type that knows it is in use",
    )


def test_packet_limit_is_that_of_the_protocol() -> None:
    assert Config().max_packet == MAX_PACKET


# -- real processes


def run(command: str) -> "subprocess.CompletedProcess[str]":
    """Run a shell command in which $GEARMAND parses options and exits."""
    code = (
        "import os, sys; from gearman.server.settings.config import parse;"
        " parse(sys.argv[1:], os.environ)"
    )
    return subprocess.run(
        ["/bin/sh", "-c", command],
        env=package_environment()
        | {"GEARMAND": f"{sys.executable} -P -c"}
        | {"C": code},
        capture_output=True,
        text=True,
        timeout=DEADLINE,
        check=False,
    )


@pytest.mark.parametrize(
    ("redirection", "status"),
    [
        ("--help >/dev/full", 0),
        ("--help >&-", 0),
        ("--help | true", 0),
        ("--bogus 2>/dev/full", 1),
        ("--bogus 2>&-", 1),
    ],
)
def test_output_that_nobody_takes_is_no_traceback(
    redirection: str, status: int
) -> None:
    result = run(f'$GEARMAND "$C" {redirection}')
    assert (result.returncode, result.stderr) == (status, "")
