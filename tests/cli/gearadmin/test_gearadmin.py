"""`gearadmin`: operations, their order, and the output on a terminal."""

import json
import re
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from gearman import __version__
from gearman.cli.gearadmin.operations import OPERATIONS, parser
from tests import servers
from tests.cli.tools import Outcome, Terminal, gearadmin, our_tool
from tests.servers import DEADLINE, HOST, Server
from tests.wire import Peer


@pytest.fixture
def queued(server: Server) -> Iterator[Peer]:
    """A worker with the id `my worker` and the function f, and a job of f."""
    with Peer(server.port) as peer:
        peer.send("SET_CLIENT_ID", b"my worker")
        peer.send("CAN_DO", b"f")
        peer.send("SUBMIT_JOB_BG", b"f", b"key", b"data")
        peer.expect("JOB_CREATED")
        yield peer


def test_operations_are_carried_out_in_the_given_order(server: Server) -> None:
    said = gearadmin(
        server, *("--create-function", "a", "--getpid", "--drop-function", "a")
    )
    assert said == Outcome(0, f"OK\n{server.process.pid}\nOK\n".encode(), "")


def test_an_operation_may_be_given_twice(server: Server) -> None:
    pid = f"{server.process.pid}\n".encode()
    assert gearadmin(server, "--getpid", "--getpid").out == pid * 2


def test_an_error_is_status_1_and_the_rest_is_done(server: Server) -> None:
    said = gearadmin(server, "--drop-function", "unknown", "--getpid")
    assert said == Outcome(
        1, f"{server.process.pid}\n".encode(), "Error: function not found\n"
    )


def test_options_may_be_shortened_as_with_the_c_tool(server: Server) -> None:
    pid = f"{server.process.pid}\n".encode()
    assert gearadmin(server, "--getp").out == pid
    words = [f"--host={HOST}", f"-p{server.port}", "--getpid"]
    assert gearadmin(None, *words).out == pid


def test_a_server_that_is_not_there_is_one_sentence() -> None:
    said = gearadmin(None, "-h", HOST, "-p", str(servers.free_port()), "--status")
    assert said.status == 1
    assert re.fullmatch(
        r"gearadmin: cannot connect to 127.0.0.1:\d+ \(Connection refused\): .*\n",
        said.err,
    )


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ([], "nothing to do: give an operation such as --status"),
        (["--bogus"], "unrecognized arguments: --bogus; gearadmin --help lists"),
        (["--status", "x"], "unrecognized arguments: x; gearadmin --help lists"),
        (["--cancel-job"], "--cancel-job: expected one argument; gearadmin --help"),
        (["--create-function", "a b"], "--create-function takes one word, not 'a b'"),
        (["--create-function", ""], "--create-function takes one word, not ''"),
        (["--create-function", "a\nshutdown"], "--create-function takes one word"),
        (["--set-function", "f"], "--set-function takes KEY=VALUE after the name"),
        (["--set-function", "a b", "c=1"], "--set-function takes one word, not"),
        (["--set-function", "f", "x"], "--set-function takes KEY=VALUE, not 'x'"),
        (["--set-function", "f", "a b=1"], "--set-function takes KEY=VALUE, not"),
        (["--list-jobs", "=1"], "--list-jobs takes KEY=VALUE, not '=1'"),
        (["--status", "-t", "0"], "--timeout and --watch take more than 0"),
        (["--status", "--watch", "-1"], "--timeout and --watch take more than 0"),
        (["--status", "-p", "x"], "'x' is no port"),
    ],
)
def test_a_wrong_command_line_is_one_sentence(words: list[str], sentence: str) -> None:
    said = gearadmin(None, *words)
    assert (said.status, said.out) == (1, b"")
    assert said.err.startswith(f"gearadmin: {sentence}")
    assert said.err.count("\n") == 1


def test_help_names_every_operation_and_fits_a_terminal() -> None:
    said = gearadmin(None, "--help")
    assert said == Outcome(0, parser().format_help().encode(), "")
    assert max(map(len, said.out.splitlines())) < 80
    for operation in OPERATIONS:
        assert f"\n  --{operation.option} ".encode() in said.out


def test_the_version_is_that_of_the_package() -> None:
    assert gearadmin(None, "--version").out.decode() == (
        f"gearadmin (gearman-py) {__version__}\n"
    )


