"""The blocks of the redis queue: jobs that one batch has added, in one value.

A value costs Redis the same for one job as for hundreds. It begins with a head, a
record that has the numbers and the sizes of the jobs; then follow their records, by
numbers. When some of the jobs are done, a bit for each of them in another value says
which; when all are, both values are deleted. A block of which little is left is given
up by the next batch: the jobs that are left get values of their own.
"""

from array import array
from bisect import bisect_left
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import accumulate, chain, groupby
from struct import Struct
from typing import Final

from gearman.queue import StoredJob

from .._shared.records import Seal, Window, encode_body

# Bytes of the records of a block, and the fewest jobs that are worth one.
SIZE: Final = 64 * 1024
FEW: Final = 16
# A block is given up when less than one part in so many bytes is left.
SPARSE: Final = 4
# Bytes of blocks that one batch gives up.
MOVED: Final = 16 * 1024 * 1024
# Words of a command that a script executes: Lua takes some thousand. They may be pairs.
WORDS: Final = 4000

_HEAD: Final = b"B"
# Bytes before the body of a record, and bytes that a head has for each job.
_PREFIX: Final = 12
_EACH: Final = 12

# A record: its job, the bytes before the workload, and the size.
Record = tuple[StoredJob, bytes, int]


@dataclass(slots=True)
class Block:
    """The numbers of jobs, in their order, and the sizes of their records.

    `done` has a bit for each job; `live` jobs are not done, whose records have `size`
    bytes.
    """

    numbers: "array[int]"
    sizes: "array[int]"
    done: int
    live: int
    size: int

    @classmethod
    def full(cls, numbers: Sequence[int], sizes: Sequence[int]) -> "Block":
        return cls(array("Q", numbers), array("I", sizes), 0, len(numbers), sum(sizes))

    @classmethod
    def decode(cls, head: bytes, seal: Seal) -> "Block | None":
        """Return the block of a head, None if that is damaged."""
        window = Window(lambda at, size: head[at : at + size], len(head), seal)
        body = window.body(0)
        if body is None or body[:1] != _HEAD:
            return None
        count = len(body) // _EACH
        found = Struct(f"<{count}Q{count}I").unpack_from(body, 1)
        return cls.full(found[:count], found[count:])

    def encode(self, seal: Seal) -> bytes:
        """Return the head."""
        count = len(self.numbers)
        body = Struct(f"<c{count}Q{count}I").pack(_HEAD, *self.numbers, *self.sizes)
        return encode_body(body, seal)

    def marks(self) -> bytes:
        return self.done.to_bytes((len(self.numbers) + 7) // 8, "little")

    def left(self) -> list[int]:
        """Return the numbers of the jobs that are not done."""
        if not self.done:
            return self.numbers.tolist()
        return [n for place, n in enumerate(self.numbers) if not self.done >> place & 1]

    def marked(self, done: int) -> "Block":
        """Return the block when the jobs with these bits are done."""
        if not done:
            return self
        return self.without([n for at, n in enumerate(self.numbers) if done >> at & 1])

    def without(self, numbers: Collection[int]) -> "Block":
        """Return the block when some more jobs are done."""
        done, size = self.done, self.size
        for number in numbers:
            place = bisect_left(self.numbers, number)
            done |= 1 << place
            size -= self.sizes[place]
        return Block(self.numbers, self.sizes, done, self.live - len(numbers), size)

    def is_sparse(self) -> bool:
        return self.size * SPARSE < sum(self.sizes)

    def ranges(self, numbers: Sequence[int]) -> Iterator[tuple[int, int]]:
        """Yield where the records of some jobs begin and end."""
        start = 1 + _PREFIX + _EACH * len(self.numbers)
        ends = list(accumulate(self.sizes, initial=start))
        for number in numbers:
            place = bisect_left(self.numbers, number)
            yield ends[place], ends[place + 1]


@dataclass(slots=True)
class Removal:
    """What becomes of blocks when jobs are done: `gone` are those that were in blocks.

    Blocks are `dropped`, `changed`, or given up (`moved`): what is left of them moves.
    """

    gone: list[int] = field(default_factory=list)
    dropped: list[int] = field(default_factory=list)
    changed: dict[int, Block] = field(default_factory=dict)
    moved: dict[int, Block] = field(default_factory=dict)


class Blocks:
    """The blocks in a hash `key`, and their marks, which say what is done, in another.

    `where` is the block of each job. `marks` are the blocks that have marks. `damaged`
    are how many other fields both hashes have, which stay there.
    """

    def __init__(self, key: bytes, marks_key: bytes, seal: Seal) -> None:
        self.key, self.marks_key = key, marks_key
        self._seal = seal
        self.where: dict[int, int] = {}
        self._blocks: dict[int, Block] = {}
        self.marks: set[int] = set()
        self.damaged = [0, 0]
        # Blocks whose marks the next batch has to correct, and those to be given up.
        self._stale: set[int] = set()
        self._sparse: set[int] = set()
        self._last = 0

    def load(self, heads: Mapping[int, bytes], marks: Mapping[int, bytes]) -> list[int]:
        """Load what was read; return the blocks that are damaged."""
        wrong = []
        self.marks = set(marks)
        self._stale = marks.keys() - heads.keys()
        self._last = max((*heads, *marks), default=0)
        for number in sorted(heads):
            block = Block.decode(heads[number], self._seal)
            if block is None:
                wrong.append(number)
                continue
            done = int.from_bytes(marks.get(number, b""), "little")
            self._load(number, block.marked(done))
        return wrong

    def _load(self, number: int, block: Block) -> None:
        left = block.left()
        # Earlier ones of these jobs are there if somebody has put back a hash.
        self.forget(self.where.keys() & left)
        self._blocks[number] = block
        self.where.update(dict.fromkeys(left, number))
        if not left:
            self._stale.add(number)
        elif block.is_sparse():
            self._sparse.add(number)

    def forget(self, numbers: Collection[int]) -> None:
        """Note that jobs are somewhere else, so that the next batch marks them."""
        for number in numbers:
            home = self.where.pop(number)
            self._blocks[home] = self._blocks[home].without([number])
            self._stale.add(home)

    def counts(self) -> list[int]:
        """Return how many fields each hash has."""
        found = len(self._blocks), len(self.marks)
        return [count + more for count, more in zip(found, self.damaged, strict=True)]

    def places(self, numbers: Sequence[int]) -> list[tuple[int, int, int]]:
        """Return where records are: the block of each, its begin and its end there."""
        return [
            (home, start, end)
            for home, some in groupby(numbers, self.where.__getitem__)
            for start, end in self._blocks[home].ranges(list(some))
        ]

    def removal(self, numbers: Collection[int]) -> Removal:
        """Return what becomes of the blocks when these jobs are done."""
        touched: dict[int, list[int]] = {home: [] for home in self._stale}
        where = self.where
        gone = [number for number in numbers if number in where] if where else []
        for number in gone:
            touched.setdefault(where[number], []).append(number)
        removal = Removal(gone)
        for home, some in touched.items():
            block = self._blocks.get(home)
            if block is None or block.live == len(some):
                removal.dropped.append(home)
            else:
                removal.changed[home] = block.without(some)
        self._give_up(removal)
        return removal

    def _give_up(self, removal: Removal) -> None:
        """Choose the blocks of which little was left before, not too many at once.

        When jobs are done in their order, the next batch completes such a block.
        """
        changed = removal.changed
        total = 0
        for home in self._sparse.difference(removal.dropped):
            block = changed.get(home, self._blocks[home])
            total += sum(block.sizes)
            if total > MOVED and removal.moved:
                break
            removal.moved[home] = block
            changed.pop(home, None)

    def commands(self, removal: Removal) -> Iterator[list[bytes]]:
        """Yield the commands for a removal, without those for what moves."""
        leaving = [*removal.dropped, *removal.moved]
        yield from long(
            [b"HDEL", self.key],
            [b"%d" % home for home in leaving if home in self._blocks],
        )
        yield from long(
            [b"HDEL", self.marks_key],
            [b"%d" % home for home in leaving if home in self.marks],
        )
        pairs = [
            (b"%d" % home, block.marks()) for home, block in removal.changed.items()
        ]
        yield from long([b"HSET", self.marks_key], [*chain(*pairs)])

    def names(self, count: int) -> range:
        """Return numbers for so many new blocks, which are never used again."""
        first = self._last + 1
        self._last += count
        return range(first, first + count)

    def apply(self, removal: Removal, added: Mapping[int, Block]) -> None:
        """Note that Redis has executed a removal, and has added blocks."""
        where = self.where
        for number in removal.gone:
            del where[number]
        for block in removal.moved.values():
            for number in block.left():
                del where[number]
        for home in chain(removal.dropped, removal.moved):
            self._blocks.pop(home, None)
            self.marks.discard(home)
            self._sparse.discard(home)
        self._blocks |= removal.changed
        self.marks.update(removal.changed)
        self._sparse |= {
            home for home, block in removal.changed.items() if block.is_sparse()
        }
        self._stale.clear()
        self._blocks |= added
        for home, block in added.items():
            where.update(dict.fromkeys(block.numbers, home))


def divide(records: Sequence[Record]) -> Iterator[Sequence[Record]]:
    """Yield groups of records for a block each."""
    start = total = 0
    for at, record in enumerate(records):
        total += record[2]
        if total > SIZE:
            yield records[start:at]
            start, total = at, record[2]
    yield records[start:]


def long(begin: list[bytes], words: Sequence[bytes]) -> Iterator[list[bytes]]:
    """Yield a command as several, if it has too many words for a script."""
    for start in range(0, len(words), WORDS):
        yield begin + list(words[start : start + WORDS])
