"""gearmand's log levels, as levels of Python's logging."""

import logging
from types import MappingProxyType
from typing import Final

FATAL: Final = 60
ALERT: Final = 55
NOTICE: Final = 25

LEVELS: Final = MappingProxyType(
    {
        "FATAL": FATAL,
        "ALERT": ALERT,
        "CRITICAL": logging.CRITICAL,
        "ERROR": logging.ERROR,
        "WARNING": logging.WARNING,
        "NOTICE": NOTICE,
        "INFO": logging.INFO,
        "DEBUG": logging.DEBUG,
    }
)

for _name in ("ALERT", "NOTICE"):
    # Not FATAL: in a program with a server inside, that is another name of CRITICAL.
    logging.addLevelName(LEVELS[_name], _name)


def level_name(level: int) -> str:
    """Return the name of `level`, or of the next lower one that has a name."""
    names = (name for name, number in LEVELS.items() if number <= level)
    return next(names, "DEBUG")


def more_verbose(level: int, steps: int) -> int:
    """Return the level that is `steps` more verbose than `level`, at most DEBUG."""
    order = list(LEVELS.values())
    return order[min(order.index(level) + steps, len(order) - 1)]
