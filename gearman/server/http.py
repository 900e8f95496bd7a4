"""The protocol http: jobs by HTTP requests, one a request."""

from typing import TYPE_CHECKING, ClassVar

from .protocol import Option, Protocol, Server, Service, Trace

if TYPE_CHECKING:
    pass


class Http(Service):
    """What is the same for all HTTP connections of a server.

    `timeout` is how many seconds a job may take before its client is told that it
    took too long, 0 for any time. `get` says which functions GET and HEAD run.
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
    )

    @classmethod
    def prepare(cls) -> None:
        from . import http_connection, http_routes  # noqa: F401

    def __init__(self, server: Server, timeout: int = 0, get: str = "known") -> None:
        super().__init__(server)
        # Not before it is needed, because it needs h11.
        from .http_routes import Routes

        self._routes: Routes = Routes(server, timeout, get)

    def connect(self, address: str, descriptor: int, trace: Trace | None) -> Protocol:
        from .http_connection import HttpProtocol

        return HttpProtocol(self._routes, address, descriptor, trace)
