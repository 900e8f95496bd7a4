"""Modules that are imported before the server changes its user.

Python imports some of its own modules only when they are first used. That would fail
later if the new user may not read the folder of this Python, or if Python has been
upgraded while the server runs.
"""

from codecs import lookup
from contextlib import suppress
from importlib import import_module
from typing import Final

from ..queue import load
from .settings.config import Config
from .watch import traces

# The codecs of host names, and of escapes in the log.
_CODECS: Final = ("ascii", "idna", "latin-1", "punycode", "unicode_escape")

# Modules that asyncio, logging and tracebacks import late.
_MODULES: Final = ("concurrent.futures.thread", "linecache", "tokenize", "traceback")

# What reading a settings file again may need.
_FOR_SETTINGS: Final = ("cronsim", "importlib.resources", "tzdata")

# The targets of hooks, which a settings file may have later.
_FOR_HOOKS: Final = ("command", "url")


def import_all(config: Config) -> None:
    """Import all modules that a server with these settings may need.

    Raises ConfigurationError if a module of a queue or a protocol is missing,
    or one that exports traces.
    """
    for name in _CODECS:
        lookup(name)
    for name in _MODULES:
        import_module(name)
    if config.coredump:
        # Only with --coredump: ctypes takes memory, and some builds of Python lack it.
        with suppress(ImportError):
            import_module("ctypes")
    if config.settings:
        for name in _FOR_HOOKS:
            import_module(f"{__package__}.watch.hooks.{name}")
        # cronsim may be missing if there are no schedules.
        for name in _FOR_SETTINGS:
            with suppress(ImportError):
                import_module(name)
    if config.traces:
        traces.prepare()
    if config.queue != "builtin":
        load(config.queue).prepare()
    for spoken in config.protocols:
        spoken.service.prepare()
