"""Whether the job servers are there, when the runner starts."""

import socket
from collections.abc import Iterable, Iterator

from ...address import UNIX
from ...cli.servers import name, reason
from ...util import host_and_port

# Seconds for each server; the runner starts no process in this time.
_PATIENCE = 2.0


def unreachable(servers: Iterable[str]) -> Iterator[str]:
    """Yield a sentence for each server that cannot be connected to."""
    for server in servers:
        address = host_and_port(server)
        try:
            _connect(address)
        except OSError as error:
            yield (
                f"cannot connect to {name(address)} ({reason(error)}): start a job"
                " server there, or name another one with --servers; trying again"
            )


def _connect(address: tuple[str, int]) -> None:
    host, port = address
    if not host.startswith(UNIX):
        socket.create_connection(address, _PATIENCE).close()
        return
    with socket.socket(socket.AF_UNIX) as end:
        end.settimeout(_PATIENCE)
        end.connect(host.removeprefix(UNIX))
