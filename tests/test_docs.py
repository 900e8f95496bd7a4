"""Every Python block of the manual runs, and prints what its comments say.

Blocks with a worker are started, and run until the end of the page. The other blocks
run to their end, one after the other. The output of a line is in the comment after it.
"""

import inspect
import re
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path

import pytest

import gearman
from gearman.blocking.options import Options
from tests import servers
from tests.client.stage import meanwhile

ROOT = Path(__file__).resolve().parents[1]
PAGES = [
    ROOT / "README.md",
    ROOT / "docs" / "asyncio.md",
    ROOT / "docs" / "client.md",
    ROOT / "docs" / "monitoring.md",
    ROOT / "docs" / "scale.md",
]

BLOCK = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)
PRINTED = re.compile(r"^ *print\(.*\)  # (.*)$", re.MULTILINE)


OPTION = re.compile(
    r"^\| `(\w+)` \| (?:[\d.]+|None|False|`Keepalive.*?`) \|", re.MULTILINE
)


def blocks(page: Path) -> list[str]:
    return BLOCK.findall(page.read_text())


def start(program: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", program],
        env=servers.package_environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_program_of_a_page_does_what_it_says(page: Path) -> None:
    with ExitStack() as stack:
        address = stack.enter_context(servers.ours()).address
        programs = [
            block.replace("localhost:4730", address).replace(
                '("localhost", 4730)', repr(_host_and_port(address))
            )
            for block in blocks(page)
        ]
        for program in programs:
            if ".work()" in program:
                process = start(program)
                stack.callback(process.communicate)
                stack.callback(process.terminate)
        for program in programs:
            if ".work()" not in program:
                process = start(program)
                output, errors = meanwhile(process.communicate).result(servers.DEADLINE)
                assert process.returncode == 0, f"{program}\n{errors}"
                expected = PRINTED.findall(program)
                printed = [line.rstrip() for line in output.splitlines()]
                assert not expected or printed == expected


def _host_and_port(address: str) -> tuple[str, int]:
    host, port = address.split(":")
    return host, int(port)


def test_the_manual_has_programs() -> None:
    assert len(blocks(ROOT / "docs" / "client.md")) > 10


def test_every_option_is_in_the_manual() -> None:
    kinds = gearman.GearmanClient, gearman.GearmanWorker, gearman.GearmanAdminClient
    options = {
        name for kind in kinds for name in inspect.signature(kind.__init__).parameters
    }
    options |= {*Options.__annotations__}
    table = OPTION.findall((ROOT / "docs" / "client.md").read_text())
    assert set(table) == options - {"self", "host_list", "options"}
