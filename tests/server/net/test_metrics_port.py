"""The port for monitoring of a real server: restarts, outages, draining, long lists."""

from dataclasses import replace
from http.client import HTTPConnection

import pytest

from gearman.errors import QueueError
from gearman.server.protocols.metrics.service import Metrics
from gearman.server.settings.config import Endpoint
from gearman.server.settings.protocols import ChosenProtocol
from gearman.server.storage.store import OUTAGE
from tests.server.net.test_listener import LOCAL, running
from tests.server.storage.slow_queue import Slow
from tests.servers import DEADLINE, HOST, until
from tests.wire import Peer

__all__ = ["running"]

MONITORED = replace(
    LOCAL,
    protocols=(ChosenProtocol("metrics", Metrics, (Endpoint(HOST, 0),), {}),),
)


def get(server, path: str) -> tuple[int, str]:
    """Ask on a new connection."""
    connection = HTTPConnection(HOST, server.others[0][1], timeout=DEADLINE)
    connection.request("GET", path)
    answer = connection.getresponse()
    body = answer.read().decode()
    connection.close()
    return answer.status, body


def value(server, sample: str) -> float:
    _, text = get(server, "/metrics")
    (line,) = [line for line in text.splitlines() if line.startswith(f"{sample} ")]
    return float(line.split()[-1])


def submit(peer: Peer) -> None:
    peer.send("SUBMIT_JOB", b"f", b"", b"w")
    peer.expect("JOB_CREATED")


def test_server_that_has_started_is_ready(running):
    with running(MONITORED) as server:
        assert get(server, "/healthz") == (200, "alive\n")
        assert get(server, "/readyz") == (200, "ready\n")
        # The connections before it may not be gone yet.
        until(lambda: value(server, "gearman_connections") == 1)
        assert value(server, "process_cpu_seconds_total") > 0


def test_start_time_tells_of_a_restart(running):
    with running(MONITORED) as server:
        first = value(server, "process_start_time_seconds")
        assert value(server, "process_start_time_seconds") == first
    with running(MONITORED) as server:
        assert value(server, "process_start_time_seconds") > first


def test_counters_begin_at_zero_after_a_restart(running):
    sample = 'gearman_jobs_total{function="f",event="submitted"}'
    for number in (3, 1):
        with running(MONITORED) as server, server.peer() as peer:
            for _ in range(number):
                submit(peer)
            assert value(server, sample) == number


def test_server_in_an_outage_lives_but_is_not_ready(running):
    queue = Slow()
    with running(MONITORED, queue=queue) as server, server.peer() as peer:
        assert value(server, "gearman_store_outage") == 0
        peer.send("SUBMIT_JOB_BG", b"f", b"", b"w")
        queue.call(QueueError("the disk is full"))
        queue.call(QueueError("the disk is full"))
        peer.expect("ERROR")
        status, text = get(server, "/readyz")
        assert (status, OUTAGE.decode() in text) == (503, True)
        assert get(server, "/healthz")[0] == 200
        assert value(server, "gearman_store_outage") == 1
        assert value(server, "gearman_store_failures_total") >= 1
        for _ in range(9):
            queue.results.put(None)


def test_draining_server_lives_but_is_not_ready(running):
    with running(MONITORED) as server, server.peer() as peer:
        submit(peer)
        server.call(server.listener.drain)
        assert get(server, "/healthz") == (200, "alive\n")
        status, text = get(server, "/readyz")
        assert (status, "shutting down" in text) == (503, True)
        assert value(server, "gearman_up") == 1
        # Gear's port is closed, as without metrics.
        with pytest.raises(ConnectionRefusedError):
            server.peer()


def test_other_peers_are_answered_while_nobody_reads_a_scrape(running):
    with running(MONITORED) as server, server.peer() as peer:
        for number in range(3000):
            peer.send("CAN_DO", b"f%d" % number)
        peer.fence()
        connection = HTTPConnection(HOST, server.others[0][1], timeout=DEADLINE)
        connection.request("GET", "/metrics")
        answer = connection.getresponse()
        peer.fence()
        assert answer.read().count(b"gearman_workers{") == 1001
        connection.close()
