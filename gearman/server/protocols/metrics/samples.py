"""The samples of functions: all lines of metrics that have a function's name."""

from collections.abc import Iterator, Sequence
from typing import Any, Final

from ...compiled import BROKER, SAMPLES, compiled
from .families import COUNTED, counted, gauges
from .kept import Kept
from .rows import Row


class PlainSamples:
    """Makes the samples of functions.

    The compiled build has another version of this class, which makes the same text.
    """

    def __init__(self) -> None:
        self._counted = Kept(COUNTED, counted)

    def pieces(self, rows: Sequence[Row]) -> Iterator[bytes]:
        """Yield the text in steps; some of them yield nothing."""
        yield from gauges(rows)
        yield from self._counted.pieces(rows)


# It reads the counters of the compiled broker.
_module: Any = compiled(BROKER) and compiled(SAMPLES)

Samples: Final[type[PlainSamples]] = _module.Samples if _module else PlainSamples
