"""The SQL functions in C leave no memory behind, and their threads share none."""

import re
import shutil
import subprocess
from pathlib import Path

from tests import servers
from tests.client.stage import unanswered

from .udf import SOURCES, compiler

DRIVER = Path(__file__).with_name("udf_driver.c")
VALGRIND = [
    *("valgrind", "--quiet", "--leak-check=full", "--show-leak-kinds=all"),
    *("--errors-for-leak-kinds=all", "--error-exitcode=9"),
]

NOWHERE = f"{'x' * 64}.invalid"

# What it prints, without the addresses that it sets while the threads run.
EXPECTED = """\
error 1105: gman_servers_check: no job server is set: use gman_servers_set
-1 servers, error
error 1105: gman_do: no job server is set: use gman_servers_set
NULL, and no more rows
refused: gman_do: it has two or three arguments: function, workload, unique
error 1105: gman_servers_set: 'a:b' is no address of a job server: write HOST, \
HOST:PORT, [IPV6]:PORT or unix:PATH, with commas between several
NULL, and no more rows
'NOWHERE'
'DEAD,ALIVE'
warning 1105: gman_servers_check: DEAD: Connection refused
1 servers
warning 1105: gman_servers_check: unix:/nowhere: No such file or directory
warning 1105: gman_servers_check: NOWHERE: NOT RESOLVED
0 servers
error 1317: gman_servers_check: the statement was killed
-1 servers, error
'cba'
warning 1105: the job warns: careful
'abcdef'
warning 1105: gman_do: the job failed: an even number
NULL
error 1105: gman_do: the function has no name, or a NUL in it
NULL, and no more rows
'HANDLE'
0 bytes are the same
255 bytes are the same
256 bytes are the same
3145728 bytes are the same
1 bytes are the same
3000
warning 1105: gman_sum: a job failed: an even number
no sum
0
4 threads were right
0.1 seconds
error 1105: gman_timeout_set: seconds are numbers from 0.001 to 1000000
0.1 seconds, error
error 1105: gman_do: no result in 0.1 s (gman_timeout_set allows more)
NULL, and no more rows
error 1105: gman_sum: no result in 0.1 s (gman_timeout_set allows more)
no sum
error 1317: gman_do: the statement was killed
NULL, and no more rows
error 1317: gman_sum: the statement was killed
no sum
"""


def build(program: Path, *options: str) -> None:
    flags = subprocess.check_output(["mariadb_config", "--cflags"], text=True).split()
    subprocess.run(
        [
            *(compiler(), "-g", "-O1", "-Wall", "-Wextra", "-Werror", "-pthread"),
            *(*flags, *options, f"-I{SOURCES}", "-o", str(program)),
            *map(str, [DRIVER, *sorted(SOURCES.glob("*.c"))]),
        ],
        check=True,
    )


def run(*command: str, job_server: str) -> str:
    """Run the driver; return what it prints, with the same names each time."""
    dead = unanswered()
    done = subprocess.run(
        [*command, job_server, dead],
        capture_output=True,
        text=True,
        timeout=2 * servers.DEADLINE,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stderr == ""
    said = done.stdout.replace(job_server, "ALIVE").replace(dead, "DEAD")
    said = re.sub("(NOWHERE: ).*", r"\1NOT RESOLVED", said.replace(NOWHERE, "NOWHERE"))
    said = re.sub("'H:.*'", "'HANDLE'", said)
    before, _, after = said.partition("\n0\n'ALIVE'")
    return f"{before}\n0\n{after[after.index('4 threads') :]}"


def test_no_memory_is_left_or_used_wrongly(tmp_path: Path, job_server: str) -> None:
    if shutil.which("valgrind") is None:
        servers.missing("valgrind")
    program = tmp_path / "driver"
    build(program)
    assert run(*VALGRIND, str(program), job_server=job_server) == EXPECTED


def test_threads_do_not_race(tmp_path: Path, job_server: str) -> None:
    program = tmp_path / "driver"
    build(program, "-fsanitize=thread")
    assert run(str(program), job_server=job_server) == EXPECTED
