"""Hooks of a running server: they deliver, and cost it nothing if they hang."""

import json
import os
import signal
import socket
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.server.watch.hooks.test_url import Receiver, receiver  # noqa: F401
from tests.servers import DEADLINE, ours, until
from tests.wire import Peer


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder that every user can enter, unlike those of pytest."""
    with tempfile.TemporaryDirectory(prefix="gearman-hooks-") as name:
        os.chmod(name, 0o755)
        yield Path(name)


@pytest.fixture(params=[True, False], ids=["pure", "built"])
def pure(request: pytest.FixtureRequest) -> bool:
    return bool(request.param)


def run_job(port: int) -> None:
    with Peer(port) as client, Peer(port) as worker:
        worker.send("CAN_DO", b"f")
        client.send("SUBMIT_JOB", b"f", b"", b"w")
        client.expect("JOB_CREATED")
        worker.send("GRAB_JOB")
        handle, *_ = worker.expect("JOB_ASSIGN")
        worker.send("WORK_COMPLETE", handle, b"r")
        client.expect("WORK_COMPLETE")


def facts(port: int) -> list[dict[str, object]]:
    with Peer(port) as peer:
        server = json.loads(peer.ask_list(b"show stats")[0])
    hooks = server["hooks"]
    assert isinstance(hooks, list)
    return hooks


def test_events_reach_url_program_and_function(
    folder: Path,
    pure: bool,
    receiver: Receiver,  # noqa: F811
) -> None:
    file, out = folder / "settings.toml", folder / "out"
    ends = "events = ['completed']\nfunctions = ['f']\n"
    file.write_text(
        f"[[hooks]]\nurl = '{receiver.url}/x'\n{ends}"
        f"[[hooks]]\ncommand = ['tee', '{out}']\n{ends}"
        f"[[hooks]]\nfunction = 'audit'\n{ends}"
    )
    with ours("--settings", str(file), pure=pure) as server:
        run_job(server.port)
        with Peer(server.port) as worker:
            worker.send("CAN_DO", b"audit")
            worker.send("PRE_SLEEP")
            worker.expect("NOOP")
            worker.send("GRAB_JOB")
            _, _, workload = worker.expect("JOB_ASSIGN")
        until(lambda: receiver.requests)
        until(lambda: out.exists() and out.read_text().endswith("\n"))
        server.process.send_signal(signal.SIGTERM)
        assert server.process.wait(DEADLINE) == 0
    event = json.loads(workload)
    assert event["event"] == "completed"
    ((_, _, body),) = receiver.requests
    assert json.loads(body) == [event]
    assert json.loads(out.read_text()) == event


def test_server_serves_and_ends_while_a_receiver_hangs(
    folder: Path, pure: bool
) -> None:
    file = folder / "settings.toml"
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        file.write_text(f"[[hooks]]\nname = 'silent'\nurl = 'http://127.0.0.1:{port}'")
        with ours("--settings", str(file), pure=pure) as server:
            for _ in range(20):
                run_job(server.port)
            (hook,) = facts(server.port)
            assert hook["name"] == "silent"
            # The last peers may not be gone yet.
            until(lambda: facts(server.port)[0]["waiting"] == 20 * 5)
            server.process.send_signal(signal.SIGTERM)
            assert server.process.wait(DEADLINE) == 0


def test_hooks_are_read_again(folder: Path) -> None:
    file = folder / "settings.toml"
    file.write_text("")
    with ours("--settings", str(file)) as server:
        assert facts(server.port) == []
        file.write_text("[[hooks]]\nfunction = 'audit'")
        server.process.send_signal(signal.SIGHUP)
        until(lambda: facts(server.port))


def test_server_that_drains_makes_no_more_jobs_for_hooks(folder: Path) -> None:
    file = folder / "settings.toml"
    file.write_text("[[hooks]]\nfunction = 'audit'\nevents = ['completed']")
    with ours("--settings", str(file)) as server, Peer(server.port) as worker:
        worker.send("CAN_DO", b"f")
        worker.send("SUBMIT_JOB_BG", b"f", b"", b"w")
        worker.expect("JOB_CREATED")
        worker.send("GRAB_JOB")
        handle, *_ = worker.expect("JOB_ASSIGN")
        server.process.send_signal(signal.SIGUSR1)
        until(lambda: "draining" in server.log.read_text())
        worker.send("WORK_COMPLETE", handle, b"r")
        assert server.process.wait(DEADLINE) == 0
