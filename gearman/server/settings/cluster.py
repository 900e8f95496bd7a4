"""The options of a server that shares its queue with others."""

import os
import re
import stat
from argparse import ArgumentTypeError
from collections.abc import Mapping
from typing import Any, Final

from ...address import FORMS, UNIX, format_address, parse
from ...errors import ConfigurationError, StartupError
from ...queue import Cluster
from .values import path, seconds

LEASE: Final = 10.0
SHORTEST_LEASE: Final = 1.0
# Bytes.
SHORTEST_SECRET: Final = 16

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
    """Read an address with a port; the path of a socket is none."""
    if text.startswith(UNIX):
        raise ArgumentTypeError(f"must be HOST:PORT, not {text!r}")
    try:
        host, port, _ = parse(text)
    except ValueError as error:
        why = str(error).removesuffix(FORMS)
        raise ArgumentTypeError(f"{why}HOST:PORT or [IPV6]:PORT") from None
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
    (
        ("--cluster-secret-file",),
        {
            "metavar": "FILE",
            "type": path,
            "help": "a file with the secret of the cluster, at least 16 bytes, which"
            " only its owner may read; the same for all servers. Without it, servers"
            " on other machines need certificates to be linked",
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


def read_secret(file: str | None) -> bytes | None:
    """Return the secret in the file of --cluster-secret-file; None if there is no file.

    Spaces and ends of lines around it do not count. Raises StartupError.
    """
    if file is None:
        return None
    try:
        with open(file, "rb") as opened:
            mode = os.fstat(opened.fileno()).st_mode
            secret = opened.read().strip()
    except OSError as error:
        raise StartupError(
            f"the file {file!r} cannot be read ({error.strerror}): give"
            " --cluster-secret-file a file that this user may read"
        ) from error
    if mode & (stat.S_IRWXG | stat.S_IRWXO):
        raise StartupError(
            f"the file {file!r} is open to others than its owner (mode"
            f" {stat.S_IMODE(mode):o}), but it has the secret of the cluster: chmod 600"
            " it"
        )
    if len(secret) < SHORTEST_SECRET:
        raise StartupError(
            f"the secret in {file!r} is too short: it needs at least {SHORTEST_SECRET}"
            " bytes, such as those of `openssl rand -hex 32`"
        )
    return secret
