"""Changes of the process: standard streams, background, pid file, user and limits.

Each case runs in a process of its own, since it changes the process.
"""

import os
import pwd
import re
import resource
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from gearman.errors import StartupError
from gearman.server.settings.process import PidFile, switch_user
from tests.servers import DEADLINE, package_environment

IMPORTS = """
import os, resource, signal, socket, sys, time
from gearman.errors import StartupError
from gearman import streams
from gearman.server.settings import process
"""

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="needs root")


@contextmanager
def start(
    code: str, *arguments: object, shell: str = ""
) -> Iterator["subprocess.Popen[str]"]:
    """Start Python code, after shell commands that change descriptors or limits.

    The process is ended if the test fails.
    """
    words = [sys.executable, "-P", "-c", IMPORTS + code, *map(str, arguments)]
    with subprocess.Popen(
        ["/bin/sh", "-c", f'{shell}\nexec "$@"', "sh", *words],
        env=package_environment(),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            yield process
        except BaseException:
            process.kill()
            raise


def run(code: str, *arguments: object, shell: str = "") -> tuple[int, str, str]:
    """Return the exit status of the code and its output."""
    with start(code, *arguments, shell=shell) as process:
        out, err = process.communicate(timeout=DEADLINE)
    return process.returncode, out, err


# -- standard streams

STREAMS = """
streams.open_standard_streams()
with open(sys.argv[1], "w") as report, socket.socket() as sock:
    nulls = [n for n in range(3) if os.path.sameopenfile(n, os.open("/dev/null", 0))]
    print(nulls, sock.fileno() > 2, all(map(os.get_inheritable, range(3))), file=report)
print("out")
print("err", file=sys.stderr)
sys.stdin.read()
"""


@pytest.mark.parametrize(
    ("closed", "nulls"),
    [
        ("<&-", [0]),
        (">&-", [1]),
        ("2>&-", [2]),
        ("<&- >&-", [0, 1]),
        ("<&- 2>&-", [0, 2]),
        ("<&- >&- 2>&-", [0, 1, 2]),
    ],
)
def test_closed_streams_are_opened_on_dev_null(
    closed: str, nulls: list[int], tmp_path: Path
) -> None:
    report = tmp_path / "report"
    status, out, err = run(STREAMS, report, shell=f"exec {closed}")
    assert status == 0
    assert report.read_text() == f"{nulls} True True\n"
    assert out == ("" if 1 in nulls else "out\n")
    assert err == ("" if 2 in nulls else "err\n")


def test_open_streams_are_left_alone(tmp_path: Path) -> None:
    report = tmp_path / "report"
    assert run(STREAMS, report) == (0, "out\n", "err\n")
    assert report.read_text() == "[] True True\n"


# -- background

DAEMON = """
streams.open_standard_streams()
parent = os.getpid()
report = process.daemonize()
print("to nobody", flush=True)
state = [os.getpid() != parent, os.getsid(0) == os.getpid(), os.getcwd()]
with open(sys.argv[1], "w") as file:
    print(*state, file=file)
"""


def test_parent_succeeds_when_the_child_is_ready(tmp_path: Path) -> None:
    file = tmp_path / "file"
    assert run(DAEMON + 'report("")', file) == (0, "", "")
    assert file.read_text() == "True True /\n"


def test_parent_waits_until_the_child_is_ready(tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    os.mkfifo(gate)
    code = DAEMON + 'open(sys.argv[2]).read()\nreport("")'
    with start(code, tmp_path / "file", gate) as process:
        writer = os.open(gate, os.O_WRONLY)
        assert process.poll() is None
        os.close(writer)
        assert process.wait(DEADLINE) == 0


def test_parent_prints_why_the_child_failed(tmp_path: Path) -> None:
    code = DAEMON + 'report("the port is taken")'
    result = run(code, tmp_path / "file")
    assert result == (1, "", "gearmand: the port is taken\n")


@pytest.mark.parametrize(
    "end", ["raise ValueError", "os.kill(os.getpid(), signal.SIGKILL)"]
)
def test_parent_fails_when_the_child_dies(end: str, tmp_path: Path) -> None:
    status, out, err = run(DAEMON + end, tmp_path / "file")
    assert (status, out) == (1, "")
    assert re.fullmatch("gearmand: the server ended before it was ready; .*\n", err)


def test_background_works_with_closed_streams(tmp_path: Path) -> None:
    file = tmp_path / "file"
    code = DAEMON + 'report("")'
    assert run(code, file, shell="exec <&- >&- 2>&-")[0] == 0
    assert file.read_text() == "True True /\n"


def test_interrupted_parent_takes_the_child_along(tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    os.mkfifo(gate)
    code = DAEMON + "with open(sys.argv[2], 'w'): signal.pause()"
    with start(code, tmp_path / "file", gate) as process:
        with open(gate) as end:
            process.send_signal(signal.SIGINT)
            # That is after the end of the child.
            assert end.read() == ""
        _, err = process.communicate(timeout=DEADLINE)
    assert process.returncode == 1
    assert err == "gearmand: interrupted\n"


def test_parent_interrupted_at_once_takes_the_child_along(tmp_path: Path) -> None:
    code = """
fork = os.fork
def interrupted():
    child = fork()
    if child:
        os.kill(os.getpid(), signal.SIGINT)
    return child
os.fork = interrupted
process.daemonize()
signal.pause()
"""
    status, out, err = run(code, tmp_path)
    assert (status, out, err) == (1, "", "gearmand: interrupted\n")


def test_child_outlives_a_killed_parent(tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    os.mkfifo(gate)
    code = (
        DAEMON + "with open(sys.argv[2]) as gate: gate.read()\n"
        'report("")\nwith open(sys.argv[2], "w") as gate: gate.write("alive")'
    )
    with start(code, tmp_path / "file", gate) as process:
        with open(gate, "w"):
            process.kill()
            process.wait(DEADLINE)
        assert gate.read_text() == "alive"


def test_no_process_left_is_one_sentence(tmp_path: Path) -> None:
    # This limit does not apply to root.
    code = """
resource.setrlimit(resource.RLIMIT_NPROC, (0, 0))
if os.geteuid() == 0:
    os.setuid(65534)
try:
    process.daemonize()
except StartupError as error:
    print(error)
"""
    status, out, err = run(code)
    assert (status, err) == (0, "")
    assert re.fullmatch(r"cannot run in the background: [\w ]+\n", out)


# -- pid file


def test_pid_file_holds_the_number_while_the_server_lives(tmp_path: Path) -> None:
    path = tmp_path / "pid"
    file = PidFile(str(path))
    assert not path.exists()
    file.write()
    assert path.read_text() == f"{os.getpid()}\n"
    assert os.listdir(tmp_path) == ["pid"]
    assert path.stat().st_mode & 0o777 == 0o644 & ~_umask()
    file.remove()
    file.remove()
    assert os.listdir(tmp_path) == []


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def test_pid_file_that_was_never_written_is_not_removed(tmp_path: Path) -> None:
    path = tmp_path / "pid"
    path.write_text(f"{os.getpid()}\n")
    PidFile(str(path)).remove()
    assert path.exists()


@pytest.mark.parametrize("content", ["1\n", "", "nonsense", "999999999"])
def test_pid_file_that_was_left_behind_is_replaced(
    content: str, tmp_path: Path
) -> None:
    path = tmp_path / "pid"
    path.write_text(content)
    file = PidFile(str(path))
    file.write()
    assert path.read_text() == f"{os.getpid()}\n"
    file.remove()


HOLDER = """
file = process.PidFile(sys.argv[1])
file.write()
print("ready", flush=True)
sys.stdin.read()
"""


def test_pid_file_of_a_living_server_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "pid"
    with start(HOLDER, path) as process:
        assert process.stdout
        assert process.stdout.readline() == "ready\n"
        with pytest.raises(StartupError) as caught:
            PidFile(str(path)).write()
        process.kill()
    assert str(caught.value) == (
        f"pid file '{path}' is in use: a server is running as process {process.pid};"
        " stop it, or choose another --pid-file"
    )
    assert os.listdir(tmp_path) == ["pid"]
    file = PidFile(str(path))
    file.write()
    file.remove()


def test_pid_file_that_another_server_replaced_stays(tmp_path: Path) -> None:
    path = tmp_path / "pid"
    file = PidFile(str(path))
    file.write()
    path.unlink()
    path.write_text(f"{os.getpid()}\n")
    file.remove()
    assert path.exists()


def test_pid_file_that_was_written_over_stays(tmp_path: Path) -> None:
    path = tmp_path / "pid"
    file = PidFile(str(path))
    file.write()
    path.write_text("1\n")
    file.remove()
    assert path.read_text() == "1\n"


def test_pid_file_that_is_gone_already_is_no_error(tmp_path: Path) -> None:
    file = PidFile(str(tmp_path / "pid"))
    file.write()
    (tmp_path / "pid").unlink()
    file.remove()


def test_what_the_link_of_a_pid_file_names_is_replaced(tmp_path: Path) -> None:
    link, path = tmp_path / "link", tmp_path / "pid"
    link.symlink_to(path)
    file = PidFile(str(link))
    file.write()
    assert path.read_text() == f"{os.getpid()}\n"
    assert link.is_symlink()
    file.remove()
    assert not path.exists()


def test_remains_of_a_start_that_was_cut_off_do_no_harm(tmp_path: Path) -> None:
    (tmp_path / f"pid.{os.getpid()}").write_text("old")
    file = PidFile(str(tmp_path / "pid"))
    file.write()
    assert os.listdir(tmp_path) == ["pid"]
    file.remove()


@pytest.mark.parametrize("name", ["absent/pid", ".", "/dev/null", "/dev/full/pid"])
def test_pid_file_that_cannot_be_written_is_one_sentence(
    name: str, tmp_path: Path
) -> None:
    path = os.path.realpath(tmp_path / name)
    before = os.listdir(tmp_path)
    file = PidFile(path)
    with pytest.raises(StartupError) as caught:
        file.write()
    start = f"pid file '{path}' cannot be written: "
    assert str(caught.value).startswith(start)
    assert os.listdir(tmp_path) == before
    file.remove()


def test_full_disk_leaves_no_half_pid_file(tmp_path: Path) -> None:
    code = """
resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
try:
    process.PidFile(sys.argv[1]).write()
except StartupError as error:
    print(error)
"""
    path = tmp_path / "pid"
    status, out, err = run(code, path)
    assert (status, err) == (0, "")
    assert out == f"pid file '{path}' cannot be written: File too large\n"
    assert os.listdir(tmp_path) == []


def test_programs_that_the_server_starts_do_not_keep_the_lock(tmp_path: Path) -> None:
    path = tmp_path / "pid"
    first, second = PidFile(str(path)), PidFile(str(path))
    first.write()
    with subprocess.Popen(["cat"], stdin=subprocess.PIPE, close_fds=False):
        first.remove()
        second.write()
        second.remove()


# -- user


def test_unknown_user_is_one_sentence() -> None:
    with pytest.raises(StartupError) as caught:
        switch_user("no such user")
    assert str(caught.value) == (
        "there is no user 'no such user': choose another with --user"
    )


def test_user_that_the_process_has_already_is_fine() -> None:
    before = os.getgroups()
    switch_user(pwd.getpwuid(os.getuid()).pw_name)
    assert os.getgroups() == before


@as_root
def test_root_becomes_another_user_for_good() -> None:
    code = """
process.switch_user("nobody")
print(os.getresuid(), os.getresgid(), os.getgroups())
try:
    os.setuid(0)
except PermissionError:
    print("for good")
try:
    process.switch_user("root")
except StartupError as error:
    print(error)
"""
    nobody = pwd.getpwnam("nobody")
    user, group = nobody.pw_uid, nobody.pw_gid
    assert run(code) == (
        0,
        f"{(user,) * 3} {(group,) * 3} {os.getgrouplist('nobody', group)}\n"
        "for good\n"
        "cannot become the user 'root' (Operation not permitted): start as root, or"
        " leave out --user\n",
        "",
    )


# -- limits

LIMIT = """
number = None if sys.argv[1] == "None" else int(sys.argv[1])
try:
    process.limit_descriptors(number)
except StartupError as error:
    print(error)
print(*resource.getrlimit(resource.RLIMIT_NOFILE))
"""


@pytest.mark.parametrize(
    ("number", "limits"),
    [(64, "64 256"), (128, "128 256"), (256, "256 256"), (None, "256 256")],
)
def test_descriptors_are_limited_within_the_hard_limit(
    number: int | None, limits: str
) -> None:
    shell = "ulimit -Sn 100; ulimit -Hn 256"
    assert run(LIMIT, number, shell=shell) == (0, f"{limits}\n", "")


def test_more_descriptors_than_any_process_may_have_are_refused() -> None:
    number = 2**31 - 1
    assert run(LIMIT, number, shell="ulimit -n 256") == (
        0,
        f"{number} file descriptors are more than the 256 allowed here: run as root,"
        " or give a smaller number to --file-descriptors\n256 256\n",
        "",
    )


HARD_CORE_LIMIT = resource.getrlimit(resource.RLIMIT_CORE)[1]


@pytest.mark.skipif(HARD_CORE_LIMIT == 0, reason="core dumps are forbidden here")
def test_core_dumps_are_allowed_as_far_as_permitted() -> None:
    code = """
process.enable_core_dumps()
soft, hard = resource.getrlimit(resource.RLIMIT_CORE)
print(soft == hard != 0)
"""
    assert run(code, shell="ulimit -Sc 0") == (0, "True\n", "")


# Without privileges, with which it could raise the limit again.
NO_CORE = """
if os.geteuid() == 0:
    os.setuid(65534)
try:
    process.enable_core_dumps()
except StartupError as error:
    print(error)
print(*resource.getrlimit(resource.RLIMIT_CORE))
"""


def test_core_dumps_that_are_forbidden_are_refused() -> None:
    assert run(NO_CORE, shell="ulimit -c 0") == (
        0,
        "core dumps are forbidden here: raise `ulimit -Hc`, or leave out --coredump\n"
        "0 0\n",
        "",
    )


@pytest.mark.skipif(sys.platform != "linux", reason="Linux forbids it, others don't")
def test_process_that_changed_its_user_can_dump_core_again() -> None:
    code = """
import ctypes
get_dumpable = 3
if os.geteuid() == 0:
    process.switch_user("nobody")
process.enable_core_dumps()
print(ctypes.CDLL(None).prctl(get_dumpable, 0, 0, 0, 0))
"""
    assert run(code) == (0, "1\n", "")
