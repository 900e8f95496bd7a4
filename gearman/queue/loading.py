"""Queue plugins by their names."""

from importlib import import_module
from types import ModuleType
from typing import Any, Final

from .. import entries
from ..errors import ConfigurationError
from .plugin import Queue

_GROUP: Final = "gearman.queues"

# The plugins of this package, and gearmand's names for them.
NAMES: Final = ("sqlite", "postgres", "mysql", "redis", "memcached", "flatfile")
ALIASES: Final = {
    "libsqlite3": "sqlite",
    "Postgres": "postgres",
    "MySQL": "mysql",
    "libdrizzle": "mysql",
    "libmemcached": "memcached",
}


def load(name: str) -> type[Queue]:
    """Return the plugin class of this name, which may be gearmand's name.

    Raises ConfigurationError if there is none, or if it cannot be imported.
    """
    name = ALIASES.get(name, name)
    if name in NAMES:
        module: Any = import_module(f"gearman.queues.{name}")
        plugin: type[Queue] = module.Queue
        return plugin
    found: type[Queue] | None = entries.load(_GROUP, name, "queue plugin")
    if found is not None:
        return found
    known = ", ".join(("builtin", *NAMES, *entries.names(_GROUP)))
    raise ConfigurationError(
        f"there is no queue plugin {name!r}: choose one of {known}, or install the"
        " package that has it"
    )


def require(module: str, extra: str) -> ModuleType:
    """Import and return a module that a plugin of this package needs.

    Raises ConfigurationError if it is not installed, naming the `extra` to install.
    """
    try:
        return import_module(module)
    except ImportError as error:
        raise ConfigurationError(
            f"the queue plugin {extra!r} needs {module} ({error}): install it by"
            f" pip install 'gearman-py[{extra}]'"
        ) from error
