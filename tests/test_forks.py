"""Servers that are made by fork are as those that are started by Python."""

import os
import signal
import subprocess
from contextlib import suppress
from pathlib import Path

import pytest

from tests import servers
from tests.servers import Server, ours


def descriptors(server: Server) -> list[str]:
    """Return the kinds of what a process has open, such as "socket"."""
    kinds = []
    for file in Path(f"/proc/{server.process.pid}/fd").iterdir():
        # It may be closed meanwhile.
        with suppress(FileNotFoundError):
            kinds.append(os.readlink(file).partition(":[")[0])
    return sorted(kinds)


def facts(server: Server) -> tuple[object, ...]:
    """Return what differs if a fork keeps too much, or gets too little."""
    place = Path(f"/proc/{server.process.pid}")
    words = {"SigIgn", "SigBlk", "SigCgt", "Seccomp", "Threads"}
    lines = (place / "status").read_text().splitlines()
    found = sorted(line for line in lines if line.split(":")[0] in words)
    same = [os.readlink(place / "cwd") == str(server.log.parent)]
    kinds = [kind.replace(str(server.log), "log") for kind in descriptors(server)]
    return found, same, kinds


def test_each_has_nothing_of_another_one() -> None:
    with ours(fresh=True) as fresh, ours() as first, ours() as second:
        # The connection by which a server was asked may still be open.
        servers.until(lambda: facts(first) == facts(second) == facts(fresh))


def test_it_has_the_environment_of_its_start(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NOTIFY_SOCKET", "/nowhere/notify")
    with ours() as server:
        assert "NOTIFY_SOCKET" in server.log.read_text()


def test_its_end_is_told() -> None:
    with ours() as server:
        assert server.process.poll() is None
        with pytest.raises(subprocess.TimeoutExpired):
            server.process.wait(0)
        servers.end(server.process)
        assert server.process.poll() == server.process.wait() == 0
        server.process.send_signal(signal.SIGTERM)
    with ours() as server:
        server.process.kill()
        assert server.process.wait(servers.DEADLINE) == -signal.SIGKILL
