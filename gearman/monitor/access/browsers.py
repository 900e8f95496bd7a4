"""What a page of another site could make a browser send, and is refused."""

from collections.abc import Mapping
from ipaddress import ip_address
from typing import Final

_HERE: Final = ("same-origin", "none")


def is_local_host(host: str) -> bool:
    """Whether the Host header names this machine, and no name that may be anybody's.

    Otherwise a page whose host name resolves to this machine's address (DNS rebinding)
    could ask for anything.
    """
    name = host.lower()
    if name.startswith("["):
        name = name[1:].partition("]")[0]
    else:
        name = name.partition(":")[0].rstrip(".")
    return name == "localhost" or name.endswith(".localhost") or is_loopback(name)


def is_loopback(address: str) -> bool:
    """Whether it is an address of this machine itself."""
    try:
        found = ip_address(address)
    except ValueError:
        return False
    mapped = getattr(found, "ipv4_mapped", None)
    return bool((mapped or found).is_loopback)


def is_foreign(headers: Mapping[str, str]) -> bool:
    """Whether a browser sends this request for a page of another site."""
    if site := headers.get("sec-fetch-site"):
        return site not in _HERE
    if origin := headers.get("origin"):
        return origin.partition("://")[2] != headers.get("host", "")
    return False
