"""The programs of docs/testing.md do what the page says."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from gearman.server.embedded import settings
from tests.servers import DEADLINE, package_environment
from tests.test_docs import PRINTED, blocks
from tests.testing.test_plugin import pytest_run

PAGE = Path(__file__).resolve().parents[2] / "docs" / "testing.md"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with the files of the page."""
    for block in blocks(PAGE):
        name = block.splitlines()[0].removeprefix("# ")
        (tmp_path / name).write_text(block)
    (tmp_path / "pytest.ini").write_text("[pytest]\nfilterwarnings = error\n")
    return tmp_path


def test_every_test_of_the_page_passes(folder: Path) -> None:
    files = list(folder.glob("test_*.py"))
    done = pytest_run(folder)
    assert done.returncode == 0, done.stdout + done.stderr
    assert len(files) == 4
    count = sum(file.read_text().count("def test_") for file in files)
    assert f"{count} passed" in done.stdout


@pytest.mark.parametrize("name", ["test_unittest.py", "embedding.py"])
def test_program_of_the_page_runs(name: str, folder: Path) -> None:
    done = subprocess.run(
        [sys.executable, name],
        cwd=folder,
        env=package_environment(),
        capture_output=True,
        text=True,
        timeout=DEADLINE,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == PRINTED.findall((folder / name).read_text())


def test_page_names_the_options_that_a_server_in_a_program_cannot_have() -> None:
    (row,) = re.findall(r"^\| options that .*$", PAGE.read_text(), re.MULTILINE)
    _, _, thread, process, _ = row.split("|")
    never = [*settings._NEVER.values()]
    assert re.findall("`(.+?)`", process) == never
    assert re.findall("`(.+?)`", thread) == never + [*settings._OF_A_PROCESS.values()]
