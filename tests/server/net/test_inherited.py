"""Sockets that systemd passes: as sd_listen_fds(3) and systemd.socket(5) say."""

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import pytest

from gearman.errors import StartupError
from gearman.server.net.inherited import Given, take
from tests import servers
from tests.servers import DEADLINE, HOST
from tests.wire import Peer

# Puts sockets where systemd puts them, and becomes the server in the same process.
_SYSTEMD = """
import fcntl, os, sys
names, given, *words = sys.argv[1:]
numbers = [int(number) for number in given.split(",") if number]
kept = [fcntl.fcntl(number, fcntl.F_DUPFD, 100) for number in numbers]
for number, old in enumerate(kept, 3):
    os.dup2(old, number, inheritable=True)
os.environ["LISTEN_PID"] = str(os.getpid())
os.environ["LISTEN_FDS"] = str(len(kept))
os.environ["LISTEN_FDNAMES"] = names
os.execv(sys.executable, [sys.executable, "-P", "-m", "gearman.server", *words])
"""


def command(names: str, sockets: Sequence[socket.socket], *words: str) -> list[str]:
    numbers = ",".join(str(sock.fileno()) for sock in sockets)
    return [sys.executable, "-c", _SYSTEMD, names, numbers, *words]


def run(names: str, sockets: Sequence[socket.socket], *words: str) -> tuple[int, str]:
    """Run a server that does not start, or does not stay."""
    done = subprocess.run(
        command(names, sockets, *words),
        env=servers.package_environment(),
        pass_fds=[sock.fileno() for sock in sockets],
        stderr=subprocess.PIPE,
        text=True,
        timeout=DEADLINE,
    )
    return done.returncode, done.stderr


@contextmanager
def served(
    log: Path,
    names: str,
    sockets: Sequence[socket.socket],
    *words: str,
    pure: bool | None = None,
) -> Iterator[subprocess.Popen[bytes]]:
    with log.open("wb") as file:
        process = subprocess.Popen(
            command(names, sockets, *words),
            env=servers.package_environment(pure=pure),
            pass_fds=[sock.fileno() for sock in sockets],
            stderr=file,
        )
    try:
        yield process
    finally:
        servers.end(process)
        print(log.read_text())


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return tmp_path / "log"


@pytest.fixture
def tcp() -> Iterator[socket.socket]:
    with socket.create_server((HOST, 0)) as sock:
        yield sock


@pytest.fixture
def unix(tmp_path: Path) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX) as sock:
        sock.bind(str(tmp_path / "socket"))
        sock.listen()
        yield sock


def port_of(sock: socket.socket) -> int:
    port: int = sock.getsockname()[1]
    return port


@pytest.mark.parametrize("pure", [True, False])
@pytest.mark.parametrize("name", ["gear", "gearmand.socket", "unknown", ""])
def test_server_answers_on_the_socket(
    log: Path, tcp: socket.socket, name: str, pure: bool
) -> None:
    # The connection is made before the server runs.
    with Peer(port_of(tcp)) as peer:
        free = servers.free_port()
        words = ["-L", f"{HOST}:{free}"]
        with served(log, name, [tcp], *words, pure=pure) as process:
            peer.send("ECHO_REQ", b"x")
            assert peer.expect("ECHO_RES") == [b"x"]
            # It has opened none of its own.
            with pytest.raises(ConnectionRefusedError):
                socket.create_connection((HOST, free), DEADLINE)
            process.send_signal(signal.SIGTERM)
            assert process.wait(DEADLINE) == 0
    assert f"listening on {HOST}:{port_of(tcp)}, by systemd\n" in log.read_text()


def test_file_of_a_unix_socket_stays(
    log: Path, unix: socket.socket, tcp: socket.socket
) -> None:
    path = unix.getsockname()
    with served(log, "gear:gear", [unix, tcp]) as process:
        with Peer(port_of(tcp)) as peer:
            peer.fence()
        with socket.socket(socket.AF_UNIX) as sock:
            sock.settimeout(DEADLINE)
            sock.connect(path)
            sock.sendall(b"version\n")
            assert sock.recv(100).startswith(b"OK")
        process.send_signal(signal.SIGUSR1)
        assert process.wait(DEADLINE) == 0
    assert os.path.exists(path)
    with socket.socket(socket.AF_UNIX) as sock:
        # The socket still listens, for the next server.
        sock.connect(path)


