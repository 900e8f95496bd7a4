"""The servers of a tool, from its options and the environment."""

import pytest

from gearman.cli.servers import (
    address,
    addresses,
    name,
    port_number,
    reason,
    tls,
    unreachable,
)
from gearman.errors import ConfigurationError

ONE, TWO = ("one", 1), ("two", 2)


def test_without_anything_it_is_the_default_port_of_the_host() -> None:
    assert addresses("localhost", "", {}, given=False) == [("localhost", 4730)]


def test_the_environment_replaces_the_command_line() -> None:
    found = addresses("one", "1", {"GEARMAN_SERVER": "two:2,[::1]:3"})
    assert found == [TWO, ("::1", 3)]


def test_servers_of_the_library_come_first() -> None:
    assert addresses("one", "1", {"GEARMAN_SERVERS": "two:2"}) == [TWO, ONE]
    environment = {"GEARMAN_SERVERS": "two:2", "GEARMAN_SERVER": "one:1"}
    assert addresses("host", "3", environment) == [TWO, ONE]


def test_the_default_is_not_added_to_the_servers_of_the_library() -> None:
    found = addresses("localhost", "", {"GEARMAN_SERVERS": "two:2"}, given=False)
    assert found == [TWO]


def test_a_service_is_a_port() -> None:
    assert port_number("http") == 80


@pytest.mark.parametrize("port", ["0", "65536", "-1", "nosuchservice", "\udcff", "²"])
def test_other_ports_are_refused(port: str) -> None:
    with pytest.raises(ConfigurationError, match=r"is no port: give a number from 1"):
        port_number(port)


def test_a_wrong_server_in_the_environment_is_named() -> None:
    with pytest.raises(ConfigurationError, match="GEARMAN_SERVER: 'one:x' is no"):
        addresses("", "", {"GEARMAN_SERVER": "one:x"})


def test_an_empty_host_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="-h takes the name"):
        addresses("", "", {})


@pytest.mark.parametrize(
    ("host", "server"),
    [
        ("host", ("host", 47)),
        ("host:1", ("host", 1)),
        ("::1", ("::1", 47)),
        ("[::1]", ("::1", 47)),
        ("[::1]:1", ("::1", 1)),
        ("unix:/path", ("unix:/path", 47)),
    ],
)
def test_the_host_may_be_an_address_and_the_port_is_for_one_without(
    host: str, server: tuple[str, int]
) -> None:
    assert address(host, "47") == server


def test_a_host_that_is_no_address_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="-h: 'host:x' is no address: 'x' is"):
        address("host:x", "")


def test_missing_certificates_are_explained() -> None:
    with pytest.raises(ConfigurationError, match="be used: No such file or directory"):
        tls({"GEARMAN_CA_CERTIFICATE": "/nonexistent"})


def test_without_certificates_the_system_s_are_used() -> None:
    assert tls({}).check_hostname


def test_an_address_is_named_as_it_is_written() -> None:
    assert name(("host", 1)) == "host:1"
    assert name(("::1", 2)) == "[::1]:2"
    assert name(("unix:/path", 3)) == "unix:/path"


def test_reasons_are_the_system_s_words() -> None:
    assert reason(ConnectionRefusedError(111, "Connection refused")) == (
        "Connection refused"
    )
    assert reason(TimeoutError("timed out")) == "no answer in time"
    assert reason(ValueError("odd")) == "odd"


def test_every_server_that_was_tried_is_named() -> None:
    error = unreachable({"a:1": OSError(1, "first"), "b:2": OSError(2, "second")})
    assert str(error) == (
        "cannot connect to a:1 (first), b:2 (second): start a job server there, or"
        " name another one"
    )
