"""Relays between running servers: nothing is lost, whoever fails."""

import json
import os
import signal
import socket
import tempfile
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

import pytest

from tests.certificates import Authority
from tests.servers import DEADLINE, HOST, Server, free_port, gearmand, ours, until
from tests.wire import Peer


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder that every user can enter, unlike those of pytest."""
    with tempfile.TemporaryDirectory(prefix="gearman-relay-") as name:
        os.chmod(name, 0o755)
        yield Path(name)


def settings(folder: Path, *servers: str, more: str = "") -> list[str]:
    """Write a settings file with a relay to these servers, and return the options."""
    file = folder / "settings.toml"
    listed = ", ".join(f"'{server}'" for server in servers)
    file.write_text(
        f"[relay.far]\nservers = [{listed}]\nfunctions = ['f', 'mail.*']\n{more}"
    )
    return ["--settings", str(file)]


def stored(folder: Path, name: str) -> list[str]:
    return ["-q", "sqlite", "--sqlite-db", str(folder / name)]


def submit(port: int, first: int, last: int, function: bytes = b"f") -> None:
    """Submit jobs, and wait until each of them is accepted."""
    with Peer(port) as client:
        for number in range(first, last):
            client.send("SUBMIT_JOB_BG", function, b"", b"%d" % number)
        for _ in range(first, last):
            client.expect("JOB_CREATED")


def relay(port: int) -> dict[str, Any]:
    with Peer(port) as peer:
        (found,) = json.loads(peer.ask_list(b"show stats")[0])["relays"]
    assert isinstance(found, dict)
    return found


def run_all(port: int, function: bytes = b"f") -> list[int]:
    """Run the jobs that are there, and return their workloads."""
    found = []
    with Peer(port) as worker:
        worker.send("CAN_DO", function)
        while (packet := worker.request("GRAB_JOB")).name == "JOB_ASSIGN":
            handle, _, workload = packet.arguments
            worker.send("WORK_COMPLETE", handle, b"")
            found.append(int(workload))
        worker.fence()
    return found


def kill(server: Server) -> None:
    server.process.kill()
    server.process.wait(DEADLINE)


class Cable:
    """A network between two servers that can be cut, and mended."""

    def __init__(self, target: int) -> None:
        self.port = free_port()
        self._target = target
        self._ends: list[socket.socket] = []
        self._listening: socket.socket | None = None
        self.mend()

    @property
    def address(self) -> str:
        return f"{HOST}:{self.port}"

    def mend(self) -> None:
        self._listening = socket.create_server((HOST, self.port))
        threading.Thread(target=self._accept, args=[self._listening]).start()

    def cut(self) -> None:
        listening, self._listening = self._listening, None
        if listening is not None:
            listening.shutdown(socket.SHUT_RDWR)
            listening.close()
        for each in self._ends:
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)

    def _accept(self, listening: socket.socket) -> None:
        with suppress(OSError):
            while True:
                near, _ = listening.accept()
                with near, suppress(OSError):
                    far = socket.create_connection((HOST, self._target))
                    self._pass(near.dup(), far)

    def _pass(self, near: socket.socket, far: socket.socket) -> None:
        self._ends += [near, far]
        for ends in ((near, far), (far, near)):
            threading.Thread(target=self._copy, args=ends).start()

    @staticmethod
    def _copy(source: socket.socket, target: socket.socket) -> None:
        with suppress(OSError):
            while data := source.recv(1 << 14):
                target.sendall(data)
        for each in (source, target):
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
            each.close()


def test_no_job_is_lost_whatever_fails(folder: Path) -> None:
    far_port, near_port = free_port(), free_port()
    far_options, near_options = stored(folder, "far"), stored(folder, "near")
    done: list[int] = []
    cable = Cable(far_port)
    near_options += settings(folder, cable.address)
    try:
        with ExitStack() as stack:
            far = stack.enter_context(ours(*far_options, port=far_port))
            near = stack.enter_context(ours(*near_options, port=near_port))
            submit(near_port, 0, 500)
            until(lambda: relay(near_port)["passed_on"] > 100)
            kill(far)
            submit(near_port, 500, 1000)
            stack.enter_context(ours(*far_options, port=far_port))
            until(lambda: relay(near_port)["passed_on"] == 1000)
            cable.cut()
            submit(near_port, 1000, 1500)
            until(lambda: not relay(near_port)["connected"])
            cable.mend()
            until(lambda: relay(near_port)["passed_on"] > 1100)
            kill(near)
            near = stack.enter_context(ours(*near_options, port=near_port))
            submit(near_port, 1500, 2000)
            until(lambda: relay(near_port)["waiting"] == 0)
            until(lambda: relay(near_port)["unanswered"] == 0)
            done = run_all(far_port)
            assert run_all(near_port) == []
    finally:
        cable.cut()
    found = Counter(done)
    assert set(found) == set(range(2000))


@pytest.mark.interop
def test_gearmand_gets_jobs_and_may_fail(folder: Path) -> None:
    port = free_port()
    far_options = ["-q", "libsqlite3", "--libsqlite3-db", str(folder / "far")]
    options = [*settings(folder, f"{HOST}:{port}"), *stored(folder, "near")]
    with ExitStack() as stack:
        far = stack.enter_context(gearmand(*far_options, port=port))
        near = stack.enter_context(ours(*options))
        submit(near.port, 0, 100)
        until(lambda: relay(near.port)["passed_on"] > 50)
        kill(far)
        submit(near.port, 100, 200)
        stack.enter_context(gearmand(*far_options, port=port))
        until(lambda: relay(near.port)["passed_on"] == 200)
        assert set(run_all(port)) == set(range(200))


def test_relay_to_the_second_server_by_tls(folder: Path, authority: Authority) -> None:
    more = f"tls = true\nca-file = '{authority.path}'\n"
    more += f"certificate-file = '{authority.client}'\n"
    tls = authority.trust(authority.client)
    with ours(*authority.options("required"), tls=tls) as far:
        options = settings(folder, f"{HOST}:{free_port()}", far.address, more=more)
        with ours(*options) as near:
            submit(near.port, 0, 50, b"mail.send")
            until(lambda: relay(near.port)["passed_on"] == 50)
            assert relay(near.port)["server"] == [HOST, far.port]
            with Peer(far.port, tls=tls) as peer:
                assert peer.ask_list(b"status") == [b"mail.send\t50\t0\t0"]


def test_relays_are_read_again(folder: Path) -> None:
    with ours() as far:
        options = settings(folder, "unix:/nowhere")
        with ours(*options) as near:
            submit(near.port, 0, 20)
            until(lambda: relay(near.port)["error"] == "No such file or directory")
            settings(folder, far.address, more="max-jobs = 5")
            near.process.send_signal(signal.SIGHUP)
            until(lambda: far_jobs(far.port) == 20)
            settings(folder, far.address, more="max-jobs = 6")
            near.process.send_signal(signal.SIGHUP)
            submit(near.port, 0, 5)
            until(lambda: far_jobs(far.port) == 25)
            (folder / "settings.toml").write_text("")
            near.process.send_signal(signal.SIGHUP)
            until(lambda: "0 relays" in near.log.read_text())
            submit(near.port, 0, 5)
            assert len(run_all(near.port)) == 5
            near.process.send_signal(signal.SIGTERM)
            assert near.process.wait(DEADLINE) == 0


def far_jobs(port: int) -> int:
    with Peer(port) as peer:
        (line, *_) = [*peer.ask_list(b"status"), b"f\t0"]
    return int(line.split(b"\t")[1])


def test_server_that_drains_keeps_what_is_left(folder: Path) -> None:
    options = [*settings(folder, f"{HOST}:{free_port()}"), *stored(folder, "near")]
    with ours(*options) as near:
        submit(near.port, 0, 20)
        near.process.send_signal(signal.SIGUSR1)
        assert near.process.wait(DEADLINE) == 0
    with ours(*options) as near:
        assert relay(near.port)["waiting"] == 20


def test_server_that_is_silent_or_speaks_nonsense_is_left(folder: Path) -> None:
    with socket.create_server((HOST, 0)) as listening:
        port = listening.getsockname()[1]
        with ours(*settings(folder, f"{HOST}:{port}")) as near:
            submit(near.port, 0, 1)
            there, _ = listening.accept()
            there.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")
            until(lambda: relay(near.port)["failures"])
            there.close()
            until(lambda: "relay far: " in near.log.read_text())
