"""The commands and programs on the page about steering work as shown, in their order.

Handles, times and ports are different each time.
"""

import re
import shlex
from contextlib import ExitStack
from pathlib import Path

import pytest

from gearman.options import KEYS, Policy
from gearman.options.keys import JOB, KEYS_OF
from gearman.server.protocols.job_lists import LIMIT, MOST
from tests import servers
from tests.cli.tools import our_tool, outcome
from tests.interop.programs import Program
from tests.servers import Server
from tests.test_docs import PRINTED, blocks, start
from tests.test_docs_protocols import sessions

DOCS = Path(__file__).resolve().parents[1] / "docs"
PAGE = (DOCS / "steering.md").read_text()
HANDLE = re.compile(r"H:localhost:\d+")
TIME = re.compile(r"\b1\d{9}(\.\d+)?\b")
WORKER = re.compile(r"^    (gearman -w -f greet .*)$", re.MULTILINE)
SCHEDULE = re.compile(r"^\[schedules\.nightly\]\n(?:.+\n)+", re.MULTILINE)


def alike(text: str) -> str:
    """Return a text without the parts that are different each time."""
    return TIME.sub("now", HANDLE.sub("HANDLE", text)).rstrip("\n")


def words_of(command: str) -> list[str]:
    """Return the options of a command of the page."""
    return shlex.split(command)[1:]


def with_handles(text: str, known: dict[str, str]) -> str:
    """Return a text of the page with the handles that jobs have now."""
    return HANDLE.sub(lambda found: known[found[0]], text)


def flaky_worker(folder: Path, command: list[str]) -> Program:
    """Run the worker of the page that fails twice, in a new folder."""
    folder.mkdir()
    return Program("env", "-C", str(folder), *command)


def run_sessions(server: Server, port: int) -> dict[str, str]:
    """Run the commands of the page; return the handles for those of the page."""
    known: dict[str, str] = {}
    for command, expected in sessions("steering.md"):
        place = command.replace(":8080", f":{port}")
        program, *options = shlex.split(with_handles(place, known))
        if program == "curl":
            argv = [servers.foreign(program), "-sS", *options]
        else:
            argv = our_tool(program, server, *options)
        said = outcome(argv)
        assert (said.status, said.err) == (0, ""), command
        # What a worker's command writes is sent to the client, not printed.
        printed = said.out.decode()
        assert alike(printed) == alike(expected), command
        known |= zip(HANDLE.findall(expected), HANDLE.findall(printed), strict=True)
    return known


def run_programs(server: Server, known: dict[str, str], stack: ExitStack) -> None:
    """Run the Python programs of the page; one with a worker goes on running."""
    for block in blocks(DOCS / "steering.md"):
        text = block.replace("localhost:4730", server.address)
        process = start(with_handles(text, known))
        if ".work()" in block:
            stack.callback(process.communicate)
            stack.callback(process.terminate)
        else:
            printed, errors = process.communicate(timeout=servers.DEADLINE)
            assert printed.splitlines() == PRINTED.findall(block), errors


@pytest.fixture
def settings(tmp_path: Path) -> Path:
    """A settings file with the schedule of the page."""
    (text,) = SCHEDULE.findall(PAGE)
    (tmp_path / "report.json").write_text("{}")
    file = tmp_path / "settings.toml"
    file.write_text(text)
    return file


def test_commands_and_programs_of_the_page_do_what_it_says(
    tmp_path: Path, settings: Path
) -> None:
    port = servers.free_port()
    words = ["--job-handle-prefix=H:localhost", "-r", "http", f"--http-port={port}"]
    with ExitStack() as stack:
        server = stack.enter_context(servers.ours(*words, "--settings", str(settings)))
        (command,) = WORKER.findall(PAGE)
        worker = our_tool("gearman", server, *words_of(command))
        stack.enter_context(flaky_worker(tmp_path / "worker", worker))
        known = run_sessions(server, port)
        run_programs(server, known, stack)


def test_every_key_of_a_policy_is_on_the_page() -> None:
    for key in KEYS:
        if hasattr(Policy(), key.field):
            assert f"| `{key.name}` | " in PAGE


def test_limits_of_lists_are_on_the_page() -> None:
    assert f"up to {MOST:,}; without it, {LIMIT}" in PAGE


def test_every_option_of_a_job_is_on_the_page() -> None:
    start, end = PAGE.index("## Options of a job"), PAGE.index("## Dead jobs")
    for name in KEYS_OF[JOB]:
        assert f"`{name}`" in PAGE[start:end]
