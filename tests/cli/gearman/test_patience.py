"""`gearman --wait`: servers that start later."""

import signal
from pathlib import Path

import pytest

from tests import servers
from tests.cli.tools import gearman, our_tool
from tests.interop.programs import Program, take_job
from tests.servers import until
from tests.wire import Peer


def waiting(port: int, *options: str) -> Program:
    place = ["-h", servers.HOST, "-p", str(port), "--wait"]
    return Program(*our_tool("gearman", None, *place, *options))


def refused(port: int) -> str:
    return (
        f"gearman: cannot connect to {servers.HOST}:{port} (Connection refused): start"
        " a job server there, or name another one; trying again until it answers"
    )


def test_a_worker_waits_for_its_server() -> None:
    port = servers.free_port()
    with waiting(port, "-w", "-f", "f", "-c", "1", "cat") as program:
        assert program.line() == refused(port)
        with servers.ours(port=port), Peer(port) as peer:
            peer.send("SUBMIT_JOB", b"f", b"", b"data")
            handle = peer.expect("JOB_CREATED")[0]
            assert peer.expect("WORK_COMPLETE") == [handle, b"data"]
            assert program.rest() == ""
    assert program.process.returncode == 0


def test_a_client_waits_for_its_server() -> None:
    port = servers.free_port()
    with waiting(port, "-f", "f", "data") as program:
        assert program.line() == refused(port)
        with servers.ours(port=port), Peer(port) as peer:
            peer.send("CAN_DO", b"f")
            peer.send("WORK_COMPLETE", take_job(peer)[0], b"result")
            assert program.rest() == "result"
    assert program.process.returncode == 0


def test_a_daemon_waits_in_the_background(tmp_path: Path) -> None:
    port = servers.free_port()
    pid_file = tmp_path / "pid"
    place = ["-h", servers.HOST, "-p", str(port), "--wait", "-d", "-i", str(pid_file)]
    said = gearman(None, *place, "-w", "-f", "f", "-c", "1", "cat")
    assert (said.status, said.err) == (0, "")
    until(lambda: pid_file.exists() and pid_file.read_text())
    with servers.ours(port=port), Peer(port) as peer:
        peer.send("SUBMIT_JOB", b"f", b"", b"data")
        handle = peer.expect("JOB_CREATED")[0]
        assert peer.expect("WORK_COMPLETE") == [handle, b"data"]
        until(lambda: not pid_file.exists())


@pytest.mark.parametrize("mode", [["data"], ["-w", "cat"]])
def test_an_interrupt_ends_the_wait(mode: list[str]) -> None:
    port = servers.free_port()
    with waiting(port, "-f", "f", *mode) as program:
        assert program.line() == refused(port)
        program.process.send_signal(signal.SIGINT)
        assert program.rest() == ""
        assert program.process.returncode == 130
