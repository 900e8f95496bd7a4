"""What other packages bring: the entry points of a group."""

from importlib.metadata import entry_points
from typing import Any

from .errors import ConfigurationError


def names(group: str) -> list[str]:
    """Return what packages have registered, in order and each name once."""
    return sorted({entry.name for entry in entry_points(group=group)})


def load(group: str, name: str, kind: str) -> Any:
    """Return what a package has registered by this name, None if none has.

    Raises ConfigurationError, which calls it a `kind`, if it cannot be loaded.
    """
    for entry in entry_points(group=group, name=name):
        try:
            return entry.load()
        except Exception as error:
            raise ConfigurationError(
                f"the {kind} {name!r} ({entry.value}) cannot be loaded: {error}"
            ) from error
    return None
