"""`-S`: TLS, with certificates that the environment names.

A proxy in front of the server does the server's side of it.
"""

import shutil
import socket
import ssl
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from threading import Thread

import pytest

from tests.cli.tools import Outcome, our_tool, outcome
from tests.servers import DEADLINE, HOST, Server, missing


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file with a certificate for the loopback address, and its key."""
    openssl = shutil.which("openssl") or missing("openssl")
    folder = tmp_path_factory.mktemp("certificate")
    key, path = folder / "key", folder / "pem"
    subprocess.run(
        [
            *(openssl, "req", "-x509", "-newkey", "ec", "-nodes", "-days", "2"),
            *("-pkeyopt", "ec_paramgen_curve:prime256v1", "-subj", f"/CN={HOST}"),
            *("-addext", f"subjectAltName=IP:{HOST}", "-keyout", key, "-out", path),
        ],
        check=True,
        capture_output=True,
        timeout=DEADLINE,
    )
    path.write_text(path.read_text() + key.read_text())
    return path


@pytest.fixture
def proxy(server: Server, certificate: Path) -> Iterator[int]:
    """The port of a listener that wants a certificate and passes on what it gets."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    context.load_verify_locations(certificate)
    context.verify_mode = ssl.CERT_REQUIRED
    with socket.create_server((HOST, 0)) as listening:
        listening.settimeout(DEADLINE)
        thread = Thread(target=_serve, args=(listening, context, server.port))
        thread.start()
        yield listening.getsockname()[1]
        thread.join(DEADLINE)


def _serve(listening: socket.socket, context: ssl.SSLContext, port: int) -> None:
    with suppress(OSError):
        peer = context.wrap_socket(listening.accept()[0], server_side=True)
        with peer, socket.create_connection((HOST, port), DEADLINE) as inside:
            back = Thread(target=_pass_on, args=(inside, peer))
            back.start()
            _pass_on(peer, inside)
            back.join(DEADLINE)


def _pass_on(source: socket.socket, target: socket.socket) -> None:
    with suppress(OSError):
        while data := source.recv(1 << 16):
            target.sendall(data)
        target.shutdown(socket.SHUT_WR)


def names(certificate: Path) -> dict[str, str]:
    return {
        "GEARMAN_CA_CERTIFICATE": str(certificate),
        "GEARMAN_CLIENT_PEM": str(certificate),
        "GEARMAN_CLIENT_KEY": str(certificate),
    }


def test_jobs_go_through_tls(proxy: int, certificate: Path) -> None:
    words = ["-S", "-h", HOST, "-p", str(proxy), "-b", "-f", "f", "data"]
    said = outcome(our_tool("gearman", None, *words), environment=names(certificate))
    assert said == Outcome(0, b"", "")


def test_admin_questions_go_through_tls(
    proxy: int, certificate: Path, server: Server
) -> None:
    words = ["-S", "-h", HOST, "-p", str(proxy), "--getpid"]
    said = outcome(our_tool("gearadmin", None, *words), environment=names(certificate))
    assert said == Outcome(0, f"{server.process.pid}\n".encode(), "")


def test_a_server_without_a_known_certificate_is_refused(proxy: int) -> None:
    words = ["-S", "-h", HOST, "-p", str(proxy), "-b", "-f", "f", "data"]
    said = outcome(our_tool("gearman", None, *words))
    assert said.status == 1
    assert f"cannot connect to {HOST}:{proxy} (TLS: " in said.err
    assert said.err.count("\n") == 1
