"""Points as few bytes: those of many functions at one time, or of one function.

A *moment* has the points of all functions of a server at one time. It is written as
soon as it is over: an entry a function, compressed.

A *chunk* has the points of one function for some time. It is made of moments, when that
time is over. Few points are written one after the other, each with its slot, as in a
moment. For many there is a bit for each slot that has a point, and then a column for
each field: the number of bytes of a value, the first bytes of all values, the second
bytes of all values, and so on. `started` and `completed` are differences from
`submitted`, which are near to zero. The columns are compressed. So a point of a
function that is seldom used has some 15 bytes, one of a busy function fewer than 5, and
columns are unpacked by few operations however many values they have.
"""

import lzma
import struct
import zlib
from collections.abc import Container, Iterable, Mapping, Sequence
from typing import Final

from .points import COUNTED, FIELDS, Point

# A small dictionary: a chunk has a few KiB.
_FILTERS: Final = [
    {"id": lzma.FILTER_LZMA1, "dict_size": 1 << 16, "lc": 0, "lp": 0, "pb": 0}
]
# The codes of `struct` for numbers of so many bytes.
_TYPES: Final = {1: "B", 2: "H", 4: "I", 8: "Q"}
# Without the header and the check sum of zlib: SQLite checks its pages itself.
_RAW: Final = -15
_MOST: Final = (1 << 63) - 1

# The first byte of a chunk says how it is written; so many points may be rows.
_ROWS: Final = 0
_COLUMNS: Final = 1
_DENSE_COLUMNS: Final = 2
_FEW: Final = 24

# What is written as a difference from `submitted`.
_NEAR: Final = frozenset({COUNTED.index("started"), COUNTED.index("completed")})


# -- moments


def pack_moment(points: Mapping[int, Point]) -> bytes:
    """Return the bytes of points by the numbers of their functions."""
    return _compressed(_rows(points))


def moment_entries(
    data: bytes, wanted: Container[int] | None = None
) -> dict[int, bytes]:
    """Return the points of a moment, or only the wanted ones, as bytes for `point_of`.

    A monitor has thousands of moments that are not packed yet, each with all functions
    of a server, and a chart is of one function.
    """
    return _entries(_decompressed(data), wanted)


def _rows(points: Mapping[int, Point]) -> bytes:
    """Return points one after the other: step to the number, size, and entry."""
    written = bytearray()
    last = 0
    for number in sorted(points):
        entry = _entry(points[number])
        _write(written, number - last)
        _write(written, len(entry))
        written += entry
        last = number
    return bytes(written)


def _entries(text: bytes, wanted: Container[int] | None = None) -> dict[int, bytes]:
    entries: dict[int, bytes] = {}
    place = number = 0
    end = len(text)
    while place < end:
        # Nearly all steps and sizes have one byte.
        step, size = text[place], text[place + 1]
        if step > 0x7F or size > 0x7F:
            step, place = _read(text, place)
            size, place = _read(text, place)
        else:
            place += 2
        number += step
        if wanted is None or number in wanted:
            entries[number] = text[place : place + size]
        place += size
    return entries


def _entry(point: Point) -> bytes:
    """Return a bit for each field that is not 0, and these numbers."""
    written = bytearray()
    _write(written, sum(1 << place for place, number in enumerate(point) if number))
    for number in point:
        if number:
            _write(written, number)
    return bytes(written)


def point_of(entry: bytes) -> Point:
    """Return the point of an entry."""
    bits, place = _read(entry, 0)
    point = [0] * len(FIELDS)
    for field in range(len(FIELDS)):
        if bits >> field & 1:
            point[field], place = _read(entry, place)
    return tuple(point)


def _write(written: bytearray, number: int) -> None:
    """Write a number, seven bits in a byte; all but the last byte have the eighth."""
    number = min(number, _MOST)
    while number > 0x7F:
        written.append(number & 0x7F | 0x80)
        number >>= 7
    written.append(number)


def _read(text: bytes, place: int) -> tuple[int, int]:
    """Return a number and the place after it."""
    number = shift = 0
    while True:
        byte = text[place]
        place += 1
        number |= (byte & 0x7F) << shift
        if byte < 0x80:
            return number, place
        shift += 7


