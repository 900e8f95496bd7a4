"""The command-line tools of C gearman: `gearman` in both roles, and `gearadmin`."""

import re

import pytest

from tests import servers
from tests.interop.programs import Program, c_tool, run, take_job
from tests.servers import Server, until
from tests.wire import Peer


def gearman(server: Server, *words: str, status: int = 0, stdin: str = "") -> str:
    command = c_tool("gearman", server, *words)
    return run(*command, status=status, stdin=stdin)


def gearadmin(server: Server, *words: str) -> str:
    return run(*c_tool("gearadmin", server, *words))


def c_worker(server: Server, *words: str) -> Program:
    return Program(*c_tool("gearman", server, "-w", *words))


def test_standard_input_is_one_workload(server: Server) -> None:
    with c_worker(server, "-f", "cat", "--", "cat"):
        assert gearman(server, "-f", "cat", stdin="one\ntwo\n") == "one\ntwo\n"


def test_each_argument_is_a_job(server: Server) -> None:
    with c_worker(server, "-f", "f", "--", "sed", "s/.*/<&>/"):
        assert gearman(server, "-f", "f", "one", "two") == "<one><two>"


def test_each_line_is_a_job(server: Server) -> None:
    with c_worker(server, "-f", "f", "--", "wc", "-c"):
        assert gearman(server, "-n", "-f", "f", stdin="a\nbb\n") == "2\n3\n"
        assert gearman(server, "-N", "-f", "f", stdin="a\nbb\n") == "1\n2\n"


def test_an_empty_workload_is_sent_without_standard_input(server: Server) -> None:
    with c_worker(server, "-f", "f", "--", "wc", "-c"):
        assert gearman(server, "-s", "-f", "f") == "0\n"


def test_results_are_prefixed_with_their_function(server: Server) -> None:
    with c_worker(server, "-f", "f", "-f", "g", "--", "cat"):
        said = gearman(server, "-P", "-f", "f", "-f", "g", "one")
    assert said in ("f: oneg: one", "g: onef: one")


def test_every_event_is_shown(server: Server) -> None:
    with Peer(server.port) as worker:
        worker.send("CAN_DO", b"f")
        with Program(*c_tool("gearman", server, "-f", "f", "work")) as client:
            handle = take_job(worker)[0]
            worker.send("WORK_STATUS", handle, b"1", b"4")
            worker.send("WORK_WARNING", handle, b"careful\n")
            worker.send("WORK_DATA", handle, b"part\n")
            worker.send("WORK_COMPLETE", handle, b"end\n")
            shown = client.rest().splitlines()
    # The tool holds the status back until it ends.
    assert shown == ["careful", "part", "end", "25% Complete"]


def test_an_exception_is_a_failure() -> None:
    # C gearmand's NUL after the handle makes this client wait for ever.
    with servers.ours() as server, Peer(server.port) as worker:
        worker.send("CAN_DO", b"f")
        with Program(*c_tool("gearman", server, "-f", "f", "work")) as client:
            worker.send("WORK_EXCEPTION", take_job(worker)[0], b"boom\n")
            assert client.rest() == "Job failed\n"
            assert client.process.returncode == 1


@pytest.mark.parametrize(
    ("options", "priority"), [([], "normal"), (["-I"], "high"), (["-L"], "low")]
)
def test_a_background_job_is_queued_with_its_priority_and_unique(
    server: Server, options: list[str], priority: str
) -> None:
    said = gearman(server, "-b", "-v", *options, "-u", "key", "-f", "f", "work")
    handle = said.removeprefix("Task created: ").strip()
    counts = {"high": "1\t0\t0", "normal": "0\t1\t0", "low": "0\t0\t1"}
    assert gearadmin(server, "--priority-status") == f"f\t{counts[priority]}\t0\n.\n"
    with Peer(server.port) as worker:
        worker.send("CAN_DO", b"f")
        assert take_job(worker) == [handle.encode(), b"f", b"key", b"work"]


def test_a_worker_sends_its_lines_as_data(server: Server) -> None:
    with Peer(server.port) as client:
        client.send("SUBMIT_JOB", b"f", b"", b"")
        handle = client.expect("JOB_CREATED")[0]
        with c_worker(server, "-n", "-c", "1", "-f", "f", "--", "echo", "one") as done:
            assert client.expect("WORK_DATA") == [handle, b"one\n"]
            assert client.expect("WORK_COMPLETE")[0] == handle
            done.rest()
            assert done.process.returncode == 0


def test_a_worker_without_a_command_writes_workloads(server: Server) -> None:
    with c_worker(server, "-f", "f") as worker:
        assert gearman(server, "-f", "f", "line\n") == ""
        assert worker.line() == "line"


def test_the_server_tells_about_itself(server: Server) -> None:
    assert re.fullmatch(r"\d+\.\d+.*\n", gearadmin(server, "--server-version"))
    assert re.fullmatch("[A-Z]+\n", gearadmin(server, "--server-verbose"))
    assert gearadmin(server, "--getpid") == f"{server.process.pid}\n"


def test_jobs_and_workers_are_listed(server: Server) -> None:
    handle = gearman(server, "-b", "-v", "-u", "key", "-f", "f", "work").split()[-1]
    with Peer(server.port) as worker:
        worker.send("SET_CLIENT_ID", b"me")
        worker.send("CAN_DO", b"f")
        worker.fence()
        assert gearadmin(server, "--status") == "f\t1\t0\t1\n.\n"
        assert " me : f\n" in gearadmin(server, "--workers")
    assert gearadmin(server, "--show-jobs") == f"{handle}\t0\t0\t1\n.\n"
    assert gearadmin(server, "--show-unique-jobs") == "key\n.\n"


def test_functions_are_created_and_dropped(server: Server) -> None:
    assert gearadmin(server, "--create-function", "f") == "OK\n"
    assert gearadmin(server, "--status") == "f\t0\t0\t0\n.\n"
    assert gearadmin(server, "--drop-function", "f") == "OK\n"
    assert gearadmin(server, "--status") == ".\n"
    refused = gearadmin(server, "--drop-function", "f")
    assert refused == "Error: function not found\r\n"


def test_a_job_is_cancelled(server: Server) -> None:
    with Program(*c_tool("gearman", server, "-f", "f", "work")) as client:
        with Peer(server.port) as peer:
            jobs = until(lambda: peer.ask_list(b"show jobs"))
        handle = jobs[0].split(b"\t")[0].decode()
        assert gearadmin(server, "--cancel-job", handle) == "OK\n"
        assert client.rest() == "Job failed\n"
    refused = gearadmin(server, "--cancel-job", "H:nobody:1")
    assert refused == "Error: UNKNOWN_JOB\r\n"
