"""The page about Debian's gearman-job-server: its commands, in a folder of a test.

systemd does not run here: its unit is verified, and the unit's commands are run.
"""

import os
import pwd
import re
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

import gearman
from tests import servers
from tests.servers import DEADLINE, HOST
from tests.wire import Peer

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root runs services")

NAME = "gearman-job-server"
PAGE = Path(__file__).resolve().parents[2] / "docs" / "debian.md"
BLOCK = re.compile(r"^```sh\n(.*?)^```$", re.MULTILINE | re.DOTALL)

# Paths of the system that the commands of the page must not use.
STUBS = {
    "adduser": "exit 0",
    "systemctl": "exit 0",
    "service": 'exec "$ROOT/etc/init.d/$1" "$2"',
}


class Machine:
    """A system in a folder, with the files of the package."""

    def __init__(self, root: Path, port: int) -> None:
        self.root = root
        self.port = port
        self.log = self.path("/var/log/gearman-job-server/gearmand.log")
        self.pid = self.path("/run/gearman/gearmand.pid")
        self.gearmand = self.path("/usr/sbin/gearmand")

    def path(self, path: str) -> Path:
        return Path(f"{self.root}{path}")

    def here(self, text: str) -> str:
        """Return a text with the paths of this system instead of the real ones."""
        return re.sub(r"(?<![\w.])/(etc|opt|run|var)\b", rf"{self.root}/\1", text)

    def install(self) -> None:
        for name in (f"/etc/init.d/{NAME}", f"/etc/default/{NAME}"):
            if not Path(name).exists():
                servers.missing("gearmand")
            place = self.path(name)
            place.parent.mkdir(parents=True)
            text = self.here(Path(name).read_text())
            listen = f"--listen={HOST} --port={self.port}"
            text = text.replace("--listen=localhost", listen)
            place.write_text(text.replace("prefix=/usr\n", f"prefix={self.root}/usr\n"))
        self.path(f"/etc/init.d/{NAME}").chmod(0o755)
        for name in ("/etc/systemd/system", "/etc/logrotate.d", "/run"):
            self.path(name).mkdir(parents=True)
        # A copy, since the script ends every process that runs this file.
        self.gearmand.parent.mkdir(parents=True)
        shutil.copy(servers.foreign("gearmand"), self.gearmand)
        self._install_ours()
        self._install_stubs()

    def _install_ours(self) -> None:
        place = self.path("/opt/gearman-py")
        package = Path(gearman.__file__).parent
        shutil.copytree(package, place / "lib" / "gearman")
        if (package.parent / "queues").is_dir():
            shutil.copytree(package.parent / "queues", place / "lib" / "queues")
        self._script(
            place / "bin" / "gearmand",
            f'PYTHONPATH={place}/lib exec {_python()} -P -m gearman.server "$@"',
        )

    def _install_stubs(self) -> None:
        for name, command in STUBS.items():
            self._script(self.root / "stubs" / name, command)

    def _script(self, path: Path, command: str) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"#!/bin/sh\n{command}\n")
        path.chmod(0o755)

    def run(self, script: str) -> str:
        """Run commands of the page, and return their output."""
        path = f"{self.root}/stubs:/usr/sbin:/usr/bin:/sbin:/bin"
        process = subprocess.run(
            ["/bin/sh", "-ec", self.here(script)],
            env={"PATH": path, "ROOT": str(self.root), "LC_ALL": "C"},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=2 * DEADLINE,
        )
        output = process.stdout + process.stderr
        assert process.returncode == 0, output
        return output

    def answering(self) -> int:
        """Return the process id of the server that answers."""
        with Peer(self.port) as peer:
            return int(peer.ask(b"getpid").split()[1])

    def rotate(self) -> None:
        state = self.root / "state"
        self.run(f"logrotate -s {state} -f /etc/logrotate.d/{NAME}")


def _python() -> str:
    """Return a Python that the user gearman can run."""
    for path in (sys.executable, "/usr/bin/python3"):
        # With a shell, since the program that setpriv runs itself still has rights of
        # root.
        command = [*switch_to("gearman"), "/bin/sh", "-c", f"{path} -c 'import ssl'"]
        if subprocess.run(command, capture_output=True).returncode == 0:
            return path
    pytest.skip("no Python that another user could run")


def switch_to(user: str) -> list[str]:
    return ["setpriv", f"--reuid={user}", f"--regid={user}", "--init-groups"]


def block(heading: str, number: int = 0) -> str:
    """Return a block of commands of a section of the page."""
    _, _, text = PAGE.read_text().partition(f"\n## {heading}\n")
    commands: str = BLOCK.findall(text.partition("\n## ")[0])[number]
    return commands


