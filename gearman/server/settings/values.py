"""Reading the values of options: numbers, sizes, levels and addresses.

Each function takes the text of an option and returns its value. If the text is invalid,
it raises ArgumentTypeError: the rest of a sentence that begins with the option's name.
"""

import os
import re
from argparse import ArgumentTypeError
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from ipaddress import ip_address, ip_network
from typing import Final

from ...address import parse
from ...commands import DEFAULT_PORT, MAX_HANDLE, MAX_PACKET
from ..networks import Network
from .levels import LEVELS

# The path in sockaddr_un of the BSDs, without its NUL; Linux has a few bytes more.
MAX_SOCKET_PATH: Final = 104 - 1
# A handle is a prefix, a colon and a number. Clients keep it in a buffer of MAX_HANDLE
# bytes, which ends with a NUL. This leaves 17 digits for the number.
MAX_HANDLE_PREFIX: Final = MAX_HANDLE - 1 - len(":") - 17

_WHOLE = re.compile(r"-?[0-9]{1,18}")
_SECONDS = re.compile(r"[0-9]{1,9}(\.[0-9]{1,9})?")
_SIZE = re.compile(r"([0-9]{1,12})([KMG]?)", re.IGNORECASE)
_MODE = re.compile(r"0?[0-7]{3}")
_UNITS = {"": 1, "K": 1024, "M": 1024**2, "G": 1024**3}


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One address to listen on.

    With a `path` it is a Unix socket, otherwise `host` and `port`. An empty host stands
    for all addresses, IPv4 and IPv6; port 0 stands for any free port. `mode` and
    `group` are the permissions and the group of the socket's file; None is the
    system's default.
    """

    host: str = ""
    port: int = DEFAULT_PORT
    path: str = ""
    mode: int | None = None
    group: str | None = None


def whole_number(low: int, high: int = 2**31 - 1) -> Callable[[str], int]:
    """Return a reader of whole numbers from `low` to `high`."""

    def read(text: str) -> int:
        if _WHOLE.fullmatch(text) and low <= int(text) <= high:
            return int(text)
        raise ArgumentTypeError(
            f"must be a whole number from {low} to {high}, not {text!r}"
        )

    return read


port = whole_number(0, 65535)


def seconds(text: str) -> float:
    """Read a time in seconds: more than 0, with or without decimals."""
    if _SECONDS.fullmatch(text) and float(text) > 0:
        return float(text)
    raise ArgumentTypeError(f"must be a number of seconds above 0, not {text!r}")


def size(low: int, high: int) -> Callable[[str], int]:
    """Return a reader of sizes in bytes, with a unit of 1024, 1024² or 1024³."""

    def read(text: str) -> int:
        if match := _SIZE.fullmatch(text):
            number = int(match[1]) * _UNITS[match[2].upper()]
            if low <= number <= high:
                return number
        raise ArgumentTypeError(
            f"must be a number of bytes from {low} to {high}, such as 65536 or 64M,"
            f" not {text!r}"
        )

    return read


def packet_size(text: str) -> int:
    """Read the size of the largest packet; 4G stands for the largest possible one."""
    return min(size(1024, 4 * 1024**3)(text), MAX_PACKET)


def level(text: str) -> int:
    """Read the name of a log level, in upper or lower case."""
    try:
        return LEVELS[text.upper()]
    except KeyError:
        raise ArgumentTypeError(
            f"must be one of {', '.join(LEVELS)}, not {text!r}"
        ) from None


def one_of(names: Sequence[str]) -> Callable[[str], str]:
    """Return a reader of one of these names."""

    def read(text: str) -> str:
        if text in names:
            return text
        known = " or ".join(names)
        raise ArgumentTypeError(f"unknown: {text!r}; this server knows {known}")

    return read


def handle_prefix(text: str) -> str:
    """Read the beginning of job handles; it must be one word of an admin line."""
    if text and text.isascii() and text.isprintable() and " " not in text:
        if len(text) <= MAX_HANDLE_PREFIX:
            return text
        raise ArgumentTypeError(
            f"must not be longer than {MAX_HANDLE_PREFIX} characters, not {len(text)}"
        )
    raise ArgumentTypeError(
        f"must be made of printable ASCII characters without spaces, not {text!r}"
    )


def endpoint(text: str) -> Callable[[int], Endpoint]:
    """Read an address; return a function from the default port to an Endpoint.

    The forms are those of `gearman.address`, and :PORT for all addresses.
    """
    try:
        host, own, socket_path = parse(text, to_listen=True)
    except ValueError as error:
        raise ArgumentTypeError(str(error)) from None
    if socket_path:
        whole = _socket_path(socket_path)
        return lambda default: Endpoint("", 0, whole)
    return lambda default: Endpoint(host, default if own is None else own)


def path(text: str) -> str:
    """Read a path, and return it as an absolute one; an empty path stays empty."""
    try:
        return os.path.abspath(text) if text else text
    except OSError:
        raise ArgumentTypeError(
            f"must begin with a slash, unlike {text!r}: the current directory is gone"
        ) from None


def file_mode(text: str) -> int:
    """Read the permissions of a file, in octal."""
    if _MODE.fullmatch(text):
        return int(text, 8)
    raise ArgumentTypeError(f"must be an octal number such as 0660, not {text!r}")


def networks(text: str) -> tuple[Network, ...]:
    """Read addresses and networks, separated by commas."""
    return tuple(_network(part) for part in text.split(","))


def _network(text: str) -> Network:
    try:
        found = ip_network(text, strict=False)
    except ValueError:
        raise ArgumentTypeError(
            "must be addresses or networks such as 192.0.2.7 or 10.0.0.0/8 or"
            f" 2001:db8::/32, separated by commas, not {text!r}"
        ) from None
    if found.network_address != ip_address(text.partition("/")[0]):
        raise ArgumentTypeError(f"{text!r} is no network: is {found} meant?")
    mapped = getattr(found.network_address, "ipv4_mapped", None)
    if mapped is not None and found.prefixlen >= 96:
        return ip_network((mapped, found.prefixlen - 96))
    return found


def log_file(text: str) -> str:
    """Read the target of the log: stderr, none or a path."""
    return text if text in ("stderr", "none") else path(text)


def _socket_path(text: str) -> str:
    text = path(text)
    length = len(os.fsencode(text))
    if length > MAX_SOCKET_PATH:
        raise ArgumentTypeError(
            f"must be a path of at most {MAX_SOCKET_PATH} bytes, and {text!r} has"
            f" {length}; choose a shorter path"
        )
    return text
