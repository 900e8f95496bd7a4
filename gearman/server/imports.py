"""What is imported before the server changes its user.

Python imports some of its own modules only when they are first needed. A user who
can't enter the folder of this Python would not find them by then, and neither would
anybody once it was upgraded under a server that runs.
"""

from codecs import lookup
from contextlib import suppress
from importlib import import_module
from typing import Final

from ..queue import load
from .settings.config import Config

# The codecs of names of hosts, and of what the log escapes.
_CODECS: Final = ("ascii", "idna", "latin-1", "punycode", "unicode_escape")

# What asyncio, logging and tracebacks import late.
_MODULES: Final = ("concurrent.futures.thread", "linecache", "tokenize", "traceback")


def import_all(config: Config) -> None:
    """Import what a server with these settings may need as long as it runs.

    Raises ConfigurationError if what a queue or a protocol needs is missing.
    """
    for name in _CODECS:
        lookup(name)
    for name in _MODULES:
        import_module(name)
    if config.coredump:
        # Not for everyone: it costs memory, and some builds of Python lack it.
        with suppress(ImportError):
            import_module("ctypes")
    if config.queue != "builtin":
        load(config.queue).prepare()
    for spoken in config.protocols:
        spoken.service.prepare()
