"""`gearman-worker` as a user runs it: what it says, and what else it can run."""

import os
import re
import socket
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest

from tests import servers
from tests.tasks.runner.stage import PROGRAM, Stage, started

SENTENCE = re.compile(r"gearman-worker: [^\n]+\n")


def run(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "gearman.tasks", *words],
        cwd=folder,
        env=servers.package_environment(),
        capture_output=True,
        text=True,
        timeout=servers.DEADLINE,
    )


def refused(folder: Path, *words: str) -> str:
    """Return the sentence with which these options are refused."""
    done = run(folder, *words)
    assert done.returncode == 1
    assert SENTENCE.fullmatch(done.stderr), done.stderr
    return done.stderr.removeprefix("gearman-worker: ").removesuffix("\n")


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (
            ["absent:app"],
            "there is no module absent: run this in the folder where it is, or set"
            " PYTHONPATH",
        ),
        (["program:absent"], "the module program has no absent"),
        (
            ["program:VERSION"],
            "program:VERSION is no App of gearman.tasks: it is an object of the class"
            " str",
        ),
        (
            ["program:app", "--function", "absent=1"],
            "the app has no function 'absent': it has version, pid, note, wait, hang,"
            " meet, die, leave, grow, gather, block, fail",
        ),
        (
            ["empty:app"],
            "the app has no tasks: decorate one with @app.task",
        ),
        (
            ["--task", "x=program:absent"],
            "the module program has no absent",
        ),
        (
            ["--task", "x=program:VERSION"],
            "program:VERSION is no function: it is an object of the class str",
        ),
        (
            ["program:app", "--task", "pid=cat"],
            "--task pid: there is a task pid already",
        ),
        (["program:app", "--watch"], "--watch needs a terminal"),
        (["-x"], "unrecognized arguments: -x; gearman-worker --help"),
    ],
)
def test_mistake_is_told_in_a_sentence(
    tmp_path: Path, words: list[str], sentence: str
) -> None:
    (tmp_path / "program.py").write_text(PROGRAM)
    empty = "from gearman.tasks import App\napp = App()\n"
    (tmp_path / "empty.py").write_text(empty)
    assert refused(tmp_path, *words).startswith(sentence)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("import absent\n", "ModuleNotFoundError: No module named 'absent'"),
        ("x = (\n", "SyntaxError: '(' was never closed"),
        ("raise SystemExit(3)\n", "SystemExit: 3"),
    ],
)
def test_module_that_cannot_be_imported_is_told_with_its_line(
    tmp_path: Path, text: str, sentence: str
) -> None:
    (tmp_path / "broken.py").write_text(text)
    done = run(tmp_path, "broken:app")
    assert done.returncode == 1
    last = done.stderr.splitlines()[-1]
    path = tmp_path / "broken.py"
    assert last == (
        f"gearman-worker: broken cannot be imported: {sentence} ({path}, line 1)"
    )


def test_help_and_version_are_printed(tmp_path: Path) -> None:
    assert run(tmp_path, "--help").stdout.startswith("usage: gearman-worker [options]")
    assert run(tmp_path, "-V").stdout.startswith("gearman-worker (gearman-py) ")


def test_server_that_is_not_there_is_told_and_waited_for(tmp_path: Path) -> None:
    port = servers.free_port()
    (tmp_path / "program.py").write_text(PROGRAM)
    address = f"{servers.HOST}:{port}"
    with started(tmp_path, ["program:app", "--servers", address]) as runner:
        runner.until_logged(
            f"cannot connect to {address} (Connection refused): start a job server"
            " there, or name another one with --servers; trying again"
        )
        with servers.ours(port=port):
            stage = Stage(tmp_path, address)
            with stage.app:
                assert stage.call("version") == "one"


def test_commands_and_functions_of_any_module_are_tasks(
    stage: Stage, tmp_path: Path
) -> None:
    (tmp_path / "other.py").write_text("def upper(data):\n    return data.upper()\n")
    words = ["--task", "upper=other:upper", "--task", "lines=wc -l", "-c", "1"]
    words += ["--task", 'told=echo "$GEARMAN_JOB_FUNCTION"', "--task", "bad=exit 4"]
    words += ["--servers", stage.address]
    with started(tmp_path, words) as runner:
        call = stage.raw
        assert call("upper", b"abc") == b"ABC"
        assert call("lines", b"a\nb\n").strip() == b"2"
        assert call("told", b"") == b"told\n"
        stage.submit("bad")
        runner.until_logged("CommandFailed: the command 'exit 4' ended with status 4")


