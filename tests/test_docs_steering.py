"""The commands on the page about steering work as shown, in their order.

Handles, times and ports are different each time.
"""

import re
import shlex
from pathlib import Path

import pytest

from gearman.options import KEYS, Policy
from gearman.server.protocols.job_lists import LIMIT, MOST
from tests import servers
from tests.cli.tools import our_tool, outcome
from tests.test_docs_protocols import sessions

PAGE = (Path(__file__).resolve().parents[1] / "docs" / "steering.md").read_text()
HANDLE = re.compile(r"H:localhost:\d+")
TIME = re.compile(r"\b1\d{9}(\.\d+)?\b")
SCHEDULE = re.compile(r"^\[schedules\.nightly\]\n(?:.+\n)+", re.MULTILINE)


def alike(text: str) -> str:
    """Return a text without the parts that are different each time."""
    return TIME.sub("now", HANDLE.sub("HANDLE", text)).rstrip("\n")


@pytest.fixture
def settings(tmp_path: Path) -> Path:
    """A settings file with the schedule of the page."""
    (text,) = SCHEDULE.findall(PAGE)
    (tmp_path / "report.json").write_text("{}")
    file = tmp_path / "settings.toml"
    file.write_text(text)
    return file


def test_commands_of_the_page_print_what_it_says(settings: Path) -> None:
    port = servers.free_port()
    words = ["--job-handle-prefix=H:localhost", "-r", "http", f"--http-port={port}"]
    with servers.ours(*words, "--settings", str(settings)) as server:
        handle = ""
        for command, expected in sessions("steering.md"):
            place = command.replace(":8080", f":{port}")
            program, *options = shlex.split(HANDLE.sub(handle, place))
            if program == "curl":
                argv = [servers.foreign(program), "-sS", *options]
            else:
                argv = our_tool(program, server, *options)
            said = outcome(argv)
            assert (said.status, said.err) == (0, ""), command
            # What a worker's command writes is sent to the client, not printed.
            assert alike(said.out.decode()) == alike(expected), command
            handle = (HANDLE.findall(said.out.decode()) or [handle])[0]


def test_every_key_of_a_policy_is_on_the_page() -> None:
    for key in KEYS:
        if hasattr(Policy(), key.field):
            assert f"| `{key.name}` | " in PAGE


def test_limits_of_lists_are_on_the_page() -> None:
    assert f"up to {MOST:,}; without it, {LIMIT}" in PAGE
