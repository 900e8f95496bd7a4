"""Small things that programs import from here."""

import time
from collections.abc import Iterable, Sequence
from typing import Any, TypeVar

from . import address
from .blocking.polling import Source, ready
from .constants import DEFAULT_GEARMAN_PORT
from .payload import as_text

T = TypeVar("T")

# "host", "host:port", "[::1]:4730", "unix:/path", (host, port) or [host, port].
Address = str | bytes | tuple[str, int] | list[Any]


class Stopwatch:
    """Count down from a number of seconds; from None it never ends."""

    def __init__(self, time_remaining: float | None) -> None:
        self.stop_time: float | None = None
        if time_remaining is not None:
            self.stop_time = time.monotonic() + time_remaining

    def get_time_remaining(self) -> float | None:
        """Return the seconds that are left, 0.0 at the end, or None."""
        if self.stop_time is None:
            return None
        return max(0.0, self.stop_time - time.monotonic())

    def has_time_remaining(self, time_comparison: float | None = None) -> bool:
        """Whether there is time left, now or at a time of the monotonic clock."""
        if self.stop_time is None:
            return True
        if time_comparison is None:
            time_comparison = time.monotonic()
        return time_comparison < self.stop_time


def disambiguate_server_parameter(hostport_tuple: Address) -> tuple[str, int]:
    """Return host and port of a server.

    Known are (host, port) and what `gearman.address` reads; "unix:/path" is a host
    whose port means nothing. Raises ValueError for others.
    """
    if isinstance(hostport_tuple, tuple | list):
        if len(hostport_tuple) != 2:
            raise ValueError(
                f"a server is (host, port), not {len(hostport_tuple)} items"
            )
        host, port = hostport_tuple
        return host, port
    return host_and_port(as_text(hostport_tuple))


def host_and_port(text: str, default: int = DEFAULT_GEARMAN_PORT) -> tuple[str, int]:
    """Return host and port of a server that is named by an address.

    Raises ValueError for what is no address.
    """
    host, port, path = address.parse(text)
    return (f"{address.UNIX}{path}" if path else host), port or default


def select(
    rlist: Iterable[Source],
    wlist: Iterable[Source],
    xlist: Iterable[Source],
    timeout: float | None = None,
) -> tuple[list[Source], list[Source], list[Source]]:
    """Do what select.select does, for any number of descriptors."""
    found = ready(rlist, wlist, timeout, watched=xlist)
    return list(found[0]), list(found[1]), list(found[2])


def unlist(given_list: Sequence[T]) -> T | None:
    """Return the only item, or None; raises ValueError if there are several."""
    if len(given_list) > 1:
        raise ValueError(len(given_list))
    return given_list[0] if given_list else None
