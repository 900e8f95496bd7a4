"""`gearman --result`: results of jobs that were submitted earlier."""

import pytest

from tests import servers
from tests.cli.tools import Outcome, gearman, our_tool
from tests.interop.programs import Program, take_job
from tests.servers import Server
from tests.wire import Peer


def submit(server: Server, function: str, *options: str) -> str:
    """Submit a job in the background, and return its handle."""
    said = gearman(server, "-v", "-b", *options, "-f", function, "data")
    assert said.status == 0
    return said.out.decode().split()[-1]


def kept(server: Server, peer: Peer, end: str, *arguments: bytes) -> str:
    """Have a job end, and return its handle."""
    handle = submit(server, "f", "--option", "keep=60")
    peer.send("CAN_DO", b"f")
    assert take_job(peer)[0] == handle.encode()
    peer.send(end, handle.encode(), *arguments)
    peer.fence()
    return handle


def test_a_kept_result_is_written(server: Server, peer: Peer) -> None:
    handle = kept(server, peer, "WORK_COMPLETE", b"\xffdone")
    for more in ([], ["--wait"], ["-t", "5000"]):
        said = gearman(server, "--result", handle, *more)
        assert said == Outcome(0, b"\xffdone", "")


def test_a_job_that_failed_has_a_reason(server: Server, peer: Peer) -> None:
    handle = kept(server, peer, "WORK_FAIL")
    assert gearman(server, "--result", handle) == Outcome(
        1, b"", "its worker sent WORK_FAIL\nJob failed\n"
    )


def test_an_exception_is_written_as_for_a_job(server: Server, peer: Peer) -> None:
    handle = kept(server, peer, "WORK_EXCEPTION", b"broken\n")
    said = gearman(server, "--result", handle)
    assert said == Outcome(1, b"", "broken\nJob failed\n")


def test_a_job_that_has_not_ended_is_an_error(server: Server) -> None:
    handle = submit(server, "lonely")
    for more in ([], ["--wait", "-t", "1000"]):
        said = gearman(server, "--result", handle, *more)
        text = f"gearman: the job {handle} has not ended: it is waiting\n"
        assert said == Outcome(1, b"", text)


def test_the_end_of_a_job_is_waited_for(server: Server, peer: Peer) -> None:
    handle = submit(server, "f", "--option", "keep=60")
    tool = our_tool("gearman", server, "--wait", "--result", handle)
    with Program(*tool) as program:
        peer.send("CAN_DO", b"f")
        job = take_job(peer)[0]
        peer.send("WORK_COMPLETE", job, b"done")
        assert program.rest() == "done"


def test_an_unknown_job_is_an_error(server: Server) -> None:
    assert gearman(server, "--result", "H:nobody:1") == Outcome(
        1, b"", "gearman: no server knows the job H:nobody:1, nor its result\n"
    )


@pytest.mark.interop
def test_another_server_keeps_no_results() -> None:
    with servers.gearmand() as other:
        said = gearman(other, "--result", "H:nobody:1")
        assert said.status == 1
        assert said.err.startswith(f"gearman: the server {other.address} cannot do")
