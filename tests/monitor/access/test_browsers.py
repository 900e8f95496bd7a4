"""What a page of another site could make a browser send."""

import pytest

from gearman.monitor.access.browsers import is_foreign, is_local_host, is_loopback


@pytest.mark.parametrize(
    "host",
    [
        *("localhost", "localhost:8731", "LOCALHOST", "localhost.", "a.localhost:1"),
        *("127.0.0.1:8731", "127.1.2.3", "[::1]:8731", "[::1]"),
    ],
)
def test_names_of_this_machine(host: str) -> None:
    assert is_local_host(host)


@pytest.mark.parametrize(
    "host",
    [
        *("", "example.org", "localhost.example.org", "notlocalhost", "10.0.0.1:8731"),
        *("[fe80::1]", "[", "127.0.0.1.example.org", "0x7f.1"),
    ],
)
def test_names_that_may_be_anybodys(host: str) -> None:
    assert not is_local_host(host)


def test_loopback_addresses() -> None:
    assert is_loopback("127.0.0.1")
    assert is_loopback("::1")
    assert is_loopback("::ffff:127.0.0.1")
    assert not is_loopback("::ffff:10.0.0.1")
    assert not is_loopback("0.0.0.0")
    assert not is_loopback("localhost")


@pytest.mark.parametrize(
    ("headers", "foreign"),
    [
        ({}, False),
        ({"sec-fetch-site": "same-origin", "origin": "null"}, False),
        ({"sec-fetch-site": "none"}, False),
        ({"sec-fetch-site": "cross-site"}, True),
        ({"sec-fetch-site": "same-site"}, True),
        ({"origin": "http://localhost:8731", "host": "localhost:8731"}, False),
        ({"origin": "http://localhost:8732", "host": "localhost:8731"}, True),
        ({"origin": "null", "host": "localhost:8731"}, True),
    ],
)
def test_requests_of_other_sites(headers: dict[str, str], foreign: bool) -> None:
    assert is_foreign(headers) is foreign
