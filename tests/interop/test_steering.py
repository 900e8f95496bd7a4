"""Policies, with clients and workers that know nothing of them: docs/steering.md.

C gearmand has no policies, so these tests run with this server only.
"""

import re
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from tests import servers
from tests.cli.tools import gearadmin
from tests.interop.programs import Program, c_tool, php, run
from tests.servers import Server
from tests.test_docs_protocols import sessions
from tests.test_docs_steering import PAGE, WORKER, flaky_worker, words_of

SCRIPT = re.compile(r"^```php\n(.*?)^```$", re.MULTILINE | re.DOTALL)

Start = Callable[[Server, Path], AbstractContextManager[Program]]


def php_worker(server: Server, folder: Path) -> Program:
    (script,) = SCRIPT.findall(PAGE)
    path = folder / "worker.php"
    # PHP's library may try the first address of a name only, which may be ::1.
    script = script.replace("localhost", servers.HOST)
    path.write_text(script.replace("4730", str(server.port)))
    return Program(php(), str(path))


def c_worker(server: Server, folder: Path) -> Program:
    (command,) = WORKER.findall(PAGE)
    words = words_of(command)
    return flaky_worker(folder / "worker", c_tool("gearman", server, *words))


@pytest.mark.parametrize("start", [php_worker, c_worker])
def test_c_client_hears_only_of_the_third_attempt(start: Start, tmp_path: Path) -> None:
    (allow, _), (submit, expected) = sessions("steering.md")[:2]
    with servers.ours() as server:
        assert gearadmin(server, *words_of(allow)).out == b"OK\n"
        with start(server, tmp_path):
            client = c_tool("gearman", server, *words_of(submit))
            assert run(*client) == expected.rstrip("\n") + "\n"


def test_without_a_policy_the_first_failure_is_final(tmp_path: Path) -> None:
    _, (submit, _) = sessions("steering.md")[:2]
    with servers.ours() as server, php_worker(server, tmp_path):
        client = c_tool("gearman", server, *words_of(submit))
        assert "Job failed" in run(*client, status=1)
