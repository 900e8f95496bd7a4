"""`gearman` in all modes: help, health checks, exit statuses."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from gearman import __version__
from gearman.cli.options import HELP
from tests import servers
from tests.cli.tools import Outcome, Terminal, gearman, our_tool, outcome
from tests.interop.programs import Program, take_job
from tests.servers import DEADLINE, HOST, Server, until
from tests.wire import Peer


@pytest.mark.parametrize("flag", ["-H", "--help"])
def test_help_is_printed_and_no_error(flag: str) -> None:
    assert gearman(None, flag) == Outcome(0, HELP.encode(), "")


def test_help_fits_a_terminal() -> None:
    assert max(map(len, HELP.splitlines())) < 80


def test_the_version_is_that_of_the_package() -> None:
    said = gearman(None, "--version")
    assert said.out.decode() == f"gearman (gearman-py) {__version__}\n"


def test_a_wrong_command_line_is_one_sentence_and_status_1() -> None:
    assert gearman(None, "-x") == Outcome(
        1, b"", "gearman: option -x not recognized; gearman --help lists them\n"
    )


def test_a_server_that_answers_is_healthy(server: Server) -> None:
    assert gearman(server, "--ping") == Outcome(0, b"", "")
    assert gearman(server, "--ping", "-v") == Outcome(0, b"ping OK\n", "")


def test_a_server_that_is_not_there_is_not_healthy() -> None:
    port = servers.free_port()
    said = gearman(None, "--ping", "-h", HOST, "-p", str(port))
    assert said == Outcome(
        1, b"", f"gearman: 127.0.0.1:{port} does not answer: Connection refused\n"
    )


def test_a_server_that_is_silent_is_not_healthy() -> None:
    with servers.ours() as server, servers.stopped(server.process.pid):
        said = gearman(server, "--ping", "-t", "100")
    assert said.status == 1
    assert said.err.startswith(f"gearman: {server.address} does not answer: ")


def test_all_servers_must_be_healthy(server: Server) -> None:
    port = servers.free_port()
    command = our_tool("gearman", None, "--ping", "-v")
    listed = {"GEARMAN_SERVER": f"{server.address},127.0.0.1:{port}"}
    said = outcome(command, environment=listed)
    assert (said.status, said.out) == (1, b"ping OK\n")


@pytest.mark.parametrize("mode", [["data"], ["-w"]])
def test_ctrl_c_is_status_130_without_a_word(
    server: Server, peer: Peer, mode: list[str]
) -> None:
    function = f"interrupted-{mode[0]}"
    command = our_tool("gearman", server, "-f", function, *mode)
    with Terminal(command) as terminal:
        until(lambda: function.encode() in b"".join(peer.ask_list(b"status")))
        terminal.interrupt()
        assert terminal.rest() == ""
        assert terminal.process.returncode == 130


def test_ctrl_c_ends_the_command_of_a_worker(server: Server, peer: Peer) -> None:
    words = ["-w", "-n", "-f", "slow", "--", "sh", "-c", "echo $$; exec sleep 1000"]
    with Program(*our_tool("gearman", server, *words)) as program:
        peer.send("SUBMIT_JOB", b"slow", b"", b"")
        peer.expect("JOB_CREATED")
        child = int(peer.expect("WORK_DATA")[1])
        # The signal goes to the worker only; on a terminal it goes to all processes.
        program.process.send_signal(signal.SIGINT)
        assert program.rest() == ""
        assert program.process.returncode == 130
    with pytest.raises(ProcessLookupError):
        os.kill(child, 0)


def test_a_reader_that_leaves_ends_it_quietly(
    server: Server, peer: Peer, tmp_path: Path
) -> None:
    status = tmp_path / "status"
    peer.send("CAN_DO", b"piped")
    command = our_tool("gearman", server, "-f", "piped", "data")
    pipeline = '{ "$@"; echo $? > "$0"; } | head -1'
    with Program("sh", "-c", pipeline, str(status), *command) as program:
        handle = take_job(peer)[0]

        def has_ended() -> str:
            # `head` may take a while to end.
            peer.send("WORK_DATA", handle, b"line\n")
            peer.fence()
            return status.read_text() if status.exists() else ""

        assert until(has_ended) == "141\n"
        assert program.rest() == "line\n"


@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_a_reader_that_leaves_within_a_result_ends_it_too(
    server: Server, peer: Peer, unbuffered: str
) -> None:
    peer.send("CAN_DO", b"cut")
    command = our_tool("gearman", server, "-f", "cut", "data")
    with Program("env", f"PYTHONUNBUFFERED={unbuffered}", *command) as program:
        peer.send("WORK_COMPLETE", take_job(peer)[0], b"x" * 1_000_000)
        assert program.process.stdout
        assert program.process.stdout.read(1) == b"x"
        program.process.stdout.close()
        assert program.process.wait(DEADLINE) == 141


def test_a_full_disk_is_one_sentence(server: Server, peer: Peer) -> None:
    peer.send("CAN_DO", b"full")
    command = our_tool("gearman", server, "-f", "full", "data")
    with Program("sh", "-c", 'exec "$@" > /dev/full', "sh", *command) as program:
        peer.send("WORK_COMPLETE", take_job(peer)[0], b"result")
        assert program.rest() == "gearman: No space left on device\n"
        assert program.process.returncode == 1


def test_closed_standard_streams_do_not_hurt(server: Server, peer: Peer) -> None:
    peer.send("CAN_DO", b"closed")
    command = our_tool("gearman", server, "-f", "closed")
    with Program("sh", "-c", 'exec "$@" <&- >&-', "sh", *command) as program:
        job = take_job(peer)
        peer.send("WORK_COMPLETE", job[0], b"result")
        assert job[3] == b""
        assert program.rest() == ""
        assert program.process.returncode == 0


def test_it_runs_in_a_bare_checkout() -> None:
    command = [sys.executable, "-m", "gearman.cli.gearman", "--version"]
    root = Path(__file__).parents[3]
    done = subprocess.run(command, cwd=root, capture_output=True, timeout=DEADLINE)
    assert done.stdout.startswith(b"gearman (gearman-py) ")


def test_tls_with_a_server_that_has_none_is_explained(server: Server) -> None:
    said = gearman(server, "-S", "-f", "f", "data")
    assert said.status == 1
    assert said.err.startswith(f"gearman: cannot connect to {server.address} (")
    assert said.err.count("\n") == 1


def test_certificates_that_are_not_there_are_explained(server: Server) -> None:
    command = our_tool("gearman", server, "-S", "-f", "f", "data")
    said = outcome(command, environment={"GEARMAN_CA_CERTIFICATE": "/nonexistent"})
    assert said.status == 1
    assert said.err.endswith("cannot be used: No such file or directory\n")
