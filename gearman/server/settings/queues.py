"""The queue plugins, and the one in use, from the options."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from ...errors import ConfigurationError
from ...queue import ALIASES, NAMES, Queue, load, plugin_arguments
from .cluster import cluster

Plugins = Mapping[str, type[Queue]]


def plugins(names: Iterable[str]) -> Plugins:
    """Return the queue plugins of this package, and those with these names.

    Raises ConfigurationError if a name is unknown.
    """
    known = dict.fromkeys((*NAMES, *(ALIASES.get(name, name) for name in names)))
    return {name: load(name) for name in known}


def arguments(options: Mapping[str, Any], plugins: Plugins) -> dict[str, Any]:
    """Return the arguments for the constructor of the plugin in use.

    Raises ConfigurationError if an inbox or a cluster is wanted that it does not have.
    """
    plugin = plugins.get(_name(options))
    found: dict[str, Any] = plugin_arguments(options, plugin) if plugin else {}
    if options.get("inbox"):
        if plugin is None or not plugin.has_inbox:
            names = [name for name, each in plugins.items() if each.has_inbox]
            raise ConfigurationError(
                f"the queue {_name(options)} has no inbox: leave out --queue-inbox, or"
                f" choose with -q another queue: {', '.join(names)}"
            )
        found["inbox"] = True
    if member := cluster(options):
        if plugin is None or not plugin.has_cluster:
            names = [name for name, each in plugins.items() if each.has_cluster]
            raise ConfigurationError(
                f"servers of a cluster can't share the queue {_name(options)}: leave"
                f" out --cluster, or choose with -q another queue: {', '.join(names)}"
            )
        found["cluster"] = member
    return found


def in_use(options: Mapping[str, Any], plugins: Plugins) -> set[str]:
    """Return the keys of the options of the plugin in use."""
    plugin = plugins.get(_name(options))
    return {option.key for option in plugin.options} if plugin else set()


def without_effect(options: Mapping[str, Any], plugins: Plugins) -> Iterator[str]:
    """Yield the keys of the options of plugins that are not in use."""
    for name, plugin in plugins.items():
        if name != _name(options):
            yield from (option.key for option in plugin.options)


def _name(options: Mapping[str, Any]) -> str:
    name: str = options.get("queue", "builtin")
    return ALIASES.get(name, name)
