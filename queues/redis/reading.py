"""Reading the hashes of jobs, piece by piece.

Scripts join what belongs together, so that answers have few items: redis-py reads them
one by one, which takes longer than all else. No answer has more than some MB, unless a
single record has.
"""

from collections.abc import Sequence
from typing import Final

from .._shared.records import Seal, Window
from .session import Session
from .wire import packed

# Fields that Redis looks at in one step.
_STEP: Final = 1000

# Lists fields of a hash: those that are numbers, as one text, and the others.
_LIST: Final = b"""
local found = redis.call('HSCAN', KEYS[1], ARGV[1], 'COUNT', ARGV[2])
local numbers, others = {}, {}
for i = 1, #found[2], 2 do
    local name = found[2][i]
    if string.find(name, '^[1-9]%d*$') then
        numbers[#numbers + 1] = name
    else
        others[#others + 1] = name
    end
end
return {found[1], table.concat(numbers, ' '), others}
"""

# Returns the sizes of records, -1 for one that is not there, and then all of them.
_READ: Final = b"""
local records, sizes = redis.call('HMGET', KEYS[1], unpack(ARGV)), {}
for i = 1, #records do
    if records[i] then
        sizes[i] = #records[i]
    else
        records[i], sizes[i] = '', -1
    end
end
return {table.concat(sizes, ' '), table.concat(records)}
"""


def fields(session: Session, key: bytes) -> tuple[set[int], set[bytes]]:
    """Return the numbers that are fields of a hash, and the other fields."""
    numbers: set[int] = set()
    others: set[bytes] = set()
    cursor = b"0"
    while True:
        words = key, cursor, b"%d" % _STEP
        [[cursor, some, more]] = session.run([packed(b"EVAL", _LIST, b"1", *words)])
        numbers.update(map(int, some.split()))
        others.update(more)
        if cursor == b"0":
            return numbers, others


def bodies(
    session: Session, key: bytes, numbers: Sequence[int], seal: Seal
) -> list[bytes | None]:
    """Return the bodies of the records of some jobs; None for one that is damaged."""
    if not numbers:
        return []
    [[sizes, data]] = session.run([packed(b"EVAL", _READ, b"1", key, numbers=numbers)])
    window = Window(lambda at, size: data[at : at + size], len(data), seal)
    found: list[bytes | None] = []
    start = 0
    for size in map(int, sizes.split()):
        body = window.body(start) if size > 0 else None
        found.append(body)
        start += max(size, 0)
    return found
