"""Which protocols there are: those of this package, and those of others."""

from importlib import import_module
from importlib.metadata import entry_points
from typing import Any, Final

from ..errors import ConfigurationError
from .protocol import Service

GROUP: Final = "gearman.protocols"

# Always spoken, on the ports of the addresses themselves.
GEAR: Final = "gear"

# What comes with this package beside it, and what that needs, which is installed by
# the extra of the protocol's name.
NAMES: Final = ("http", "memcached")
_NEEDS: Final = {"http": "h11"}


def known() -> tuple[str, ...]:
    """Return the names of all protocols that can be chosen."""
    others = {entry.name for entry in entry_points(group=GROUP)}
    return (GEAR, *NAMES, *sorted(others - {GEAR, *NAMES}))


def own(name: str) -> type[Service]:
    """Return a protocol of this package, whether or not it can be used."""
    module: Any = import_module(f"gearman.server.{name}")
    service: type[Service] = getattr(module, name.capitalize())
    return service


def load(name: str) -> type[Service]:
    """Return the protocol of this name. Raises ConfigurationError if it can't."""
    if name in NAMES:
        _require(name)
        return own(name)
    for entry in entry_points(group=GROUP, name=name):
        try:
            service: type[Service] = entry.load()
        except Exception as error:
            raise ConfigurationError(
                f"the protocol {name!r} ({entry.value}) cannot be loaded: {error}"
            ) from error
        return service
    raise ConfigurationError(
        f"there is no protocol {name!r}: choose one of {', '.join(known())}, or"
        " install the package that has it"
    )


def _require(name: str) -> None:
    try:
        for module in filter(None, [_NEEDS.get(name)]):
            import_module(module)
    except ImportError as error:
        raise ConfigurationError(
            f"the protocol {name!r} needs {error.name}, which is not installed:"
            f" pip install 'gearman-py[{name}]'"
        ) from error
