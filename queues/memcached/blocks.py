"""The blocks of the memcached queue: jobs that were stored together.

A block is a sequence of records (see `records`). It is split into items of the size
that memcached allows.
"""

from collections import OrderedDict
from collections.abc import Iterable, Iterator, Sequence
from typing import Final, NamedTuple
from zlib import crc32

from .._shared.records import Seal, Window, job_number
from .pages import MOST_JOBS
from .servers import Server

# A group of blocks is read at once: the most bytes, and the most blocks, of a group.
_BYTES: Final = 4 * 1024 * 1024
_BLOCKS: Final = 500
# Groups that the replay keeps in memory.
_GROUPS: Final = 4


class Record(NamedTuple):
    number: int
    data: bytes


class Content(NamedTuple):
    """The bodies of the jobs of a block; `whole` is False if some items are missing."""

    bodies: list[bytes]
    whole: bool


class Blocks:
    """Blocks in items of up to `part` bytes, spread over servers by their numbers."""

    def __init__(self, servers: Sequence[Server], prefix: str, part: int) -> None:
        self._servers = servers
        self._prefix = prefix
        self._part = part
        self.seal = Seal(b"\xa9job", crc32(prefix.encode()))

    def server(self, number: int) -> int:
        return number % len(self._servers)

    def key(self, number: int) -> str:
        return f"{self._prefix}jobs-{number}"

    def keys(self, number: int, size: int) -> list[str]:
        parts = range((size + self._part - 1) // self._part)
        return [f"{self.key(number)}-{part}" for part in parts]

    def divide(self, records: Iterable[Record]) -> Iterator[list[Record]]:
        """Group records into blocks, each of one item if possible."""
        group: list[Record] = []
        size = 0
        for record in records:
            full = size + len(record.data) > self._part or len(group) == MOST_JOBS
            if group and full:
                yield group
                group, size = [], 0
            group.append(record)
            size += len(record.data)
        if group:
            yield group

    def write(self, blocks: Iterable[tuple[int, bytes]]) -> None:
        """Store blocks; on return the servers have confirmed all of them."""
        items: list[dict[str, bytes]] = [{} for _ in self._servers]
        for number, data in blocks:
            for part, key in enumerate(self.keys(number, len(data))):
                start = part * self._part
                items[self.server(number)][key] = data[start : start + self._part]
        for server, some in zip(self._servers, items, strict=True):
            server.set(some)

    def delete(self, blocks: Iterable[tuple[int, int]]) -> None:
        for number, size in blocks:
            self._servers[self.server(number)].delete(self.keys(number, size))

    def read(self, blocks: Sequence[tuple[int, int]]) -> dict[int, Content]:
        """Return the blocks of these numbers and sizes that still exist."""
        items: dict[str, bytes] = {}
        for index, server in enumerate(self._servers):
            here = [block for block in blocks if self.server(block[0]) == index]
            keys = [key for block in here for key in self.keys(*block)]
            items.update(server.get(keys))
        found = {}
        for number, size in blocks:
            keys = self.keys(number, size)
            if any(key in items for key in keys):
                found[number] = self._content(keys, size, items)
        return found

    def _content(self, keys: list[str], size: int, items: dict[str, bytes]) -> Content:
        data = b"".join(items.get(key, bytes(self._part)) for key in keys)[:size]
        whole = len(data) == size and all(key in items for key in keys)
        return Content(self._bodies(data), whole)

    def _bodies(self, data: bytes) -> list[bytes]:
        def read(offset: int, wanted: int) -> bytes:
            return data[offset : offset + wanted]

        window = Window(read, len(data), self.seal)
        return [found.body for found in window.scan() if found.body is not None]


def groups(blocks: Iterable[tuple[int, int]]) -> Iterator[list[tuple[int, int]]]:
    """Group blocks, given by number and size, so that each can be read at once."""
    group: list[tuple[int, int]] = []
    left = _BYTES
    for block in blocks:
        if group and (left < block[1] or len(group) == _BLOCKS):
            yield group
            group, left = [], _BYTES
        group.append(block)
        left -= block[1]
    if group:
        yield group


def numbers(content: Content) -> list[int]:
    return [job_number(body) for body in content.bodies]


class Reader:
    """Reads blocks in groups, and keeps the last groups."""

    def __init__(self, blocks: Blocks, sizes: list[tuple[int, int]]) -> None:
        self._blocks = blocks
        self._groups = list(groups(sizes))
        self._group_of = {
            number: position
            for position, group in enumerate(self._groups)
            for number, _ in group
        }
        self._read: OrderedDict[int, dict[int, Content]] = OrderedDict()

    def bodies(self, number: int) -> list[bytes]:
        """Return the bodies of a block, none if it no longer exists."""
        position = self._group_of[number]
        if position not in self._read:
            if len(self._read) == _GROUPS:
                self._read.popitem(last=False)
            self._read[position] = self._blocks.read(self._groups[position])
        self._read.move_to_end(position)
        content = self._read[position].get(number)
        return content.bodies if content else []
