"""What a server knows of its process, store and cluster, for `show stats`."""

import os
import time
from collections.abc import Callable, Sized
from contextlib import suppress

from .... import __version__
from ....framing import BUILD
from ...storage.durability import Durability

_PAGE = os.sysconf("SC_PAGE_SIZE")


class Facts:
    """Returns facts about the process, its connections, store, hooks and cluster."""

    def __init__(self) -> None:
        self._started = time.monotonic()
        self._wall = round(time.time(), 3)
        # Those that exist once the server has started.
        self.connections: Sized = ()
        self.hooks: Callable[[], object] = list
        self.relays: Callable[[], object] = list
        self.durability: Durability | None = None
        # What is known of its cluster, if it is in one.
        self.cluster: Callable[[], object] | None = None

    def __call__(self) -> dict[str, object]:
        store = self.durability
        return {
            "version": __version__,
            "build": BUILD,
            "process": os.getpid(),
            "started": self._wall,
            "uptime": round(time.monotonic() - self._started, 3),
            "connections": len(self.connections),
            "cpu": round(time.process_time(), 3),
            "resident": _resident(),
            "store": None if store is None else store.facts(),
            "hooks": self.hooks(),
            "relays": self.relays(),
            "cluster": None if self.cluster is None else self.cluster(),
        }


def _resident() -> int | None:
    """Return the bytes of memory of this process, None if the system does not say."""
    with suppress(OSError, ValueError, IndexError), open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * _PAGE
    return None
