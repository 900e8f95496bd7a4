"""The arguments of clients, workers and admin clients: servers, and options."""

import ssl
from collections.abc import Collection
from typing import Any, TypedDict

from ..errors import GearmanError
from ..job import GearmanJobRequest
from ..options import CommonOptions
from ..util import Address
from .sockets import Keepalive

# One entry of a `host_list`; a dict is for TLS.
Server = Address | dict[str, Any]

# A job that another one waits for.
After = str | bytes | GearmanJobRequest

_TLS = ("host", "port", "keyfile", "certfile", "ca_certs")


class Options(TypedDict, total=False):
    """Options that are keyword arguments; see GearmanConnectionManager."""

    connect_timeout: float | None
    read_timeout: float | None
    keepalive: Keepalive | None
    ssl_context: ssl.SSLContext | None
    max_packet: int | None
    discover: bool


class NamedOptions(CommonOptions, total=False):
    """Options of a job that are keyword arguments of `submit_job`; see CommonOptions.

    at: seconds since the epoch before which the job may not start. It may also have a
        `delay`.
    after: jobs (requests, or handles) of the same server that must have ended before.
    """

    at: float | None
    after: After | Collection[After] | None


def tls_arguments(server: dict[str, Any]) -> dict[str, Any]:
    """Return the arguments of `add_ssl_connection`; GearmanError if one is missing."""
    missing = [key for key in _TLS if key not in server]
    if missing:
        raise GearmanError(
            f"Incomplete SSL connection definition: no {', '.join(missing)}"
        )
    return {key: server[key] for key in _TLS}
