"""The lines of functions, kept while their numbers do not change.

Most functions of a server with a thousand of them have had no job since the last
scrape. To make their lines anew, in plain Python, would be most of what a scrape costs.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import groupby
from operator import itemgetter
from typing import Final

from .families import Family, Values
from .rows import Row, steps

# The lines of a function in each family, if they were kept.
_Lines = tuple[bytes, ...] | None

# Whether the lines of a function were kept, its row, and these lines.
_Function = tuple[bool, Row, _Lines]
_is_kept: Final = itemgetter(0)

# The numbers of a function, and its lines. In tuples of these, the garbage collector
# has nothing to look for.
_Entry = tuple[Values, _Lines]


class Kept:
    """Makes the text of some families.

    `numbers` returns all numbers that the lines of a function depend on. If they are
    the same at two scrapes, the lines are kept for the next ones.
    """

    def __init__(
        self, families: Sequence[Family], numbers: Callable[[Row], Values]
    ) -> None:
        self._families = families
        self._numbers = numbers
        self._entries: dict[bytes, _Entry] = {}

    def pieces(self, rows: Sequence[Row]) -> Iterator[bytes]:
        """Yield the text in steps; some of them yield nothing."""
        last, entries = self._entries, dict[bytes, _Entry]()
        for batch in steps(rows):
            yield b""
            for row in batch:
                entries[row.label] = self._entry(row, last.get(row.label))
        # Functions that have gone are not in it any more.
        self._entries = entries
        made = [
            (lines is not None, row, lines)
            for row, (_, lines) in zip(rows, entries.values(), strict=True)
        ]
        for index, family in enumerate(self._families):
            yield family.head
            for part in steps(made):
                yield _text(family, index, part)

    def _entry(self, row: Row, last: _Entry | None) -> _Entry:
        numbers = self._numbers(row)
        if last is None or last[0] != numbers:
            return numbers, None
        if last[1] is not None:
            return last
        return numbers, tuple([family.lines((row,)) for family in self._families])


def _text(family: Family, index: int, functions: Iterable[_Function]) -> bytes:
    """Return the lines of some functions in the family of this index."""
    texts: list[bytes] = []
    for are_kept, several in groupby(functions, _is_kept):
        if are_kept:
            texts += [lines[index] for _, _, lines in several if lines]
        else:
            texts.append(family.lines([row for _, row, _ in several]))
    return b"".join(texts)
