"""The worker mode of `gearman`, with a client that checks the results."""

import os
import signal
from contextlib import suppress
from functools import partial
from pathlib import Path

import pytest

from gearman.cli.gearman import child
from gearman.cli.gearman.worker import Worker, run_command
from gearman.cli.options import Options
from gearman.job import GearmanJob
from tests import servers
from tests.cli.tools import gearman, our_tool
from tests.interop.programs import Program
from tests.servers import Server, until
from tests.wire import Packet, Peer


def worker(server: Server, *options: str) -> Program:
    return Program(*our_tool("gearman", server, "-w", *options))


def script(server: Server, function: str, text: str, *options: str) -> Program:
    """Start a worker that runs a shell script."""
    return worker(server, "-f", function, *options, "--", "sh", "-c", text)


def submit(peer: Peer, function: str, workload: bytes = b"", unique: str = "") -> bytes:
    """Submit a job and return its handle."""
    peer.send("SUBMIT_JOB", function.encode(), unique.encode(), workload)
    return peer.expect("JOB_CREATED")[0]


def test_output_is_the_result(server: Server, peer: Peer) -> None:
    with script(server, "sort", "sort"):
        handle = submit(peer, "sort", b"b\na\n")
        assert peer.expect("WORK_COMPLETE") == [handle, b"a\nb\n"]


def test_every_function_runs_the_command(server: Server, peer: Peer) -> None:
    with worker(server, "-f", "one", "-f", "two", "--", "cat"):
        for function in ("one", "two"):
            handle = submit(peer, function, b"data")
            assert peer.expect("WORK_COMPLETE") == [handle, b"data"]


def test_large_data_passes_through(server: Server, peer: Peer) -> None:
    # The test peer splits arguments at NUL.
    much = os.urandom(1 << 20).replace(b"\0", b"") * 2
    with script(server, "cat", "cat"):
        handle = submit(peer, "cat", much)
        assert peer.expect("WORK_COMPLETE") == [handle, much]


@pytest.mark.parametrize(
    ("option", "lines"),
    [("-n", [b"one\n", b"\n", b"end"]), ("-N", [b"one", b"", b"end"])],
)
def test_each_line_is_sent_once(
    server: Server, peer: Peer, option: str, lines: list[bytes]
) -> None:
    with script(server, f"lines{option}", 'printf "one\\n\\nend"', option):
        handle = submit(peer, f"lines{option}")
        assert [peer.expect("WORK_DATA") for _ in lines] == [
            [handle, line] for line in lines
        ]
        assert peer.expect("WORK_COMPLETE") == [handle, b""]


def test_a_line_is_sent_before_the_command_ends(
    server: Server, peer: Peer, tmp_path: Path
) -> None:
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    with script(server, "wait", f"echo begun; read -r word < {fifo}", "-n"):
        handle = submit(peer, "wait")
        assert peer.expect("WORK_DATA") == [handle, b"begun\n"]
        fifo.write_text("go on\n")
        assert peer.expect("WORK_COMPLETE") == [handle, b""]


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("exit 3", "the command ended with status 3"),
        ("kill -9 $$", "killed by signal 9"),
    ],
)
def test_a_command_that_does_not_succeed_fails_its_job(
    server: Server, peer: Peer, text: str, why: str
) -> None:
    with script(server, "failing", text, "-v", "-c", "1") as program:
        handle = submit(peer, "failing")
        assert peer.expect("WORK_FAIL") == [handle]
        assert program.rest() == (
            f"gearman: job {handle.decode()} of failing failed: {why}\n"
        )


def test_a_command_may_close_its_output_before_it_has_read_all(
    server: Server, peer: Peer, tmp_path: Path
) -> None:
    much = b"x" * 1_000_000
    taken = tmp_path / "taken"
    with script(server, "early", f"exec >&-; cat > {taken}"):
        handle = submit(peer, "early", much)
        assert peer.expect("WORK_COMPLETE") == [handle, b""]
    assert taken.read_bytes() == much


