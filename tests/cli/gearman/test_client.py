"""The client mode of `gearman`, with a worker that the test controls."""

import re
import signal
import socket
from pathlib import Path

import pytest

from tests import servers
from tests.cli.tools import Outcome, Terminal, gearman, our_tool
from tests.interop.programs import Program, take_job
from tests.servers import Server
from tests.wire import Peer


def client(server: Server, *options: str) -> Program:
    return Program(*our_tool("gearman", server, *options))


def complete(worker: Peer, result: bytes = b"") -> list[bytes]:
    """Take a job, end it, and return it."""
    job = take_job(worker)
    worker.send("WORK_COMPLETE", job[0], result)
    return job


def test_standard_input_is_one_workload(server: Server, peer: Peer) -> None:
    peer.send("CAN_DO", b"f")
    with client(server, "-f", "f") as program:
        program.tell("one\ntwo")
        assert program.process.stdin
        program.process.stdin.close()
        assert complete(peer, b"done\n")[3] == b"one\ntwo\n"
        assert program.rest() == "done\n"


def test_jobs_run_in_the_background_with_their_priority(server: Server) -> None:
    for options in ([], ["-I"], ["-L"]):
        said = gearman(server, "-b", *options, "-f", "prioritised", "data")
        assert said == Outcome(0, b"", "")
    with Peer(server.port) as peer:
        rows = peer.ask_list(b"prioritystatus")
    assert b"prioritised\t1\t1\t1\t0" in rows


def test_that_jobs_wait_for_a_worker_is_told_once(server: Server, peer: Peer) -> None:
    with client(server, "-n", "-f", "lonely", "-f", "served") as program:
        peer.send("CAN_DO", b"served")
        program.tell("data")
        assert take_job(peer)[1] == b"served"
        assert program.line() == (
            f"gearman: no worker for lonely is connected to {server.address} yet;"
            " waiting for one"
        )
        program.process.send_signal(signal.SIGINT)
        assert program.rest() == ""


def test_data_is_written_as_it_comes(server: Server, peer: Peer) -> None:
    peer.send("CAN_DO", b"f")
    with client(server, "-P", "-f", "f", "data") as program:
        handle = take_job(peer)[0]
        peer.send("WORK_DATA", handle, b"part\n")
        assert program.line() == "f: part"
        peer.send("WORK_STATUS", handle, b"1", b"3")
        assert program.line() == "f: 33% Complete"
        peer.send("WORK_WARNING", handle, b"careful\n")
        assert program.line() == "f: careful"
        peer.send("WORK_COMPLETE", handle, b"end")
        assert program.rest() == "f: end"


def test_a_denominator_of_0_is_0_percent(server: Server, peer: Peer) -> None:
    peer.send("CAN_DO", b"f")
    with client(server, "-f", "f", "data") as program:
        handle = take_job(peer)[0]
        peer.send("WORK_STATUS", handle, b"5", b"0")
        peer.send("WORK_COMPLETE", handle, b"")
        assert program.rest() == "0% Complete\n"
    assert program.process.returncode == 0


def test_a_failed_job_is_status_1_and_the_next_one_runs(
    server: Server, peer: Peer
) -> None:
    peer.send("CAN_DO", b"f")
    with client(server, "-f", "f", "one", "two") as program:
        peer.send("WORK_FAIL", take_job(peer)[0])
        complete(peer, b"second")
        assert program.rest() == "Job failed\nsecond"
    assert program.process.returncode == 1


def test_an_exception_is_shown_and_a_failure(server: Server, peer: Peer) -> None:
    peer.send("CAN_DO", b"f")
    with client(server, "-f", "f", "data") as program:
        peer.send("WORK_EXCEPTION", take_job(peer)[0], b"boom")
        assert program.rest() == "boom\nJob failed\n"
    assert program.process.returncode == 1


def test_many_lines_are_under_way_at_once(server: Server, peer: Peer) -> None:
    peer.send("CAN_DO", b"f")
    with client(server, "-n", "-f", "f") as program:
        program.tell("one\ntwo\nthree")
        jobs = [take_job(peer) for _ in range(3)]
        assert [job[3] for job in jobs] == [b"one\n", b"two\n", b"three\n"]
        for job in reversed(jobs):
            peer.send("WORK_COMPLETE", job[0], b"<" + job[3])
        assert [program.line() for _ in jobs] == ["<one", "<two", "<three"]


def test_what_is_told_of_a_later_job_waits_for_the_first(
    server: Server, peer: Peer
) -> None:
    peer.send("CAN_DO", b"f")
    with client(server, "-f", "f", "one", "two") as program:
        first, second = take_job(peer)[0], take_job(peer)[0]
        peer.send("WORK_DATA", second, b"2")
        peer.send("WORK_DATA", first, b"1")
        peer.send("WORK_DATA", second, b"22")
        peer.send("WORK_COMPLETE", second, b"222\n")
        peer.fence()
        peer.send("WORK_COMPLETE", first, b"11\n")
        assert program.rest() == "111\n222222\n"


