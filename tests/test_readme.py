"""The commands of README work as README says."""

import os
import re
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.interop.programs import Program
from tests.servers import DEADLINE, HOST, free_port, until
from tests.test_packaging import UNWANTED

ROOT = Path(__file__).resolve().parents[1]
README = ROOT / "README.md"

BLOCK = re.compile(r"(?:^    .*\n|^\n(?=    ))+", re.MULTILINE)


def blocks(section: str) -> list[list[str]]:
    """Return the indented blocks of a section, without comments, line by line."""
    (text,) = re.findall(
        rf"^## {section}\n(.*?)(?=^## |\Z)",
        README.read_text(),
        re.DOTALL | re.MULTILINE,
    )
    found = [block.strip("\n").splitlines() for block in BLOCK.findall(text)]
    return [[re.sub(r"  +#.*", "", line[4:]) for line in block] for block in found]


def without_numbers(line: str) -> str:
    return re.sub(r" *\d+", " N", line)


def test_the_sample_is_what_the_example_says() -> None:
    (command,), sample = blocks("Try it")
    assert command == "python3 examples/wordcount.py"
    done = subprocess.run(
        [sys.executable, *command.split()[1:]],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=3 * DEADLINE,
        check=True,
    )
    said = [without_numbers(line) for line in done.stdout.splitlines()]
    head, tail = "\n".join(map(without_numbers, sample)).split("\n    ...\n")
    assert said[: head.count("\n") + 1] == head.splitlines()
    assert said[-tail.count("\n") - 1 :] == tail.splitlines()


@pytest.fixture(scope="module")
def clone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A clone in which README's commands for the installation were run."""
    clone = tmp_path_factory.mktemp("newcomer") / "clone"
    shutil.copytree(ROOT, clone, ignore=UNWANTED)
    install, version = blocks("Install it")
    assert install.pop(0).startswith("sudo apt install ")
    # This environment has the packages for building, so that none are downloaded.
    script = "\n".join(["set -e", *install, *version]).replace(
        "pip install", "pip install --no-build-isolation --no-index"
    )
    done = subprocess.run(
        ["bash", "-c", script],
        cwd=clone,
        env={
            **os.environ,
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
            "PYTHONPATH": sysconfig.get_path("purelib"),
            "GEARMAN_SPEEDUPS": "no",
        },
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.endswith(", pure\n")
    return clone


def typed(line: str, clone: Path, port: int) -> list[str]:
    """Return a command that runs a line of README in a new shell, with another port."""
    line = re.sub(r"^(gear\w+)", rf"exec \1 -p {port}", line)
    return ["sh", "-c", f"cd {clone}; . .venv/bin/activate; {line}"]


@pytest.fixture
def server(clone: Path) -> Iterator[int]:
    """The port of the server that README starts."""
    port = free_port()
    with Program(*typed(blocks("Use it in a terminal")[0][0], clone, port)) as program:
        # The first address that it listens on may be IPv6.
        assert f":{port}" in program.line()
        until(lambda: "ready" in program.line())
        yield port


@pytest.mark.packaging
def test_the_terminals_show_what_they_should(clone: Path, server: int) -> None:
    (_, worker, client), (status,) = blocks("Use it in a terminal")
    with Program(*typed(worker, clone, server)):
        words = len((clone / "README.md").read_bytes().split())
        with Program(*typed(client, clone, server)) as program:
            assert program.rest().split() == [str(words)]
        with Program(*typed(status, clone, server)) as program:
            assert program.line() == "wc\t0\t0\t1"


@pytest.mark.packaging
def test_the_server_runs_in_the_background_and_with_a_queue(
    clone: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    home = tmp_path / "gearman"
    (folder, daemon, end), (queue,), _ = blocks("Run the server")
    for line in (folder, f"{daemon} -L {HOST}"):
        with Program(*typed(line, clone, free_port())) as program:
            assert program.rest() == ""
    assert "ready" in (home / "gearmand.log").read_text()
    with Program(*typed(end, clone, free_port())) as program:
        assert program.rest() == ""
    until(lambda: not (home / "gearmand.pid").exists())
    with Program(*typed(f"{queue} -L {HOST}", clone, free_port())) as program:
        until(lambda: "ready" in program.line())
    assert (home / "jobs.db").exists()
