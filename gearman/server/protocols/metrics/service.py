"""The port of --metrics-port: HTTP for monitoring, without jobs."""

from typing import ClassVar

from ..http.service import own_names
from ..interface import Protocol, Server, Service, Trace


class Metrics(Service):
    """What all connections of --metrics-port share.

    `host` has further host names of this server for browsers, separated by commas.
    """

    port: ClassVar[int] = 0
    stays: ClassVar[bool] = True

    @classmethod
    def prepare(cls) -> None:
        from ..http import connection  # noqa: F401
        from . import pages  # noqa: F401

    def __init__(self, server: Server, host: str = "") -> None:
        super().__init__(server)
        # Not before they are needed, because they need h11.
        from ..http.origin import Origins
        from .pages import Pages

        self._pages: Pages = Pages(server, Origins(own_names(server, host)))

    def connect(self, address: str, descriptor: int, trace: Trace | None) -> Protocol:
        from ..http.connection import HttpProtocol

        return HttpProtocol(self._pages, address, descriptor, trace)
