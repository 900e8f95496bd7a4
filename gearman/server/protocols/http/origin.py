"""Requests that web pages make browsers send, and which of them are refused.

A browser runs pages of unknown sites, and these can send requests to every server that
the browser reaches. A form or an image of any page can send simple requests to this
server. A page whose host name resolves to this server's address can send any request
(DNS rebinding). Programs are not restricted: they do not send the headers by which
browsers are recognised.
"""

from collections.abc import Iterable
from ipaddress import ip_address
from typing import Final

import h11

from .answers import Refused

# Headers that browsers send, and that a page can neither remove nor change.
_FETCH: Final = b"sec-fetch-site"
_ORIGIN: Final = b"origin"

_HERE: Final = (b"same-origin", b"none")

# A browser sends a header of such a name for a page of another origin only if the
# server allows it, which this server never does.
_OURS: Final = b"x-gearman-"

_UNKNOWN: Final = (
    "A browser uses a host name that this server does not know as its own:"
    " name it with --http-host."
)
_FOREIGN: Final = (
    "This request comes from a browser, and may come from a page of another site."
    " A program can send it with a header that begins with X-Gearman-."
)


class Origins:
    """Refuses requests that pages of other sites make browsers send.

    `hosts` are names of this server in addition to localhost. Addresses are always
    accepted.
    """

    def __init__(self, hosts: Iterable[str] = ()) -> None:
        self._hosts = {"localhost", *(host.lower() for host in hosts)}

    def check_host(self, request: h11.Request) -> None:
        """Raise Refused if a browser uses a host name that is not this server's."""
        if _is_browser(dict(request.headers)) and not self._knows(_host(request)):
            raise Refused(403, _UNKNOWN)

    def check_change(self, request: h11.Request) -> None:
        """Raise Refused if the request may come from a page of another origin."""
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
        # Some programs send "*", for example with Node's fetch.
        or headers.get(b"accept-language", b"*") != b"*"
    )


def _is_address(name: str) -> bool:
    try:
        ip_address(name)
    except ValueError:
        return False
    return True
