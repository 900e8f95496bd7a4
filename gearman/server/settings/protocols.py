"""The protocols in addition to gear, and their addresses, from the options."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from ...errors import ConfigurationError
from ...queue import plugin_arguments
from ..protocols.interface import Service
from ..protocols.metrics.service import Metrics
from ..protocols.registry import GEAR, NAMES, load, own, require
from .values import Endpoint

# Keys among the parsed options.
METRICS_PORT: Final = "metrics_port"
HTTP_HOST: Final = "http_host"

Services = Mapping[str, type[Service]]


@dataclass(frozen=True, slots=True)
class ChosenProtocol:
    """A protocol in addition to gear, its addresses, and its options."""

    name: str
    service: type[Service]
    listen: tuple[Endpoint, ...]
    options: Mapping[str, Any]


def chosen_protocols(
    options: Mapping[str, Any], addresses: Sequence[Endpoint]
) -> tuple[ChosenProtocol, ...]:
    """Return what is spoken on the hosts of these addresses besides gear.

    These are the protocols of -r, and that of --metrics-port.

    Raises ConfigurationError if a protocol can't be used.
    """
    names = dict.fromkeys(options.get("protocol", ()))
    chosen = [_chosen(n, options, addresses) for n in names if n != GEAR]
    if METRICS_PORT in options:
        chosen.append(_metrics(options, addresses))
    return tuple(chosen)


def _chosen(
    name: str, options: Mapping[str, Any], addresses: Sequence[Endpoint]
) -> ChosenProtocol:
    service = load(name)
    port = options.get(port_key(name), service.port)
    listen = _endpoints(f"-r {name}", port, addresses)
    return ChosenProtocol(name, service, listen, plugin_arguments(options, service))


def _metrics(
    options: Mapping[str, Any], addresses: Sequence[Endpoint]
) -> ChosenProtocol:
    require("http", "--metrics-port")
    listen = _endpoints("--metrics-port", options[METRICS_PORT], addresses)
    hosts = {"host": options[HTTP_HOST]} if HTTP_HOST in options else {}
    return ChosenProtocol("metrics", Metrics, listen, hosts)


def _endpoints(
    option: str, port: int, addresses: Sequence[Endpoint]
) -> tuple[Endpoint, ...]:
    """Return a port of each host of these addresses."""
    hosts = dict.fromkeys(address.host for address in addresses if not address.path)
    if not hosts:
        raise ConfigurationError(
            f"{option}: it is spoken on TCP addresses only; add one by -L, such as"
            " -L localhost"
        )
    return tuple(Endpoint(host, port) for host in hosts)


def port_key(name: str) -> str:
    """Return the key of a protocol's port among the parsed options."""
    return f"{name}-port".replace("-", "_")


def services(names: Iterable[str]) -> Services:
    """Return the protocols of this package, and those with these names.

    Raises ConfigurationError if a name is unknown.
    """
    others = {name: load(name) for name in names if name not in (GEAR, *NAMES)}
    return {**{name: own(name) for name in NAMES}, **others}


def without_effect(
    options: Mapping[str, Any], services: Services
) -> Iterator[tuple[str, str]]:
    """Yield the options of protocols that are not in use, each with a reason."""
    for name, service in services.items():
        if name not in options.get("protocol", ()):
            for key in (port_key(name), *(option.key for option in service.options)):
                if key != HTTP_HOST or METRICS_PORT not in options:
                    yield key, f"the protocol {name} is not in use"
    if METRICS_PORT not in options and "http" not in options.get("protocol", ()):
        yield "metrics_functions", "neither --metrics-port nor -r http was given"