def test_lists_are_json_if_wanted(server: Server, queued: Peer) -> None:
    options = ["--status", "--priority-status", "--show-jobs", "--show-unique-jobs"]
    said = gearadmin(server, "--json", *options, "--workers", "--getpid")
    status, priorities, jobs, uniques, workers, pid = map(
        json.loads, said.out.splitlines()
    )
    assert {"function": "f", "total": 1, "running": 0, "workers": 1} in status
    assert {
        "function": "f",
        "high": 0,
        "normal": 1,
        "low": 0,
        "workers": 1,
    } in priorities
    assert [(job["retries"], job["ignored"], job["queued"]) for job in jobs] == [
        (0, 0, 1)
    ]
    assert uniques == [{"unique": "key"}]
    assert ["f"] in [w["functions"] for w in workers if w["id"] == "my worker"]
    assert pid == str(server.process.pid)


def test_status_is_aligned_on_a_terminal(server: Server, queued: Peer) -> None:
    for function in (b"zz", b"longer"):
        queued.ask(b"create function " + function)
    with Terminal(our_tool("gearadmin", server, "--status")) as terminal:
        lines = terminal.rest().split("\r\n")
    assert lines[0].split() == ["Function", "Total", "Running", "Workers"]
    assert "f             1        0        1" in lines
    assert "." not in lines
    names = [line.split()[0] for line in lines[1:-1]]
    assert names == sorted(names)


def test_status_is_watched_on_a_terminal_until_ctrl_c(server: Server) -> None:
    command = our_tool("gearadmin", server, "--status", "--watch", "0.05")
    with Terminal(command) as terminal, Peer(server.port) as peer:
        terminal.until(r"\x1b\[H\x1b\[2JFunction +Total")
        peer.ask(b"create function appearing")
        terminal.until(r"\r\nappearing +0 +0 +0")
        terminal.interrupt()
        terminal.rest()
        assert terminal.process.returncode == 130


def test_more_than_the_terminal_holds_is_cut() -> None:
    with servers.ours() as server, Peer(server.port) as peer:
        for number in range(40):
            peer.ask(b"create function f%02d" % number)
        with Terminal(our_tool("gearadmin", server, "--status", "--watch")) as terminal:
            terminal.until(r"\r\n\.\.\. and 19 more lines\r\n")


def test_a_server_that_allows_it_is_shut_down() -> None:
    for option in ("--shutdown", "--shutdown-graceful"):
        with servers.ours("--allow-shutdown") as server:
            said = gearadmin(server, option)
            assert (said.status, said.err) == (0, "")
            assert server.process.wait(DEADLINE) == 0


def test_a_server_that_does_not_allow_it_refuses(server: Server) -> None:
    said = gearadmin(server, "--shutdown")
    assert said.status == 1
    assert said.err.startswith("Error: UNKNOWN_COMMAND ")


def test_names_that_are_no_text_come_out_as_they_are(server: Server) -> None:
    with Peer(server.port) as peer:
        peer.send("CAN_DO", b"\xff\xfe")
        peer.fence()
        assert b"\xff\xfe\t0\t0\t1\n" in gearadmin(server, "--status").out


def test_functions_are_steered(server: Server) -> None:
    options = ["--set-function", "steered", "retries=3", "dead=function:a b"]
    said = gearadmin(server, *options, "--pause-function", "steered", "--show-policies")
    policy = b"retries=3&dead=function%3Aa%20b&paused=1"
    assert said.out.startswith(b"OK\nOK\n")
    assert b"steered\t" in said.out
    said = gearadmin(server, "--show-policies", "--json")
    (row,) = [r for r in json.loads(said.out) if r["function"] == "steered"]
    assert row["policy"].replace(":", "%3A") == policy.decode()
    options = ["--resume-function", "steered", "--unset-function", "steered"]
    assert gearadmin(server, *options).out == b"OK\nOK\n"
    said = gearadmin(server, "--set-function", "steered", "retrys=3")
    assert said.status == 1
    assert said.err.startswith("Error: INVALID_ARGUMENTS 'retrys' is no key of a")


def test_stats_are_shown(server: Server) -> None:
    with Peer(server.port) as peer:
        peer.send("SUBMIT_JOB_BG", b"counted", b"", b"data")
        peer.expect("JOB_CREATED")
    said = gearadmin(server, "--show-stats", "--json")
    first, *functions, last = json.loads(said.out)
    assert first["version"] == __version__
    assert first["connections"] >= 1
    (record,) = (each for each in functions if each["function"] == "counted")
    assert (record["submitted"], record["queued"]) == (1, 1)
    assert last["kind"] == "forgotten"


def test_events_are_followed_until_ctrl_c(server: Server) -> None:
    command = our_tool("gearadmin", server, "--watch-events", "functions=seen*")
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert json.loads(process.stdout.readline())["event"] == "watching"
        with Peer(server.port) as peer:
            for name in (b"unseen", b"seen too"):
                peer.send("SUBMIT_JOB_BG", name, b"", b"data")
                peer.expect("JOB_CREATED")
        event = json.loads(process.stdout.readline())
        assert (event["event"], event["function"]) == ("submitted", "seen too")
        process.send_signal(signal.SIGINT)
        assert process.wait(DEADLINE) == 130


