"""Servers for the tests of clients, and the library that this one replaces."""

import subprocess
from collections.abc import Iterator
from itertools import count

import pytest

import gearman
from tests import servers
from tests.client.python2.original import Original, find_original
from tests.servers import Server

_numbers = count()


@pytest.fixture(scope="session")
def original(pytestconfig: pytest.Config) -> Original:
    assert pytestconfig.cache is not None
    return find_original(pytestconfig.cache.mkdir("python-gearman-2.0.2"))


@pytest.fixture(
    scope="session",
    params=["ours", pytest.param("gearmand", marks=pytest.mark.interop)],
)
def server(request: pytest.FixtureRequest) -> Iterator[Server]:
    """A server that all tests share; each test has tasks of its own."""
    with servers.ours() if request.param == "ours" else servers.gearmand() as started:
        yield started


@pytest.fixture
def task() -> str:
    """The name of a task that no other test uses."""
    return f"task-{next(_numbers)}"


@pytest.fixture
def client(server: Server) -> Iterator[gearman.GearmanClient]:
    with gearman.GearmanClient([server.address]) as client:
        yield client


@pytest.fixture
def worker(server: Server) -> Iterator[gearman.GearmanWorker]:
    with gearman.GearmanWorker([server.address]) as worker:
        yield worker


@pytest.fixture
def admin(server: Server) -> Iterator[gearman.GearmanAdminClient]:
    with gearman.GearmanAdminClient([server.address]) as admin:
        yield admin


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """A self-signed certificate for localhost."""
    folder = tmp_path_factory.mktemp("certificate")
    key, certificate = str(folder / "key.pem"), str(folder / "certificate.pem")
    subprocess.run(
        [
            *("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes"),
            *("-keyout", key, "-out", certificate, "-days", "2"),
            *("-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"),
        ],
        check=True,
        capture_output=True,
    )
    return {"keyfile": key, "certfile": certificate, "ca_certs": certificate}
