"""The programs of docs/php.md do what the page says, in PHP."""

import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.interop.programs import Program, php
from tests.servers import DEADLINE, Server, until
from tests.wire import Peer

PAGE = Path(__file__).resolve().parents[2] / "docs" / "php.md"
BLOCK = re.compile(r"^```php\n(.*?)^```$", re.MULTILINE | re.DOTALL)
PRINTED = re.compile(r"^ *echo .*;  +// (.*)$", re.MULTILINE)

WORKER, *CLIENTS = BLOCK.findall(PAGE.read_text())
NAMES = re.findall(r"addFunction\('(\w+)'", WORKER)


def write(program: str, server: Server, folder: Path) -> list[str]:
    """Return the command that runs a program of the page with the server."""
    path = folder / "program.php"
    address = f"'{server.host}', {server.port}"
    assert "'127.0.0.1', 4730" in program
    path.write_text(program.replace("'127.0.0.1', 4730", address))
    return [php(), str(path)]


@pytest.fixture
def worker(server: Server, tmp_path: Path) -> Iterator[Program]:
    folder = tmp_path / "worker"
    folder.mkdir()
    with Program(*write(WORKER, server, folder)) as running, Peer(server.port) as peer:
        # libgearman registers them in any order.
        lines = {b"%b\t0\t0\t1" % name.encode() for name in NAMES}
        until(lambda: lines <= {*peer.ask_list(b"status")})
        yield running


@pytest.mark.usefixtures("worker")
@pytest.mark.parametrize("program", CLIENTS)
def test_a_client_of_the_page_prints_what_it_says(
    server: Server, tmp_path: Path, program: str
) -> None:
    command = write(program, server, tmp_path)
    done = subprocess.run(command, capture_output=True, text=True, timeout=DEADLINE)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines() == PRINTED.findall(program)
    assert done.stdout


def test_the_worker_of_the_page_outlives_its_jobs_exceptions(
    server: Server, worker: Program
) -> None:
    with Peer(server.port) as peer:
        for _ in range(2):
            peer.send("SUBMIT_JOB", b"careless", b"", b"data")
            handle = peer.expect("JOB_CREATED")[0]
            # gearmand adds an empty argument.
            assert peer.expect("WORK_FAIL")[0] == handle
            assert worker.line() == "a job failed: nobody catches this"


def test_an_exception_that_is_let_through_loses_its_text(
    server: Server, worker: Program
) -> None:
    with Peer(server.port) as peer:
        peer.request("OPTION_REQ", b"exceptions")
        peer.send("SUBMIT_JOB", b"careless", b"", b"data")
        handle = peer.expect("JOB_CREATED")[0]
        text = b"Unable to add worker function"
        assert peer.expect("WORK_EXCEPTION") == [handle, text]
    assert worker.line() == "a job failed: nobody catches this"


def test_the_worker_of_the_page_is_named(server: Server, worker: Program) -> None:
    with Peer(server.port) as peer:

        def names() -> list[bytes]:
            lines = [w for w in peer.ask_list(b"workers") if b"divide" in w]
            return [line.split()[2] for line in lines]

        until(lambda: names() == [b"reverser"])
