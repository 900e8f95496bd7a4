"""The protocol http: each HTTP request is a job."""

from typing import ClassVar

from ..interface import Option, Protocol, Server, Service, Trace


def own_names(server: Server, host: str) -> list[str]:
    """Return the host names of a server; `host` has further ones."""
    own = server.hostname
    return [own, own.partition(".")[0], *host.replace(",", " ").split()]


class Http(Service):
    """The protocol http: the part that all connections share.

    `timeout` is how many seconds a client waits for its job before it is answered with
    504; 0 is no limit. `get` says which functions GET and HEAD run. `host` has further
    host names of this server for browsers, separated by commas.
    """

    port: ClassVar[int] = 8080
    options: ClassVar[tuple[Option, ...]] = (
        Option(
            keyword="timeout",
            names=("http-timeout",),
            help="how long an HTTP client waits for its job if its request has no"
            " X-Gearman-Timeout (default: no limit)",
            metavar="SECONDS",
            kind="number",
        ),
        Option(
            keyword="get",
            names=("http-get",),
            help="which functions GET and HEAD run: known (a worker has or had the"
            " function; this is the default), any (as with gearmand), or never",
            kind=("known", "any", "never"),
        ),
        Option(
            keyword="host",
            names=("http-host",),
            help="further host names of this server that browsers may use, separated by"
            " commas; addresses, localhost and its host name are always accepted",
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

        origins = Origins(own_names(server, host))
        self._routes: Routes = Routes(server, timeout, get, origins)

    def connect(self, address: str, descriptor: int, trace: Trace | None) -> Protocol:
        from .connection import HttpProtocol

        return HttpProtocol(self._routes, address, descriptor, trace)
