"""Small lines beside functions, drawn anew every few seconds only."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final

from ..history.archive import Archive
from ..history.spans import SPANS
from ..model.views import FunctionView
from .drawing import spark

# Seconds for which lines are shown again: reading them takes time.
FRESH: Final = 5.0

COUNTED: Final = "submitted"
GAUGE: Final = "queued"


@dataclass(frozen=True, slots=True)
class Spark:
    """The path of a line, what it shows, and a sentence about it."""

    path: str
    field: str
    sentence: str


@dataclass(slots=True)
class Sparks:
    """Lines of the last minutes: jobs submitted, or queued where nothing is counted."""

    clock: Callable[[], float] = time.monotonic
    _kept: dict[bytes, tuple[float, Spark]] = field(default_factory=dict)

    async def of(
        self, archive: Archive, addresses: Sequence[str], views: Sequence[FunctionView]
    ) -> dict[bytes, Spark]:
        """Return the lines of some functions, by their names."""
        now = self.clock()
        self._kept = {
            name: kept for name, kept in self._kept.items() if now - kept[0] < FRESH
        }
        for field_name in (COUNTED, GAUGE):
            names = [
                view.name
                for view in views
                if view.name not in self._kept and _field(view) == field_name
            ]
            if not names:
                continue
            charts = await archive.charts(addresses, names, SPANS["10m"], [field_name])
            for name, chart in zip(names, charts, strict=True):
                path, sentence = spark(chart.fields[field_name], field_name)
                self._kept[name] = now, Spark(path, field_name, sentence)
        return {view.name: self._kept[view.name][1] for view in views}


def _field(view: FunctionView) -> str:
    return GAUGE if view.total.counters is None else COUNTED
