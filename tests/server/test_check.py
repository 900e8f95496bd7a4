"""--check-args: it finds all problems, and changes nothing."""

import os
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.servers import DEADLINE, HOST, package_environment

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root changes its user")
as_user = pytest.mark.skipif(os.geteuid() == 0, reason="root may do anything")

NOBODY = 65534


def check(*words: object) -> list[str]:
    """Return the problems of these options."""
    process = subprocess.run(
        [sys.executable, "-P", "-m", "gearman.server", "--check-args"]
        + [str(word) for word in words],
        env=package_environment(),
        capture_output=True,
        text=True,
        timeout=DEADLINE,
    )
    found = process.stderr.splitlines()
    assert process.stdout == ""
    assert process.returncode == (1 if found else 0)
    assert all(line.startswith("gearmand: ") for line in found)
    return [line.removeprefix("gearmand: ") for line in found]


@pytest.fixture
def place() -> Iterator[Path]:
    """A folder that every user can enter, and in which only its owner can write."""
    with tempfile.TemporaryDirectory(prefix="gearman-check-") as folder:
        os.chmod(folder, 0o755)
        yield Path(folder)


def test_good_options_are_passed_without_a_word(place: Path) -> None:
    options = ["-l", place / "log", "-P", place / "pid", "-L", f"unix:{place}/socket"]
    options += ["-L", HOST]
    options += ["-q", "sqlite", "--sqlite-db", place / "jobs", "-r", "memcached"]
    assert check(*options) == []
    assert check(*options, "-q", "flatfile", "--flatfile-dir", place / "jobs") == []
    assert os.listdir(place) == []


def test_exporters_of_traces_must_be_there(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, problems in (
        ("otlp, console", []),
        ("none", []),
        ("", []),
        (
            "zipkin",
            [
                "--traces needs the exporter 'zipkin' of OpenTelemetry: install it, for"
                " example by pip install opentelemetry-exporter-zipkin, or name another"
                " one in OTEL_TRACES_EXPORTER"
            ],
        ),
    ):
        monkeypatch.setenv("OTEL_TRACES_EXPORTER", name)
        assert check("--traces") == problems
    assert check() == []


def test_ports_are_not_opened() -> None:
    with socket.create_server((HOST, 0)) as busy:
        assert check("-L", f"{HOST}:{busy.getsockname()[1]}") == []


def test_all_that_is_wrong_is_told(place: Path) -> None:
    user = ["-u", "no such user"]
    tls = ["--ssl", "--ssl-certificate", place / "none.pem"]
    files = ["-l", place / "a" / "log", "-P", place / "b" / "pid"]
    sockets = ["-L", f"unix:{place}/c/s", "--socket-group", "no such group"]
    found = check(*user, *tls, *files, *sockets, "-q", "sqlite", "-f", 2**31 - 1)
    beginnings = [
        "there is no user 'no such user'",
        f"{2**31 - 1} file descriptors are more than",
        f"the file '{place}/none.pem' cannot be read (No such file or directory)",
        "the queue sqlite needs a file for its jobs: give --sqlite-db FILE",
        f"-L unix:{place}/c/s: there is no folder {place}/c",
        "there is no group 'no such group'",
        f"log file '{place}/a/log' cannot be written: there is no folder {place}/a",
        f"pid file '{place}/b/pid' cannot be written: there is no folder {place}/b",
    ]
    assert len(found) == len(beginnings)
    for line, beginning in zip(found, beginnings, strict=True):
        assert line.startswith(beginning)


@pytest.mark.parametrize(
    ("words", "beginning"),
    [
        ("-L 192.0.2.300.invalid", "cannot listen on 192.0.2.300.invalid: "),
        ("-l {place}", "log file '{place}' cannot be written: it is a folder"),
        ("-q flatfile", "the queue plugin flatfile needs a folder"),
        (
            "-q flatfile --flatfile-dir {place}/a/b",
            "the folder {place}/a/b cannot be created",
        ),
        (
            "-q sqlite --sqlite-db {place}/a/b",
            "the queue file {place}/a/b cannot be created: make its folder {place}/a",
        ),
        ("-q sqlite --sqlite-db {place}/a --sqlite-table=", "the queue's table needs"),
    ],
)
def test_what_the_start_would_trip_over_is_told(
    place: Path, words: str, beginning: str
) -> None:
    (found,) = check(*words.format(place=place).split())
    assert found.startswith(beginning.format(place=place))
    assert os.listdir(place) == []


def test_mistake_in_the_settings_file_is_told(place: Path) -> None:
    file = place / "settings.toml"
    file.write_text("[functions.f]\nretries = 3\n[limits]\nmax-jobs = 5")
    assert check("--settings", file) == []
    file.write_text("[functions.f]\nretries = 'x'")
    (found,) = check("--settings", file)
    assert found.startswith(f"{file}: [functions.f]: retries must be a whole number")


def test_missing_driver_of_a_queue_is_told(tmp_path: Path) -> None:
    (tmp_path / "psycopg.py").write_text("raise ImportError('no libpq here')")
    with pytest.MonkeyPatch.context() as patch:
        (found,) = check_with_path(patch, tmp_path, "-q", "postgres")
    assert found.startswith("the queue plugin 'postgres' needs psycopg (no libpq here)")


def check_with_path(patch: pytest.MonkeyPatch, path: Path, *words: object) -> list[str]:
    # First in the path, unlike the folders of `package_environment`.
    code = (
        f"import sys; sys.path.insert(0, {str(path)!r})\n"
        "from gearman.server.__main__ import main\n"
        "sys.exit(main(sys.argv[1:]))"
    )
    process = subprocess.run(
        [sys.executable, "-P", "-c", code, "--check-args", *map(str, words)],
        env=package_environment(),
        capture_output=True,
        text=True,
        timeout=DEADLINE,
    )
    assert process.returncode == 1
    return [line.removeprefix("gearmand: ") for line in process.stderr.splitlines()]


@as_root
def test_user_that_may_write_nothing_is_told_so(place: Path) -> None:
    place.chmod(0o700)
    inner = place / "inner"
    inner.mkdir()
    queue = ["-q", "sqlite", "--sqlite-db", inner / "jobs"]
    (found,) = check("-u", "nobody", *queue)
    assert found.startswith(f"the queue file {inner}/jobs")
    place.chmod(0o755)
    (found,) = check("-u", "nobody", *queue)
    assert found.startswith(f"the queue file {inner}/jobs: it cannot be opened")
    os.chown(inner, NOBODY, NOBODY)
    assert check("-u", "nobody", *queue) == []


@as_root
def test_files_in_a_folder_of_root_are_fine_as_root_gives_them_away(
    place: Path,
) -> None:
    assert check("-u", "nobody", "-l", place / "log", "-P", place / "pid") == []
    assert os.listdir(place) == []


@as_root
def test_log_of_root_in_a_folder_of_the_user_is_told(place: Path) -> None:
    os.chown(place, NOBODY, NOBODY)
    (place / "log").touch()
    assert check("-u", "nobody", "-l", place / "log") == [
        f"log file '{place}/log' cannot be written: the user 'nobody' may not do that:"
        " chown it, or change --log-file"
    ]


@as_user
def test_other_user_and_folders_of_others_are_told() -> None:
    found = check("-u", "root", "-l", "/etc/gearman-test.log")
    assert found == [
        "only root can become the user 'root': start as root, or leave out --user",
        "log file '/etc/gearman-test.log' cannot be written: the user 'root' may not do"
        " that: chown it, or change --log-file",
    ]
