"""Plugins of other packages, found by their entry points."""

from typing import Any

from .errors import ConfigurationError


def names(group: str) -> list[str]:
    """Return the names that packages have registered in a group, sorted."""
    # Here, as it would take a tenth of the time in which a server starts.
    from importlib.metadata import entry_points

    return sorted({entry.name for entry in entry_points(group=group)})


def load(group: str, name: str, kind: str) -> Any:
    """Return the object that is registered under this name, or None.

    Raises ConfigurationError if it cannot be loaded; `kind` is the word for it in
    that message, such as "queue plugin".
    """
    from importlib.metadata import entry_points

    for entry in entry_points(group=group, name=name):
        try:
            return entry.load()
        except Exception as error:
            raise ConfigurationError(
                f"the {kind} {name!r} ({entry.value}) cannot be loaded: {error}"
            ) from error
    return None
