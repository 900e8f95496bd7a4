"""Settings of a session of Postgres, such as `SET gman.timeout = 10`."""

import ssl
from dataclasses import dataclass
from typing import Any, Final

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
       pg_catalog.current_setting('gman.tls', true) AS tls,
       pg_catalog.current_setting('gman.tls_ca', true) AS ca,
       pg_catalog.current_setting('gman.tls_cert', true) AS certificate,
       pg_catalog.current_setting('gman.tls_key', true) AS key,
       pg_catalog.current_setting('pggearman.default_servers', true) AS earlier"""


# How Postgres writes true and false, in its own settings.
_TRUTH: Final = {
    **dict.fromkeys(("on", "true", "yes", "1"), True),
    **dict.fromkeys(("off", "false", "no", "0"), False),
}


@dataclass(frozen=True, slots=True)
class Tls:
    """Files for TLS: of authorities to trust, of our certificate, and of its key."""

    ca: str = ""
    certificate: str = ""
    key: str = ""

    def context(self) -> ssl.SSLContext:
        """Return a context that verifies servers. Raises ValueError for wrong files."""
        try:
            context = ssl.create_default_context(cafile=self.ca or None)
            if self.certificate:
                context.load_cert_chain(self.certificate, self.key or None)
        except OSError as error:
            names = "gman.tls_ca, gman.tls_cert and gman.tls_key"
            reason = error.strerror or error
            raise ValueError(f"the files of {names} can't be used: {reason}") from error
        return context


@dataclass(frozen=True, slots=True)
class Settings:
    """The job servers, limits in seconds, and TLS if it is used."""

    servers: tuple[str, ...]
    timeout: float = TIMEOUT
    connecting: float = CONNECTING
    tls: Tls | None = None


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
        _tls(row),
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


def _tls(row: dict[str, Any]) -> Tls | None:
    files = Tls(row["ca"] or "", row["certificate"] or "", row["key"] or "")
    text = row["tls"] or ""
    wanted = _TRUTH.get(text.lower(), False if not text else None)
    if wanted is None:
        raise ValueError(f"gman.tls is on or off, not {text!r}")
    # A file alone is enough: without TLS it would have no effect.
    return files if wanted or files != Tls() else None