def test_command_is_killed_with_its_process(stage: Stage, tmp_path: Path) -> None:
    command = "echo $$ > pid; mv pid started; exec sleep 1000"
    words = ["--task", f"sleep={command}", "-c", "1", "--grace", "0.1"]
    with started(tmp_path, [*words, "--servers", stage.address]):
        stage.submit("sleep")
        servers.until((tmp_path / "started").exists)
    pid = int((tmp_path / "started").read_text())
    servers.until(lambda: not Path(f"/proc/{pid}/cwd").exists())


def test_options_are_read_from_a_file(stage: Stage, tmp_path: Path) -> None:
    (tmp_path / "worker.toml").write_text(
        f"""
        app = "program:app"
        servers = ["{stage.address}"]
        processes = 1
        [tasks]
        lines = "wc -l"
        [functions.wait]
        dedicated_count = 2
        dedicated_only = true
        """
    )
    with started(tmp_path, ["--config", "worker.toml"]) as runner:
        runner.until_logged("is ready", times=3)
        found = stage.functions()
        # The common process has a worker for plain tasks, and one for the others.
        assert len(found) == 4
        assert found.count(["wait"]) == 2
        assert sum("wait" in each for each in found) == 2
        assert sum("lines" in each for each in found) == 1


def test_pid_file_is_written_and_removed(stage: Stage) -> None:
    path = stage.file("pid")
    with stage.runner("-c", "1", "--pid-file", str(path)) as runner:
        servers.until(path.exists)
        assert int(path.read_text()) == runner.process.pid
        runner.until_logged("is ready")
    assert not path.exists()


def test_systemd_is_told(stage: Stage) -> None:
    path = stage.file("notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(path))
        manager.settimeout(servers.DEADLINE)
        # So few signs of life that they do not fill the socket, which takes about ten.
        settings = {"NOTIFY_SOCKET": str(path), "WATCHDOG_USEC": "4000000"}
        with stage.runner("-c", "1", **settings) as runner:
            said: set[str] = set()

            def hear(wanted: str) -> None:
                while wanted not in said:
                    said.update(manager.recv(4096).decode().split("\n"))

            hear("READY=1")
            assert f"MAINPID={runner.process.pid}" in said
            hear("WATCHDOG=1")
            said.clear()
            os.kill(runner.process.pid, 1)
            hear("RELOADING=1")
            hear("READY=1")
            runner.process.terminate()
            hear("STOPPING=1")
    assert runner.process.returncode == 0


def test_changed_file_is_read_again(stage: Stage) -> None:
    with stage.runner("-c", "1", "--reload") as runner:
        assert stage.call("version") == "one"

        # What watches the files may not have begun yet.
        def changed() -> bool:
            stage.write(PROGRAM.replace('"one"', '"two"'))
            return "program.py has changed: the code is read again" in runner.log

        servers.until(changed)
        servers.until(lambda: stage.call("version") == "two")


def test_runner_with_reload_waits_for_code_that_can_be_imported(stage: Stage) -> None:
    stage.write("1/0")
    with stage.runner("-c", "1", "--reload") as runner:
        runner.until_logged("; waiting for a change")

        def started() -> bool:
            stage.write(PROGRAM)
            return "is ready" in runner.log

        servers.until(started)
        assert stage.call("version") == "one"


def test_runner_goes_on_if_files_are_no_longer_watched(stage: Stage) -> None:
    with stage.runner("-c", "1", "--reload") as runner:
        first = stage.call("pid")
        children = Path(f"/proc/{runner.process.pid}/task/{runner.process.pid}")
        pids = {int(pid) for pid in (children / "children").read_text().split()}
        for pid in pids - {first}:
            # The process that has read the functions may just have ended.
            with suppress(ProcessLookupError):
                os.kill(pid, 9)
        runner.until_logged("files are no longer watched")
        assert stage.call("pid") == first


def test_reload_names_what_it_needs(tmp_path: Path) -> None:
    (tmp_path / "program.py").write_text(PROGRAM)
    hidden = "import sys; sys.modules['watchfiles'] = None\n"
    script = hidden + "from gearman.tasks.runner.main import main; sys.exit(main())"
    done = subprocess.run(
        [sys.executable, "-c", script, "program:app", "--reload"],
        cwd=tmp_path,
        env=servers.package_environment(),
        capture_output=True,
        text=True,
        timeout=servers.DEADLINE,
    )
    assert done.stderr == (
        "gearman-worker: --reload needs watchfiles: pip install 'gearman-py[reload]'\n"
    )


def test_commands_do_not_ignore_signals(stage: Stage, tmp_path: Path) -> None:
    words = ["--task", "stop=kill -INT $$; kill -HUP $$", "-c", "1"]
    with started(tmp_path, [*words, "--servers", stage.address]) as runner:
        stage.submit("stop")
        runner.until_logged("ended with signal 2")
