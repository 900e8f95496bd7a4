"""The tool: how it starts, what it refuses, how it ends."""

import os
import re
import signal
import socket
import subprocess
from collections.abc import Mapping
from pathlib import Path

import pytest

from gearman.errors import ConfigurationError
from gearman.monitor.access.users import is_right
from gearman.monitor.options import parse
from tests import servers
from tests.monitor.event_streams import stream
from tests.monitor.monitors import Browser, command, monitor
from tests.servers import DEADLINE, HOST, until


def run(
    *options: str,
    stdin: str = "",
    environment: Mapping[str, str] | None = None,
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command(*options),
        input=stdin,
        env={**servers.package_environment(), **(environment or {})},
        capture_output=True,
        text=True,
        timeout=DEADLINE,
    )


def refusal(*options: str, **environment: str) -> str:
    """Return the sentence of a monitor that does not start."""
    done = run(*options, environment=environment)
    assert (done.returncode, done.stdout) == (1, "")
    assert re.fullmatch(r"gearman-monitor: [^\n]+\n", done.stderr), done.stderr
    return done.stderr


def test_help_and_version() -> None:
    done = run("--help")
    assert done.returncode == 0
    for option in ("--servers", "--listen", "--db", "--users", "--demo", "--hash"):
        assert option in done.stdout
    assert max(map(len, done.stdout.splitlines())) < 80
    assert run("--version").stdout.startswith("gearman-monitor (gearman-py) ")


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (["--color"], "unrecognized arguments: --color; gearman-monitor --help"),
        (["--listen", "127.0.0.1:x"], "--listen: '127.0.0.1:x' is no address"),
        (["--listen", "unix:/tmp/x"], "--listen takes HOST:PORT"),
        (["--listen", "0.0.0.0:0"], "is open to other machines: say with --users"),
        (["--listen", ":0"], "is open to other machines"),
        (["--servers", "a:b"], "--servers: 'a:b' is no address"),
        (["--servers", ","], "--servers names no server"),
        (["--users", "/nowhere"], "the users of '/nowhere' cannot be read"),
        (["--db", "/proc/1/none/x"], "cannot be made"),
        (["--db", "/"], "the history '/' cannot be used"),
    ],
)
def test_mistake_is_a_sentence(options: list[str], sentence: str) -> None:
    listen = [] if "--listen" in options else ["--listen", "127.0.0.1:0"]
    assert sentence in refusal(*listen, *options)


@pytest.mark.parametrize("events", ["", ",", "started,nonsense"])
def test_events_to_keep_that_do_not_exist_are_a_sentence(events: str) -> None:
    with pytest.raises(ConfigurationError, match="takes 'all', or some of abandoned"):
        parse(["--keep-events", events], {})


def test_events_to_keep_are_named() -> None:
    assert parse([], {}).keep_events is None
    assert parse(["--keep-events", "all"], {}).keep_events == ()
    kept = parse(["--keep-events", "lost,failed"], {}).keep_events
    assert kept == ("lost", "failed")


def test_mistake_in_the_environment_is_a_sentence() -> None:
    assert "GEARMAN_SERVERS: 'a:b' is no" in refusal(GEARMAN_SERVERS="a:b")
    text = refusal("--ssl", GEARMAN_CA_CERTIFICATE="/nowhere")
    assert "GEARMAN_CA_CERTIFICATE" in text


def test_port_in_use_is_a_sentence() -> None:
    with socket.create_server((HOST, 0)) as listener:
        port = listener.getsockname()[1]
        text = refusal("--listen", f"{HOST}:{port}", "--db", ":memory:")
    assert f"cannot listen on {HOST}:{port}: Address already in use" in text


def test_history_of_somebody_else_is_a_sentence(tmp_path: Path) -> None:
    path = tmp_path / "history.db"
    path.write_text("something else" * 100)
    text = refusal("--listen", f"{HOST}:0", "--db", str(path))
    assert "is no history of this monitor" in text


@pytest.mark.parametrize("module", ["starlette", "uvicorn", "jinja2"])
def test_missing_extra_is_named(module: str, tmp_path: Path) -> None:
    code = f"raise ModuleNotFoundError('no', name={module!r})"
    tmp_path.joinpath(f"{module}.py").write_text(code)
    # Before the folder of an installed package, which has the true module, too.
    folders = os.pathsep.join(
        [str(tmp_path), servers.package_environment()["PYTHONPATH"]]
    )
    environment = {"PYTHONPATH": folders}
    done = run(*("--listen", f"{HOST}:0", "--db", ":memory:"), environment=environment)
    assert done.returncode == 1
    sentence = f"gearman-monitor: it needs {module}: pip install 'gearman-py[monitor]'"
    assert done.stderr == f"{sentence}\n"


