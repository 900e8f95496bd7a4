"""The end of a connection, after which no data of it may be left."""

import os
import socket
import struct
import weakref
from typing import Any

import pytest

from gearman.server.connections import connection, lingering
from gearman.server.connections.members import Member
from gearman.server.connections.streams.stream import StreamConnection
from gearman.server.net.engine import Engine
from gearman.server.settings.config import parse
from tests.certificates import Authority
from tests.server.net.test_listener import Running, run
from tests.servers import HOST
from tests.wire import Peer, packet

REQUESTS = {
    "gear": packet("SUBMIT_JOB", b"f", b"", b"w"),
    "http": b"POST /f HTTP/1.1\r\nHost: h\r\nX-Gearman-Background: 1\r\n"
    b"Content-Length: 1\r\n\r\nw",
    "memcached": b"set f 0 0 1\r\nw\r\n",
}


@pytest.fixture(params=["asyncio", "engine", "tls"])
def way(request: pytest.FixtureRequest) -> str:
    """The kind of connection: asyncio's or the engine's."""
    return str(request.param)


@pytest.fixture
def authority(way: str, tmp_path) -> Authority | None:
    return Authority(tmp_path) if way == "tls" else None


@pytest.fixture
def server(way: str, authority: Authority | None):
    if way == "engine" and Engine is None:
        pytest.skip("the engine is not built")
    words = [f"@{os.devnull}", "-L", HOST, "-p", "0", "-r", "http", "-r", "memcached"]
    words += ["--http-port=0", "--memcached-port=0", "--max-packet=10M"]
    words += authority.options() if authority else []
    with run(parse(words, {}), engine=way == "engine") as server:
        yield server


def connect(server: Running, authority: Authority | None, protocol: str) -> Peer:
    """Return a connection to the port of a protocol."""
    addresses = [server.addresses[0], *server.others]
    host, port = addresses[list(REQUESTS).index(protocol)][:2]
    return Peer(port, host, authority.trust() if authority else None)


def waits(connection: Any) -> bool:
    """Whether there is output that the peer has not accepted."""
    return bool(connection._transport.get_write_buffer_size())


# Output of this size waits without blocking the peer.
PIECE = 16 * 1024

