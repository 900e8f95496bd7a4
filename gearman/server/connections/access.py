"""Which peers may connect, and how many connections each address may have."""

from collections import Counter
from collections.abc import Sequence
from ipaddress import IPv6Address, IPv6Network

from ..networks import UNIX, Network, contains


class AddressFilter:
    """Admits the peers from these networks; all peers if there are none."""

    def __init__(self, networks: Sequence[Network]) -> None:
        self._networks = networks

    def admits(self, address: str) -> bool:
        return not self._networks or contains(self._networks, address)


class ConnectionCounter:
    """Counts connections, in all and by the address of the peer.

    `limit` is for all connections, `limit_per_address` for those of one address; 0 is
    no limit. An IPv6 network of 64 bits counts as one address, since one machine may
    have all of it. Connections by Unix sockets count towards `limit` only.
    """

    def __init__(self, limit: int = 0, limit_per_address: int = 0) -> None:
        self.limit = limit
        self.limit_per_address = limit_per_address
        self.count = 0
        self._counts: Counter[str] = Counter()

    def full(self, address: str) -> str:
        """Return the name of the limit that is reached for this address, or ""."""
        if 0 < self.limit <= self.count:
            return "max-connections"
        if 0 < self.limit_per_address <= self._counts[_one(address)]:
            return "max-connections-per-address"
        return ""

    def largest(self) -> int:
        """Return how many connections the address with the most connections has."""
        return max(self._counts.values(), default=0)

    def enter(self, address: str) -> None:
        self.count += 1
        if address != UNIX:
            self._counts[_one(address)] += 1

    def leave(self, address: str) -> None:
        self.count -= 1
        one = _one(address)
        self._counts[one] -= 1
        if self._counts[one] <= 0:
            del self._counts[one]


def _one(address: str) -> str:
    """Return the key under which an address is counted."""
    if ":" not in address:
        return address
    number = IPv6Address(address.partition("%")[0])
    if number.ipv4_mapped is not None:
        return str(number.ipv4_mapped)
    return str(IPv6Network((number, 64), strict=False))
