"""Jobs as bytes: records, each with its length and a checksum.

A segment is a sequence of records. Each record begins with the mark of its segment,
which is four random bytes. Then follow the length of the body, a CRC-32, and the body,
whose first byte is the kind of the record. The CRC covers the body, and starts from a
value of the segment. It detects each error of a single bit, each burst of errors of up
to 32 bits, and all but one in 2**32 of the other errors; the last is also so for a
damaged length.

Clients don't know the marks, so no workload looks like a record, not even a copy of a
segment. So after a damaged part, reading can go on at the next mark.
"""

from collections.abc import Callable, Iterator, Sequence
from struct import Struct
from typing import Final, NamedTuple
from zlib import crc32

from gearman.queue import StoredJob

HEADER, JOB, EXTENDED, REMOVED = b"S", b"J", b"E", b"R"
# The kinds that are jobs: without and with `extra`.
JOBS: Final = (JOB, EXTENDED)

_PREFIX: Final = Struct("<4sII")
# The number of the previous segment, and how many of its bytes are valid.
_HEADER: Final = Struct("<cQQ")
# Number, priority, time, retries; bytes of handle, function, unique and reducer.
_JOB: Final = Struct("<cQBQQIIIi")
# Bytes of `extra`, only in a record of the kind EXTENDED: it follows the reducer.
_EXTRA: Final = Struct("<I")
_NUMBER: Final = Struct("<cQ")
_NO_REDUCER: Final = -1

HEADER_SIZE: Final = _PREFIX.size + _HEADER.size
# Bytes that are read at once.
BLOCK: Final = 256 * 1024


class Seal(NamedTuple):
    """The mark of a segment's records, and the start value of their CRC."""

    mark: bytes
    seed: int

    def prefix(self, body: bytes, more: bytes = b"") -> bytes:
        """Return the bytes before a body, which is given in two parts."""
        checksum = crc32(more, crc32(body, self.seed))
        return _PREFIX.pack(self.mark, len(body) + len(more), checksum)


class Header(NamedTuple):
    """The number of the previous segment, and its end: bytes after that are invalid."""

    previous: int
    end: int


def encode_body(body: bytes, seal: Seal) -> bytes:
    return seal.prefix(body) + body


def encode_header(header: Header, seal: Seal) -> bytes:
    return encode_body(_HEADER.pack(HEADER, *header), seal)


def encode_removed(numbers: Sequence[int], seal: Seal) -> bytes:
    """Return the record that removes these jobs."""
    return encode_body(REMOVED + Struct(f"<{len(numbers)}Q").pack(*numbers), seal)


def encode_job(job: StoredJob, seal: Seal) -> bytes:
    """Return the record of a job without the workload, which must follow it."""
    number, handle, name, unique, data, priority, when, retries, reducer, extra = job
    lengths = len(handle), len(name), len(unique)
    fields = _JOB.pack(
        *(EXTENDED if extra else JOB, number, priority, when, retries, *lengths),
        _NO_REDUCER if reducer is None else len(reducer),
    )
    front = b"".join((fields, handle, name, unique, reducer or b""))
    if extra:
        front = b"".join((front, _EXTRA.pack(len(extra)), extra))
    return seal.prefix(front, data) + front


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
    kind, number, priority, when, retries, *lengths = _JOB.unpack_from(body)
    fields = []
    position = _JOB.size
    for length in lengths:
        following = position + max(length, 0)
        fields.append(body[position:following])
        position = following
    handle, function, unique, reducer = fields
    extra = b""
    if kind == EXTENDED:
        start = position + _EXTRA.size
        position = start + _EXTRA.unpack_from(body, position)[0]
        extra = body[start:position]
    return StoredJob(
        *(number, handle, function, unique, body[position:], priority, when, retries),
        reducer=None if lengths[-1] == _NO_REDUCER else reducer,
        extra=extra,
    )


class Found(NamedTuple):
    """A part of a segment: a record, or a damaged part, whose `body` is None."""

    offset: int
    size: int
    body: bytes | None


class Window:
    """The records of a segment.

    `read` is called with an offset and a size, and returns the bytes there. Bytes from
    `end` on are ignored.
    """

    def __init__(self, read: Callable[[int, int], bytes], end: int, seal: Seal) -> None:
        self._read = read
        self._end = end
        self._seal = seal
        self._base = 0
        self._data = b""

    def scan(self) -> Iterator[Found]:
        """Yield all parts, from the beginning to the end."""
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
        """Return the offset of the first record after an offset, or the end."""
        mark = self._seal.mark
        while offset < self._end:
            offset += 1
            block = self._bytes(offset, BLOCK)
            found = block.find(mark)
            if found < 0:
                # The mark may cross the end of the block.
                offset += max(len(block) - len(mark), 0)
                continue
            offset += found
            if self.body(offset) is not None:
                return offset
        return self._end
