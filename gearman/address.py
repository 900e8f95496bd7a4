"""Addresses as text: one syntax for options, environment variables and the library.

    HOST    HOST:PORT    IPV6    [IPV6]    [IPV6]:PORT    unix:PATH

An IPv6 address without brackets must not end like a port, as ``::1:4730`` does.
"""

import re
from ipaddress import IPv6Address
from typing import Final, NamedTuple

FORMS: Final = "HOST, HOST:PORT, [IPV6]:PORT or unix:PATH"
UNIX: Final = "unix:"

_NO_HOST = re.compile(r"[\s/@\[\]]")
_PORT_AT_THE_END = re.compile(r"(.+):([0-9]{4})")


class Address(NamedTuple):
    """A host and a port (None if the text has none), or the path of a Unix socket.

    `host` is without brackets; with a `path`, `host` is empty.
    """

    host: str
    port: int | None = None
    path: str = ""


def parse(text: str, *, to_listen: bool = False) -> Address:
    """Return the address that `text` describes.

    With `to_listen`, the host may be empty (all addresses), and the port may be 0
    (any free one); otherwise a host is needed, and ports are from 1 to 65535. Raises
    ValueError, whose text is a sentence for the user.
    """
    if text.startswith(UNIX):
        path = text.removeprefix(UNIX)
        if not path or "\0" in path:
            raise _refused(text, "it needs a path after unix:, such as unix:/run/g")
        return Address("", None, path)
    host, port = _split(text)
    if not host and not to_listen:
        raise _refused(text, "it needs a host")
    if port is None:
        return Address(host)
    return Address(host, _port(port, text, 0 if to_listen else 1))


def format_address(host: str, port: int) -> str:
    """Return HOST:PORT, with brackets for IPv6; a host `unix:PATH` as it is."""
    if host.startswith(UNIX):
        return host
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _split(text: str) -> tuple[str, str | None]:
    """Return host and port; None if there is no port."""
    if text.startswith("["):
        inner, bracket, rest = text[1:].partition("]")
        if not bracket or (rest and not rest.startswith(":")):
            raise _refused(text, "an address in brackets is [IPV6] or [IPV6]:PORT")
        if not _is_ipv6(inner):
            raise _refused(text, f"{inner[:80]!r} is no IPv6 address")
        return inner, rest[1:] if rest else None
    if text.count(":") > 1:
        if not _is_ipv6(text):
            raise _refused(text, "more than one colon, and no IPv6 address")
        found = _PORT_AT_THE_END.fullmatch(text)
        if found and _is_ipv6(found[1]):
            raise _refused(
                text, f"is [{found[1]}]:{found[2]} meant, or [{text}] without a port?"
            )
        return text, None
    host, colon, port = text.partition(":")
    return _host(host, text), port if colon else None


def _is_ipv6(text: str) -> bool:
    try:
        IPv6Address(text)
    except ValueError:
        return False
    return True


def _host(host: str, text: str) -> str:
    # The resolver encodes names in this way, and if that fails, raises no OSError.
    try:
        host.encode("idna")
    except UnicodeError:
        raise _refused(text, "that is no name of a host") from None
    if not host.isprintable() or _NO_HOST.search(host):
        raise _refused(text, "that is no name of a host")
    return host


def _port(port: str, text: str, lowest: int) -> int:
    if not port:
        raise _refused(text, "its port is missing")
    number = int(port) if port.isascii() and port.isdigit() and len(port) < 19 else -1
    if lowest <= number < 1 << 16:
        return number
    raise _refused(text, f"{port[:80]!r} is no port from {lowest} to 65535")


def _refused(text: str, why: str) -> ValueError:
    # The text may be long, for example the content of a file.
    return ValueError(f"{text[:80]!r} is no address: {why}; write {FORMS}")