def test_a_line_is_sent_before_the_next_one_is_there(
    server: Server, peer: Peer
) -> None:
    peer.send("CAN_DO", b"f")
    with client(server, "-N", "-f", "f") as program:
        for word in ("one", "two"):
            program.tell(word)
            assert complete(peer, b"ok\n")[3] == word.encode()
            assert program.line() == "ok"


def test_a_last_line_without_its_end_is_whole(server: Server, peer: Peer) -> None:
    peer.send("CAN_DO", b"f")
    with client(server, "-N", "-f", "f") as program:
        assert program.process.stdin
        program.process.stdin.write(b"one\ntwo")
        program.process.stdin.close()
        assert [complete(peer)[3] for _ in range(2)] == [b"one", b"two"]


def test_a_long_line_is_one_job(server: Server, peer: Peer) -> None:
    peer.send("CAN_DO", b"f")
    with client(server, "-n", "-f", "f") as program:
        program.tell("x" * 200_000)
        assert complete(peer)[3] == b"x" * 200_000 + b"\n"


def test_jobs_with_a_key_follow_each_other(server: Server, peer: Peer) -> None:
    peer.send("CAN_DO", b"f")
    with client(server, "-u", "key", "-f", "f", "one", "two") as program:
        assert complete(peer, b"1")[2:] == [b"key", b"one"]
        assert complete(peer, b"2")[2:] == [b"key", b"two"]
        assert program.rest() == "12"


def test_a_full_queue_makes_jobs_wait_for_each_other(
    server: Server, peer: Peer
) -> None:
    assert peer.ask(b"create function full") == b"OK\r\n"
    assert peer.ask(b"maxqueue full 1") == b"OK\r\n"
    peer.send("CAN_DO", b"full")
    with client(server, "-f", "full", "one", "two", "three") as program:
        done = [complete(peer, b"ok\n")[3] for _ in range(3)]
        assert done == [b"one", b"two", b"three"]
        assert program.rest() == "ok\n" * 3
    assert program.process.returncode == 0


def test_a_job_that_is_refused_is_a_failure(server: Server, peer: Peer) -> None:
    peer.ask(b"create function none")
    peer.ask(b"maxqueue none 1")
    assert gearman(server, "-b", "-f", "none", "one").status == 0
    said = gearman(server, "-b", "-f", "none", "two")
    assert said == Outcome(
        1,
        b"",
        "gearman: the server refused a job for none: QUEUE_ERROR: Job queue is full\n",
    )


def test_no_news_in_time_is_a_failure(server: Server) -> None:
    said = gearman(server, "-t", "100", "-f", "nobody", "data")
    assert said.status == 1
    assert said.err.startswith("gearman: no news of the jobs within 0.1 seconds")


def test_a_server_that_is_not_there_is_a_failure() -> None:
    port = servers.free_port()
    said = gearman(None, "-h", servers.HOST, "-p", str(port), "-f", "f", "data")
    assert said.status == 1
    assert said.err == (
        f"gearman: cannot connect to 127.0.0.1:{port} (Connection refused): start a"
        " job server there, or name another one\n"
    )


def test_a_lost_server_is_a_failure() -> None:
    with servers.ours() as server, Peer(server.port) as worker:
        worker.send("CAN_DO", b"f")
        with client(server, "-f", "f", "data") as program:
            take_job(worker)
            server.process.kill()
            assert program.rest() == (
                f"gearman: the connection to {server.address} was lost before 1 job(s)"
                " had ended\n"
            )
    assert program.process.returncode == 1


def test_a_lost_server_between_two_lines_is_none() -> None:
    port = servers.free_port()
    with servers.ours(port=port) as server:
        program = client(server, "-N", "-f", "f")
        with Peer(port) as worker:
            worker.send("CAN_DO", b"f")
            program.tell("one")
            complete(worker, b"1\n")
            assert program.line() == "1"
    with program, servers.ours(port=port), Peer(port) as worker:
        worker.send("CAN_DO", b"f")
        program.tell("two")
        assert complete(worker, b"2\n")[3] == b"two"
        assert program.line() == "2"


def test_jobs_go_to_the_first_server_that_is_there(server: Server, peer: Peer) -> None:
    listed = f"127.0.0.1:{servers.free_port()},{server.address}"
    command = our_tool("gearman", None, "-f", "f", "data")
    peer.send("CAN_DO", b"f")
    with Program("env", f"GEARMAN_SERVER={listed}", *command) as program:
        complete(peer, b"found")
        assert program.rest() == "found"


