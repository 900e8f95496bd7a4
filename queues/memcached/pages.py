"""The index of the memcached queue: pages, which describe the blocks.

A page describes the blocks of a range of numbers: their sizes, and a bit for each job
that is 1 as long as the job is live. So a commit writes a block and one or two pages,
however many jobs there are.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from struct import Struct
from typing import Final

# Blocks of a page, and the most jobs of a block: a page has at most 34 KB.
PAGE: Final = 64
MOST_JOBS: Final = 4096

_ENTRY: Final = Struct("<QQI")


@dataclass(slots=True)
class Block:
    """A block of jobs: its size in bytes, the number of jobs, and a bit for each."""

    size: int
    count: int
    live: int

    @classmethod
    def full(cls, size: int, count: int) -> "Block":
        return cls(size, count, (1 << count) - 1)


class Pages:
    """All blocks, by their numbers, and the pages that have changed.

    `changed` are the pages whose items must be written, or deleted if they are empty.
    """

    def __init__(self) -> None:
        self._pages: dict[int, dict[int, Block]] = {}
        self.changed: set[int] = set()

    def numbers(self) -> list[int]:
        """Return the pages that are not empty."""
        return sorted(page for page, blocks in self._pages.items() if blocks)

    def blocks(self) -> Iterator[tuple[int, Block]]:
        for page in self.numbers():
            yield from sorted(self._pages[page].items())

    def last(self) -> int:
        """Return the highest number of a block, 0 if there is none."""
        return max((number for number, _ in self.blocks()), default=0)

    def get(self, number: int) -> Block | None:
        return self._pages.get(number // PAGE, {}).get(number)

    def put(self, number: int, block: Block) -> None:
        self._pages.setdefault(number // PAGE, {})[number] = block
        self.changed.add(number // PAGE)

    def kill(self, number: int, place: int) -> bool:
        """Clear a job's bit; if it was the last, drop the block and return True."""
        block = self._pages[number // PAGE][number]
        block.live &= ~(1 << place)
        self.changed.add(number // PAGE)
        if not block.live:
            self.drop(number)
        return not block.live

    def drop(self, number: int) -> None:
        del self._pages[number // PAGE][number]
        self.changed.add(number // PAGE)

    def encode(self, page: int) -> bytes:
        """Return a page's item, b"" if it is empty."""
        return b"".join(
            _ENTRY.pack(number, block.size, block.count)
            + block.live.to_bytes((block.count + 7) // 8, "little")
            for number, block in sorted(self._pages.get(page, {}).items())
        )

    def load(self, page: int, data: bytes) -> None:
        """Load a page from its item."""
        position = 0
        while position < len(data):
            number, size, count = _ENTRY.unpack_from(data, position)
            position += _ENTRY.size
            following = position + (count + 7) // 8
            live = int.from_bytes(data[position:following], "little")
            self._pages.setdefault(page, {})[number] = Block(size, count, live)
            position = following

    def written(self) -> None:
        """Note that the items of all changed pages were written."""
        for page in self.changed:
            if not self._pages.get(page):
                self._pages.pop(page, None)
        self.changed.clear()
