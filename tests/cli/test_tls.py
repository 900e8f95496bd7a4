"""`-S`: TLS, with certificates that the environment names."""

from collections.abc import Iterator

import pytest

from tests.certificates import Authority
from tests.cli.tools import Outcome, our_tool, outcome
from tests.interop.programs import Program
from tests.servers import Server, ours


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture(scope="module")
def server(authority: Authority) -> Iterator[Server]:
    """A server that requires a certificate."""
    trust = authority.trust(authority.client)
    with ours(*authority.options("required"), tls=trust) as running:
        yield running


def test_jobs_and_results_go_through_tls(server: Server, authority: Authority) -> None:
    environment = authority.environment()
    worker = our_tool("gearman", server, "-S", "-w", "-c1", "-f", "f", "--", "cat")
    variables = [f"{name}={value}" for name, value in environment.items()]
    with Program("env", *variables, *worker):
        words = ["-S", "-f", "f", "data"]
        said = outcome(our_tool("gearman", server, *words), environment=environment)
    assert said == Outcome(0, b"data", "")


def test_admin_questions_go_through_tls(server: Server, authority: Authority) -> None:
    command = our_tool("gearadmin", server, "-S", "--getpid")
    said = outcome(command, environment=authority.environment())
    assert said == Outcome(0, f"{server.process.pid}\n".encode(), "")


def test_variable_of_libgearman_names_the_authority_as_well(
    server: Server, authority: Authority
) -> None:
    environment = authority.environment()
    environment["GEARMAND_CA_CERTIFICATE"] = environment.pop("GEARMAN_CA_CERTIFICATE")
    said = outcome(our_tool("gearadmin", server, "-S", "--getpid"), b"", environment)
    assert said.status == 0


def test_a_server_without_a_known_certificate_is_refused(server: Server) -> None:
    words = ["-S", "-b", "-f", "f", "data"]
    said = outcome(our_tool("gearman", server, *words))
    assert said.status == 1
    assert f"cannot connect to {server.address} (TLS: " in said.err
    assert said.err.count("\n") == 1


def test_tool_without_a_certificate_is_refused_where_one_is_required(
    server: Server, authority: Authority
) -> None:
    environment = {"GEARMAN_CA_CERTIFICATE": str(authority.path)}
    said = outcome(our_tool("gearadmin", server, "-S", "--getpid"), b"", environment)
    assert said.status == 1
    assert "Traceback" not in said.err
    assert said.err.count("\n") == 1


def test_tool_without_tls_is_refused(server: Server) -> None:
    said = outcome(our_tool("gearadmin", server, "--getpid"))
    assert said.status == 1
    assert said.err.count("\n") == 1
