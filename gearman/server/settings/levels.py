"""Log levels by gearmand's words, placed between those of Python's logging."""

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

for _name, _level in LEVELS.items():
    logging.addLevelName(_level, _name)


def level_name(level: int) -> str:
    """Name `level`, or the next lower one that has a name; the lowest is DEBUG."""
    names = (name for name, number in LEVELS.items() if number <= level)
    return next(names, "DEBUG")


def more_verbose(level: int, steps: int) -> int:
    """Return the level that lies `steps` after `level`, DEBUG at the furthest."""
    order = list(LEVELS.values())
    return order[min(order.index(level) + steps, len(order) - 1)]