def test_events_that_do_not_exist_are_refused(server: Server) -> None:
    said = gearadmin(server, "--watch-events", "events=x")
    assert said.status == 1
    assert said.err.startswith("Error: INVALID_ARGUMENTS 'x' is no event: choose")


@pytest.mark.parametrize(
    "options", [("--watch-events", "--status"), ("--watch-events", "--watch")]
)
def test_nothing_can_follow_events(server: Server, options: tuple[str, ...]) -> None:
    said = gearadmin(server, *options)
    assert (said.status, said.out) == (1, b"")
    assert "--watch-events does not end: give it last, and without --watch" in said.err


def test_dead_jobs_are_shown_and_tried_again_or_forgotten(server: Server) -> None:
    gearadmin(server, "--set-function", "mortal", "dead=list")
    with Peer(server.port) as peer:
        peer.send("CAN_DO", b"mortal")
        for _ in range(2):
            peer.send("SUBMIT_JOB_BG", b"mortal", b"", b"data")
            (handle,) = peer.expect("JOB_CREATED")
            peer.send("GRAB_JOB")
            peer.expect("JOB_ASSIGN")
            peer.send("WORK_FAIL", handle)
        peer.fence()
    name = handle.decode()
    (first, second) = json.loads(gearadmin(server, "--show-dead", "--json").out)
    assert (second["handle"], second["function"]) == (name, "mortal")
    assert second["attempts"] == 1
    assert second["reason"] == "its worker sent WORK_FAIL"
    with Terminal(our_tool("gearadmin", server, "--show-dead")) as terminal:
        lines = terminal.rest().split("\r\n")
    assert lines[0].split() == ["Handle", "Function", "Attempts", "Died", "Reason"]
    assert re.search(r"mortal   +1  \d+  its worker sent WORK_FAIL$", lines[1])
    (job,) = json.loads(gearadmin(server, "--json", "--show-job", name).out)
    assert job["state"] == "dead"
    said = gearadmin(server, "--list-jobs", "function=mortal", "limit=1")
    assert json.loads(said.out.splitlines()[0])["handle"] == first["handle"]
    assert said.out.splitlines()[1:] == [b"."]
    options = ["--retry-job", name, "--purge-function", "mortal"]
    assert gearadmin(server, *options).out == b"OK\n1\n"
    options = ["--retry-function", "mortal", "--cancel-job", first["handle"]]
    assert gearadmin(server, *options).out == b"1\nOK\n"
    options = ["--forget-function", "mortal", "--forget-job", name]
    said = gearadmin(server, *options)
    assert (said.status, said.out, said.err) == (1, b"0\n", "Error: UNKNOWN_JOB\n")


def test_schedules_are_shown_run_and_paused(tmp_path: Path) -> None:
    file = tmp_path / "settings.toml"
    file.write_text("[schedules.s]\ncron = '30 3 * * *'\nfunction = 'f g'")
    with servers.ours("--settings", str(file)) as server:
        options = ["--pause-schedule", "s", "--run-schedule", "s", "--show-schedules"]
        said = gearadmin(server, *options, "--resume-schedule", "s")
        assert re.fullmatch(
            rb"OK\nOK\ns\t30 3 \* \* \*\tf g\t\d+\t-\t1\tfile\t-\n\.\nOK\n", said.out
        )
        assert gearadmin(server, "--status").out == b"f g\t1\t0\t0\n.\n"
        (row,) = json.loads(gearadmin(server, "--json", "--show-schedules").out)
        assert (row["schedule"], row["cron"]) == ("s", "30 3 * * *")
        said = gearadmin(server, "--run-schedule", "x")
        assert (said.status, said.err) == (1, "Error: schedule not found\n")
        options = ["--set-schedule", "t", "cron=0 3 * * *", "function=g", "owner=me"]
        options += ["options=retries=3&ttl=60", "--run-schedule", "t"]
        assert gearadmin(server, *options).out == b"OK\nOK\n"
        _, row = json.loads(gearadmin(server, "--json", "--show-schedules").out)
        assert (row["cron"], row["source"], row["owner"]) == (
            *("0 3 * * *", "command"),
            "me",
        )
        assert gearadmin(server, "--unset-schedule", "t").out == b"OK\n"


def test_jobs_are_objects_on_a_terminal_too(server: Server, queued: Peer) -> None:
    with Terminal(our_tool("gearadmin", server, "--list-jobs", "unique=key")) as shown:
        lines = shown.rest().split("\r\n")
    assert json.loads(lines[0])["unique"] == "key"
    assert "." not in lines
