"""HTTP as gearmand speaks it: the same requests get the same answers from both."""

from collections.abc import Iterator
from http.client import HTTPConnection

import pytest

from tests import servers
from tests.server.protocols.http.test_http import Worker
from tests.servers import DEADLINE, HOST
from tests.wire import Peer


@pytest.fixture(params=[pytest.param("gearmand", marks=pytest.mark.any_build), "ours"])
def port(request: pytest.FixtureRequest) -> Iterator[int]:
    """The HTTP port of a server with a worker: the C server, and then ours."""
    run = {"gearmand": servers.gearmand, "ours": servers.ours}[request.param]
    number = servers.free_port()
    words = ("-r", "http", "--http-port", str(number))
    with run(*words) as server, Peer(server.port) as peer:
        Worker(peer, lambda workload: workload[::-1])
        yield number


@pytest.mark.parametrize("method", ["GET", "POST", "PUT"])
@pytest.mark.parametrize(
    ("path", "headers", "command"),
    [
        ("/f", {}, "WORK_COMPLETE"),
        ("//f", {}, "WORK_COMPLETE"),
        ("/f", {"X-Gearman-Unique": "u"}, "WORK_COMPLETE"),
        ("/f", {"X-Gearman-Priority": "high"}, "WORK_COMPLETE"),
        ("/f", {"x-gearman-priority": "low"}, "WORK_COMPLETE"),
        ("/f", {"X-Gearman-Background": "true"}, "JOB_CREATED"),
    ],
)
def test_happy_path_is_the_same(port, method, path, headers, command):
    client = HTTPConnection(HOST, port, timeout=DEADLINE)
    body = None if method == "GET" else b"workload"
    client.request(method, path, body, headers)
    response = client.getresponse()
    data = response.read()
    client.close()
    assert response.status == 200
    assert response.headers["X-Gearman-Command"] == command
    assert response.headers["X-Gearman-Job-Handle"].startswith("H:")
    assert response.headers["Server"].startswith("Gearman/")
    assert response.headers["Content-Length"] == str(len(data))
    done = (body or b"")[::-1]
    assert data == (done if command == "WORK_COMPLETE" else b"")