def test_what_a_command_leaves_running_is_told(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(child, "run", partial(child.run, left_behind=0.1))
    text = b"sleep 1000 & echo $!"
    options = Options(functions=(b"f",), operands=(b"sh", b"-c", text))
    with Worker([(servers.HOST, 1)], options) as idle:
        result = run_command(idle, GearmanJob(None, "H:x:1", b"f", "", b""))
    os.kill(int(result), signal.SIGKILL)
    assert capsys.readouterr().err == (
        "gearman: job H:x:1: the command has ended, but processes that it left"
        " running keep its input or output open; not waiting for them any longer\n"
    )


def test_a_failure_counts_even_if_the_parent_ignored_ends_of_children(
    server: Server, peer: Peer
) -> None:
    command = our_tool("gearman", server, "-w", "-f", "ignored", "--", "false")
    with Program("env", "--ignore-signal=CHLD", *command):
        handle = submit(peer, "ignored")
        assert peer.expect("WORK_FAIL") == [handle]


def test_a_command_is_told_which_job_it_runs(server: Server, peer: Peer) -> None:
    text = (
        'printf "%s %s %s"'
        ' "$GEARMAN_JOB_HANDLE" "$GEARMAN_JOB_UNIQUE" "$GEARMAN_JOB_FUNCTION"'
    )
    with script(server, "told", text):
        handle = submit(peer, "told", unique="key")
        assert peer.expect("WORK_COMPLETE") == [handle, handle + b" key told"]


def test_a_worker_without_a_command_writes_the_data(server: Server, peer: Peer) -> None:
    with worker(server, "-f", "write") as program:
        handle = submit(peer, "write", b"line\n")
        assert program.line() == "line"
        assert peer.expect("WORK_COMPLETE") == [handle, b""]


def test_it_ends_after_so_many_jobs(server: Server, peer: Peer) -> None:
    with script(server, "two", "exit 1", "-c", "2") as program:
        handles = [submit(peer, "two") for _ in range(3)]
        assert [peer.expect("WORK_FAIL")[0] for _ in range(2)] == handles[:2]
        assert program.rest() == ""
    assert program.process.returncode == 0
    until(lambda: b"two\t1\t0\t0" in peer.ask_list(b"status"))


def test_a_command_that_is_not_there_is_a_failed_start(server: Server) -> None:
    said = gearman(server, "-w", "-f", "f", "--", "nosuchprogram", "-x")
    assert said.status == 1
    assert said.err == (
        "gearman: 'nosuchprogram' cannot be run: no such program; give one that is in"
        " PATH, or a path to one\n"
    )


def test_a_command_that_vanished_fails_its_jobs(
    server: Server, peer: Peer, tmp_path: Path
) -> None:
    command = tmp_path / "command"
    command.write_text("#!/bin/sh\necho here\n")
    command.chmod(0o700)
    with worker(server, "-f", "vanishing", "--", str(command)) as program:
        first = submit(peer, "vanishing")
        assert peer.expect("WORK_COMPLETE") == [first, b"here\n"]
        command.unlink()
        second = submit(peer, "vanishing")
        assert peer.expect("WORK_FAIL") == [second]
        assert program.line() == (
            f"gearman: job {second.decode()} failed: cannot run '{command}': No such"
            " file or directory"
        )


def test_a_server_that_is_not_there_is_a_failed_start() -> None:
    words = ["-h", servers.HOST, "-p", str(servers.free_port()), "-w", "-f", "f"]
    said = gearman(None, *words, "cat")
    assert said.status == 1
    assert said.err.startswith("gearman: cannot connect to 127.0.0.1:")
    assert said.err.count("\n") == 1


def test_one_server_of_several_is_enough(server: Server, peer: Peer) -> None:
    absent = f"127.0.0.1:{servers.free_port()}"
    command = our_tool("gearman", None, "-w", "-f", "either", "cat")
    listed = f"GEARMAN_SERVER={absent},{server.address}"
    with Program("env", listed, *command) as program:
        handle = submit(peer, "either", b"data")
        assert peer.expect("WORK_COMPLETE") == [handle, b"data"]
        assert program.line() == (
            f"gearman: cannot connect to {absent} yet (Connection refused)"
        )


def test_a_server_that_comes_back_gets_its_worker_back() -> None:
    port = servers.free_port()
    with servers.ours(port=port) as server, Peer(port) as peer:
        program = script(server, "f", "echo done")
        handle = submit(peer, "f")
        assert peer.expect("WORK_COMPLETE") == [handle, b"done\n"]
    with program:
        lost = program.line()
        assert lost == f"gearman: the connection to {server.address} was lost;" + (
            " trying again"
        )
        with servers.ours(port=port), Peer(port) as peer:
            handle = submit(peer, "f")
            assert peer.expect("WORK_COMPLETE") == [handle, b"done\n"]


def test_what_the_server_complains_about_is_told(server: Server) -> None:
    with worker(server, "-f", "x" * 9000, "cat") as program:
        assert program.line().startswith("gearman: the server says ARGUMENT_TOO_LARGE")


def test_that_no_job_comes_is_told(server: Server) -> None:
    with worker(server, "-t", "50", "-f", "idle", "cat") as program:
        told = "gearman: no job came within 0.05 seconds; still waiting"
        assert [program.line() for _ in range(2)] == [told, told]


def test_a_worker_that_is_ended_kills_its_command_and_loses_no_job(
    server: Server, peer: Peer, tmp_path: Path
) -> None:
    pid_file = tmp_path / "pid"
    text = "echo $$; exec sleep 1000"
    with script(server, "slow", text, "-n", "-i", str(pid_file)) as program:
        handle = submit(peer, "slow")
        child = int(peer.expect("WORK_DATA")[1])
        assert pid_file.read_text() == f"{program.process.pid}\n"
        program.process.send_signal(signal.SIGTERM)
        assert program.rest() == ""
        assert program.process.returncode == 128 + signal.SIGTERM
    with pytest.raises(ProcessLookupError):
        os.kill(child, 0)
    assert not pid_file.exists()
    until(lambda: handle + b"\t1\t0\t0" in peer.ask_list(b"show jobs"))


@pytest.mark.parametrize(
    "rest",
    [
        "exec sleep 1000",
        "exec >&-; exec sleep 1000",
        "exec <&- >&-; exec sleep 1000",
        "exec sleep 1000 | cat",
        "sleep 1000 &",
    ],
)
def test_an_interrupt_ends_a_worker_whatever_its_command_does(
    server: Server, peer: Peer, rest: str
) -> None:
    text = f"echo $$; {rest}"
    with script(server, "interrupted", text, "-n") as program:
        handle = submit(peer, "interrupted", b"x" * 1_000_000)
        assert peer.expect("WORK_DATA")[0] == handle
        program.process.send_signal(signal.SIGINT)
        assert program.process.wait(servers.DEADLINE) == 130
        # The processes that the command has left running are in the same group.
        with suppress(ProcessLookupError):
            os.killpg(program.process.pid, signal.SIGKILL)
    until(lambda: handle + b"\t1\t0\t0" in peer.ask_list(b"show jobs"))
    peer.ask(b"cancel job " + handle)


def test_nobody_reading_the_data_ends_the_worker(
    server: Server, peer: Peer, tmp_path: Path
) -> None:
    status = tmp_path / "status"
    command = our_tool("gearman", server, "-w", "-f", "piped")
    pipeline = '{ "$@"; echo $? > "$0"; } | head -1'

    def has_ended() -> str:
        # `head` may take a while to end.
        if not status.exists():
            peer.request("SUBMIT_JOB_BG", b"piped", b"", b"line\n")
        return status.read_text() if status.exists() else ""

    with Program("sh", "-c", pipeline, str(status), *command) as program:
        assert until(has_ended) == "141\n"
        assert program.rest() == "line\n"


def test_a_daemon_goes_on_after_the_command_has_returned(
    server: Server, peer: Peer, tmp_path: Path
) -> None:
    pid_file = tmp_path / "pid"
    options = ["-d", "-c", "1", "-i", str(pid_file), "-f", "daemon"]
    said = gearman(server, "-w", *options, "--", "cat")
    assert (said.status, said.out, said.err) == (0, b"", "")
    until(lambda: pid_file.exists() and pid_file.read_text())
    handle = submit(peer, "daemon", b"data")
    assert peer.receive() == Packet("WORK_COMPLETE", handle + b"\0data")
    until(lambda: not pid_file.exists())


def test_a_daemon_that_cannot_work_says_so(server: Server, tmp_path: Path) -> None:
    said = gearman(server, "-w", "-d", "-f", "f", "--", str(tmp_path / "missing"))
    assert said.status == 1
    assert "cannot be run: no such program" in said.err
