"""Points as few bytes: those of many functions at one time, or of one function.

A *moment* has the points of all functions of a server at one time. It is written as
soon as it is over: an entry a function, compressed.

A *chunk* has the points of one function for an hour or a day. It is made of moments,
when the hour or day is over. It has a bit for each time of which there is a point; then
a column for each field: the number of bytes of a value, and the first bytes of all
values, the second bytes of all values, and so on. `started` and `completed` are
differences from `submitted`, which are near to zero. The columns are compressed. So a
chunk of a function that is quiet has some 20 bytes, and columns are unpacked by few
operations however many values they have.
"""

import sys
import zlib
from array import array
from collections.abc import Iterable, Mapping
from typing import Final

from .points import COUNTED, FIELDS, Point

# The array type codes for numbers of so many bytes.
_TYPES: Final = {1: "B", 2: "H", 4: "I", 8: "Q"}
# Without the header and the check sum of zlib: SQLite checks its pages itself.
_RAW: Final = -15
_MOST: Final = (1 << 63) - 1

# What is written as a difference from `submitted`.
_NEAR: Final = frozenset({COUNTED.index("started"), COUNTED.index("completed")})


# -- moments


def pack_moment(points: Mapping[int, Point]) -> bytes:
    """Return the bytes of points by the numbers of their functions."""
    written = bytearray()
    last = 0
    for number in sorted(points):
        entry = _entry(points[number])
        _write(written, number - last)
        _write(written, len(entry))
        written += entry
        last = number
    return _compressed(bytes(written))


def moment_entries(data: bytes) -> dict[int, bytes]:
    """Return the points of a moment, each as bytes for `point_of`."""
    text = _decompressed(data)
    entries: dict[int, bytes] = {}
    place = number = 0
    while place < len(text):
        step, place = _read(text, place)
        size, place = _read(text, place)
        number += step
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


def pack_chunk(points: Mapping[int, Point], slots: int) -> bytes:
    """Return the bytes of points by their slots, which are from 0 to below `slots`."""
    order = sorted(points)
    columns = list(zip(*(points[slot] for slot in order), strict=True))
    bits = sum(1 << slot for slot in order)
    written = [bits.to_bytes((slots + 7) // 8, "little")]
    for field, values in enumerate(columns):
        if field in _NEAR:
            values = tuple(map(_zigzag, values, columns[0]))
        written.append(_column(values))
    return _compressed(b"".join(written))


def unpack_chunk(
    data: bytes, slots: int, fields: Iterable[int]
) -> tuple[list[int], dict[int, list[int]]]:
    """Return the slots that have points, and the values of the wanted fields."""
    text = _decompressed(data)
    place = (slots + 7) // 8
    bits = int.from_bytes(text[:place], "little")
    order = [slot for slot in range(slots) if bits >> slot & 1]
    wanted = set(fields)
    columns: dict[int, list[int]] = {}
    submitted = [0]
    for field in range(len(FIELDS)):
        width = text[place]
        place += 1
        planes = text[place : place + width * len(order)]
        place += len(planes)
        if field in wanted or field == 0:
            values = _values(planes, width, len(order))
            if field == 0:
                submitted = values
            elif field in _NEAR:
                values = list(map(_unzigzag, values, submitted))
            columns[field] = values
    return order, {field: columns[field] for field in wanted}


def _column(values: Iterable[int]) -> bytes:
    """Return the width of values, and their bytes: all first ones, all second ones."""
    several = [min(value, _MOST) for value in values]
    top = max(several)
    if not top:
        return b"\0"
    width = next(width for width in _TYPES if top < 1 << 8 * width)
    numbers = array(_TYPES[width], several)
    if sys.byteorder == "big":
        numbers.byteswap()
    text = numbers.tobytes()
    return bytes([width]) + b"".join(text[plane::width] for plane in range(width))


def _values(planes: bytes, width: int, count: int) -> list[int]:
    if not width:
        return [0] * count
    text = bytearray(len(planes))
    for plane in range(width):
        text[plane::width] = planes[plane * count : (plane + 1) * count]
    numbers = array(_TYPES[width])
    numbers.frombytes(text)
    if sys.byteorder == "big":
        numbers.byteswap()
    return numbers.tolist()


def _zigzag(value: int, other: int) -> int:
    """Return a difference as a number that is not negative: 0, -1, 1, -2, 2, ..."""
    difference = value - other
    return difference << 1 if difference >= 0 else (-difference << 1) - 1


def _unzigzag(number: int, other: int) -> int:
    return other + (number >> 1 if not number & 1 else -(number + 1 >> 1))


def _compressed(text: bytes) -> bytes:
    packer = zlib.compressobj(9, zlib.DEFLATED, _RAW)
    return packer.compress(text) + packer.flush()


def _decompressed(data: bytes) -> bytes:
    return zlib.decompress(data, _RAW)
