"""The protocols that can be selected: those of this package, and of other packages."""

from importlib import import_module
from typing import Final

from ... import entries
from ...errors import ConfigurationError
from .interface import Service

GROUP: Final = "gearman.protocols"

# The binary protocol, which is always spoken, on the port of each address.
GEAR: Final = "gear"

# The other protocols of this package, and the modules that they need. The extra of the
# protocol's name installs these.
NAMES: Final = ("http", "memcached")
_CLASSES: Final = {"http": ".http.service:Http", "memcached": ".memcached:Memcached"}
_NEEDS: Final = {"http": "h11"}


def known() -> tuple[str, ...]:
    """Return the names of all protocols that can be selected."""
    own_names = (GEAR, *NAMES)
    others = (name for name in entries.names(GROUP) if name not in own_names)
    return (*own_names, *others)


def own(name: str) -> type[Service]:
    """Return a protocol of this package, even if the module it needs is missing."""
    module, _, attribute = _CLASSES[name].partition(":")
    service: type[Service] = getattr(import_module(module, __package__), attribute)
    return service


def load(name: str) -> type[Service]:
    """Return the protocol of this name.

    Raises ConfigurationError if there is none, or if it cannot be used.
    """
    if name in NAMES:
        require(name, f"the protocol {name!r}")
        return own(name)
    service: type[Service] | None = entries.load(GROUP, name, "protocol")
    if service is not None:
        return service
    raise ConfigurationError(
        f"there is no protocol {name!r}: choose one of {', '.join(known())}, or"
        " install the package that has it"
    )


def require(name: str, what: str) -> None:
    """Raise ConfigurationError if the module that a protocol needs is missing.

    `what` is what needs it, for the sentence.
    """
    try:
        if module := _NEEDS.get(name):
            import_module(module)
    except ImportError as error:
        raise ConfigurationError(
            f"{what} needs {_NEEDS[name]} ({error}): install it by"
            f" pip install 'gearman-py[{name}]'"
        ) from error
