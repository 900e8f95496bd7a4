"""Reading the hashes of jobs, piece by piece.

Scripts join what belongs together, so that answers have few items: redis-py reads them
one by one, which takes longer than all else. No answer has more than some MB, unless a
single record has.
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import Final

from .._shared.records import Seal, Window
from .session import Session
from .wire import packed

# Fields that Redis looks at in one step: of records, and of blocks, which are larger.
_STEP: Final = 1000
_BLOCKS: Final = 250

# Lists fields of a hash: those that are numbers, and the others. Of the values, nothing
# is returned, or the record at the beginning (a value that is shorter than that counts
# as another field), or all.
_LIST: Final = b"""
local found = redis.call('HSCAN', KEYS[1], ARGV[1], 'COUNT', ARGV[2])
local numbers, sizes, values, others = {}, {}, {}, {}
for i = 1, #found[2], 2 do
    local name, value, size = found[2][i], found[2][i + 1], 0
    if ARGV[3] == 'head' then
        local a, b, c, d = string.byte(value, 5, 8)
        size = d and 12 + a + 256 * (b + 256 * (c + 256 * d)) or 12
    elseif ARGV[3] == 'whole' then
        size = #value
    end
    if size <= #value and string.find(name, '^[1-9]%d*$') then
        numbers[#numbers + 1] = name
        sizes[#sizes + 1] = size
        values[#values + 1] = string.sub(value, 1, size)
    else
        others[#others + 1] = name
    end
end
local join = table.concat
return {found[1], join(numbers, ' '), join(sizes, ' '), join(values), others}
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

# Returns parts of values, each given by its field, its first and its last byte. What is
# not there is filled up.
_PARTS: Final = b"""
local parts, name, value = {}, nil, nil
for i = 1, #ARGV, 3 do
    if ARGV[i] ~= name then
        name = ARGV[i]
        value = redis.call('HGET', KEYS[1], name) or ''
    end
    local part = string.sub(value, ARGV[i + 1], ARGV[i + 2])
    local wanted = ARGV[i + 2] - ARGV[i + 1] + 1
    parts[#parts + 1] = part .. string.rep('-', wanted - #part)
end
return table.concat(parts)
"""


def fields(session: Session, key: bytes) -> tuple[set[int], set[bytes]]:
    """Return the numbers that are fields of a hash, and the other fields."""
    found, others = _listed(session, key, _STEP, b"")
    return set(found), others


def names(session: Session, key: bytes) -> tuple[set[int], set[bytes]]:
    """Return the same of a hash whose values are too large for a script."""
    [found] = session.run([packed(b"HKEYS", key)])
    numbers = {name for name in found if is_number(name)}
    return set(map(int, numbers)), set(found) - numbers


def is_number(name: bytes) -> bool:
    return name.isdigit() and not name.startswith(b"0")


def heads(session: Session, key: bytes) -> tuple[dict[int, bytes], set[bytes]]:
    """Return the first records of the fields of a hash that are numbers, and others."""
    return _listed(session, key, _BLOCKS, b"head")


def values(session: Session, key: bytes) -> tuple[dict[int, bytes], set[bytes]]:
    """Return the values of the fields of a hash that are numbers, and other fields."""
    return _listed(session, key, _STEP, b"whole")


def _listed(
    session: Session, key: bytes, step: int, part: bytes
) -> tuple[dict[int, bytes], set[bytes]]:
    found: dict[int, bytes] = {}
    others: set[bytes] = set()
    cursor = b"0"
    while True:
        words = key, cursor, b"%d" % step, part
        [answer] = session.run([packed(b"EVAL", _LIST, b"1", *words)])
        cursor, numbers, sizes, data, more = answer
        start = 0
        for number, size in zip(numbers.split(), map(int, sizes.split()), strict=True):
            found[int(number)] = data[start : start + size]
            start += size
        others.update(more)
        if cursor == b"0":
            return found, others


def bodies(
    session: Session, key: bytes, numbers: Sequence[int], seal: Seal
) -> list[bytes | None]:
    """Return the bodies of the records of some jobs; None for one that is damaged."""
    if not numbers:
        return []
    [[sizes, data]] = session.run([packed(b"EVAL", _READ, b"1", key, numbers=numbers)])
    return list(_bodies(data, map(int, sizes.split()), seal))


def parts(
    session: Session, key: bytes, places: Sequence[tuple[int, int, int]], seal: Seal
) -> list[bytes | None]:
    """Return the same of records in blocks: each in a block, from one byte to another.

    Records that follow each other are read as one part.
    """
    if not places:
        return []
    words: list[int] = []
    for home, start, end in places:
        if words and words[-3] == home and words[-1] == start:
            words[-1] = end
        else:
            # Lua counts from 1, and up to the last byte.
            words += (home, start + 1, end)
    [data] = session.run([packed(b"EVAL", _PARTS, b"1", key, numbers=words)])
    return list(_bodies(data, (end - start for _, start, end in places), seal))


def _bodies(data: bytes, sizes: Iterable[int], seal: Seal) -> Iterator[bytes | None]:
    window = Window(lambda at, size: data[at : at + size], len(data), seal)
    start = 0
    for size in sizes:
        yield window.body(start) if size > 0 else None
        start += max(size, 0)
