"""The address of a socket's peer, and whether the peer has hung up."""

import select
from typing import Any

from ...address import format_address

# A peer's address as sockets return it; on Unix sockets it is usually empty.
Address = tuple[Any, ...] | str | bytes


def hung_up(descriptor: int) -> bool:
    """Whether the peer sends no more, although there may be unread input.

    Other systems than Linux tell this only if the connection has failed.
    """
    poll = select.poll()
    poll.register(descriptor, getattr(select, "POLLRDHUP", 0))
    return bool(poll.poll(0))


def host_of(address: Address) -> str:
    """Return the host of a peer's address, `unix` for a Unix socket."""
    return address[0] if isinstance(address, tuple) else "unix"


def describe(address: tuple[str, int] | str) -> str:
    """Return an address as in an option: 1.2.3.4:4730, [::1]:4730, unix:PATH."""
    if isinstance(address, str):
        return f"unix:{address}"
    return format_address(*address[:2])
