"""The commands of the page about gearman-worker run, and its tables are complete."""

import re
import shlex
from pathlib import Path

import pytest

from gearman.tasks.runner.options import _ROWS, parse, read_file
from tests import servers
from tests.tasks.runner.stage import Stage, started
from tests.test_docs import blocks
from tests.test_docs_tasks import FILE

DOCS = Path(__file__).resolve().parents[1] / "docs"
PAGE = (DOCS / "workers.md").read_text()
COMMAND = re.compile(r"^    gearman-worker ((?!.*processes,).*)$", re.MULTILINE)
COMMANDS = COMMAND.findall(PAGE)


def block(kind: str) -> str:
    (text,) = re.findall(rf"^```{kind}\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
    return str(text)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with the files of the page."""
    for text in blocks(DOCS / "workers.md"):
        found = FILE.match(text)
        assert found
        tmp_path.joinpath(f"{found[1]}.py").write_text(text)
    (tmp_path / "worker.toml").write_text(block("toml"))
    return tmp_path


@pytest.mark.parametrize(
    "command", [each for each in COMMANDS if "--watch" not in each]
)
def test_command_of_the_page_runs(folder: Path, command: str) -> None:
    with servers.ours() as server:
        words = [*shlex.split(command), "--servers", server.address]
        with started(folder, words) as runner:
            runner.until_logged(" is ready ")
            (folder / "program.py").unlink(missing_ok=True)
        assert runner.process.returncode == 0
        assert "failed" not in runner.log


def test_functions_and_commands_of_the_page_are_offered(folder: Path) -> None:
    (command,) = (each for each in COMMANDS if "--task" in each)
    with servers.ours() as server:
        stage = Stage(folder, server.address)
        words = [*shlex.split(command), "-c", "1", "--servers", server.address]
        with stage.app, started(folder, words):
            assert stage.raw("shout", b"hello") == b"HELLO"
            assert stage.raw("wc", b"one\ntwo\n").strip() == b"2"


def test_page_has_commands() -> None:
    assert len(COMMANDS) > 6
    assert any("--watch" in each for each in COMMANDS)


def test_table_has_every_option() -> None:
    start, end = (
        PAGE.index("| option | default |"),
        PAGE.index("## From GearmanManager"),
    )
    rows = re.findall(r"^\| (?:`-\w`, )?`--([a-z-]+)", PAGE[start:end], re.MULTILINE)
    assert rows == list(_ROWS)


def test_file_of_the_page_is_read(folder: Path) -> None:
    found = read_file(str(folder / "worker.toml"))
    assert found["app"] == "myapp:app"
    assert found["functions"]["resize"].dedicated_only


def test_unit_of_the_page_starts_a_runner() -> None:
    (line,) = re.findall("^ExecStart=(.*)$", block("ini"), re.MULTILINE)
    path, *words = shlex.split(line)
    assert path.endswith("/gearman-worker")
    assert parse(words).app == "myapp:app"
