"""Addresses as text."""

import pytest

from gearman.address import Address, format_address, parse


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("host", Address("host")),
        ("my_host.example.", Address("my_host.example.")),
        ("host:47", Address("host", 47)),
        ("1.2.3.4:65535", Address("1.2.3.4", 65535)),
        ("::1", Address("::1")),
        ("2001:db8::1:1", Address("2001:db8::1:1")),
        ("2001:db8:1:2:3:4:5:4730", Address("2001:db8:1:2:3:4:5:4730")),
        ("fe80::1%eth0", Address("fe80::1%eth0")),
        ("[::1]", Address("::1")),
        ("[::1]:47", Address("::1", 47)),
        ("[fe80::1%eth0]:47", Address("fe80::1%eth0", 47)),
        ("unix:/run/a:b", Address("", None, "/run/a:b")),
    ],
)
def test_an_address_has_these_forms(text: str, address: Address) -> None:
    assert parse(text) == address


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "it needs a host"),
        (":47", "it needs a host"),
        ("host:", "its port is missing"),
        ("host:x", "'x' is no port from 1 to 65535"),
        ("host:0", "'0' is no port"),
        ("host:65536", "'65536' is no port"),
        ("host:²", "'²' is no port"),
        ("a:1:2", "more than one colon, and no IPv6 address"),
        ("::1:4730", r"is \[::1\]:4730 meant, or \[::1:4730\] without a port\?"),
        ("[::1", r"an address in brackets is \[IPV6\]"),
        ("[::1]47", r"an address in brackets is \[IPV6\]"),
        ("[::1]:", "its port is missing"),
        ("[host]:47", "'host' is no IPv6 address"),
        ("a b", "no name of a host"),
        ("a/b", "no name of a host"),
        ("a..b", "no name of a host"),
        ("\udcff", "no name of a host"),
        ("unix:", "it needs a path after unix:"),
        ("unix:/a\0b", "it needs a path after unix:"),
    ],
)
def test_what_is_no_address_is_refused(text: str, why: str) -> None:
    with pytest.raises(
        ValueError, match=f" is no address: .*{why}.*; write HOST, HOST:PORT, "
    ):
        parse(text)


def test_an_error_shows_the_beginning_of_a_long_text() -> None:
    with pytest.raises(ValueError, match="is no address") as caught:
        parse("x" * 100_000)
    assert len(str(caught.value)) < 300


def test_one_to_listen_on_may_be_for_all_hosts_and_any_port() -> None:
    assert parse("", to_listen=True) == Address("")
    assert parse(":0", to_listen=True) == Address("", 0)


@pytest.mark.parametrize("text", ["host:47", "[::1]:47"])
def test_an_address_is_written_as_it_is_read(text: str) -> None:
    host, port, _ = parse(text)
    assert port is not None
    assert format_address(host, port) == text


def test_a_path_is_written_without_a_port() -> None:
    assert format_address("unix:/path", 4730) == "unix:/path"
