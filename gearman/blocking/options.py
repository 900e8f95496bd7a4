"""What clients, workers and admin clients may be told: their servers, and options."""

import ssl
from typing import Any, TypedDict

from ..errors import GearmanError
from ..util import Address
from .sockets import Keepalive

# What a `host_list` consists of; a dict is for TLS.
Server = Address | dict[str, Any]

_TLS = ("host", "port", "keyfile", "certfile", "ca_certs")


class Options(TypedDict, total=False):
    """Options that go by name."""

    connect_timeout: float | None
    read_timeout: float | None
    keepalive: Keepalive | None
    ssl_context: ssl.SSLContext | None
    max_packet: int | None


def tls_arguments(server: dict[str, Any]) -> dict[str, Any]:
    """Return what `add_ssl_connection` needs; raises GearmanError without one."""
    missing = [key for key in _TLS if key not in server]
    if missing:
        raise GearmanError(
            f"Incomplete SSL connection definition: no {', '.join(missing)}"
        )
    return {key: server[key] for key in _TLS}
