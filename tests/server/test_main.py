"""The server as a process: start, output and signals."""

import os
import platform
import re
import resource
import signal
import socket
import subprocess
import sys
import time
from contextlib import ExitStack
from functools import partial
from pathlib import Path

import pytest

import gearman
from gearman.framing import BUILD
from gearman.server.net.acceptor import PAUSE
from tests import servers
from tests.servers import (
    DEADLINE,
    HOST,
    end,
    free_port,
    package_environment,
    until,
)
from tests.wire import Peer

ours = partial(servers.ours, fresh=True)

COMMAND = [sys.executable, "-P", "-m", "gearman.server"]

# A server that gets one more signal when its event loop has ended.
_LATE = """
import os, signal, sys
from gearman.server.__main__ import main
from gearman.server.settings.process import PidFile

remove = PidFile.remove

def late(self):
    for number in signal.SIGTERM, signal.SIGINT, signal.SIGUSR1, signal.SIGHUP:
        os.kill(os.getpid(), number)
    remove(self)

PidFile.remove = late
sys.exit(main())
"""


def run(*options: str, **arguments) -> subprocess.CompletedProcess[str]:
    """Run a server that should end by itself."""
    return subprocess.run(
        [*COMMAND, *options],
        env=package_environment(pure=BUILD == "pure"),
        capture_output=True,
        text=True,
        timeout=DEADLINE,
        stdin=subprocess.DEVNULL,
        check=False,
        **arguments,
    )


def test_version_names_python_and_build():
    version = run("--version").stdout
    python = platform.python_version()
    assert re.fullmatch(
        rf"gearmand .*{re.escape(gearman.__version__)}.*{python}.*, {BUILD}\n", version
    )


def test_check_args_starts_nothing():
    with socket.create_server((HOST, 0)) as taken:
        port = str(taken.getsockname()[1])
        checked = run("-L", HOST, "-p", port, "--check-args")
    assert (checked.returncode, checked.stdout, checked.stderr) == (0, "", "")


class TestStartErrors:
    def fails(self, result: subprocess.CompletedProcess[str], reason: str) -> None:
        assert result.returncode == 1
        assert result.stdout == ""
        lines = result.stderr.splitlines()
        assert lines[-1].startswith("gearmand: ")
        assert reason in lines[-1]
        assert "Traceback" not in result.stderr
        assert sum(line.startswith("gearmand: ") for line in lines) == 1

    def test_port_is_taken(self):
        with ours() as server:
            result = run("-L", HOST, "-p", str(server.port))
        self.fails(result, f"{HOST}:{server.port}: the address is in use")

    def test_host_is_unknown(self):
        self.fails(run("-L", "no.such.host.invalid", "-p", "0"), "no.such.host.invalid")

    def test_address_is_not_of_this_machine(self):
        self.fails(run("-L", "192.0.2.1", "-p", "0"), "192.0.2.1:0")

    def test_option_is_unknown(self):
        self.fails(run("--no-such-option"), "--no-such-option")

    def test_socket_cannot_be_made(self, tmp_path):
        self.fails(run("-L", f"unix:{tmp_path}/no/such"), "No such file or directory")

    def test_file_of_the_sockets_name_is_not_touched(self, tmp_path):
        precious = tmp_path / "gear"
        precious.write_text("precious")
        self.fails(run("-L", f"unix:{precious}"), "a file of this name exists")
        assert precious.read_text() == "precious"

    def test_socket_of_a_living_server_is_not_taken(self, tmp_path):
        path = f"unix:{tmp_path}/gear"
        with ours("-L", path):
            self.fails(run("-L", path), "in use")

    def test_log_file_cannot_be_opened(self, tmp_path):
        result = run("-L", HOST, "-p", "0", "-l", str(tmp_path / "no" / "log"))
        self.fails(result, "log file")

    def test_pid_file_cannot_be_written(self, tmp_path):
        result = run("-L", HOST, "-p", "0", "-P", str(tmp_path / "no" / "pid"))
        self.fails(result, "pid file")

    def test_user_is_unknown(self):
        self.fails(run("-L", HOST, "-p", "0", "-u", "no-such-user"), "no-such-user")

    def test_daemon_cannot_start(self):
        with socket.create_server((HOST, 0)) as taken:
            port = str(taken.getsockname()[1])
            self.fails(run("-d", "-L", HOST, "-p", port), "the address is in use")


def test_socket_of_a_dead_server_is_replaced(tmp_path):
    path = tmp_path / "gear"
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(path))
    with ours("-L", f"unix:{path}"), socket.socket(socket.AF_UNIX) as sock:
        sock.settimeout(DEADLINE)
        sock.connect(str(path))
        sock.sendall(b"version\n")
        assert sock.recv(100).startswith(b"OK")


