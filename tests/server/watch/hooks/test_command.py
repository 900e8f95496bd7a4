"""A hook writes events to a program, and starts it again."""

import os
import select
import signal
from pathlib import Path
from threading import Event

import pytest

from gearman.server.watch.hooks import command as module
from gearman.server.watch.hooks.command import Command
from gearman.server.watch.hooks.courier import TargetError
from tests.servers import until


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / "out"


def shell(text: str, out: Path) -> Command:
    return Command(("sh", "-c", text, "sh", str(out)))


def test_program_gets_a_line_for_each_event_and_the_end_of_its_input(out: Path) -> None:
    command = shell('cat >> "$1"; echo end >> "$1"', out)
    command.deliver([b"1\n", b"2\n"], Event())
    command.deliver([b"3\n"], Event())
    command.close()
    assert out.read_text() == "1\n2\n3\nend\n"


def test_nothing_is_started_without_events(out: Path) -> None:
    shell('touch "$1"', out).close()
    assert not out.exists()


def test_program_that_has_ended_is_started_again(out: Path) -> None:
    command = shell('read line; echo "$line" >> "$1"', out)
    command.deliver([b"1\n"], Event())
    assert command._process is not None
    command._process.wait()
    command.deliver([b"2\n"], Event())
    command.close()
    assert out.read_text() == "1\n2\n"


def test_program_that_ends_while_it_is_written_to_is_an_error(out: Path) -> None:
    command = shell('read line; touch "$1"', out)
    with pytest.raises(TargetError, match=r"^the program has ended \(Broken pipe\)$"):
        command.deliver([b"1\n", bytes(1 << 20)], Event())
    assert out.exists()


def test_program_that_cannot_be_started_is_an_error(tmp_path: Path) -> None:
    command = Command((str(tmp_path / "missing"),))
    with pytest.raises(TargetError, match="missing cannot be started: No such file"):
        command.deliver([b"1\n"], Event())


def test_program_that_does_not_read_holds_up_nobody_who_wants_to_stop(
    out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "PATIENCE", 0.05)
    command = shell('trap "" TERM; touch "$1"; while :; do sleep 0.01; done', out)
    command.deliver([b"1\n"], Event())
    until(out.exists)
    stop = Event()

    def full(reads: object, writes: list[int], *more: object) -> tuple[list[int], ...]:
        stop.set()
        return [], [], []

    with monkeypatch.context() as patch:
        patch.setattr(select, "select", full)
        with pytest.raises(TargetError, match="^the program does not read$"):
            command.deliver([bytes(1 << 20)], stop)
    process = command._process
    command.close()
    assert process is not None
    assert process.returncode == -signal.SIGKILL


def test_pipe_that_is_full_after_all_is_waited_for(
    out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    command = shell('cat > "$1"', out)
    write, full = os.write, [True]

    def full_once(descriptor: int, data: bytes) -> int:
        if full:
            full.clear()
            raise BlockingIOError
        return write(descriptor, data)

    monkeypatch.setattr(os, "write", full_once)
    command.deliver([b"1\n"], Event())
    command.close()
    assert out.read_text() == "1\n"
