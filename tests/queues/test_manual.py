"""The manual lists all queues and options; its plugin is one of the back ends."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from gearman.queue import ALIASES, NAMES, StoredJob, load
from tests.queues.backend_folder import PAGE, install
from tests.servers import DEADLINE, package_environment


@pytest.fixture(scope="module")
def page() -> str:
    return PAGE.read_text()


@pytest.mark.parametrize("name", NAMES)
def test_every_queue_has_a_section_and_its_options_are_told(
    page: str, name: str
) -> None:
    assert f"\n## {name}\n" in page
    for option in load(name).options:
        for spelling in option.names:
            assert f"--{spelling}" in page


@pytest.mark.parametrize("alias", [a for a, name in ALIASES.items() if name in NAMES])
def test_names_that_gearmand_has_are_told(page: str, alias: str) -> None:
    assert f"`-q {alias}`" in page


def test_every_field_of_a_job_is_told(page: str) -> None:
    rows = re.findall(r"^\| (`.*?`) \|", page.partition("### The rules")[2], re.M)
    assert re.findall(r"\w+", " ".join(rows)) == list(StoredJob._fields)


def test_help_of_the_server_has_the_options_of_another_package(tmp_path: Path) -> None:
    install(tmp_path)
    said = subprocess.run(
        [sys.executable, "-P", "-m", "gearman.server", "-q", "folder", "--help"],
        env=package_environment(path=tmp_path),
        capture_output=True,
        text=True,
        timeout=DEADLINE,
    )
    assert "\nqueue folder (-q folder):\n  --folder-dir DIR" in said.stdout


def test_queue_of_another_package_is_named_to_those_who_look_for_one(
    tmp_path: Path,
) -> None:
    install(tmp_path)
    said = subprocess.run(
        [sys.executable, "-P", "-m", "gearman.server", "-q", "nosuch"],
        env=package_environment(path=tmp_path),
        capture_output=True,
        text=True,
        timeout=DEADLINE,
    )
    assert said.returncode == 1
    assert f", {NAMES[-1]}, folder, or install the package that has it" in said.stderr
