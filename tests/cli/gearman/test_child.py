"""Running commands."""

import os
import re
import signal
import subprocess
from contextlib import suppress
from pathlib import Path

import pytest

from gearman.cli.gearman import child
from gearman.cli.gearman.child import CommandNotStarted, run
from tests.servers import DEADLINE, until


def collect(*command: str, workload: bytes = b"") -> tuple[int, bytes]:
    """Run a command; return its status and its output."""
    output = bytearray()
    words = [os.fsencode(word) for word in command]
    ended = run(words, workload, {}, output.extend)
    assert not ended.cut
    return ended.status, bytes(output)


def test_input_goes_in_and_output_comes_out() -> None:
    assert collect("tr", "a-z", "A-Z", workload=b"word") == (0, b"WORD")


def test_more_than_the_pipes_hold_passes_through() -> None:
    much = os.urandom(1 << 20) * 3
    assert collect("cat", workload=much) == (0, much)


def test_input_that_nobody_reads_is_no_trouble() -> None:
    much = b"line\n" * 1_000_000
    assert collect("head", "-1", workload=much) == (0, b"line\n")
    assert collect("true", workload=much) == (0, b"")


def test_a_child_may_close_its_input_and_go_on() -> None:
    script = "exec <&-; echo later"
    assert collect("sh", "-c", script, workload=b"x" * 1_000_000) == (0, b"later\n")


def test_a_child_may_close_its_output_and_go_on_reading(tmp_path: Path) -> None:
    much = os.urandom(1 << 20) * 3
    taken = tmp_path / "taken"
    script = 'echo first; exec >&-; cat > "$0"'
    command = ["sh", "-c", script, str(taken)]
    assert collect(*command, workload=much) == (0, b"first\n")
    assert taken.read_bytes() == much


def test_a_child_may_close_both_and_go_on() -> None:
    script = "exec <&- >&- 2>&-; exit 3"
    assert collect("sh", "-c", script, workload=b"x" * 1_000_000) == (3, b"")


def test_a_child_that_reads_nothing_ends_as_it_likes() -> None:
    much = b"x" * 1_000_000
    assert collect("sh", "-c", "exec >&-; kill -9 $$", workload=much) == (-9, b"")
    assert collect("sh", "-c", "echo out; exit 3", workload=much) == (3, b"out\n")


def test_what_a_child_leaves_behind_may_end_its_output(tmp_path: Path) -> None:
    # The remaining process goes on after the end of the child.
    script = '(while kill -0 $$ 2> "$0"; do :; done; echo later) & echo now'
    command = ["sh", "-c", script, str(tmp_path / "errors")]
    assert collect(*command) == (0, b"now\nlater\n")


def test_what_a_child_leaves_behind_may_read_its_input(tmp_path: Path) -> None:
    much = os.urandom(1 << 20)
    taken = tmp_path / "taken"
    # A shell gives processes in the background no standard input.
    script = 'exec 3<&0 <&- >&-; (cat <&3 > "$0.part"; mv "$0.part" "$0") &'
    assert collect("sh", "-c", script, str(taken), workload=much) == (0, b"")
    until(taken.exists)
    assert taken.read_bytes() == much


@pytest.mark.parametrize("script", ["sleep 1000 & echo $!", "yes & echo $!"])
def test_what_a_child_leaves_behind_is_not_waited_for_for_ever(script: str) -> None:
    output = bytearray()
    ended = run([b"sh", b"-c", script.encode()], b"", {}, output.extend, 0.1)
    assert ended == (0, True)
    # A process that writes may get SIGPIPE.
    with suppress(ProcessLookupError):
        os.kill(int(b"".join(re.findall(rb"\d+", output))), signal.SIGKILL)


def test_what_is_left_behind_and_reads_nothing_is_not_waited_for() -> None:
    output = bytearray()
    command = [b"sh", b"-c", b"exec 3<&0; sleep 1000 <&3 >&- & echo $!"]
    ended = run(command, b"x" * 1_000_000, {}, output.extend, 0.1)
    os.kill(int(output), signal.SIGKILL)
    assert ended == (0, True)


def test_the_status_is_returned() -> None:
    assert collect("sh", "-c", "echo out; exit 3") == (3, b"out\n")


def test_a_signal_is_a_negative_status() -> None:
    assert collect("sh", "-c", "kill -9 $$") == (-9, b"")


def test_signal_just_before_the_wait_ends_a_child_with_closed_pipes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class Stopped(Exception):
        pass

    waits: list[float | None] = []

    def wait(process: subprocess.Popen[bytes], timeout: float | None = None) -> int:
        waits.append(timeout)
        if len(waits) > 2:
            return original(process, timeout)
        if timeout is None:
            pytest.fail("the signal is handled when the child has ended")
        if len(waits) == 1:
            raise subprocess.TimeoutExpired(process.args, timeout)
        raise Stopped

    original = subprocess.Popen.wait
    monkeypatch.setattr(subprocess.Popen, "wait", wait)
    with pytest.raises(Stopped):
        run([b"sh", b"-c", b"exec sleep 1000 <&- >&-"], b"", {}, bytearray().extend)
    assert len(waits) > 2


def test_output_comes_before_the_child_ends(tmp_path: Path) -> None:
    # The child goes on when its first line has been read.
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    pieces: list[bytes] = []

    def take(data: bytes) -> None:
        pieces.append(data)
        if len(pieces) == 1:
            fifo.write_text("go on\n")

    command = [b"sh", b"-c", b'echo 1; read -r word < "$0"; echo 2', bytes(fifo)]
    assert run(command, b"", {}, take).status == 0
    assert pieces == [b"1\n", b"2\n"]


def test_the_environment_is_added_to() -> None:
    output = bytearray()
    environment = {b"GEARMAN_JOB_HANDLE": b"H:\xff:1"}
    command = [b"sh", b"-c", b'printf "%s %s" "$GEARMAN_JOB_HANDLE" "${PATH:+path}"']
    assert run(command, b"", environment, output.extend).status == 0
    assert output == b"H:\xff:1 path"


def test_a_command_that_is_not_there_cannot_be_started() -> None:
    with pytest.raises(CommandNotStarted, match="cannot run '/no/such': No such file"):
        collect("/no/such")


def test_the_child_may_tidy_up_when_its_output_cannot_be_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(child, "_GRACE", DEADLINE)

    def take(data: bytes) -> None:
        raise KeyboardInterrupt

    # A shell runs its traps between two commands.
    text = 'trap "touch $0; exit" TERM; echo; while :; do sleep 0.01; done'
    tidied = tmp_path / "tidied"
    with pytest.raises(KeyboardInterrupt):
        run([b"sh", b"-c", text.encode(), bytes(tidied)], b"", {}, take)
    assert tidied.exists()


def test_the_child_is_ended_when_its_output_cannot_be_taken() -> None:
    pids: list[int] = []

    def take(data: bytes) -> None:
        pids.append(int(data))
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run([b"sh", b"-c", b"echo $$; exec sleep 1000"], b"", {}, take)
    with pytest.raises(ProcessLookupError):
        os.kill(pids[0], 0)