def test_hash_is_printed_for_the_file_of_users() -> None:
    done = run("--hash", stdin="ann\nact\nsecret\n")
    assert done.returncode == 0
    name, role, stored = done.stdout.strip().split(":")
    assert (name, role) == ("ann", "act")
    assert is_right("secret", stored)
    assert "secret" not in done.stdout


@pytest.mark.parametrize(
    ("stdin", "sentence"),
    [
        ("ann\nact\n\n", "the password is empty"),
        ("a b\nact\nsecret\n", "this user is not NAME:view"),
        ("ann\nroot\nsecret\n", "is not NAME:view"),
    ],
)
def test_hash_for_a_wrong_user_is_a_sentence(stdin: str, sentence: str) -> None:
    done = run("--hash", stdin=stdin)
    assert done.returncode == 1
    assert sentence in done.stderr


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_signal_ends_it_quietly(number: signal.Signals) -> None:
    port = servers.free_port()
    process = subprocess.Popen(
        command("--listen", f"{HOST}:{port}", "--db", ":memory:", "--servers", HOST),
        env=servers.package_environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert process.stdout is not None
    process.stdout.readline()
    until(lambda: Browser(port).get("/").status == 200)
    with stream(Browser(port), "/api/live"), stream(Browser(port), "/api/events"):
        process.send_signal(number)
        out, err = process.communicate(timeout=DEADLINE)
    assert (process.returncode, out, err) == (0, b"", b"")


def test_history_outlives_a_killed_monitor(tmp_path: Path) -> None:
    path = tmp_path / "state" / "history.db"
    with servers.ours() as server:
        port = servers.free_port()
        options = ("--servers", server.address, "--listen", f"{HOST}:{port}")
        process = subprocess.Popen(
            command(*options, "--db", str(path)), env=servers.package_environment()
        )
        browser = Browser(port)

        def values(browser: Browser) -> list[float]:
            chart = browser.json("/api/history", fields="queued")
            return [each for each in chart["fields"]["queued"] if each is not None]

        def answers() -> bool:
            try:
                return bool(values(browser))
            except OSError:
                return False

        until(answers)
        process.kill()
        process.wait()
        with monitor(server.address, options=("--db", str(path))) as again:
            assert values(again)


def test_history_is_in_the_folder_for_the_state_of_programs(tmp_path: Path) -> None:
    port = servers.free_port()
    process = subprocess.Popen(
        command("--listen", f"{HOST}:{port}", "--servers", HOST),
        env={**servers.package_environment(), "XDG_STATE_HOME": str(tmp_path)},
        stdout=subprocess.PIPE,
    )
    try:
        assert process.stdout is not None
        process.stdout.readline()
        path = tmp_path / "gearman-monitor" / "history.db"
        assert path.exists()
        assert path.parent.stat().st_mode & 0o777 == 0o700
        text = refusal("--listen", f"{HOST}:0", XDG_STATE_HOME=str(tmp_path))
        assert "is in use, maybe by another gearman-monitor" in text
    finally:
        servers.end(process)
        assert process.stdout is not None
        process.stdout.close()


def test_demonstration_shows_a_living_server() -> None:
    with monitor(options=("--demo",)) as browser:
        (found,) = browser.json("/api/servers")["servers"]
        pid = until(lambda: browser.server(found["address"])["facts"].get("process"))
        until(lambda: browser.function("archive.old").get("trouble"))

        def rates() -> bool:
            total = browser.function("mail.send").get("total", {})
            return bool(total.get("rates") and total["rates"]["completed"])

        until(rates)
    # It has ended with the monitor.
    assert not is_alive(pid)


def test_demonstration_ends_with_a_killed_monitor() -> None:
    port = servers.free_port()
    process = subprocess.Popen(
        command("--demo", "--listen", f"{HOST}:{port}"),
        env=servers.package_environment(),
        stdout=subprocess.PIPE,
    )
    assert process.stdout is not None
    with process.stdout as output:
        output.readline()
    browser = Browser(port)
    (found,) = browser.json("/api/servers")["servers"]
    pid = until(lambda: browser.server(found["address"])["facts"].get("process"))
    process.kill()
    process.wait()
    until(lambda: not is_alive(pid))


def is_alive(pid: int) -> bool:
    """Whether there is a process that has not ended; it may be another's child."""
    try:
        return (
            Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
        )
    except OSError:
        return False
