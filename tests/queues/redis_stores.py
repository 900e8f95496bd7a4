"""What tests of the redis queue share."""

from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import Any

from gearman.queue import Queue, StoredJob, Unreadable, load

from .backend_redis import Redis, at

# The ends of the names of the keys.
FIELDS = "state", "lease", "jobs", "large", "blocks", "done"


def job(number: int, workload: bytes = b"w", **fields: Any) -> StoredJob:
    handle = b"H:host:%d" % number
    return StoredJob(number, handle, b"f", b"", workload)._replace(**fields)


def many(first: int, last: int, size: int = 1) -> list[StoredJob]:
    return [job(number, b"w" * size) for number in range(first, last + 1)]


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


def key(prefix: str, name: str) -> str:
    return f"{{{prefix}}}:{name}"


def dumped(redis: Redis, prefix: str, *names: str) -> dict[str, bytes | None]:
    """Return the values of keys, of all if none are named."""
    return {name: redis.call("DUMP", key(prefix, name)) for name in names or FIELDS}


def restored(redis: Redis, prefix: str, before: dict[str, bytes | None]) -> None:
    """Put keys back to what `dumped` has returned."""
    for name, data in before.items():
        redis.call("DEL", key(prefix, name))
        if data is not None:
            redis.call("RESTORE", key(prefix, name), 0, data)