# Input that each protocol refuses by closing, with the beginning of the answer.
LARGE = 8 * 1024 * 1024
REFUSED = {
    "what is no packet": ("gear", b"version\n\0REX" + bytes(LARGE), b"OK "),
    "a line": ("gear", b"version\n" + b"x" * LARGE, b"OK "),
    "words": ("gear", b"version\n1 2 3 4 5 6\n" + b"x\n" * (LARGE // 2), b"OK "),
    "a head": ("http", b"GET /" + b"x" * LARGE, b"HTTP/1.1 431 "),
    "no request": ("http", b"\n" + b"x" * LARGE, b"HTTP/1.1 400 "),
    "a body": (
        "http",
        b"POST /f HTTP/1.1\r\nHost: h\r\nContent-Length: %d\r\n\r\n" % (2 * LARGE)
        + bytes(2 * LARGE),
        b"HTTP/1.1 413 ",
    ),
    "a key": ("memcached", b"get " + b"x" * LARGE, b"CLIENT_ERROR line too long"),
    "a size": ("memcached", b"set f 0 0 x\r\n" + bytes(LARGE), b"CLIENT_ERROR bad"),
}


class TestEnd:
    @pytest.mark.parametrize("case", REFUSED)
    def test_last_answer_arrives_whatever_the_peer_still_sends(
        self, server: Running, authority: Authority | None, case: str
    ) -> None:
        protocol, data, answer = REFUSED[case]
        for _ in range(5):
            with connect(server, authority, protocol) as peer:
                peer.send_bytes(data)
                assert peer.receive_end().startswith(answer)
        server.until(lambda: not server.listener.connections)

    def test_jobs_of_a_worker_do_not_wait_for_its_end(
        self, server: Running, authority: Authority | None
    ) -> None:
        with (
            connect(server, authority, "gear") as worker,
            connect(server, authority, "gear") as other,
        ):
            other.send("SUBMIT_JOB_BG", b"f", b"", b"")
            (handle,) = other.expect("JOB_CREATED")
            worker.send("CAN_DO", b"f")
            worker.send("GRAB_JOB")
            assert worker.expect("JOB_ASSIGN")[0] == handle
            worker.send_bytes(packet(43))
            assert worker.receive_end() == b""
            other.send("CAN_DO", b"f")
            other.send("GRAB_JOB")
            assert other.expect("JOB_ASSIGN")[0] == handle
            worker.send_bytes(b"still here")
            assert len(other.ask_list(b"workers")) == 1

    def test_peer_that_does_not_close_is_cut_off_after_a_time(
        self, server: Running, authority: Authority | None, monkeypatch
    ) -> None:
        monkeypatch.setattr(connection, "LINGER_TIME", 0.0)
        with connect(server, authority, "gear") as peer:
            peer.fence()
            peer.send_bytes(packet(43))
            server.until(lambda: not server.listener.connections)

    def test_peer_that_sends_on_is_cut_off_after_so_many_bytes(
        self, server: Running, authority: Authority | None, monkeypatch
    ) -> None:
        monkeypatch.setattr(connection, "LINGER_BYTES", 100)
        with connect(server, authority, "gear") as peer:
            peer.send_bytes(packet(43))
            assert peer.receive_end() == b""
            peer.socket.sendall(b"x" * 101)
            server.until(lambda: not server.listener.connections)

    def test_first_one_is_cut_off_for_one_too_many(
        self, server: Running, authority: Authority | None, monkeypatch
    ) -> None:
        monkeypatch.setattr(lingering, "LINGERING", 2)
        peers = [connect(server, authority, "gear") for _ in range(4)]
        for peer in peers:
            peer.send_bytes(packet(43))
            assert peer.receive_end() == b""
        server.until(lambda: len(server.listener.connections) == 2)
        for peer in peers:
            peer.close()
        server.until(lambda: not server.listener.connections)

    def test_result_that_comes_with_the_end_of_its_client_is_sent_before_the_end(
        self, server: Running, authority: Authority | None
    ) -> None:
        with (
            connect(server, authority, "gear") as client,
            connect(server, authority, "gear") as worker,
        ):
            client.send("SUBMIT_JOB", b"f", b"", b"")
            (handle,) = client.expect("JOB_CREATED")
            worker.send("CAN_DO", b"f")
            worker.send("GRAB_JOB")
            worker.expect("JOB_ASSIGN")
            # Both are there in the next round.
            with server.standing_still():
                worker.send("WORK_COMPLETE", handle, b"result")
                socket.socket.shutdown(client.socket, socket.SHUT_WR)
            assert client.expect("WORK_COMPLETE") == [handle, b"result"]
            assert client.receive_end() == b""

    def test_peer_that_takes_nothing_more_is_cut_off(
        self, server: Running, authority: Authority | None, monkeypatch
    ) -> None:
        monkeypatch.setattr(connection, "LINGER_TIME", 0.0)
        with (
            connect(server, authority, "gear") as peer,
            connect(server, authority, "gear") as worker,
        ):
            peer.send("SUBMIT_JOB", b"f", b"", b"")
            (handle,) = peer.expect("JOB_CREATED")
            worker.send("CAN_DO", b"f")
            worker.send("GRAB_JOB")
            assert worker.expect("JOB_ASSIGN")[0] == handle
            connections = server.listener.connections
            waiting: list[bool] = []
            while not any(waiting):
                worker.send("WORK_DATA", handle, bytes(PIECE))
                worker.fence()
                server.call(lambda: waiting.extend(map(waits, connections)))
            peer.send_bytes(packet(43))
            server.until(lambda: len(connections) == 1)
            assert len(worker.ask_list(b"workers")) == 1


HEAD = b" HTTP/1.1\r\nHost: localhost\r\n"

# What peers send before they hang up, with the protocol; each is answered.
SENT = {
    **{protocol: (protocol, data) for protocol, data in REQUESTS.items()},
    "a worker that sleeps": (
        "gear",
        packet("CAN_DO", b"g") + packet("PRE_SLEEP") + packet("ECHO_REQ", b""),
    ),
    "a worker that has a job": (
        "gear",
        packet("SUBMIT_JOB_BG", b"f", b"", b"")
        + packet("CAN_DO", b"f")
        + packet("GRAB_JOB"),
    ),
    "a part of a packet": (
        "gear",
        packet("ECHO_REQ", b"") + packet("SUBMIT_JOB", b"f", b"", b"work")[:-2],
    ),
    "an unknown packet": ("gear", b"version\n" + packet(43)),
    "what is no packet": ("gear", b"version\n\0REX" + bytes(100)),
    "a line that is too long": ("gear", b"version\n" + b"x" * 100_000),
    "a list": ("gear", b"show jobs\n"),
    "a wish for events": ("gear", b"version\nwatch events\n"),
    "no HTTP": ("http", b"\n"),
    "a head that h11 refuses": ("http", b"GET /" + HEAD + b"a b: c\r\n\r\n"),
    "a chunk that h11 refuses": (
        "http",
        b"POST /f" + HEAD + b"Transfer-Encoding: chunked\r\n\r\nz\r\n",
    ),
    "a size that is none": ("memcached", b"set f 0 0 x\r\n"),
}


def traces(connection: Member) -> list[weakref.ref[object]]:
    """Return references to the objects of a connection that do not keep them."""
    objects = [connection, connection.peer, connection.protocol]
    if isinstance(connection, StreamConnection):
        objects += [connection._spoken, connection._transport._transport]
    return [weakref.ref(each) for each in objects]


@pytest.mark.usefixtures("no_collector")
@pytest.mark.parametrize("case", SENT)
def test_connection_is_freed_without_the_collector(
    server: Running, authority: Authority | None, case: str
) -> None:
    protocol, data = SENT[case]
    peers = [connect(server, authority, protocol) for _ in range(3)]
    for peer in peers:
        peer.send_bytes(data)
        assert peer.socket.recv(1)
    left: list[weakref.ref[object]] = []

    def look() -> None:
        for each in server.listener.connections:
            left.extend(traces(each))

    server.call(look)
    assert len(left) >= 3 * len(peers)
    for peer in peers:
        peer.close()
    server.until(lambda: not any(one() for one in left))


@pytest.mark.usefixtures("no_collector")
def test_connection_that_the_peer_resets_is_freed_without_the_collector(
    server: Running, authority: Authority | None
) -> None:
    peer = connect(server, authority, "gear")
    assert peer.fence() == []
    left: list[weakref.ref[object]] = []
    server.call(lambda: left.extend(*map(traces, server.listener.connections)))
    linger = struct.pack("ii", 1, 0)
    peer.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
    peer.close()
    server.until(lambda: not any(one() for one in left))
