"""What tests of the redis queue share."""

from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import Any

from gearman.queue import Queue, StoredJob, Unreadable, load

from .backend_redis import at


def job(number: int, workload: bytes = b"w", **fields: Any) -> StoredJob:
    handle = b"H:host:%d" % number
    return StoredJob(number, handle, b"f", b"", workload)._replace(**fields)


@contextmanager
def opened(port: int, **more: Any) -> Iterator[Queue]:
    plugin: Any = load("redis")
    with closing(plugin(**at(port, **more))) as queue:
        list(queue.replay())
        yield queue


def content(port: int, **more: Any) -> list[StoredJob | Unreadable]:
    plugin: Any = load("redis")
    with closing(plugin(**at(port, **more))) as queue:
        return list(queue.replay())


def jobs(port: int, **more: Any) -> list[StoredJob]:
    found = content(port, **more)
    stored = [each for each in found if isinstance(each, StoredJob)]
    assert stored == found
    return stored