def test_a_pid_file_is_there_while_it_runs(
    server: Server, peer: Peer, tmp_path: Path
) -> None:
    pid_file = tmp_path / "pid"
    peer.send("CAN_DO", b"f")
    with client(server, "-i", str(pid_file), "-f", "f", "data") as program:
        handle = take_job(peer)[0]
        assert pid_file.read_text() == f"{program.process.pid}\n"
        peer.send("WORK_COMPLETE", handle, b"")
        assert program.rest() == ""
    assert not pid_file.exists()


def test_a_daemon_sends_the_lines_it_is_given(server: Server, peer: Peer) -> None:
    peer.send("CAN_DO", b"daemon")
    said = gearman(server, "-d", "-n", "-f", "daemon", stdin=b"one\ntwo\n")
    assert said == Outcome(0, b"", "")
    assert [complete(peer)[3] for _ in range(2)] == [b"one\n", b"two\n"]


def test_something_else_than_a_job_server_is_a_failure() -> None:
    with socket.create_server((servers.HOST, 0)) as listening:
        port = str(listening.getsockname()[1])
        words = ["-h", servers.HOST, "-p", port, "-f", "f", "data"]
        with Program(*our_tool("gearman", None, *words)) as program:
            with listening.accept()[0] as peer:
                peer.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")
                said = program.rest()
            assert said.startswith("gearman: the server does not speak Gearman's")
            assert said.count("\n") == 1
            assert program.process.returncode == 1


@pytest.mark.parametrize("options", [["-n"], ["-n", "-b"]])
def test_progress_is_shown_on_a_terminal_and_taken_away(
    server: Server, peer: Peer, tmp_path: Path, options: list[str]
) -> None:
    lines, results = tmp_path / "lines", tmp_path / "results"
    lines.write_text("a\nb\n")
    peer.send("CAN_DO", b"f")
    command = our_tool("gearman", server, *options, "-f", "f")
    with Terminal(command, str(lines), str(results)) as terminal:
        jobs = [complete(peer, b"ok\n") for _ in range(2)]
        terminal.until(r"\[[#-]+\] +\d+%  \d+ jobs")
        assert terminal.rest().endswith("\r\x1b[K")
    assert [job[3] for job in jobs] == [b"a\n", b"b\n"]
    assert results.read_text() == ("" if "-b" in options else "ok\nok\n")


def test_progress_stands_below_results_on_the_same_terminal(
    server: Server, peer: Peer, tmp_path: Path
) -> None:
    lines = tmp_path / "lines"
    lines.write_text("a\nb\n")
    peer.send("CAN_DO", b"f")
    command = our_tool("gearman", server, "-n", "-f", "f")
    with Terminal(command, str(lines)) as terminal:
        complete(peer, b"one\n")
        terminal.until(r"one\r\n\r\x1b\[K\[#+-+\]  50%  1 jobs")
        complete(peer, b"two\n")
        shown = terminal.rest()
    assert re.search(r"\r\x1b\[Ktwo\r\n", shown)


def test_no_progress_is_shown_without_a_terminal(
    server: Server, peer: Peer, tmp_path: Path
) -> None:
    lines = tmp_path / "lines"
    lines.write_text("a\n")
    said = gearman(server, "-n", "-b", "-f", "unshown", stdin=b"a\nb\n")
    assert said == Outcome(0, b"", "")


def test_jobs_are_submitted_with_their_options(server: Server, peer: Peer) -> None:
    peer.send("CAN_DO", b"f")
    options = "--option", "retries=1", "--option", "backoff=fixed:0"
    with client(server, "-n", *options, "-f", "f") as program:
        program.tell("one\ntwo")
        assert program.process.stdin
        program.process.stdin.close()
        peer.send("WORK_FAIL", take_job(peer)[0])
        results = [complete(peer, b"done\n")[3] for _ in range(2)]
        assert sorted(results) == [b"one\n", b"two\n"]
        assert program.rest() == "done\ndone\n"


def test_a_delayed_job_waits(server: Server) -> None:
    said = gearman(server, "-b", "--delay", "3600", "-f", "delayed", "data")
    assert said == Outcome(0, b"", "")
    with Peer(server.port) as peer:
        peer.send("CAN_DO", b"delayed")
        assert peer.request("GRAB_JOB_UNIQ").name == "NO_JOB"


@pytest.mark.interop
def test_a_server_without_an_option_gets_no_job() -> None:
    with servers.gearmand() as other:
        said = gearman(other, "--option", "ttl=5", "-f", "f", "one", "two")
        text = f"gearman: the server {other.address} cannot do this: ttl\n"
        assert said == Outcome(1, b"", text)
        delayed = gearman(other, "-b", "--delay", "5", "-f", "f", "one", "two")
        assert delayed == Outcome(0, b"", "")
        with Peer(other.port) as peer:
            assert peer.ask_list(b"status") == [b"f\t2\t0\t0"]
