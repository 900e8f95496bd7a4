"""The units for systemd are valid, and keep the server from what it does not need.

systemd does not run here, so the units are only checked.
"""

import socket
import subprocess
import sys
from http.client import HTTPConnection
from pathlib import Path

import pytest

from tests import servers
from tests.wire import Peer

CONTRIB = Path(__file__).resolve().parents[2] / "contrib"
UNIT = CONTRIB / "gearmand.service"
SOCKET = CONTRIB / "gearmand.socket"
# What systemd calls the exposure of a unit, from 0 to 100.
MOST_EXPOSURE = 20

pytestmark = [pytest.mark.interop, pytest.mark.any_build]


@pytest.fixture
def unit(tmp_path: Path) -> Path:
    """Return the unit with a program that is here."""
    text = UNIT.read_text()
    program = "/opt/gearman-py/bin/gearmand "
    assert text.count(program) == 1
    path = tmp_path / UNIT.name
    path.write_text(text.replace(program, f"{sys.executable} -m gearman.server "))
    return path


def test_unit_is_valid(unit: Path) -> None:
    program = servers.foreign("systemd-analyze")
    done = subprocess.run(
        [program, "verify", "--man=no", unit], capture_output=True, text=True
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_socket_is_valid(unit: Path) -> None:
    program = servers.foreign("systemd-analyze")
    path = unit.with_name(SOCKET.name)
    path.write_text(SOCKET.read_text())
    done = subprocess.run(
        [program, "verify", "--man=no", path], capture_output=True, text=True
    )
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("names", [[], ["--fdname=gear:http"]])
def test_server_is_started_by_the_first_connection(names: list[str]) -> None:
    """systemd's own program passes the sockets, as systemd does."""
    program = servers.foreign("systemd-socket-activate")
    port, http = servers.free_port(), servers.free_port()
    listen = [f"--listen={servers.HOST}:{port}"]
    words = []
    if names:
        listen.append(f"--listen={servers.HOST}:{http}")
        words = ["-r", "http"]
    server = [sys.executable, "-P", "-m", "gearman.server", *words]
    environment = servers.package_environment()
    passed = [f"--setenv=PYTHONPATH={environment['PYTHONPATH']}"]
    process = subprocess.Popen(
        [program, *listen, *names, *passed, *server], env=environment
    )
    try:
        servers.until(lambda: _is_open(port))
        with Peer(port) as peer:
            peer.fence()
            peer.send("SUBMIT_JOB_BG", b"f", b"", b"w")
            peer.expect("JOB_CREATED")
        if names:
            client = HTTPConnection(servers.HOST, http, timeout=servers.DEADLINE)
            client.request("GET", "/")
            assert client.getresponse().status == 200
            client.close()
    finally:
        servers.end(process)
    assert process.returncode == 0


def _is_open(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex((servers.HOST, port)) == 0


def test_unit_exposes_little(unit: Path) -> None:
    program = servers.foreign("systemd-analyze")
    options = ["security", "--offline=true", f"--threshold={MOST_EXPOSURE}"]
    done = subprocess.run([program, *options, unit], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout
