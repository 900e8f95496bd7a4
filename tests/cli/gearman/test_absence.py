"""Finding out whether a function has a worker."""

import socket

from gearman.cli.gearman.absence import without_worker
from tests.servers import HOST, Server
from tests.wire import Peer


def test_a_function_with_jobs_and_without_worker_is_told(
    server: Server, peer: Peer
) -> None:
    peer.request("SUBMIT_JOB_BG", b"lonely", b"", b"data")
    peer.request("SUBMIT_JOB_BG", b"h\xc3\xa9", b"", b"data")
    asked = [b"lonely", b"h\xc3\xa9"]
    assert without_worker((HOST, server.port), asked) == ["lonely", "hé"]


def test_a_function_that_has_a_worker_is_not_told(server: Server, peer: Peer) -> None:
    peer.request("SUBMIT_JOB_BG", b"served", b"", b"data")
    peer.send("CAN_DO", b"served")
    peer.fence()
    assert without_worker((HOST, server.port), [b"served"]) == []


def test_nothing_is_told_of_a_function_that_the_server_does_not_list(
    server: Server,
) -> None:
    assert without_worker((HOST, server.port), [b"unheard-of"]) == []


def test_nothing_is_told_without_an_answer() -> None:
    with socket.create_server((HOST, 0)) as listening:
        address = listening.getsockname()
        assert without_worker(address, [b"f"]) == []
    assert without_worker(address, [b"f"]) == []
