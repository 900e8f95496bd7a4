"""What is left of a connection when it has ended: nothing."""

import gc
import os
import socket
import weakref
from collections.abc import Iterator

import pytest

from gearman.server.broker import Engine
from gearman.server.config import parse
from gearman.server.connection import EngineConnection
from tests.certificates import Authority
from tests.server.test_listener import Running, run
from tests.servers import DEADLINE, HOST
from tests.wire import packet

REQUESTS = {
    "gear": packet("SUBMIT_JOB", b"f", b"", b"w"),
    "http": b"POST /f HTTP/1.1\r\nHost: h\r\nX-Gearman-Background: 1\r\n"
    b"Content-Length: 1\r\n\r\nw",
    "memcached": b"set f 0 0 1\r\nw\r\n",
}


@pytest.fixture(params=["asyncio", "engine", "tls"])
def way(request: pytest.FixtureRequest) -> str:
    """How bytes go between a socket and the protocol."""
    return str(request.param)


@pytest.fixture
def authority(way: str, tmp_path) -> Authority | None:
    return Authority(tmp_path) if way == "tls" else None


@pytest.fixture
def server(way: str, authority: Authority | None):
    if way == "engine" and Engine is None:
        pytest.skip("the engine is not built")
    words = [f"@{os.devnull}", "-L", HOST, "-p", "0", "-r", "http", "-r", "memcached"]
    words += ["--http-port=0", "--memcached-port=0"]
    words += authority.options() if authority else []
    with run(parse(words, {}), engine=way == "engine") as server:
        yield server


@pytest.fixture
def _no_collector() -> Iterator[None]:
    gc.disable()
    yield
    gc.enable()


@pytest.mark.usefixtures("_no_collector")
@pytest.mark.parametrize("protocol", REQUESTS)
def test_connection_is_freed_when_it_has_ended(
    server: Running, authority: Authority | None, protocol: str
) -> None:
    address = [server.addresses[0], *server.others][list(REQUESTS).index(protocol)]
    peer = socket.create_connection(address[:2], DEADLINE)
    if authority:
        peer = authority.trust().wrap_socket(peer, server_hostname=HOST)
    peer.sendall(REQUESTS[protocol])
    assert peer.recv(1)
    ended: list[weakref.ref[object]] = []
    protocols: list[weakref.ref[object]] = []

    def look() -> None:
        (connection,) = server.listener._connections
        ended.append(weakref.ref(connection))
        if not isinstance(connection, EngineConnection):
            protocols.append(weakref.ref(connection.protocol))

    server.call(look)
    peer.close()
    server.until(lambda: not any(one() for one in ended))
    # It may refer to itself.
    server.call(server.listener._upkeep.tidy)
    assert not any(one() for one in protocols)
