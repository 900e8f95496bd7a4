"""The protocol http: jobs by HTTP requests, one a request."""

from typing import ClassVar

from ..interface import Option, Protocol, Server, Service, Trace


class Http(Service):
    """What is the same for all HTTP connections of a server.

    `timeout` is how many seconds a job may take before its client is told that it
    took too long, 0 for any time. `get` says which functions GET and HEAD run. `host`
    has the names by which browsers may call this server, between commas.
    """

    port: ClassVar[int] = 8080
    options: ClassVar[tuple[Option, ...]] = (
        Option(
            keyword="timeout",
            names=("http-timeout",),
            help="how long an HTTP client may wait for its job, if its request does"
            " not say; without it, any time",
            metavar="SECONDS",
            kind="number",
        ),
        Option(
            keyword="get",
            names=("http-get",),
            help="which functions GET and HEAD run: known, those that a worker has or"
            " had (the default); any, as with gearmand; or never one",
            kind=("known", "any", "never"),
        ),
        Option(
            keyword="host",
            names=("http-host",),
            help="names by which browsers may call this server, between commas, beside"
            " addresses, localhost and its host name",
            metavar="NAMES",
        ),
    )

    @classmethod
    def prepare(cls) -> None:
        from . import connection as http_connection  # noqa: F401

    def __init__(
        self, server: Server, timeout: int = 0, get: str = "known", host: str = ""
    ) -> None:
        super().__init__(server)
        # Not before they are needed, because they need h11.
        from .origin import Origins
        from .routes import Routes

        own = server.hostname
        names = [own, own.partition(".")[0], *host.replace(",", " ").split()]
        self._routes: Routes = Routes(server, timeout, get, Origins(names))

    def connect(self, address: str, descriptor: int, trace: Trace | None) -> Protocol:
        from .connection import HttpProtocol

        return HttpProtocol(self._routes, address, descriptor, trace)