def test_names_choose_the_protocol(log: Path, tcp: socket.socket) -> None:
    with ExitStack() as stack:
        http, memcached = (
            stack.enter_context(socket.create_server((HOST, 0))) for _ in range(2)
        )
        names, sockets = "http:gear:memcached", [http, tcp, memcached]
        words = ["-r", "http", "-r", "memcached"]
        stack.enter_context(served(log, names, sockets, *words))
        with Peer(port_of(tcp)) as peer:
            peer.fence()
        client = HTTPConnection(HOST, port_of(http), timeout=DEADLINE)
        client.request("GET", "/")
        client.getresponse().read()
        client.close()
        with socket.create_connection((HOST, port_of(memcached)), DEADLINE) as sock:
            sock.sendall(b"version\r\n")
            assert sock.recv(100).startswith(b"VERSION")
        assert f":{port_of(http)} for http, by systemd\n" in log.read_text()


def test_protocol_without_a_socket_opens_its_own(log: Path, tcp: socket.socket) -> None:
    own = servers.free_port()
    words = ["-r", "http", "-L", f"{HOST}:{own}"]
    with served(log, "http", [tcp], *words):
        servers.until(lambda: b"ready" in log.read_bytes())
        with Peer(own) as peer:
            peer.fence()


def test_daemon_keeps_the_sockets(tmp_path: Path, tcp: socket.socket) -> None:
    pid, log = tmp_path / "pid", tmp_path / "log"
    words = ["-d", "-P", str(pid), "-l", str(log)]
    assert run("", [tcp], *words) == (0, "")
    try:
        with Peer(port_of(tcp)) as peer:
            peer.fence()
    finally:
        os.kill(int(pid.read_text()), signal.SIGTERM)
        servers.until(lambda: not pid.exists())


@pytest.mark.parametrize("checked", [True, False])
def test_mistakes_are_told(
    tmp_path: Path, tcp: socket.socket, unix: socket.socket, checked: bool
) -> None:
    words = ["--check-args"] if checked else []
    with (
        socket.socket() as deaf,
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as datagrams,
        (tmp_path / "file").open("w") as file,
    ):
        path = unix.getsockname()
        start = "descriptor 3, which systemd passes,"
        for name, sock, options, sentence in (
            ("", deaf, [], f"{start} does not listen: use Accept=no"),
            ("", datagrams, [], f"{start} is no stream socket: use ListenStream="),
            ("", file, [], f"{start} is no socket: Socket operation on non-socket"),
            (
                "http",
                unix,
                ["-r", "http"],
                f"{start} is unix:{path}, but http is spoken on TCP addresses only",
            ),
            (
                "http",
                tcp,
                [],
                "systemd passes a socket with the name 'http': speak that protocol by"
                " -r http",
            ),
            (
                "htpp",
                tcp,
                ["-r", "http"],
                "systemd passes a socket with the name 'htpp', which is no protocol of"
                " this server: set FileDescriptorName= to gear or http, or name the"
                " protocol by -r",
            ),
            (
                "",
                tcp,
                ["-q", "postgres", "--cluster=fleet", "--cluster-address=db:4730"],
                "systemd passes sockets that listen, but a server of a cluster must"
                " refuse connections while another one owns the jobs: use no socket"
                " unit",
            ),
        ):
            given: Any = sock
            status, said = run(name, [given], *options, *words)
            assert (status, said) == (1, f"gearmand: {sentence}\n")


def test_addresses_of_the_options_are_not_checked(tcp: socket.socket) -> None:
    words = ["--check-args", "-L", "unix:/nowhere/socket"]
    assert run("", [tcp], *words) == (0, "")
    assert run("", [], *words)[0] == 1


class TestVariables:
    @staticmethod
    def variables(**others: str) -> dict[str, str]:
        return {"LISTEN_PID": str(os.getpid()), "LISTEN_FDS": "2", "A": "b"} | others

    def test_they_are_removed(self) -> None:
        environment = self.variables(LISTEN_FDNAMES="gear:http")
        assert take(environment) == [Given(3, "gear"), Given(4, "http")]
        assert environment == {"A": "b"}
        assert take(environment) == []

    def test_those_of_another_process_do_not_count(self) -> None:
        environment = self.variables(LISTEN_PID="1")
        assert take(environment) == []
        assert environment == {"A": "b"}

    def test_names_may_be_missing(self) -> None:
        assert take(self.variables()) == [Given(3, ""), Given(4, "")]

    @pytest.mark.parametrize(
        ("others", "sentence"),
        [
            (
                {"LISTEN_FDS": "-1"},
                "LISTEN_FDS must be a number of sockets, not '-1'",
            ),
            (
                {"LISTEN_FDNAMES": "a:b:c"},
                "LISTEN_FDNAMES has 3 names, but LISTEN_FDS is 2",
            ),
        ],
    )
    def test_wrong_values_are_told(self, others: dict[str, str], sentence: str) -> None:
        with pytest.raises(StartupError) as caught:
            take(self.variables(**others))
        assert str(caught.value) == sentence
