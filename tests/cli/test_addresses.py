"""Every tool and the library accept each form of address."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import gearman
from tests import servers
from tests.cli import tools
from tests.servers import HOST, Server


@pytest.fixture(scope="module")
def everywhere(
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[tuple[Server, Path]]:
    """A server on IPv4, IPv6 and a Unix socket, and the path of the socket."""
    path = tmp_path_factory.mktemp("s") / "socket"
    port = servers.free_port()
    options = ["-L", "::1", "-L", f"unix:{path}"]
    with servers.ours(*options, port=port) as server:
        yield server, path


@pytest.fixture(
    params=["{host} -p {port}", "{host}:{port} -p 1", "::1 -p {port}"]
    + ["[::1] -p {port}", "[::1]:{port}", "unix:{path}", "unix:{path} -p 1"]
)
def words(request: pytest.FixtureRequest, everywhere: tuple[Server, Path]) -> list[str]:
    server, path = everywhere
    text: str = request.param.format(host=HOST, port=server.port, path=path)
    return ["-h", *text.split()]


def test_gearadmin_takes_every_form(
    everywhere: tuple[Server, Path], words: list[str]
) -> None:
    said = tools.gearadmin(None, *words, "--getpid")
    assert said == tools.Outcome(0, b"%d\n" % everywhere[0].process.pid, "")


def test_gearman_takes_every_form(words: list[str]) -> None:
    said = tools.gearman(None, *words, "-b", "-v", "-f", "form", "data")
    assert said.status == 0, said.err


def test_the_library_and_the_environment_take_every_form(
    everywhere: tuple[Server, Path],
) -> None:
    server, path = everywhere
    forms = [f"{HOST}:{server.port}", f"[::1]:{server.port}", f"unix:{path}"]
    others: list[Any] = [(HOST, server.port), ("::1", server.port)]
    for form in [*forms, *others]:
        with gearman.GearmanAdminClient([form]) as admin:
            assert admin.get_pid() == f"OK {server.process.pid}"
    command = tools.our_tool("gearman", None, "--ping", "-v")
    environment = {"GEARMAN_SERVERS": ",".join(forms)}
    said = tools.outcome(command, environment=environment)
    assert said == tools.Outcome(0, b"ping OK\n" * len(forms), "")
