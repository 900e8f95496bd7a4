"""After it has changed its user, the server imports no more modules."""

import os
import shutil
import signal
import ssl
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from http.client import HTTPConnection, HTTPSConnection
from pathlib import Path

import pytest

import gearman
from gearman.server.protocols.registry import load
from tests import servers
from tests.certificates import Authority
from tests.queues import backend_memcached
from tests.servers import HOST
from tests.tracing.collector import collector
from tests.wire import Peer

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root changes its user")

# Records the modules that another user than root imports. Python runs it at its start.
WATCH = """
import os, sys
def note(event, arguments):
    if event == "import" and os.geteuid() != 0:
        os.write(file, f"{arguments[0]}\\n".encode())
file = os.open(os.environ["IMPORTED"], os.O_WRONLY | os.O_APPEND | os.O_CREAT)
sys.addaudithook(note)
"""


@pytest.fixture
def place() -> Iterator[Path]:
    """A folder that the server's user can enter, unlike those of pytest."""
    with tempfile.TemporaryDirectory(prefix="gearman-imports-") as folder:
        os.chmod(folder, 0o755)
        data = Path(folder, "data")
        data.mkdir()
        os.chown(data, 65534, 65534)
        yield Path(folder)


@pytest.fixture
def watched(place: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The file with the modules that were imported too late."""
    (place / "sitecustomize.py").write_text(WATCH)
    imported = place / "imported"
    monkeypatch.setenv("IMPORTED", str(imported))
    return imported


@pytest.fixture
def memcached() -> Iterator[int]:
    with backend_memcached.running() as port:
        yield port


def use(server: servers.Server, http: int, tls: ssl.SSLContext | None = None) -> None:
    """Use many features of a server, and stop it."""
    with Peer(server.port, tls=tls) as peer:
        peer.send("SUBMIT_JOB_BG", b"a\tb\xff", b"", b"w")
        peer.expect("JOB_CREATED")
    with Peer(server.port, tls=tls) as peer:
        # Some lines for the log.
        peer.send_bytes(b"\0nonsense that is no packet")
        peer.receive_end()
    client = HTTPConnection(HOST, http, timeout=servers.DEADLINE)
    if tls is not None:
        client = HTTPSConnection(HOST, http, timeout=servers.DEADLINE, context=tls)
    client.request("POST", "/f", b"w", {"X-Gearman-Background": "true"})
    assert client.getresponse().read() == b""
    client.close()
    server.process.send_signal(signal.SIGHUP)
    with Peer(server.port, tls=tls) as peer:
        assert len(peer.ask_list(b"status")) == 2
    servers.end(server.process)
    assert server.process.returncode == 0


def words(http: int) -> list[str]:
    return ["-u", "nobody", "-vv", "-r", "http", "--http-port", str(http)]


@as_root
@pytest.mark.parametrize("pure", [True, False])
@pytest.mark.parametrize(
    "options",
    [
        ["--coredump"],
        ["-q", "sqlite", "--sqlite-db", "data/jobs"],
        ["-q", "flatfile", "--flatfile-dir", "data/jobs"],
    ],
    ids=lambda options: options[-1],
)
def test_nothing_is_imported_once_the_user_has_changed(
    watched: Path, pure: bool, options: list[str]
) -> None:
    http = servers.free_port()
    options = [word.replace("data/", f"{watched.parent}/data/") for word in options]
    with servers.ours(*words(http), *options, pure=pure, path=watched.parent) as server:
        use(server, http)
    assert watched.read_text() == ""


@as_root
def test_neither_is_anything_for_the_settings_file(watched: Path) -> None:
    file = watched.parent / "settings.toml"
    file.write_text("")
    http = servers.free_port()
    options = [*words(http), "--settings", str(file)]
    with servers.ours(*options, path=watched.parent) as server:
        for zone in ("Europe/Paris", "Asia/Tokyo", "Europe/Atlantis"):
            with file.open("a") as lines:
                lines.write(f"[schedules.'{zone}']\ncron = '5 4 * * *'\n")
                lines.write(f"function = 'f'\ntimezone = '{zone}'\n")
            server.process.send_signal(signal.SIGHUP)
            with Peer(server.port) as peer:
                peer.fence()
        use(server, http)
        assert "not 'Europe/Atlantis'" in server.log.read_text()
    assert watched.read_text() == ""


@as_root
def test_neither_is_anything_for_tls(watched: Path, tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    http = servers.free_port()
    options = [*words(http), *authority.options()]
    trust = authority.trust()
    with servers.ours(*options, tls=trust, path=watched.parent) as server:
        use(server, http, trust)
    assert watched.read_text() == ""


@as_root
@pytest.mark.interop
def test_neither_is_the_driver_of_a_queue(watched: Path, memcached: int) -> None:
    http = servers.free_port()
    options = ["-q", "memcached", "--memcached-servers", f"{HOST}:{memcached}"]
    with servers.ours(*words(http), *options, path=watched.parent) as server:
        use(server, http)
    assert watched.read_text() == ""


@as_root
def test_the_watch_notices_an_import(watched: Path) -> None:
    code = "import os; os.setuid(65534); import this_is_not_there"
    environment = servers.package_environment(path=watched.parent)
    command = [sys.executable, "-c", code]
    process = subprocess.run(command, env=environment, capture_output=True)
    assert process.returncode == 1
    assert "this_is_not_there" in watched.read_text().split()


@as_root
def test_server_works_in_a_folder_that_only_root_can_enter(place: Path) -> None:
    secret = place / "secret"
    secret.mkdir(mode=0o700)
    package = Path(gearman.__file__).parent
    shutil.copytree(package, secret / "gearman")
    if (package.parent / "queues").is_dir():
        shutil.copytree(package.parent / "queues", secret / "queues")
    http = servers.free_port()
    options = ["-q", "sqlite", "--sqlite-db", str(place / "data" / "jobs")]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(gearman, "__file__", str(secret / "gearman" / "__init__.py"))
        with servers.ours(*words(http), *options, fresh=True) as server:
            use(server, http)


def test_drivers_of_queues_and_protocols_are_imported_by_their_names() -> None:
    code = (
        "import sys\n"
        "from gearman.server.settings.config import parse\n"
        "from gearman.server.imports import import_all\n"
        "config = parse(['-r', 'http', '-q', 'sqlite', '--coredump'], {})\n"
        "assert 'sqlite3' not in sys.modules\n"
        "import_all(config)\n"
        "names = 'sqlite3', 'h11', 'ctypes', 'encodings.idna'\n"
        "assert all(name in sys.modules for name in names)\n"
    )
    environment = servers.package_environment()
    subprocess.run([sys.executable, "-P", "-c", code], env=environment, check=True)


def test_protocol_imports_all_that_its_connections_need() -> None:
    load("http").prepare()
    assert "gearman.server.protocols.http.connection" in sys.modules


@as_root
def test_neither_is_anything_for_traces(
    watched: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trace = f"00-{'a' * 32}-{'b' * 16}-01".encode()
    http = servers.free_port()
    with collector() as collected:
        for name, value in collected.environment.items():
            monkeypatch.setenv(name, value)
        options = [*words(http), "--traces"]
        with servers.ours(*options, path=watched.parent) as server:
            with Peer(server.port) as peer:
                peer.send("SUBMIT_JOB_WITH", b"f", b"", b"trace=" + trace, b"w")
                peer.expect("JOB_CREATED")
                peer.send("CAN_DO", b"f")
                peer.send("GRAB_JOB")
                peer.expect("JOB_ASSIGN")
                collected.wait_for(1)
            use(server, http)
    assert watched.read_text() == ""
