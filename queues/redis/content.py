"""What is stored in Redis, as the server knows it, and how a batch changes that.

A job is in one of three places: in a block, in the hash of single jobs, or in that of
large ones.
"""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from gearman.queue import StoredJob, Unreadable

from .._shared.records import Seal, encode_job
from .blocks import FEW, Block, Blocks, Record, Removal, divide, long
from .reading import bodies, fields, heads, is_number, names, parts, values
from .session import Session
from .wire import packed, packed_values

# Bytes of the largest record that is read together with others.
SMALL: Final = 16 * 1024


# A job's number, where it is, and the body of its record, None if that is damaged.
Item = tuple[int, str, bytes | None]


class Hash:
    """A hash of records by numbers; `odd` is how many fields are no numbers."""

    def __init__(self, key: bytes) -> None:
        self.key = key
        self.numbers: set[int] = set()
        self.odd = 0

    def count(self) -> int:
        return len(self.numbers) + self.odd


@dataclass(slots=True)
class Fresh:
    """Jobs to be added, as records: single ones, large ones, and groups for blocks."""

    numbers: set[int]
    small: list[Record] = field(default_factory=list)
    large: list[Record] = field(default_factory=list)
    groups: list[Sequence[Record]] = field(default_factory=list)

    @classmethod
    def of(cls, jobs: Sequence[StoredJob], seal: Seal) -> "Fresh":
        fresh = cls(set())
        some: list[Record] = []
        for job in jobs:
            front = encode_job(job, seal)
            size = len(front) + len(job.workload)
            (some if size <= SMALL else fresh.large).append((job, front, size))
            fresh.numbers.add(job.number)
        if len(some) < FEW:
            fresh.small = some
            return fresh
        some.sort(key=_number)
        for group in divide(some):
            if len(group) < FEW:
                fresh.small += group
            else:
                fresh.groups.append(group)
        return fresh


@dataclass(slots=True)
class Change:
    """What a batch does. `commands` remove, as words; `adding` are those that add.

    `leaving` are the single and the large jobs that leave, `moved` the jobs that leave
    blocks and become single ones.
    """

    fresh: Fresh
    leaving: tuple[set[int], set[int]]
    removal: Removal
    moved: dict[int, bytes]
    added: dict[int, Block] = field(default_factory=dict)
    commands: list[list[bytes]] = field(default_factory=list)
    adding: list[bytes] = field(default_factory=list)