@pytest.fixture
def machine() -> Iterator[Machine]:
    servers.foreign("gearmand")
    try:
        pwd.getpwnam("gearman")
    except KeyError:
        servers.missing("gearmand")
    with tempfile.TemporaryDirectory(prefix="gearman-debian-") as folder:
        os.chmod(folder, 0o755)
        made = Machine(Path(folder), servers.free_port())
        made.install()
        made.run(block("User and folders"))
        yield made
        if made.pid.exists() and (text := made.pid.read_text().strip()):
            os.kill(int(text), signal.SIGKILL)


def test_check_finds_nothing_and_then_what_is_missing(machine: Machine) -> None:
    check = block("User and folders", 1)
    assert machine.run(check) == ""
    shutil.rmtree(machine.log.parent)
    with pytest.raises(AssertionError, match="there is no folder"):
        machine.run(check)


def test_init_script_starts_and_really_stops_the_server(machine: Machine) -> None:
    script = machine.path(f"/etc/init.d/{NAME}")
    debians = script.read_text()
    machine.run(block("Without systemd"))
    pid = machine.answering()
    assert machine.pid.read_text() == f"{pid}\n"
    assert machine.pid.owner() == machine.log.owner() == "gearman"
    assert "gearmand is running" in machine.run(f"service {NAME} status")
    machine.run(f"service {NAME} restart")
    assert _gone(pid)
    pid = machine.answering()
    back, again = block("Without systemd", 1).rsplit("service", 1)
    machine.run(back)
    assert _gone(pid)
    assert not machine.pid.exists()
    assert script.read_text() == debians
    # gearmand of the package.
    machine.run("service" + again)
    pid = servers.until(lambda: _answering(machine))
    assert Path(f"/proc/{pid}/exe").resolve() == machine.gearmand
    machine.run(f"service {NAME} stop")
    servers.until(lambda: _gone(pid))


def _answering(machine: Machine) -> int:
    try:
        return machine.answering()
    except OSError:
        return 0


def _gone(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    return False


@pytest.mark.parametrize("ours", [True, False])
def test_log_is_rotated(machine: Machine, ours: bool) -> None:
    servers.foreign("logrotate")
    conf = machine.path(f"/etc/logrotate.d/{NAME}")
    if ours:
        machine.run(block("Log rotation"))
    else:
        debians = Path(f"/etc/logrotate.d/{NAME}").read_text()
        conf.write_text(machine.here(debians))
    machine.run(block("Without systemd"))
    machine.rotate()
    servers.until(machine.log.exists)
    assert machine.log.owner() == "gearman"
    machine.run(f"service {NAME} stop")
    assert "stopped" in machine.log.read_text()
    # There are no problems to print, so this is a success.
    machine.rotate()


def settings(machine: Machine) -> dict[str, str]:
    """Return the lines of the unit's section about the service."""
    unit = machine.path(f"/etc/systemd/system/{NAME}.service").read_text()
    return dict(re.findall(r"^(\w+)=(.*)$", unit, re.MULTILINE))


def as_systemd(machine: Machine, command: str, **variables: str) -> None:
    """Run a command of the unit as its user, with variables for words or in them."""
    words = []
    for word in shlex.split(command):
        if word.removeprefix("$") in variables:
            words += shlex.split(variables[word.removeprefix("$")])
        else:
            words.append(re.sub(r"\$\{(\w+)\}", lambda m: variables[m[1]], word))
    switch = switch_to(settings(machine)["User"])
    subprocess.run([*switch, *words], check=True, timeout=DEADLINE)


def test_unit_is_valid_and_its_commands_work(machine: Machine) -> None:
    servers.foreign("systemd-analyze")
    machine.run(block("With systemd"))
    unit = f"/etc/systemd/system/{NAME}.service"
    assert machine.run(f"systemd-analyze verify {unit}") == ""
    lines = settings(machine)
    folder = machine.path("/run") / lines["RuntimeDirectory"]
    folder.mkdir()
    shutil.chown(folder, lines["User"])
    default = f". {lines['EnvironmentFile'].removeprefix('-')}; echo $PARAMS"
    parameters = machine.run(default).strip()
    as_systemd(machine, lines["ExecStartPre"], PARAMS=parameters)
    as_systemd(machine, lines["ExecStart"], PARAMS=parameters)
    pid = machine.answering()
    assert Path(lines["PIDFile"]).read_text() == f"{pid}\n"
    old = machine.log.rename(f"{machine.log}.1")
    as_systemd(machine, lines["ExecReload"], MAINPID=str(pid))
    servers.until(machine.log.exists)
    os.kill(pid, signal.SIGTERM)
    servers.until(lambda: _gone(pid))
    assert not Path(lines["PIDFile"]).exists()
    assert "stopped" in machine.log.read_text()
    assert "ready" in old.read_text()
    machine.run(block("With systemd", 1))
    assert os.listdir(machine.path("/etc/systemd/system")) == []
