"""The commands and programs on the pages about HTTP and memcached work as shown.

Handles, dates and ports are different each time.
"""

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from gearman import __version__
from gearman.commands import COMMANDS, FIRST_EXTENSION, Sender
from gearman.server.protocols.http.answers import (
    created,
    not_allowed,
    refused,
    shutting_down,
    too_late,
)
from gearman.server.protocols.http.routes import _FIXED
from tests import servers
from tests.client.stage import meanwhile
from tests.server.protocols.http.test_http import Worker
from tests.test_docs import PRINTED, blocks
from tests.wire import Peer

DOCS = Path(__file__).resolve().parents[1] / "docs"
CONSOLE = re.compile(r"^```console\n(.*?)^```$", re.MULTILINE | re.DOTALL)
HANDLE = re.compile(r"H:localhost:\d+")
DATE = re.compile(r"Date: .*")


def sessions(page: str) -> list[tuple[str, str]]:
    """Return the commands of a page, each with its output."""
    text = "".join(CONSOLE.findall((DOCS / page).read_text()))
    parts = re.split(r"^\$ (.*)\n", text, flags=re.MULTILINE)
    return list(zip(parts[1::2], parts[2::2], strict=True))


def alike(text: str) -> str:
    """Return a text without the parts that are different each time."""
    text = DATE.sub("Date: now", HANDLE.sub("H:localhost:1", text))
    return text.replace("\r", "").replace(__version__, "0.1.0").rstrip("\n")


def test_commands_of_the_page_on_http_print_what_it_says() -> None:
    port = servers.free_port()
    words = ("--job-handle-prefix=H:localhost", "-r", "http", f"--http-port={port}")
    with servers.ours(*words) as server, Peer(server.port) as peer:
        Worker(peer, lambda workload: workload[::-1], b"reverse")
        handle = ""
        for command, expected in sessions("http.md"):
            program, *options = shlex.split(
                HANDLE.sub(handle, command.replace(":8080", f":{port}"))
            )
            printed = subprocess.run(
                [servers.foreign(program), "-sS", *options],
                capture_output=True,
                check=True,
                text=True,
                timeout=servers.DEADLINE,
            ).stdout
            assert alike(printed) == alike(expected), command
            handle = (HANDLE.findall(printed) or [handle])[0]


def test_program_of_the_page_on_memcached_prints_what_it_says() -> None:
    port = servers.free_port()
    with servers.ours("-r", "memcached", f"--memcached-port={port}"):
        (program,) = blocks(DOCS / "memcached.md")
        # pymemcache tries the first address of a name only, which may be ::1.
        program = program.replace("localhost", servers.HOST)
        process = subprocess.Popen(
            [sys.executable, "-c", program.replace("11211", str(port))],
            stdout=subprocess.PIPE,
            text=True,
        )
        output, _ = meanwhile(process.communicate).result(servers.DEADLINE)
        assert output.splitlines() == PRINTED.findall(program)


def test_every_reserved_path_is_on_the_page() -> None:
    page = (DOCS / "http.md").read_text()
    for path in (path.decode() for path in _FIXED if path != b"*"):
        assert f"| `{path}` |" in page


def test_packets_of_our_own_are_on_the_page() -> None:
    names = {sender: str(sender.name) for sender in Sender}
    ours = [row for number, row in COMMANDS.items() if number >= FIRST_EXTENSION]
    for links in (False, True):
        rows = [
            f"| {row.command} | {row.command.name} | {names[row.senders].lower()}"
            f" | {', '.join(row.arguments)} |"
            for row in ours
            if (row.senders is Sender.LINK) == links
        ]
        assert len(rows) > 5
        assert "\n".join(rows) in (DOCS / "protocols.md").read_text()


@pytest.mark.parametrize(
    "answer",
    [
        created(b"H:1"),
        refused(b"QUEUE_ERROR", b"Job queue is full"),
        refused(b"QUEUE_ERROR", b"no disk"),
        refused(b"ARGUMENT_TOO_LARGE", b""),
        too_late(b"", 1),
        shutting_down(),
        not_allowed(b"GET", b"PUT"),
        not_allowed(b"BREW", b"PUT"),
    ],
)
def test_every_status_is_on_the_page(answer) -> None:
    page = (DOCS / "http.md").read_text()
    assert re.search(rf"^\|.*\b{answer.status}\b.*\|.*\|$", page, re.MULTILINE)
