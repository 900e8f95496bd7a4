"""Sockets that accept connections at times."""

import socket
from collections.abc import Iterator

import pytest

from gearman.server.net.sockets import listen, refuse
from tests.servers import DEADLINE, HOST


@pytest.fixture
def bound() -> Iterator[socket.socket]:
    with socket.create_server((HOST, 0), backlog=1) as sock:
        sock.settimeout(DEADLINE)
        yield sock


def serves(sock: socket.socket) -> bool:
    """Whether a connection to a listening socket gets an answer."""
    with socket.create_connection(sock.getsockname(), DEADLINE) as peer:
        accepted, _ = sock.accept()
        with accepted:
            peer.sendall(b"?")
            if accepted.recv(1) != b"?":
                return False
            accepted.sendall(b"!")
            return peer.recv(1) == b"!"


def test_socket_that_refuses_accepts_again(bound: socket.socket) -> None:
    assert serves(bound)
    refuse([bound])
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(bound.getsockname(), DEADLINE)
    listen([bound], 5)
    assert serves(bound)


def test_socket_that_refuses_twice_accepts_again(bound: socket.socket) -> None:
    refuse([bound])
    refuse([bound])
    listen([bound], 5)
    assert serves(bound)
