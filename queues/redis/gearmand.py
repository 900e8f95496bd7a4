"""The jobs that gearmand has left in Redis.

gearmand 2 stores a hash with the fields `data`, `priority`, `function` and `unique`
under the key PREFIX-FUNCTION-UNIQUE; gearmand 1 since 1.1.16 one with the first two
fields; earlier versions a string, the workload. Both parts of a key may have dashes, so
without the fields it may be unclear where the function ends. A known function decides
then (the longest one), or a unique of which there are many: one that libgearman has
made (a UUID), a dash, or none.
"""

import re
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

from gearman.queue import NORMAL, StoredJob, Unreadable, check, shown

from .session import Session
from .wire import packed

# Keys that Redis looks at in one step, and jobs that are moved at once.
_SCAN: Final = 1000
_PAGE: Final = 100

_UUID: Final = rb"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}"
_USUAL: Final = re.compile(rb"(.*[^-])-(" + _UUID + rb"|-|)", re.DOTALL)

_FIELDS: Final = b"function", b"unique"
_CONTENT: Final = b"data", b"priority"


@dataclass(frozen=True, slots=True)
class Name:
    """The key of a job, and what it says; `function` is None if that is unclear."""

    key: bytes
    is_hash: bool
    function: bytes | None
    unique: bytes = b""


class Remains:
    """Finds the jobs of gearmand; `unreadable` are those that stay in Redis."""

    def __init__(self, session: Session, prefix: str) -> None:
        self._session = session
        self._prefix = f"{prefix}-".encode()
        self.unreadable: list[Unreadable] = []
        self._names: list[Name] = []
        if not self._is_cluster():
            self._find()

    def _is_cluster(self) -> bool:
        """Whether keys are spread over servers: gearmand can't use such a Redis."""
        [text] = self._session.run([packed(b"INFO", b"cluster")])
        return b"cluster_enabled:1" in text

    def _find(self) -> None:
        names = [
            name for page in _pages(sorted(self._keys())) for name in self._named(page)
        ]
        known = {name.function for name in names if name.function is not None}
        for name in names:
            if name.function is None:
                name = self._decided(name, known)
            if name.function is not None:
                self._names.append(name)
                continue
            self._leave(
                name.key,
                "where its function ends is unclear: give the hash the fields"
                " `function` and `unique`",
            )

    def _keys(self) -> set[bytes]:
        """Return all keys that begin with the prefix and a dash."""
        pattern = re.sub(rb"([][*?\\^])", rb"\\\1", self._prefix) + b"*"
        keys: set[bytes] = set()
        cursor = b"0"
        while True:
            words = cursor, b"MATCH", pattern, b"COUNT", b"%d" % _SCAN
            [[cursor, some]] = self._session.run([packed(b"SCAN", *words)])
            keys.update(some)
            if cursor == b"0":
                return keys

    def _named(self, keys: list[bytes]) -> Iterator[Name]:
        kinds = self._session.run([packed(b"TYPE", key) for key in keys])
        hashes = [key for key, kind in zip(keys, kinds, strict=True) if kind == b"hash"]
        fields = dict(zip(hashes, self._fields(hashes, _FIELDS), strict=True))
        for key, kind in zip(keys, kinds, strict=True):
            function, unique = fields.get(key, (None, None))
            if kind not in (b"hash", b"string"):
                self._leave(key, f"it is a {kind.decode()}")
            elif function is not None and unique is not None:
                yield Name(key, True, function, unique)
            else:
                yield self._split(key, kind == b"hash")

    def _fields(self, keys: list[bytes], names: tuple[bytes, ...]) -> list[Any]:
        return self._session.run([packed(b"HMGET", key, *names) for key in keys])

    def _split(self, key: bytes, is_hash: bool) -> Name:
        """Split a key that can be split in only one way."""
        text = key.removeprefix(self._prefix)
        if text.count(b"-") == 1:
            return Name(key, is_hash, *text.split(b"-"))
        return Name(key, is_hash, None)

    def _decided(self, name: Name, known: set[bytes]) -> Name:
        """Split a key behind a known function, or before a usual unique."""
        text = name.key.removeprefix(self._prefix)
        places = [at for at, byte in enumerate(text) if byte == ord("-")]
        if found := [at for at in places if text[:at] in known]:
            return Name(
                name.key, name.is_hash, text[: found[-1]], text[found[-1] + 1 :]
            )
        if parted := _USUAL.fullmatch(text):
            return Name(name.key, name.is_hash, parted[1], parted[2])
        return name

    def jobs(self, last: int) -> Iterator[tuple[list[StoredJob], list[bytes]]]:
        """Yield some jobs, and their keys, until all are taken over.

        Their numbers are below the time (microseconds since the epoch), or follow the
        `last` number if that is higher.
        """
        number = max(time.time_ns() // 1000 - len(self._names), last)
        for page in _pages(self._names):
            jobs, keys = [], []
            for name, data, priority in self._content(page):
                number += 1
                job = _job(number, name, data, priority)
                if fault := check(job):
                    self._leave(name.key, fault)
                else:
                    jobs.append(job)
                    keys.append(name.key)
            if jobs:
                yield jobs, keys

    def _content(self, page: list[Name]) -> Iterator[tuple[Name, bytes, bytes]]:
        """Yield the workload and the priority of each job that has both."""
        commands = [
            packed(b"HMGET", name.key, *_CONTENT)
            if name.is_hash
            else packed(b"GET", name.key)
            for name in page
        ]
        for name, found in zip(page, self._session.run(commands), strict=True):
            data, priority = found if name.is_hash else (found, b"%d" % NORMAL)
            if data is None or priority is None:
                self._leave(name.key, "it has no data or no priority")
            else:
                yield name, data, priority

    def _leave(self, key: bytes, reason: str) -> None:
        self.unreadable.append(Unreadable(f"the key {shown(key)}", reason))


def _job(number: int, name: Name, data: bytes, priority: bytes) -> StoredJob:
    level = int(priority) if priority.isdigit() else -1
    return StoredJob(number, b"", name.function or b"", name.unique, data, level)


def _pages(items: list[Any]) -> Iterator[list[Any]]:
    for start in range(0, len(items), _PAGE):
        yield items[start : start + _PAGE]
