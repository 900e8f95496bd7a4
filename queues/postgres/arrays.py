"""Columns of a batch as Postgres' binary arrays, made by a few calls into C.

psycopg would convert a list item by item. That takes twice as long for the whole batch,
and it holds the GIL all the time.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain, repeat
from struct import Struct, pack
from typing import Any, ClassVar, Final

from psycopg import Connection
from psycopg.adapt import Dumper
from psycopg.pq import Format

_SIZE: Final = Struct("!i").pack
# Dimensions, whether there are NULLs, type; then length and lower bound.
_HEAD: Final = Struct("!iiIii").pack
_EMPTY: Final = Struct("!iiI").pack
_NULL: Final = _SIZE(-1)


@dataclass(frozen=True, slots=True)
class Numbers:
    """An array of whole numbers, each of 64 bits."""

    oid: ClassVar = 1016
    items: Sequence[int]

    def dump(self) -> bytes:
        if not self.items:
            return _EMPTY(0, 0, 20)
        count = len(self.items)
        sized = chain.from_iterable(zip(repeat(8), self.items))
        return _HEAD(1, 0, 20, count, 1) + pack(f"!{'iq' * count}", *sized)


@dataclass(frozen=True, slots=True)
class Texts:
    """An array of bytea; None is NULL."""

    oid: ClassVar = 1001
    items: Sequence[bytes | None]

    def dump(self) -> bytes:
        if not self.items:
            return _EMPTY(0, 0, 17)
        head = _HEAD(1, 1, 17, len(self.items), 1)
        return b"".join((head, *chain.from_iterable(map(_sized, self.items))))


def _sized(item: bytes | None) -> tuple[bytes, bytes]:
    return (_NULL, b"") if item is None else (_SIZE(len(item)), item)


class _ArrayDumper(Dumper):
    format = Format.BINARY

    def dump(self, obj: Any) -> bytes:
        dumped: bytes = obj.dump()
        return dumped


class _NumbersDumper(_ArrayDumper):
    oid = Numbers.oid


class _TextsDumper(_ArrayDumper):
    oid = Texts.oid


def register(connection: Connection[Any]) -> None:
    """Make a connection accept these arrays as parameters."""
    connection.adapters.register_dumper(Numbers, _NumbersDumper)
    connection.adapters.register_dumper(Texts, _TextsDumper)
