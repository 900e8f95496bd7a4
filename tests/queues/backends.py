"""The back ends of the contract suite.

Each is a context manager that gets an empty folder, starts the back end, and yields a
`Backend`. The fixture `backends` enters it once for all tests. If a program is not
installed, it calls `tests.servers.missing`.
"""

from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Final

import pytest
from _pytest.mark import ParameterSet

from .backend import Backend
from .backend_flatfile import flatfile
from .backend_folder import folder
from .backend_memcached import memcached
from .backend_memory import memory
from .backend_mysql import mysql
from .backend_postgres import postgres
from .backend_redis import redis
from .backend_sqlite import sqlite

BACKENDS: Final[dict[str, Callable[[Path], AbstractContextManager[Backend]]]] = {
    "flatfile": flatfile,
    "folder": folder,
    "memcached": memcached,
    "memory": memory,
    "mysql": mysql,
    "postgres": postgres,
    "redis": redis,
    "sqlite": sqlite("native"),
    "sqlite-gearmand": sqlite("gearmand"),
}

# Those that are other programs.
_PROGRAMS: Final = {"memcached", "mysql", "postgres", "redis"}


def marked(names: Iterable[str]) -> list[ParameterSet]:
    """Return names as parameters; one Python is enough for tests of other programs."""
    return [
        pytest.param(name, marks=[pytest.mark.any_python] if name in _PROGRAMS else [])
        for name in names
    ]
