"""Stores of background jobs, opened as a server opens them."""

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager, nullcontext
from dataclasses import dataclass
from typing import Any

from ...errors import ConfigurationError
from ...queue import Queue, StoredJob, Unreadable, replayed
from .membership import member, owning


@dataclass(frozen=True, slots=True)
class Store:
    """A plugin, by its name, and the arguments with which it opens the store.

    `cluster` is the name of the cluster whose servers share the store, "" if none do.
    """

    name: str
    plugin: type[Queue]
    arguments: Mapping[str, Any]
    cluster: str = ""

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

    @contextmanager
    def open(self) -> Iterator[Queue]:
        """Open the store. Raises ConfigurationError or StartupError.

        That of a cluster is owned until it is closed; QueueError is raised if that
        fails.
        """
        more = {"cluster": member(self.cluster)} if self.cluster else {}
        with (
            closing(self.plugin(**self.arguments, **more)) as queue,
            owning(queue) if self.cluster else nullcontext(),
        ):
            yield queue

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
