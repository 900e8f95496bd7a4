"""The arguments of clients, workers and admin clients: servers, and options."""

import ssl
from collections.abc import Collection
from typing import Any, TypedDict

from ..errors import GearmanError
from ..job import GearmanJobRequest
from ..options import Backoff, Dead
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


class NamedOptions(TypedDict, total=False):
    """Options of a job that are keyword arguments of `submit_job`; times in seconds.

    at, delay: when the job may start: since the epoch, or from now. Both may be given.
    ttl: how long it may wait for its start; then it fails.
    timeout: how long an attempt may take.
    retries, backoff: how many attempts may follow a failed one, after which pauses:
        "fixed:S", or "exponential:S:LONGEST" (the default is "exponential:5:3600"),
        of which a random part is waited.
    keep: how long the server keeps the result of a background job for `get_result`.
    dead: what becomes of a background job that has failed for good: "list" (it goes to
        the server's list of dead jobs), "function:NAME" or "none".
    after: jobs (requests, or handles) of the same server that must have ended before.
    need_worker: the job is refused if no worker has its function now.
    trace: a W3C traceparent.
    """

    at: float | None
    delay: float | None
    ttl: float | None
    timeout: float | None
    retries: int | None
    backoff: str | Backoff | None
    keep: float | None
    dead: str | Dead | None
    after: After | Collection[After] | None
    need_worker: bool | None
    trace: str | None


def tls_arguments(server: dict[str, Any]) -> dict[str, Any]:
    """Return the arguments of `add_ssl_connection`; GearmanError if one is missing."""
    missing = [key for key in _TLS if key not in server]
    if missing:
        raise GearmanError(
            f"Incomplete SSL connection definition: no {', '.join(missing)}"
        )
    return {key: server[key] for key in _TLS}
