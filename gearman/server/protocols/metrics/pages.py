"""The pages of --metrics-port: /metrics, /healthz and /readyz."""

from collections.abc import Callable
from typing import Final

import h11

from ...broker import Peer
from ..http import answers
from ..http.answers import Answer, Listing, Refused
from ..http.health import alive, ready
from ..http.origin import Origins
from ..http.target import split
from ..interface import Server
from .exposition import CONTENT_TYPE, Exposition

_METHODS: Final = b"GET, HEAD"


class Pages:
    """Finds the page that a request asks for."""

    def __init__(self, server: Server, origins: Origins) -> None:
        self.server = server
        self._origins = origins
        exposition = Exposition(server)
        self._pages: dict[bytes, Callable[[bytes], Answer | Listing]] = {
            b"/metrics": lambda method: listing(exposition, method),
            b"/healthz": lambda _: alive(),
            b"/readyz": lambda _: ready(server),
        }

    def find(self, request: h11.Request, peer: Peer) -> Answer | Listing:
        """Return what a request asks for."""
        try:
            path, _ = split(request.target)
            self._origins.check_host(request)
        except Refused as refused:
            return refused.answer
        page = self._pages.get(path)
        if page is None:
            known = b", ".join(self._pages).decode()
            return answers.sentence(404, f"There is nothing here but {known}.")
        if request.method not in _METHODS.split(b", "):
            return answers.not_allowed(request.method, _METHODS)
        return page(request.method)


def listing(exposition: Exposition, method: bytes) -> Listing:
    """Answer with all metrics; for HEAD none are made."""
    pieces = iter(()) if method == b"HEAD" else exposition.pieces()
    return Listing((CONTENT_TYPE,), pieces)
