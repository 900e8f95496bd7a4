"""Settings of a session of Postgres, such as `SET gman.timeout = 10`."""

from dataclasses import dataclass
from typing import Final

from ...util import host_and_port
from .plpy import Plpy

# Seconds until a job has to end, and until a server has to be connected to.
TIMEOUT: Final = 60.0
CONNECTING: Final = 5.0

# The last one is that of pggearman, an extension in C.
_QUERY: Final = """\
SELECT pg_catalog.current_setting('gman.servers', true) AS servers,
       pg_catalog.current_setting('gman.timeout', true) AS timeout,
       pg_catalog.current_setting('gman.connect_timeout', true) AS connecting,
       pg_catalog.current_setting('pggearman.default_servers', true) AS earlier"""


@dataclass(frozen=True, slots=True)
class Settings:
    """The job servers, and limits in seconds."""

    servers: tuple[str, ...]
    timeout: float = TIMEOUT
    connecting: float = CONNECTING


def read(plpy: Plpy, servers: str | None = None) -> Settings:
    """Return the settings of the session, with other servers if they are given.

    Raises ValueError for wrong ones.
    """
    (row,) = plpy.execute(_QUERY)
    if servers is None:
        servers = row["servers"] or row["earlier"] or ""
    return Settings(
        addresses(servers),
        _seconds("gman.timeout", row["timeout"], TIMEOUT),
        _seconds("gman.connect_timeout", row["connecting"], CONNECTING),
    )


def addresses(text: str) -> tuple[str, ...]:
    """Return the addresses of a list with commas. Raises ValueError for a wrong one."""
    found = tuple(filter(None, map(str.strip, text.split(","))))
    if not found:
        raise ValueError("no job server is set: use gman_servers_set")
    for address in found:
        host_and_port(address)
    return found


def _seconds(name: str, text: str | None, default: float) -> float:
    if not text:
        return default
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0
    if not 0 < seconds <= 1e6:
        raise ValueError(f"{name} is a number of seconds up to 1000000, not {text!r}")
    return seconds
