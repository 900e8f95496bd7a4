"""A mutator that knows packets: bytes in, bytes out, by a source of random numbers."""

from collections.abc import Callable, Sequence
from random import Random
from typing import TypeVar

T = TypeVar("T")

MAGICS = [
    *(b"\0RES", b"\0REX", b"\0\0\0\0", b"GET ", b"\x16\x03\x01\0", b"\0req"),
    b"\xff" * 4,
]
NUMBERS: list[int] = [
    *range(44),
    *range(255, 264),
    0x07000000,
    2**31 - 1,
    2**31,
    2**32 - 1,
]
LENGTHS: list[int] = [
    0,
    1,
    2,
    12,
    64,
    65,
    4095,
    19_999,
    20_000,
    20_001,
    2**31,
    2**32 - 1,
]
BITS = [
    *(b"\0", b"\n", b"\r\n", b"\r", b" ", b"\t", b"\xff", b"\x80", b"\x16", b"0"),
    *(b"-1", b"9" * 20, b"18446744073709551616", b"2147483648", b"4294967296"),
    *(b"0x10", b"+1", b"1.5", b"1e9", b"\0" * 12, b"\0REQ", b"\0RES", b"A" * 65),
    *(b"A" * 1025, b"A" * 8181, b"%00", b"%", b"%2F", b"\xc3\xa9", b"\xe2\x80\xa8"),
    *(b":", b"-"),
]


def pick(rng: Random, things: Sequence[T]) -> T:
    return things[int(rng.random() * len(things))]


def spot(rng: Random, data: bytes) -> int:
    """Return a position, in half of the cases near an end."""
    size = len(data)
    if size > 16 and rng.random() < 0.5:
        near = int(rng.random() * 16)
        return near if rng.random() < 0.7 else size - near
    return int(rng.random() * (size + 1))


def flip(rng: Random, data: bytes) -> bytes:
    at = spot(rng, data)
    byte = data[at : at + 1] or b"\0"
    return data[:at] + bytes([byte[0] ^ 1 << int(rng.random() * 8)]) + data[at + 1 :]


def insert(rng: Random, data: bytes) -> bytes:
    at = spot(rng, data)
    return data[:at] + pick(rng, BITS) + data[at:]


def overwrite(rng: Random, data: bytes) -> bytes:
    at = spot(rng, data)
    bit = pick(rng, BITS)
    return data[:at] + bit + data[at + len(bit) :]


def remove(rng: Random, data: bytes) -> bytes:
    at = spot(rng, data)
    return data[:at] + data[at + 1 + int(rng.random() * 8) :]


def repeat(rng: Random, data: bytes) -> bytes:
    start = spot(rng, data)
    part = data[start : start + 1 + int(rng.random() * 40)]
    return data[:start] + part * (2 + int(rng.random() * 4)) + data[start:]


def truncate(rng: Random, data: bytes) -> bytes:
    return data[: spot(rng, data)]


def magic(rng: Random, data: bytes) -> bytes:
    return pick(rng, MAGICS) + data[4:]


def number(rng: Random, data: bytes) -> bytes:
    return data[:4] + pick(rng, NUMBERS).to_bytes(4, "big") + data[8:]


def length(rng: Random, data: bytes) -> bytes:
    return data[:8] + pick(rng, LENGTHS).to_bytes(4, "big") + data[12:]


def nearly(rng: Random, data: bytes) -> bytes:
    """Change the declared length of a body a little."""
    size = max(0, len(data) - 12 + int(rng.random() * 7) - 3)
    return data[:8] + size.to_bytes(4, "big") + data[12:]


def unseparate(rng: Random, data: bytes) -> bytes:
    """Remove or add one NUL between arguments, in a complete packet."""
    body = data[12:]
    if rng.random() < 0.6:
        body = body.replace(b"\0", b"", 1)
    else:
        at = spot(rng, body)
        body = body[:at] + b"\0" + body[at:]
    return data[:8] + len(body).to_bytes(4, "big") + body


def swell(rng: Random, data: bytes) -> bytes:
    """Change the body of a packet and keep its length right."""
    body = insert(rng, data[12:])
    return data[:8] + len(body).to_bytes(4, "big") + body


Mutator = Callable[[Random, bytes], bytes]

BYTES: list[Mutator] = [flip, insert, overwrite, remove, repeat, truncate]
PACKET: list[Mutator] = [magic, number, length, nearly, unseparate, swell, *BYTES]


def spoil(rng: Random, data: bytes, mutators: Sequence[Mutator] = BYTES) -> bytes:
    """Damage data in one or a few places."""
    changed: bytes = pick(rng, mutators)(rng, data)
    return changed if rng.random() < 0.7 else spoil(rng, changed, mutators)