class TestSignals:
    @pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
    def test_stops_at_once_and_quietly(self, number):
        with ours() as server, Peer(server.port) as peer:
            peer.send("SUBMIT_JOB", b"f", b"", b"w")
            peer.expect("JOB_CREATED")
            server.process.send_signal(number)
            assert peer.receive_end() == b""
            assert server.process.wait(DEADLINE) == 0
            assert "Traceback" not in server.log.read_text()

    def test_usr1_drains(self):
        with ours() as server, Peer(server.port) as peer:
            peer.send("SUBMIT_JOB", b"f", b"", b"w")
            (handle,) = peer.expect("JOB_CREATED")
            server.process.send_signal(signal.SIGUSR1)
            until(lambda: "draining" in server.log.read_text())
            peer.send("CAN_DO", b"f")
            peer.send("GRAB_JOB")
            peer.expect("JOB_ASSIGN")
            peer.send("WORK_COMPLETE", handle, b"")
            peer.expect("WORK_COMPLETE")
            assert server.process.wait(DEADLINE) == 0

    def test_hup_reopens_the_log(self, tmp_path):
        log, old = tmp_path / "log", tmp_path / "log.1"
        with ours("-l", str(log), "--verbose", "INFO") as server:
            log.rename(old)
            server.process.send_signal(signal.SIGHUP)
            until(log.exists)
            with Peer(server.port) as peer:
                peer.fence()
                assert "connected" in log.read_text()

    def test_a_hangup_while_it_starts_is_carried_out_when_it_serves(self, tmp_path):
        first, settings = tmp_path / "first.toml", tmp_path / "settings.toml"
        os.mkfifo(first)
        settings.symlink_to(first)
        port = free_port()
        with subprocess.Popen(
            [*COMMAND, "-L", HOST, "-p", str(port), "--settings", str(settings)],
            env=package_environment(pure=BUILD == "pure"),
        ) as process:
            try:
                # This waits until the server reads it.
                with first.open("w"):
                    settings.unlink()
                    settings.write_text("[limits]\nmax-jobs = 7\n")
                    process.send_signal(signal.SIGHUP)
                until(lambda: b"max-jobs\t7\t" in _limits(port))
            finally:
                process.terminate()
        assert process.returncode == 0


def _limits(port: int) -> bytes:
    try:
        with Peer(port) as peer:
            return b" ".join(peer.ask_list(b"show limits"))
    except ConnectionError:
        return b""


class TestFiles:
    def test_pid_file_is_there_while_the_server_listens(self, tmp_path):
        path = tmp_path / "pid"
        with ours("-P", str(path)) as server:
            assert path.read_text() == f"{server.process.pid}\n"
        assert not path.exists()

    def test_signals_that_come_at_the_end_change_nothing(self, tmp_path):
        port = free_port()
        words = ["-L", HOST, "-p", str(port), "-P", "pid"]
        process = subprocess.Popen(
            [sys.executable, "-P", "-c", _LATE, *words],
            env=package_environment(pure=BUILD == "pure"),
            cwd=tmp_path,
        )
        try:
            until((tmp_path / "pid").exists)
            with Peer(port) as peer:
                assert peer.fence() == []
        finally:
            end(process)
        assert process.returncode == 0
        assert not (tmp_path / "pid").exists()

    def test_daemon_returns_when_it_listens(self, tmp_path):
        port, path = free_port(), tmp_path / "pid"
        result = run("-d", "-L", HOST, "-p", str(port), "-P", "pid", cwd=tmp_path)
        pid = int(path.read_text())
        try:
            assert (result.returncode, result.stdout, result.stderr) == (0, "", "")
            with Peer(port) as peer:
                assert peer.ask(b"getpid") == b"OK %d\n" % pid
        finally:
            os.kill(pid, signal.SIGTERM)
        until(lambda: not path.exists())

    def test_relative_paths_are_those_of_where_it_was_started(self, tmp_path):
        port = free_port()
        listen = ("-L", HOST, "-p", str(port), "-L", "unix:gear")
        process = subprocess.Popen(
            [*COMMAND, *listen, "-l", "log", "-P", "pid"],
            env=package_environment(),
            cwd=tmp_path,
        )
        try:
            until((tmp_path / "pid").exists)
            names = {path.name for path in tmp_path.iterdir()}
            assert names == {"gear", "log", "pid"}
        finally:
            end(process)

    @pytest.mark.parametrize("standard", ["", ">&- 2>&-", "</dev/null >/dev/full 2>&1"])
    def test_standard_output_may_be_closed_or_full(self, tmp_path, standard):
        port = free_port()
        command = [*COMMAND, "-L", HOST, "-p", str(port), "-vvvv", "-P", "pid"]
        process = subprocess.Popen(
            ["sh", "-c", f'exec "$@" {standard}', "sh", *command],
            env=package_environment(),
            cwd=tmp_path,
        )
        try:
            until((tmp_path / "pid").exists)
            with Peer(port) as peer:
                assert peer.fence() == []
                peer.send(43)
                assert peer.receive_end() == b""
            with Peer(port) as peer:
                assert peer.fence() == []
        finally:
            end(process)
        assert process.returncode == 0


