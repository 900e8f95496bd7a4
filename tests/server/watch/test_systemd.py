"""What systemd is told, by messages as sd_notify(3) describes them."""

import logging
import os
import signal
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from gearman.server.watch.systemd import Systemd
from tests import servers
from tests.servers import DEADLINE


class Manager:
    """A socket as systemd has it, and the messages that have come."""

    def __init__(self, path: str) -> None:
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.settimeout(DEADLINE)
        self.socket.bind(path)

    def message(self) -> dict[str, str]:
        lines = self.socket.recv(4096).decode().splitlines()
        return dict(line.split("=", 1) for line in lines)


@pytest.fixture
def address(tmp_path: Path) -> str:
    return str(tmp_path / "notify")


@pytest.fixture
def manager(address: str) -> Iterator[Manager]:
    manager = Manager(address)
    yield manager
    manager.socket.close()


def test_each_message_is_one_datagram(address: str, manager: Manager) -> None:
    systemd = Systemd({"NOTIFY_SOCKET": address})
    systemd.ready()
    assert manager.message() == {
        "READY": "1",
        "MAINPID": str(os.getpid()),
        "STATUS": "ready",
    }
    systemd.reloading()
    message = manager.message()
    assert message["RELOADING"] == "1"
    assert int(message["MONOTONIC_USEC"]) > 0
    systemd.stopping("it was told to")
    assert manager.message() == {"STOPPING": "1", "STATUS": "it was told to"}
    systemd.alive()
    assert manager.message() == {"WATCHDOG": "1"}


def test_name_may_be_abstract() -> None:
    manager = Manager(f"\0gearman-test-{os.getpid()}")
    Systemd({"NOTIFY_SOCKET": f"@gearman-test-{os.getpid()}"}).alive()
    assert manager.message() == {"WATCHDOG": "1"}
    manager.socket.close()


def test_nobody_is_told_where_systemd_did_not_start_the_server() -> None:
    systemd = Systemd({"WATCHDOG_USEC": "1000000"})
    systemd.ready()
    assert systemd.interval == 0


@pytest.mark.parametrize(
    ("variables", "interval"),
    [
        ({}, 0),
        ({"WATCHDOG_USEC": "3000000"}, 1.5),
        ({"WATCHDOG_USEC": "3000000", "WATCHDOG_PID": str(os.getpid())}, 1.5),
        ({"WATCHDOG_USEC": "3000000", "WATCHDOG_PID": "1"}, 0),
        ({"WATCHDOG_USEC": "often"}, 0),
    ],
)
def test_signs_of_life_are_given_twice_as_often_as_needed(
    variables: dict[str, str], interval: float
) -> None:
    assert Systemd({"NOTIFY_SOCKET": "/none"} | variables).interval == interval


def test_socket_that_is_gone_is_logged_once() -> None:
    lines: list[str] = []
    handler = logging.Handler()
    handler.emit = lambda record: lines.append(record.getMessage())  # type: ignore[method-assign]
    log = logging.getLogger("gearman.server")
    log.addHandler(handler)
    try:
        systemd = Systemd({"NOTIFY_SOCKET": "/nowhere/notify"})
        systemd.ready()
        systemd.alive()
    finally:
        log.removeHandler(handler)
    (line,) = lines
    assert "/nowhere/notify (NOTIFY_SOCKET) cannot be reached: No such file" in line


def test_server_gives_signs_of_life(
    address: str, manager: Manager, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A socket has room for a few messages only, and others are lost.
    monkeypatch.setenv("NOTIFY_SOCKET", address)
    monkeypatch.setenv("WATCHDOG_USEC", "100000")
    with servers.ours():
        assert "READY" in manager.message()
        for _ in range(3):
            assert manager.message() == {"WATCHDOG": "1"}


def test_server_tells_how_it_is(
    address: str, manager: Manager, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NOTIFY_SOCKET", address)
    with servers.ours() as server:
        assert manager.message()["MAINPID"] == str(server.process.pid)
        server.process.send_signal(signal.SIGHUP)
        assert "RELOADING" in manager.message()
        assert manager.message()["STATUS"] == "ready"
        server.process.send_signal(signal.SIGTERM)
        assert manager.message() == {"STOPPING": "1", "STATUS": "stopping"}
        server.process.wait(DEADLINE)


def test_server_that_drains_is_stopping(
    address: str, manager: Manager, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NOTIFY_SOCKET", address)
    with servers.ours() as server:
        assert "READY" in manager.message()
        server.process.send_signal(signal.SIGUSR1)
        status = manager.message()["STATUS"]
        assert status == "stopping when no job is left"
        server.process.wait(DEADLINE)
