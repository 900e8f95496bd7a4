"""Stores of background jobs, opened as a server opens them."""

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from typing import Any

from ...errors import ConfigurationError
from ...queue import Queue, StoredJob, Unreadable, replayed


@dataclass(frozen=True, slots=True)
class Store:
    """A plugin, by its name, and the arguments with which it opens the store."""

    name: str
    plugin: type[Queue]
    arguments: Mapping[str, Any]

    def check_it_exists(self) -> None:
        """Raise ConfigurationError if the store's files do not exist.

        The plugin would create them, so that a wrong path would be an empty store.
        """
        for option in self.plugin.options:
            path = self.arguments.get(option.keyword)
            if option.kind == "path" and path and not os.path.exists(path):
                raise ConfigurationError(
                    f"there is no {path} to read jobs from: check --{option.names[0]}"
                )

    def open(self) -> closing[Queue]:
        """Open the store. Raises ConfigurationError or StartupError."""
        return closing(self.plugin(**self.arguments))

    def count(self) -> int:
        """Open the store, and return how many jobs it has.

        Raises ConfigurationError, StartupError or QueueError.
        """
        with self.open() as queue:
            return sum(1 for _ in queue.replay())


def readable(queue: Queue, report: Callable[[str], None]) -> Iterator[StoredJob]:
    """Yield the jobs of an open store, and report items that are not jobs.

    Raises QueueError if the back end fails.
    """
    for item in replayed(queue):
        if isinstance(item, Unreadable):
            report(f"stored job {item.key} is left alone: {item.reason}")
        else:
            yield item
