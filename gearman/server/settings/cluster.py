"""The options of a server that shares its queue with others."""

import re
from argparse import ArgumentTypeError
from collections.abc import Mapping
from typing import Any, Final

from ...address import format_address, parse
from ...errors import ConfigurationError
from ...queue import Cluster
from .values import seconds

LEASE: Final = 10.0
SHORTEST_LEASE: Final = 1.0

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}")


def cluster_name(text: str) -> str:
    """Read the name of a cluster."""
    if _NAME.fullmatch(text):
        return text
    raise ArgumentTypeError(
        "must be made of letters, digits, dots, dashes and underscores, at most 63, and"
        f" begin with a letter or digit, not {text!r}"
    )


def host_and_port(text: str) -> str:
    """Read an address with a port."""
    try:
        host, port, _ = parse(text)
    except ValueError as error:
        raise ArgumentTypeError(str(error)) from None
    if port is None:
        raise ArgumentTypeError(f"must be HOST:PORT, not {text!r}")
    return format_address(host, port)


def lease(text: str) -> float:
    """Read the time of a lease in seconds."""
    found = seconds(text)
    if found < SHORTEST_LEASE:
        raise ArgumentTypeError(f"must be at least {SHORTEST_LEASE:g}, not {text}")
    return found


# As in the table of all options.
ROWS: Final[tuple[tuple[tuple[str, ...], dict[str, Any]], ...]] = (
    (
        ("--cluster",),
        {
            "metavar": "NAME",
            "type": cluster_name,
            "help": "share the queue with other servers of the cluster NAME: each of"
            " them owns a part of the jobs",
        },
    ),
    (
        ("--cluster-address",),
        {
            "metavar": "HOST:PORT",
            "type": host_and_port,
            "help": "where the others find this server; needed with --cluster",
        },
    ),
    (
        ("--cluster-lease",),
        {
            "metavar": "SECONDS",
            "type": lease,
            "help": "others take over the jobs of a server that gave no sign for so"
            " many seconds; the same for all servers of a cluster (default: 10)",
        },
    ),
)


def cluster(options: Mapping[str, Any]) -> Cluster | None:
    """Return the cluster that options say. Raises ConfigurationError."""
    name = options.get("cluster")
    if name is None:
        return None
    address = options.get("cluster_address")
    if address is None:
        raise ConfigurationError(
            "--cluster needs the address of this server, as the others see it: name it"
            " with --cluster-address HOST:PORT"
        )
    return Cluster(name, address, options.get("cluster_lease", LEASE))