class TestLog:
    def text(self, *options: str) -> str:
        with ours(*options) as server:
            with Peer(server.port) as peer:
                peer.send("SUBMIT_JOB_BG", b"some-function", b"some-unique", b"w")
                peer.expect("JOB_CREATED")
                peer.send(43)
                peer.receive_end()
            end(server.process)
            return Path(server.log).read_text()

    def test_says_where_it_listens_and_what_went_wrong(self):
        text = self.text()
        assert re.search(rf"NOTICE .* listening on {HOST}:\d+\n", text)
        assert re.search(
            rf"WARNING .* {HOST}:\d+: closed: unknown packet type 43", text
        )
        assert "connected" not in text

    def test_shows_connects_packets_and_jobs_with_four_v(self):
        text = self.text("-vvvv")
        assert re.search(rf"INFO .* {HOST}:\d+: connected\n", text)
        assert "received SUBMIT_JOB_BG some-function some-unique (1 bytes)" in text
        assert "sent JOB_CREATED H:" in text
        assert re.search(rf"INFO .* {HOST}:\d+: disconnected\n", text)

    def test_is_silent_when_told_so(self):
        assert self.text("--verbose", "ERROR") == ""

    def test_names_options_without_a_meaning(self):
        assert "--threads has no effect" in self.text("--threads", "4")


def test_port_comes_from_the_environment():
    port = free_port()
    environment = {**package_environment(), "GEARMAND_PORT": str(port)}
    process = subprocess.Popen([*COMMAND, "-L", HOST, "-l", "none"], env=environment)

    def answers() -> bool:
        try:
            with Peer(port) as peer:
                return peer.ask(b"getpid") == b"OK %d\n" % process.pid
        except OSError:
            return False

    try:
        until(answers)
    finally:
        end(process)


def test_handles_are_not_given_again_after_a_restart():
    handles = []
    for _ in range(2):
        with ours() as server, Peer(server.port) as peer:
            for _ in range(3):
                peer.send("SUBMIT_JOB_BG", b"f", b"", b"w")
                (handle,) = peer.expect("JOB_CREATED")
                handles.append(handle)
    assert len(set(handles)) == 6
    host = socket.gethostname().encode()
    numbers = [int(handle.removeprefix(b"H:" + host + b":")) for handle in handles]
    assert numbers == sorted(numbers)


def test_handle_prefix_can_be_chosen():
    with ours("--job-handle-prefix", "Z:here") as server, Peer(server.port) as peer:
        peer.send("SUBMIT_JOB_BG", b"f", b"", b"w")
        (handle,) = peer.expect("JOB_CREATED")
        assert re.fullmatch(rb"Z:here:\d+", handle)


def test_running_out_of_descriptors_pauses_accepting_alone():
    began = time.monotonic()
    with ours("-f", "40", "--max-connections=1000") as server, ExitStack() as stack:
        good = stack.enter_context(Peer(server.port))
        assert good.fence() == []
        with ExitStack() as crowd:
            for _ in range(60):
                crowd.enter_context(Peer(server.port))
            until(lambda: "Too many open files" in server.log.read_text())
            assert good.fence() == []
        late = stack.enter_context(Peer(server.port))
        assert late.fence() == []

        def is_over() -> bool:
            """Whether each pause has ended: the next connection tells."""
            with Peer(server.port) as peer:
                assert peer.fence() == []
            log = server.log.read_text()
            again = log.count("accepting connections again")
            return log.count("accepting no connections for now") == again

        until(is_over)
        log = server.log.read_text()
        # The connections may end one by one, so that accepting resumes more than once.
        pauses = log.count("accepting no connections for now")
        assert 1 <= pauses <= 1 + (time.monotonic() - began) / PAUSE
        assert "Traceback" not in log


def test_thousands_of_connections_are_served():
    crowd = 3000
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard < crowd + 100:
        pytest.skip(f"this needs {crowd + 100} descriptors: raise `ulimit -Hn`")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, crowd + 100), hard))
    try:
        with ours("--verbose", "ERROR") as server, ExitStack() as stack:
            peers = [stack.enter_context(Peer(server.port)) for _ in range(crowd)]
            for peer in peers:
                peer.send("CAN_DO", b"f")
                peer.send("PRE_SLEEP")
            for peer in peers:
                assert peer.fence() == []
            client = stack.enter_context(Peer(server.port))
            assert client.ask_list(b"status") == [b"f\t0\t0\t%d" % crowd]
            client.send("SUBMIT_JOB_BG", b"f", b"", b"w")
            client.expect("JOB_CREATED")
            for peer in peers:
                peer.expect("NOOP")
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
