"""The protocols in addition to gear, and their addresses, from the options."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ...errors import ConfigurationError
from ...queue import plugin_arguments
from ..protocols.interface import Service
from ..protocols.registry import GEAR, NAMES, load, own
from .values import Endpoint

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
    """Return the protocols of -r, on the hosts of these addresses.

    Raises ConfigurationError if a protocol can't be used.
    """
    names = dict.fromkeys(options.get("protocol", ()))
    return tuple(_chosen(n, options, addresses) for n in names if n != GEAR)


def _chosen(
    name: str, options: Mapping[str, Any], addresses: Sequence[Endpoint]
) -> ChosenProtocol:
    service = load(name)
    port = options.get(port_key(name), service.port)
    hosts = dict.fromkeys(address.host for address in addresses if not address.path)
    if not hosts:
        raise ConfigurationError(
            f"-r {name}: it is spoken on TCP addresses only; add one by -L, such as"
            " -L localhost"
        )
    listen = tuple(Endpoint(host, port) for host in hosts)
    return ChosenProtocol(name, service, listen, plugin_arguments(options, service))


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
                yield key, f"the protocol {name} is not in use"
