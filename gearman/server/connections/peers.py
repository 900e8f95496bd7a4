"""Who is at the other end of a socket, and whether anybody still is."""

import select
from typing import Any

from ...address import written

# What a socket calls its peer; a peer on a Unix socket hardly ever has a name.
Address = tuple[Any, ...] | str | bytes


def hung_up(descriptor: int) -> bool:
    """Whether the peer will send nothing more, although not all was read.

    That can be told on Linux; elsewhere only if the connection has failed.
    """
    poll = select.poll()
    poll.register(descriptor, getattr(select, "POLLRDHUP", 0))
    return bool(poll.poll(0))


def host_of(address: Address) -> str:
    """Return the host alone of a peer's address, `unix` for that of a Unix socket."""
    return address[0] if isinstance(address, tuple) else "unix"


def describe(address: tuple[str, int] | str) -> str:
    """Return an address as it is written in an option: 1.2.3.4:4730, [::1]:4730."""
    if isinstance(address, str):
        return f"unix:{address}"
    return written(*address[:2])
