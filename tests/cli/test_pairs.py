"""Our `gearman` together with the C tool: as client, as worker, as both."""

from collections.abc import Iterator

import pytest

from tests import servers
from tests.cli.tools import Outcome, outcome, tool
from tests.interop.programs import Program, take_job
from tests.servers import Server
from tests.wire import Peer

pytestmark = pytest.mark.interop

PAIRS = [("c", "ours"), ("ours", "c"), ("ours", "ours")]


@pytest.fixture(scope="module", params=["gearmand", "ours"])
def server(request: pytest.FixtureRequest) -> Iterator[Server]:
    """A server of each kind."""
    run = {"gearmand": servers.gearmand, "ours": servers.ours}[request.param]
    with run() as running:
        yield running


@pytest.fixture(params=PAIRS, ids=lambda pair: f"{pair[0]}-client-{pair[1]}-worker")
def pair(request: pytest.FixtureRequest, server: Server) -> "Pair":
    return Pair(server, *request.param)


class Pair:
    """A client and a worker, each the C tool or ours."""

    def __init__(self, server: Server, client: str, worker: str) -> None:
        self.server = server
        self.kinds = client, worker

    def worker(self, *words: str) -> Program:
        return Program(*tool(self.kinds[1], "gearman", self.server, "-w", *words))

    def client(self, *words: str, stdin: bytes = b"") -> Outcome:
        return outcome(tool(self.kinds[0], "gearman", self.server, *words), stdin)


def test_a_result_arrives(pair: Pair) -> None:
    with pair.worker("-f", "upper", "--", "tr", "a-z", "A-Z"):
        assert pair.client("-f", "upper", "one", "two") == Outcome(0, b"ONETWO", "")
        assert pair.client("-n", "-f", "upper", stdin=b"a\nb\n").out == b"A\nB\n"


def test_a_failure_arrives(pair: Pair) -> None:
    with pair.worker("-f", "fail", "--", "false"):
        assert pair.client("-f", "fail", "x") == Outcome(1, b"", "Job failed\n")


def test_a_line_arrives_as_data(pair: Pair) -> None:
    with pair.worker("-n", "-f", "line", "--", "echo", "line"):
        said = pair.client("-P", "-f", "line", "x")
        assert said == Outcome(0, b"line: line\nline: ", "")


def test_background_jobs_run_by_their_priority(pair: Pair) -> None:
    for options, name in ((["-L"], "low\n"), ([], "normal\n"), (["-I"], "high\n")):
        said = pair.client("-b", *options, "-f", "ordered", name)
        assert said == Outcome(0, b"", "")
    with pair.worker("-c", "3", "-f", "ordered") as program:
        assert program.rest().split() == ["high", "normal", "low"]
        assert program.process.returncode == 0


def test_a_unique_key_arrives_and_joins_jobs(pair: Pair) -> None:
    for _ in range(2):
        assert pair.client("-b", "-u", "key", "-f", "keyed", "x").status == 0
    with Peer(pair.server.port) as worker:
        worker.send("CAN_DO", b"keyed")
        handle, *rest = take_job(worker)
        assert rest == [b"keyed", b"key", b"x"]
        worker.send("WORK_COMPLETE", handle, b"")
        assert worker.request("GRAB_JOB").name == "NO_JOB"


def test_warnings_of_the_command_stay_with_the_worker(pair: Pair) -> None:
    with pair.worker("-f", "warn", "--", "sh", "-c", "cat; echo careful >&2") as worker:
        assert pair.client("-f", "warn", "x") == Outcome(0, b"x", "")
        assert worker.line() == "careful"
