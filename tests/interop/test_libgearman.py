"""Features of libgearman that the tools lack: epochs, status by unique, reducers."""

from typing import Any

import pytest

from tests import servers
from tests.interop.programs import Program, compiled, run, worker
from tests.servers import Server, until
from tests.wire import Peer

FAR_FUTURE = "4000000000"


@pytest.fixture(scope="module")
def features(tmp_path_factory: pytest.TempPathFactory) -> str:
    return compiled(tmp_path_factory.mktemp("features"))


def test_a_job_for_the_future_waits(server: Server, features: str) -> None:
    port = str(server.port)
    handle = run(features, "epoch", port, "f", "key", "work", FAR_FUTURE).strip()
    assert run(features, "status", port, "key") == "1 0 0 0\n"
    with Peer(server.port) as peer:
        peer.send("CAN_DO", b"f")
        assert peer.request("GRAB_JOB").name == "NO_JOB"
        assert peer.ask_list(b"show jobs") == [handle.encode() + b"\t0\t0\t1"]


def test_a_job_for_the_past_runs_at_once(server: Server, features: str) -> None:
    handle = run(features, "epoch", str(server.port), "f", "key", "work", "1").strip()
    with Peer(server.port) as peer:
        peer.send("CAN_DO", b"f")
        peer.send("GRAB_JOB_UNIQ")
        assigned = [handle.encode(), b"f", b"key", b"work"]
        assert peer.expect("JOB_ASSIGN_UNIQ") == assigned


def test_the_status_of_a_unique_tells_how_far_its_job_is(
    server: Server, features: str
) -> None:
    port = str(server.port)
    assert run(features, "status", port, "key") == "0 0 0 0\n"
    with Peer(server.port) as peer:
        peer.send("SUBMIT_JOB_BG", b"f", b"key", b"work")
        handle = peer.expect("JOB_CREATED")[0]
        peer.send("CAN_DO", b"f")
        peer.request("GRAB_JOB")
        peer.send("WORK_STATUS", handle, b"2", b"7")
        peer.fence()
        assert run(features, "status", port, "key") == "1 1 2 7\n"


def test_a_worker_divides_a_job_and_joins_the_results(
    server: Server, features: str
) -> None:
    port = str(server.port)
    with worker("php", server, "upper"), Program(features, "divide", port, "words"):
        result = run(features, "reduce", port, "words", "upper", "one two three")
    assert result == "THREETWOONE\n"


def test_the_id_of_a_worker_is_listed(server: Server, features: str) -> None:
    with Peer(server.port) as peer, Program(features, "divide", str(server.port), "f"):
        peer.send("SUBMIT_REDUCE_JOB", b"f", b"", b"nobody", b"", b"word")
        peer.expect("JOB_CREATED")
        (line,) = until(
            lambda: [w for w in peer.ask_list(b"workers") if w.endswith(b" : f")]
        )
    assert line.split()[2] == b"divider"


@pytest.mark.parametrize("run_server", [servers.gearmand, servers.ours])
@pytest.mark.parametrize("attempts", [1, 2, 10])
class TestRetries:
    """`-j` is the number of attempts of a job whose workers are lost."""

    def test_job_has_failed_after_so_many_attempts(
        self, run_server: Any, features: str, attempts: int
    ) -> None:
        with run_server("-j", str(attempts)) as server:
            port = str(server.port)
            with Program(features, "stumble", port, "f", "99") as stumbling:
                said = run(features, "call", port, "f")
                lines = [stumbling.line() for _ in range(attempts)]
                stumbling.kill()
                assert lines == ["attempt"] * attempts
                assert stumbling.rest() == ""
        assert said == "GEARMAN_WORK_FAIL\n"

    def test_last_attempt_may_succeed(
        self, run_server: Any, features: str, attempts: int
    ) -> None:
        with run_server("-j", str(attempts)) as server:
            port = str(server.port)
            lost = str(attempts - 1)
            with Program(features, "stumble", port, "f", lost):
                assert run(features, "call", port, "f") == "done\n"
