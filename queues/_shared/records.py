"""Jobs as bytes: records, each with its length and a checksum.

A segment is a row of records. Each begins with the mark of its segment, four random
bytes; then come the length of its body, a CRC-32, and the body, whose first byte says
what it is. The CRC starts from a value that belongs to the segment as well and covers
the body: it detects any error in a single bit, any burst of errors up to 32 bits
long, and all but one in 2**32 of the others, which is also what holds for a damaged
length.

As clients don't know the marks, no workload looks like a record, not even one that
is a copy of a segment. So reading can go on behind a damaged part, at the next mark.
"""

from collections.abc import Callable, Iterator, Sequence
from struct import Struct
from typing import Final, NamedTuple
from zlib import crc32

from gearman.queue import StoredJob

HEADER, JOB, REMOVED = b"S", b"J", b"R"

_PREFIX: Final = Struct("<4sII")
# The number of the segment before, and how many of its bytes count.
_HEADER: Final = Struct("<cQQ")
# Number, priority, time, retries; bytes of handle, function, unique and reducer.
_JOB: Final = Struct("<cQBQQIIIi")
_NUMBER: Final = Struct("<cQ")
_NO_REDUCER: Final = -1

HEADER_SIZE: Final = _PREFIX.size + _HEADER.size
# Bytes that are read at once.
BLOCK: Final = 256 * 1024


class Seal(NamedTuple):
    """What the records of a segment have in common: their mark, and a first CRC."""

    mark: bytes
    seed: int

    def prefix(self, body: bytes, more: bytes = b"") -> bytes:
        """Return what comes before a body, given in two parts."""
        checksum = crc32(more, crc32(body, self.seed))
        return _PREFIX.pack(self.mark, len(body) + len(more), checksum)


class Header(NamedTuple):
    """The segment before, by its number, and its end: what follows it is void."""

    previous: int
    end: int


def encode_body(body: bytes, seal: Seal) -> bytes:
    return seal.prefix(body) + body


def encode_header(header: Header, seal: Seal) -> bytes:
    return encode_body(_HEADER.pack(HEADER, *header), seal)


def encode_removed(numbers: Sequence[int], seal: Seal) -> bytes:
    """Return the record by which these jobs are removed."""
    return encode_body(REMOVED + Struct(f"<{len(numbers)}Q").pack(*numbers), seal)


def encode_job(job: StoredJob, seal: Seal) -> bytes:
    """Return the record of a job, except for the workload, which is to follow."""
    number, handle, function, unique, workload, priority, when, retries, reducer = job
    lengths = len(handle), len(function), len(unique)
    fields = _JOB.pack(
        *(JOB, number, priority, when, retries, *lengths),
        _NO_REDUCER if reducer is None else len(reducer),
    )
    front = b"".join((fields, handle, function, unique, reducer or b""))
    return seal.prefix(front, workload) + front


def decode_header(body: bytes) -> Header | None:
    if body[:1] != HEADER or len(body) != _HEADER.size:
        return None
    return Header(*_HEADER.unpack(body)[1:])


def decode_removed(body: bytes) -> tuple[int, ...]:
    return Struct(f"<{len(body) // 8}Q").unpack_from(body, 1)


def job_number(body: bytes) -> int:
    number: int = _NUMBER.unpack_from(body)[1]
    return number


def decode_job(body: bytes) -> StoredJob:
    _, number, priority, when, retries, *lengths = _JOB.unpack_from(body)
    fields = []
    position = _JOB.size
    for length in lengths:
        following = position + max(length, 0)
        fields.append(body[position:following])
        position = following
    handle, function, unique, reducer = fields
    return StoredJob(
        *(number, handle, function, unique, body[position:], priority, when, retries),
        reducer=None if lengths[-1] == _NO_REDUCER else reducer,
    )


class Found(NamedTuple):
    """A stretch of a segment: a record, or if `body` is None, what is none."""

    offset: int
    size: int
    body: bytes | None


class Window:
    """The records of a segment.

    `read` returns the bytes at an offset, of which only those before `end` count.
    """

    def __init__(self, read: Callable[[int, int], bytes], end: int, seal: Seal) -> None:
        self._read = read
        self._end = end
        self._seal = seal
        self._base = 0
        self._data = b""

    def scan(self) -> Iterator[Found]:
        """Yield all stretches, from the beginning to the end."""
        offset = 0
        while offset < self._end:
            body = self.body(offset)
            if body is None:
                size = self._next(offset) - offset
            else:
                size = _PREFIX.size + len(body)
            yield Found(offset, size, body)
            offset += size

    def body(self, offset: int) -> bytes | None:
        """Return the body of the record at an offset, None if there is none."""
        prefix = self._bytes(offset, _PREFIX.size)
        if len(prefix) < _PREFIX.size:
            return None
        mark, length, checksum = _PREFIX.unpack(prefix)
        if mark != self._seal.mark or offset + _PREFIX.size + length > self._end:
            return None
        body = self._bytes(offset + _PREFIX.size, length)
        return body if crc32(body, self._seal.seed) == checksum and body else None

    def _bytes(self, offset: int, size: int) -> bytes:
        start = offset - self._base
        if start < 0 or start + size > len(self._data):
            if size > BLOCK:
                return self._read(offset, size)
            wanted = min(BLOCK, self._end - offset)
            self._data, self._base, start = self._read(offset, wanted), offset, 0
        return self._data[start : start + size]

    def _next(self, offset: int) -> int:
        """Return where the first record after an offset is, or the end."""
        mark = self._seal.mark
        while offset < self._end:
            offset += 1
            block = self._bytes(offset, BLOCK)
            found = block.find(mark)
            if found < 0:
                # The mark may lie across the end of the block.
                offset += max(len(block) - len(mark), 0)
                continue
            offset += found
            if self.body(offset) is not None:
                return offset
        return self._end
