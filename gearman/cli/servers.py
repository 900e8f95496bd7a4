"""The servers of a tool: their addresses, TLS, and error messages about them."""

import socket
import ssl
from collections.abc import Mapping

from ..address import format_address
from ..commands import DEFAULT_PORT
from ..errors import ConfigurationError, ServerUnavailable
from ..util import host_and_port

Address = tuple[str, int]


def port_number(text: str) -> int:
    """Return the port for a number or a service's name.

    Raises ConfigurationError if it is neither.
    """
    if text.isascii() and text.isdigit() and 0 < int(text) < 1 << 16:
        return int(text)
    try:
        return socket.getservbyname(text, "tcp")
    except (OSError, UnicodeError):
        raise ConfigurationError(
            f"{text!r} is no port: give a number from 1 to 65535 or a service's name"
        ) from None


def addresses(
    host: str, port: str, environment: Mapping[str, str], *, given: bool = True
) -> list[Address]:
    """Return the servers to try, in this order.

    Those of GEARMAN_SERVERS are first, then those of GEARMAN_SERVER or, without it, the
    host and port of the command line. If these were not `given`, they are the default,
    which is used only if there are no others. Raises ConfigurationError.
    """
    found = _listed("GEARMAN_SERVERS", environment)
    other = _listed("GEARMAN_SERVER", environment)
    if not other and (given or not found):
        other = [address(host, port)]
    return [*found, *other]


def address(host: str, port: str) -> Address:
    """Return the server of the command line; raises ConfigurationError.

    `port` is used if the host has no port of its own.
    """
    if not host:
        raise ConfigurationError("-h takes the name or the address of a host")
    try:
        return host_and_port(host, port_number(port) if port else DEFAULT_PORT)
    except ValueError as error:
        raise ConfigurationError(f"-h: {error}") from error


def _listed(name: str, environment: Mapping[str, str]) -> list[Address]:
    servers = environment.get(name, "").replace(",", " ").split()
    try:
        return [host_and_port(server) for server in servers]
    except ValueError as error:
        raise ConfigurationError(f"{name}: {error}") from error


def tls(environment: Mapping[str, str]) -> ssl.SSLContext:
    """Return the TLS context with the certificates of the environment.

    Raises ConfigurationError.
    """
    # The second is libgearman's name; the other two variables have the same names
    # there.
    names = ("GEARMAN_CA_CERTIFICATE", "GEARMAND_CA_CERTIFICATE")
    authorities = next(filter(None, map(environment.get, names)), None)
    certificate = environment.get("GEARMAN_CLIENT_PEM") or None
    key = environment.get("GEARMAN_CLIENT_KEY") or None
    try:
        context = ssl.create_default_context(cafile=authorities)
        if certificate:
            context.load_cert_chain(certificate, key)
    except OSError as error:
        raise ConfigurationError(
            "the certificates named by GEARMAN_CA_CERTIFICATE, GEARMAN_CLIENT_PEM and"
            f" GEARMAN_CLIENT_KEY cannot be used: {reason(error)}"
        ) from error
    return context


def name(address: Address) -> str:
    """Return the address of a server as text."""
    return format_address(*address)


def reason(error: BaseException) -> str:
    """Return the reason of a failed connection, for a message."""
    if isinstance(error, ssl.SSLError):
        return f"TLS: {error.reason or error}"
    if isinstance(error, TimeoutError):
        return "no answer in time"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return str(error)


def unreachable(problems: Mapping[str, BaseException]) -> ServerUnavailable:
    """Return the error for servers that can't be connected to; `problems` says why."""
    each = ", ".join(
        f"{server} ({reason(error.__cause__ or error)})"
        for server, error in problems.items()
    )
    return ServerUnavailable(
        f"cannot connect to {each}: start a job server there, or name another one"
    )
