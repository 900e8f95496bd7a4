"""Web pages: which requests browsers send for them, and which of these are obeyed.

A browser runs the pages of anybody, and they may send requests to whatever it reaches:
a form or a picture of any page to this server, or every kind of request by a page whose
own name was made to mean this server's address (DNS rebinding). Programs are not
restrained: they send none of the headers by which browsers are known.
"""

from collections.abc import Iterable
from ipaddress import ip_address
from typing import Final

import h11

from .answers import Refused

# Headers that browsers send, and that a page can neither leave out nor change.
_FETCH: Final = b"sec-fetch-site"
_ORIGIN: Final = b"origin"

_HERE: Final = (b"same-origin", b"none")

# A page of another origin may send a header of such a name only if it is allowed to,
# which this server never does.
_OURS: Final = b"x-gearman-"

_UNKNOWN: Final = (
    "A browser calls this server by a name that is not known to be its own:"
    " --http-host tells it."
)
_FOREIGN: Final = (
    "A browser asks for this, and does not say that a page of this server wants it."
    " Other pages need a header that begins with X-Gearman, which only a program sends."
)


class Origins:
    """Refuses what web pages of others have browsers send.

    `hosts` are names of this server beside localhost; an address is no name.
    """

    def __init__(self, hosts: Iterable[str] = ()) -> None:
        self._hosts = {"localhost", *(host.lower() for host in hosts)}

    def check_host(self, request: h11.Request) -> None:
        """Raise Refused if a browser takes this server for another one."""
        if _is_browser(dict(request.headers)) and not self._knows(_host(request)):
            raise Refused(403, _UNKNOWN)

    def check_change(self, request: h11.Request) -> None:
        """Raise Refused if a page of another origin may be behind a request."""
        headers = dict(request.headers)
        if not _is_browser(headers) or any(n.startswith(_OURS) for n in headers):
            return
        if _FETCH in headers:
            own = headers[_FETCH] in _HERE
        else:
            own = headers.get(_ORIGIN, b"").partition(b"://")[2] == _host(request)
        if not own:
            raise Refused(403, _FOREIGN)

    def _knows(self, host: bytes) -> bool:
        name = host.decode("latin-1").lower()
        if name.startswith("["):
            return True
        name = name.partition(":")[0].rstrip(".")
        return name in self._hosts or name.endswith(".localhost") or _is_address(name)


def _host(request: h11.Request) -> bytes:
    return dict(request.headers).get(b"host", b"")


def _is_browser(headers: dict[bytes, bytes]) -> bool:
    return (
        _FETCH in headers
        or _ORIGIN in headers
        or b"referer" in headers
        or headers.get(b"user-agent", b"").startswith(b"Mozilla/")
        # Node's fetch, for one, accepts any.
        or headers.get(b"accept-language", b"*") != b"*"
    )


def _is_address(name: str) -> bool:
    try:
        ip_address(name)
    except ValueError:
        return False
    return True