class Content:
    """All that is stored. `left` are the numbers of jobs that stay there for ever: they
    can't be read, or are no jobs of this server.
    """

    def __init__(self, prefix: bytes, seal: Seal) -> None:
        self._seal = seal
        self.small, self.large = Hash(prefix + b"jobs"), Hash(prefix + b"large")
        self.blocks = Blocks(prefix + b"blocks", prefix + b"done", seal)
        self.left: set[int] = set()
        self.keys = (
            self.small.key,
            self.large.key,
            self.blocks.key,
            self.blocks.marks_key,
        )

    def read(self, session: Session) -> list[Unreadable]:
        """Find what is stored; return the fields that are no jobs."""
        blocks = self.blocks
        self.small.numbers, odd = fields(session, self.small.key)
        self.large.numbers, large = names(session, self.large.key)
        found, other = heads(session, blocks.key)
        marks, more = values(session, blocks.marks_key)
        self.small.odd, self.large.odd = len(odd), len(large)
        wrong = blocks.load(found, marks)
        blocks.damaged = [len(other) + len(wrong), len(more)]
        for home in self.small, self.large:
            blocks.forget(blocks.where.keys() & home.numbers)
        other.update(b"%d" % number for number in wrong)
        return [
            Unreadable(place(key, name), _wrong(name))
            for key, some in zip(self.keys, (odd, large, other, more), strict=True)
            for name in sorted(some)
        ]

    def numbers(self) -> set[int]:
        return self.small.numbers | self.large.numbers | self.blocks.where.keys()

    def known(self, numbers: set[int]) -> set[int]:
        """Return those of these jobs that are stored."""
        homes = self.small.numbers, self.large.numbers, self.blocks.where.keys()
        return set().union(*(numbers & home for home in homes))

    def counts(self) -> list[int]:
        """Return how many fields each hash has."""
        return [self.small.count(), self.large.count(), *self.blocks.counts()]

    def count_commands(self) -> list[bytes]:
        return [packed(b"HLEN", key) for key in self.keys]

    def is_empty(self) -> bool:
        return not any(self.counts())

    def change(
        self, session: Session, fresh: Fresh, again: set[int], gone: set[int]
    ) -> Change:
        """Plan a batch; `again` are the new jobs that replace stored ones."""
        leaving = gone | again if again else gone
        small = (leaving & self.small.numbers) - _numbers(fresh.small)
        large = (leaving & self.large.numbers) - _numbers(fresh.large)
        removal = self.blocks.removal(leaving)
        change = Change(fresh, (small, large), removal, self._moved(session, removal))
        change.commands += long([b"HDEL", self.small.key], _digits(small))
        change.commands += long([b"HDEL", self.large.key], _digits(large))
        change.commands += self.blocks.commands(removal)
        words = [word for n, data in change.moved.items() for word in (b"%d" % n, data)]
        change.commands += long([b"HSET", self.small.key], words)
        self._plan_adding(change)
        return change

    def _moved(self, session: Session, removal: Removal) -> dict[int, bytes]:
        """Return the records that are left in blocks that are given up."""
        homes = list(removal.moved)
        if not homes:
            return {}
        [found] = session.run([packed(b"HMGET", self.blocks.key, numbers=homes)])
        moved = {}
        for home, value in zip(homes, found, strict=True):
            left = removal.moved[home].left()
            places = list(removal.moved[home].ranges(left))
            if value is None or len(value) < places[-1][1]:
                # The batch goes on, and then sees that something is missing.
                removal.changed[home] = removal.moved.pop(home)
                continue
            for number, (start, end) in zip(left, places, strict=True):
                moved[number] = value[start:end]
        return moved

    def _plan_adding(self, change: Change) -> None:
        """Add the commands that store the new jobs."""
        fresh, blocks = change.fresh, self.blocks
        for home, some in (self.small, fresh.small), (self.large, fresh.large):
            if some:
                pairs = [(job.number, (front, job.workload)) for job, front, _ in some]
                change.adding.append(packed_values(home.key, pairs))
        if not fresh.groups:
            return
        filled = []
        for name, group in zip(
            blocks.names(len(fresh.groups)), fresh.groups, strict=True
        ):
            block = Block.full(
                [record[0].number for record in group], [record[2] for record in group]
            )
            change.added[name] = block
            pieces = [block.encode(self._seal)]
            for job, front, _ in group:
                pieces += (front, job.workload)
            filled.append((name, pieces))
        change.adding.append(packed_values(blocks.key, filled))

    def apply(self, change: Change) -> None:
        """Note that Redis has executed a batch."""
        fresh = change.fresh
        self.small.numbers -= change.leaving[0]
        self.large.numbers -= change.leaving[1]
        self.blocks.apply(change.removal, change.added)
        self.small.numbers.update(change.moved, _numbers(fresh.small))
        self.large.numbers |= _numbers(fresh.large)
        self.left -= fresh.numbers

    def bodies(self, session: Session, numbers: Sequence[int]) -> Iterator[Item]:
        """Read jobs in this order; large ones are read one by one."""
        seal, where = self._seal, self.blocks.where
        single, inside = [], []
        for number in numbers:
            if number in where:
                inside.append(number)
            elif number not in self.large.numbers:
                single.append(number)
        found = dict(
            zip(single, bodies(session, self.small.key, single, seal), strict=True)
        )
        places = self.blocks.places(inside)
        read = parts(session, self.blocks.key, places, seal)
        found |= zip(inside, read, strict=True)
        for number in numbers:
            if number not in found:
                [found[number]] = bodies(session, self.large.key, [number], seal)
            yield number, self._place(number), found.pop(number)

    def _place(self, number: int) -> str:
        if number in self.blocks.where:
            home = b"%d" % self.blocks.where[number]
            return f"the job {number} in {place(self.blocks.key, home)}"
        large = number in self.large.numbers
        return place((self.large if large else self.small).key, b"%d" % number)


def place(key: bytes, field: bytes) -> str:
    name: Any = field.decode("ascii", "replace")
    return f"the field {name!r:.80} of {key.decode()}"


def _wrong(name: bytes) -> str:
    return "it is damaged" if is_number(name) else "it is not named by a number"


def _numbers(records: Sequence[Record]) -> set[int]:
    return {record[0].number for record in records}


def _digits(numbers: Collection[int]) -> list[bytes]:
    return [b"%d" % number for number in numbers]


def _number(record: Record) -> int:
    return record[0].number