# -- chunks


def pack_chunk(
    points: Mapping[int, Point], slots: int, *, dense: bool = False
) -> bytes:
    """Return the bytes of points by their slots, which are from 0 to below `slots`.

    Those that are kept for long are packed more densely, which takes more time.
    """
    text = _columns(points, slots)
    if dense:
        packed = lzma.compress(text, lzma.FORMAT_RAW, filters=_FILTERS)
        columns = bytes([_DENSE_COLUMNS]) + packed
    else:
        columns = bytes([_COLUMNS]) + _compressed(text)
    if len(points) > _FEW:
        return columns
    rows = bytes([_ROWS]) + _rows(points)
    return min(rows, columns, key=len)


def unpack_chunk(
    data: bytes, slots: int, fields: Iterable[int]
) -> tuple[Sequence[int], dict[int, list[int]]]:
    """Return the slots that have points, and the values of the wanted fields.

    The slots rise.
    """
    if data[0] == _ROWS:
        points = {slot: point_of(entry) for slot, entry in _entries(data[1:]).items()}
        return [*points], {
            field: [point[field] for point in points.values()] for field in fields
        }
    if data[0] == _COLUMNS:
        text = _decompressed(data[1:])
    else:
        text = lzma.decompress(data[1:], lzma.FORMAT_RAW, filters=_FILTERS)
    return _read_columns(text, slots, set(fields))


def _columns(points: Mapping[int, Point], slots: int) -> bytes:
    order = sorted(points)
    bits = sum(1 << slot for slot in order)
    written = [bits.to_bytes((slots + 7) // 8, "little")]
    columns = [
        [min(value, _MOST) for value in values]
        for values in zip(*(points[slot] for slot in order), strict=True)
    ]
    for field, values in enumerate(columns):
        if field in _NEAR:
            values = list(map(_zigzag, values, columns[0]))
        written.append(_column(values))
    return b"".join(written)


def _read_columns(
    text: bytes, slots: int, wanted: set[int]
) -> tuple[Sequence[int], dict[int, list[int]]]:
    place = (slots + 7) // 8
    bits = int.from_bytes(text[:place], "little")
    order: Sequence[int] = range(slots)
    if bits != (1 << slots) - 1:
        order = [slot for slot in order if bits >> slot & 1]
    columns: dict[int, list[int]] = {}
    for field in range(len(FIELDS)):
        width = text[place]
        place += 1
        planes = text[place : place + width * len(order)]
        place += len(planes)
        if field == 0 or field in wanted:
            values = _values(planes, width, len(order))
            if field in _NEAR:
                pairs = zip(values, columns[0], strict=True)
                values = [other + (n >> 1 ^ -(n & 1)) for n, other in pairs]
            columns[field] = values
    return order, {field: columns[field] for field in wanted}


def _column(values: Sequence[int]) -> bytes:
    """Return the width of values, and their bytes: all first ones, all second ones.

    A difference, which has a sign, may take all of 64 bits.
    """
    top = max(values)
    if not top:
        return b"\0"
    width = next(width for width in _TYPES if top < 1 << 8 * width)
    text = struct.pack(f"<{len(values)}{_TYPES[width]}", *values)
    return bytes([width]) + b"".join(text[plane::width] for plane in range(width))


def _values(planes: bytes, width: int, count: int) -> list[int]:
    if not width:
        return [0] * count
    text = bytearray(len(planes))
    for plane in range(width):
        text[plane::width] = planes[plane * count : (plane + 1) * count]
    return list(struct.unpack(f"<{count}{_TYPES[width]}", text))


def _zigzag(value: int, other: int) -> int:
    """Return a difference as a number that is not negative: 0, -1, 1, -2, 2, ..."""
    difference = value - other
    return difference << 1 if difference >= 0 else (-difference << 1) - 1


def _compressed(text: bytes) -> bytes:
    packer = zlib.compressobj(9, zlib.DEFLATED, _RAW)
    return packer.compress(text) + packer.flush()


def _decompressed(data: bytes) -> bytes:
    return zlib.decompress(data, _RAW)
