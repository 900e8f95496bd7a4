"""IP networks, and whether a peer's address is in one of them."""

from collections.abc import Sequence
from ipaddress import IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Final

Network = IPv4Network | IPv6Network

LOOPBACK: Final[tuple[Network, ...]] = (ip_network("127.0.0.0/8"), ip_network("::1"))

# The address of every peer on a Unix socket. The permissions of the socket's file
# decide who may connect.
UNIX: Final = "unix"


def contains(networks: Sequence[Network], address: str) -> bool:
    """Whether an address is in one of these networks, or is UNIX.

    An IPv4 address may be written as IPv6 (::ffff:1.2.3.4). Raises ValueError if it is
    not an address.
    """
    if address == UNIX:
        return True
    number = ip_address(address.partition("%")[0])
    if isinstance(number, IPv6Address) and number.ipv4_mapped is not None:
        number = number.ipv4_mapped
    return any(number in network for network in networks)
