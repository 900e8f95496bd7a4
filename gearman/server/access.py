"""Who may connect, and who may change something: told by the peer's address."""

from collections.abc import Sequence
from ipaddress import IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from math import inf
from typing import Final

Network = IPv4Network | IPv6Network

LOOPBACK: Final[tuple[Network, ...]] = (ip_network("127.0.0.0/8"), ip_network("::1"))

# The address of whoever came by a Unix socket. The permissions of its file have
# decided already.
UNIX: Final = "unix"

# Seconds between two lines in the log about peers that were turned away.
INTERVAL: Final = 60.0


def contains(networks: Sequence[Network], address: str) -> bool:
    """Whether one of these networks has the address, or it is that of a Unix socket.

    An IPv4 address may be written as IPv6 (::ffff:1.2.3.4).
    """
    if address == UNIX:
        return True
    number = ip_address(address.partition("%")[0])
    if isinstance(number, IPv6Address) and number.ipv4_mapped is not None:
        number = number.ipv4_mapped
    return any(number in network for network in networks)


class Gate:
    """Lets in the peers from these networks; without any, everyone."""

    def __init__(self, networks: Sequence[Network]) -> None:
        self._networks = networks
        self._refused = 0
        self._told = -inf

    def admits(self, address: str) -> bool:
        return not self._networks or contains(self._networks, address)

    def complaint(self, address: str, now: float) -> str:
        """Return what to log about a peer that was not let in.

        That is nothing for a while after the last line: a flood of connections must
        not become one of the log. `now` is in seconds.
        """
        if now < self._told + INTERVAL:
            self._refused += 1
            return ""
        others = f", and so were {self._refused} before it" if self._refused else ""
        self._refused, self._told = 0, now
        return f"{address}: refused, --allow-from does not name it{others}"
